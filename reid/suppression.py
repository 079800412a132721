# SPDX-License-Identifier: AGPL-3.0-or-later
"""From a YOLO head's raw output to boxes: threshold, then non-maximum suppression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_CANDIDATES = 1000
"""Boxes over the threshold that suppression looks at, best first; a street frame has tens of objects."""
MAX_DETECTIONS = 300
COVERED_BY_TWO = 0.85
"""Share of a box that two stronger ones cover between them, from which it shows their seam and no third thing."""
EACH_OF_TWO = 0.2
"""Overlap (IoU) that each of the two has with it at least."""


def iou_matrix(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of every pair of (n, 4) and (m, 4) xyxy boxes: (n, m)."""
    left, top, right, bottom = (first[:, i, None] for i in range(4))
    width = np.minimum(right, second[:, 2]) - np.maximum(left, second[:, 0])
    height = np.minimum(bottom, second[:, 3]) - np.maximum(top, second[:, 1])
    inter = np.maximum(width, 0) * np.maximum(height, 0)
    area_first = (first[:, 2] - first[:, 0]) * (first[:, 3] - first[:, 1])
    area_second = (second[:, 2] - second[:, 0]) * (second[:, 3] - second[:, 1])
    union = area_first[:, None] + area_second[None, :] - inter
    ratio: NDArray[np.float32] = (inter / np.maximum(union, 1e-9)).astype(np.float32)
    return ratio


def suppress(boxes: NDArray[np.float32], scores: NDArray[np.float32], iou: float) -> NDArray[np.intp]:
    """Greedy non-maximum suppression: indices of the boxes kept, best score first.

    Equal scores keep their given order, so that the answer never depends on the sort's whims.
    """
    order = np.argsort(-scores, kind="stable")[:MAX_CANDIDATES]
    too_close = iou_matrix(boxes[order], boxes[order]) > iou
    alive = np.ones(len(order), dtype=bool)
    kept: list[int] = []
    for position in range(len(order)):
        if alive[position]:
            kept.append(int(order[position]))
            if len(kept) == MAX_DETECTIONS:
                break
            alive &= ~too_close[position]
    return np.asarray(kept, dtype=np.intp)


def lies_on_two(boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which boxes hold nothing but parts of two stronger ones: (n,), for (n, 4) xyxy boxes, strongest first.

    Between two vehicles parked one behind the other, a tail and a bonnet look like a third one. It overlaps neither
    enough to be suppressed, and what shows of a vehicle that really stands behind two others sticks out above them.
    """
    overlap = np.tril(iou_matrix(boxes, boxes), -1)
    found = np.zeros(len(boxes), dtype=bool)
    for row in np.flatnonzero((overlap >= EACH_OF_TWO).sum(axis=1) >= 2):
        two = np.argsort(-overlap[row], kind="stable")[:2]
        low, high = boxes[[row, *two], :2], boxes[[row, *two], 2:]
        area, first, second, both = (
            float(np.prod(np.maximum(high[of].min(axis=0) - low[of].max(axis=0), 0)))
            for of in ([0], [0, 1], [0, 2], [0, 1, 2])
        )
        found[row] = first + second - both >= COVERED_BY_TWO * area
    return found


def decode(
    output: NDArray[np.float32],
    confidence: float,
    iou: float,
    class_agnostic: bool,
    kin: Sequence[int] = (),
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Read one picture's raw output: boxes (n, 4) xyxy in input pixels, scores (n,), class numbers (n,).

    Args:
        output: (4 + classes, anchors), centre-size boxes then class scores (YOLO8 to YOLO12 and ours), or
            (k, 6), rows of x1, y1, x2, y2, score, class (models that suppress by themselves, YOLO10 and YOLO26).
        confidence: lowest score kept.
        iou: overlap above which the weaker of two boxes goes.
        class_agnostic: whether boxes of different classes suppress each other.
        kin: classes that are kinds of one thing. A box whose likeliest class is among them scores as that thing does,
            whichever kind it is: what may be a van or a truck is a vehicle for sure. One that lies on two stronger
            ones of them goes.
    """
    if output.shape[1] == 6:
        rows = output[output[:, 4] > confidence]
        return rows[:, :4].copy(), rows[:, 4].copy(), rows[:, 5].astype(np.int64)
    best = output[4:].max(axis=0)
    candidates = np.flatnonzero(best > confidence / max(1, len(kin)))  # a joint score is at most their sum
    chosen = output[:, candidates]
    scores = best[candidates]
    numbers = chosen[4:].argmax(axis=0)
    if kin:
        rows = 4 + np.asarray(kin)
        joint = 1 - np.prod(1 - chosen[rows], axis=0)
        scores = np.where(np.isin(numbers, kin), joint, scores)
        enough = scores > confidence
        chosen, scores, numbers = chosen[:, enough], scores[enough], numbers[enough]
    half = chosen[2:4] / 2
    boxes = np.concatenate([chosen[:2] - half, chosen[:2] + half]).T.astype(np.float32, copy=False)
    # Boxes of different classes are moved far apart, so that one pass suppresses within each class only.
    spread = boxes if class_agnostic else boxes + (numbers[:, None] * 8192).astype(np.float32)
    kept = suppress(spread, scores, iou)
    things = kept[np.isin(numbers[kept], kin)]
    kept = kept[~np.isin(kept, things[lies_on_two(boxes[things])])]
    return boxes[kept], scores[kept], numbers[kept]
