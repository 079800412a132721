# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a camera sees when nothing moves, drawn once: picture, light parts, depth and where the sun falls."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from infra.rehearsal.bake_shading import shade_static, sunlit_grid
from infra.rehearsal.ground import Plate, draw_ground
from infra.rehearsal.lens import Sensor, sensor_of, soften
from infra.rehearsal.light import Light
from infra.rehearsal.raster import draw_ids
from infra.rehearsal.scene import TEXTURE_PX_PER_M, Scene
from infra.rehearsal.view import View, view_of
from infra.rehearsal.world import Camera, Town

F32 = NDArray[np.float32]
SAMPLES = 2
"""Samples per pixel side, in the background as in the bodies."""
NEAR_HALF_M = 42.0
SHADOW_HALF_M = 95.0
SHADOW_PX_M = 0.085
CELL_M = 0.5
FAR_PX = 3600


@dataclass(frozen=True, slots=True)
class Background:
    """A camera's empty picture and all that is needed to put something into it."""

    picture: NDArray[np.uint8]
    """Finished but for noise (h, w, 3), BGR."""
    linear: F32
    """Radiance (h, w, 3), RGB, before exposure."""
    direct: F32
    """Share of the sun in the radiance of ground pixels, 0 elsewhere (h, w)."""
    base: F32
    """Reflectance (h, w, 3) of the ground, 0 elsewhere: what headlamps shine on."""
    ground_xy: F32
    """Place of the ground under every pixel (h, w, 2); far away where no ground is seen."""
    gloss: F32
    """How strongly the ground mirrors (h, w): 0 dry."""
    depth: F32
    """Inverse depth of what stands there, `SAMPLES` times finer (H, W)."""
    sunlit: F32
    """Share of the sun 0.8 m over the ground, on a grid of `CELL_M`."""
    sunlit_place: tuple[float, float]
    """South-west corner of that grid."""
    sensor: Sensor


