# SPDX-License-Identifier: AGPL-3.0-or-later
"""The indexer's side of the store: columnar inserts that may be repeated."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from operator import methodcaller
from typing import TypeVar

import pyarrow as pa

from connectors.clickhouse_client import StoreConnection
from connectors.clickhouse_rows import coverage_columns, link_columns, passage_columns, track_columns
from connectors.errors import StoreUnavailable
from reid.passage import Coverage, Passage, Track, VehicleLink

T = TypeVar("T")


class ClickHouseWriter:
    """Inserts in columns of Arrow. A store that does not answer is tried again with growing pauses.

    An insert that broke off may have been taken: it is sent again whole, and replaces itself.

    Args:
        connection: as the indexer.
        batch: rows in one insert.
        patience_s: how long one insert is tried before StoreUnavailable goes to the caller.
        pause: waits so many seconds; injected by tests.
        clock: seconds that only grow; injected by tests.

    Raises:
        StoreUnavailable: after `patience_s`.
        StoreRefused: a wrong secret, or not the indexer's.
        RowRefused: a message that cannot lie in the store.
    """

    def __init__(
        self,
        connection: StoreConnection,
        batch: int = 20_000,
        patience_s: float = 60.0,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._batch = batch
        self._patience_s = patience_s
        self._pause = pause
        self._clock = clock

    def insert_passages(self, passages: Sequence[Passage]) -> None:
        """Insert or replace by id. Views carry references only."""
        self._insert("passages", passages, passage_columns)

    def insert_tracks(self, tracks: Sequence[Track]) -> None:
        """Insert or replace by passage id."""
        self._insert("tracks", tracks, track_columns)

    def insert_coverage(self, coverage: Sequence[Coverage]) -> None:
        """Insert or replace by (scope, camera, started_at)."""
        self._insert("coverage", coverage, coverage_columns)

    def insert_links(self, links: Sequence[VehicleLink]) -> None:
        """Insert; of one passage the newest `decided_at` wins."""
        self._insert("vehicle_links", links, link_columns)

    def close(self) -> None:
        """Close the connection of this thread."""
        self._connection.close()

    def _insert(self, table: str, messages: Sequence[T], columns: Callable[[Sequence[T]], pa.Table]) -> None:
        for at in range(0, len(messages), self._batch):
            rows = columns(messages[at : at + self._batch])
            self._patiently(partial(self._connection.run, methodcaller("insert_arrow", table, rows)))

    def _patiently(self, act: Callable[[], object]) -> None:
        end = self._clock() + self._patience_s
        wait = 0.2
        while True:
            try:
                act()
                return
            except StoreUnavailable:
                if self._clock() + wait > end:
                    raise
            self._pause(wait * random.uniform(0.7, 1.0))  # noqa: S311 (spreads retries, hides nothing)
            wait = min(wait * 2, 10.0)
