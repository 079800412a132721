# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether what is followed drives out of the picture, and what it cannot be that is found there next.

What comes in by an edge appears where another left it a moment ago, and lies nearer to it than to anything else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid.boxes import edges_touched, side
from reid.passage import Box

_OUTWARD: Final = 0.5
"""Share of its speed with which something must head for an edge that it touches to be leaving by it."""
_BACK: Final = 0.25
"""How far behind where it should be, in roots of its box's area, what leaves by an edge is not found."""


def edges_crossed(box: Box, velocity: ArrayLike, size_px: tuple[int, int]) -> list[int]:
    """The edges that a box touches and heads for: 0 left, 1 top, 2 right, 3 bottom, as the columns of a box.

    Args:
        box: where it is.
        velocity: of its middle, x and y, in any unit.
        size_px: width and height of the picture; (0, 0) knows no edge.
    """
    if size_px == (0, 0):
        return []
    dx, dy = np.asarray(velocity, dtype=float)
    least = _OUTWARD * float(np.hypot(dx, dy))
    outward = (-dx, -dy, dx, dy)
    return [
        edge
        for edge, there in enumerate(edges_touched(box, size_px))
        if there and outward[edge] > 0 and outward[edge] >= least
    ]


def come_back(boxes: NDArray[np.float32], box: Box, edges: Iterable[int]) -> NDArray[np.bool_]:
    """Which boxes (n, 4) would have what leaves turn round at an edge: they are of what comes in there.

    Args:
        boxes: what is found.
        box: where what leaves should be now.
        edges: those that it crosses.
    """
    back = np.zeros(len(boxes), dtype=bool)
    for edge in edges:
        # The side away from the edge: the one at the edge is held there.
        inner = (edge + 2) % 4
        inward = 1 if edge < 2 else -1
        back |= inward * (boxes[:, inner] - box[inner]) > _BACK * side(box)
    return back
