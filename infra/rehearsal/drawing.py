# SPDX-License-Identifier: AGPL-3.0-or-later
"""The inner loops of a frame: put shaded bodies into the picture by depth, darken and light the ground."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

F32 = NDArray[np.float32]


@njit(cache=True, fastmath=True)
def compose(
    colour: F32,
    depth: F32,
    x0: int,
    y0: int,
    standing: F32,
    moving: F32,
    owners: NDArray[np.int16],
    number: int,
    gain: F32,
    tone: NDArray[np.uint8],
    tone_scale: float,
    picture: NDArray[np.uint8],
) -> int:
    """Blend a crop drawn at two samples per pixel into `picture` (BGR); returns the silhouette's sample count.

    A sample shows where it is nearer than what stands (`standing`) and than what moved before (`moving`); `owners`
    keeps who is seen in each sample.
    """
    h, w = depth.shape
    full = 0
    last = tone.shape[0] - 1
    for py in range(h // 2):
        for px in range(w // 2):
            hit = 0
            r = g = b = 0.0
            for j in range(2):
                for i in range(2):
                    y, x = py * 2 + j, px * 2 + i
                    z = depth[y, x]
                    if z > 0.0:
                        full += 1
                        gy, gx = y0 + y, x0 + x
                        if z > standing[gy, gx] * 1.002 and z > moving[gy, gx]:
                            moving[gy, gx] = z
                            owners[gy, gx] = number
                            hit += 1
                            r += colour[y, x, 0]
                            g += colour[y, x, 1]
                            b += colour[y, x, 2]
            if hit:
                Y, X = (y0 >> 1) + py, (x0 >> 1) + px
                k = tone_scale / hit
                a = hit * 0.25
                vr = tone[min(last, int(r * k * gain[Y, X, 0]))]
                vg = tone[min(last, int(g * k * gain[Y, X, 1]))]
                vb = tone[min(last, int(b * k * gain[Y, X, 2]))]
                picture[Y, X, 0] = int(picture[Y, X, 0] * (1 - a) + vb * a + 0.5)
                picture[Y, X, 1] = int(picture[Y, X, 1] * (1 - a) + vg * a + 0.5)
                picture[Y, X, 2] = int(picture[Y, X, 2] * (1 - a) + vr * a + 0.5)
    return full


@njit(cache=True, fastmath=True)
def seen_box(owners: NDArray[np.int16], number: int, x0: int, y0: int, x1: int, y1: int, out: NDArray[np.int32]) -> int:
    """Count the samples of `number` inside a region and write their box (x0, y0, x1, y1, exclusive) to `out`."""
    count = 0
    lo_x, lo_y, hi_x, hi_y = 1 << 30, 1 << 30, -1, -1
    for y in range(y0, y1):
        for x in range(x0, x1):
            if owners[y, x] == number:
                count += 1
                lo_x, hi_x = min(lo_x, x), max(hi_x, x)
                lo_y, hi_y = min(lo_y, y), max(hi_y, y)
    out[0], out[1], out[2], out[3] = lo_x, lo_y, hi_x + 1, hi_y + 1
    return count


@njit(cache=True, fastmath=True)
def silhouette_box(depth: F32, x0: int, y0: int, out: NDArray[np.int32]) -> int:
    """Box of everything drawn in a crop, in the picture's samples."""
    h, w = depth.shape
    count = 0
    lo_x, lo_y, hi_x, hi_y = 1 << 30, 1 << 30, -1, -1
    for y in range(h):
        for x in range(w):
            if depth[y, x] > 0.0:
                count += 1
                lo_x, hi_x = min(lo_x, x), max(hi_x, x)
                lo_y, hi_y = min(lo_y, y), max(hi_y, y)
    out[0], out[1], out[2], out[3] = lo_x + x0, lo_y + y0, hi_x + 1 + x0, hi_y + 1 + y0
    return count


