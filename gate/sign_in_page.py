# SPDX-License-Identifier: AGPL-3.0-or-later
"""The pages that the gate draws itself, in French and English, without a script.

Signing in, one's own password, and what somebody sees who followed a link that is refused.
"""

from __future__ import annotations

from html import escape
from urllib.parse import quote

import segno

from gate.authenticators import PASSWORD_LEAST
from gate.messages import Renewed

_FRAME = """<!doctype html>
<html lang="fr"><head><meta charset="utf-8"><title>Passage</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body{font:16px/1.5 system-ui,sans-serif;background:#eef2f6;color:#16222e;display:grid;place-items:center}
body{min-height:95vh}
main{background:#fff;border:1px solid #d5dde5;border-radius:10px;padding:2rem;width:20rem}
h1{margin:0 0 1rem;font-size:1.4rem}label{display:block;margin:.7rem 0 .2rem}small{color:#5a6772}
input{width:100%%;box-sizing:border-box;padding:.5rem;font:inherit;border:1px solid #9aa7b3;border-radius:6px}
input[type=checkbox]{width:auto;margin-right:.5rem}
button{margin-top:1.2rem;width:100%%;padding:.6rem;font:inherit;color:#fff;background:#1f4e79;border:0;border-radius:6px}
button small{color:#cfe0f0}
.no{color:#a01818}code{display:block;font-size:1.05rem}svg{display:block;margin:.5rem auto}a{color:#1f4e79}
</style></head><body><main>
<h1>Passage</h1>%s
</main></body></html>
"""
_WHO = """<label for="login">Identifiant <small>login</small></label><input id="login" name="login" required autofocus>
<label for="password">Mot de passe%(now)s <small>password%(now_en)s</small></label>
<input id="password" name="password" type="password" required>
<label for="code">Code à six chiffres, ou code de secours <small>one-time or recovery code</small></label>
<input id="code" name="code" required autocomplete="one-time-code">
<input type="hidden" name="next" value="%(next)s">
"""
_SIGN_IN = """%(told)s<form method="post" action="/sign-in" autocomplete="off">
%(who)s<button>Se connecter <small>sign in</small></button>
</form><p><a href="%(own)s">Choisir mon mot de passe</a> <small>choose my password</small></p>"""
_OWN = """<p>Choisissez un mot de passe que personne d'autre ne connaît ; vos autres connexions prennent fin.<br>
<small>Choose a password that nobody else knows; you are signed out everywhere.</small></p>
%(told)s<form method="post" action="/own-password" autocomplete="off">
%(who)s<label for="new">Nouveau mot de passe, %(least)d caractères ou plus <small>new password</small></label>
<input id="new" name="new" type="password" minlength="%(least)d" required autocomplete="new-password">
<label for="again">Le même encore <small>again</small></label>
<input id="again" name="again" type="password" required autocomplete="new-password">
<label><input type="checkbox" name="authenticator" value="1">Changer aussi d'authentificateur
<small>another authenticator too</small></label>
<button>Changer <small>change</small></button>
</form>"""
_DONE = """<p>Votre mot de passe est changé. <small>Your password is changed.</small></p>%(new)s
<p><a href="%(sign_in)s">Se connecter</a> <small>sign in</small></p>"""
_NEW = """<p>Montrez ceci à votre authentificateur, une seule fois.
<small>Show this to your authenticator, once.</small></p>
%(picture)s<code style="word-break:break-all;font-size:.75rem">%(uri)s</code>
<p>Codes de secours, chacun une fois : imprimez-les et gardez-les sous pli.
<small>Recovery codes, once each: print and keep them sealed.</small></p>%(codes)s"""
_REFUSED = """<p class="no" role="alert">Refusé. <small>Refused.</small></p><p>%s</p>
<p>Revenez à la page précédente. <small>Go back to the page before.</small></p>"""
_TOLD = {
    "sign_in": (
        "Identifiant, mot de passe ou code incorrect, ou compte verrouillé un quart d'heure.",
        "Name, password or code is wrong, or the account is locked for 15 minutes.",
    ),
    "again": ("Les deux nouveaux mots de passe diffèrent.", "The two new passwords are not the same."),
    "new": (
        f"Le nouveau mot de passe est trop court ({PASSWORD_LEAST} caractères au moins) ou n'a pas changé.",
        f"The new password is too short ({PASSWORD_LEAST} characters at least) or the old one.",
    ),
}
"""What went wrong, in both languages."""


def page(next_url: str, fault: str = "") -> str:
    """Signing in; `next_url` is where a right sign-in goes on to."""
    return _FRAME % (_SIGN_IN % {"told": _told(fault), "who": _who(next_url), "own": _link("/own-password", next_url)})


def own_password_page(next_url: str, fault: str = "") -> str:
    """Choosing one's own password."""
    who = _who(next_url, " actuel", " now")
    return _FRAME % (_OWN % {"told": _told(fault), "who": who, "least": PASSWORD_LEAST})


def renewed_page(renewed: Renewed, next_url: str) -> str:
    """It is done; a new authenticator's secret is shown as a picture, this once."""
    new = ""
    if renewed.totp_uri:
        picture = segno.make(renewed.totp_uri, error="m").svg_inline(scale=5)
        codes = "".join(f"<code>{escape(code)}</code>" for code in renewed.recovery_codes)
        new = _NEW % {"picture": picture, "uri": escape(renewed.totp_uri), "codes": codes}
    return _FRAME % (_DONE % {"new": new, "sign_in": _link("/sign-in", next_url)})


def refusal_page(why: str) -> str:
    """A link that was followed in vain, and why."""
    return _FRAME % (_REFUSED % escape(why))


def _who(next_url: str, now: str = "", now_en: str = "") -> str:
    return _WHO % {"next": escape(next_url, quote=True), "now": now, "now_en": now_en}


def _link(path: str, next_url: str) -> str:
    return escape(f"{path}?next={quote(next_url)}" if next_url else path, quote=True)


def _told(fault: str) -> str:
    if not fault:
        return ""
    french, english = _TOLD[fault]
    return f'<p class="no" role="alert">{escape(french, quote=False)}<br><small>{english}</small></p>'
