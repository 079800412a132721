# SPDX-License-Identifier: AGPL-3.0-or-later
"""The journal, for the auditor: who did what, when, why, on whose direction."""

from __future__ import annotations

import json

import streamlit as st

from dashboards.session import t
from dashboards.texts import TEXTS
from dashboards.times import local
from gate.client import GateClient
from gate.messages import JournalLine

MOST = 500


def page(gate: GateClient) -> None:
    """Draw the page."""
    st.header(t("journal"))
    st.caption(t("journal_help"))
    register = {r.id: f"{r.reference} · {r.offence or r.purpose}" for r in gate.requisitions()}
    first, second, third = st.columns([3, 2, 1])
    requisition = first.selectbox(
        t("requisition"), ["", *register], format_func=lambda i: register[i] if i else t("all"), key="journal_of"
    )
    person = second.text_input(t("person"), help=t("person_help"), key="journal_by")
    limit = third.selectbox(t("entries"), [100, 250, MOST], key="journal_most")
    asked = (requisition, person.strip(), limit)
    if st.session_state.get("journal_asked") != asked:
        st.session_state["journal_asked"], st.session_state["journal_before"] = asked, 0
    before = st.session_state["journal_before"]
    lines = gate.journal(requisition=requisition, person=person.strip(), limit=limit, before=before)
    older, newest, _ = st.columns([1, 1, 2])
    older.button(t("journal_older"), on_click=_before, args=(lines[-1].n if lines else 0,), disabled=len(lines) < limit)
    newest.button(t("journal_newest"), on_click=_before, args=(0,), disabled=not before)
    if not lines:
        st.info(t("journal_none"))
        return
    wide = st.column_config.TextColumn(width="medium")
    st.dataframe(
        [_row(line) for line in lines],
        hide_index=True,
        height=560,
        column_config={t("person"): wide, t("requisition"): wide, t("directed_by"): wide},
    )
    st.caption(t("journal_verify"))


def _before(n: int) -> None:
    """Look at what is older than the entry of this number; 0: at the newest."""
    st.session_state["journal_before"] = n


def _row(line: JournalLine) -> dict[str, object]:
    act = "act_" + line.act
    return {
        "n°": line.n,
        t("time"): local(line.at),
        t("act"): t(act) if act in TEXTS else line.act,
        t("phase"): t("phase_" + line.phase),
        t("person"): line.person or t("nobody"),
        t("requisition"): line.requisition,
        t("directed_by"): line.directed_by,
        t("detail"): json.dumps(line.details, ensure_ascii=False)[:400] if line.details else "",
        t("purpose"): line.purpose,
    }
