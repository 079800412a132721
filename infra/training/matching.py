# SPDX-License-Identifier: AGPL-3.0-or-later
"""Detections held against the truth: one-to-one matching, with regions that count for nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from reid.suppression import iou_matrix


@dataclass(frozen=True, slots=True)
class Matched:
    """One frame's outcome."""

    truth_hit: NDArray[np.bool_]
    """(t,) whether each true box that counts was found."""
    pairs: tuple[tuple[int, int], ...]
    """(truth row, detection row) of each hit."""
    false_alarm: NDArray[np.bool_]
    """(d,) detections that match nothing and lie in no ignore region."""


def match(
    truth: NDArray[np.float32],
    ignore: NDArray[np.float32],
    detections: NDArray[np.float32],
    iou: float = 0.5,
) -> Matched:
    """Pair true boxes and detections one to one, as many as can be, at `iou` or more.

    Args:
        truth: (t, 4) boxes that must be found.
        ignore: (g, 4) boxes that may be found or not: a detection left over that overlaps one by `iou`, or that lies
            in one by half of its own area, is no false alarm.
        detections: (d, 4).
        iou: least overlap of a pair.
    """
    hit = np.zeros(len(truth), dtype=bool)
    false_alarm = np.ones(len(detections), dtype=bool)
    pairs: list[tuple[int, int]] = []
    if len(truth) and len(detections):
        overlap = iou_matrix(truth, detections)
        # As many pairs as can be comes first, the overlap only breaks ties.
        rows, columns = linear_sum_assignment(np.where(overlap >= iou, 1 + 1e-3 * overlap, 0), maximize=True)
        for row, column in zip(rows, columns, strict=True):
            if overlap[row, column] >= iou:
                hit[row] = True
                false_alarm[column] = False
                pairs.append((int(row), int(column)))
    if len(ignore) and len(detections):
        excused = iou_matrix(ignore, detections).max(axis=0) >= iou
        low = np.maximum(ignore[:, None, :2], detections[None, :, :2])
        high = np.minimum(ignore[:, None, 2:], detections[None, :, 2:])
        inside = np.prod(np.clip(high - low, 0, None), axis=2)
        own = np.prod(detections[:, 2:] - detections[:, :2], axis=1)
        false_alarm &= ~(excused | ((inside / np.maximum(own, 1e-9)).max(axis=0) >= 0.5))
    return Matched(truth_hit=hit, pairs=tuple(pairs), false_alarm=false_alarm)
