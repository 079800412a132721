# SPDX-License-Identifier: AGPL-3.0-or-later
"""Colour of every vertex of a body in a given light: diffuse sun and sky, mirrored surroundings, lamps that shine."""

from __future__ import annotations

import hashlib

import numpy as np
from numba import njit
from numpy.typing import NDArray

from infra.rehearsal.light import Light, linear
from infra.rehearsal.mesh import Material
from infra.rehearsal.world import Vehicle

F32 = NDArray[np.float32]
LOOKS = len(Material)
BRAKE, LEFT, RIGHT, PARKED = 1, 2, 4, 8

_CLOTHS = (
    (32, 34, 42),
    (54, 62, 86),
    (120, 38, 36),
    (180, 176, 168),
    (70, 84, 62),
    (150, 120, 86),
    (24, 24, 26),
    (90, 110, 140),
    (200, 160, 60),
    (140, 60, 110),
)
_TROUSERS = ((28, 32, 48), (44, 44, 46), (58, 72, 104), (110, 98, 80), (20, 20, 22))
_HAIR = ((30, 22, 16), (70, 48, 30), (140, 110, 70), (120, 120, 120), (14, 12, 12))
_HELMETS = ((30, 30, 32), (220, 220, 220), (150, 30, 28), (40, 60, 110))
_SKINS = ((224, 178, 150), (198, 146, 112), (140, 96, 70), (92, 62, 46))
_STICKERS = ((210, 190, 60), (40, 90, 170), (190, 50, 50), (230, 230, 230), (60, 150, 80))


def looks_of(vehicle: Vehicle) -> F32:
    """Table (materials, 5): linear RGB, mirror strength at right angles, gloss exponent."""
    rng = np.random.default_rng(
        int.from_bytes(hashlib.sha256(f"{vehicle.identity}|{vehicle.mark_seed}".encode()).digest()[:8], "big")
    )

    def pick(choices: tuple[tuple[int, int, int], ...]) -> F32:
        return linear(choices[int(rng.integers(len(choices)))])

    paint = linear(vehicle.rgb)
    t = np.zeros((LOOKS, 5), np.float32)

    def put(m: Material, rgb: F32 | tuple[float, float, float], f0: float, gloss: float) -> None:
        t[m, :3] = rgb
        t[m, 3] = f0
        t[m, 4] = gloss

    grey = float(paint.mean())
    second = np.array([0.02, 0.02, 0.022], np.float32) if grey > 0.12 else np.array([0.75, 0.75, 0.74], np.float32)
    if vehicle.kind == "bus":
        second = linear(((40, 90, 150), (200, 60, 50), (60, 140, 90), (240, 180, 40))[int(rng.integers(4))])
    elif vehicle.body in ("truck_tipper", "truck_flatbed"):
        second = linear(((170, 90, 40), (90, 95, 100), (150, 40, 36), (60, 80, 120))[int(rng.integers(4))])
    metallic = vehicle.colour in ("grey", "blue", "brown", "green", "purple")
    put(Material.PAINT, paint, 0.055 if metallic else 0.045, 90.0)
    put(Material.PAINT_2, second, 0.045, 80.0)
    put(Material.GLASS, (0.010, 0.012, 0.013), 0.07, 220.0)
    put(Material.TYRE, (0.012, 0.012, 0.013), 0.01, 6.0)
    put(Material.RIM, (0.46, 0.47, 0.48), 0.14, 40.0)
    put(Material.PLASTIC, (0.016, 0.016, 0.017), 0.025, 12.0)
    put(Material.CHROME, (0.42, 0.43, 0.44), 0.3, 80.0)
    put(Material.HEADLAMP, (0.62, 0.64, 0.66), 0.22, 90.0)
    put(Material.TAILLAMP, (0.34, 0.012, 0.012), 0.06, 90.0)
    put(Material.BRAKELAMP, (0.40, 0.016, 0.014), 0.06, 90.0)
    put(Material.INDICATOR_LEFT, (0.55, 0.20, 0.03), 0.06, 90.0)
    put(Material.INDICATOR_RIGHT, (0.55, 0.20, 0.03), 0.06, 90.0)
    put(Material.PLATE, (0.72, 0.72, 0.72), 0.04, 20.0)
    put(Material.SKIN, pick(_SKINS), 0.02, 8.0)
    put(Material.CLOTH, pick(_CLOTHS), 0.0, 4.0)
    put(Material.TROUSERS, pick(_TROUSERS), 0.0, 4.0)
    put(Material.HELMET, pick(_HELMETS), 0.05, 90.0)
    put(Material.CARGO, (0.18, 0.14, 0.10), 0.0, 2.0)
    put(Material.SEAM, paint * 0.22 + 0.004, 0.02, 10.0)
    put(Material.WHITE, (0.74, 0.75, 0.75), 0.03, 30.0)
    put(Material.STICKER, pick(_STICKERS), 0.03, 20.0)
    put(Material.DENT, paint * 0.55, 0.02, 20.0)
    put(Material.DIRT, paint * 0.35 + np.array([0.075, 0.060, 0.042], np.float32), 0.005, 4.0)
    put(Material.HAIR, pick(_HAIR), 0.01, 8.0)
    put(Material.SEAT, (0.055, 0.06, 0.075), 0.06, 120.0)
    put(Material.DISPLAY, (0.55, 0.28, 0.04), 0.03, 40.0)
    put(Material.FABRIC, (0.018, 0.018, 0.022), 0.0, 3.0)
    return t


