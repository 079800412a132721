# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a store of passages does.

`clickhouse.py` is the real one, `memory_store.py` its twin; one contract tests both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final, Protocol

import msgspec

from connectors.bounds import Bounds
from reid.passage import Coverage, Passage, Track, VehicleLink

CONFUSED: Final[Mapping[str, frozenset[str]]] = {
    "car": frozenset({"car", "van"}),
    "van": frozenset({"car", "van", "truck"}),
    "truck": frozenset({"van", "truck", "bus"}),
    "bus": frozenset({"truck", "bus"}),
    "motorcycle": frozenset({"motorcycle"}),
}
"""Classes that detectors take for one another from another angle; a trace looks among all of them."""


def confused_with(vehicle_class: str) -> frozenset[str]:
    """The class itself and those it is taken for."""
    return CONFUSED.get(vehicle_class, frozenset({vehicle_class}))


class PassageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a search asks for, besides its bounds."""

    classes: frozenset[str] = frozenset()
    """Empty: every class."""
    colours: frozenset[str] = frozenset()
    """Empty: every colour; else a passage counts by its summed share of these colours."""
    colour_share: float = 0.35
    """The least summed share of `colours`."""
    limit: int = 24
    offset: int = 0


class PassageRow(msgspec.Struct, frozen=True, kw_only=True):
    """A passage as the store gives it back, with the vehicle it was linked to."""

    passage: Passage
    """Views carry references only."""
    vehicle_id: str = ""
    colour_match: float = 1.0
    """Summed share of the colours asked for."""


class StoreWriter(Protocol):
    """The indexer's side: it inserts and can read nothing back. Inserting a row again changes nothing."""

    def insert_passages(self, passages: Sequence[Passage]) -> None:
        """Insert or replace by id."""

    def insert_tracks(self, tracks: Sequence[Track]) -> None:
        """Insert or replace by passage id."""

    def insert_coverage(self, coverage: Sequence[Coverage]) -> None:
        """Insert or replace by (scope, camera, started_at)."""

    def insert_links(self, links: Sequence[VehicleLink]) -> None:
        """Insert; the link of a passage with the newest `decided_at` wins."""


class StoreReader(Protocol):
    """The gate's side: every read is inside `Bounds`, in the SQL itself."""

    def passages(self, bounds: Bounds, query: PassageQuery) -> list[PassageRow]:
        """Best colour match first, then by time."""

    def count(self, bounds: Bounds, query: PassageQuery) -> int:
        """How many passages the query has in all."""

    def passage(self, bounds: Bounds, passage_id: str) -> PassageRow | None:
        """One passage with its embedding, if it lies inside."""

    def passages_of_vehicle(self, bounds: Bounds, vehicle_id: str) -> list[PassageRow]:
        """Every passage linked to one vehicle, in time order, with embeddings."""

    def candidates(self, bounds: Bounds, vehicle_class: str, limit: int) -> list[PassageRow]:
        """Passages that may be of one vehicle of this class (or one it is confused with), with embeddings."""

    def tracks(self, bounds: Bounds, passage_ids: Sequence[str]) -> list[Track]:
        """Their paths in the picture."""

    def coverage(self, bounds: Bounds) -> list[Coverage]:
        """Coverage rows that touch the bounds."""

    def throughput(self) -> dict[str, float]:
        """Counts for operations, free of any passage: rows per table, newest `ended_at` age in seconds."""


class StoreKeeper(Protocol):
    """Migrations and erasure; no reading of passages."""

    def migrate(self) -> list[str]:
        """Apply the numbered migrations not yet applied; their names."""

    def erase_scope(self, scope: str) -> None:
        """Drop every partition of one scope, and return when no byte of it is left in active or inactive parts."""

    def erase_before(self, moment: datetime) -> None:
        """Drop what was captured before `moment`, whatever its scope."""

    def oldest(self) -> datetime | None:
        """Capture time of the oldest row still held in any part."""

    def engine_logs(self) -> dict[str, date]:
        """The engine's own logs of what was asked for (cameras and times, in clear): name → day of the oldest line."""

    def hold_ageing(self) -> None:
        """The clock is suspect: drop nothing by age of the store's own accord until `resume_ageing`."""

    def resume_ageing(self) -> None:
        """A person has confirmed the clock."""
