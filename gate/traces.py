# SPDX-License-Identifier: AGPL-3.0-or-later
"""A trace inside a permit: candidates from the store, the chain from `reid.trace`, nothing from outside the bounds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import cast

from msgspec import structs

from connectors.bounds import Bounds, Interval
from connectors.site import Site
from connectors.store import PassageRow, StoreReader
from gate.coverage import Recorded, statement
from gate.errors import Conflict
from gate.grants import Permit
from gate.messages import CoverageStatement, Trace, TraceStep
from gate.search import info, passage
from reid.errors import EmbeddingMismatch
from reid.links import learn_links
from reid.passage import Coverage
from reid.trace import Step, Verdict
from reid.trace import trace as follow

CANDIDATES = 2000
"""Passages weighed for one trace, at most."""
AROUND = (timedelta(hours=12), timedelta(hours=3), timedelta(minutes=45), timedelta(minutes=12), timedelta(minutes=3))
"""How far from the passage asked for candidates are looked for: the widest that holds no more than `CANDIDATES`."""


def trace(
    store: StoreReader, site: Site, recorded: Recorded, permit: Permit, query: str, decisions: Mapping[str, str]
) -> Trace:
    """The most probable chain of passages of the vehicle asked for; NotFound when the passage is not in reach."""
    asked = passage(store, permit, query)
    rows, around = _candidates(store, permit.bounds, asked)
    candidates = [row.passage for row in rows.values()]
    try:
        links = learn_links(candidates, site.positions_m, headings_deg=site.headings_deg)
        steps = follow(asked.passage, candidates, links, cast("Mapping[str, Verdict]", decisions))
    except EmbeddingMismatch as fault:
        raise Conflict(f"these passages were described by different models: index them again ({fault})") from fault
    covered = _narrowed(statement(permit.bounds, recorded, store), permit.bounds, asked, around)
    aside = sorted((rows[i].passage.started_at, i) for i, v in decisions.items() if v == "rejected" and i in rows)
    return Trace(
        query=query,
        steps=tuple(_told(step, rows) for step in steps),
        coverage=covered,
        rejected=tuple(info(rows[i]) for _, i in aside),
    )


def _candidates(store: StoreReader, bounds: Bounds, asked: PassageRow) -> tuple[dict[str, PassageRow], timedelta]:
    p = asked.passage
    rows: dict[str, PassageRow] = {}
    around = AROUND[0]
    for around in AROUND:
        near = bounds.meet(bounds.cameras, Interval(p.started_at - around, p.ended_at + around))
        found = store.candidates(near, p.vehicle_class, CANDIDATES + 1)
        rows = {r.passage.id: r for r in found[:CANDIDATES]}
        if len(found) <= CANDIDATES:
            break
    if asked.vehicle_id:
        for row in store.passages_of_vehicle(bounds, asked.vehicle_id):
            rows.setdefault(row.passage.id, row)
    rows[p.id] = asked
    # A passage without a description cannot be compared; the one asked for stays whatever it has.
    return {i: r for i, r in rows.items() if r.passage.embedding is not None or i == p.id}, around


def _told(step: Step, rows: Mapping[str, PassageRow]) -> TraceStep:
    return TraceStep(
        passage=info(rows[step.passage.id]),
        probability=step.probability,
        look=step.look,
        colour=step.colour,
        travel_s=step.travel_s,
        travel_waited_s=step.waited_s,
        travel_typical_s=step.typical_s,
        rivals=step.rivals,
        decision=step.decision,
    )


def _narrowed(covered: CoverageStatement, bounds: Bounds, asked: PassageRow, around: timedelta) -> CoverageStatement:
    """The same, with what of the bounds lies too far from the passage asked for."""
    p = asked.passage
    why = "so many passages that the trace looks" if around < AROUND[0] else "the trace looks"
    lines = tuple(
        Coverage(
            scope=bounds.scope,
            camera=camera,
            started_at=piece.start,
            ended_at=piece.end,
            status="doubtful",
            reason=f"{why} {around} around the one asked for and no further",
        )
        for camera in sorted(bounds.cameras)
        for interval in bounds.intervals
        for piece in _outside(interval, Interval(p.started_at - around, p.ended_at + around))
    )
    return structs.replace(covered, lines=covered.lines + lines)


def _outside(whole: Interval, near: Interval) -> list[Interval]:
    pieces = []
    if whole.start < near.start:
        pieces.append(Interval(whole.start, min(whole.end, near.start)))
    if whole.end > near.end:
        pieces.append(Interval(max(whole.start, near.end), whole.end))
    return pieces
