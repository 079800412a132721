# SPDX-License-Identifier: AGPL-3.0-or-later
"""Arithmetic of single boxes `(x1, y1, x2, y2)` in pixels; `suppression.iou_matrix` does whole arrays."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from reid.passage import Box

_EDGE: Final = 0.015
"""Of the picture's side."""


def as_boxes(boxes: NDArray[np.floating]) -> list[Box]:
    """The rows of an (n, 4) array."""
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in boxes.tolist()]


def area(box: Box) -> float:
    """Square pixels."""
    return (box[2] - box[0]) * (box[3] - box[1])


def side(box: Box) -> float:
    """Of the square of its area, pixels; 0 for a box turned inside out."""
    return float(np.sqrt(max(0.0, area(box))))


def intersection(a: Box, b: Box) -> float:
    """Square pixels that both cover."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0


def common(a: Box, b: Box) -> float:
    """Share of the smaller of two boxes that lies in the larger."""
    return intersection(a, b) / max(min(area(a), area(b)), 1e-6)


def iou(a: Box, b: Box) -> float:
    """Intersection over union."""
    both = intersection(a, b)
    return both / (area(a) + area(b) - both) if both > 0 else 0.0


def edges_touched(box: Box, size_px: tuple[int, int]) -> tuple[bool, bool, bool, bool]:
    """Which edges of a picture of that width and height it touches: left, top, right, bottom."""
    x, y = _EDGE * size_px[0], _EDGE * size_px[1]
    return box[0] < x, box[1] < y, box[2] > size_px[0] - x, box[3] > size_px[1] - y


def at_edge(box: Box, size_px: tuple[int, int]) -> bool:
    """Whether it touches an edge of the picture: what it is of may be leaving."""
    return any(edges_touched(box, size_px))
