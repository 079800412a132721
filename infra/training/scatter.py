# SPDX-License-Identifier: AGPL-3.0-or-later
"""Scattered scenes: vehicles strewn over random ground, for the detector's first lessons.

Streets of a real town show few viewpoints many times; these show each viewpoint once. They use the town's own
bodies, paint, light and rasteriser, so what is learnt here is what is then refined on towns.
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from infra.rehearsal.bodies import body_mesh
from infra.rehearsal.fleet import BODY_SIZES, PAINTS
from infra.rehearsal.light import Light, light_of
from infra.rehearsal.mesh import Builder, Material, Mesh
from infra.rehearsal.paint import glow_of, looks_of, shade
from infra.rehearsal.raster import draw_colours, draw_mask
from infra.rehearsal.view import View, view_of
from infra.rehearsal.world import FLEET_COLOURS, Camera, Vehicle, Weather
from infra.training.pictures import Labelled
from reid.classes import MODEL_CLASSES

WIDTH, HEIGHT = 1280, 720
F32 = NDArray[np.float32]
SHARES = {"car": 0.52, "van": 0.11, "truck": 0.07, "bus": 0.05, "motorcycle": 0.08, "bicycle": 0.06, "pedestrian": 0.11}
"""How often each kind is strewn: rarer ones more often than on a street, so that there is enough to learn from."""
RARE_SHARES = {
    "car": 0.25, "van": 0.10, "truck": 0.17, "bus": 0.10, "motorcycle": 0.25, "bicycle": 0.07, "pedestrian": 0.06,
}  # fmt: skip
"""Of scenes in which those lead that even so are seen too little."""
STRETCH = {
    "car": (0.1, 0.05, 0.12), "van": (0.14, 0.05, 0.14), "truck": (0.2, 0.04, 0.14), "bus": (0.12, 0.04, 0.14),
    "motorcycle": (0.12, 0.1, 0.06), "bicycle": (0.05, 0.1, 0.06), "pedestrian": (0.2, 0.2, 0.12),
}  # fmt: skip
"""How far each kind's length, width and height are stretched at most, as a share."""
LIGHTS = {"day": 0.4, "low_sun": 0.12, "overcast": 0.16, "dusk": 0.13, "night": 0.19}


def scatter_scene(seed: int, bodies: tuple[str, ...], shares: dict[str, float] = SHARES) -> Labelled:
    """Draw one scene; equal seeds, bodies and shares of kinds give equal scenes."""
    rng = np.random.default_rng(seed)
    weather = _weather(rng)
    light = light_of(weather)
    view = view_of(_camera(rng))
    canvas = _Canvas(view, light, rng)
    canvas.ground_and_sky()
    canvas.houses()
    heading = math.radians(rng.uniform(-75, 75))
    placed = _place(rng, view, heading, bodies, shares)
    for vehicle, x, y, turn, _ in placed:
        canvas.shadow(vehicle, x, y, turn)
    for vehicle, x, y, turn, signals in placed:
        canvas.vehicle(vehicle, x, y, turn, signals)
    canvas.things_in_front()
    picture = _develop(canvas.colour, light, rng)
    classes, boxes, hidden = canvas.truth()
    return Labelled(picture, classes, boxes, hidden)


def _weather(rng: np.random.Generator) -> Weather:
    light = str(rng.choice(list(LIGHTS), p=list(LIGHTS.values())))
    rain = float(rng.uniform(0.2, 1.0)) if rng.random() < 0.22 and light != "low_sun" else 0.0
    return Weather(light, rain, float(rng.uniform(0, 360)), float(rng.uniform(12, 65)))  # type: ignore[arg-type]


def _camera(rng: np.random.Generator) -> Camera:
    return Camera(
        name="c", place="", at=(0.0, 0.0), height_m=float(rng.uniform(3.2, 9.5)), heading_deg=0.0,
        tilt_deg=float(rng.uniform(7, 34)), hfov_deg=float(rng.uniform(42, 100)), width_px=WIDTH, height_px=HEIGHT,
        fps=12, codec="h264", bitrate_kbps=0, gop_s=1.0, distortion_k1=float(rng.uniform(-0.16, 0.02)),
    )  # fmt: skip


