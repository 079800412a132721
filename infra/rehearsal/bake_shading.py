# SPDX-License-Identifier: AGPL-3.0-or-later
"""Shading of the standing scene, sample by sample: textures, sun with shadows, sky, lamps, wet mirror, haze."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

F32 = NDArray[np.float32]


@njit(cache=True, fastmath=True)
def _lin(v: float) -> float:
    """8-bit sRGB level to linear."""
    c = v / 255.0
    return c * (c * (c * 0.305306011 + 0.682171111) + 0.012522878)


@njit(cache=True, fastmath=True)
def _ground(
    px: float,
    py: float,
    spread: float,
    near: NDArray[np.uint8],
    near_at: NDArray[np.int64],
    near_place: F32,
    far: NDArray[np.uint8],
    far_at: NDArray[np.int64],
    far_place: F32,
    out: F32,
) -> int:
    """SRGB level of the ground at (px, py) averaged over about `spread` metres; returns its kind (−1 off the map)."""
    for which in range(2):
        place = near_place if which == 0 else far_place
        at = near_at if which == 0 else far_at
        data = near if which == 0 else far
        u = (px - place[0]) / place[2]
        v = (place[1] - py) / place[2]
        if u < 1 or v < 1 or u >= at[0, 1] - 2 or v >= at[0, 2] - 2:
            continue
        level = 0
        size = place[2]
        while level < at.shape[0] - 1 and size * 1.4 < spread:
            size *= 2
            level += 1
        scale = 2.0**level
        w, h, base = at[level, 1], at[level, 2], at[level, 0]
        fx = min(max(u / scale - 0.5, 0.0), w - 1.001)
        fy = min(max(v / scale - 0.5, 0.0), h - 1.001)
        ix, iy = int(fx), int(fy)
        ax, ay = fx - ix, fy - iy
        p = base + iy * w + ix
        q = p + w
        for c in range(3):
            out[c] = (data[p, c] * (1 - ax) + data[p + 1, c] * ax) * (1 - ay) + (
                data[q, c] * (1 - ax) + data[q + 1, c] * ax
            ) * ay
        return int(data[at[0, 0] + int(v) * at[0, 1] + int(u), 3])
    out[0], out[1], out[2] = 104.0, 106.0, 92.0
    return -1


@njit(cache=True, fastmath=True)
def sun_share(
    x: float, y: float, z: float, shadow: F32, place: F32, soft: float, shake_u: float, shake_v: float
) -> float:
    """Share of the sun that reaches a point (percentage closer filtering on the sun's depth picture)."""
    u = (x * place[0] + y * place[1] + z * place[2] - place[9]) / place[11]
    v = (x * place[3] + y * place[4] + z * place[5] - place[10]) / place[11]
    d = x * place[6] + y * place[7] + z * place[8] + 1000.0
    h, w = shadow.shape
    if u < 3 or v < 3 or u >= w - 4 or v >= h - 4:
        return 1.0
    open_sky = 0.0
    for j in range(-1, 2):
        for i in range(-1, 2):
            uu, vv = int(u + (i + shake_u) * soft), int(v + (j + shake_v) * soft)
            if uu < 0 or vv < 0 or uu >= w or vv >= h or shadow[vv, uu] < d + 0.18:
                open_sky += 1.0
    return open_sky / 9.0


@njit(cache=True, fastmath=True)
def sunlit_grid(x0: float, y0: float, cell: float, shadow: F32, place: F32, out: F32) -> None:
    """Share of the sun 0.8 m over the ground on a grid."""
    for j in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[j, i] = sun_share(x0 + (i + 0.5) * cell, y0 + (j + 0.5) * cell, 0.8, shadow, place, 2.0, 0.0, 0.0)


@njit(cache=True, fastmath=True)
def _hash(a: int, b: int) -> float:
    h = (a * 374761393 + b * 668265263) & 0x7FFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0x7FFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFF) / 65535.0


@njit(cache=True, fastmath=True)
def _sky(rx: float, ry: float, rz: float, zenith: F32, horizon: F32, cloud: float, out: F32) -> None:
    t = min(1.0, max(0.0, rz) * 2.2) ** 0.6
    puff = 0.0
    if cloud > 0 and rz > 0.01:
        a, b = rx / (rz + 0.15) * 1.3, ry / (rz + 0.15) * 1.3
        puff = np.sin(a * 1.7 + 1.3 * np.sin(b * 1.1)) * np.sin(b * 2.3 + np.sin(a * 0.7)) + 0.5 * np.sin(
            a * 4.1 + b * 3.3
        )
        puff = max(0.0, puff) * cloud
    for c in range(3):
        out[c] = (horizon[c] * (1 - t) + zenith[c] * t) * (1 + puff * 0.5)


