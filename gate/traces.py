# SPDX-License-Identifier: AGPL-3.0-or-later
"""A trace inside a permit: candidates from the store, the chain from `reid.trace`, nothing from outside the bounds."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.store import PassageRow, StoreReader
from gate.coverage import Recorded, statement
from gate.errors import Unavailable
from gate.grants import Permit
from gate.messages import Trace, TraceStep
from gate.search import passage

CANDIDATES = 2000
"""Passages weighed for one trace."""


def trace(store: StoreReader, recorded: Recorded, permit: Permit, query: str, decisions: Mapping[str, str]) -> Trace:
    """The most probable chain of passages of the vehicle asked for; NotFound when the passage is not in reach."""
    asked = passage(store, permit, query)
    rows = {r.passage.id: r for r in store.candidates(permit.bounds, asked.passage.vehicle_class, CANDIDATES)}
    if asked.vehicle_id:
        for row in store.passages_of_vehicle(permit.bounds, asked.vehicle_id):
            rows.setdefault(row.passage.id, row)
    rows[query] = asked
    steps = chain(asked, rows, decisions)
    return Trace(query=query, steps=steps, coverage=statement(permit.bounds, recorded, store))


def chain(asked: PassageRow, rows: Mapping[str, PassageRow], decisions: Mapping[str, str]) -> tuple[TraceStep, ...]:
    """The chain."""
    raise Unavailable("not built in yet")
