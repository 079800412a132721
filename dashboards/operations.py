# SPDX-License-Identifier: AGPL-3.0-or-later
"""Operations: processes, throughput, lag. Nothing here shows a passage."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboards.session import said, t
from dashboards.texts import TEXTS
from dashboards.times import local
from gate.client import GateClient
from gate.messages import CameraInfo


def page(gate: GateClient, cameras: Sequence[CameraInfo]) -> None:
    """Draw the page."""
    st.header(t("operations"))
    st.caption(t("operations_help"))
    st.button(t("refresh"))
    status = gate.operations()
    if status.at is None:
        st.info(t("no_status"))
        return
    st.caption(t("measured_at", at=local(status.at)))
    first, second, third, fourth = st.columns(4)
    hours = status.camera_hours_per_hour
    first.metric(t("camera_hours_per_hour"), "–" if hours is None else f"{hours:.1f}", help=t("camera_hours_help"))
    rates = [p.frames_per_s for p in status.processes if p.frames_per_s is not None]
    second.metric(t("frames_per_s"), f"{sum(rates):.0f}" if rates else "–")
    lags = [p.lag_s for p in status.processes if p.lag_s is not None]
    third.metric(t("lag"), _seconds(max(lags)) if lags else "–")
    free = status.disk_free_bytes
    fourth.metric(t("disk_free"), "–" if free is None else t("gigabytes", n=f"{free / 1e9:.0f}"))
    if status.cameras:
        st.subheader(t("cameras"))
        labels = {c.name: c.label for c in cameras}
        st.dataframe(
            [
                {
                    t("camera"): labels.get(name, name),
                    t("state"): _camera_state(word),
                    t("detail"): said(status.camera_reasons.get(name, "")),
                }
                for name, word in sorted(status.cameras.items())
            ],
            hide_index=True,
        )
    st.subheader(t("processes"))
    st.dataframe(
        [
            {
                t("process"): p.name,
                t("state"): t("process_" + p.state),
                t("frames_per_s"): "" if p.frames_per_s is None else f"{p.frames_per_s:.1f}",
                t("lag"): "" if p.lag_s is None else _seconds(p.lag_s),
                t("detail"): said(p.detail),
            }
            for p in status.processes
        ],
        hide_index=True,
    )
    if status.stage_seconds:
        st.subheader(t("stage_seconds"))
        st.bar_chart(status.stage_seconds, horizontal=True, y_label="", x_label=t("seconds_label"))


def _seconds(lag_s: float) -> str:
    return t("seconds", n=f"{lag_s:.1f}")


def _camera_state(word: str) -> str:
    """What the observer says of a camera, in the page's language; what is wrong is shown as it was said."""
    key = "camera_" + word.replace(" ", "_")
    return t(key) if key in TEXTS else word
