# SPDX-License-Identifier: AGPL-3.0-or-later
"""Labelled pictures and their random crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from infra.training.pictures import (
    AT_MISTAKES,
    CROP,
    WRONG_SUFFIX,
    Labelled,
    random_crop,
    read_picture,
    to_input_scale,
    write_picture,
)


def scene(*boxes: tuple[float, float, float, float], hidden: tuple[float, ...] | None = None) -> Labelled:
    """A grey picture with bright boxes."""
    picture = np.full((360, 640, 3), 90, np.uint8)
    for x0, y0, x1, y1 in boxes:
        picture[int(y0) : int(y1), int(x0) : int(x1)] = 250
    return Labelled(
        picture,
        np.arange(len(boxes), dtype=np.int64),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(hidden or [0.0] * len(boxes), np.float32),
    )


def bright(crop: Labelled, box: np.ndarray) -> float:
    x0, y0, x1, y1 = box.round().astype(int)
    return float(crop.picture[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2].mean()) if x1 - x0 > 6 and y1 - y0 > 6 else 200.0


@pytest.mark.parametrize("seed", range(12))
def test_labels_move_with_their_pixels(seed: int) -> None:
    crop = random_crop(scene((100, 120, 160, 180), (400, 200, 470, 260)), np.random.default_rng(seed))
    assert crop.picture.shape == (CROP, CROP, 3)
    for box in crop.boxes:
        assert box.min() >= 0 and box.max() <= CROP
        assert bright(crop, box) > 170


def test_what_is_mostly_hidden_is_neither_labelled_nor_seen() -> None:
    hidden = scene((300, 150, 360, 210), hidden=(0.9,))
    for seed in range(8):
        crop = random_crop(hidden, np.random.default_rng(seed))
        assert len(crop.boxes) == 0
        # Blotted out by its surroundings: no sharp bright square is left.
        assert np.percentile(crop.picture, 99.9) < 250 or crop.picture.mean() > 200


def test_equal_seeds_give_equal_crops() -> None:
    first, second = (random_crop(scene((100, 120, 160, 180)), np.random.default_rng(4)) for _ in range(2))
    assert (first.picture == second.picture).all() and (first.boxes == second.boxes).all()


@pytest.mark.parametrize(
    ("shrunk", "box", "least", "most"),
    [(1.0, (500, 250, 600, 350), 50.0, 90.1), (0.0, (500, 250, 520, 280), 54.0, 81.1)],
    ids=["what is near, from far away", "what is far, as a closer look shows it"],
)
def test_some_crops_are_of_another_size(
    shrunk: float, box: tuple[int, ...], least: float, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.training.pictures.SHRUNK", shrunk)
    monkeypatch.setattr("infra.training.pictures.ENLARGED", 1.0)
    one = Labelled(
        np.full((630, 1120, 3), 90, np.uint8), np.array([2]), np.array([box], np.float32), np.zeros(1, np.float32)
    )
    heights = []
    for seed in range(30):
        boxes = random_crop(one, np.random.default_rng(seed)).boxes
        whole = boxes[(boxes.min(axis=1) > 0) & (boxes.max(axis=1) < CROP)]
        heights += list(whole[:, 3] - whole[:, 1])
    assert len(heights) > 10
    assert least <= min(heights) and max(heights) <= most


def test_input_scale_is_seven_eighths_of_720p() -> None:
    large = Labelled(
        np.zeros((720, 1280, 3), np.uint8),
        np.array([2]),
        np.array([[100, 50, 200, 150]], np.float32),
        np.zeros(1, np.float32),
    )
    small = to_input_scale(large)
    assert small.picture.shape == (630, 1120, 3)
    assert small.boxes[0].tolist() == [87.5, 43.75, 175, 131.25]


def test_written_and_read_back(tmp_path: Path) -> None:
    before = scene((100, 120, 160, 180), (400, 200, 470, 260), hidden=(0.25, 0.5))
    write_picture(tmp_path / "new", "a", before)
    write_picture(tmp_path / "new", "empty", scene())
    after = read_picture(tmp_path / "new" / "a.jpg")
    assert (after.classes == before.classes).all() and (after.boxes == before.boxes).all()
    assert after.hidden == pytest.approx(before.hidden)
    assert np.abs(after.picture.astype(int) - before.picture).mean() < 2
    assert len(read_picture(tmp_path / "new" / "empty.jpg").boxes) == 0
    assert not list((tmp_path / "new").glob("*.half"))


def test_a_cut_short_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.jpg is no picture"):
        read_picture(tmp_path / "a.jpg")


def test_crops_are_laid_around_known_mistakes(tmp_path: Path) -> None:
    picture = np.full((360, 2000, 3), 90, np.uint8)
    picture[100:160, 1800:1860] = 250
    car = np.array([[20, 100, 80, 160]], np.float32)
    write_picture(tmp_path, "a", Labelled(picture, np.zeros(1, np.int64), car, np.zeros(1, np.float32)))

    def looked_at_the_mistake() -> float:
        known = read_picture(tmp_path / "a.jpg")
        crops = [random_crop(known, np.random.default_rng(seed)) for seed in range(80)]
        return float(np.mean([(crop.picture > 200).any() for crop in crops]))

    assert looked_at_the_mistake() < AT_MISTAKES / 2
    (tmp_path / f"a{WRONG_SUFFIX}").write_text("1800.0 100.0 1860.0 160.0\n", encoding="utf-8")
    assert looked_at_the_mistake() > 0.75 * AT_MISTAKES
