# SPDX-License-Identifier: AGPL-3.0-or-later
"""What failed and is tried again: after 10 s, then each time after twice as long, an hour at most.

Each try has its entries in the journal, and what a full disk or a store that is away keeps from being done may stay so
for days. Kept in memory: a process that starts tries at once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

FIRST = timedelta(seconds=10)
LONGEST = timedelta(hours=1)


class _Failure(NamedTuple):
    at: datetime
    wait: timedelta
    why: str


class Retries:
    """Remembers failures by name."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._failures: dict[str, _Failure] = {}

    def due(self, name: str) -> bool:
        """Whether it may be tried now: it never failed, or it has waited. A clock set back makes nothing wait."""
        failure = self._failures.get(name)
        return failure is None or not timedelta() <= self._clock() - failure.at < failure.wait

    def failed(self, name: str, why: str) -> None:
        """It failed now, with this sentence."""
        before = self._failures.get(name)
        wait = FIRST if before is None else min(2 * before.wait, LONGEST)
        self._failures[name] = _Failure(self._clock(), wait, why)

    def done(self, name: str) -> None:
        """It is done: nothing is said of it any more."""
        self._failures.pop(name, None)

    def why(self, name: str) -> str:
        """What its last failure said; empty where it did not fail."""
        failure = self._failures.get(name)
        return "" if failure is None else failure.why
