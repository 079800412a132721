# SPDX-License-Identifier: AGPL-3.0-or-later
"""The ground seen from straight above: asphalt, kerbs, pavements, markings, crossings, stains, patches."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from infra.rehearsal.world import Ground, Point

VERGE, PAVEMENT, ROAD = 0, 1, 2
_SHIFT = 4
Mask = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Plate:
    """A picture of the ground: 8-bit sRGB `rgb` (h, w, 3) and `kind` (h, w); row 0 is the north edge."""

    rgb: NDArray[np.uint8]
    kind: NDArray[np.uint8]
    x0: float
    y1: float
    metres_per_px: float


def _noise_tiles(seed: int) -> NDArray[np.float32]:
    """Seven periodic tiles of smooth random numbers (mean 0, spread 1), the same for every plate of a seed."""
    return np.random.default_rng(seed).normal(size=(7, 256, 256)).astype(np.float32)


@njit(cache=True, fastmath=True)
def _noise(tiles: NDArray[np.float32], which: int, x: float, y: float) -> float:
    """Noise at a place given in cells, straight between the tile's points."""
    fx, fy = np.floor(x), np.floor(y)
    ax, ay = x - fx, y - fy
    i, j = int(fx) & 255, int(fy) & 255
    k, m = (i + 1) & 255, (j + 1) & 255
    value: float = (tiles[which, j, i] * (1 - ax) + tiles[which, j, k] * ax) * (1 - ay) + (
        tiles[which, m, i] * (1 - ax) + tiles[which, m, k] * ax
    ) * ay
    return value


@njit(cache=True, fastmath=True)
def paint_ground(
    x0: float,
    y1: float,
    step: float,
    tiles: NDArray[np.float32],
    walk: Mask,
    kerb: Mask,
    hard: Mask,
    parking: Mask,
    cycle: Mask,
    patch: Mask,
    track: Mask,
    gutter: Mask,
    marks: Mask,
    out: Mask,
) -> None:
    """Colour every pixel of a plate from its masks (0..255) and noise; `out` (h, w, 3) sRGB."""
    h, w = walk.shape
    c = np.zeros(3, np.float32)
    close = step < 0.06
    for row in range(h):
        y = y1 - (row + 0.5) * step
        for col in range(w):
            x = x0 + (col + 0.5) * step
            wide = _noise(tiles, 0, x / 4.0, y / 4.0)
            mid = _noise(tiles, 1, x / 0.7, y / 0.7)
            fine = _noise(tiles, 2, x / 0.07, y / 0.07) if close else 0.0
            is_hard = hard[row, col] / 255.0
            if is_hard < 1.0:
                green = min(1.0, max(0.0, wide * 0.5 + _noise(tiles, 3, x / 11.0, y / 11.0) + 0.3))
                c[0] = (88 + mid * 7 + fine * 7) * green + (142 + mid * 4 + fine * 8) * (1 - green)
                c[1] = (102 + mid * 7 + fine * 7) * green + (134 + mid * 4 + fine * 8) * (1 - green)
                c[2] = (58 + mid * 7 + fine * 7) * green + (120 + mid * 4 + fine * 8) * (1 - green)
                a = walk[row, col] / 255.0
                if a > 0:
                    slab = 14.0 if close and (x % 0.8 < 0.025 or y % 0.8 < 0.025) else 0.0
                    g = wide * 4 + mid * 4 + fine * 4 - slab
                    c[0], c[1], c[2] = (
                        c[0] * (1 - a) + (140 + g) * a,
                        c[1] * (1 - a) + (136 + g) * a,
                        c[2] * (1 - a) + (130 + g) * a,
                    )
                a = kerb[row, col] / 255.0
                if a > 0:
                    g = mid * 5 + fine * 4
                    c[0], c[1], c[2] = (
                        c[0] * (1 - a) + (164 + g) * a,
                        c[1] * (1 - a) + (162 + g) * a,
                        c[2] * (1 - a) + (156 + g) * a,
                    )
            worn = 0.0
            if is_hard > 0:
                worn = _noise(tiles, 4, x / 2.2, y / 2.2)
                g = 92 + wide * 3.0 + worn * 2.5 + mid * 2.0 + fine * 5.0 - 7.0 * parking[row, col] / 255.0
                r, gr, b = g, g, g + 2
                a = 0.6 * cycle[row, col] / 255.0
                r, gr, b = (
                    r * (1 - a) + (112 + fine * 4) * a,
                    gr * (1 - a) + (92 + fine * 4) * a,
                    b * (1 - a) + (84 + fine * 4) * a,
                )
                dark = 17.0 * patch[row, col] / 255.0
                r, gr, b = r - dark, gr - dark, b - dark
                a = 0.40 * track[row, col] / 255.0
                g = 80 + mid * 2 + fine * 4
                r, gr, b = r * (1 - a) + g * a, gr * (1 - a) + g * a, b * (1 - a) + (g + 2) * a
                a = 0.6 * gutter[row, col] / 255.0
                r, gr, b = (
                    r * (1 - a) + (82 + fine * 6) * a,
                    gr * (1 - a) + (80 + fine * 6) * a,
                    b * (1 - a) + (76 + fine * 6) * a,
                )
                if close and wide > 0.2 and abs(_noise(tiles, 5, (x + mid * 0.2) / 3.1, (y + mid * 0.2) / 3.1)) < 0.012:
                    r, gr, b = r * 0.5 + 28, gr * 0.5 + 28, b * 0.5 + 29
                c[0], c[1], c[2] = (
                    c[0] * (1 - is_hard) + r * is_hard,
                    c[1] * (1 - is_hard) + gr * is_hard,
                    c[2] * (1 - is_hard) + b * is_hard,
                )
            a = marks[row, col] / 255.0
            if a > 0:
                a *= min(0.97, max(0.25, 0.84 + 0.10 * worn + 0.10 * mid + 0.08 * fine))
                c[0], c[1], c[2] = c[0] * (1 - a) + 226 * a, c[1] * (1 - a) + 226 * a, c[2] * (1 - a) + 222 * a
            for k in range(3):
                out[row, col, k] = int(min(255.0, max(0.0, c[k])))


