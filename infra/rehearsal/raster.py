# SPDX-License-Identifier: AGPL-3.0-or-later
"""Triangles to pixels: the depth-buffered rasteriser under every picture of the town.

Compiled by numba. All buffers are row-major; `iz` is the inverse depth along the camera's axis (1/m), which is
linear on the screen, so larger means nearer and 0 means infinitely far.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

F32 = NDArray[np.float32]


@njit(cache=True, fastmath=True)
def draw_ids(sx: F32, sy: F32, iz: F32, faces: NDArray[np.int32], ids: NDArray[np.int32], depth: F32) -> None:
    """Rasterise faces (m, 3) by depth; writes the face number into `ids` and 1/depth into `depth`."""
    height, width = depth.shape
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        if iz[a] <= 0.0 or iz[b] <= 0.0 or iz[c] <= 0.0:
            continue
        ax, ay, bx, by, cx, cy = sx[a], sy[a], sx[b], sy[b], sx[c], sy[c]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-9:
            continue
        x_lo = max(0, int(np.floor(min(ax, bx, cx) - 0.5)))
        x_hi = min(width - 1, int(np.ceil(max(ax, bx, cx) - 0.5)))
        y_lo = max(0, int(np.floor(min(ay, by, cy) - 0.5)))
        y_hi = min(height - 1, int(np.ceil(max(ay, by, cy) - 0.5)))
        inv = 1.0 / area
        for y in range(y_lo, y_hi + 1):
            py = y + 0.5
            for x in range(x_lo, x_hi + 1):
                px = x + 0.5
                wa = ((bx - px) * (cy - py) - (by - py) * (cx - px)) * inv
                wb = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) * inv
                wc = 1.0 - wa - wb
                if wa < 0.0 or wb < 0.0 or wc < 0.0:
                    continue
                z = wa * iz[a] + wb * iz[b] + wc * iz[c]
                if z > depth[y, x]:
                    depth[y, x] = z
                    ids[y, x] = f


@njit(cache=True, fastmath=True)
def draw_colours(
    sx: F32,
    sy: F32,
    iz: F32,
    rgb: F32,
    faces: NDArray[np.int32],
    x0: int,
    y0: int,
    colour: F32,
    depth: F32,
) -> None:
    """Rasterise shaded faces into a crop whose corner is (x0, y0); back faces (positive area, y down) are left out."""
    height, width = depth.shape
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        if iz[a] <= 0.0 or iz[b] <= 0.0 or iz[c] <= 0.0:
            continue
        ax, ay, bx, by, cx, cy = sx[a] - x0, sy[a] - y0, sx[b] - x0, sy[b] - y0, sx[c] - x0, sy[c] - y0
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area > -1e-9:
            continue
        x_lo = max(0, int(np.floor(min(ax, bx, cx) - 0.5)))
        x_hi = min(width - 1, int(np.ceil(max(ax, bx, cx) - 0.5)))
        y_lo = max(0, int(np.floor(min(ay, by, cy) - 0.5)))
        y_hi = min(height - 1, int(np.ceil(max(ay, by, cy) - 0.5)))
        inv = 1.0 / area
        for y in range(y_lo, y_hi + 1):
            py = y + 0.5
            for x in range(x_lo, x_hi + 1):
                px = x + 0.5
                wa = ((bx - px) * (cy - py) - (by - py) * (cx - px)) * inv
                if wa < 0.0:
                    continue
                wb = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) * inv
                wc = 1.0 - wa - wb
                if wb < 0.0 or wc < 0.0:
                    continue
                z = wa * iz[a] + wb * iz[b] + wc * iz[c]
                if z > depth[y, x]:
                    depth[y, x] = z
                    colour[y, x, 0] = wa * rgb[a, 0] + wb * rgb[b, 0] + wc * rgb[c, 0]
                    colour[y, x, 1] = wa * rgb[a, 1] + wb * rgb[b, 1] + wc * rgb[c, 1]
                    colour[y, x, 2] = wa * rgb[a, 2] + wb * rgb[b, 2] + wc * rgb[c, 2]


@njit(cache=True, fastmath=True)
def draw_mask(
    sx: F32, sy: F32, ok: NDArray[np.bool_], faces: NDArray[np.int32], x0: int, y0: int, mask: NDArray[np.uint8]
) -> None:
    """Fill the silhouette of faces with 255, without depth (shadows on the ground)."""
    height, width = mask.shape
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        if not (ok[a] and ok[b] and ok[c]):
            continue
        ax, ay, bx, by, cx, cy = sx[a] - x0, sy[a] - y0, sx[b] - x0, sy[b] - y0, sx[c] - x0, sy[c] - y0
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area > -1e-9:  # faces turned to the sun alone: they cover the whole silhouette
            continue
        x_lo = max(0, int(np.floor(min(ax, bx, cx) - 0.5)))
        x_hi = min(width - 1, int(np.ceil(max(ax, bx, cx) - 0.5)))
        y_lo = max(0, int(np.floor(min(ay, by, cy) - 0.5)))
        y_hi = min(height - 1, int(np.ceil(max(ay, by, cy) - 0.5)))
        inv = 1.0 / area
        for y in range(y_lo, y_hi + 1):
            py = y + 0.5
            for x in range(x_lo, x_hi + 1):
                px = x + 0.5
                wa = ((bx - px) * (cy - py) - (by - py) * (cx - px)) * inv
                if wa < 0.0:
                    continue
                wb = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) * inv
                if wb >= 0.0 and wa + wb <= 1.0:
                    mask[y, x] = 255
