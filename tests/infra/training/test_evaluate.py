# SPDX-License-Identifier: AGPL-3.0-or-later
"""Recall and precision on cases whose figures are known by hand."""

from __future__ import annotations

import numpy as np

from infra.training.evaluate import best_threshold, score
from infra.training.pictures import Labelled
from reid.classes import MODEL_CLASSES

CAR, VAN, PEDESTRIAN = (MODEL_CLASSES.index(name) for name in ("car", "van", "pedestrian"))
PICTURE = np.zeros((360, 640, 3), np.uint8)


def truth(*rows: tuple[int, float, float, float, float, float]) -> Labelled:
    numbers = np.array(rows, np.float32).reshape(-1, 6)
    return Labelled(PICTURE, numbers[:, 0].astype(np.int64), numbers[:, 1:5], numbers[:, 5])


def answer(*rows: tuple[int, float, float, float, float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    numbers = np.array(rows, np.float32).reshape(-1, 6)
    return numbers[:, 1:5], numbers[:, 5], numbers[:, 0].astype(np.int64)


def test_hits_misses_and_false_alarms() -> None:
    scenes = [truth((CAR, 0, 0, 50, 50, 0), (VAN, 100, 0, 150, 50, 0.2), (CAR, 200, 0, 250, 50, 0))]
    found = [answer((CAR, 0, 0, 50, 50, 0.9), (CAR, 100, 0, 150, 50, 0.8), (CAR, 400, 0, 450, 50, 0.9))]
    figures = score(scenes, found, 0.25)
    assert (figures.truth, figures.found, figures.false_alarms, figures.right_class) == (3, 2, 1, 1)
    assert figures.by_class["van"] == (1, 1) and figures.by_class["car"] == (2, 1)


def test_small_and_hidden_vehicles_are_ignore_regions() -> None:
    scenes = [truth((CAR, 0, 0, 12, 10, 0), (CAR, 100, 0, 150, 50, 0.6))]
    assert score(scenes, [answer()], 0.25).truth == 0
    figures = score(scenes, [answer((CAR, 0, 0, 12, 10, 0.9), (CAR, 100, 0, 150, 50, 0.9))], 0.25)
    assert figures.false_alarms == 0 and figures.found == 0
    assert score(scenes, [answer((CAR, 300, 0, 312, 10, 0.9))], 0.25).false_alarms == 1, "small, but nothing is there"


def test_pedestrians_are_neither_wanted_nor_counted() -> None:
    figures = score([truth((PEDESTRIAN, 0, 0, 20, 50, 0))], [answer((PEDESTRIAN, 0, 0, 20, 50, 0.9))], 0.25)
    assert (figures.truth, figures.detections) == (0, 0)
    # One taken for a car is a false alarm.
    assert score([truth((PEDESTRIAN, 0, 0, 20, 50, 0))], [answer((CAR, 0, 0, 20, 50, 0.9))], 0.25).false_alarms == 1


def test_the_threshold_that_keeps_the_right_and_drops_the_wrong() -> None:
    scenes = [truth((CAR, 0, 0, 50, 50, 0))]
    found = [answer((CAR, 0, 0, 50, 50, 0.6), (CAR, 300, 0, 350, 50, 0.4))]
    threshold, figures = best_threshold(scenes, found)
    assert 0.4 < threshold <= 0.6
    assert figures.recall == figures.precision == 1.0
