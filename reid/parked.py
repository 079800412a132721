# SPDX-License-Identifier: AGPL-3.0-or-later
"""Standing and moving: what separates a car that waits from one that is parked, and either from one that passes.

A box trembles, shrinks when something passes in front, and grows when that leaves. A vehicle that moves takes opposite
edges of its box with it, or grows on all sides as it comes near.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reid.boxes import area
from reid.kept import Kept
from reid.passage import Box

PARKED_AFTER_S = 150.0
"""Standing longer than any light: the car is parked, and its passage ended when it stopped."""
_STARTS = 0.35
"""Travel, in units of the vehicle's smaller side, from which a standing vehicle moves."""
_GROWS = 1.35
_EVERY_EDGE = 0.1
"""How far each edge must have moved, in the smaller of both smaller sides, for its middle to say how far it went."""


def travel(a: Box, b: Box) -> float:
    """How far a vehicle went from box `a` to box `b`, in units of its smaller side; 0 when only some edges moved."""
    own = min(a[2] - a[0], a[3] - a[1])
    moved = sum(abs(v - u) > _STARTS * own for u, v in zip(a, b, strict=True))
    # Where one edge alone has moved, something hides it from that side: what is left of it is no measure.
    side = max(1.0, own if moved <= 1 else min(own, b[2] - b[0], b[3] - b[1]))
    dx = _together(b[0] - a[0], b[2] - a[2])
    dy = _together(b[1] - a[1], b[3] - a[3])
    grown = (area(b) / max(1.0, area(a))) ** 0.5
    # All four edges outwards or all four inwards: it comes or goes.
    opposed = (b[0] - a[0]) * (b[2] - a[2]) < 0 and (b[1] - a[1]) * (b[3] - a[3]) < 0
    scaled = max(grown, 1 / max(grown, 1e-6)) / _GROWS * _STARTS if opposed else 0.0
    return float(max((dx * dx + dy * dy) ** 0.5 / side, scaled if scaled >= _STARTS else 0.0, _whole(a, b)))


def _whole(a: Box, b: Box) -> float:
    """How far the middle went where every edge has moved, in the mean of both smaller sides; else 0.

    What drives away to one side shrinks towards that side: opposite edges go unlike ways, and the shorter of them says
    little. What passes in front of a vehicle does not move all four.
    """
    sides = [min(box[2] - box[0], box[3] - box[1]) for box in (a, b)]
    if min(abs(v - u) for u, v in zip(a, b, strict=True)) <= _EVERY_EDGE * min(sides):
        return 0.0
    dx, dy = (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2
    return float((dx * dx + dy * dy) ** 0.5 / max(1.0, sum(sides) / 2))


def _together(first: float, second: float) -> float:
    """The smaller of two shifts when both go the same way, else none."""
    if first * second <= 0:
        return 0.0
    return min(abs(first), abs(second))


@dataclass(slots=True)
class Stance(Kept):
    """Whether one vehicle stands, since when and where; fed with its boxes in order."""

    anchor: Box
    """Where it stood, or where it was when the present stretch of movement last advanced."""
    anchored_at: datetime
    moved: bool = False
    """Whether it ever moved."""

    def feed(self, at: datetime, box: Box) -> bool:
        """Take the next box; True when the vehicle has just moved on from its anchor."""
        if travel(self.anchor, box) < _STARTS:
            return False
        self.moved = True
        self.anchor, self.anchored_at = box, at
        return True

    def standing_s(self, at: datetime) -> float:
        """How long it has stood by now, in seconds."""
        return (at - self.anchored_at).total_seconds()

    def parked(self, at: datetime) -> bool:
        """Whether it has stood longer than any light lasts."""
        return self.standing_s(at) >= PARKED_AFTER_S
