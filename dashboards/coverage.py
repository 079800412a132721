# SPDX-License-Identifier: AGPL-3.0-or-later
"""The coverage statement that goes with every answer."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from dashboards.session import language, t
from dashboards.times import duration, local
from gate.client import recognised
from gate.messages import CoverageStatement


def reason_text(reason: str) -> str:
    """Why something could not be looked at, in the page's language; what a camera or a fault said stays as it is."""
    kind, named = recognised(reason)
    return t("reason_" + kind, **named) if kind and language() == "fr" else reason


def statement(coverage: CoverageStatement, labels: Mapping[str, str]) -> None:
    """Draw what was asked for and what of it could not be looked at."""
    line = t(
        "coverage_line",
        asked=duration(coverage.asked_s / 3600),
        recorded=duration(coverage.recorded_s / 3600),
        indexed=duration(coverage.indexed_s / 3600),
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
                    t("reason"): reason_text(c.reason),
                }
                for c in missing
            ],
            hide_index=True,
        )
