# SPDX-License-Identifier: AGPL-3.0-or-later
"""Labelled pictures at the detector's scale, and the random crops of them that it learns from.

A folder holds, for each picture, `NAME.jpg` and `NAME.txt`, a line per thing: class, x0, y0, x1, y1 (pixels), hidden;
and where `infra.training.mistakes` has looked, `NAME.wrong`, a line per place that an earlier model took for a vehicle.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from reid.letterbox import PAD_VALUE, plan_fit

F32 = NDArray[np.float32]
INPUT_HW = (640, 1120)
"""The shipped detector's input: pictures are brought to its scale once, and crops are cut from that."""
CAMERA_WH = (INPUT_HW[1], round(INPUT_HW[1] * 9 / 16))
"""Width and height of a camera's picture at that scale: what of the input is no border."""
CROP = 320
"""Side of a training crop in pixels of the input scale: a fraction of the picture, and of the work."""
WIDE_CROP = 576
"""Side of a crop that holds a near bus whole: of nothing but small ones, a model learns no box wider than they are."""
LEAST_HEIGHT = 8.0
"""Lowest box, in pixels of the crop before it is enlarged, that is labelled (about 11 px at 720p)."""
MOST_HIDDEN = 0.7
"""Share hidden above which a box is no example, neither of a vehicle nor of none: its pixels are blotted out."""
AROUND = 0.7
"""Share of crops that are laid around some thing; the others show what a street without one looks like."""
SHRUNK = 0.25
"""Share of the crops that are cut larger and shrunk: what is near and rare shows what it looks like from far away."""
SMALLEST = 0.5
"""By how much at most."""
ENLARGED = 0.2
"""Share of the crops that are cut smaller, around something small, and enlarged: what a closer look will show."""
LARGEST = (1.8, 2.7)
"""By how much; `reid.closer_look` enlarges 2.7 times."""
LOW = 48.0
"""Height up to which a thing is small here."""
WRONG_SUFFIX = ".wrong"
AT_MISTAKES = 0.4
"""Share of the crops of a picture with known mistakes that are laid around one of them."""
LEAST_KEPT = 0.35
"""Share of a box that must lie in the crop."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A picture and what is in it."""

    picture: NDArray[np.uint8]
    """(h, w, 3) BGR."""
    classes: NDArray[np.int64]
    """(n,) index into `reid.classes.MODEL_CLASSES`."""
    boxes: F32
    """(n, 4) xyxy of the visible part, pixels."""
    hidden: F32
    """(n,) share of the silhouette that something covers, or that lies outside the picture."""
    wrong: F32 = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    """(m, 4) xyxy of what an earlier model took for a vehicle."""


def to_input_scale(scene: Labelled) -> Labelled:
    """Bring a picture to the detector's input scale, exactly as the detector itself does."""
    height, width = scene.picture.shape[:2]
    fit = plan_fit(height, width, INPUT_HW)
    size = (round(width * fit.scale), round(height * fit.scale))
    picture = cv2.resize(scene.picture, size, interpolation=cv2.INTER_LINEAR)
    return Labelled(np.asarray(picture, np.uint8), scene.classes, scene.boxes * np.float32(fit.scale), scene.hidden)


def random_crop(
    scene: Labelled, rng: np.random.Generator, side: int = CROP, weights: NDArray[np.float64] | None = None
) -> Labelled:
    """Cut a square of random place and scale, mostly around some thing, sometimes mirrored and recoloured.

    Args:
        scene: the picture, at the input's scale.
        rng: source of chance.
        side: of the square, pixels.
        weights: (classes,) how often a crop is laid around a thing of a class, beside one of another; equal if None.
    """
    height, width = scene.picture.shape[:2]
    scale = float(np.exp(rng.normal(0, 0.18)))
    share = np.ones(len(scene.boxes)) if weights is None else weights[scene.classes]
    low = scene.boxes[:, 3] - scene.boxes[:, 1] <= LOW
    kind = rng.random()
    if kind < SHRUNK:
        scale = max(float(rng.uniform(SMALLEST, 0.9)), side / height)
    elif kind < SHRUNK + ENLARGED and low.any():
        scale, share = float(rng.uniform(*LARGEST)), share * low
    reach = side / scale
    around: F32 | None = None
    if len(scene.wrong) and rng.random() < AT_MISTAKES:
        around = scene.wrong[int(rng.integers(len(scene.wrong)))]
    elif len(scene.boxes) and rng.random() < AROUND:
        around = scene.boxes[int(rng.choice(len(scene.boxes), p=share / share.sum()))]
    if around is not None:
        centre = (around[:2] + around[2:]) / 2 + rng.uniform(-0.38, 0.38, 2) * reach
    else:
        centre = rng.uniform(0, 1, 2) * (width, height)
    corner = np.array(
        [_held(centre[0] - reach / 2, width - reach, rng), _held(centre[1] - reach / 2, height - reach, rng)]
    )
    turn = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]], np.float32)
    source = scene.picture
    if scale < 0.8:
        # A camera's pixel is the mean of what lies in it; four of many pixels would be a picture sharper than any.
        source = np.asarray(cv2.GaussianBlur(source, (0, 0), 0.35 / scale), np.uint8)
    picture = cv2.warpAffine(
        source, turn, (side, side), flags=cv2.INTER_LINEAR, borderValue=(PAD_VALUE, PAD_VALUE, PAD_VALUE)
    )
    moved = ((scene.boxes - np.tile(corner, 2)) * scale).astype(np.float32)
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
        moved = np.stack([side - moved[:, 2], moved[:, 1], side - moved[:, 0], moved[:, 3]], axis=1)
    picture = _recoloured(picture, rng)
    # The picture's own edge cuts things as the crop's does: the truth's boxes end there already.
    clipped = np.clip(moved, 0, side).astype(np.float32)
    size = clipped[:, 2:] - clipped[:, :2]
    kept = np.prod(size, axis=1) / np.maximum(np.prod(moved[:, 2:] - moved[:, :2], axis=1), 1e-3)
    present = (size > 1).all(axis=1)
    least = LEAST_HEIGHT * max(1.0, scale)
    clear = present & (scene.hidden <= MOST_HIDDEN) & (kept >= LEAST_KEPT) & (size[:, 1] >= least)
    unclear = present & ~clear & (size.max(axis=1) >= least)
    if unclear.any():
        blot = np.zeros((side, side), bool)
        for x0, y0, x1, y1 in clipped[unclear].round().astype(int):
            blot[y0:y1, x0:x1] = True
        for x0, y0, x1, y1 in clipped[clear].round().astype(int):
            blot[y0:y1, x0:x1] = False
        picture[blot] = _surroundings(picture, blot)[blot]
    return Labelled(picture, scene.classes[clear], clipped[clear], scene.hidden[clear])


