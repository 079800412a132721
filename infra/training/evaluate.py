# SPDX-License-Identifier: AGPL-3.0-or-later
"""Detections on labelled pictures: recall and precision as the project judges them, and the threshold they ask for.

What counts is what counts in `infra.rehearsal.score.detection`: vehicles over 24 px high at 720p and less than half
hidden; others are neither wanted nor wrong, and whatever lies on nothing is wrong, however small. A class mistaken for
another is counted apart: for finding a passage any vehicle class will do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infra.rehearsal.score.found import AS_DETECTED
from infra.training.matching import Matched, match
from infra.training.pictures import Labelled
from reid.classes import MODEL_CLASSES, VEHICLE_CLASSES

VEHICLES = np.array([MODEL_CLASSES.index(name) for name in VEHICLE_CLASSES])
Raw = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over pictures."""

    truth: int
    found: int
    detections: int
    false_alarms: int
    right_class: int
    by_class: dict[str, tuple[int, int]]
    """Per true class: how many there are, how many were found."""

    @property
    def recall(self) -> float:
        """Found among those that count."""
        return self.found / max(self.truth, 1)

    @property
    def precision(self) -> float:
        """Right among the detections that are not excused."""
        return self.found / max(self.found + self.false_alarms, 1)

    @property
    def class_accuracy(self) -> float:
        """Right class among those found."""
        return self.right_class / max(self.found, 1)


def score(scenes: Iterable[Labelled], answers: Sequence[Raw], threshold: float) -> Figures:
    """Hold detections (boxes, scores, numbers of `MODEL_CLASSES`) against the truth.

    Args:
        scenes: pictures with their truth, in pixels of the same scale as the answers.
        answers: one a picture; every class, persons too.
        threshold: scores below it do not count.
    """
    truth_n = found = detections = wrong = right = 0
    by_class = {name: [0, 0] for name in VEHICLE_CLASSES}
    for scene, answer in zip(scenes, answers, strict=True):
        held = _hold(scene, answer, threshold)
        truth_n += len(held.classes)
        found += int(held.outcome.truth_hit.sum())
        detections += len(held.boxes)
        wrong += int(held.outcome.false_alarm.sum())
        for row, column in held.outcome.pairs:
            right += int(held.classes[row] == held.numbers[column])
        for number, hit in zip(held.classes, held.outcome.truth_hit, strict=True):
            by_class[MODEL_CLASSES[number]][0] += 1
            by_class[MODEL_CLASSES[number]][1] += int(hit)
    return Figures(truth_n, found, detections, wrong, right, {name: (n, hit) for name, (n, hit) in by_class.items()})


def false_alarms(scene: Labelled, answer: Raw, threshold: float) -> NDArray[np.float32]:
    """Boxes (n, 4) of one picture that say vehicle and are none."""
    held = _hold(scene, answer, threshold)
    return held.boxes[held.outcome.false_alarm]


@dataclass(frozen=True, slots=True)
class _Held:
    """One picture's vehicles and detections held against each other."""

    classes: NDArray[np.int64]
    """Of the vehicles that count."""
    boxes: NDArray[np.float32]
    numbers: NDArray[np.int64]
    outcome: Matched


def _hold(scene: Labelled, answer: Raw, threshold: float) -> _Held:
    boxes, scores, numbers = answer
    least = AS_DETECTED.height_px * scene.picture.shape[0] / 720
    keep = (scores >= threshold) & np.isin(numbers, VEHICLES)
    boxes, numbers = boxes[keep], numbers[keep]
    is_vehicle = np.isin(scene.classes, VEHICLES)
    tall = scene.boxes[:, 3] - scene.boxes[:, 1] > least
    counts = is_vehicle & tall & (scene.hidden < 1 - AS_DETECTED.share)
    outcome = match(scene.boxes[counts], scene.boxes[is_vehicle & ~counts], boxes)
    return _Held(scene.classes[counts], boxes, numbers, outcome)


def best_threshold(scenes: Sequence[Labelled], answers: Sequence[Raw]) -> tuple[float, Figures]:
    """The threshold with the best harmonic mean of recall and precision; of equals the lower."""
    best: tuple[float, float, Figures] | None = None
    for threshold in np.arange(0.10, 0.75, 0.025):
        figures = score(scenes, answers, float(threshold))
        f1 = 2 * figures.recall * figures.precision / max(figures.recall + figures.precision, 1e-9)
        if best is None or f1 > best[0] + 1e-6:
            best = (f1, round(float(threshold), 3), figures)
    assert best is not None  # noqa: S101 - the range above is not empty
    return best[1], best[2]