@njit(cache=True, fastmath=True)
def contact(
    ground_xy: F32,
    x0: int,
    y0: int,
    x1: int,
    y1: int,
    cx: float,
    cy: float,
    sin_h: float,
    cos_h: float,
    half_l: float,
    half_w: float,
    strength: float,
    reach: float,
    dark: F32,
) -> None:
    """Darken the ground under and close around a body: where little sky is seen. Multiplies into `dark`."""
    for y in range(y0, y1):
        for x in range(x0, x1):
            dx, dy = ground_xy[y, x, 0] - cx, ground_xy[y, x, 1] - cy
            along = abs(dx * sin_h + dy * cos_h) - half_l
            across = abs(dx * cos_h - dy * sin_h) - half_w
            if along > reach or across > reach:
                continue
            ox, oy = max(along, 0.0), max(across, 0.0)
            d = np.sqrt(ox * ox + oy * oy)
            if d <= 0.0:
                d = max(along, across) * 0.55
            t = min(1.0, max(0.0, 1.0 - (d + 0.30) / (reach + 0.30)))
            dark[y, x] *= 1.0 - strength * t * t * (3 - 2 * t)


@njit(cache=True, fastmath=True)
def beam(
    ground_xy: F32,
    x0: int,
    y0: int,
    x1: int,
    y1: int,
    cx: float,
    cy: float,
    sin_h: float,
    cos_h: float,
    half_l: float,
    strength: float,
    light: F32,
) -> None:
    """Dipped headlamps on the road ahead and a little red behind; adds RGB irradiance into `light` (h, w, 3)."""
    for y in range(y0, y1):
        for x in range(x0, x1):
            dx, dy = ground_xy[y, x, 0] - cx, ground_xy[y, x, 1] - cy
            along = dx * sin_h + dy * cos_h - half_l
            across = dx * cos_h - dy * sin_h
            if along > 0.0 and along < 30.0:
                value = 0.0
                for side in range(2):
                    off = across - (0.55 if side else -0.55)
                    spread = 0.45 + 0.19 * along
                    t = off / spread
                    value += np.exp(-t * t * 0.8) / (1.0 + 0.05 * along * along * 0.35)
                value *= strength * min(1.0, along * 0.55) * min(1.0, (30.0 - along) * 0.08)
                light[y, x, 0] += value
                light[y, x, 1] += value * 0.93
                light[y, x, 2] += value * 0.80
            else:
                back = -(along + 2 * half_l)
                if back > 0.0 and back < 5.0 and abs(across) < 3.0:
                    value = strength * 0.14 * np.exp(-back * 0.6 - across * across * 0.5)
                    light[y, x, 0] += value
                    light[y, x, 1] += value * 0.06
                    light[y, x, 2] += value * 0.04


@njit(cache=True, fastmath=True)
def relight(
    x0: int,
    y0: int,
    x1: int,
    y1: int,
    linear: F32,
    direct: F32,
    base: F32,
    shade: F32,
    dark: F32,
    light: F32,
    use_light: bool,
    still_shade: F32,
    still_dark: F32,
    owners: NDArray[np.int16],
    gain: F32,
    tone: NDArray[np.uint8],
    tone_scale: float,
    original: NDArray[np.uint8],
    picture: NDArray[np.uint8],
) -> None:
    """Redraw ground pixels of a region with shadow (`shade` 0..1), contact darkness and added light.

    `original` has the shadows of what is parked (`still_shade`, `still_dark`) in it already; pixels that a parked body
    owns are left alone. Everything gathered is put back to the parked state.
    """
    last = tone.shape[0] - 1
    for y in range(y0, y1):
        for x in range(x0, x1):
            s, d = shade[y, x], dark[y, x]
            s0, d0 = still_shade[y, x], still_dark[y, x]
            touched = s > s0 + 0.004 or d < d0 - 0.004
            lit = use_light and light[y, x, 0] > 0.0005
            if not touched and not lit:
                continue
            shade[y, x] = s0
            dark[y, x] = d0
            if base[y, x, 0] <= 0.0 or owners[2 * y, 2 * x] >= 0 or owners[2 * y + 1, 2 * x + 1] >= 0:
                if use_light:
                    light[y, x, 0] = light[y, x, 1] = light[y, x, 2] = 0.0
                continue
            sun = direct[y, x]
            before, after = (1.0 - sun * s0) * d0, (1.0 - sun * s) * d
            for c in range(3):
                # the unlit part is bluish: it is sky alone
                cool = 0.10 if c == 2 else (-0.03 if c == 0 else 0.0)
                full = linear[y, x, c] * gain[y, x, c] * tone_scale
                old = full * before * (1.0 + cool * s0 * sun)
                new = full * after * (1.0 + cool * s * sun)
                if use_light:
                    new += base[y, x, c] * light[y, x, c] * gain[y, x, c] * tone_scale
                    light[y, x, c] = 0.0
                change = int(tone[min(last, int(new))]) - int(tone[min(last, int(old))])
                v = int(original[y, x, 2 - c]) + change
                picture[y, x, 2 - c] = 0 if v < 0 else (255 if v > 255 else v)