@njit(cache=True, fastmath=True)
def shade_static(
    rays: F32,
    eye: F32,
    ids: NDArray[np.int32],
    iz: F32,
    ids_below: NDArray[np.int32],
    iz_below: F32,
    footprint: float,
    normal: F32,
    albedo: F32,
    shine: F32,
    texture: NDArray[np.int32],
    origin: F32,
    axis: F32,
    atlas: NDArray[np.uint8],
    texture_at: NDArray[np.int64],
    px_per_m: float,
    near: NDArray[np.uint8],
    near_at: NDArray[np.int64],
    near_place: F32,
    far: NDArray[np.uint8],
    far_at: NDArray[np.int64],
    far_place: F32,
    shadow: F32,
    shadow_place: F32,
    sun: F32,
    sun_rgb: F32,
    zenith: F32,
    horizon: F32,
    bounce: F32,
    lamps: F32,
    street: float,
    wet: float,
    haze: float,
    total: F32,
    direct: F32,
    base: F32,
    kind: NDArray[np.int8],
) -> None:
    """Fill linear `total` (h, w, 3), its share from the sun `direct` (h, w), the reflectance `base` and the `kind`.

    `kind`: −2 sky, −1 something standing, 0 verge, 1 pavement, 2 road. `iz` gains the ground's inverse depth.
    """
    h, w = iz.shape
    tint = np.zeros(3, np.float32)
    sky = np.zeros(3, np.float32)
    mirror = np.zeros(3, np.float32)
    for y in range(h):
        for x in range(w):
            rx, ry, rz = rays[y, x, 0], rays[y, x, 1], rays[y, x, 2]
            depth_ground = 1e9
            if rz < -1e-4:
                depth_ground = -eye[2] / rz
            depth = 1e9
            f = ids[y, x]
            if f >= 0:
                depth = 1.0 / iz[y, x]
            length = np.sqrt(rx * rx + ry * ry + rz * rz)
            if depth > 4e8 and depth_ground > 3000.0:
                _sky(rx / length, ry / length, rz / length, zenith, horizon, 0.6, sky)
                for c in range(3):
                    total[y, x, c] = sky[c] * 1.15
                    base[y, x, c] = 0.0
                kind[y, x] = -2
                continue
            shine_here = 0.0
            wet_here = 0.0
            if depth_ground < depth:
                depth = depth_ground
                px, py, pz = eye[0] + rx * depth, eye[1] + ry * depth, 0.0
                k = _ground(px, py, depth * footprint * 1.6, near, near_at, near_place, far, far_at, far_place, tint)
                for c in range(3):
                    tint[c] = _lin(tint[c])
                nx, ny, nz = 0.0, 0.0, 1.0
                iz[y, x] = 1.0 / depth
                kind[y, x] = max(k, 0)
                if k >= 0 and wet > 0:
                    wet_here = wet * (1.0 if k == 2 else 0.6)
                    for c in range(3):
                        tint[c] *= 1.0 - 0.45 * wet_here
                leaf = False
            else:
                px, py, pz = eye[0] + rx * depth, eye[1] + ry * depth, eye[2] + rz * depth
                nx, ny, nz = normal[f, 0], normal[f, 1], normal[f, 2]
                leaf = texture[f] == -3
                if not leaf and nx * rx + ny * ry + nz * rz > 0:
                    nx, ny, nz = -nx, -ny, -nz
                for c in range(3):
                    tint[c] = albedo[f, c]
                shine_here = shine[f]
                t = texture[f]
                if t >= 0:
                    u = ((px - origin[f, 0]) * axis[f, 0] + (py - origin[f, 1]) * axis[f, 1]) * px_per_m
                    v = (pz - origin[f, 2]) * px_per_m
                    tw, th = texture_at[t, 1], texture_at[t, 2]
                    fu = min(max(u - 0.5, 0.0), tw - 1.001)
                    fv = min(max(th - v - 0.5, 0.0), th - 1.001)
                    iu, iv = int(fu), int(fv)
                    au, av = fu - iu, fv - iv
                    p = texture_at[t, 0] + iv * tw + iu
                    right = 1 if iu < tw - 1 else 0
                    below = tw if iv < th - 1 else 0
                    for c in range(3):
                        tint[c] = _lin(
                            (atlas[p, c] * (1 - au) + atlas[p + right, c] * au) * (1 - av)
                            + (atlas[p + below, c] * (1 - au) + atlas[p + below + right, c] * au) * av
                        )
                    shine_here = atlas[p, 3] / 255.0 * 0.5
                elif t == -2:
                    g = 1.0 - 0.25 * ((pz * 4.6) % 1.0) + 0.16 * (_hash(int(px * 5 + py * 3), int(pz * 4.6)) - 0.5)
                    for c in range(3):
                        tint[c] *= g
                kind[y, x] = -1
            ndl = nx * sun[0] + ny * sun[1] + nz * sun[2]
            if leaf:
                ndl = 0.35 + 0.65 * max(ndl, 0.0)
            lit = 0.0
            if ndl > 0.0 and sun_rgb[0] > 1e-4:
                lit = ndl * sun_share(
                    px + nx * 0.12,
                    py + ny * 0.12,
                    pz + nz * 0.05,
                    shadow,
                    shadow_place,
                    1.2,
                    _hash(x, y) - 0.5,
                    _hash(x + 991, y) - 0.5,
                )
            up = 0.5 + 0.5 * nz
            near_ground = 1.0 if nz > 0.7 else min(1.0, 0.62 + pz * 0.12)
            fade = 1.0 - np.exp(-haze * depth * length)
            power_all, power_sun = 0.0, 0.0
            if wet_here > 0:
                cosine = -rz / length
                fres = 0.02 + 0.98 * (1.0 - cosine) ** 5
                strength = min(0.85, fres * 1.2 + 0.03) * wet_here
                strength *= 0.55 + 0.45 * min(
                    1.0, max(0.0, 0.6 + 0.8 * np.sin(px * 0.9 + 1.7 * np.sin(py * 0.7)) * np.sin(py * 1.1))
                )
                mirror[0] = mirror[1] = mirror[2] = 0.0
                for tap in range(5):
                    yy = min(h - 1, max(0, y + int((_hash(x, y * 5 + tap) - 0.5) * 0.035 * h)))
                    xx = min(w - 1, max(0, x + int((_hash(x + 77, y * 5 + tap) - 0.5) * 0.006 * w)))
                    g = ids_below[yy, xx]
                    if g >= 0:
                        gz = abs(normal[g, 2])
                        for c in range(3):
                            mirror[c] += 0.2 * (
                                albedo[g, c]
                                * (0.75 * (zenith[c] * 0.5 + horizon[c] * 0.5) * (0.6 + 0.4 * gz) + 0.4 * sun_rgb[c])
                                + min(shine[g], 6.0) * street * 0.9
                            )
                    else:
                        _sky(rx / length, ry / length, -rz / length, zenith, horizon, 0.2, sky)
                        for c in range(3):
                            mirror[c] += 0.2 * sky[c]
            for c in range(3):
                amb = (zenith[c] * 0.58 + horizon[c] * 0.42) * up * near_ground + bounce[c] * (1.0 - up)
                value = tint[c] * (amb + sun_rgb[c] * lit)
                power_sun += tint[c] * sun_rgb[c] * lit
                if street > 0:
                    for q in range(lamps.shape[0]):
                        lx, ly, lz = lamps[q, 0] - px, lamps[q, 1] - py, lamps[q, 2] - pz
                        r2 = lx * lx + ly * ly + lz * lz + 0.3
                        if r2 > 1600.0:
                            continue
                        inv = 1.0 / np.sqrt(r2)
                        hit = (nx * lx + ny * ly + nz * lz) * inv
                        if leaf:
                            hit = 0.5
                        if hit > 0.0:
                            value += tint[c] * lamps[q, 3 + c] * street / r2 * hit * max(0.12, lz * inv)
                    value += shine_here * street * (1.0 if c == 0 else (0.82 if c == 1 else 0.52))
                if wet_here > 0:
                    value = value * (1.0 - strength) + mirror[c] * strength
                power_all += value
                total[y, x, c] = value * (1.0 - fade) + fade * (horizon[c] * 0.9)
                base[y, x, c] = tint[c]
            direct[y, x] = power_sun / max(power_all, 1e-6) * (1.0 - fade)
