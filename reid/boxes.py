# SPDX-License-Identifier: AGPL-3.0-or-later
"""Arithmetic of single boxes `(x1, y1, x2, y2)` in pixels; `suppression.iou_matrix` does whole arrays."""

from __future__ import annotations

from reid.passage import Box


def area(box: Box) -> float:
    """Square pixels."""
    return (box[2] - box[0]) * (box[3] - box[1])


def intersection(a: Box, b: Box) -> float:
    """Square pixels that both cover."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0


def iou(a: Box, b: Box) -> float:
    """Intersection over union."""
    both = intersection(a, b)
    return both / (area(a) + area(b) - both) if both > 0 else 0.0