def bake(town: Town, camera: Camera, scene: Scene, light: Light) -> Background:
    """Draw the background of one camera."""
    view = view_of(camera)
    fine_h, fine_w = camera.height_px * SAMPLES, camera.width_px * SAMPLES
    rays = view.rays(SAMPLES)
    ids, depth = _draw(scene, view, fine_h, fine_w, mirrored=False)
    if light.wet > 0:
        ids_below, depth_below = _draw(scene, view, fine_h, fine_w, mirrored=True)
    else:
        ids_below, depth_below = np.full((1, 1), -1, np.int32), np.zeros((1, 1), np.float32)
    ahead = np.array([view.axes[2, 0], view.axes[2, 1]])
    ahead /= max(float(np.linalg.norm(ahead)), 1e-9)
    reach = np.array(camera.at) + ahead * (NEAR_HALF_M - 6.0)
    near = draw_ground(town.ground, _square(reach, NEAR_HALF_M), 0.03, 77)
    near_data, near_at, near_place = _pyramid(near)
    far_data, far_at, far_place = _far_plate(town)
    shadow, shadow_place = _shadow(scene, light, reach)
    total = np.zeros((fine_h, fine_w, 3), np.float32)
    direct = np.zeros((fine_h, fine_w), np.float32)
    base = np.zeros((fine_h, fine_w, 3), np.float32)
    kind = np.zeros((fine_h, fine_w), np.int8)
    eye = view.eye.astype(np.float32)
    lamps = lamps_near(scene.lamps, reach, 120.0)
    shade_static(
        rays,
        eye,
        ids,
        depth,
        ids_below,
        depth_below,
        1.0 / (view.focal_px * SAMPLES),
        scene.normal,
        scene.albedo,
        scene.shine,
        scene.texture,
        scene.origin,
        scene.axis,
        scene.atlas,
        scene.texture_at,
        TEXTURE_PX_PER_M,
        near_data,
        near_at,
        near_place,
        far_data,
        far_at,
        far_place,
        shadow,
        shadow_place,
        light.sun,
        light.sun_rgb,
        light.zenith_rgb,
        light.horizon_rgb,
        light.ground_rgb,
        lamps,
        light.street_lamps,
        light.wet,
        light.haze_per_m,
        total,
        direct,
        base,
        kind,
    )
    size = (camera.width_px, camera.height_px)
    small = cv2.resize(total, size, interpolation=cv2.INTER_AREA)
    on_ground = kind >= 0
    direct[~on_ground] = 0.0
    base[~on_ground] = 0.0
    small_direct = cv2.resize(direct, size, interpolation=cv2.INTER_AREA)
    small_base = cv2.resize(base, size, interpolation=cv2.INTER_AREA)
    rays_1 = view.rays(1)
    reach_m = np.where(rays_1[..., 2] < -1e-4, -eye[2] / np.minimum(rays_1[..., 2], -1e-4), 1e6)
    xy = np.clip(rays_1[..., :2] * reach_m[..., None] + eye[:2], -1e5, 1e5).astype(np.float32)
    covered = cv2.resize(on_ground.astype(np.uint8), size, interpolation=cv2.INTER_AREA)
    xy[covered == 0] = 1e5
    gloss = np.zeros(small_direct.shape, np.float32)
    if light.wet > 0:
        road = cv2.resize((kind == 2).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        gloss = (light.wet * road).astype(np.float32)
    sensor = sensor_of(camera, light, small)
    picture = soften(sensor.develop(small), camera)
    sunlit, corner = _sunlit(town, reach, shadow, shadow_place, light)
    return Background(picture, small, small_direct, small_base, xy, gloss, depth, sunlit, corner, sensor)


_FAR: dict[str, tuple[NDArray[np.uint8], NDArray[np.int64], F32]] = {}


def _far_plate(town: Town) -> tuple[NDArray[np.uint8], NDArray[np.int64], F32]:
    """The whole town's ground, coarse; the same for all its cameras, so the last one is kept."""
    key = f"{town.name}|{town.digest}"
    if key not in _FAR:
        _FAR.clear()
        x0, y0, x1, y1 = town.ground.bounds
        step = max(0.10, max(x1 - x0, y1 - y0) / FAR_PX)
        _FAR[key] = _pyramid(draw_ground(town.ground, town.ground.bounds, step, 77))
    return _FAR[key]


def lamps_near(lamps: F32, at: NDArray[np.float64], within_m: float) -> F32:
    """The street lamps around a place."""
    if not len(lamps):
        return lamps
    far = np.linalg.norm(lamps[:, :2] - at, axis=1)
    return np.ascontiguousarray(lamps[far < within_m])


def _square(at: NDArray[np.float64], half: float) -> tuple[float, float, float, float]:
    return float(at[0] - half), float(at[1] - half), float(at[0] + half), float(at[1] + half)


def _draw(scene: Scene, view: View, h: int, w: int, mirrored: bool) -> tuple[NDArray[np.int32], F32]:
    points = scene.points.astype(np.float64)
    if mirrored:
        points = points * np.array([1.0, 1.0, -1.0])
    x, y, iz = view.project(points, SAMPLES)
    ids = np.full((h, w), -1, np.int32)
    depth = np.zeros((h, w), np.float32)
    inside = (iz > 0) & (np.abs(x) < 30 * w) & (np.abs(y) < 30 * h)
    draw_ids(x, y, np.where(inside, iz, 0).astype(np.float32), scene.faces, ids, depth)
    return ids, depth


def _pyramid(plate: Plate) -> tuple[NDArray[np.uint8], NDArray[np.int64], F32]:
    """The plate at halved sizes, flattened: pixels (k, 4), per level offset, width, height, and its place."""
    level = np.concatenate([plate.rgb, plate.kind[..., None]], -1)
    parts, rows, offset = [], [], 0
    for _ in range(7):
        h, w = level.shape[:2]
        parts.append(level.reshape(-1, 4))
        rows.append((offset, w, h))
        offset += h * w
        if min(h, w) < 16:
            break
        level = cv2.resize(level, (w // 2, h // 2), interpolation=cv2.INTER_AREA)
    return (
        np.concatenate(parts),
        np.array(rows, np.int64),
        np.array([plate.x0, plate.y1, plate.metres_per_px], np.float32),
    )


def _shadow(scene: Scene, light: Light, at: NDArray[np.float64]) -> tuple[F32, F32]:
    """The sun's own depth picture around a place, and the numbers that lead there."""
    sun = light.sun.astype(np.float64)
    right = np.cross(np.array([0.0, 0.0, 1.0]), sun)
    right /= max(float(np.linalg.norm(right)), 1e-9)
    up = np.cross(sun, right)
    n = int(2 * SHADOW_HALF_M / SHADOW_PX_M)
    centre = np.array([at[0], at[1], 0.0])
    u0, v0 = float(centre @ right) - SHADOW_HALF_M, float(centre @ up) - SHADOW_HALF_M
    place = np.array([*right, *up, *sun, u0, v0, SHADOW_PX_M], np.float32)
    depth = np.zeros((n, n), np.float32)
    if light.sun_rgb.max() <= 1e-4:
        return depth[:8, :8].copy(), place
    p = scene.points.astype(np.float64)
    x = ((p @ right - u0) / SHADOW_PX_M).astype(np.float32)
    y = ((p @ up - v0) / SHADOW_PX_M).astype(np.float32)
    z = (p @ sun + 1000.0).astype(np.float32)
    ids = np.full((n, n), -1, np.int32)
    draw_ids(x, y, z, scene.faces, ids, depth)
    return depth, place


def _sunlit(
    town: Town, at: NDArray[np.float64], shadow: F32, place: F32, light: Light
) -> tuple[F32, tuple[float, float]]:
    half = 90.0
    n = int(2 * half / CELL_M)
    corner = (float(at[0] - half), float(at[1] - half))
    if light.sun_rgb.max() <= 1e-4:
        return np.zeros((1, 1), np.float32), corner
    out = np.empty((n, n), np.float32)
    sunlit_grid(corner[0], corner[1], CELL_M, shadow, place, out)
    return out, corner
