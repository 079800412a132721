# SPDX-License-Identifier: AGPL-3.0-or-later
"""The store's twin in memory: the same behaviour, held by the same contract tests; for tests of everything above it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

import msgspec

from connectors.bounds import Bounds
from connectors.clickhouse_migrations import check_retention
from connectors.clickhouse_rows import coverage_columns, link_columns, passage_columns, track_columns
from connectors.store import PassageQuery, PassageRow, confused_with
from reid.passage import COLOURS, Coverage, Passage, Track, VehicleLink


class MemoryStore:
    """Writer, reader and keeper in one; exact where the real store rounds.

    Messages that the real store would refuse are refused here (RowRefused), by the same code.
    """

    def __init__(self, retention_days: int = 30) -> None:
        check_retention(retention_days)
        self._lock = threading.Lock()
        self._passages: dict[tuple[str, str], Passage] = {}
        self._tracks: dict[tuple[str, str], Track] = {}
        self._coverage: dict[tuple[str, str, datetime], Coverage] = {}
        self._links: dict[tuple[str, str], VehicleLink] = {}
        self._migrated = False
        self.ageing_held = False

    def insert_passages(self, passages: Sequence[Passage]) -> None:
        """Insert or replace by id."""
        passage_columns(passages)
        with self._lock:
            self._passages |= {(p.scope, p.id): p for p in passages}

    def insert_tracks(self, tracks: Sequence[Track]) -> None:
        """Insert or replace by passage id."""
        track_columns(tracks)
        with self._lock:
            self._tracks |= {(t.scope, t.passage_id): t for t in tracks}

    def insert_coverage(self, coverage: Sequence[Coverage]) -> None:
        """Insert or replace by (scope, camera, started_at)."""
        coverage_columns(coverage)
        with self._lock:
            self._coverage |= {(c.scope, c.camera, c.started_at): c for c in coverage}

    def insert_links(self, links: Sequence[VehicleLink]) -> None:
        """Insert; of one passage the newest `decided_at` wins."""
        link_columns(links)
        with self._lock:
            for link in links:
                key = (link.scope, link.passage_id)
                if key not in self._links or self._links[key].decided_at <= link.decided_at:
                    self._links[key] = link

    def passages(self, bounds: Bounds, query: PassageQuery) -> list[PassageRow]:
        """Best colour match first, then by time; without embeddings."""
        found = [
            PassageRow(
                passage=msgspec.structs.replace(p, embedding=None),
                vehicle_id=self._vehicle(bounds, p),
                colour_match=match,
            )
            for p, match in self._found(bounds, query)
        ]
        found.sort(key=lambda r: (-r.colour_match, r.passage.started_at, r.passage.id))
        return found[query.offset : query.offset + max(query.limit, 0)]

    def count(self, bounds: Bounds, query: PassageQuery) -> int:
        """How many passages the query has in all."""
        return len(self._found(bounds, query))

    def passage(self, bounds: Bounds, passage_id: str) -> PassageRow | None:
        """One passage with its embedding, if it lies inside."""
        found = [p for p in self._inside(bounds) if p.id == passage_id]
        return self._row(bounds, found[0]) if found else None

    def passages_of_vehicle(self, bounds: Bounds, vehicle_id: str) -> list[PassageRow]:
        """Every passage linked to one vehicle, in time order, with embeddings."""
        rows = [self._row(bounds, p) for p in self._inside(bounds)]
        return [r for r in rows if vehicle_id and r.vehicle_id == vehicle_id]

    def candidates(self, bounds: Bounds, vehicle_class: str, limit: int) -> list[PassageRow]:
        """Passages of this class or one it is confused with, in time order, with embeddings."""
        classes = confused_with(vehicle_class)
        found = [p for p in self._inside(bounds) if p.vehicle_class in classes]
        return [self._row(bounds, p) for p in found[: max(limit, 0)]]

    def tracks(self, bounds: Bounds, passage_ids: Sequence[str]) -> list[Track]:
        """Their paths in the picture, in time order."""
        with self._lock:
            kept = [
                t
                for t in self._tracks.values()
                if t.passage_id in set(passage_ids)
                and _within(bounds, t.scope, t.camera, t.sightings[0].at, t.sightings[-1].at)
            ]
        return sorted(kept, key=lambda t: (t.sightings[0].at, t.passage_id))

    def coverage(self, bounds: Bounds) -> list[Coverage]:
        """Coverage rows that touch the bounds, by camera and time."""
        with self._lock:
            kept = [
                c
                for c in self._coverage.values()
                if c.scope == bounds.scope
                and c.camera in bounds.cameras
                and c.ended_at > bounds.not_before
                and any(c.started_at < i.end and c.ended_at > i.start for i in bounds.intervals)
            ]
        return sorted(kept, key=lambda c: (c.camera, c.started_at))

    def throughput(self) -> dict[str, float]:
        """`<table>` → rows held, and `newest_passage_age_s` when there is one."""
        with self._lock:
            counts = {
                "passages": float(len(self._passages)),
                "tracks": float(len(self._tracks)),
                "coverage": float(len(self._coverage)),
                "vehicle_links": float(len(self._links)),
            }
            if self._passages:
                newest = max(p.ended_at for p in self._passages.values())
                counts["newest_passage_age_s"] = (datetime.now(UTC) - newest).total_seconds()
        return counts

    def migrate(self) -> list[str]:
        """Nothing to migrate but once."""
        applied = [] if self._migrated else ["memory"]
        self._migrated = True
        return applied

    def erase_scope(self, scope: str) -> None:
        """Drop one scope."""
        self._keep(lambda s, _: s != scope)

    def erase_before(self, moment: datetime) -> None:
        """Drop what was captured before `moment`."""
        if moment.tzinfo is None:
            raise ValueError("moment must be aware")
        self._keep(lambda _, at: at >= moment)

    def oldest(self) -> datetime | None:
        """Capture time of the oldest row held, to the second below."""
        with self._lock:
            times = [
                *(p.started_at for p in self._passages.values()),
                *(t.sightings[0].at for t in self._tracks.values()),
                *(c.started_at for c in self._coverage.values()),
                *(link.started_at for link in self._links.values()),
            ]
        return min(times).astimezone(UTC).replace(microsecond=0) if times else None

    def engine_logs(self) -> dict[str, date]:
        """The twin keeps none."""
        return {}

    def hold_ageing(self) -> None:
        """The twin drops nothing of its own accord; it remembers what it was told."""
        self.ageing_held = True

    def resume_ageing(self) -> None:
        """A person has confirmed the clock."""
        self.ageing_held = False

    def close(self) -> None:
        """Nothing to close."""

    def _keep(self, wanted: Callable[[str, datetime], bool]) -> None:
        with self._lock:
            self._passages = {k: p for k, p in self._passages.items() if wanted(p.scope, p.started_at)}
            self._tracks = {k: t for k, t in self._tracks.items() if wanted(t.scope, t.sightings[0].at)}
            self._coverage = {k: c for k, c in self._coverage.items() if wanted(c.scope, c.started_at)}
            self._links = {k: link for k, link in self._links.items() if wanted(link.scope, link.started_at)}

    def _inside(self, bounds: Bounds) -> list[Passage]:
        with self._lock:
            kept = [p for p in self._passages.values() if _within(bounds, p.scope, p.camera, p.started_at, p.ended_at)]
        return sorted(kept, key=lambda p: (p.started_at, p.id))

    def _found(self, bounds: Bounds, query: PassageQuery) -> list[tuple[Passage, float]]:
        found = []
        for p in self._inside(bounds):
            if query.classes and p.vehicle_class not in query.classes:
                continue
            match = 1.0
            if query.colours:
                match = sum(share for name, share in zip(COLOURS, p.colours, strict=True) if name in query.colours)
                if match < query.colour_share:
                    continue
            found.append((p, match))
        return found

    def _vehicle(self, bounds: Bounds, passage: Passage) -> str:
        with self._lock:
            link = self._links.get((passage.scope, passage.id))
        if link is None or link.started_at < bounds.not_before:
            return ""
        return link.vehicle_id if any(i.holds(link.started_at) for i in bounds.intervals) else ""

    def _row(self, bounds: Bounds, passage: Passage) -> PassageRow:
        return PassageRow(passage=passage, vehicle_id=self._vehicle(bounds, passage))


def _within(bounds: Bounds, scope: str, camera: str, start: datetime, end: datetime) -> bool:
    return (
        scope == bounds.scope
        and camera in bounds.cameras
        and start >= bounds.not_before
        and any(i.start <= start and end < i.end for i in bounds.intervals)
    )
