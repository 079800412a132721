# SPDX-License-Identifier: AGPL-3.0-or-later
"""Follow one vehicle: the trace as map, strip and table; each step can be accepted or rejected."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

import streamlit as st

from dashboards import handover, pictures
from dashboards.coverage import statement
from dashboards.session import forget, held, t
from dashboards.texts import SWATCHES
from dashboards.times import clock, local, percent
from dashboards.town_map import trace_deck
from gate.client import GateClient
from gate.messages import CameraInfo, Decision, GrantInfo, Trace, TraceStep

STRIP = 6


def draw(gate: GateClient, grant: GrantInfo, cameras: Sequence[CameraInfo]) -> None:
    """Draw the trace of the vehicle picked in the gallery."""
    query = st.session_state.get("query")
    if query is None or st.session_state.get("query_of") != grant.requisition:
        st.info(t("follow_none"))
        return
    trace = held("trace", (grant.id, query), lambda: gate.trace(grant.id, query))
    labels = {c.name: c.label for c in cameras}
    st.warning(t("candidates_notice"))
    left, right = st.columns([4, 5])
    deck = trace_deck(cameras, trace.steps, gate.streets())
    if deck is not None:
        with left:
            st.subheader(t("map"))
            st.pydeck_chart(deck, height=420)
    with right if deck is not None else st.container():
        st.subheader(t("table"))
        # Why each is believed stands under its picture, and in the file.
        rows = [_row(n, step, labels, clock) for n, step in enumerate(trace.steps, 1)]
        narrow = {"#": st.column_config.Column(width=30), t("probability"): st.column_config.Column(width=75)}
        shown = ["#", t("time"), t("camera"), t("probability"), t("state")]
        st.dataframe(rows, hide_index=True, column_order=shown, column_config=narrow)
        save, join = st.columns(2)
        save.download_button(
            t("download_table"), _csv(trace, labels), f"trace-{query[:8]}.csv", "text/csv", width="stretch"
        )
        asked = next(s.passage for s in trace.steps if s.passage.id == query)
        if "export" in grant.acts:
            join.button(
                t("join_trace"),
                key="join-trace",
                width="stretch",
                on_click=handover.add_passage,
                args=(grant.requisition, asked, "trace"),
            )
    st.subheader(t("strip"))
    for row in range(0, len(trace.steps), STRIP):
        columns = st.columns(STRIP)
        for column, (n, step) in zip(columns, list(enumerate(trace.steps, 1))[row : row + STRIP], strict=False):
            with column:
                _step(gate, grant, query, n, step, labels)
    if len(trace.steps) == 1:
        st.info(t("alone"))
    if trace.rejected:
        st.caption(t("set_aside"))
        for passage in trace.rejected:
            words, undo = st.columns([6, 1])
            words.write(f"{labels.get(passage.camera, passage.camera)} · {local(passage.started_at)}")
            if undo.button(t("undo"), key=f"undo-{passage.id}", width="stretch"):
                _decide(gate, grant, query, passage.id, "none")
    statement(trace.coverage, labels)


def arguments(step: TraceStep) -> str:
    """Why the step is believed, in a line."""
    parts = [t("look", p=round(step.look * 100)), t("colour_arg", p=round(step.colour * 100))]
    if step.travel_s is not None:
        parts.append(_travel(step, step.travel_s))
    parts.append(t("rivals_none") if not step.rivals else t("rivals", n=step.rivals))
    return " · ".join(parts)


def _travel(step: TraceStep, travel_s: float) -> str:
    """How long it took from the camera before, how long of it the vehicle stood, and how long others take."""
    remarks = []
    if round(step.travel_waited_s):
        remarks.append(t("travel_waited", s=round(step.travel_waited_s)))
    if step.travel_typical_s is not None:
        low, high = step.travel_typical_s
        remarks.append(t("travel_typical", a=round(low), b=round(high)))
    said = t("travel", s=round(travel_s))
    return f"{said} ({' ; '.join(remarks)})" if remarks else said


def _row(n: int, step: TraceStep, labels: dict[str, str], at: Callable[[datetime], str]) -> dict[str, object]:
    return {
        "#": n,
        t("time"): at(step.passage.started_at),
        t("camera"): labels.get(step.passage.camera, step.passage.camera),
        t("probability"): percent(step.probability),
        t("why"): arguments(step),
        t("state"): "" if step.decision == "none" else t(step.decision),
    }


def _csv(trace: Trace, labels: dict[str, str]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";")
    rows = [
        _row(n, step, labels, local) | {"UTC": step.passage.started_at.isoformat(), "id": step.passage.id}
        for n, step in enumerate(trace.steps, 1)
    ]
    if rows:
        writer.writerow(rows[0])
        writer.writerows([list(r.values()) for r in rows])
    return out.getvalue()


def _step(gate: GateClient, grant: GrantInfo, query: str, n: int, step: TraceStep, labels: dict[str, str]) -> None:
    passage = step.passage
    st.html(
        pictures.card(
            gate.picture_url(grant.id, passage.id, 0),
            f"{n}. {labels.get(passage.camera, passage.camera)}",
            [local(passage.started_at), f"{t('probability')} {percent(step.probability)}", arguments(step)],
            SWATCHES[passage.colour],
            step.probability,
        )
    )
    if step.decision == "query":
        st.caption(t("query"))
        return
    if step.decision == "accepted":
        if st.button(f"✓ {t('accepted')} · {t('undo')}", key=f"undo-{passage.id}", width="stretch"):
            _decide(gate, grant, query, passage.id, "none")
        return
    yes, no = st.columns(2)
    if yes.button(t("accept"), key=f"yes-{passage.id}", width="stretch"):
        _decide(gate, grant, query, passage.id, "accepted")
    if no.button(t("reject"), key=f"no-{passage.id}", width="stretch"):
        _decide(gate, grant, query, passage.id, "rejected")


def _decide(
    gate: GateClient, grant: GrantInfo, query: str, passage: str, verdict: Literal["accepted", "rejected", "none"]
) -> None:
    """Keep the person's word with the requisition, and draw the trace again with it."""
    gate.decide(grant.id, query, Decision(passage_id=passage, verdict=verdict))
    forget("trace")
    st.rerun()
