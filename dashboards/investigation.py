# SPDX-License-Identifier: AGPL-3.0-or-later
"""The page of the main job: choose a requisition, then rewind, search, follow, hand over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import streamlit as st

from dashboards import follow, gallery, handover, pictures, player
from dashboards.session import said, show_fault, t
from dashboards.times import hours
from gate.client import GateClient, GateError
from gate.messages import CameraInfo, GrantInfo, RequisitionInfo

TABS = {"rewind": "rewind", "search": "search", "follow": "trace", "handover": "export"}
"""Each tab and the act it needs; a legal basis that does not allow the act does not show the tab."""


def page(gate: GateClient, cameras: Sequence[CameraInfo]) -> None:
    """Draw the page."""
    requisition = _choose(gate)
    if requisition is None:
        st.info(t("no_requisition"))
        return
    try:
        grant = _grant(gate, requisition)
    except GateError as fault:
        show_fault(fault)
        return
    _scope(gate, requisition, cameras)
    here = [c for c in cameras if c.name in grant.cameras]
    # A basis that allows none of them allows a recorded picture, and nothing that moves.
    tabs = {name: t(name) for name, act in TABS.items() if act in grant.acts} or {"still": t("still")}
    wanted = st.session_state.pop("go_to", None)
    if wanted in tabs:
        st.session_state["tab"] = wanted
        st.html(pictures.TO_THE_TOP, unsafe_allow_javascript=True)
    if st.session_state.get("tab") not in tabs:
        st.session_state["tab"] = next(iter(tabs))
    chosen = handover.count(requisition.id)
    tab = st.segmented_control(
        t("investigation"),
        list(tabs),
        format_func=lambda k: f"{tabs[k]} ({chosen})" if k == "handover" and chosen else tabs[k],
        key="tab",
        required=True,
        label_visibility="collapsed",
    )
    try:
        if tab == "search":
            gallery.draw(gate, grant, here)
        elif tab == "follow":
            follow.draw(gate, grant, cameras)
        elif tab == "handover":
            handover.draw(gate, grant, requisition, here)
        elif tab == "still":
            player.draw_still(gate, grant, here)
        else:
            player.draw(gate, grant, here)
    except GateError as fault:
        show_fault(fault)


def _choose(gate: GateClient) -> RequisitionInfo | None:
    wanted = [r for r in gate.requisitions() if r.state == "open"]
    if not wanted:
        return None
    by_id = {r.id: r for r in wanted}
    with st.sidebar:
        chosen = st.selectbox(
            t("requisition"),
            list(by_id),
            format_func=lambda i: by_id[i].reference,
            key="requisition",
        )
        st.caption(by_id[chosen].offence or by_id[chosen].purpose)
    return by_id[chosen]


def _grant(gate: GateClient, requisition: RequisitionInfo) -> GrantInfo:
    """One grant for this session, requisition and directing officer; another when it has expired or was widened."""
    with st.sidebar:
        directed_by = st.text_input(
            t("directed_by"), requisition.authority_name, help=t("directed_by_help"), key=f"directed-{requisition.id}"
        ).strip()
    held: dict[tuple[object, ...], GrantInfo] = st.session_state.setdefault("grants", {})
    key = (requisition.id, directed_by, requisition.cameras, requisition.intervals, requisition.expires_at)
    grant = held.get(key)
    if grant is None or grant.expires_at <= datetime.now(UTC) + timedelta(seconds=30):
        grant = held[key] = gate.grant(requisition.id, acts=requisition.acts, directed_by=directed_by)
    return grant


def _scope(gate: GateClient, requisition: RequisitionInfo, cameras: Sequence[CameraInfo]) -> None:
    labels = {c.name: c.label for c in cameras}
    with st.expander(f"{t('scope')} · {requisition.reference}"):
        st.write(f"**{t('purpose')}** : {requisition.purpose}")
        if requisition.authority is not None:
            st.write(f"**{t('authority')}** : {t('authority_' + requisition.authority)} · {requisition.authority_name}")
        st.write(f"**{t('cameras')}** : " + ", ".join(labels.get(c, c) for c in requisition.cameras))
        st.write(f"**{t('hours')}** : " + hours(requisition.intervals))
    if "search" not in requisition.acts:
        return
    progress = gate.progress(requisition.id)
    message = said(progress.message)
    if progress.state == "running" and progress.seconds_asked > 0:
        st.progress(
            min(1.0, progress.seconds_done / progress.seconds_asked),
            text=f"{t('indexing')} : {t('indexing_running')} {message}",
        )
    elif progress.state == "failed":
        st.error(f"{t('indexing')} : {t('indexing_failed', message=message)}")
    elif progress.state == "waiting":
        st.caption(f"{t('indexing')} : {t('indexing_waiting')} {message}")
    else:
        st.caption(f"{t('indexing')} : {t('indexing_done', n=progress.passages)}")
