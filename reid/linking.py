# SPDX-License-Identifier: AGPL-3.0-or-later
"""The running state of vehicle ids in one scope: passages of the last while, and which vehicle each was given.

Continuous: whenever half a minute of capture time has passed, the last quarter of an hour is looked at again, and what
came later than that, as from an index process that is behind, in a window about its own time. For an order: once every
interval has ended, window after window from the first to the last. Words already given may be corrected; the latest
holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from reid.association import MODEL, associate
from reid.passage import Passage, VehicleLink

WINDOW_S = 900.0
_STEP_S = 450.0
_CADENCE_S = 30.0
_LATEST_S = 3600.0
"""Passages of a camera that is further behind are linked too, but nothing is held longer for them."""


@dataclass(slots=True)
class Linking:
    """State of one scope. Plain values: it pickles."""

    scope: str
    passages: dict[str, Passage] = field(default_factory=dict)
    vehicles: dict[str, str] = field(default_factory=dict)
    newest: datetime | None = None
    decided_to: datetime | None = None
    fresh: set[str] = field(default_factory=set)
    """Passages taken since it was last decided: none is forgotten before it was in a window."""
    late: dict[str, tuple[float, datetime]] = field(default_factory=dict)
    """Camera → how many seconds its latest passage was behind the newest of all, and the time of that one."""
    ended: set[tuple[str, datetime]] = field(default_factory=set)

    def __setstate__(self, state: tuple[None, dict[str, Any]]) -> None:
        """From a snapshot of `flows.link`, also from one made before some field was there."""
        self.__init__(**state[1])  # type: ignore[misc]

    def take(
        self,
        passage: Passage,
        positions_m: Mapping[str, tuple[float, float]],
        headings_deg: Mapping[str, float] | None = None,
        *,
        continuous: bool,
    ) -> list[VehicleLink]:
        """Take a passage; links where it is time to decide."""
        self.passages[passage.id] = msgspec.structs.replace(passage, views=())
        self.newest = max(self.newest or passage.ended_at, passage.ended_at)
        if not continuous:
            return []
        self.fresh.add(passage.id)
        self.late[passage.camera] = ((self.newest - passage.ended_at).total_seconds(), self.newest)
        if self.decided_to is None:
            self.decided_to = passage.started_at
        if (self.newest - self.decided_to).total_seconds() < _CADENCE_S:
            return []
        self._forget(self.newest - timedelta(seconds=WINDOW_S + self._behind_s()))
        links: dict[str, VehicleLink] = {}
        for window in self._windows():
            links |= {link.passage_id: link for link in self._decide(window, positions_m, headings_deg)}
        self.fresh.clear()
        return list(links.values())

    def _windows(self) -> list[list[Passage]]:
        """Windows, by time, that hold every fresh passage, with what came until half a window after it."""
        held = sorted(self.passages.values(), key=lambda p: (p.ended_at, p.id))
        left = [p for p in held if p.id in self.fresh]
        windows: list[list[Passage]] = []
        while left:
            until = min(held[-1].ended_at, left[-1].ended_at + timedelta(seconds=_STEP_S))
            begin = until - timedelta(seconds=WINDOW_S)
            windows.append([p for p in held if begin <= p.ended_at <= until])
            left = [p for p in left if p.ended_at < begin]
        return windows[::-1]

    def _behind_s(self) -> float:
        """How much longer passages are held for cameras that are behind, unless they gave nothing for a while."""
        assert self.newest is not None  # noqa: S101
        since = self.newest - timedelta(seconds=WINDOW_S)
        self.late = {camera: (late_s, at) for camera, (late_s, at) in self.late.items() if at >= since}
        return max((late_s for late_s, _ in self.late.values() if _STEP_S < late_s <= _LATEST_S), default=0.0)

    def end(
        self,
        camera: str,
        started_at: datetime,
        expected: frozenset[tuple[str, datetime]],
        positions_m: Mapping[str, tuple[float, float]],
        headings_deg: Mapping[str, float] | None = None,
    ) -> list[VehicleLink]:
        """Take the end of one camera's interval; the links of all once those expected have ended."""
        self.ended.add((camera, started_at))
        if not expected <= self.ended or (camera, started_at) not in expected or not self.passages:
            return []
        ordered = sorted(self.passages.values(), key=lambda p: (p.started_at, p.id))
        links: dict[str, VehicleLink] = {}
        begin = ordered[0].started_at
        while begin <= ordered[-1].started_at:
            until = begin + timedelta(seconds=WINDOW_S)
            window = [p for p in ordered if begin <= p.started_at < until]
            links |= {link.passage_id: link for link in self._decide(window, positions_m, headings_deg)}
            begin += timedelta(seconds=_STEP_S)
        return list(links.values())

    def _decide(
        self,
        window: list[Passage],
        positions_m: Mapping[str, tuple[float, float]],
        headings_deg: Mapping[str, float] | None,
    ) -> list[VehicleLink]:
        """Give ids within a window; passages whose detector differs from the newest one's are left alone."""
        if not window or self.newest is None:
            return []
        self.decided_to = self.newest
        latest = max(window, key=lambda p: (p.ended_at, p.id))
        alike = [p for p in window if _model(p) in (None, _model(latest))]
        started = {p.id: p.started_at for p in alike}
        given = associate(alike, positions_m, self.vehicles, headings_deg=headings_deg)
        self.vehicles |= {a.passage_id: a.vehicle_id for a in given}
        return [
            VehicleLink(
                scope=self.scope,
                passage_id=a.passage_id,
                vehicle_id=a.vehicle_id,
                started_at=started[a.passage_id],
                probability=a.probability,
                model=MODEL,
                decided_at=self.newest,
            )
            for a in given
        ]

    def _forget(self, before: datetime) -> None:
        self.passages = {i: p for i, p in self.passages.items() if p.ended_at >= before or i in self.fresh}
        self.vehicles = {i: v for i, v in self.vehicles.items() if i in self.passages}


def _model(passage: Passage) -> str | None:
    return None if passage.embedding is None else passage.embedding.model
