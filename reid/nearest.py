# SPDX-License-Identifier: AGPL-3.0-or-later
"""When a vehicle was nearest to the camera: the one moment of a passage whose place is known, beside the camera.

Where a view begins or ends depends on traffic and on the detector, and views of neighbouring cameras overlap. A
vehicle that grows came towards the camera and was nearest when it left; one that shrinks was nearest when it came.
Between those moments at two cameras it drove from the one to the other, whatever the views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from reid.passage import Box, Passage

Way = Literal["towards", "away", "across"]
"""How a vehicle passed a camera."""

_GROWN: Final = 1.3
"""Ratio of its larger sides at both ends of a passage from which a vehicle came nearer, or went away."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """Moments of closest approach of n passages."""

    at: NDArray[np.float64]
    """(n,) seconds of the epoch."""
    later: NDArray[np.bool_]
    """(n,) it was still coming nearer when it was last seen: the moment lies after `at`."""
    earlier: NDArray[np.bool_]
    """(n,) it was already going away when it was first seen: the moment lies before `at`."""

    way: NDArray[np.str_]
    """(n,) of `Way`."""

    def ways(self, rows: NDArray[np.int_]) -> NDArray[np.str_]:
        """The ways of some of them."""
        return self.way[rows]

    def take(self, rows: NDArray[np.int_]) -> Nearest:
        """Some of them."""
        return Nearest(self.at[rows], self.later[rows], self.earlier[rows], self.way[rows])


def nearest(passages: Sequence[Passage]) -> Nearest:
    """The moments of many passages."""
    at = np.zeros(len(passages))
    later = np.zeros(len(passages), dtype=bool)
    earlier = np.zeros(len(passages), dtype=bool)
    way = np.full(len(passages), "across", dtype="U7")
    for row, p in enumerate(passages):
        at[row], later[row], earlier[row], way[row] = _of(p)
    return Nearest(at, later, earlier, way)


def nearest_s(passage: Passage) -> float:
    """The moment of one passage, seconds of the epoch."""
    return _of(passage)[0]


def _of(p: Passage) -> tuple[float, bool, bool, Way]:
    start, end = p.started_at.timestamp(), p.ended_at.timestamp()
    grown = _side(p.last_box) / max(_side(p.first_box), 1e-6)
    if grown >= _GROWN:
        # Without an edge it did not leave the picture: it stands in a queue, or the recording ended.
        return end, p.exit == "inside", False, "towards"
    if grown <= 1 / _GROWN:
        return start, False, p.entry == "inside", "away"
    return (start + end) / 2, False, False, "across"


def _side(box: Box) -> float:
    """The larger side: the one that an edge of the picture, cutting a leaving vehicle, shortens less."""
    return max(box[2] - box[0], box[3] - box[1])