def glow_of(signals: int, light: Light, time_s: float) -> F32:
    """Light given off by each material (materials, 3) for a vehicle's lamps at this moment."""
    g = np.zeros((LOOKS, 3), np.float32)
    dark = light.headlamps
    if not signals & PARKED:
        head = 0.9 + 7.0 * min(1.0, dark * 1.5) if dark > 0 else 0.35
        g[Material.HEADLAMP] = np.array([1.0, 0.95, 0.86], np.float32) * head
        if dark > 0:
            g[Material.TAILLAMP] = np.array([1.0, 0.05, 0.03], np.float32) * 0.8
        if signals & BRAKE:
            g[Material.BRAKELAMP] = np.array([2.6, 0.14, 0.08], np.float32)
            g[Material.TAILLAMP] += np.array([0.7, 0.03, 0.02], np.float32)
    if time_s % 0.72 < 0.38:
        amber = np.array([2.4, 0.85, 0.06], np.float32)
        if signals & LEFT:
            g[Material.INDICATOR_LEFT] = amber
        if signals & RIGHT:
            g[Material.INDICATOR_RIGHT] = amber
    return g


@njit(cache=True, fastmath=True)
def shade(
    points: F32,
    normals: F32,
    materials: NDArray[np.int32],
    looks: F32,
    glow: F32,
    eye: F32,
    sun: F32,
    sun_rgb: F32,
    zenith: F32,
    horizon: F32,
    ground: F32,
    lamps: F32,
    out: F32,
) -> None:
    """Linear RGB per vertex into `out` (n, 3). `lamps` (k, 6): place, then RGB strength at one metre."""
    for i in range(points.shape[0]):
        nx, ny, nz = normals[i, 0], normals[i, 1], normals[i, 2]
        m = materials[i]
        vx, vy, vz = eye[0] - points[i, 0], eye[1] - points[i, 1], eye[2] - points[i, 2]
        d = 1.0 / np.sqrt(vx * vx + vy * vy + vz * vz + 1e-9)
        vx, vy, vz = vx * d, vy * d, vz * d
        nv = nx * vx + ny * vy + nz * vz
        nv_pos = max(nv, 0.02)
        ndl = max(nx * sun[0] + ny * sun[1] + nz * sun[2], 0.0)
        rx, ry, rz = 2 * nv * nx - vx, 2 * nv * ny - vy, 2 * nv * nz - vz
        f0, gloss = looks[m, 3], looks[m, 4]
        fres = f0 + (min(1.0, 9.0 * f0) - f0) * (1.0 - nv_pos) ** 5
        up = 0.5 + 0.5 * nz
        # what the surface mirrors: road below, house fronts near the horizon, sky above
        if rz < 0.0:
            k_ground, k_house, k_sky = min(1.0, 0.55 - rz * 3.0), 0.0, 0.0
            k_house = 1.0 - k_ground
        else:
            k_sky = min(1.0, max(0.0, (rz - 0.16) * 3.6))
            k_ground, k_house = 0.0, 1.0 - k_sky
        rs = max(rx * sun[0] + ry * sun[1] + rz * sun[2], 0.0)
        spec = rs**gloss * (gloss * 0.02 + 0.2) * (1.0 if ndl > 0 else 0.0)
        # parts near the road get less sky: the car shades itself and its own ground
        low = min(1.0, 0.45 + points[i, 2] * 0.8) if nz < 0.5 else 1.0
        for c in range(3):
            amb = (zenith[c] * 0.55 + horizon[c] * 0.45) * up * low + ground[c] * (1.0 - up) * low
            env = (
                k_sky * (zenith[c] * 0.7 + horizon[c] * 0.3) + k_house * horizon[c] * 0.38 + k_ground * ground[c] * 1.1
            )
            value = looks[m, c] * (amb + sun_rgb[c] * ndl) + fres * (env * 1.25 + spec * sun_rgb[c])
            for q in range(lamps.shape[0]):
                lx, ly, lz = lamps[q, 0] - points[i, 0], lamps[q, 1] - points[i, 1], lamps[q, 2] - points[i, 2]
                r2 = lx * lx + ly * ly + lz * lz + 0.5
                inv = 1.0 / np.sqrt(r2)
                hit = max((nx * lx + ny * ly + nz * lz) * inv, 0.0)
                mirror = max((rx * lx + ry * ly + rz * lz) * inv, 0.0) ** (gloss * 0.5 + 1.0)
                value += lamps[q, 3 + c] / r2 * (looks[m, c] * hit * max(0.15, lz * inv) + fres * mirror * 3.0)
            out[i, c] = value + glow[m, c]
