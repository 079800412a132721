# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where a still camera's picture changes, within one GOP and from nothing but that GOP.

Frames are compared, small and grey, with the frame a fifth of a second before (the first ones with the frame after):
what travels shows, what waits does not, and a slow change of light is subtracted. Nothing is kept from one GOP to the
next, so that looking again at a GOP gives the same answer whatever came before.

Two eyes look. The steady one says what of a picture moves. The sharp one sees a far motorcycle, and much that is
nothing: it says whether a picture is worth a look, where it is worth a closer one, and whether what is small moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from reid.passage import Box

GRID = (18, 32)
"""Rows and columns of the summary that travels with the findings."""

_LAG_S = 0.2
_NOISE_FACTOR = 7.0
_LEAST_PIXELS = 3
"""Changed pixels that belong together, in the small picture, for a change to count."""


@dataclass(frozen=True, slots=True)
class Eye:
    """How finely changes are looked for."""

    width_px: int
    """Pixels across the small picture in which they are."""
    least_change: float
    """Grey levels; what changes less is sensor noise and compression."""


STEADY = Eye(width_px=192, least_change=11.0)
SHARP = Eye(width_px=320, least_change=5.0)


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


class Watch:
    """One GOP as an eye sees it, frame by frame."""

    def __init__(self, eye: Eye) -> None:
        """Begin with nothing seen."""
        self._eye = eye
        self._small: list[NDArray[np.uint8]] = []
        self._scale = 1.0

    def see(self, frame: NDArray[np.uint8]) -> None:
        """Take the next frame (h, w, 3) BGR; all are of one size."""
        self._small.append(_shrink(frame, self._eye.width_px))
        self._scale = self._small[-1].shape[1] / frame.shape[1]

    def motion(self, seconds: Sequence[float], indices: Iterable[int]) -> Motion:
        """Say where these frames change, compared with any frame seen so far.

        Args:
            seconds: times of the frames seen, from any origin.
            indices: the frames asked about; at least one frame was seen.
        """
        masks = [self._changes(seconds, index) for index in indices]
        return Motion(np.array(masks, dtype=bool).reshape(-1, *self._small[0].shape), self._scale)

    def _changes(self, seconds: Sequence[float], index: int) -> NDArray[np.bool_]:
        other = _partner(seconds, index)
        if other is None:
            return np.zeros(self._small[index].shape, dtype=bool)
        change = self._small[index].astype(np.float32) - self._small[other]
        change -= np.median(change)
        np.abs(change, out=change)
        change = cv2.blur(change, (3, 3))
        limit = max(self._eye.least_change, _NOISE_FACTOR * float(np.median(change)))
        return _drop_specks(change > limit)


def _shrink(frame: NDArray[np.uint8], width_px: int) -> NDArray[np.uint8]:
    """Make the small grey picture (rows, width_px) of a frame (h, w, 3) BGR."""
    small_width = min(width_px, frame.shape[1])
    size = (small_width, max(1, round(frame.shape[0] * small_width / frame.shape[1])))
    # Halving is an area mean that costs a tenth of one by an odd factor.
    while frame.shape[0] % 2 == frame.shape[1] % 2 == 0 and frame.shape[1] >= 4 * small_width:
        half = (frame.shape[1] // 2, frame.shape[0] // 2)
        frame = np.asarray(cv2.resize(frame, half, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


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
