# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether a vehicle that two cameras saw at once is one vehicle: hardly, unless their views overlap.

A camera that saw it before it came by the one before, or still saw it after it came by the next, must look along the
street as far as the other camera stands. Some do; how many of the pairs of two cameras are such, passages tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from reid.likelier import likelier
from reid.nearest import Nearest

_TOLERATED_S: Final = 1.0
"""Seen at once for no longer than this, clocks and boxes at the edge may be wrong."""
_HARDLY: Final = 0.15
"""How many times likelier one vehicle is for being seen at once, before anything is known of the two views."""
_PAIRS: Final = 1.0
"""Pairs of passages that this is worth."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """What being seen at once says of one ordered pair of cameras."""

    at_once: float = _HARDLY
    """How many times likelier one vehicle is for it."""
    apart: float = 1.0
    """The same for not being seen at once."""

    def factors(self, at_once: NDArray[np.bool_]) -> NDArray[np.float64]:
        """What it says of each pair of passages, in the shape of `at_once`."""
        return np.where(at_once, self.at_once, self.apart)


UNKNOWN: Final = Overlap()
"""Of two cameras of which nothing was seen."""


def seen_at_once(a: Nearest, b: Nearest) -> NDArray[np.bool_]:
    """(a, b): the second camera saw it before it came by the first, or the first still after it came by the second.

    Of passages before one camera, none that may follow another (`reid.links.follows`).
    """
    before = a.came_unhindered[:, None] - b.first_seen[None]
    after = a.last_seen[:, None] - b.left_hindered[None]
    return np.asarray(np.maximum(before, after) > _TOLERATED_S)


def learn_overlaps(
    rows: Mapping[str, NDArray[np.int_]],
    at_once: Mapping[tuple[str, str], NDArray[np.bool_]],
    weights: NDArray[np.float64],
    likely: Mapping[tuple[str, str], NDArray[np.float64]],
) -> dict[tuple[str, str], Overlap]:
    """Learn from how surely passages follow each other.

    Args:
        rows: camera → its passages.
        at_once: pair of cameras → `seen_at_once` of all their pairs of passages.
        weights: (n, n), how surely the column comes next after the row.
        likely: pair of cameras → how likely the times of the same pairs are, whoever drove.
    """
    learnt = {}
    for (a, b), density in likely.items():
        once = at_once[a, b]
        whole = float(density.sum())
        if a == b or whole <= 0:
            continue
        usual = float(density[once].sum()) / whole
        block = weights[np.ix_(rows[a], rows[b])]
        found, of_these = float(block.sum()), float(block[once].sum())
        learnt[a, b] = Overlap(
            likelier(of_these, found * usual, _HARDLY, _PAIRS),
            likelier(found - of_these, found * (1 - usual), 1.0, _PAIRS),
        )
    return learnt
