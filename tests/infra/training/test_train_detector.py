# SPDX-License-Identifier: AGPL-3.0-or-later
"""The trainer learns, keeps checkpoints that ultralytics reads, and goes on from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from infra.training.pictures import Labelled, write_picture
from reid.classes import MODEL_CLASSES

pytestmark = pytest.mark.slow


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    for number in range(4):
        picture = rng.integers(60, 110, (360, 640, 3)).astype(np.uint8)
        corners = rng.uniform(20, 280, (3, 2))
        boxes = np.concatenate([corners, corners + np.array([70, 50])], axis=1).astype(np.float32)
        for x0, y0, x1, y1 in boxes.astype(int):
            picture[y0:y1, x0:x1] = (30, 40, 220)
        write_picture(
            tmp_path / "made", f"p{number}", Labelled(picture, np.zeros(3, np.int64), boxes, np.zeros(3, np.float32))
        )
    return tmp_path / "made"


def test_learns_saves_and_goes_on(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from infra.training import train_detector

    monkeypatch.setattr(train_detector, "ROOT", tmp_path)
    store = train_detector.Pictures((pictures,), (1.0,))
    assert store.read() == 4
    rng = np.random.default_rng(2)
    trainer = train_detector.Trainer(None, 2e-3, "cpu")
    batch = train_detector.to_batch([store.draw(rng) for _ in range(4)], "cpu")
    losses = [trainer.step(batch, 2e-3).sum() for _ in range(12)]
    assert losses[-1] < losses[0]
    trainer.save(tmp_path / "w" / "last.pt", 60.0)

    later = train_detector.Trainer(None, 2e-3, "cpu")
    assert later.resume(tmp_path / "w" / "last.pt") == 60.0
    assert later.steps == 12
    for name, value in trainer.model.state_dict().items():
        assert (later.model.state_dict()[name] == value).all(), name

    from ultralytics import YOLO

    loaded = YOLO(str(tmp_path / "w" / "last.pt"))
    assert loaded.names[0] == "car" and len(loaded.names) == 7


def test_what_embeddings_are_pooled_from_can_stay(tmp_path: Path) -> None:
    import torch

    from infra.training import train_detector

    grey = np.full((576, 960, 3), 90, np.uint8)
    boxes = np.array([[200, 200, 420, 380]], np.float32)
    crop = Labelled(grey[:320, :320], np.zeros(1, np.int64), boxes[:, :4] - 150, np.zeros(1, np.float32))
    trainer = train_detector.Trainer(None, 2e-3, "cpu", keep_features=True)
    before = {name: value.clone() for name, value in trainer.ema.ema.state_dict().items()}
    for _ in range(3):
        trainer.step(train_detector.to_batch([crop, crop], "cpu"), 2e-3)
    changed = {name for name, value in trainer.ema.ema.state_dict().items() if not torch.equal(value, before[name])}
    layers = {int(name.split(".")[1]) for name in changed}
    assert min(layers) == train_detector.FEATURE_LAYERS, "nothing before; all that learns after"


def test_the_weights_alone_are_small_and_can_be_gone_on_from(tmp_path: Path) -> None:
    import torch

    from infra.training.train_detector import Trainer, weights_alone

    trainer = Trainer(None, 2e-3, "cpu")
    with torch.no_grad():
        for parameter in trainer.ema.ema.parameters():
            parameter.fill_(0.5)
    trainer.save(tmp_path / "last.pt", 1.0)
    alone = weights_alone(tmp_path / "last.pt", tmp_path / "weights.pt")
    assert alone.stat().st_size < (tmp_path / "last.pt").stat().st_size / 3
    again = Trainer(alone, 2e-3, "cpu")
    assert {(p.dtype, *p.unique().tolist()) for p in again.model.parameters()} == {(torch.float32, 0.5)}


def test_what_is_rare_is_looked_at_more_often(tmp_path: Path) -> None:
    from infra.training.train_detector import Pictures

    grey = np.full((576, 960, 3), 90, np.uint8)
    truck = MODEL_CLASSES.index("truck")
    for number in range(20):
        numbers = np.array([truck if number == 0 and n == 0 else 0 for n in range(4)])
        corners = np.array([[40, 40], [800, 40], [40, 440], [800, 440]], np.float32)
        boxes = np.concatenate([corners, corners + 60], axis=1)
        write_picture(tmp_path / "made", f"p{number:02d}", Labelled(grey, numbers, boxes, np.zeros(4, np.float32)))
    store = Pictures((tmp_path / "made",), (1.0,))
    store.read()
    rng = np.random.default_rng(3)
    drawn = np.concatenate([store.draw(rng).classes for _ in range(400)])
    assert 0.03 < (drawn == truck).mean() < 0.3, "one in eighty of the things, more often among those looked at"
    assert store.draw(rng, 448).picture.shape == (448, 448, 3)


def test_no_pictures(tmp_path: Path) -> None:
    from infra.training.train_detector import train

    with pytest.raises(FileNotFoundError, match="no pictures in"):
        train({tmp_path / "none": 1.0}, "x", minutes=1)


def test_the_mean_of_two_checkpoints_lies_between_them(tmp_path: Path) -> None:
    import torch
    from ultralytics import YOLO

    from infra.training.mean_weights import mean_of
    from infra.training.train_detector import Trainer, weights_alone

    trainer = Trainer(None, 2e-3, "cpu")
    trainer.save(tmp_path / "before.pt", 1.0)
    for parameter in trainer.ema.ema.parameters():
        parameter.data += 0.5
    trainer.save(tmp_path / "after.pt", 1.0)
    made = mean_of(
        [tmp_path / "before.pt", weights_alone(tmp_path / "after.pt", tmp_path / "alone.pt")], tmp_path / "m.pt"
    )
    before, mean = (torch.load(p, weights_only=False)["model"].state_dict() for p in (tmp_path / "before.pt", made))
    learnt = dict(trainer.ema.ema.named_parameters())
    for name, value in mean.items():
        assert torch.allclose(value, before[name] + (0.25 if name in learnt else 0), atol=2e-2), name
    assert len(YOLO(str(made)).names) == len(MODEL_CLASSES)


def test_checkpoints_of_two_architectures_have_no_mean(tmp_path: Path) -> None:
    from ultralytics.nn.tasks import DetectionModel

    from infra.training.mean_weights import mean_of
    from infra.training.train_detector import ARCHITECTURE, Trainer

    trainer = Trainer(None, 2e-3, "cpu")
    trainer.save(tmp_path / "a.pt", 1.0)
    trainer.ema.ema = DetectionModel(str(ARCHITECTURE), nc=3, verbose=False)
    trainer.save(tmp_path / "b.pt", 1.0)
    with pytest.raises(ValueError, match=r"b\.pt is of another architecture"):
        mean_of([tmp_path / "a.pt", tmp_path / "b.pt"], tmp_path / "m.pt")
    with pytest.raises(ValueError, match="no checkpoint"):
        mean_of([], tmp_path / "m.pt")
    assert not (tmp_path / "m.pt").exists()
