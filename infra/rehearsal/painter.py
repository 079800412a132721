# SPDX-License-Identifier: AGPL-3.0-or-later
"""Draws one camera's frames: the baked background, and what moves put into it by depth, with its truth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from infra.rehearsal.bake import CELL_M, SAMPLES, Background, lamps_near
from infra.rehearsal.bodies import body_mesh
from infra.rehearsal.bodies_people import WALK_POSES
from infra.rehearsal.drawing import beam, compose, contact, glare, mirror, relight, seen_box, silhouette_box
from infra.rehearsal.lens import TONE_STEPS, TONE_TOP
from infra.rehearsal.light import Light
from infra.rehearsal.mesh import Material, Mesh
from infra.rehearsal.paint import BRAKE, LEFT, PARKED, RIGHT, glow_of, looks_of, shade
from infra.rehearsal.raster import draw_colours, draw_mask
from infra.rehearsal.view import view_of
from infra.rehearsal.world import Camera, Frame, Vehicle

F32 = NDArray[np.float32]
FAR_M = 160.0
TONE_SCALE = TONE_STEPS / TONE_TOP
_LAMPED = ("car", "van", "truck", "bus", "motorcycle")


@dataclass(frozen=True, slots=True)
class Placed:
    """One thing that moves, at one moment."""

    number: int
    """Its row in `Traffic.vehicles`."""
    vehicle: Vehicle
    x: float
    y: float
    heading_deg: float
    speed_mps: float
    signals: int
    travelled_m: float = 0.0
    """How far it has gone: picks a walker's pose."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Truth of one vehicle in one frame. Boxes are xyxy in pixels of the picture, right and lower edge exclusive."""

    number: int
    visible_box: tuple[float, float, float, float]
    """Tight on the pixels that show."""
    full_box: tuple[float, float, float, float]
    """Tight on the whole silhouette, as far as it lies inside the picture."""
    visible_share: float
    """Visible part of the silhouette inside the picture, 0 to 1."""
    in_frame_share: float
    """Part of the projected body that lies inside the picture, 0 to 1 (by its box)."""
    visible_px: int
    full_px: int
    """Pixels of the whole silhouette, those outside the picture included (estimated by its box)."""
    distance_m: float


@dataclass(slots=True)
class _Body:
    placed: Placed
    mesh: Mesh
    points: F32
    normals: F32
    distance: float
    crop: tuple[int, int, int, int]
    """x0, y0, x1, y1 in samples, even."""
    x: F32
    y: F32
    iz: F32
    whole: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class _Drawn:
    body: _Body
    number: int
    """Its mark in the owners' buffer."""
    area: int
    """Samples of its silhouette inside the picture."""
    whole: tuple[int, int, int, int]