def _surroundings(picture: NDArray[np.uint8], blot: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A smooth picture made of what lies around the blotted pixels, never of themselves."""
    weight = (~blot).astype(np.float32)
    reach = (121, 121)
    total = cv2.blur(picture * weight[..., None], reach)
    share = cv2.blur(weight, reach)[..., None]
    middle = picture[~blot].mean(axis=0) if not blot.all() else np.full(3, PAD_VALUE)
    return np.asarray(np.where(share > 0.02, total / np.maximum(share, 0.02), middle), np.uint8)


def _held(low: float, most: float, rng: np.random.Generator) -> float:
    """A crop's corner kept inside the picture, or anywhere over it where the crop is the larger."""
    return float(np.clip(low, 0, most)) if most > 0 else float(rng.uniform(most, 0))


def _recoloured(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Another brightness, contrast, tint; sometimes softer, noisier or compressed again."""
    gain = np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, 0.04, 3))
    levels = np.arange(256)[:, None] / 255.0
    table = np.clip(levels ** np.exp(rng.normal(0, 0.15)) * gain + rng.normal(0, 0.02), 0, 1) * 255
    out = np.ascontiguousarray(cv2.LUT(np.ascontiguousarray(picture), table.astype(np.uint8)[None].reshape(256, 1, 3)))
    if rng.random() < 0.15:
        out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.3, 0.9)))
    if rng.random() < 0.2:
        grain = rng.normal(0, rng.uniform(1, 7), out.shape[:2]).astype(np.int16)
        out = np.clip(out.astype(np.int16) + grain[..., None], 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        coded = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 85))])[1]
        out = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    return np.ascontiguousarray(out, np.uint8)


def write_picture(folder: Path, name: str, scene: Labelled) -> None:
    """Write one picture and its labels; the picture last and by renaming, so that none is there half."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        f"{number} {x0:.1f} {y0:.1f} {x1:.1f} {y1:.1f} {hidden:.3f}"
        for number, (x0, y0, x1, y1), hidden in zip(scene.classes, scene.boxes, scene.hidden, strict=True)
    ]
    (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    coded = cv2.imencode(".jpg", scene.picture, [cv2.IMWRITE_JPEG_QUALITY, 96])[1]
    half = folder / f"{name}.half"
    half.write_bytes(coded.tobytes())
    half.replace(folder / f"{name}.jpg")


def read_picture(path: Path) -> Labelled:
    """Read back what `write_picture` wrote at `path` (the .jpg), with its known mistakes where there are some.

    Raises:
        ValueError: the picture or its labels cannot be read.
    """
    picture = cv2.imread(str(path))
    if picture is None:
        raise ValueError(f"{path} is no picture that can be read; remove it and draw it again")
    rows = [line.split() for line in path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()]
    numbers = np.array(rows, np.float32).reshape(-1, 6)
    beside = path.with_suffix(WRONG_SUFFIX)
    lines = beside.read_text(encoding="utf-8").splitlines() if beside.is_file() else []
    wrong = np.array([line.split() for line in lines], np.float32).reshape(-1, 4)
    classes = numbers[:, 0].astype(np.int64)
    return Labelled(np.asarray(picture, np.uint8), classes, numbers[:, 1:5], numbers[:, 5], wrong)