def random_vehicle(rng: np.random.Generator, body: str, name: str) -> Vehicle:
    """A vehicle of that body, painted as the French fleet is but with more of the rare colours."""
    weights = np.array([w + 0.02 for w in FLEET_COLOURS.values()])
    kind = BODY_SIZES[body].kind
    colour = str(rng.choice(list(FLEET_COLOURS), p=weights / weights.sum()))
    if kind in ("van", "truck") and rng.random() < 0.5:
        colour = "white"
    base = np.array(PAINTS[colour][int(rng.integers(len(PAINTS[colour])))])
    rgb = tuple(int(v) for v in np.clip(base + rng.integers(-14, 15, 3), 0, 255))
    marks: tuple[str, ...] = ()
    if kind == "car" and rng.random() < 0.3:
        choice = ("roof_rack", "roof_box", "sticker_rear", "sticker_side", "two_tone", "dirt", "stripe")
        marks = (str(rng.choice(choice)),)
    mark_seed = int(rng.integers(1 << 31))
    # Few shapes may be trained on: each is stretched a little, so that others are not strange.
    length, width, height = (
        side * float(rng.uniform(1 - far, 1 + far))
        for side, far in zip(_sides(body, mark_seed), STRETCH[kind], strict=True)
    )
    if body == "van_small" and rng.random() < 0.4:
        length, width, height = length * 1.2, width * 1.08, height * 1.25
    return Vehicle(name, kind, body, colour, rgb, marks, mark_seed, length, width, height)  # type: ignore[arg-type]


def _sides(body: str, mark_seed: int) -> tuple[float, float, float]:
    """Length, width and height of a body as it was built, metres."""
    width, length, height = np.ptp(body_mesh(body, (), mark_seed).points, axis=0)
    return float(length), float(width), float(height)


def _place(
    rng: np.random.Generator, view: View, heading: float, bodies: tuple[str, ...], wanted: dict[str, float]
) -> list[tuple[Vehicle, float, float, float, int]]:
    """Strew vehicles along a few lanes of one direction (and one across), none inside another."""
    by_kind: dict[str, list[str]] = {}
    for body in bodies:
        by_kind.setdefault(BODY_SIZES[body].kind, []).append(body)
    kinds = [k for k in wanted if k in by_kind]
    shares = np.array([wanted[k] for k in kinds])
    along = np.array([math.sin(heading), math.cos(heading)])
    across = np.array([along[1], -along[0]])
    depth = float(rng.uniform(12, 45))
    centre = np.array([rng.uniform(-0.25, 0.25) * depth, depth])
    taken: list[tuple[float, float, float]] = []
    placed = []
    for n in range(int(rng.integers(6, 34))):
        kind = str(rng.choice(kinds, p=shares / shares.sum()))
        body = str(rng.choice(by_kind[kind]))
        vehicle = random_vehicle(rng, body, f"v{n}")
        small = kind in ("pedestrian", "bicycle", "motorcycle")
        for _ in range(6):
            lane = (int(rng.integers(-3, 4)) + 0.5) * 3.2 + rng.normal(0, 0.25)
            run = rng.normal(0, 0.6) * depth
            cross = rng.random() < 0.18
            spot = centre + (across * run + along * lane if cross else along * run + across * lane)
            turn = heading + (math.pi / 2 if cross else 0.0) + (math.pi if lane < 0 else 0.0) + rng.normal(0, 0.06)
            if rng.random() < (1.0 if kind == "pedestrian" else 0.12):
                turn = rng.uniform(0, 2 * math.pi)
            reach = 0.5 if small else vehicle.length_m / 2
            if spot[1] > 3.5 and all(
                math.hypot(spot[0] - x, spot[1] - y) > max(0.8, (reach + r) * 0.75) for x, y, r in taken
            ):
                signals = int(rng.integers(8)) if rng.random() < 0.4 else (8 if rng.random() < 0.35 else 0)
                taken.append((spot[0], spot[1], reach))
                placed.append((vehicle, float(spot[0]), float(spot[1]), float(turn), signals))
                break
    return placed


