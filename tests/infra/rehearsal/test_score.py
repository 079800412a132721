# SPDX-License-Identifier: AGPL-3.0-or-later
"""The score says what it should of runs whose faults are known."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from infra.rehearsal.score import tracking
from infra.rehearsal.score.found import CameraFrames

FRAMES = 40


def box(frame: int, lane: int) -> np.ndarray:
    return np.array([10.0 * frame, 100.0 * lane, 10.0 * frame + 80, 100.0 * lane + 60], np.float32)


def camera(paths: dict[int, list[tuple[int, int, int]]], vehicles: int = 2) -> CameraFrames:
    """`paths`: predicted passage → stretches of (lane it follows, first frame, last frame)."""
    found_ids: list[list[int]] = [[] for _ in range(FRAMES)]
    found_boxes: list[list[np.ndarray]] = [[] for _ in range(FRAMES)]
    for passage, stretches in paths.items():
        for lane, first, last in stretches:
            for frame in range(first, last + 1):
                found_ids[frame].append(passage)
                found_boxes[frame].append(box(frame, lane))
    return CameraFrames(
        name="a",
        fps=10.0,
        frames=FRAMES,
        truth_ids=[np.arange(vehicles) for _ in range(FRAMES)],
        truth_boxes=[np.stack([box(f, lane) for lane in range(vehicles)]) for f in range(FRAMES)],
        ignore_boxes=[np.array([[0, 900, 60, 960]], np.float32) for _ in range(FRAMES)],
        found_ids=[np.array(i, np.int64) for i in found_ids],
        found_boxes=[np.array(b, np.float32).reshape(-1, 4) for b in found_boxes],
    )


def truth(vehicles: int = 2) -> pa.Table:
    return pa.Table.from_pylist(
        [{"camera": "a", "vehicle": v, "entry_frame": 0, "exit_frame": FRAMES - 1} for v in range(vehicles)]
    )


def scored(paths: dict[int, list[tuple[int, int, int]]]) -> tracking.PassageScore:
    laid = camera(paths)
    return tracking.passages(laid, tracking.match(laid), truth())


def test_a_faultless_run_has_every_figure_at_its_best() -> None:
    laid = camera({0: [(0, 0, 39)], 1: [(1, 0, 39)]})
    score = tracking.passages(laid, tracking.match(laid), truth())
    assert (score.found, score.doubled, score.broken, score.false) == (2, 0, 0, 0)
    assert tracking.idf1(tracking.single_camera([laid], truth())) == pytest.approx(1.0)
    assert tracking.hota(tracking.single_camera([laid], truth())) == pytest.approx(1.0)


def test_a_passage_in_two_pieces_is_broken_and_found_by_its_longer_half() -> None:
    score = scored({0: [(0, 0, 25)], 1: [(0, 26, 39)], 2: [(1, 0, 39)]})
    assert (score.found, score.doubled, score.broken) == (2, 0, 1)


def test_two_passages_at_once_on_one_vehicle_are_doubled() -> None:
    score = scored({0: [(0, 0, 39)], 1: [(0, 5, 30)], 2: [(1, 0, 39)]})
    assert (score.found, score.doubled, score.broken) == (2, 1, 0)


def test_less_than_half_of_a_vehicle_is_missed() -> None:
    score = scored({0: [(0, 0, 15)], 1: [(1, 0, 39)]})
    assert score.found == 1
    assert [r["vehicle"] for r in score.missed_rows] == [0]


def test_a_vehicle_that_hardly_counts_is_no_passage_to_find() -> None:
    laid = camera({1: [(1, 0, 39)]})
    for frame in range(2, FRAMES):
        laid.truth_ids[frame], laid.truth_boxes[frame] = laid.truth_ids[frame][1:], laid.truth_boxes[frame][1:]
    score = tracking.passages(laid, tracking.match(laid), truth())
    assert (score.truth, score.found, len(score.missed_rows)) == (1, 1, 0)
    laid = camera({1: [(1, 0, 39)]})
    for frame in range(3, FRAMES):
        laid.truth_ids[frame], laid.truth_boxes[frame] = laid.truth_ids[frame][1:], laid.truth_boxes[frame][1:]
    score = tracking.passages(laid, tracking.match(laid), truth())
    assert (score.truth, score.found, len(score.missed_rows)) == (2, 1, 1)


def test_a_passage_of_nothing_is_false_and_one_in_an_ignore_region_is_not() -> None:
    assert scored({0: [(0, 0, 39)], 1: [(1, 0, 39)], 2: [(5, 0, 20)]}).false_indices == (2,)
    laid = camera({0: [(0, 0, 39)], 1: [(1, 0, 39)]})
    for frame in range(10):
        laid.found_ids[frame] = np.append(laid.found_ids[frame], 2)
        laid.found_boxes[frame] = np.vstack([laid.found_boxes[frame], [[0, 900, 60, 960]]]).astype(np.float32)
    assert tracking.passages(laid, tracking.match(laid), truth()).false == 0
    assert tracking.idf1(tracking.single_camera([laid], truth())) == pytest.approx(1.0)


def test_swapped_identities_lower_idf1_and_across_cameras_a_common_name_counts() -> None:
    swapped = camera({0: [(0, 0, 19), (1, 20, 39)], 1: [(1, 0, 19), (0, 20, 39)]})
    assert tracking.idf1(tracking.single_camera([swapped], truth())) == pytest.approx(0.5)
    first = camera({0: [(0, 0, 39)], 1: [(1, 0, 39)]})
    second = camera({2: [(0, 0, 39)], 3: [(1, 0, 39)]})
    linked = tracking.idf1(tracking.across_cameras([first, second], [7, 8, 7, 8]))
    apart = tracking.idf1(tracking.across_cameras([first, second], [1, 2, 3, 4]))
    assert linked == pytest.approx(1.0)
    assert apart == pytest.approx(0.5)


def test_a_vehicle_that_comes_by_again_is_another_passage_but_the_same_vehicle() -> None:
    laid = camera({0: [(0, 0, 14)], 1: [(0, 25, 39)]}, vehicles=1)
    for frame in range(15, 25):
        laid.truth_ids[frame], laid.truth_boxes[frame] = laid.truth_ids[frame][1:], laid.truth_boxes[frame][1:]
    twice = pa.Table.from_pylist(
        [{"camera": "a", "vehicle": 0, "entry_frame": e, "exit_frame": x} for e, x in ((25, 39), (0, 14))]
    )
    assert tracking.idf1(tracking.single_camera([laid], twice)) == pytest.approx(1.0)
    assert tracking.idf1(tracking.single_camera([laid], truth(1))) == pytest.approx(0.5)
    assert tracking.idf1(tracking.across_cameras([laid], [5, 5])) == pytest.approx(1.0)
    assert tracking.idf1(tracking.across_cameras([laid], [5, 6])) == pytest.approx(0.5)
