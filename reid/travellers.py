# SPDX-License-Identifier: AGPL-3.0-or-later
"""Vehicle-sized things that travel through the picture, by motion alone, to hold against what the detector found.

A detector that cannot read a camera's view finds nothing and looks exactly like a quiet street. Things that move as
vehicles do, and that it never names, tell the two apart. Tall narrow things (people) and flicker (leaves) do not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from reid.boxes import common, iou
from reid.motion import Motion
from reid.passage import Box

_LEAST_AREA = 0.008
"""Share of the picture that a thing must cover."""
_LEAST_ASPECT = 0.75
"""Width over height below which it may be a person; what is larger than `_SURELY_AREA` is none, whatever its shape."""
_SURELY_AREA = 0.04
_LEAST_TRAVEL = 1.0
"""Travel within the GOP, in its own smaller side."""
_LEAST_SIGHTINGS = 4
_SAME = 0.3
"""Intersection over union from one frame to the next; flicker jumps, vehicles do not."""
_STRAIGHT = 0.6
"""Way made good over way walked: leaves in the wind walk far and get nowhere."""
_EXPLAINED = 0.3
"""Share of its frames in which a detection lay on it, for a thing to count as found."""


@dataclass(slots=True)
class _Thing:
    boxes: list[Box] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    found: list[bool] = field(default_factory=list)
    last: int = -1


def travel_seconds(
    motion: Motion, seconds: Sequence[float], detections: Sequence[NDArray[np.float32]]
) -> tuple[float, float]:
    """Seconds of travel that detections explain, and seconds that none explains, within one GOP.

    Args:
        motion: the GOP's changes.
        seconds: times of its sampled frames.
        detections: per sampled frame, boxes (n, 4) xyxy in pixels of the picture.
    """
    things: list[_Thing] = []
    rows, columns = motion.masks.shape[1:]
    for index in range(len(motion.masks)):
        free = [t for t in things if index - t.last <= 3]
        for box in _blobs(motion.masks[index]):
            near = max(free, key=lambda t: iou(t.boxes[-1], box), default=None)
            if near is None or iou(near.boxes[-1], box) < _SAME:
                near = _Thing()
                things.append(near)
            else:
                free.remove(near)
            near.boxes.append(box)
            near.times.append(seconds[index])
            near.found.append(_is_found(box, detections[index] * motion.scale))
            near.last = index
    explained = unexplained = 0.0
    for thing in things:
        if not _travels(thing, rows * columns):
            continue
        lasted = thing.times[-1] - thing.times[0]
        if np.mean(thing.found) >= _EXPLAINED:
            explained += lasted
        else:
            unexplained += lasted
    return explained, unexplained


def _blobs(mask: NDArray[np.bool_]) -> list[Box]:
    """Boxes (small pixels) of groups of changes; gaps within one thing are closed."""
    reach = max(3, mask.shape[0] // 10) | 1
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    return [
        (float(x), float(y), float(x + w), float(y + h))
        for x, y, w, h, _ in stats[1:count]
        if w * h >= _LEAST_AREA * mask.size / 2
    ]


def _is_found(box: Box, detections: NDArray[np.float32]) -> bool:
    return any(common(box, (float(d[0]), float(d[1]), float(d[2]), float(d[3]))) >= 0.35 for d in detections)


def _travels(thing: _Thing, picture: int) -> bool:
    if len(thing.boxes) < _LEAST_SIGHTINGS:
        return False
    boxes = np.array(thing.boxes)
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    area = float(np.median(widths * heights)) / picture
    if area < _LEAST_AREA or (np.median(widths / heights) < _LEAST_ASPECT and area < _SURELY_AREA):
        return False
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    went = float(np.linalg.norm(centres[-1] - centres[0]))
    walked = float(np.linalg.norm(np.diff(centres, axis=0), axis=1).sum())
    return went >= _LEAST_TRAVEL * float(np.median(np.minimum(widths, heights))) and went >= _STRAIGHT * walked
