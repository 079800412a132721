# SPDX-License-Identifier: AGPL-3.0-or-later
"""How much two passages look like one vehicle, against how alike any two vehicles of the same hours look.

The cosine of two embeddings means nothing by itself: for some models any two cars reach 0.9. What counts is how far it
stands out from that of pairs that cannot be one vehicle, because one camera saw both at once. The same for colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid.errors import EmbeddingMismatch
from reid.passage import VEHICLE_CLASSES, Passage

_FEWEST = 12
"""Impossible pairs needed to measure the background; with fewer, all pairs serve."""
_MIDDLE_Z = 1.1
"""Standing out by so many deviations is as likely for one vehicle as for two."""
_SLOPE = 1.3
_MOST = 4.0
_COLOUR_SLOPE = 5.0
_OTHER_CLASS = -2.0
_CONFUSED = {
    frozenset({"car", "van"}),
    frozenset({"van", "truck"}),
    frozenset({"truck", "bus"}),
    frozenset({"car", "truck"}),
}


@dataclass(frozen=True, slots=True)
class Looks:
    """Pairwise evidence from appearance among passages; all matrices (n, n), symmetric."""

    look: NDArray[np.float64]
    """Log-likelihood ratio of one vehicle against two, from embeddings; 0 where one has none."""
    colour: NDArray[np.float64]
    """The same from colours and classes."""
    likeness: NDArray[np.float64]
    """`look` as a share from 0 to 1."""
    colour_likeness: NDArray[np.float64]
    """Bhattacharyya coefficient of the colours, 0 to 1."""

    @property
    def total(self) -> NDArray[np.float64]:
        """Both together. They share the colour, so they count less than their sum."""
        return 0.8 * self.look + 0.6 * self.colour


def compare_looks(passages: Sequence[Passage]) -> Looks:
    """Compare all with all.

    Raises:
        EmbeddingMismatch: two of them carry embeddings of different models.
    """
    count = len(passages)
    colours = np.sqrt(np.array([p.colours for p in passages], dtype=np.float64).reshape(count, -1))
    shared = colours @ colours.T
    vectors, known = _vectors(passages)
    cosine = vectors @ vectors.T
    apart = _impossible(passages)
    both = np.outer(known, known)

    off = ~np.eye(count, dtype=bool)
    base = apart if np.count_nonzero(apart & both) >= 2 * _FEWEST else off
    look = np.zeros((count, count))
    if np.count_nonzero(base & both) >= 2:
        middle = float(np.median(cosine[base & both]))
        spread = float(np.median(np.abs(cosine[base & both] - middle))) * 1.4826
        deviations = (cosine - middle) / max(spread, 0.02)
        look = np.where(both, np.clip(_SLOPE * (deviations - _MIDDLE_Z), -_MOST, _MOST), 0.0)
    usual = float(np.median(shared[base])) if np.any(base) else 0.5
    # Alike in colour says little where all cars are grey, and unlike says much.
    colour = np.clip(_COLOUR_SLOPE * (shared - max(0.72, 0.5 * (1 + usual))), -_MOST, 0.25 * _MOST)
    colour = colour + _class_evidence(passages)
    return Looks(look, colour, 1 / (1 + np.exp(-look)), np.clip(shared, 0, 1))


def _vectors(passages: Sequence[Passage]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    models = {p.embedding.model for p in passages if p.embedding is not None}
    if len(models) > 1:
        raise EmbeddingMismatch(
            f"passages carry embeddings of {len(models)} models ({', '.join(sorted(models))}), which cannot be "
            "compared: index these hours again with one detector"
        )
    size = max((len(p.embedding.vector) for p in passages if p.embedding is not None), default=1)
    vectors = np.zeros((len(passages), size))
    known = np.zeros(len(passages), dtype=bool)
    for row, passage in enumerate(passages):
        if passage.embedding is not None:
            vectors[row], known[row] = passage.embedding.vector, True
    return vectors, known


def _impossible(passages: Sequence[Passage]) -> NDArray[np.bool_]:
    """Pairs that one camera saw at the same time."""
    starts = np.array([p.started_at.timestamp() for p in passages])
    ends = np.array([p.ended_at.timestamp() for p in passages])
    cameras = np.array([p.camera for p in passages])
    same = cameras[:, None] == cameras[None]
    together = np.minimum(ends[:, None], ends[None]) - np.maximum(starts[:, None], starts[None]) > 0.3
    return np.asarray(same & together & ~np.eye(len(passages), dtype=bool))


def _class_evidence(passages: Sequence[Passage]) -> NDArray[np.float64]:
    table = np.zeros((len(VEHICLE_CLASSES), len(VEHICLE_CLASSES)))
    for i, a in enumerate(VEHICLE_CLASSES):
        for j, b in enumerate(VEHICLE_CLASSES):
            if a != b:
                table[i, j] = _OTHER_CLASS * (0.5 if frozenset({a, b}) in _CONFUSED else 2.0)
    kinds = np.array([VEHICLE_CLASSES.index(p.vehicle_class) for p in passages], dtype=int)
    return np.asarray(table[kinds[:, None], kinds[None]])
