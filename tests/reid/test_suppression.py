# SPDX-License-Identifier: AGPL-3.0-or-later
"""Suppression and decoding of raw YOLO outputs, letterbox and region pooling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.letterbox import boxes_to_picture, lay_into, plan_fit
from reid.region_features import pool_regions
from reid.suppression import decode, iou_matrix, lies_on_two, suppress


def test_iou_of_known_boxes() -> None:
    first = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], np.float32)
    second = np.array([[0, 0, 10, 10], [5, 0, 15, 10]], np.float32)
    assert iou_matrix(first, second) == pytest.approx(np.array([[1, 1 / 3], [0, 0]]))


def test_the_stronger_of_two_overlapping_boxes_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [40, 40, 50, 50]], np.float32)
    assert suppress(boxes, np.array([0.5, 0.9, 0.7], np.float32), 0.5).tolist() == [1, 2]
    assert suppress(boxes, np.array([0.5, 0.9, 0.7], np.float32), 0.9).tolist() == [1, 2, 0]
    assert suppress(boxes[:0], np.zeros(0, np.float32), 0.5).tolist() == []


@given(st.integers(0, 2**32 - 1))
def test_what_is_kept_does_not_overlap_and_what_goes_overlaps_something_kept(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (25, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(4, 30, (25, 2))], axis=1).astype(np.float32)
    scores = rng.uniform(0, 1, 25).astype(np.float32)
    kept = suppress(boxes, scores, 0.4)
    overlap = iou_matrix(boxes, boxes)
    for i in range(25):
        stronger = [k for k in kept if k != i and scores[k] >= scores[i]]
        assert (i in kept) != any(overlap[i, k] > 0.4 for k in stronger)


def test_models_that_suppress_by_themselves() -> None:
    rows = np.array([[1, 2, 3, 4, 0.9, 2], [1, 2, 3, 4, 0.1, 0]], np.float32)
    boxes, scores, numbers = decode(rows, 0.25, 0.7, False)
    assert boxes.tolist() == [[1, 2, 3, 4]] and scores == pytest.approx([0.9]) and numbers.tolist() == [2]


def test_a_box_of_doubtful_class_is_a_vehicle_for_sure_and_a_person_stays_one() -> None:
    van_or_truck, doubtful_person, nothing = [0.0, 0.3, 0.28], [0.2, 0.2, 0.0], [0.05, 0.05, 0.05]
    output = np.zeros((4 + 4, 3), np.float32)
    for column, (scores, person) in enumerate(((van_or_truck, 0.0), (doubtful_person, 0.21), (nothing, 0.0))):
        output[:4, column] = (100 * column + 50, 50, 20, 20)
        output[4:7, column], output[7, column] = scores, person
    apart = decode(output, 0.4, 0.7, True)
    assert len(apart[0]) == 0
    _, joint, numbers = decode(output, 0.4, 0.7, True, kin=(0, 1, 2))
    assert numbers.tolist() == [1] and joint == pytest.approx([1 - 0.7 * 0.72])
    _, _, numbers = decode(output, 0.2, 0.7, True, kin=(0, 1, 2))
    assert numbers.tolist() == [1, 3]


def test_a_box_between_two_parked_cars_is_no_third_one() -> None:
    near, far = [0, 20, 40, 60], [24, 4, 58, 34]
    seam, behind = [14, 10, 46, 44], [20, -14, 52, 16]
    rows = np.array([near, far, seam, behind], np.float32)
    assert iou_matrix(rows[2:3], rows).max(where=np.arange(4) != 2, initial=0) < 0.7, "suppression alone keeps it"
    assert lies_on_two(rows).tolist() == [False, False, True, False]
    assert lies_on_two(rows[[2, 0, 1]]).tolist() == [False, False, False], "the strongest is never the seam of others"
    assert not lies_on_two(rows[[0, 2]]).any() and not lies_on_two(rows[:0]).any()
    output = np.zeros((4 + 2, 4), np.float32)
    output[:2], output[2:4] = (rows[:, :2] + rows[:, 2:]).T / 2, (rows[:, 2:] - rows[:, :2]).T
    output[4] = [0.9, 0.8, 0.5, 0.4]
    assert len(decode(output, 0.25, 0.7, True)[0]) == 4
    boxes, _, _ = decode(output, 0.25, 0.7, True, kin=(0,))
    assert boxes.tolist() == rows[[0, 1, 3]].tolist()
    output[4:, 2] = 0, 0.5
    assert len(decode(output, 0.25, 0.7, True, kin=(0,))[0]) == 4, "what is no vehicle may stand before two"


@given(st.integers(40, 2000), st.integers(40, 2000), st.sampled_from([(384, 640), (640, 640), (448, 768)]))
def test_letterbox_there_and_back(height: int, width: int, size: tuple[int, int]) -> None:
    fit = plan_fit(height, width, size)
    inner = np.array([[0, 0, width, height], [width / 4, height / 3, width / 2, height]], np.float32)
    there = inner * fit.scale + np.array([fit.left, fit.top] * 2)
    assert there.min() >= -1e-3 and there[:, 2].max() <= size[1] + 1 and there[:, 3].max() <= size[0] + 1
    assert boxes_to_picture(there.astype(np.float32), fit) == pytest.approx(inner, abs=0.02 * max(1, 1 / fit.scale))


def test_letterbox_pads_grey_and_keeps_the_picture() -> None:
    into = np.zeros((64, 96, 3), np.uint8)
    frame = np.full((32, 96, 3), 7, np.uint8)
    lay_into(frame, plan_fit(32, 96, (64, 96)), into)
    assert (into[:16] == 114).all() and (into[16:48] == 7).all() and (into[48:] == 114).all()


def test_region_pooling_counts_cells_by_their_share() -> None:
    features = np.zeros((2, 2, 2), np.float32)
    features[0, 0, 0], features[1, 0, 1] = 3, 4
    # Half of each upper cell: (1.5, 2) to unit length.
    assert pool_regions(features, np.array([[8, 0, 24, 16]], np.float32), 16)[0] == pytest.approx([0.6, 0.8], abs=1e-3)
    # No area, and outside the map: its nearest cell.
    assert pool_regions(features, np.array([[40, -5, 40, -5]], np.float32), 16)[0] == pytest.approx([0, 1], abs=1e-3)
    assert pool_regions(features, np.zeros((0, 4), np.float32), 16).shape == (0, 2)