class _Canvas:
    """Colour, depth and owner of every pixel while a scene is drawn."""

    def __init__(self, view: View, light: Light, rng: np.random.Generator) -> None:
        self.view, self.light, self.rng = view, light, rng
        self.colour = np.zeros((HEIGHT, WIDTH, 3), np.float32)
        self.depth = np.zeros((HEIGHT, WIDTH), np.float32)
        self.owner = np.full((HEIGHT, WIDTH), -1, np.int32)
        self.whole: list[tuple[str, float]] = []
        self.eye = view.eye.astype(np.float32)
        spots = [(x, y) for x in (-14.0, 14.0) for y in (10.0, 34.0, 60.0)]
        strength = light.street_lamps * float(rng.uniform(2.0, 7.0))
        self.lamps = np.array(
            [[x, y, 7.5, strength * 1.0, strength * 0.8, strength * 0.55] for x, y in spots], np.float32
        )
        self.lamps = self.lamps if light.street_lamps > 0 else self.lamps[:0]

    def ground_and_sky(self) -> None:
        """Asphalt, pavement, grass and markings in random strips; sky above."""
        rng, light = self.rng, self.light
        # Half size is fine enough for ground that is blurred and noised later, and four times as fast.
        rays = cv2.resize(self.view.rays(), (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
        down = rays[..., 2] < -1e-3
        reach = np.where(down, -self.eye[2] / np.where(down, rays[..., 2], -1), 0.0)
        x, y = rays[..., 0] * reach, rays[..., 1] * reach
        heading = math.radians(rng.uniform(-80, 80))
        u = x * math.cos(heading) - y * math.sin(heading)
        v = x * math.sin(heading) + y * math.cos(heading)
        noise = _noise(rng)
        grain = noise[(v * 40).astype(int) % 1024, (u * 40).astype(int) % 1024]
        patches = noise[(v * 3).astype(int) % 1024, (u * 3).astype(int) % 1024]
        base = np.ones((HEIGHT // 2, WIDTH // 2, 3), np.float32)
        base *= rng.uniform(0.05, 0.16) * rng.uniform(0.93, 1.07, 3).astype(np.float32)
        edge = rng.uniform(-12, 12, 6)
        for k in range(int(rng.integers(1, 5))):
            strip = (u > edge[k]) & (u < edge[k] + rng.uniform(1.5, 9))
            tone = (0.10, 0.16, 0.06) if rng.random() < 0.25 else (rng.uniform(0.1, 0.4),) * 3
            base[strip] = np.array(tone, np.float32) * rng.uniform(0.8, 1.2, 3).astype(np.float32)
        for _ in range(int(rng.integers(1, 7))):
            at, wide = rng.uniform(-10, 10), rng.uniform(0.1, 0.5)
            period, on = rng.uniform(1, 9), rng.uniform(0.3, 1.01)
            line = (np.abs(u - at) < wide / 2) & ((v / period) % 1 < on)
            base[line] = rng.uniform(0.3, 0.7)
        if rng.random() < 0.5:
            at = rng.uniform(6, 40)
            base[(np.abs(v - at) < 2) & ((u / 1.0) % 1 < 0.5)] = 0.6
        base *= (0.75 + 0.35 * grain + 0.25 * patches)[..., None]
        lit = light.ground_rgb / 0.22 * 0.8 + light.sun_rgb * light.sun[2] * 0.4
        pools = np.zeros((HEIGHT // 2, WIDTH // 2), np.float32)
        for lamp in self.lamps:
            r2 = (x - lamp[0]) ** 2 + (y - lamp[1]) ** 2 + lamp[2] ** 2
            pools += lamp[3] * lamp[2] / r2**1.5
        ground = base * (lit + pools[..., None] * np.array([1.0, 0.8, 0.55], np.float32))
        if light.wet > 0:
            ground = ground * (1 - 0.4 * light.wet) + light.horizon_rgb * 0.12 * light.wet * (
                1 - patches[..., None] * 0.6
            )
        fog = np.exp(-reach * light.haze_per_m)[..., None]
        up = np.clip(rays[..., 2:3] * 2.5, 0, 1)
        sky = light.horizon_rgb * (1 - up) + light.zenith_rgb * up
        far = down & (reach < 250)
        near = np.where(far, 1.0 / np.maximum(reach, 0.5) * 0.995, 0.0).astype(np.float32)
        whole = np.where(far[..., None], ground * fog + light.horizon_rgb * (1 - fog), sky).astype(np.float32)
        self.colour[:] = cv2.resize(whole, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
        self.depth[:] = cv2.resize(near, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)

    def houses(self) -> None:
        """Boxes with windows, signs and the like: things with edges that are no vehicles."""
        rng = self.rng
        for _ in range(int(rng.integers(2, 14))):
            side = rng.choice([-1, 1])
            mesh = _house(int(rng.integers(24)))
            self._thing(mesh, side * rng.uniform(6, 40), rng.uniform(8, 110), rng.uniform(0, 6.3))

    def things_in_front(self) -> None:
        """Poles, trees, bins, some between the camera and the vehicles."""
        rng = self.rng
        for _ in range(int(rng.integers(1, 12))):
            mesh = _street_thing(int(rng.integers(40)))
            self._thing(mesh, rng.uniform(-14, 14), rng.uniform(4, 50), rng.uniform(0, 6.3))

    def _thing(self, mesh: Mesh, x: float, y: float, turn: float) -> None:
        shade = self.rng.integers(40, 235, 3) * 0.5 + self.rng.integers(30, 110)
        rgb = (int(shade[0]), int(shade[1]), int(shade[2]))
        owner = Vehicle(
            f"t{self.rng.integers(1 << 30)}", "car", "thing", "grey", rgb, mark_seed=int(self.rng.integers(99))
        )
        looks = looks_of(owner)
        green = np.array([0.05, 0.11, 0.03], np.float32) * self.rng.uniform(0.6, 1.8)
        looks[Material.CLOTH, :3] = green
        looks[Material.PAINT_2, :3] = self.rng.uniform(0.02, 0.5, 3)
        self._draw(mesh, looks, glow_of(8, self.light, 0.5), x, y, turn, None)

    def vehicle(self, vehicle: Vehicle, x: float, y: float, turn: float, signals: int) -> None:
        """Draw one that counts."""
        mesh = _stretched(vehicle, int(self.rng.integers(8)))
        self._draw(mesh, looks_of(vehicle), glow_of(signals, self.light, 0.1), x, y, turn, vehicle.kind)

    def shadow(self, vehicle: Vehicle, x: float, y: float, turn: float) -> None:
        """Sun's shadow, and the dark under a body, on what is drawn so far."""
        mesh = _stretched(vehicle, 0)
        points, _ = _turned(mesh, x, y, turn)
        under = points * np.array([1, 1, 0.02], np.float32)
        layers = [(under, 0.55, 3.0)]
        if self.light.sun_rgb.sum() > 0.2:
            sun = self.light.sun
            fallen = points - sun[None] * (points[:, 2:3] / max(sun[2], 0.07))
            layers.append((fallen.astype(np.float32), 0.42, 1.2))
        for ground, keep, soft in layers:
            sx, sy, iz = self.view.project(ground.astype(np.float64))
            box = _crop(sx, sy, iz, 6)
            if box is None:
                continue
            x0, y0, x1, y1 = box
            mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
            draw_mask(sx, sy, iz > 0, mesh.faces, x0, y0, mask)
            dark = cv2.GaussianBlur(mask, (0, 0), soft).astype(np.float32)[..., None] / 255
            self.colour[y0:y1, x0:x1] *= 1 - dark * (1 - keep)

    def _draw(self, mesh: Mesh, looks: F32, glow: F32, x: float, y: float, turn: float, kind: str | None) -> None:
        points, normals = _turned(mesh, x, y, turn)
        sx, sy, iz = self.view.project(points.astype(np.float64))
        box = _crop(sx, sy, iz, 1)
        if box is None:
            return
        x0, y0, x1, y1 = box
        light = self.light
        rgb = np.empty_like(points)
        shade(points, normals, mesh.materials, looks, glow, self.eye, light.sun, light.sun_rgb, light.zenith_rgb,
              light.horizon_rgb, light.ground_rgb, self.lamps, rgb)  # fmt: skip
        colour = np.zeros((y1 - y0, x1 - x0, 3), np.float32)
        depth = np.zeros((y1 - y0, x1 - x0), np.float32)
        draw_colours(sx, sy, iz, rgb, mesh.faces, x0, y0, colour, depth)
        nearer = depth > self.depth[y0:y1, x0:x1]
        fog = np.exp(-light.haze_per_m / np.maximum(depth, 1e-3))[..., None]
        colour = colour * fog + light.horizon_rgb * (1 - fog)
        self.colour[y0:y1, x0:x1][nearer] = colour[nearer]
        self.depth[y0:y1, x0:x1][nearer] = depth[nearer]
        self.owner[y0:y1, x0:x1][nearer] = -1 if kind is None else len(self.whole)
        if kind is not None:
            inside = float((depth > 0).sum())
            wide = (min(float(sx.max()), 4e3) - max(float(sx.min()), -4e3)) * (float(sy.max()) - float(sy.min()))
            seen = max((x1 - x0) * (y1 - y0), 1)
            # What lies outside the picture counts as hidden, judged by the share of the box that lies inside.
            self.whole.append((kind, inside * max(1.0, wide / seen)))

    def truth(self) -> tuple[NDArray[np.int64], F32, F32]:
        """Classes, visible boxes and hidden shares of all that shows at least one pixel."""
        classes, boxes, hidden = [], [], []
        for k, (kind, full) in enumerate(self.whole):
            rows, columns = np.nonzero(self.owner == k)
            if len(rows):
                classes.append(MODEL_CLASSES.index(kind))
                boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
                hidden.append(1 - min(1.0, len(rows) / max(full, 1)))
        return (
            np.array(classes, np.int64),
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(hidden, np.float32),
        )


@lru_cache(maxsize=64)
def _house(number: int) -> Mesh:
    """One of a fixed row of houses: a box with windows on two sides."""
    rng = np.random.default_rng(number)
    b = Builder()
    wide, deep, high = rng.uniform(6, 22), rng.uniform(6, 14), rng.uniform(3, 14)
    b.box((-wide / 2, -deep / 2, 0), (wide / 2, deep / 2, high), Material.PAINT)
    step, size = rng.uniform(1.6, 3.5), rng.uniform(0.5, 1.3)
    for z in np.arange(1.2, high - 1.2, rng.uniform(2.4, 3.4)):
        for x in np.arange(-wide / 2 + 0.8, wide / 2 - size - 0.3, step):
            kind = Material.GLASS if rng.random() < 0.8 else Material.PAINT_2
            for side in (-1, 1):
                y = side * (deep / 2 + 0.03)
                b.quad((x, y, z), (x + size, y, z), (x + size, y, z + 1.3), (x, y, z + 1.3), kind, (x, 0, z))
    return b.done()


@lru_cache(maxsize=64)
def _street_thing(number: int) -> Mesh:
    """One of a fixed set of poles, signs, trees, bins and hedges."""
    rng = np.random.default_rng(1000 + number)
    b = Builder()
    what = rng.random()
    if what < 0.35:
        b.tube((0, 0, 0), (0, 0, rng.uniform(2.5, 8)), rng.uniform(0.05, 0.14), Material.PLASTIC)
        if rng.random() < 0.5:
            b.box((-0.35, -0.03, 2.0), (0.35, 0.03, 2.7), Material.STICKER)
    elif what < 0.65:
        trunk = rng.uniform(1.6, 3.2)
        b.tube((0, 0, 0), (0, 0, trunk), rng.uniform(0.1, 0.25), Material.DIRT)
        for _ in range(5):
            spot = rng.normal(0, 0.6, 3)
            b.ellipsoid((spot[0], spot[1], trunk + 1 + spot[2]), (1.2, 1.2, 1.0), Material.CLOTH)
    elif what < 0.85:
        b.box((-0.3, -0.3, 0), (0.3, 0.3, rng.uniform(0.6, 1.3)), Material.PAINT_2)
    else:
        wide = rng.uniform(1, 6)
        b.box((-wide, -0.4, 0), (wide, 0.4, rng.uniform(0.5, 1.4)), Material.CLOTH)
    return b.done()


def _stretched(vehicle: Vehicle, pose: int) -> Mesh:
    """The body's mesh at the vehicle's own size."""
    mesh = body_mesh(vehicle.body, vehicle.marks, vehicle.mark_seed, pose)
    length, width, height = _sides(vehicle.body, vehicle.mark_seed)
    factor = np.array([vehicle.width_m / width, vehicle.length_m / length, vehicle.height_m / height], np.float32)
    normals = mesh.normals / factor
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    return Mesh((mesh.points * factor).astype(np.float32), normals.astype(np.float32), mesh.materials, mesh.faces)


def _turned(mesh: Mesh, x: float, y: float, turn: float) -> tuple[F32, F32]:
    """A mesh's points and normals set down at (x, y), `turn` radians clockwise from north."""
    c, s = math.cos(turn), math.sin(turn)
    spin = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)
    return (mesh.points @ spin + np.array([x, y, 0], np.float32)).astype(np.float32), (mesh.normals @ spin).astype(
        np.float32
    )


def _crop(sx: F32, sy: F32, iz: F32, margin: int) -> tuple[int, int, int, int] | None:
    """Picture rectangle around projected points, or None where nothing of them can show."""
    if (iz <= 0).any():
        return None
    x0, y0 = max(0, int(sx.min()) - margin), max(0, int(sy.min()) - margin)
    x1, y1 = min(WIDTH, int(sx.max()) + margin + 1), min(HEIGHT, int(sy.max()) + margin + 1)
    return (x0, y0, x1, y1) if x1 - x0 > 1 and y1 - y0 > 1 else None


def _noise(rng: np.random.Generator) -> F32:
    """A (1024, 1024) texture of several grain sizes, 0 to 1."""
    total = np.zeros((1024, 1024), np.float32)
    for size, weight in ((16, 0.35), (64, 0.25), (256, 0.2), (1024, 0.2)):
        total += weight * cv2.resize(rng.random((size, size), np.float32), (1024, 1024), interpolation=cv2.INTER_LINEAR)
    return total


def _develop(colour: F32, light: Light, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Exposure, glare, rain, blur, noise and compression, to 8-bit BGR."""
    level = float(np.median(colour.mean(axis=2)))
    gain = light.target_level**2.2 / max(level, 1e-4) * 2 ** rng.normal(0, 0.45)
    picture = colour * gain * rng.uniform(0.88, 1.12, 3).astype(np.float32)
    if light.lamp_glow > 0:
        over = np.clip(picture - 1.0, 0, 4)
        small = cv2.resize(over, (WIDTH // 4, HEIGHT // 4), interpolation=cv2.INTER_AREA)
        halo = cv2.GaussianBlur(small, (0, 0), 1.5) * 0.8 + cv2.GaussianBlur(small, (0, 0), 8) * 0.6
        if light.wet > 0:
            halo += cv2.GaussianBlur(small, (1, 61), sigmaX=0.6, sigmaY=14) * light.wet
        picture += cv2.resize(halo, (WIDTH, HEIGHT)) * light.lamp_glow
    picture = np.clip(picture, 0, 1) ** (1 / 2.2)
    if light.rain > 0:
        drops = np.zeros((HEIGHT, WIDTH), np.float32)
        for _ in range(int(400 * light.rain)):
            x, y, long = rng.integers(WIDTH), rng.integers(HEIGHT), rng.integers(6, 40)
            cv2.line(drops, (int(x), int(y)), (int(x + long * 0.12), int(y + long)), float(rng.uniform(0.03, 0.2)), 1)
        picture += drops[..., None]
    if rng.random() < 0.8:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.3, 1.5)))
    ys, xs = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    picture *= (1 - rng.uniform(0, 0.3) * (xs**2 + ys**2) / 2).astype(np.float32)[..., None]
    picture += rng.normal(0, 1, (HEIGHT, WIDTH, 1)).astype(np.float32) * rng.uniform(0.5, 4) * light.noise_gain / 255
    out = (np.clip(picture, 0, 1)[..., ::-1] * 255).astype(np.uint8)
    coded = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
