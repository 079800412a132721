# SPDX-License-Identifier: AGPL-3.0-or-later
"""The application: `streamlit run dashboards/app.py`. Sign-in, then the pages that the person's duties need."""

from __future__ import annotations

import streamlit as st

from dashboards import bilan, handover, investigation, journal, operations, player, requisitions
from dashboards.pictures import STYLE
from dashboards.session import client, keep, own_password_url, require_person, show_fault, sign_in, t, warning_text
from dashboards.times import use_zone_of
from gate.client import GateClient, GateError, SignedOut
from gate.messages import CameraInfo, Whoami


def main() -> None:
    """Draw whatever page was asked for."""
    st.set_page_config(page_title="Passage", layout="wide")
    st.html(STYLE)
    with st.sidebar:
        st.selectbox("Langue · Language", ["Français", "English"], key="language")
    keep(*player.FIELDS, *handover.fields())
    gate = client()
    person = require_person(gate)
    use_zone_of(person)
    _who(gate, person)
    try:
        cameras = gate.cameras()
        continuous = [c for c in cameras if c.indexing == "continuous"]
        if continuous:
            labels = ", ".join(c.label for c in continuous)
            st.info(t("continuous_banner", cameras=labels, basis=continuous[0].continuous_basis))
        st.navigation(_pages(gate, person, cameras)).run()
    except SignedOut:
        sign_in()
    except GateError as fault:
        show_fault(fault)


def _pages(gate: GateClient, person: Whoami, cameras: tuple[CameraInfo, ...]) -> list[st.Page]:
    """What this person's duties need and nothing else; the gate asks for them again at every act."""
    # No icons: the browser would fetch the tab's icon from outside this machine.
    pages = []
    if "operate" in person.duties:
        pages.append(st.Page(lambda: investigation.page(gate, cameras), title=t("investigation"), url_path="enquete"))
    if "read_register" in person.duties:
        pages.append(
            st.Page(lambda: requisitions.page(gate, person, cameras), title=t("requisitions"), url_path="requisitions")
        )
    if "read_journal" in person.duties:
        pages.append(st.Page(lambda: journal.page(gate), title=t("journal"), url_path="journal"))
    if "read_bilan" in person.duties:
        pages.append(st.Page(lambda: bilan.page(gate, cameras), title=t("bilan"), url_path="bilan"))
    return [*pages, st.Page(lambda: operations.page(gate, cameras), title=t("operations"), url_path="exploitation")]


def _who(gate: GateClient, person: Whoami) -> None:
    with st.sidebar:
        roles = ", ".join(t("role_" + role) for role in person.roles)
        st.caption(f"{person.site}  \n{t('signed_in_as', name=person.name)}  \n{roles}")
        if st.button(t("sign_out"), width="stretch"):
            try:
                gate.sign_out()
            except GateError:
                pass  # it has ended already
            st.session_state.clear()
            st.rerun()
        st.link_button(t("own_password"), own_password_url(gate), width="stretch", help=t("own_password_help"))
        for warning in person.warnings:
            st.warning(warning_text(warning))


main()
