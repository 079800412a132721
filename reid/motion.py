# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where a still camera's picture changes, within one GOP and from nothing but that GOP.

Frames are compared, small and grey, with the frame a fifth of a second before (the first ones with the frame after):
what travels shows, what waits does not, and a slow change of light is subtracted. Nothing is kept from one GOP to the
next, so that looking again at a GOP gives the same answer whatever came before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from reid.passage import Box

SMALL_WIDTH = 192
"""Pixels across the picture in which changes are looked for."""

GRID = (18, 32)
"""Rows and columns of the summary that travels with the findings."""

_LAG_S = 0.2
_LEAST_CHANGE = 11.0
"""Grey levels; below this, sensor noise and compression."""
_NOISE_FACTOR = 7.0
_LEAST_PIXELS = 3
"""Changed pixels that belong together, in the small picture, for a change to count."""


@dataclass(frozen=True, slots=True)
class Motion:
    """Changes of the frames of one GOP."""

    masks: NDArray[np.bool_]
    """(frames, rows, columns) of the small picture: where it changes."""
    scale: float
    """Small pixels per pixel of the picture."""

    def any(self, index: int) -> bool:
        """Whether anything changes in a frame."""
        return bool(self.masks[index].any())

    def share(self, index: int, box: Box) -> float:
        """Which share of a box (xyxy, pixels of the picture) changes in a frame, 0 to 1."""
        rows, columns = self.masks.shape[1:]
        left = int(np.clip(np.floor(box[0] * self.scale), 0, columns - 1))
        top = int(np.clip(np.floor(box[1] * self.scale), 0, rows - 1))
        right = int(np.clip(np.ceil(box[2] * self.scale), left + 1, columns))
        bottom = int(np.clip(np.ceil(box[3] * self.scale), top + 1, rows))
        return float(self.masks[index, top:bottom, left:right].mean())

    def grid(self, index: int) -> bytes:
        """The frame's changes on `GRID`, packed bits: a cell changes when a twentieth of it does."""
        mask = self.masks[index].astype(np.uint8) * 255
        cells = cv2.resize(mask, (GRID[1], GRID[0]), interpolation=cv2.INTER_AREA)
        return np.packbits(cells > 255 // 20).tobytes()


def shrink(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Make the small grey picture (rows, SMALL_WIDTH) of a frame (h, w, 3) BGR."""
    small_width = min(SMALL_WIDTH, frame.shape[1])
    size = (small_width, max(1, round(frame.shape[0] * small_width / frame.shape[1])))
    # Halving is an area mean that costs a tenth of one by an odd factor.
    while frame.shape[0] % 2 == frame.shape[1] % 2 == 0 and frame.shape[1] >= 4 * small_width:
        half = (frame.shape[1] // 2, frame.shape[0] // 2)
        frame = np.asarray(cv2.resize(frame, half, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def find_motion(small: Sequence[NDArray[np.uint8]], seconds: Sequence[float], first: int = 0) -> NDArray[np.bool_]:
    """Say where the pictures change: (len(small) - first, rows, columns).

    Args:
        small: the GOP's sampled frames, shrunk, in order; at least one.
        seconds: their times, from any origin.
        first: index of the first one asked about; those before are only compared with.
    """
    masks = np.zeros((len(small) - first, *small[0].shape), dtype=bool)
    for index in range(first, len(small)):
        other = _partner(seconds, index)
        if other is None:
            continue
        change = small[index].astype(np.float32) - small[other]
        change -= np.median(change)
        np.abs(change, out=change)
        change = cv2.blur(change, (3, 3))
        limit = max(_LEAST_CHANGE, _NOISE_FACTOR * float(np.median(change)))
        masks[index - first] = _drop_specks(change > limit)
    return masks


def cells_share(grid: bytes, box: Box, width_px: int, height_px: int) -> float:
    """Which share of a box changes, by the packed summary of `Motion.grid`, cells counted by their overlap with it."""
    rows, columns = GRID
    bits = np.unpackbits(np.frombuffer(grid, dtype=np.uint8), count=rows * columns).reshape(rows, columns)
    across = _overlaps(box[0] * columns / width_px, box[2] * columns / width_px, columns)
    down = _overlaps(box[1] * rows / height_px, box[3] * rows / height_px, rows)
    area = across.sum() * down.sum()
    return float(down @ bits @ across / area) if area > 0 else 0.0


def _overlaps(low: float, high: float, cells: int) -> NDArray[np.float64]:
    edges = np.arange(cells, dtype=np.float64)
    return np.asarray(np.clip(np.minimum(high, edges + 1) - np.maximum(low, edges), 0, None))


def _partner(seconds: Sequence[float], index: int) -> int | None:
    """The frame to compare with: the nearest at least the lag before, else after, else the farthest there is."""
    now = seconds[index]
    slack = _LAG_S - 1e-3
    for other in range(index - 1, -1, -1):
        if now - seconds[other] >= slack:
            return other
    for other in range(index + 1, len(seconds)):
        if seconds[other] - now >= slack:
            return other
    others = [i for i in range(len(seconds)) if i != index]
    return max(others, key=lambda i: abs(seconds[i] - now)) if others else None


def _drop_specks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Remove groups of changed pixels too small to be anything."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    keep = np.zeros(count, dtype=bool)
    keep[1:] = stats[1:, cv2.CC_STAT_AREA] >= _LEAST_PIXELS
    return np.asarray(keep[labels], dtype=bool)
