# SPDX-License-Identifier: AGPL-3.0-or-later
"""The page of the main job: choose a requisition, then rewind, search, follow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import streamlit as st

from dashboards import follow, gallery, pictures
from dashboards.session import t
from dashboards.times import local, parse_local
from gate.client import GateClient, GateError
from gate.messages import Act, CameraInfo, GrantInfo, Interval, RequisitionInfo

ACTS: tuple[Act, ...] = ("rewind", "search", "picture", "video", "trace")


def page(gate: GateClient, cameras: Sequence[CameraInfo]) -> None:
    """Draw the page."""
    requisition = _choose(gate)
    if requisition is None:
        st.info(t("no_requisition"))
        return
    try:
        grant = _grant(gate, requisition)
    except GateError as fault:
        st.error(str(fault))
        return
    _scope(gate, requisition, cameras)
    here = [c for c in cameras if c.name in grant.cameras]
    tabs = {"rewind": t("rewind"), "search": t("search"), "follow": t("follow")}
    wanted = st.session_state.pop("go_to", None)
    if wanted is not None:
        st.session_state["tab"] = wanted
    st.session_state.setdefault("tab", "rewind")
    tab = st.segmented_control(
        t("investigation"),
        list(tabs),
        format_func=lambda k: tabs[k],
        key="tab",
        label_visibility="collapsed",
    )
    try:
        if tab == "search":
            gallery.draw(gate, grant, here)
        elif tab == "follow":
            follow.draw(gate, grant, cameras)
        else:
            _rewind(gate, grant, here)
    except GateError as fault:
        st.error(str(fault))


def _choose(gate: GateClient) -> RequisitionInfo | None:
    wanted = [r for r in gate.requisitions() if r.state == "open"]
    if not wanted:
        return None
    by_id = {r.id: r for r in wanted}
    with st.sidebar:
        chosen = st.selectbox(
            t("requisition"),
            list(by_id),
            format_func=lambda i: f"{by_id[i].reference} · {by_id[i].offence or by_id[i].purpose}",
            key="requisition",
        )
    return by_id[chosen]


def _grant(gate: GateClient, requisition: RequisitionInfo) -> GrantInfo:
    """One grant for this session and requisition, asked for again when it has expired."""
    held: dict[str, GrantInfo] = st.session_state.setdefault("grants", {})
    grant = held.get(requisition.id)
    if grant is None or grant.expires_at <= datetime.now(UTC) + timedelta(seconds=30):
        grant = held[requisition.id] = gate.grant(requisition.id, acts=ACTS)
    return grant


def _scope(gate: GateClient, requisition: RequisitionInfo, cameras: Sequence[CameraInfo]) -> None:
    labels = {c.name: c.label for c in cameras}
    with st.expander(f"{t('scope')} · {requisition.reference}"):
        st.write(f"**{t('purpose')}** : {requisition.purpose}")
        if requisition.authority is not None:
            st.write(f"**{t('authority')}** : {t('authority_' + requisition.authority)} · {requisition.authority_name}")
        st.write(f"**{t('cameras')}** : " + ", ".join(labels.get(c, c) for c in requisition.cameras))
        for interval in requisition.intervals:
            st.write(f"{t('from')} {local(interval.start)} {t('to').lower()} {local(interval.end)}")
    progress = gate.progress(requisition.id)
    if progress.state == "running" and progress.seconds_asked > 0:
        st.progress(
            min(1.0, progress.seconds_done / progress.seconds_asked), text=f"{t('indexing')} : {t('indexing_running')}"
        )
    elif progress.state == "failed":
        st.error(f"{t('indexing')} : {t('indexing_failed', message=progress.message)}")
    elif progress.state == "waiting":
        st.caption(f"{t('indexing')} : {t('indexing_waiting')}")
    else:
        st.caption(f"{t('indexing')} : {t('indexing_done', n=progress.passages)}")


def _rewind(gate: GateClient, grant: GrantInfo, cameras: Sequence[CameraInfo]) -> None:
    st.caption(t("rewind_help"))
    labels = {c.name: f"{c.label}" for c in cameras}
    start, end = grant.intervals[0].start, grant.intervals[-1].end
    camera_at, moment = st.session_state.pop("rewind_to", (None, None))
    if camera_at is not None:
        st.session_state["rewind_camera"] = camera_at
        st.session_state["rewind_time"] = local(moment)
    st.session_state.setdefault("rewind_time", local(start))
    left, middle, right = st.columns([3, 2, 2])
    camera = left.selectbox(t("camera"), list(labels), format_func=lambda n: labels[n], key="rewind_camera")
    written = middle.text_input(t("time"), key="rewind_time", help=f"{local(start)} → {local(end)}")
    length = right.select_slider(
        t("duration"), [5, 10, 20, 30, 60, 120, 300], value=20, format_func=lambda n: t("seconds", n=n)
    )
    at = parse_local(written)
    if at is None:
        st.error(f"{t('time')} : {local(start)}")
        return
    interval = Interval(at, at + timedelta(seconds=length))
    st.html(pictures.video(gate.video_url(grant.id, camera, interval)))
    st.link_button(t("save_video"), gate.video_url(grant.id, camera, interval, download=True))
    st.caption(t("hevc_note"))
