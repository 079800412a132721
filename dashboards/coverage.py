# SPDX-License-Identifier: AGPL-3.0-or-later
"""The coverage statement that goes with every answer."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from dashboards.session import t
from dashboards.times import local
from gate.messages import CoverageStatement


def statement(coverage: CoverageStatement, labels: Mapping[str, str]) -> None:
    """Draw what was asked for and what of it could not be looked at."""

    def hours(seconds: float) -> str:
        return f"{seconds / 3600:.2f}"

    line = t(
        "coverage_line",
        asked=hours(coverage.asked_s),
        recorded=hours(coverage.recorded_s),
        indexed=hours(coverage.indexed_s),
    )
    missing = [c for c in coverage.lines if c.status != "indexed"]
    with st.expander(f"{t('coverage')} — {line}", expanded=bool(missing)):
        if not missing:
            st.success(t("coverage_complete"))
            return
        st.warning(t("coverage_incomplete"))
        st.dataframe(
            [
                {
                    t("camera"): labels.get(c.camera, c.camera),
                    t("from"): local(c.started_at),
                    t("to"): local(c.ended_at),
                    t("state"): t("status_" + c.status),
                    t("why"): c.reason,
                }
                for c in missing
            ],
            hide_index=True,
        )
