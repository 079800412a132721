# SPDX-License-Identifier: AGPL-3.0-or-later
"""Rewind: a place, a time, and the recorded video as the camera made it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import streamlit as st

from dashboards import handover, pictures
from dashboards.session import held, t
from dashboards.times import between, hours, inside, local, parse_local
from gate.client import GateClient, Invalid
from gate.messages import CameraInfo, GrantInfo, Interval

FIELDS = ("rewind_camera", "rewind_time", "rewind_length")
"""Kept while another tab or page is looked at."""
LENGTHS_S = (5, 10, 20, 30, 60, 120, 300)
STEPS_S = (-60, -10, 10, 60)


def draw(gate: GateClient, grant: GrantInfo, cameras: Sequence[CameraInfo]) -> None:
    """Draw the fields and the player."""
    st.caption(t("rewind_help"))
    labels = {c.name: c.label for c in cameras}
    camera_at, moment = st.session_state.pop("rewind_to", (None, None))
    if camera_at in labels:
        st.session_state["rewind_camera"] = camera_at
        st.session_state["rewind_time"] = local(moment)
    if st.session_state.get("rewind_of") != grant.requisition:
        # Another requisition has other hours: begin where they begin.
        st.session_state["rewind_of"] = grant.requisition
        st.session_state.setdefault("rewind_length", 20)
        if camera_at is None:
            st.session_state["rewind_time"] = local(grant.intervals[0].start)
    if st.session_state.get("rewind_camera") not in labels:
        st.session_state["rewind_camera"] = next(iter(labels), None)
    left, middle, right = st.columns([3, 2, 2])
    camera = left.selectbox(t("camera"), list(labels), format_func=lambda n: labels[n], key="rewind_camera")
    allowed = hours(grant.intervals)
    written = middle.text_input(t("time"), key="rewind_time", help=f"{t('hours')} : {allowed}")
    length = right.select_slider(t("duration"), LENGTHS_S, format_func=lambda n: t("seconds", n=n), key="rewind_length")
    for column, step in zip(st.columns([1, 1, 1, 1, 4]), STEPS_S, strict=False):
        column.button(f"{step:+d} s", key=f"step{step}", on_click=_step, args=(step,), width="stretch")
    at = parse_local(written)
    parts = inside(Interval(at, at + timedelta(seconds=length)), grant.intervals)
    if not parts:
        st.error(t("time_outside", hours=allowed))
        return
    interval = parts[0]
    covered = held("recorded", (grant.id, camera, interval), lambda: gate.coverage(grant.id, (camera,), interval))
    if not covered.recorded_s:
        # The browser's player would stay black and say nothing.
        st.warning(t("none_recorded", camera=labels[camera]))
        return
    st.html(pictures.video(gate.video_url(grant.id, camera, interval)))
    st.caption(f"{labels[camera]} · {between(interval)} · {t('hevc_note')}")
    save, join, _ = st.columns([2, 2, 3])
    save.link_button(t("save_video"), gate.video_url(grant.id, camera, interval, download=True), width="stretch")
    if "export" in grant.acts:
        join.button(
            t("join_clip"),
            key="join-clip",
            width="stretch",
            on_click=handover.add_clip,
            args=(grant.requisition, camera, interval),
        )


def draw_still(gate: GateClient, grant: GrantInfo, cameras: Sequence[CameraInfo]) -> None:
    """One recorded picture, for a basis that allows nothing that moves."""
    st.caption(t("still_help"))
    labels = {c.name: c.label for c in cameras}
    allowed = hours(grant.intervals)
    left, right = st.columns(2)
    camera = left.selectbox(t("camera"), list(labels), format_func=lambda n: labels[n], key="still_camera")
    written = right.text_input(
        t("time"), local(grant.intervals[0].start), key=f"still-{grant.requisition}", help=f"{t('hours')} : {allowed}"
    )
    at = parse_local(written)
    if not any(i.holds(at) for i in grant.intervals):
        st.error(t("time_outside", hours=allowed))
    else:
        st.html(pictures.card(gate.still_url(grant.id, camera, at), labels[camera], [local(at)]))


def _step(seconds: int) -> None:
    try:
        at = parse_local(st.session_state["rewind_time"])
    except Invalid:
        return  # told when the page is drawn
    st.session_state["rewind_time"] = local(at + timedelta(seconds=seconds))
