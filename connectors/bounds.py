# SPDX-License-Identifier: AGPL-3.0-or-later
"""The limits inside which a reader may look; without one nothing is read."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Interval(msgspec.Struct, frozen=True, order=True):
    """A half-open stretch of capture time, `[start, end)`, aware UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        """Refuse naive or empty intervals."""
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("an interval needs aware UTC times")
        if self.end <= self.start:
            raise ValueError(f"an interval must end after it starts: {self.start} … {self.end}")

    def holds(self, at: datetime) -> bool:
        """Whether `at` lies inside."""
        return self.start <= at < self.end

    def meet(self, other: Interval) -> Interval | None:
        """What both hold, or nothing."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Interval(start, end) if start < end else None


class Bounds(msgspec.Struct, frozen=True):
    """Cameras and hours of one scope. The gate makes them from a grant; store and archive put them into every read."""

    scope: str
    cameras: frozenset[str]
    intervals: tuple[Interval, ...]
    not_before: datetime
    """Nothing captured earlier is shown, whatever the engine still holds: the retention limit now."""

    def meet(self, cameras: frozenset[str], interval: Interval) -> Bounds:
        """The part of these bounds that a request names; empty where they do not meet."""
        kept = tuple(i for i in (own.meet(interval) for own in self.intervals) if i is not None)
        return Bounds(self.scope, self.cameras & cameras, kept, self.not_before)

    @property
    def empty(self) -> bool:
        """Whether nothing can be read inside them."""
        return not self.cameras or not self.intervals
