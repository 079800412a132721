# SPDX-License-Identifier: AGPL-3.0-or-later
"""How much two passages look like one vehicle, against how alike any two vehicles of the same hours look.

The cosine of two embeddings means nothing by itself: for some models any two cars reach 0.9, and a camera's own angle
weighs more than any car. So what a camera's passages have in common is taken away, and what all vary in is scaled down
(whitening); the cosine that is left speaks. Colours count by how rare they are: two red cars are more alike than two
grey ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid.describe import features_part
from reid.errors import EmbeddingMismatch
from reid.passage import COLOURS, VEHICLE_CLASSES, Passage

_CAMERA_SHRINK = 3.0
"""Passages of a camera that its mean must outweigh."""
_AXES = 32
_SHRINK = 0.1
"""Of the greatest variance, added to all: what varies little is mostly noise."""
_FEW = 8.0
"""Passages below which their spread is hardly known; evidence from it fades."""
_SAME_MIDDLE = 0.5
_SAME_SPREAD = 0.27
"""Cosines of one vehicle at two cameras, measured on drawn streets."""
_HELD_BACK = 0.5
"""Of the slope that two bells would give: true ones have fatter tails."""
_OFFSET = -0.3
_MOST = 4.0
_COLOUR_SLOPE = 1.8
"""Colours are smeared with care, which holds their evidence back; this gives it back."""
_ANY_COLOUR = 0.1
"""Share of a colour that may be any: light, reflections, a neighbour in the box."""
_TAKEN_FOR = (("black", "grey", 0.35), ("grey", "black", 0.25), ("white", "grey", 0.3), ("grey", "white", 0.2))
"""Neutral paints that light makes each other; with what weight beside the right name's 1."""
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
        """Both together: the embedding is compared without its colours, so that none counts twice."""
        return self.look + self.colour


def compare_looks(passages: Sequence[Passage]) -> Looks:
    """Compare all with all.

    Raises:
        EmbeddingMismatch: two of them carry embeddings of different models.
    """
    count = len(passages)
    if not count:
        return Looks(*(np.zeros((0, 0)) for _ in range(4)))
    look = _look_evidence(passages)
    colours = np.array([p.colours for p in passages], dtype=np.float64)
    shared = np.sqrt(colours) @ np.sqrt(colours).T
    colour = np.clip(_COLOUR_SLOPE * _colour_evidence(colours), -_MOST, _MOST) + _class_evidence(passages)
    return Looks(look, colour, 1 / (1 + np.exp(-look)), np.clip(shared, 0, 1))


def _look_evidence(passages: Sequence[Passage]) -> NDArray[np.float64]:
    vectors, known = _vectors(passages)
    rows = np.flatnonzero(known)
    look = np.zeros((len(passages), len(passages)))
    if len(rows) < 3:
        return look
    some = vectors[rows]
    cameras = np.array([passages[i].camera for i in rows.tolist()])
    overall = some.mean(axis=0)
    centred = some - overall
    for camera in sorted(set(cameras)):
        mine = cameras == camera
        weight = np.count_nonzero(mine) / (np.count_nonzero(mine) + _CAMERA_SHRINK)
        centred[mine] -= weight * centred[mine].mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    sizes = sizes[:_AXES]
    white = left[:, : len(sizes)] * sizes / np.sqrt(sizes**2 + _SHRINK * sizes[0] ** 2 + 1e-12)
    white /= np.maximum(np.linalg.norm(white, axis=1, keepdims=True), 1e-9)
    # Taking the mean away makes any two of n a little unlike.
    cosine = white @ white.T + 1 / (len(rows) - 1)
    apart = ~np.eye(len(rows), dtype=bool)
    middle = float(np.median(cosine[apart]))
    low, high = np.percentile(cosine[apart], [16, 84])
    # Nearly all pairs are two vehicles. The narrower their cosines lie, the more one that stands out says.
    variance = 0.5 * (((high - low) / 2) ** 2 + _SAME_SPREAD**2)
    slope = _HELD_BACK * max(_SAME_MIDDLE - middle, 0.1) / variance
    trust = len(rows) / (len(rows) + _FEW)
    evidence = trust * (slope * (cosine - (_SAME_MIDDLE + middle) / 2) + _OFFSET)
    look[np.ix_(rows, rows)] = np.clip(evidence, -_MOST, _MOST)
    return look


def _colour_evidence(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-likelihood ratio of one paint against two, from distributions (n, 11)."""
    usual = colours.mean(axis=0) + 0.01
    usual /= usual.sum()
    confused = np.eye(len(COLOURS)) * (1 - _ANY_COLOUR) + _ANY_COLOUR * usual[None]
    for true, seen, weight in _TAKEN_FOR:
        confused[COLOURS.index(seen), COLOURS.index(true)] += weight
    confused /= confused.sum(axis=1, keepdims=True)
    smeared = colours @ confused
    return np.asarray(np.log((smeared / smeared.mean(axis=0)) @ smeared.T))


def _vectors(passages: Sequence[Passage]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    models = {p.embedding.model for p in passages if p.embedding is not None}
    if len(models) > 1:
        raise EmbeddingMismatch(
            f"passages carry embeddings of {len(models)} models ({', '.join(sorted(models))}), which cannot be "
            "compared: index these hours again with one detector"
        )
    parts = [None if p.embedding is None else features_part(p.embedding) for p in passages]
    size = max((len(part) for part in parts if part is not None), default=1)
    vectors = np.zeros((len(passages), size))
    known = np.zeros(len(passages), dtype=bool)
    for row, part in enumerate(parts):
        if part is not None:
            vectors[row], known[row] = part, True
    return vectors, known


def _class_evidence(passages: Sequence[Passage]) -> NDArray[np.float64]:
    table = np.zeros((len(VEHICLE_CLASSES), len(VEHICLE_CLASSES)))
    for i, a in enumerate(VEHICLE_CLASSES):
        for j, b in enumerate(VEHICLE_CLASSES):
            if a != b:
                table[i, j] = _OTHER_CLASS * (0.5 if frozenset({a, b}) in _CONFUSED else 2.0)
    kinds = np.array([VEHICLE_CLASSES.index(p.vehicle_class) for p in passages], dtype=int)
    return np.asarray(table[kinds[:, None], kinds[None]])
