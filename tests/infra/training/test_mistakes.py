# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the shipped detector takes for a vehicle in a picture is written beside it, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from infra.training import mistakes
from infra.training.evaluate import Raw
from infra.training.pictures import Labelled, read_picture, write_picture
from reid.classes import MODEL_CLASSES
from reid.detector import MODELS_DIR

CAR, PEDESTRIAN = (MODEL_CLASSES.index(name) for name in ("car", "pedestrian"))
TRUE, BAY, TINY = [100, 100, 160, 150], [300, 200, 360, 240], [500, 20, 508, 28]


def test_false_alarms_are_written_and_vehicles_weak_ones_and_persons_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = np.full((360, 640, 3), 90, np.uint8)
    for name in ("a", "b"):
        write_picture(
            tmp_path, name, Labelled(picture, np.array([CAR]), np.array([TRUE], np.float32), np.zeros(1, np.float32))
        )
    found = [(TRUE, 0.9, CAR), (BAY, 0.5, CAR), (TINY, 0.5, CAR), ([10, 10, 60, 90], 0.15, CAR)]
    found.append(([400, 100, 430, 180], 0.9, PEDESTRIAN))
    answer: Raw = (
        np.array([box for box, _, _ in found], np.float32),
        np.array([score for _, score, _ in found], np.float32),
        np.array([number for _, _, number in found]),
    )
    nothing: Raw = (answer[0][:0], answer[1][:0], answer[2][:0])

    class Answers:
        def detect_every_class(self, pictures: list[np.ndarray], confidence: float) -> list[Raw]:
            return [answer, nothing][: len(pictures)]

    monkeypatch.setattr(mistakes, "open_exported", lambda ir: Answers())
    counts = dict(mistakes.find_mistakes(Path("any"), [tmp_path]))
    assert counts == {tmp_path / "a.jpg": 2, tmp_path / "b.jpg": 0}
    assert read_picture(tmp_path / "a.jpg").wrong.tolist() == [BAY, TINY]
    assert read_picture(tmp_path / "b.jpg").wrong.tolist() == []


def test_the_shipped_detector_is_asked(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    picture = rng.integers(80, 100, (540, 960, 3)).astype(np.uint8)
    write_picture(
        tmp_path, "a", Labelled(picture, np.zeros(0, np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    )
    counts = dict(mistakes.find_mistakes(MODELS_DIR / "passage-detector-v1", [tmp_path]))
    assert counts == {tmp_path / "a.jpg": 0} and (tmp_path / "a.wrong").is_file()
