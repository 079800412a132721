# SPDX-License-Identifier: AGPL-3.0-or-later
"""Train the shipped detector: ultralytics' model and loss, on random crops of pictures that may still be being drawn.

Run: python -m infra.training.train_detector --minutes 60            (again with --resume to go on from its checkpoint)
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# On few busy cores, threads that wait for each other by spinning are six times slower than one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from infra.training.pictures import CROP, WIDE_CROP, Labelled, random_crop, read_picture
from reid.classes import MODEL_CLASSES

ROOT = Path("build/training")
ARCHITECTURE = Path(__file__).parent / "passage-yolo.yaml"
LOOK_AGAIN_S = 60.0
SAVE_EVERY_S = 120.0
WIDE = 0.25
"""Share of the batches that are of wide crops, of which one holds fewer, in about as many pixels."""
MISTAKEN = 0.15
"""Share of the pictures that are drawn because an earlier model was mistaken in them (`infra.training.mistakes`)."""
FEATURE_LAYERS = 5
"""The backbone down to stride 16, in `passage-yolo.yaml`: what a vehicle's embedding is pooled from."""


@dataclass(slots=True)
class Pictures:
    """All pictures of some folders, in memory; folders that are still being filled are read again now and then."""

    folders: tuple[Path, ...]
    shares: tuple[float, ...]
    """How often each folder is drawn from."""
    held: dict[Path, list[Labelled]] = field(default_factory=dict)
    known: set[Path] = field(default_factory=set)
    class_weights: NDArray[np.float64] = field(default_factory=lambda: np.ones(len(MODEL_CLASSES)))
    """How often a thing of each class is looked at, beside one of another: rare ones more often (see `read`)."""
    picture_weights: dict[Path, NDArray[np.float64]] = field(default_factory=dict)
    """The same for the pictures of each folder; each sums to one."""

    def read(self) -> int:
        """Read what is new; returns how many pictures there are now.

        A class's weight falls with the root of how many there are: nine in ten vehicles are cars, and a truck that is
        seen as often as it drives by is learnt late.
        """
        for folder in self.folders:
            for path in sorted(folder.glob("*.jpg")):
                if path not in self.known:
                    self.known.add(path)
                    self.held.setdefault(folder, []).append(read_picture(path))
        counts = np.zeros(len(MODEL_CLASSES))
        for pictures in self.held.values():
            for picture in pictures:
                counts += np.bincount(picture.classes, minlength=len(counts))
        self.class_weights = 1.0 / np.sqrt(np.maximum(counts, 1.0))
        for folder, pictures in self.held.items():
            rarity = np.array([self.class_weights[p.classes].sum() for p in pictures])
            mistakes = np.array([len(p.wrong) > 0 for p in pictures], np.float64)
            # Half evenly: pictures without a thing must be seen as well.
            self.picture_weights[folder] = (
                0.5 / len(pictures) + (0.5 - MISTAKEN) * _shares(rarity) + MISTAKEN * _shares(mistakes)
            )
        return sum(len(v) for v in self.held.values())

    def draw(self, rng: np.random.Generator, side: int = CROP) -> Labelled:
        """A random crop of a random picture, so many pixels wide and high."""
        there = [(f, s) for f, s in zip(self.folders, self.shares, strict=True) if self.held.get(f)]
        weights = np.array([s for _, s in there])
        folder = there[int(rng.choice(len(there), p=weights / weights.sum()))][0]
        pictures = self.held[folder]
        chosen = pictures[int(rng.choice(len(pictures), p=self.picture_weights[folder]))]
        return random_crop(chosen, rng, side, self.class_weights)


def _shares(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """To a sum of one; all equal where all are zero."""
    return weights / weights.sum() if weights.any() else np.full(len(weights), 1 / len(weights))


def to_batch(crops: list[Labelled], device: str) -> dict[str, Any]:
    """Crops as ultralytics' loss wants them: pictures RGB 0 to 1, boxes centre-size as shares of the picture."""
    stacked = np.stack([crop.picture[..., ::-1].transpose(2, 0, 1) for crop in crops])
    images = torch.from_numpy(np.ascontiguousarray(stacked)).to(device).float() / 255
    side = crops[0].picture.shape[0]
    boxes = np.concatenate([crop.boxes for crop in crops]) / side
    middle = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)
    owner: NDArray[np.int64] = np.repeat(np.arange(len(crops)), [len(crop.classes) for crop in crops])
    return {
        "img": images.to(memory_format=torch.channels_last),
        "cls": torch.from_numpy(np.concatenate([crop.classes for crop in crops])).float()[:, None].to(device),
        "bboxes": torch.from_numpy(middle).float().to(device),
        "batch_idx": torch.from_numpy(owner).float().to(device),
    }


