# SPDX-License-Identifier: AGPL-3.0-or-later
"""Clips kept in memory while somebody plays them: the only clear video that outlives the request it was made for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta

from connectors.bounds import Interval
from gate.grants import Permit

KEPT_BYTES = 256_000_000
"""Clips kept in memory for the range requests of players."""
Key = tuple[str, frozenset[str], Interval | None]
"""A grant, and the camera and the interval of a clip."""


class Clips:
    """Clips in memory for the range requests that a player makes; each is made again after a while."""

    def __init__(self, clock: Callable[[], datetime], keep: timedelta = timedelta(minutes=10)) -> None:
        self._clock = clock
        self._keep = keep
        self._held: OrderedDict[Key, tuple[datetime, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, permit: Permit) -> bytes | None:
        """The clip of this very permit's grant, camera and interval."""
        self.drop_old()
        with self._lock:
            found = self._held.get(self._key(permit))
            return found[1] if found is not None else None

    def put(self, permit: Permit, data: bytes) -> None:
        """Keep it for the ranges to come."""
        with self._lock:
            self._held[self._key(permit)] = (self._clock(), data)
            while len(self._held) > 1 and sum(len(d) for _, d in self._held.values()) > KEPT_BYTES:
                self._held.popitem(last=False)

    def forget(self) -> None:
        """Drop all, as when a requisition closes."""
        with self._lock:
            self._held.clear()

    def drop_old(self) -> None:
        """Drop those made too long ago; the gate's round does it too, for clear video that nobody plays any more."""
        limit = self._clock() - self._keep
        with self._lock:
            for key in [k for k, (at, _) in self._held.items() if at < limit]:
                del self._held[key]

    @staticmethod
    def _key(permit: Permit) -> Key:
        return permit.id, permit.cameras, permit.interval
