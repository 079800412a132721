# SPDX-License-Identifier: AGPL-3.0-or-later
"""Colour and class of found passages against the truth, with confusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from infra.rehearsal.score.found import Found
from reid.passage import COLOURS, VEHICLE_CLASSES


@dataclass(frozen=True, slots=True)
class AttributeScore:
    """Accuracy over passages, and who was taken for whom (rows: truth; columns: said)."""

    accuracy: float
    names: tuple[str, ...]
    confusion: NDArray[np.int64]


def colours(found: Found, owner: dict[int, int], true_colour: Sequence[str]) -> AttributeScore:
    """Likeliest colour of every passage that follows a vehicle."""
    return _score([(true_colour[v], found.passages[p].colour) for p, v in owner.items()], COLOURS)


def classes(found: Found, owner: dict[int, int], true_kind: Sequence[str]) -> AttributeScore:
    """Class of every passage that follows a vehicle."""
    return _score([(true_kind[v], found.passages[p].vehicle_class) for p, v in owner.items()], VEHICLE_CLASSES)


def _score(pairs: list[tuple[str, str]], names: tuple[str, ...]) -> AttributeScore:
    if not pairs:
        return AttributeScore(float("nan"), names, np.zeros((len(names), len(names)), np.int64))
    truth, said = zip(*pairs, strict=True)
    right = sum(a == b for a, b in pairs) / len(pairs)
    return AttributeScore(right, names, confusion_matrix(truth, said, labels=list(names)))
