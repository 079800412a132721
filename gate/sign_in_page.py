# SPDX-License-Identifier: AGPL-3.0-or-later
"""The one page that the gate draws itself: signing in, in French and English, without a script."""

from __future__ import annotations

from html import escape

_PAGE = """<!doctype html>
<html lang="fr"><head><meta charset="utf-8"><title>Passage</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body{font:16px/1.5 system-ui,sans-serif;background:#eef2f6;color:#16222e;display:grid;place-items:center}
body{min-height:95vh}
form{background:#fff;border:1px solid #d5dde5;border-radius:10px;padding:2rem;width:20rem}
h1{margin:0 0 1rem;font-size:1.4rem}label{display:block;margin:.7rem 0 .2rem}small{color:#5a6772}
input{width:100%%;box-sizing:border-box;padding:.5rem;font:inherit;border:1px solid #9aa7b3;border-radius:6px}
button{margin-top:1.2rem;width:100%%;padding:.6rem;font:inherit;color:#fff;background:#1f4e79;border:0;border-radius:6px}
.no{color:#a01818}
</style></head><body>
<form method="post" action="/sign-in" autocomplete="off">
<h1>Passage</h1>%(failed)s
<label for="login">Identifiant <small>login</small></label><input id="login" name="login" required autofocus>
<label for="password">Mot de passe <small>password</small></label>
<input id="password" name="password" type="password" required>
<label for="code">Code à six chiffres, ou code de secours <small>one-time or recovery code</small></label>
<input id="code" name="code" required autocomplete="one-time-code">
<input type="hidden" name="next" value="%(next)s">
<button>Se connecter <small style="color:#cfe0f0">sign in</small></button>
</form></body></html>
"""
_FAILED = (
    '<p class="no">Identifiant, mot de passe ou code incorrect, ou compte verrouillé un quart d\'heure.<br>'
    "<small>Name, password or code is wrong, or the account is locked for 15 minutes.</small></p>"
)


def page(next_url: str, *, failed: bool) -> str:
    """The page; `next_url` is where a right sign-in goes on to."""
    return _PAGE % {"next": escape(next_url, quote=True), "failed": _FAILED if failed else ""}
