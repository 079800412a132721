# SPDX-License-Identifier: AGPL-3.0-or-later
"""The application: `streamlit run dashboards/app.py`. Sign-in, then investigation, requisitions, operations."""

from __future__ import annotations

import streamlit as st

from dashboards import investigation, operations, requisitions
from dashboards.pictures import STYLE
from dashboards.session import client, gate_url, require_person, t


def main() -> None:
    """Draw whatever page was asked for."""
    st.set_page_config(page_title="Passage", layout="wide")
    st.html(STYLE)
    with st.sidebar:
        st.selectbox("Langue · Language", ["Français", "English"], key="language")
    gate = client()
    person = require_person(gate)
    with st.sidebar:
        st.caption(t("signed_in_as", name=person.name))
        st.link_button(t("sign_out"), f"{gate_url()}/sign-out")
        for warning in person.warnings:
            st.warning(warning)
    cameras = gate.cameras()
    continuous = [c.label for c in cameras if c.indexing == "continuous"]
    if continuous:
        st.info(t("continuous_banner", cameras=", ".join(continuous)))
    # No icons: the browser would fetch the tab's icon from outside this machine.
    pages = [
        st.Page(lambda: investigation.page(gate, cameras), title=t("investigation"), url_path="enquete"),
        st.Page(lambda: requisitions.page(gate, cameras), title=t("requisitions"), url_path="requisitions"),
        st.Page(lambda: operations.page(gate), title=t("operations"), url_path="exploitation"),
    ]
    st.navigation(pages).run()


main()
