# SPDX-License-Identifier: AGPL-3.0-or-later
"""Operations: processes, throughput, lag. Nothing here shows a passage."""

from __future__ import annotations

import streamlit as st

from dashboards.session import t
from dashboards.times import local
from gate.client import GateClient


def page(gate: GateClient) -> None:
    """Draw the page."""
    st.header(t("operations"))
    st.caption(t("operations_help"))
    st.button(t("refresh"))
    status = gate.operations()
    if status.at is None:
        st.info(t("no_status"))
        return
    st.caption(local(status.at))
    first, second, third = st.columns(3)
    hours = status.camera_hours_per_hour
    first.metric(t("camera_hours_per_hour"), "–" if hours is None else f"{hours:.1f}")
    rates = [p.frames_per_s for p in status.processes if p.frames_per_s is not None]
    second.metric(t("frames_per_s"), f"{sum(rates):.0f}" if rates else "–")
    lags = [p.lag_records for p in status.processes if p.lag_records is not None]
    third.metric(t("lag"), sum(lags) if lags else "–")
    st.dataframe(
        [
            {
                t("process"): p.name,
                t("state"): t("process_" + p.state),
                t("frames_per_s"): p.frames_per_s,
                t("lag"): p.lag_records,
                "": p.detail,
            }
            for p in status.processes
        ],
        hide_index=True,
    )
    if status.cameras:
        st.dataframe([{t("camera"): c, t("state"): s} for c, s in sorted(status.cameras.items())], hide_index=True)
    if status.stage_seconds:
        st.bar_chart(status.stage_seconds, horizontal=True)