class Painter:
    """Draws the frames of one camera. Not thread-safe: it keeps its buffers."""

    def __init__(self, camera: Camera, background: Background, light: Light, street_lamps: F32) -> None:
        self.camera = camera
        self.back = background
        self.light = light
        self.view = view_of(camera)
        self.eye = self.view.eye.astype(np.float32)
        h, w = camera.height_px, camera.width_px
        self.h, self.w = h, w
        self.moving = np.zeros((h * SAMPLES, w * SAMPLES), np.float32)
        self.owners = np.full((h * SAMPLES, w * SAMPLES), -1, np.int16)
        self.shade = np.zeros((h, w), np.float32)
        self.dark = np.ones((h, w), np.float32)
        self.added = np.zeros((h, w, 3), np.float32)
        self.colour = np.zeros((h * SAMPLES * w * SAMPLES, 3), np.float32)
        self.depth = np.zeros(h * SAMPLES * w * SAMPLES, np.float32)
        self.mask = np.zeros(h * SAMPLES * w * SAMPLES, np.uint8)
        self.lamps = street_lamps
        self.looks: dict[int, F32] = {}
        self.still_key: tuple[tuple[int, float, float, float], ...] | None = None
        self.still = background.picture
        self.still_shade, self.still_dark = np.zeros((h, w), np.float32), np.ones((h, w), np.float32)
        self.still_depth, self.still_owners = self.moving, self.owners
        self.still_drawn: list[_Drawn] = []
        self.still_seen: list[Seen | None] = []

    def near(self, pose: Frame) -> NDArray[np.intp]:
        """Rows of a pose that may show or throw a shadow into the picture."""
        dx, dy = pose.x - self.eye[0], pose.y - self.eye[1]
        right, forward = self.view.axes[0].astype(np.float32), self.view.axes[2].astype(np.float32)
        ahead = (dx * forward[0] + dy * forward[1]) / np.float32(max(math.hypot(forward[0], forward[1]), 0.2))
        aside = np.abs(dx * right[0] + dy * right[1])
        slope = self.w / 2 / self.view.focal_px * (1.35 if self.view.k1 < 0 else 1.15)
        return np.flatnonzero((ahead > -16.0) & (ahead < FAR_M) & (aside < np.maximum(ahead, 1.0) * slope + 22.0))

    def frame(self, things: list[Placed], time_s: float) -> tuple[NDArray[np.uint8], list[Seen]]:
        """Draw one frame: BGR picture (h, w, 3) without noise, and what is seen in it."""
        still = [t for t in things if t.signals & PARKED and t.speed_mps < 0.02]
        moving = [t for t in things if not (t.signals & PARKED and t.speed_mps < 0.02)]
        self._lay_still(still, time_s)
        picture = self.still.copy()
        bodies = self._bodies(moving)
        regions = self._light_ground(moving)
        self._relight(regions, self.still, picture)
        if self.light.wet > 0.02:
            for body in bodies:
                self._mirror(body, picture, time_s)
        drawn = self._draw_bodies(bodies, picture, time_s, len(self.still_drawn))
        touched = [d.body.crop for d in drawn]
        seen = [self._seen(d) for d in drawn]
        for k, d in enumerate(self.still_drawn):
            known = self.still_seen[k]
            seen.append(self._seen(d) if any(_meet(d.body.crop, c) for c in touched) else known)
        if self.light.lamp_glow > 0:
            self._glare(bodies, picture, time_s)
        for x0, y0, x1, y1 in touched:
            self.moving[y0:y1, x0:x1] = self.still_depth[y0:y1, x0:x1]
            self.owners[y0:y1, x0:x1] = self.still_owners[y0:y1, x0:x1]
        return picture, [s for s in seen if s is not None]

    def _lay_still(self, still: list[Placed], time_s: float) -> None:
        """Draw what is parked into the background; done anew only when something parks or leaves."""
        key = tuple((t.number, round(t.x, 2), round(t.y, 2), round(t.heading_deg, 1)) for t in still)
        if key == self.still_key:
            return
        self.still_key = key
        self.still = self.back.picture.copy()
        self.moving[:] = 0.0
        self.owners[:] = -1
        self.shade[:] = self.still_shade[:] = 0.0
        self.dark[:] = self.still_dark[:] = 1.0
        bodies = self._bodies(still)
        regions = self._light_ground(still)
        shade_now, dark_now = self.shade.copy(), self.dark.copy()
        self._relight(regions, self.back.picture, self.still)
        self.still_shade, self.still_dark = shade_now, dark_now
        self.shade[:], self.dark[:] = shade_now, dark_now
        if self.light.wet > 0.02:
            for body in bodies:
                self._mirror(body, self.still, time_s)
        self.still_drawn = self._draw_bodies(bodies, self.still, time_s, 0)
        self.still_seen = [self._seen(d) for d in self.still_drawn]
        self.still_depth, self.still_owners = self.moving.copy(), self.owners.copy()

    def _bodies(self, things: list[Placed]) -> list[_Body]:
        bodies = [b for t in things if (b := self._project(t)) is not None]
        bodies.sort(key=lambda b: -b.distance)
        return bodies

    def _draw_bodies(self, bodies: list[_Body], picture: NDArray[np.uint8], time_s: float, first: int) -> list[_Drawn]:
        drawn: list[_Drawn] = []
        box = np.zeros(4, np.int32)
        for body in bodies:
            colour, depth = self._shaded(body, time_s, mirrored=False)
            x0, y0, _, _ = body.crop
            if silhouette_box(depth, x0, y0, box) == 0:
                continue
            number = first + len(drawn)
            area = compose(
                colour,
                depth,
                x0,
                y0,
                self.back.depth,
                self.moving,
                self.owners,
                number,
                self.back.sensor.gain,
                self.back.sensor.tone,
                TONE_SCALE,
                picture,
            )
            drawn.append(_Drawn(body, number, area, (int(box[0]), int(box[1]), int(box[2]), int(box[3]))))
        return drawn

    def _project(self, t: Placed) -> _Body | None:
        """Turn, place and project a body; None where it is out of sight."""
        v = t.vehicle
        dx, dy = t.x - float(self.eye[0]), t.y - float(self.eye[1])
        radius = v.length_m * 0.6 + 1.5
        ahead = (
            dx * float(self.view.axes[2, 0])
            + dy * float(self.view.axes[2, 1])
            + (0.8 - float(self.eye[2])) * float(self.view.axes[2, 2])
        )
        if ahead < -radius or ahead > FAR_M:
            return None
        aside = abs(dx * float(self.view.axes[0, 0]) + dy * float(self.view.axes[0, 1]))
        slope = self.w / 2 / self.view.focal_px * (1.25 if self.view.k1 < 0 else 1.05)
        if aside - radius * 1.6 > max(ahead, 0.5) * slope + radius:
            return None
        pose = 0
        if v.kind == "pedestrian":
            pose = int(t.travelled_m / 1.45 * WALK_POSES) % WALK_POSES if t.speed_mps > 0.15 else 0
        mesh = body_mesh(v.body, v.marks, v.mark_seed, pose)
        turn = _turn(t.heading_deg)
        points = mesh.points @ turn
        points += np.array([t.x, t.y, 0.0], np.float32)
        x, y, iz = self.view.project(points.astype(np.float64), SAMPLES)
        ok = iz > 0
        if ok.mean() < 0.5:
            return None
        lo_x, hi_x, lo_y, hi_y = float(x[ok].min()), float(x[ok].max()), float(y[ok].min()), float(y[ok].max())
        crop = _even(lo_x, lo_y, hi_x, hi_y, self.w * SAMPLES, self.h * SAMPLES)
        if crop[2] - crop[0] < 2 or crop[3] - crop[1] < 2:
            return None
        distance = math.sqrt(dx * dx + dy * dy)
        return _Body(t, mesh, points, (mesh.normals @ turn), distance, crop, x, y, iz, (lo_x, lo_y, hi_x, hi_y))

    def _sun_at(self, t: Placed) -> float:
        """Share of the sun over a body: the mean of its middle and its two ends."""
        grid = self.back.sunlit
        if grid.shape[0] < 2:
            return 0.0
        x0, y0 = self.back.sunlit_place
        h = math.radians(t.heading_deg)
        total = 0.0
        for k in (-0.38, 0.0, 0.38):
            i = int((t.x + math.sin(h) * t.vehicle.length_m * k - x0) / CELL_M)
            j = int((t.y + math.cos(h) * t.vehicle.length_m * k - y0) / CELL_M)
            total += float(grid[j, i]) if 0 <= i < grid.shape[1] and 0 <= j < grid.shape[0] else 1.0
        return total / 3

    def _shaded(self, body: _Body, time_s: float, mirrored: bool) -> tuple[F32, F32]:
        """Shade and rasterise a body into the crop buffers."""
        t = body.placed
        looks = self.looks.get(t.number)
        if looks is None:
            looks = self.looks[t.number] = looks_of(t.vehicle)
        x0, y0, x1, y1 = body.crop
        h, w = y1 - y0, x1 - x0
        colour = self.colour[: h * w].reshape(h, w, 3)
        depth = self.depth[: h * w].reshape(h, w)
        depth[:] = 0.0
        rgb = np.empty_like(body.points)
        signals = t.signals if t.vehicle.kind in (*_LAMPED, "bicycle") else PARKED
        lamps = self._lamps_for(t)
        shade(
            body.points,
            body.normals,
            body.mesh.materials,
            looks,
            glow_of(signals, self.light, time_s),
            self.eye,
            self.light.sun,
            self.light.sun_rgb * np.float32(self._sun_at(t)),
            self.light.zenith_rgb,
            self.light.horizon_rgb,
            self.light.ground_rgb,
            lamps,
            rgb,
        )
        veil = np.float32(1.0 - math.exp(-self.light.haze_per_m * body.distance))
        rgb += (self.light.horizon_rgb * np.float32(0.9) - rgb) * veil
        if mirrored:
            draw_colours(
                body.x, body.y, body.iz, rgb, np.ascontiguousarray(body.mesh.faces[:, ::-1]), x0, y0, colour, depth
            )
        else:
            draw_colours(body.x, body.y, body.iz, rgb, body.mesh.faces, x0, y0, colour, depth)
        return colour, depth

    def _lamps_for(self, t: Placed) -> F32:
        """Street lamps that matter for a body (their strength scaled by the light)."""
        if self.light.street_lamps <= 0 or not len(self.lamps):
            return np.zeros((0, 6), np.float32)
        d = (self.lamps[:, 0] - t.x) ** 2 + (self.lamps[:, 1] - t.y) ** 2
        near = self.lamps[np.argsort(d)[:5]].copy()
        near[:, 3:] *= self.light.street_lamps
        return near

    def _light_ground(self, things: list[Placed]) -> list[tuple[int, int, int, int]]:
        """Gather shadows, contact darkness and beams of things; returns the regions that they touch."""
        regions: list[tuple[int, int, int, int]] = []
        sunny = self.light.sun_rgb.max() > 0.3
        for t in things:
            v = t.vehicle
            dx, dy = t.x - float(self.eye[0]), t.y - float(self.eye[1])
            if dx * dx + dy * dy > 110.0**2:
                continue
            h = math.radians(t.heading_deg)
            sin_h, cos_h = math.sin(h), math.cos(h)
            thin = v.kind in ("pedestrian", "bicycle", "motorcycle")
            half_l, half_w = v.length_m / 2 * (0.8 if thin else 0.97), v.width_m / 2 * (0.5 if thin else 0.97)
            region = self._ground_region(t, half_l + 0.9, half_l + 0.9, half_w + 0.9)
            if region is not None:
                contact(
                    self.back.ground_xy,
                    *region,
                    t.x,
                    t.y,
                    sin_h,
                    cos_h,
                    half_l,
                    half_w,
                    0.45 if thin else 0.78,
                    0.55,
                    self.dark,
                )
                regions.append(region)
            if self.light.headlamps > 0.02 and v.kind in _LAMPED and not t.signals & PARKED:
                region = self._ground_region(t, half_l + 30.0, half_l + 5.0, 6.0)
                if region is not None:
                    beam(
                        self.back.ground_xy,
                        *region,
                        t.x,
                        t.y,
                        sin_h,
                        cos_h,
                        half_l,
                        0.75 * self.light.headlamps,
                        self.added,
                    )
                    regions.append(region)
            if sunny and self._sun_at(t) > 0.02 and (region := self._shadow(t)) is not None:
                regions.append(region)
        return regions

    def _relight(
        self, regions: list[tuple[int, int, int, int]], original: NDArray[np.uint8], picture: NDArray[np.uint8]
    ) -> None:
        for region in regions:
            relight(
                *region,
                self.back.linear,
                self.back.direct,
                self.back.base,
                self.shade,
                self.dark,
                self.added,
                self.light.headlamps > 0.02,
                self.still_shade,
                self.still_dark,
                self.owners,
                self.back.sensor.gain,
                self.back.sensor.tone,
                TONE_SCALE,
                original,
                picture,
            )

    def _ground_region(self, t: Placed, ahead: float, behind: float, aside: float) -> tuple[int, int, int, int] | None:
        """Pixels (x0, y0, x1, y1) that hold a rectangle of ground around a body."""
        steps = np.linspace(-behind, ahead, 7)
        local = np.array([(s, f, 0.0) for f in steps for s in (-aside, aside)], np.float64)
        points = local @ _turn(t.heading_deg).astype(np.float64) + np.array([t.x, t.y, 0.0])
        x, y, iz = self.view.project(points)
        ok = iz > 0
        if not ok.any():
            return None
        x0, x1 = max(0, int(x[ok].min()) - 1), min(self.w, int(x[ok].max()) + 2)
        y0, y1 = max(0, int(y[ok].min()) - 1), min(self.h, int(y[ok].max()) + 2)
        if not ok.all():
            x0, x1, y1 = 0, self.w, self.h
        return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None

    def _shadow(self, t: Placed) -> tuple[int, int, int, int] | None:
        """Lay a body's shadow along the sun onto the ground; returns the region it may have touched."""
        sun = self.light.sun
        dx, dy = t.x - float(self.eye[0]), t.y - float(self.eye[1])
        reach = t.vehicle.height_m * float(math.hypot(sun[0], sun[1]) / max(float(sun[2]), 0.05)) + t.vehicle.length_m
        ahead = dx * float(self.view.axes[2, 0]) + dy * float(self.view.axes[2, 1])
        if (
            ahead < -reach
            or abs(dx * float(self.view.axes[0, 0]) + dy * float(self.view.axes[0, 1])) > max(ahead, 1.0) * 1.6 + reach
        ):
            return None
        pose = (
            int(t.travelled_m / 1.45 * WALK_POSES) % WALK_POSES
            if t.vehicle.kind == "pedestrian" and t.speed_mps > 0.15
            else 0
        )
        mesh = body_mesh(t.vehicle.body, t.vehicle.marks, t.vehicle.mark_seed, pose)
        p = mesh.points @ _turn(t.heading_deg)
        flat = np.empty(p.shape, np.float64)
        flat[:, 0] = p[:, 0] + t.x - p[:, 2] * sun[0] / sun[2]
        flat[:, 1] = p[:, 1] + t.y - p[:, 2] * sun[1] / sun[2]
        flat[:, 2] = 0.0
        x, y, iz = self.view.project(flat, SAMPLES)
        ok = iz > 0
        if not ok.any():
            return None
        crop = _even(
            float(x[ok].min()) - 6,
            float(y[ok].min()) - 6,
            float(x[ok].max()) + 6,
            float(y[ok].max()) + 6,
            self.w * SAMPLES,
            self.h * SAMPLES,
        )
        x0, y0, x1, y1 = crop
        if x1 - x0 < 2 or y1 - y0 < 2:
            return None
        mask = self.mask[: (y1 - y0) * (x1 - x0)].reshape(y1 - y0, x1 - x0)
        mask[:] = 0
        draw_mask(x, y, ok, mesh.faces, x0, y0, mask)
        small = cv2.resize(mask, ((x1 - x0) // 2, (y1 - y0) // 2), interpolation=cv2.INTER_AREA)
        distance = math.hypot(dx, dy)
        small = cv2.GaussianBlur(small, (0, 0), float(np.clip(26.0 / max(distance, 4.0), 0.7, 2.2)))
        region = (x0 // 2, y0 // 2, x1 // 2, y1 // 2)
        target = self.shade[region[1] : region[3], region[0] : region[2]]
        np.maximum(target, small.astype(np.float32) * np.float32(0.92 / 255.0), out=target)
        return region

    def _mirror(self, body: _Body, picture: NDArray[np.uint8], time_s: float) -> None:
        """The body's image in the wet road."""
        points = body.points.astype(np.float64) * np.array([1.0, 1.0, -1.0])
        x, y, iz = self.view.project(points, SAMPLES)
        ok = iz > 0
        if not ok.all():
            return
        crop = _even(
            float(x.min()), float(y.min()), float(x.max()), float(y.max()) + 24, self.w * SAMPLES, self.h * SAMPLES
        )
        if crop[2] - crop[0] < 2 or crop[3] - crop[1] < 2:
            return
        below = _Body(body.placed, body.mesh, body.points, body.normals, body.distance, crop, x, y, iz, body.whole)
        colour, depth = self._shaded(below, time_s, mirrored=True)
        mirror(
            colour,
            depth,
            crop[0],
            crop[1],
            self.back.gloss,
            self.back.depth,
            self.back.sensor.gain,
            self.back.sensor.tone,
            TONE_SCALE,
            picture,
            2,
        )

    def _seen(self, drawn: _Drawn) -> Seen | None:
        """Truth of one drawn body, None where nothing of it shows."""
        body, area = drawn.body, drawn.area
        box = np.zeros(4, np.int32)
        count = seen_box(self.owners, drawn.number, *body.crop, box)
        if count == 0 or area == 0:
            return None
        lo_x, lo_y, hi_x, hi_y = body.whole
        size = max((hi_x - lo_x) * (hi_y - lo_y), 1e-6)
        inside = max(0.0, min(hi_x, self.w * 2) - max(lo_x, 0)) * max(0.0, min(hi_y, self.h * 2) - max(lo_y, 0))
        share = float(min(1.0, max(inside / size, 1e-3)))
        return Seen(
            body.placed.number,
            (float(box[0]) / SAMPLES, float(box[1]) / SAMPLES, float(box[2]) / SAMPLES, float(box[3]) / SAMPLES),
            tuple(v / SAMPLES for v in drawn.whole),  # type: ignore[arg-type]
            float(count / area),
            share,
            max(1, round(count / SAMPLES**2)),
            max(1, round(area / SAMPLES**2 / share)),
            float(body.distance),
        )

    def _glare(self, bodies: list[_Body], picture: NDArray[np.uint8], time_s: float) -> None:
        """Halos of lamps that are lit and turned this way."""
        strength = self.light.lamp_glow
        for body in bodies:
            t = body.placed
            if t.signals & PARKED or t.vehicle.kind not in (*_LAMPED, "bicycle"):
                continue
            beams = self.light.headlamps > 0.02
            blink = time_s % 0.72 < 0.38
            wanted: list[tuple[int, tuple[float, float, float], float]] = []
            if beams:
                wanted.append((Material.HEADLAMP, (255.0, 245.0, 225.0), 1.0))
                wanted.append((Material.TAILLAMP, (190.0, 30.0, 20.0), 0.5))
            if t.signals & BRAKE:
                wanted.append((Material.BRAKELAMP, (255.0, 50.0, 34.0), 0.8))
            if blink and t.signals & LEFT:
                wanted.append((Material.INDICATOR_LEFT, (255.0, 150.0, 30.0), 0.6))
            if blink and t.signals & RIGHT:
                wanted.append((Material.INDICATOR_RIGHT, (255.0, 150.0, 30.0), 0.6))
            for material, rgb, size in wanted:
                self._lamp_halo(body, material, rgb, size * strength, picture)

    def _lamp_halo(
        self, body: _Body, material: int, rgb: tuple[float, float, float], size: float, picture: NDArray[np.uint8]
    ) -> None:
        chosen = np.flatnonzero(body.mesh.materials == material)
        if not len(chosen):
            return
        local_x = body.mesh.points[chosen, 0]
        for part in (chosen[local_x < -0.05], chosen[local_x > 0.05], chosen[np.abs(local_x) <= 0.05]):
            if not len(part):
                continue
            p, n = body.points[part].mean(0), body.normals[part].mean(0)
            to_eye = self.eye - p
            far = float(np.linalg.norm(to_eye))
            facing = float(n @ to_eye) / max(far * float(np.linalg.norm(n)), 1e-6)
            if facing < 0.1:
                continue
            x, y, iz = float(body.x[part].mean()), float(body.y[part].mean()), float(body.iz[part].mean())
            ix, iy = int(x), int(y)
            if not (0 <= ix < self.w * SAMPLES and 0 <= iy < self.h * SAMPLES):
                continue
            if max(float(self.back.depth[iy, ix]), float(self.moving[iy, ix])) > iz * 1.03:
                continue
            power = facing**1.5
            radius = max(1.2, self.view.focal_px / far * (0.16 + 0.26 * power) * size)
            glare(picture, x / SAMPLES, y / SAMPLES, radius, *(c * power * min(1.0, size) for c in rgb))


def _turn(heading_deg: float) -> F32:
    """Rotation that takes body rows (right, forward, up) to the town's (east, north, up)."""
    h = math.radians(heading_deg)
    return np.array([[math.cos(h), -math.sin(h), 0.0], [math.sin(h), math.cos(h), 0.0], [0.0, 0.0, 1.0]], np.float32)


def _meet(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _even(lo_x: float, lo_y: float, hi_x: float, hi_y: float, width: int, height: int) -> tuple[int, int, int, int]:
    """A crop around a box, clipped to the picture, with even corners."""
    x0, y0 = max(0, math.floor(lo_x) - 2) & ~1, max(0, math.floor(lo_y) - 2) & ~1
    x1, y1 = min(width, (math.ceil(hi_x) + 3) & ~1), min(height, (math.ceil(hi_y) + 3) & ~1)
    return x0, y0, x1, y1


__all__ = ["Painter", "Placed", "Seen", "lamps_near"]
