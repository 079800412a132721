# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who is at this page. The browser signed in at the gate; its cookie comes along to the page, on the same host."""

from __future__ import annotations

import os
from typing import NoReturn

import streamlit as st

from dashboards.texts import Language, text
from gate.client import GateClient, GateError, SignedOut
from gate.messages import Whoami

COOKIE = "passage_session"


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


def require_person(gate: GateClient) -> Whoami:
    """The signed-in person, or the way to sign in and nothing else."""
    try:
        return gate.whoami()
    except SignedOut:
        st.title(t("title"))
        st.write(t("sign_in_help"))
        st.link_button(t("sign_in"), f"{gate_url()}/sign-in?next={_own_url()}", type="primary")
    except GateError:
        st.error(t("gate_away"))
    _stop()


def _stop() -> NoReturn:
    st.stop()
    raise AssertionError("a stopped page does not go on")


def _own_url() -> str:
    host = st.context.headers.get("Host", "127.0.0.1:18501")
    return f"http://{host}/"
