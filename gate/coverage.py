# SPDX-License-Identifier: AGPL-3.0-or-later
"""The coverage statement that goes with every answer: asked, recorded, indexed, and every stretch that is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

from connectors.bounds import Bounds, Interval
from connectors.store import StoreReader
from gate.messages import CoverageStatement
from gate.reasons import CLOSED
from gate.requisitions import merged
from reid.passage import Coverage

Recorded = Callable[[str, Interval], list[Interval]]
"""Which parts of a camera's interval the archive holds."""
SLIVER = timedelta(seconds=1)
"""A shorter hole is the time between two groups of pictures, not a gap."""


def statement(bounds: Bounds, recorded: Recorded, store: StoreReader | None) -> CoverageStatement:
    """What was asked for in these bounds and what of it could be looked at.

    Without a store, as for a rewind, nothing is said about indexing.
    """
    lines: list[Coverage] = []
    asked = held = indexed = timedelta()
    rows = store.coverage(bounds) if store is not None else []
    for camera in sorted(bounds.cameras):
        for interval in merged(bounds.intervals):
            asked += interval.end - interval.start
            have = _inside(recorded(camera, interval), interval)
            held += _length(have)
            for hole in _holes(have, interval):
                lines.append(_line(bounds.scope, camera, hole, "gap", "nothing was recorded"))
            if store is None:
                continue
            own = [r for r in rows if r.camera == camera]
            looked = _inside(
                (Interval(r.started_at, r.ended_at) for r in own if r.status in ("indexed", "doubtful")), interval
            )
            indexed += _length(looked)
            # Why it stays closed is told by the row itself.
            closed = [Interval(r.started_at, r.ended_at) for r in own if r.reason == CLOSED]
            for piece in have:
                for hole in _holes(_inside((*looked, *closed), piece), piece):
                    lines.append(_line(bounds.scope, camera, hole, "gap", "recorded and not indexed"))
    # What the indexing found unrecorded too is told once.
    lines += [row for row in rows if row.status != "indexed" and not any(_same(row, line) for line in lines)]
    lines.sort(key=lambda c: (c.camera, c.started_at, c.status))
    return CoverageStatement(
        asked_s=asked.total_seconds(),
        recorded_s=held.total_seconds(),
        indexed_s=indexed.total_seconds(),
        lines=tuple(lines),
    )


def _inside(pieces: Iterable[Interval], whole: Interval) -> tuple[Interval, ...]:
    return merged(tuple(p for p in (piece.meet(whole) for piece in pieces) if p is not None))


def _length(pieces: tuple[Interval, ...]) -> timedelta:
    return sum((p.end - p.start for p in pieces), timedelta())


def _holes(pieces: tuple[Interval, ...], whole: Interval) -> list[Interval]:
    holes: list[Interval] = []
    reached = whole.start
    for piece in (*pieces, None):
        until = whole.end if piece is None else piece.start
        if until - reached > SLIVER:
            holes.append(Interval(reached, until))
        if piece is not None:
            reached = max(reached, piece.end)
    return holes


def _same(row: Coverage, line: Coverage) -> bool:
    near = line.started_at - SLIVER <= row.started_at and row.ended_at <= line.ended_at + SLIVER
    return near and (row.camera, row.status, row.reason) == (line.camera, line.status, line.reason)


def _line(scope: str, camera: str, hole: Interval, status: str, reason: str) -> Coverage:
    return Coverage(
        scope=scope,
        camera=camera,
        started_at=hole.start,
        ended_at=hole.end,
        status="gap" if status == "gap" else "doubtful",
        reason=reason,
    )
