# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether a vehicle that two cameras saw at once is one vehicle: hardly, unless their views overlap.

A camera that saw it before it came by the one before, or still saw it after it came by the next, must look along the
street as far as the other camera stands. Some do; how many of the pairs of two cameras are such, passages tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from reid.nearest import Nearest
from reid.passage import Passage

_TOLERATED_S: Final = 1.0
"""Seen at once for no longer than this, clocks and boxes at the edge may be wrong."""
_HARDLY: Final = 0.15
"""How many times likelier one vehicle is for being seen at once, before anything is known of the two views."""
_PAIRS: Final = 1.0
"""Pairs of passages seen at once that this is worth."""
_LIMITS: Final = (0.04, 5.0)


@dataclass(frozen=True, slots=True)
class Overlap:
    """What being seen at once says of one ordered pair of cameras."""

    at_once: float = _HARDLY
    """How many times likelier one vehicle is for it."""
    apart: float = 1.0
    """The same for not being seen at once."""


UNKNOWN: Final = Overlap()
"""Of two cameras of which nothing was seen."""


def seen_at_once(passages: Sequence[Passage], near: Nearest) -> NDArray[np.bool_]:
    """(n, n): the column's camera saw it before it came by the row's, or the row's still after it came by the column's.

    Of two passages before one camera never: `reid.links.follows` knows that the one must end before the other begins.
    """
    starts = np.array([p.started_at.timestamp() for p in passages])
    ends = np.array([p.ended_at.timestamp() for p in passages])
    cameras = np.array([p.camera for p in passages])
    before = near.came_unhindered[:, None] - starts[None]
    after = ends[:, None] - near.left_hindered[None]
    return np.asarray((np.maximum(before, after) > _TOLERATED_S) & (cameras[:, None] != cameras[None]))


def factors(overlap: Overlap, at_once: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What each pair's being seen at once, or not, says: the overlap's factors, in the shape of `at_once`."""
    return np.where(at_once, overlap.at_once, overlap.apart)


def learn_overlaps(
    rows: Mapping[str, NDArray[np.int_]],
    at_once: NDArray[np.bool_],
    weights: NDArray[np.float64],
    likely: Mapping[tuple[str, str], NDArray[np.float64]],
) -> dict[tuple[str, str], Overlap]:
    """Learn from how surely passages follow each other.

    Args:
        rows: camera → its passages.
        at_once: (n, n), of `seen_at_once`.
        weights: (n, n), how surely the column comes next after the row.
        likely: pair of cameras → how likely the times of all its pairs are, whoever drove.
    """
    learnt = {}
    for (a, b), density in likely.items():
        once = at_once[np.ix_(rows[a], rows[b])]
        whole = float(density.sum())
        if a == b or whole <= 0:
            continue
        usual = float(density[once].sum()) / whole
        block = weights[np.ix_(rows[a], rows[b])]
        found, of_these = float(block.sum()), float(block[once].sum())
        learnt[a, b] = Overlap(
            float(np.clip((of_these + _PAIRS * _HARDLY) / (found * usual + _PAIRS), *_LIMITS)),
            float(np.clip((found - of_these + _PAIRS) / (found * (1 - usual) + _PAIRS), *_LIMITS)),
        )
    return learnt
