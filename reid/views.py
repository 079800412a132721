# SPDX-License-Identifier: AGPL-3.0-or-later
"""Best views: which few looks at a vehicle are worth keeping as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from reid.boxes import area, intersection, iou, side
from reid.passage import Box, View

MOST_VIEWS: Final = 5
JPEG_QUALITY: Final = 88
LONGEST_SIDE_PX: Final = 384
_MARGIN: Final = 0.08
"""Of the box, shown around it."""


def quality(
    crop: NDArray[np.uint8], box: Box, score: float, width_px: int, height_px: int, others: Sequence[Box]
) -> float:
    """Worth of one look, 0 to 1: large, sharp, whole, certain.

    Args:
        crop: (h, w, 3) BGR, the box.
        box: where it lies in the picture, pixels.
        score: the detector's.
        width_px: of the picture.
        height_px: of the picture.
        others: boxes of the other vehicles in the frame; one that reaches lower stands in front.
    """
    if crop.size == 0:
        return 0.0
    size = min(1.0, side(box) / 220.0)
    grey = cv2.cvtColor(cv2.resize(crop, (64, 64), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    sharp = float(cv2.Laplacian(grey, cv2.CV_32F).var())
    sharpness = 0.35 + 0.65 * min(1.0, sharp / 900.0)
    edge = 2.0
    cut = (box[0] <= edge) + (box[1] <= edge) + (box[2] >= width_px - edge) + (box[3] >= height_px - edge)
    wholeness = 0.35**cut
    for other in others:
        if other[3] > box[3]:
            wholeness *= 1 - 0.8 * _covered(box, other)
    return float(size**0.7 * sharpness * wholeness * min(1.0, max(0.05, score)))


def cut_view(frame: NDArray[np.uint8], at: datetime, box: Box, worth: float) -> View:
    """Cut one view out of a frame (h, w, 3) BGR, with a small margin, as a JPEG of at most 384 px."""
    height, width = frame.shape[:2]
    dx, dy = _MARGIN * (box[2] - box[0]), _MARGIN * (box[3] - box[1])
    left, top = max(0, int(box[0] - dx)), max(0, int(box[1] - dy))
    right, bottom = min(width, int(np.ceil(box[2] + dx))), min(height, int(np.ceil(box[3] + dy)))
    crop = frame[top : max(bottom, top + 1), left : max(right, left + 1)]
    factor = LONGEST_SIDE_PX / max(crop.shape[:2])
    if factor < 1:
        size = (max(1, round(crop.shape[1] * factor)), max(1, round(crop.shape[0] * factor)))
        crop = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise ValueError(f"OpenCV could not encode a crop of {crop.shape[1]}x{crop.shape[0]} pixels as JPEG")
    return View(
        at=at, box=box, width_px=crop.shape[1], height_px=crop.shape[0], quality=round(worth, 4), jpeg=data.tobytes()
    )


def choose_candidates(
    boxes: Sequence[Sequence[Box]], worths: Sequence[Sequence[float]], per_vehicle: int = 3
) -> set[tuple[int, int]]:
    """Choose the looks of one GOP that may become best views, before any tracker has seen them.

    Boxes that overlap from frame to frame are taken for one vehicle; its looks are cut into as many stretches as views
    are wanted, and the best of each stretch is chosen.

    Args:
        boxes: per frame, the boxes found.
        worths: per frame, their `quality`.
        per_vehicle: looks to choose per chain.

    Returns:
        Pairs (frame index, index in the frame).
    """
    chains: list[list[tuple[int, int]]] = []
    for frame, found in enumerate(boxes):
        open_chains = [c for c in chains if frame - c[-1][0] <= 4]
        for index, box in enumerate(found):
            best = max(open_chains, key=lambda c: iou(boxes[c[-1][0]][c[-1][1]], box), default=None)
            if best is None or iou(boxes[best[-1][0]][best[-1][1]], box) < 0.2:
                chains.append([(frame, index)])
            else:
                open_chains.remove(best)
                best.append((frame, index))
    chosen: set[tuple[int, int]] = set()
    for chain in chains:
        for stretch in np.array_split(np.arange(len(chain)), per_vehicle):
            looks = [chain[i] for i in stretch]
            if looks:
                best_look = max(looks, key=lambda look: worths[look[0]][look[1]])
                if worths[best_look[0]][best_look[1]] > 0:
                    chosen.add(best_look)
    return chosen


def keep_best(views: Sequence[View], most: int = MOST_VIEWS) -> tuple[View, ...]:
    """Keep the best few: the best look first, then those that add most by their worth and their distance in time.

    In that order: who asks for one picture of a passage asks for the first.
    """
    left = sorted(views, key=lambda v: (-v.quality, v.at))
    if not left:
        return ()
    span = max((max(v.at for v in views) - min(v.at for v in views)).total_seconds(), 1e-6)
    kept = [left.pop(0)]
    while left and len(kept) < most:
        spread = [min(abs((v.at - k.at).total_seconds()) for k in kept) / span for v in left]
        gains = [v.quality * (0.5 + min(1.0, most * s)) for v, s in zip(left, spread, strict=True)]
        kept.append(left.pop(int(np.argmax(gains))))
    return tuple(kept)


def _covered(box: Box, other: Box) -> float:
    """Share of `box` under `other`."""
    return intersection(box, other) / max(1e-6, area(box))