def draw_ground(ground: Ground, rect: tuple[float, float, float, float], metres_per_px: float, seed: int) -> Plate:
    """Draw the part of the ground inside rect (x0, y0, x1, y1)."""
    x0, y0, x1, y1 = rect
    w, h = int((x1 - x0) / metres_per_px), int((y1 - y0) / metres_per_px)

    def px(points: tuple[Point, ...]) -> NDArray[np.int32]:
        a = np.array(points, dtype=np.float64)
        out = np.stack([(a[:, 0] - x0) / metres_per_px - 0.5, (y1 - a[:, 1]) / metres_per_px - 0.5], -1)
        return np.round(out * (1 << _SHIFT)).astype(np.int32)

    def fill(mask: NDArray[np.uint8], points: tuple[Point, ...], value: int = 255) -> None:
        if len(points) >= 3:
            cv2.fillPoly(mask, [px(points)], value, cv2.LINE_AA, _SHIFT)

    road = np.zeros((h, w), np.uint8)
    walk = np.zeros((h, w), np.uint8)
    cycle = np.zeros((h, w), np.uint8)
    parking = np.zeros((h, w), np.uint8)
    targets = {"road": road, "sidewalk": walk, "cycle": cycle, "parking": parking}
    for lane in ground.lanes:
        for strip in _strips(lane.points, lane.width_m / 2 + 0.02):
            fill(targets[lane.kind], strip)
    marks = np.zeros((h, w), np.uint8)
    for lane in ground.lanes:
        if lane.kind == "road":
            for dash in _dashes(_offset(lane.points, lane.width_m / 2), 3.0, 3.5, 0.12):
                fill(marks, dash)
        elif lane.kind == "parking":
            for dash in _dashes(_offset(lane.points, lane.width_m / 2), 0.5, 0.5, 0.10):
                fill(marks, dash)
            for bar in _bars(lane.points, lane.width_m, 5.5):
                fill(marks, bar)
    junction = np.zeros((h, w), np.uint8)
    for shape in ground.junctions:
        fill(junction, shape)
    marks[junction > 0] = 0
    road = np.maximum(road, junction)
    for crossing in ground.crossings:
        for stripe in _zebra(crossing):
            fill(marks, stripe)
    for a, b in ground.stop_lines:
        fill(marks, _bar(a, b, 0.4))
    hard = np.maximum(np.maximum(road, cycle), parking)
    kerb_px = max(1, round(0.18 / metres_per_px))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * kerb_px + 1, 2 * kerb_px + 1))
    kerb = cv2.subtract(cv2.dilate(hard, kernel), hard)
    gutter_px = max(1, round(0.25 / metres_per_px))
    inner = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * gutter_px + 1, 2 * gutter_px + 1))
    gutter = cv2.subtract(hard, cv2.erode(hard, inner))

    track = np.zeros((h, w), np.uint8)
    for lane in ground.lanes:
        if lane.kind == "road":
            for side in (-0.75, 0.75):
                pts = px(_offset(lane.points, side))
                cv2.polylines(track, [pts], False, 255, max(1, int(0.55 / metres_per_px)), cv2.LINE_AA, _SHIFT)
    track = cv2.GaussianBlur(track, (0, 0), max(0.6, 0.16 / metres_per_px))
    patch = _patches(ground, px, (h, w), seed)
    rgb = np.empty((h, w, 3), np.uint8)
    paint_ground(
        x0, y1, metres_per_px, _noise_tiles(seed), walk, kerb, hard, parking, cycle, patch, track, gutter, marks, rgb
    )
    for x, y, r in _manholes(ground, seed):
        cx, cy = px(((x, y),))[0]
        radius = int(r / metres_per_px * (1 << _SHIFT))
        if metres_per_px < 0.06 and -500 < cx / 16 < w + 500 and -500 < cy / 16 < h + 500:
            cv2.circle(rgb, (int(cx), int(cy)), radius, (66, 64, 62), -1, cv2.LINE_AA, _SHIFT)
            cv2.circle(rgb, (int(cx), int(cy)), radius, (110, 108, 104), 1, cv2.LINE_AA, _SHIFT)
    kind = np.where(hard > 127, ROAD, np.where((walk > 127) | (kerb > 127), PAVEMENT, VERGE)).astype(np.uint8)
    return Plate(rgb, kind, x0, y1, metres_per_px)


