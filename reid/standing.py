# SPDX-License-Identifier: AGPL-3.0-or-later
"""What stands in view and is followed by nobody: parked cars, as far as one camera has seen them stand.

A vehicle that drives past a parked car lies over it for a moment. Where it is then missed in one picture, the parked
car's box is the nearest there is, and a track that took it would stay there for as long as the car does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reid.passage import Box
from reid.suppression import iou_matrix

KNOWN_MS = 1500
"""How long something must have stood for its place to be known."""
_FORGOTTEN_MS = 700
"""How long nothing may be found at a place before it is none: a longer memory would take the next one for the last."""
_SAME = 0.8
"""Overlap from which a finding is what stood there."""


@dataclass(slots=True)
class Place:
    """Where something stands. Times in milliseconds of the camera's tracker."""

    box: Box
    since: int
    seen: int


@dataclass(slots=True)
class Standing:
    """The places of one camera. Plain values: it pickles."""

    places: list[Place] = field(default_factory=list)

    def at(self, now: int, boxes: NDArray[np.float32]) -> list[Box | None]:
        """For each box (n, 4) the place where it has stood for long enough; None where there is none."""
        known = [place.box for place in self.places if now - place.since >= KNOWN_MS]
        overlap = _overlap(boxes, known)
        if not overlap.size:
            return [None] * len(boxes)
        best = overlap.argmax(axis=1)
        return [known[n] if row[n] >= _SAME else None for n, row in zip(best, overlap, strict=True)]

    def since(self, box: Box) -> int | None:
        """Since when something has stood at a box's place; None where nothing is known to."""
        same = _overlap(np.array([box], dtype=np.float32), [place.box for place in self.places])[0]
        return min((p.since for p, overlap in zip(self.places, same, strict=True) if overlap >= _SAME), default=None)

    def keep(self, now: int, boxes: NDArray[np.float32], taken: Iterable[int]) -> None:
        """Take one frame's boxes (n, 4); what is nowhere yet and no track took (indices of those) may be standing."""
        same = _overlap(boxes, [place.box for place in self.places]) >= _SAME
        for number in np.flatnonzero(same.any(axis=0)):
            self.places[int(number)].seen = now
        owned = set(taken)
        for index in np.flatnonzero(~same.any(axis=1)):
            if int(index) not in owned:
                x1, y1, x2, y2 = boxes[index].tolist()
                self.places.append(Place((x1, y1, x2, y2), now, now))
        self.places = [place for place in self.places if now - place.seen <= _FORGOTTEN_MS]

    def rest(self, now: int) -> None:
        """Nothing moved: what stood stands."""
        for place in self.places:
            place.seen = now


def _overlap(boxes: NDArray[np.float32], places: Sequence[Box]) -> NDArray[np.float32]:
    return iou_matrix(boxes, np.array(places, dtype=np.float32).reshape(-1, 4))
