# SPDX-License-Identifier: AGPL-3.0-or-later
"""One-to-one matching of detections and truth."""

from __future__ import annotations

import numpy as np

from infra.training.matching import match

NOTHING = np.zeros((0, 4), np.float32)


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_two_detections_of_one_car_are_one_hit_and_one_false_alarm() -> None:
    found = match(boxes((0, 0, 10, 10)), NOTHING, boxes((0, 0, 10, 9), (0, 0, 10, 10)))
    assert found.truth_hit.tolist() == [True]
    assert found.pairs == ((0, 1),)
    assert found.false_alarm.tolist() == [True, False]


def test_as_many_pairs_as_can_be() -> None:
    # The best overlap of the first truth would leave the second with nothing.
    truth = boxes((0, 0, 10, 10), (0, 0, 10, 8))
    found = match(truth, NOTHING, boxes((0, 0, 10, 10), (0, 2, 10, 12)))
    assert found.truth_hit.all() and not found.false_alarm.any()


def test_ignore_regions_excuse_but_never_count() -> None:
    found = match(NOTHING, boxes((0, 0, 20, 20)), boxes((1, 1, 20, 20), (2, 2, 5, 5), (15, 15, 40, 40)))
    assert found.false_alarm.tolist() == [False, False, True]
    assert found.truth_hit.size == 0


def test_nothing_found_and_nothing_there() -> None:
    assert match(boxes((0, 0, 10, 10)), NOTHING, NOTHING).truth_hit.tolist() == [False]
    assert match(NOTHING, NOTHING, boxes((0, 0, 10, 10))).false_alarm.tolist() == [True]
