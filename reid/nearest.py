# SPDX-License-Identifier: AGPL-3.0-or-later
"""When a vehicle was nearest to the camera: the one moment of a passage whose place is known, beside the camera.

Where a view begins or ends depends on traffic and on the detector, and views of neighbouring cameras overlap. A
vehicle that grows came towards the camera and was nearest when it left; one that shrinks was nearest when it came.
Between those moments at two cameras it drove from the one to the other, whatever the views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
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
    """Moments of closest approach of n passages, seconds of the epoch, (n,) each.

    One that stood in view, at a light or in a queue, may have stood before it came by or after: `reid.waits` tells how
    long, and how long a thing far off stands is easily mistaken. So each moment is told without the wait and with it.
    """

    came: NDArray[np.float64]
    """When it came by."""
    came_unhindered: NDArray[np.float64]
    """When it would have come by, had it not waited in view before."""
    left: NDArray[np.float64]
    """When it drove on from there."""
    left_hindered: NDArray[np.float64]
    """When it would have driven on, had it waited beside the camera for as long as it did farther off."""
    later: NDArray[np.bool_]
    """It was still coming nearer when it was last seen: the moment lies after."""
    earlier: NDArray[np.bool_]
    """It was already going away when it was first seen: the moment lies before."""
    way: NDArray[np.str_]
    """Of `Way`."""
    first_seen: NDArray[np.float64]
    last_seen: NDArray[np.float64]

    def take(self, rows: NDArray[np.int_]) -> Nearest:
        """Some of them."""
        return Nearest(*(getattr(self, f.name)[rows] for f in fields(self)))


def nearest(passages: Sequence[Passage]) -> Nearest:
    """The moments of many passages."""
    rows = [_of(p) for p in passages]
    columns = tuple(zip(*rows, strict=True)) if rows else ((),) * len(fields(Nearest))
    kinds = [np.dtype(kind) for kind in ("f8", "f8", "f8", "f8", "?", "?", "U7", "f8", "f8")]
    return Nearest(*(np.array(column, dtype=kind) for column, kind in zip(columns, kinds, strict=True)))


def nearest_s(passage: Passage) -> float:
    """When one came by, seconds of the epoch."""
    return _of(passage)[0]


def travel_s(a: Passage, b: Passage) -> float:
    """Seconds from being nearest to the one camera to being nearest to the other."""
    return _of(b)[0] - _of(a)[2]


def waited_s(a: Passage, b: Passage) -> float:
    """Of those seconds, how long it is known to have stood in view of the two."""
    came, unhindered = _of(b)[:2]
    left, hindered = _of(a)[2:4]
    return (came - unhindered) + (hindered - left)


def _of(p: Passage) -> tuple[float, float, float, float, bool, bool, Way, float, float]:
    start, end = p.started_at.timestamp(), p.ended_at.timestamp()
    waited = min(p.waited_s, end - start)
    grown = _side(p.last_box) / max(_side(p.first_box), 1e-6)
    if grown >= _GROWN:
        # Without an edge it did not leave the picture: it stands in a queue, or the recording ended.
        return end, end - waited, end, end, p.exit == "inside", False, "towards", start, end
    if grown <= 1 / _GROWN:
        return start, start, start, start + waited, False, p.entry == "inside", "away", start, end
    middle = (start + end) / 2
    return middle, middle - waited / 2, middle, middle + waited / 2, False, False, "across", start, end


def _side(box: Box) -> float:
    """The larger side: the one that an edge of the picture, cutting a leaving vehicle, shortens less."""
    return max(box[2] - box[0], box[3] - box[1])
