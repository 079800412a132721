# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who is at this page. The browser signed in at the gate; its cookie comes along to the page, on the same host."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from html import escape
from typing import NoReturn, TypeVar, cast
from urllib.parse import quote

import streamlit as st

from dashboards.faults import in_french
from dashboards.texts import TEXTS, Language, text
from gate.client import GateClient, GateError, SignedOut
from gate.messages import Whoami

T = TypeVar("T")
COOKIE = "passage_session"
_LAPSED = re.compile(r"no (habilitation|agrément) in force")
_LAPSES = re.compile(r"the (habilitation|agrément) ends on (\d{4})-(\d\d)-(\d\d)")


def gate_url() -> str:
    """Where the gate answers, from the environment that `passage up` sets."""
    return os.environ.get("PASSAGE_GATE_URL", "http://127.0.0.1:18600")


def language() -> Language:
    """The language chosen on this page."""
    return "en" if st.session_state.get("language") == "English" else "fr"


def t(key: str, **values: object) -> str:
    """A sentence in the language of the page."""
    return text(key, language(), **values)


def client() -> GateClient:
    """A client with the browser's own session, made anew for every run so that nothing outlives it."""
    return GateClient(gate_url(), token=st.context.cookies.get(COOKIE))


def held(name: str, key: object, make: Callable[[], T]) -> T:
    """The last answer of one kind, asked for again when the question is another one.

    A page is drawn at every click; the same question asked again each time would fill the journal with acts that nobody
    did. What is held names passages and times; every picture still comes from the gate.
    """
    last = st.session_state.get(f"held-{name}")
    if last is None or last[0] != key:
        last = st.session_state[f"held-{name}"] = (key, make())
    return cast("T", last[1])


def forget(name: str) -> None:
    """Ask again the next time."""
    st.session_state.pop(f"held-{name}", None)


def keep(*fields: str) -> None:
    """Keep what these fields hold while they are not drawn: Streamlit forgets a field that is not on the page."""
    for name in fields:
        if name in st.session_state:
            st.session_state[name] = st.session_state[name]


def require_person(gate: GateClient) -> Whoami:
    """The signed-in person, or the way to sign in and nothing else."""
    try:
        return gate.whoami()
    except SignedOut:
        sign_in()
    except GateError:
        st.error(t("gate_away"))
        _stop()


def sign_in() -> NoReturn:
    """Show the way to sign in, and nothing else."""
    st.title(t("title"))
    st.write(t("subtitle"))
    st.write(t("sign_in_help"))
    address = escape(f"{gate_url()}/sign-in?next={_own_url()}", quote=True)
    st.html(f'<a class="passage-button" href="{address}">{escape(t("sign_in"))}</a>')
    _stop()


def said(words: str) -> str:
    """What the gate said, in the page's language where it has usual words for it."""
    return (in_french(words) if language() == "fr" else None) or words


def show_fault(fault: GateError) -> None:
    """Say what was refused, in the page's language; what has no usual words is told by its kind and the gate's own.

    A session that has ended is no fault of the page's: it is raised again, and the application asks to sign in.
    """
    if isinstance(fault, SignedOut):
        raise fault
    if language() == "en":
        st.error(str(fault))
        return
    told = [(words, in_french(words)) for words in getattr(fault, "faults", ()) or (str(fault),)]
    if all(french for _, french in told):
        st.error("  \n".join(str(french) for _, french in told))
        return
    key = f"fault_{fault.code}"
    own = "; ".join(french or words for words, french in told)
    st.error(f"{t(key)}  \n:small[{t('fault_detail')} : {own}]" if key in TEXTS else own)


def warning_text(warning: str) -> str:
    """A warning of the gate's in the page's language."""
    if language() == "en":
        return warning
    if found := _LAPSED.search(warning):
        return t("warn_lapsed", what=found[1])
    if found := _LAPSES.search(warning):
        return t("warn_lapses", what=found[1], day=f"{found[4]}/{found[3]}/{found[2]}")
    if "password" in warning:
        return t("warn_issued")
    return t("warn_clock") if "clock" in warning else warning


def _stop() -> NoReturn:
    st.stop()
    raise AssertionError("a stopped page does not go on")


def own_password_url(gate: GateClient) -> str:
    """The gate's page on which a person chooses their own password; from there they sign in here again."""
    return f"{gate.own_password_url()}?next={quote(_own_url())}"


def _own_url() -> str:
    host = st.context.headers.get("Host", "127.0.0.1:18501")
    return f"http://{host}/"
