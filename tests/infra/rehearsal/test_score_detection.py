# SPDX-License-Identifier: AGPL-3.0-or-later
"""What of a detector's boxes is right, wrong, and of no account."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from infra.rehearsal.score.detection import DetectionScore, score_frame
from reid.detector import Detections

PICTURE = np.zeros((720, 1280, 3), np.uint8)
TRUE = np.array([[100, 100, 200, 180], [600, 300, 640, 320], [900, 300, 940, 400]], np.float32)
"""A car, one too far away to count, a bicycle."""


class Answers:
    """A detector that says what it was told to."""

    def __init__(self, *boxes: tuple[float, float, float, float]) -> None:
        self._boxes = np.array(boxes, np.float32).reshape(-1, 4)

    def detect(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        count = len(self._boxes)
        return [Detections(self._boxes, np.full(count, 0.9, np.float32), ("car",) * count, None) for _ in pictures]


def scored(*boxes: tuple[float, float, float, float]) -> DetectionScore:
    rows = {name: TRUE[:, n] for n, name in enumerate(("x1", "y1", "x2", "y2"))}
    rows |= {"visible_share": np.ones(3), "vehicle": np.arange(3)}
    out = DetectionScore()
    score_frame(out, Answers(*boxes), PICTURE, rows, ["car", "car", "bicycle"], ["hatch", "hatch", "bicycle"])  # type: ignore[arg-type]
    return out


def test_only_what_is_near_must_be_found_and_what_is_far_may_be() -> None:
    for boxes in ([(102, 100, 200, 180)], [(102, 100, 200, 180), (600, 300, 640, 320)]):
        out = scored(*boxes)
        assert (out.truth, out.hit, out.false) == (1, 1, 0)
    assert scored((600, 300, 640, 320)).recall == 0


def test_false_alarms_by_what_is_there() -> None:
    found, double, loose, nothing, small = (
        (100, 100, 200, 180), (100, 100, 180, 180), (150, 120, 210, 180), (400, 500, 460, 560), (20, 20, 50, 44),
    )  # fmt: skip
    out = scored(found, double, loose, nothing, small)
    assert (out.hit, out.false, out.precision) == (1, 4, 0.2)
    assert out.false_by == {"double": 1, "loose": 1, "nothing": 2} and out.false_small == 1


def test_a_bicycle_is_no_vehicle() -> None:
    assert scored((900, 300, 940, 400)).false_by == {"nothing": 1}