class Trainer:
    """The model, its moving average, its optimiser, and how far it is."""

    def __init__(self, weights: Path | None, lr: float, device: str, keep_features: bool = False) -> None:
        from ultralytics.cfg import get_cfg
        from ultralytics.nn.tasks import DetectionModel, load_checkpoint
        from ultralytics.utils.torch_utils import ModelEMA

        self.device, self.lr = device, lr
        if weights is None:
            torch.manual_seed(20)
            self.model = DetectionModel(str(ARCHITECTURE), nc=len(MODEL_CLASSES), verbose=False)
        else:
            self.model = load_checkpoint(str(weights), device="cpu")[0].float()
        self.model.args = get_cfg()
        self.model.names = dict(enumerate(MODEL_CLASSES))
        for parameter in self.model.parameters():
            parameter.requires_grad = True
        self.model = self.model.to(device).to(memory_format=torch.channels_last).train()
        if keep_features:
            # Without their moving statistics as well: in `eval` a batch norm no longer learns them.
            self.model.model[:FEATURE_LAYERS].eval().requires_grad_(False)
        self.ema = ModelEMA(self.model, decay=0.998, tau=150)
        learnt = [p for p in self.model.parameters() if p.requires_grad]
        with_decay = [p for p in learnt if p.ndim > 1]
        without = [p for p in learnt if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": with_decay, "weight_decay": 5e-4}, {"params": without, "weight_decay": 0.0}], lr=lr
        )
        self.steps = 0

    def step(self, batch: dict[str, Any], lr: float) -> NDArray[np.float64]:
        """Learn from one batch; returns the losses of box, class and distance."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        total, parts = self.model(batch)
        total.sum().backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 10.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.ema.update(self.model)
        self.steps += 1
        values = parts.values() if isinstance(parts, dict) else parts
        return np.array([float(v) for v in values])

    def save(self, path: Path, spent_s: float) -> None:
        """Write a checkpoint that ultralytics loads as weights and that training goes on from; whole or not at all."""
        average = deepcopy(self.ema.ema).float()
        average.criterion = None
        model = deepcopy(self.model)
        model.criterion = None
        write_checkpoint(
            path,
            {
                "model": average, "ema": None, "epoch": -1, "optimizer": None, "train_args": {"task": "detect"},
                "date": datetime.now(UTC).isoformat(), "live": model.state_dict(), "adam": self.optimizer.state_dict(),
                "steps": self.steps, "spent_s": spent_s, "updates": self.ema.updates,
            },
        )  # fmt: skip

    def resume(self, path: Path) -> float:
        """Go on from a checkpoint; returns the seconds it had learnt for."""
        kept = torch.load(path, map_location=self.device, weights_only=False)
        self.model.load_state_dict(kept["live"])
        self.ema.ema.load_state_dict(kept["model"].state_dict())
        self.ema.updates = kept["updates"]
        self.optimizer.load_state_dict(kept["adam"])
        self.steps = int(kept["steps"])
        return float(kept["spent_s"])


def train(
    folders: dict[Path, float],
    name: str,
    *,
    minutes: float,
    weights: Path | None = None,
    keep_features: bool = False,
    lr: float = 2e-3,
    batch: int = 12,
    device: str = "cpu",
    resume: bool = False,
    seed: int = 0,
) -> Path:
    """Learn for some minutes, the learning rate falling along a cosine over them; returns the last checkpoint.

    With `keep_features` the layers that embeddings are pooled from stay as `weights` have them: what is found gets
    better, what two vehicles' likeness means stays the same.

    Raises:
        FileNotFoundError: the folders hold no picture.
    """
    cv2.setNumThreads(1)
    if device == "cpu":
        torch.set_num_threads(1)
    out = ROOT / name / "last.pt"
    pictures = Pictures(tuple(folders), tuple(folders.values()))
    if not pictures.read():
        raise FileNotFoundError(f"no pictures in {', '.join(map(str, folders))}: draw some first")
    trainer = Trainer(weights, lr, device, keep_features)
    before = trainer.resume(out) if resume and out.is_file() else 0.0
    rng = np.random.default_rng([seed, trainer.steps])
    started = saved = looked = said = time.monotonic()
    smooth: NDArray[np.float64] | None = None
    warm = 60 if weights is None else 20
    while True:
        now = time.monotonic()
        spent = before + now - started
        share = spent / (60 * minutes)
        if share >= 1:
            break
        if now - looked > LOOK_AGAIN_S:
            looked = now
            pictures.read()
        falling = 0.02 + 0.98 * (1 + math.cos(math.pi * share)) / 2
        side = WIDE_CROP if rng.random() < WIDE else CROP
        crops = max(1, round(batch * (CROP / side) ** 2))
        losses = trainer.step(
            to_batch([pictures.draw(rng, side) for _ in range(crops)], device),
            lr * falling * min(1.0, (trainer.steps + 1) / warm),
        )
        smooth = losses if smooth is None else 0.97 * smooth + 0.03 * losses
        if now - said > 20:
            said = now
            count = sum(len(v) for v in pictures.held.values())
            print(
                f"{spent / 60:6.1f} min, step {trainer.steps}, {count} pictures, losses {smooth.round(3)}", flush=True
            )
        if now - saved > SAVE_EVERY_S:
            saved = now
            trainer.save(out, spent)
    trainer.save(out, 60 * minutes)
    return out


def write_checkpoint(path: Path, content: dict[str, Any]) -> Path:
    """Write what a checkpoint holds, whole or not at all; returns `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half")
    torch.save(content, half)
    half.replace(path)
    return path


def weights_alone(checkpoint: Path, out: Path) -> Path:
    """Write a checkpoint's averaged weights in half precision, to be kept and gone on from; returns `out`."""
    kept = torch.load(checkpoint, map_location="cpu", weights_only=False)
    keys = ("ema", "epoch", "optimizer", "train_args", "date")
    return write_checkpoint(out, {"model": kept["model"].half(), **{key: kept.get(key) for key in keys}})


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="detector", help="folder of the checkpoints under build/training")
    parser.add_argument(
        "--pictures", nargs="+", default=["build/training/towns=3", "build/training/scatter=1"], help="FOLDER=SHARE …"
    )
    parser.add_argument("--weights", type=Path, help="start from these instead of from nothing")
    parser.add_argument("--keep-features", action="store_true", help="leave alone what embeddings are pooled from")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resume", action="store_true")
    a = parser.parse_args(argv)
    folders = {Path(name): float(share or 1) for name, _, share in (text.partition("=") for text in a.pictures)}
    print(
        train(
            folders,
            a.name,
            minutes=a.minutes,
            weights=a.weights,
            keep_features=a.keep_features,
            lr=a.lr,
            batch=a.batch,
            device=a.device,
            resume=a.resume,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
