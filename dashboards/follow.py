# SPDX-License-Identifier: AGPL-3.0-or-later
"""Follow one vehicle: the trace as map, strip and table; each step can be accepted or rejected."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import streamlit as st

from dashboards import pictures
from dashboards.coverage import statement
from dashboards.session import t
from dashboards.texts import SWATCHES
from dashboards.times import local
from dashboards.town_map import trace_deck
from gate.client import GateClient
from gate.messages import CameraInfo, Decision, GrantInfo, Trace, TraceStep

STRIP = 6


def draw(gate: GateClient, grant: GrantInfo, cameras: Sequence[CameraInfo]) -> None:
    """Draw the trace of the vehicle picked in the gallery."""
    query = st.session_state.get("query")
    if query is None:
        st.info(t("follow_none"))
        return
    verdicts: dict[str, str] = st.session_state.setdefault(f"verdicts-{query}", {})
    decisions = tuple(Decision(passage_id=i, verdict=v) for i, v in sorted(verdicts.items()))  # type: ignore[arg-type]
    trace = gate.trace(grant.id, query, decisions)
    labels = {c.name: c.label for c in cameras}
    st.warning(t("candidates_notice"))
    left, right = st.columns([1, 1])
    deck = trace_deck(cameras, trace.steps, gate.streets())
    if deck is not None:
        with left:
            st.subheader(t("map"))
            st.pydeck_chart(deck, height=420)
    with right if deck is not None else st.container():
        st.subheader(t("table"))
        st.dataframe([_row(n, step, labels) for n, step in enumerate(trace.steps, 1)], hide_index=True)
        st.download_button(t("download_table"), _csv(trace, labels), f"trace-{query[:8]}.csv", "text/csv")
    st.subheader(t("strip"))
    for row in range(0, len(trace.steps), STRIP):
        columns = st.columns(STRIP)
        for column, (n, step) in zip(columns, list(enumerate(trace.steps, 1))[row : row + STRIP], strict=False):
            with column:
                _step(gate, grant, query, n, step, labels, verdicts)
    statement(trace.coverage, labels)


def arguments(step: TraceStep) -> str:
    """Why the step is believed, in a line."""
    parts = [t("look", p=round(step.look * 100)), t("colour_arg", p=round(step.colour * 100))]
    if step.travel_s is not None and step.travel_typical_s is not None:
        low, high = step.travel_typical_s
        parts.append(t("travel_typical", s=round(step.travel_s), a=round(low), b=round(high)))
    elif step.travel_s is not None:
        parts.append(t("travel", s=round(step.travel_s)))
    parts.append(t("rivals", n=step.rivals))
    return " · ".join(parts)


def _row(n: int, step: TraceStep, labels: dict[str, str]) -> dict[str, object]:
    return {
        "#": n,
        t("time"): local(step.passage.started_at),
        t("camera"): labels.get(step.passage.camera, step.passage.camera),
        t("probability"): f"{step.probability:.0%}",
        t("why"): arguments(step),
        t("state"): "" if step.decision == "none" else t(step.decision),
    }


def _csv(trace: Trace, labels: dict[str, str]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";")
    rows = [
        _row(n, step, labels) | {"UTC": step.passage.started_at.isoformat(), "id": step.passage.id}
        for n, step in enumerate(trace.steps, 1)
    ]
    if rows:
        writer.writerow(rows[0])
        writer.writerows([list(r.values()) for r in rows])
    return out.getvalue()


def _step(
    gate: GateClient,
    grant: GrantInfo,
    query: str,
    n: int,
    step: TraceStep,
    labels: dict[str, str],
    verdicts: dict[str, str],
) -> None:
    passage = step.passage
    st.html(
        pictures.card(
            gate.picture_url(grant.id, passage.id, 0),
            f"{n}. {labels.get(passage.camera, passage.camera)}",
            [local(passage.started_at), arguments(step)],
            SWATCHES[passage.colour],
            step.probability,
        )
    )
    if step.decision == "query":
        st.caption(t("query"))
        return
    if passage.id in verdicts:
        if st.button(f"{t('undo')} ({t(verdicts[passage.id])})", key=f"undo-{passage.id}", width="stretch"):
            del verdicts[passage.id]
            st.rerun()
        return
    yes, no = st.columns(2)
    if yes.button(t("accept"), key=f"yes-{passage.id}", width="stretch"):
        gate.decide(grant.id, query, Decision(passage_id=passage.id, verdict="accepted"))
        verdicts[passage.id] = "accepted"
        st.rerun()
    if no.button(t("reject"), key=f"no-{passage.id}", width="stretch"):
        gate.decide(grant.id, query, Decision(passage_id=passage.id, verdict="rejected"))
        verdicts[passage.id] = "rejected"
        st.rerun()