def _offset(points: tuple[Point, ...], left_m: float) -> tuple[Point, ...]:
    """The polyline shifted to its left."""
    a = np.array(points, dtype=np.float64)
    if len(a) < 2:
        return points
    d = np.gradient(a, axis=0)
    d /= np.maximum(np.linalg.norm(d, axis=1, keepdims=True), 1e-9)
    out = a + np.stack([-d[:, 1], d[:, 0]], 1) * left_m
    return tuple((float(x), float(y)) for x, y in out)


def _strips(points: tuple[Point, ...], half: float) -> list[tuple[Point, ...]]:
    """One polygon per lane (its two edges joined)."""
    if len(points) < 2:
        return []
    return [(*_offset(points, half), *_offset(points, -half)[::-1])]


def _walk(points: tuple[Point, ...], step: float) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Places and directions every `step` metres along a polyline."""
    a = np.array(points, dtype=np.float64)
    seg = np.diff(a, axis=0)
    length = np.linalg.norm(seg, axis=1)
    total = np.concatenate([[0.0], np.cumsum(length)])
    out = []
    for s in np.arange(0.0, total[-1], step):
        i = min(int(np.searchsorted(total, s, side="right")) - 1, len(seg) - 1)
        t = (s - total[i]) / max(length[i], 1e-9)
        out.append((a[i] + seg[i] * t, seg[i] / max(length[i], 1e-9)))
    return out


def _dashes(points: tuple[Point, ...], on_m: float, off_m: float, width_m: float) -> list[tuple[Point, ...]]:
    if len(points) < 2:
        return []
    return [_bar_along(p, d, on_m, width_m) for p, d in _walk(points, on_m + off_m)]


def _bar_along(p: NDArray[np.float64], d: NDArray[np.float64], length: float, width: float) -> tuple[Point, ...]:
    n = np.array([-d[1], d[0]]) * width / 2
    q = p + d * length
    return tuple((float(c[0]), float(c[1])) for c in (p + n, q + n, q - n, p - n))


def _bar(a: Point, b: Point, width: float) -> tuple[Point, ...]:
    pa, pb = np.array(a), np.array(b)
    d = pb - pa
    length = float(np.linalg.norm(d))
    return _bar_along(pa, d / max(length, 1e-9), length, width)


def _bars(points: tuple[Point, ...], width: float, step: float) -> list[tuple[Point, ...]]:
    """Bars across a parking strip."""
    if len(points) < 2:
        return []
    out = []
    for p, d in _walk(points, step):
        n = np.array([-d[1], d[0]])
        out.append(_bar_along(p - n * width / 2, n, width, 0.10))
    return out


def _zebra(polygon: tuple[Point, ...]) -> list[tuple[Point, ...]]:
    """Stripes of a crossing: they lie along the traffic, side by side along the way that people walk."""
    if len(polygon) < 3:
        return []
    (cx, cy), (w, h), angle = cv2.minAreaRect(np.array(polygon, dtype=np.float32))
    a = np.radians(angle)
    u, v = np.array([np.cos(a), np.sin(a)]), np.array([-np.sin(a), np.cos(a)])
    if h > w:
        u, v, w, h = v, u, h, w
    centre = np.array([cx, cy])
    count = max(1, int(w / 1.0))
    out = []
    for k in range(count):
        at = centre + u * ((k + 0.5) / count - 0.5) * w - v * (h / 2 - 0.15)
        out.append(_bar_along(at, v, h - 0.3, 0.5))
    return out


def _patches(ground: Ground, px, shape: tuple[int, int], seed: int) -> NDArray[np.uint8]:  # type: ignore[no-untyped-def]
    """Rectangles of newer asphalt where the road was dug up."""
    rng = np.random.default_rng(seed + 11)
    out = np.zeros(shape, np.uint8)
    for lane in ground.lanes:
        if lane.kind != "road" or len(lane.points) < 2:
            continue
        for p, d in _walk(lane.points, 23.0):
            if rng.uniform() < 0.45:
                start = p + d * rng.uniform(0, 18)
                cv2.fillPoly(
                    out,
                    [px(_bar_along(start, d, rng.uniform(1.2, 6), rng.uniform(0.8, 2.4)))],
                    255,
                    cv2.LINE_AA,
                    _SHIFT,
                )
    return out


def _manholes(ground: Ground, seed: int) -> list[tuple[float, float, float]]:
    rng = np.random.default_rng(seed + 12)
    out = []
    for lane in ground.lanes:
        if lane.kind == "road" and len(lane.points) > 1:
            for p, d in _walk(lane.points, 31.0):
                q = p + d * rng.uniform(0, 25) + np.array([-d[1], d[0]]) * rng.uniform(-0.8, 0.8)
                out.append((float(q[0]), float(q[1]), float(rng.choice([0.32, 0.36]))))
    return out