@njit(cache=True, fastmath=True)
def mirror(
    colour: F32,
    depth: F32,
    x0: int,
    y0: int,
    gloss: F32,
    standing: F32,
    gain: F32,
    tone: NDArray[np.uint8],
    tone_scale: float,
    picture: NDArray[np.uint8],
    blur: int,
) -> None:
    """Blend a body drawn upside down under the road into the wet ground it would be mirrored in."""
    h, w = depth.shape
    last = tone.shape[0] - 1
    for py in range(h // 2):
        for px in range(w // 2):
            Y, X = (y0 >> 1) + py, (x0 >> 1) + px
            g = gloss[Y, X]
            if g < 0.05:
                continue
            hit = 0
            r = gg = b = 0.0
            for k in range(-3, 4):
                y, x = py * 2 + k * blur, px * 2 + (k & 1)
                if y < 0 or y >= h:
                    continue
                if depth[y, x] > 0.0:
                    hit += 1
                    r += colour[y, x, 0]
                    gg += colour[y, x, 1]
                    b += colour[y, x, 2]
            if hit:
                a = g * 0.42 * hit / 7.0
                k2 = tone_scale / hit
                vr = tone[min(last, int(r * k2 * gain[Y, X, 0]))]
                vg = tone[min(last, int(gg * k2 * gain[Y, X, 1]))]
                vb = tone[min(last, int(b * k2 * gain[Y, X, 2]))]
                picture[Y, X, 0] = int(picture[Y, X, 0] * (1 - a) + vb * a)
                picture[Y, X, 1] = int(picture[Y, X, 1] * (1 - a) + vg * a)
                picture[Y, X, 2] = int(picture[Y, X, 2] * (1 - a) + vr * a)


@njit(cache=True, fastmath=True)
def glare(
    picture: NDArray[np.uint8], cx: float, cy: float, radius: float, red: float, green: float, blue: float
) -> None:
    """Add the halo of a lamp (levels 0..255 at its middle), with a wide faint skirt."""
    h, w = picture.shape[:2]
    r = int(radius * 4) + 1
    for y in range(max(0, int(cy) - r), min(h, int(cy) + r + 1)):
        for x in range(max(0, int(cx) - r), min(w, int(cx) + r + 1)):
            q = ((x - cx) ** 2 + (y - cy) ** 2) / (radius * radius)
            k = np.exp(-q * 1.6) + 0.16 * np.exp(-q * 0.28)
            if k < 0.004:
                continue
            picture[y, x, 0] = min(255, int(picture[y, x, 0] + blue * k))
            picture[y, x, 1] = min(255, int(picture[y, x, 1] + green * k))
            picture[y, x, 2] = min(255, int(picture[y, x, 2] + red * k))
