# SPDX-License-Identifier: AGPL-3.0-or-later
"""Everything that stands still as one list of triangles: buildings, roofs, trees, lamps, furniture, a far skyline."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from infra.rehearsal.facade import PX_PER_M, facade
from infra.rehearsal.light import linear
from infra.rehearsal.mesh import Builder
from infra.rehearsal.world import Building, Furniture, Ground, Town

F32 = NDArray[np.float32]
GRAIN = 2.5
"""Walls are cut into pieces of about this many metres, so that lens distortion bends them."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Triangles with one look each. Texture place of a point p: u = (p - origin)·axis, v = p.z - origin.z (metres)."""

    points: F32
    faces: NDArray[np.int32]
    normal: F32
    albedo: F32
    shine: F32
    """Light given off (m,), as a share of the street lamps' strength."""
    texture: NDArray[np.int32]
    """Number of the texture, -1 none, -2 roof tiles, -3 leaves (lit from both sides)."""
    origin: F32
    axis: F32
    atlas: NDArray[np.uint8]
    """All textures' pixels, flattened (k, 4)."""
    texture_at: NDArray[np.int64]
    """Per texture: offset in the atlas, width, height."""
    lamps: F32
    """Street lamps (k, 6): place of the bulb and linear RGB strength at one metre."""


@dataclass(slots=True)
class _Maker:
    points: list[F32] = field(default_factory=list)
    faces: list[NDArray[np.int32]] = field(default_factory=list)
    rows: list[tuple[F32, F32, F32, NDArray[np.int32], F32, F32]] = field(default_factory=list)
    textures: list[NDArray[np.uint8]] = field(default_factory=list)
    lamps: list[tuple[float, ...]] = field(default_factory=list)
    count: int = 0

    def put(
        self,
        points: NDArray[np.float64],
        faces: NDArray[np.int32],
        albedo: F32,
        shine: float = 0.0,
        texture: int = -1,
        origin: tuple[float, ...] = (0, 0, 0),
        axis: tuple[float, ...] = (1, 0, 0),
        normals: NDArray[np.float64] | None = None,
    ) -> None:
        """Append triangles of one look (`albedo` (3,) or one per face)."""
        p = points.astype(np.float32)
        n = np.cross(p[faces[:, 1]] - p[faces[:, 0]], p[faces[:, 2]] - p[faces[:, 0]]) if normals is None else normals
        n = (n / np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-9)).astype(np.float32)
        m = len(faces)
        self.points.append(p)
        self.faces.append((faces + self.count).astype(np.int32))
        self.rows.append(
            (
                n,
                np.broadcast_to(albedo, (m, 3)).astype(np.float32),
                np.full(m, shine, np.float32),
                np.full(m, texture, np.int32),
                np.broadcast_to(np.array(origin, np.float32), (m, 3)),
                np.broadcast_to(np.array(axis, np.float32), (m, 3)),
            )
        )
        self.count += len(p)

    def wall(
        self,
        a: tuple[float, float],
        b: tuple[float, float],
        z0: float,
        z1: float,
        albedo: F32,
        texture: int = -1,
        shine: float = 0.0,
    ) -> None:
        """An upright rectangle from a to b, seen from the side on which a lies left."""
        length = math.dist(a, b)
        nu, nv = max(1, int(length / GRAIN)), max(1, int((z1 - z0) / GRAIN))
        t, s = np.meshgrid(np.linspace(0, 1, nu + 1), np.linspace(0, 1, nv + 1), indexing="ij")
        p = np.stack([a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, z0 + (z1 - z0) * s], -1).reshape(-1, 3)
        axis = ((b[0] - a[0]) / max(length, 1e-9), (b[1] - a[1]) / max(length, 1e-9), 0.0)
        self.put(p, _grid_faces(nu, nv), albedo, shine, texture, (a[0], a[1], z0), axis)

    def mesh(
        self,
        b: Builder,
        at: tuple[float, float],
        heading_deg: float,
        colours: dict[int, F32],
        shine: dict[int, float] | None = None,
    ) -> None:
        """A built mesh, turned and set down; colours by material."""
        m = b.done()
        h = math.radians(heading_deg)
        turn = np.array([[math.cos(h), -math.sin(h), 0], [math.sin(h), math.cos(h), 0], [0, 0, 1]])
        p = m.points @ turn + np.array([at[0], at[1], 0.0])
        kind = m.materials[m.faces[:, 0]]
        for k, colour in colours.items():
            chosen = m.faces[kind == k]
            if len(chosen):
                used, inverse = np.unique(chosen, return_inverse=True)
                self.put(p[used], inverse.reshape(chosen.shape).astype(np.int32), colour, (shine or {}).get(k, 0.0))

    def done(self) -> Scene:
        cols = list(zip(*self.rows, strict=True))
        sizes = [(t.shape[1], t.shape[0]) for t in self.textures]
        offsets = np.cumsum([0, *[w * h for w, h in sizes]])
        return Scene(
            points=np.concatenate(self.points),
            faces=np.concatenate(self.faces),
            normal=np.concatenate(cols[0]),
            albedo=np.concatenate(cols[1]),
            shine=np.concatenate(cols[2]),
            texture=np.concatenate(cols[3]),
            origin=np.ascontiguousarray(np.concatenate(cols[4])),
            axis=np.ascontiguousarray(np.concatenate(cols[5])),
            atlas=np.concatenate([t.reshape(-1, 4) for t in self.textures])
            if self.textures
            else np.zeros((1, 4), np.uint8),
            texture_at=np.array([(o, w, h) for o, (w, h) in zip(offsets, sizes, strict=False)], np.int64).reshape(
                -1, 3
            ),
            lamps=np.array(self.lamps, np.float32).reshape(-1, 6),
        )


def _grid_faces(nu: int, nv: int) -> NDArray[np.int32]:
    index = np.arange((nu + 1) * (nv + 1)).reshape(nu + 1, nv + 1)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]).astype(
        np.int32
    )


def seed_of(*parts: object) -> int:
    """A steady 63-bit seed from anything printable."""
    return int.from_bytes(hashlib.sha256("|".join(map(str, parts)).encode()).digest()[:8], "big") >> 1


def build_scene(town: Town) -> Scene:
    """Stand everything up."""
    maker = _Maker()
    for i, building in enumerate(town.ground.buildings):
        _building(maker, building, np.random.default_rng(seed_of(town.name, "building", i)))
    for i, item in enumerate(town.ground.furniture):
        _furniture(maker, item, np.random.default_rng(seed_of(town.name, "furniture", i)))
    _skyline(maker, town.ground, np.random.default_rng(seed_of(town.name, "skyline")))
    return maker.done()


def _building(maker: _Maker, building: Building, rng: np.random.Generator) -> None:
    ring = list(building.footprint)
    height = building.height_m
    shop = rng.uniform() < 0.35
    lengths = [math.dist(a, b) for a, b in zip(ring, ring[1:] + ring[:1], strict=True)]
    for a, b, length in zip(ring, ring[1:] + ring[:1], lengths, strict=True):
        if length < 0.3:
            continue
        maker.textures.append(facade(length, height, building.wall_rgb, rng, shop and length > 4))
        maker.wall(a, b, 0.0, height, linear(building.wall_rgb), len(maker.textures) - 1)
    roof = linear(building.roof_rgb)
    p = np.array(ring, dtype=np.float64)
    if building.pitched and len(ring) == 4:
        _pitched(maker, p, height, roof, linear(building.wall_rgb), rng)
        return
    centre = p.mean(0)
    points = np.concatenate([np.concatenate([p, np.full((len(p), 1), height)], 1), [[centre[0], centre[1], height]]])
    n = len(p)
    faces = np.array([[i, (i + 1) % n, n] for i in range(n)], np.int32)
    maker.put(points, faces, roof, texture=-2)
    for a, b in zip(ring, ring[1:] + ring[:1], strict=True):
        maker.wall(a, b, height, height + 0.4, linear(building.wall_rgb) * 0.9)


def _pitched(
    maker: _Maker, p: NDArray[np.float64], height: float, roof: F32, wall: F32, rng: np.random.Generator
) -> None:
    """A gabled roof whose ridge follows the longer side, with eaves and a chimney."""
    if np.linalg.norm(p[1] - p[0]) < np.linalg.norm(p[2] - p[1]):
        p = np.roll(p, -1, axis=0)
    along = (p[1] - p[0]) / max(float(np.linalg.norm(p[1] - p[0])), 1e-9)
    across = p[3] - p[0]
    depth = float(np.linalg.norm(across))
    rise = min(3.6, depth * 0.42)
    ridge_a, ridge_b = (p[0] + p[3]) / 2, (p[1] + p[2]) / 2
    out = across / max(depth, 1e-9) * 0.35

    def at(q: NDArray[np.float64], z: float) -> list[float]:
        return [float(q[0]), float(q[1]), z]

    for low_a, low_b, sign in ((p[0], p[1], -1.0), (p[3], p[2], 1.0)):
        a, b = low_a + sign * out - along * 0.25, low_b + sign * out + along * 0.25
        ra, rb = ridge_a - along * 0.25, ridge_b + along * 0.25
        nu = max(1, int(np.linalg.norm(b - a) / GRAIN))
        t, s = np.meshgrid(np.linspace(0, 1, nu + 1), np.linspace(0, 1, 3), indexing="ij")
        low = a + (b - a) * t[..., None]
        high = ra + (rb - ra) * t[..., None]
        xy = low + (high - low) * s[..., None]
        z = height - 0.12 + (rise + 0.12) * s
        pts = np.concatenate([xy, z[..., None]], -1).reshape(-1, 3)
        faces = _grid_faces(nu, 2)
        if sign > 0:
            faces = faces[:, ::-1].copy()
        maker.put(pts, faces, roof, texture=-2)
    maker.put(
        np.array([at(p[1], height), at(p[2], height), at(ridge_b, height + rise)]),
        np.array([[0, 1, 2]], np.int32),
        wall,
    )
    maker.put(
        np.array([at(p[3], height), at(p[0], height), at(ridge_a, height + rise)]),
        np.array([[0, 1, 2]], np.int32),
        wall,
    )
    if rng.uniform() < 0.7:
        c = ridge_a + (ridge_b - ridge_a) * float(rng.choice([0.12, 0.88]))
        b = Builder()
        b.box((-0.4, -0.3, height + rise - 0.8), (0.4, 0.3, height + rise + 0.9), 0)
        maker.mesh(
            b, (float(c[0]), float(c[1])), math.degrees(math.atan2(along[0], along[1])), {0: linear((150, 104, 84))}
        )


def _leaves(
    maker: _Maker,
    centre: tuple[float, float, float],
    radii: tuple[float, float, float],
    count: int,
    size: float,
    rgb: tuple[int, int, int],
    rng: np.random.Generator,
) -> None:
    """A cloud of small leaf patches on and inside an ellipsoid."""
    d = rng.normal(size=(count, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    depth = rng.uniform(0.55, 1.0, size=(count, 1)) ** 0.5
    c = np.array(centre) + d * np.array(radii) * depth
    u = rng.normal(size=(count, 3))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    v = np.cross(u, d + rng.normal(size=(count, 3)) * 0.6)
    v /= np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-9)
    s = size * rng.uniform(0.6, 1.3, size=(count, 1))
    p = np.stack(
        [
            c - u * s - v * s * 0.6,
            c + u * s - v * s * 0.5,
            c + u * s * 0.8 + v * s * 0.7,
            c - u * s * 0.8 + v * s * 0.6,
        ],
        1,
    ).reshape(-1, 3)
    k = np.arange(count) * 4
    faces = np.concatenate([np.stack([k, k + 1, k + 2], -1), np.stack([k, k + 2, k + 3], -1)]).astype(np.int32)
    tint = (
        linear(rgb)
        * rng.uniform(0.55, 1.35, size=(count, 1)).astype(np.float32)
        * (0.45 + 0.55 * depth**3).astype(np.float32)
    )
    normal = d + np.array([0, 0, 0.35])
    maker.put(
        p, faces, np.concatenate([tint, tint]).astype(np.float32), texture=-3, normals=np.concatenate([normal, normal])
    )


_GREENS = ((74, 96, 44), (88, 104, 52), (62, 84, 42), (100, 112, 58), (70, 92, 58))


def _furniture(maker: _Maker, item: Furniture, rng: np.random.Generator) -> None:
    x, y = item.at
    h = item.height_m
    metal, dark, pale = linear((96, 98, 100)), linear((44, 46, 48)), linear((176, 176, 172))
    b = Builder()
    if item.kind == "tree":
        b.tube((0, 0, 0), (rng.normal() * 0.1, rng.normal() * 0.1, h * 0.55), 0.055 * h**0.6, 0, 8, 0.03 * h**0.6)
        for _ in range(4):
            a = rng.uniform(0, 2 * math.pi)
            b.tube((0, 0, h * 0.42), (math.cos(a) * h * 0.16, math.sin(a) * h * 0.16, h * 0.68), 0.05, 0, 5, 0.02)
        maker.mesh(b, item.at, item.heading_deg, {0: linear((84, 72, 60))})
        green = _GREENS[int(rng.integers(len(_GREENS)))]
        wide = h * rng.uniform(0.22, 0.30)
        for _ in range(6):
            off = rng.normal(size=3) * np.array([wide * 0.42, wide * 0.42, h * 0.09])
            _leaves(
                maker,
                (x + off[0], y + off[1], h * 0.70 + off[2]),
                (wide * 0.72, wide * 0.72, h * 0.20),
                240,
                0.15,
                green,
                rng,
            )
        return
    if item.kind == "hedge":
        a = math.radians(item.heading_deg)
        for k in np.linspace(-1.2, 1.2, 4):
            at = (x + math.sin(a) * float(k), y + math.cos(a) * float(k), h * 0.5)
            _leaves(maker, at, (0.55, 0.55, h * 0.52), 220, 0.08, _GREENS[2], rng)
        return
    if item.kind == "lamp":
        b.tube((0, 0, 0), (0, 0, h), 0.075, 0, 8, 0.05)
        b.tube((0, 0, 0), (0, 0, 0.8), 0.11, 0, 8)
        b.tube((0, 0, h - 0.05), (0, 1.4, h + 0.15), 0.04, 0, 6)
        b.box((-0.13, 1.0, h + 0.08), (0.13, 1.75, h + 0.2), 0)
        b.quad(
            (-0.11, 1.05, h + 0.07),
            (0.11, 1.05, h + 0.07),
            (0.11, 1.7, h + 0.07),
            (-0.11, 1.7, h + 0.07),
            1,
            (0, 1.4, h + 1),
        )
        maker.mesh(b, item.at, item.heading_deg, {0: metal, 1: linear((230, 226, 210))}, {1: 14.0})
        a = math.radians(item.heading_deg)
        warm = (1.0, 0.72, 0.40) if seed_of(item.at, "bulb") % 3 else (1.0, 0.90, 0.74)
        bulb = (x + math.sin(a) * 1.4, y + math.cos(a) * 1.4, h)
        maker.lamps.append((*bulb, *(9.5 * c for c in warm)))
        return
    if item.kind == "sign":
        b.tube((0, 0, 0), (0, 0, h), 0.03, 0, 6)
        face = int(rng.integers(3))
        if face == 0:
            b.disc((0, 0.04, h - 0.32), 0.33, (0, 1, 0), 1, 20)
            b.disc((0, 0.05, h - 0.32), 0.25, (0, 1, 0), 2, 20)
        elif face == 1:
            b.box((-0.34, 0.03, h - 0.7), (0.34, 0.06, h - 0.02), 3)
        else:
            b.quad((-0.4, 0.04, h - 0.7), (0.4, 0.04, h - 0.7), (0.02, 0.04, h), (-0.02, 0.04, h), 1, (0, -1, h))
            b.quad(
                (-0.26, 0.05, h - 0.62),
                (0.26, 0.05, h - 0.62),
                (0.02, 0.05, h - 0.16),
                (-0.02, 0.05, h - 0.16),
                2,
                (0, -1, h),
            )
        b.box((-0.3, -0.01, h - 0.62), (0.3, 0.02, h - 0.05), 0)
        maker.mesh(
            b,
            item.at,
            item.heading_deg,
            {0: metal, 1: linear((186, 34, 36)), 2: linear((232, 232, 228)), 3: linear((34, 70, 150))},
        )
    elif item.kind == "traffic_light":
        b.tube((0, 0, 0), (0, 0, h), 0.06, 0, 8)
        b.box((-0.17, -0.02, h - 0.95), (0.17, 0.22, h), 1)
        for k, z in enumerate((h - 0.18, h - 0.47, h - 0.76)):
            b.disc((0, 0.225, z), 0.1, (0, 1, 0), 2 + k, 12)
        maker.mesh(
            b,
            item.at,
            item.heading_deg,
            {0: metal, 1: dark, 2: linear((90, 24, 20)), 3: linear((96, 72, 20)), 4: linear((20, 80, 40))},
            {2: 0.4},
        )
    elif item.kind == "bollard":
        b.tube((0, 0, 0), (0, 0, h), 0.07, 0, 10)
        b.ellipsoid((0, 0, h), (0.085, 0.085, 0.07), 0, 5, 10)
        b.tube((0, 0, h * 0.75), (0, 0, h * 0.85), 0.076, 1, 10)
        maker.mesh(b, item.at, item.heading_deg, {0: dark, 1: pale})
    elif item.kind == "bin":
        b.tube((0, 0, 0.08), (0, 0, h), 0.24, 0, 12, 0.27)
        b.disc((0, 0, h), 0.27, (0, 0, 1), 1, 12)
        maker.mesh(b, item.at, item.heading_deg, {0: linear((58, 84, 66)), 1: dark})
    elif item.kind == "bench":
        b.box((-0.85, -0.22, 0.40), (0.85, 0.22, 0.46), 0)
        b.box((-0.85, -0.26, 0.5), (0.85, -0.22, 0.85), 0)
        for k in (-0.7, 0.7):
            b.box((k - 0.04, -0.2, 0), (k + 0.04, 0.2, 0.4), 1)
        maker.mesh(b, item.at, item.heading_deg, {0: linear((126, 92, 60)), 1: dark})
    else:
        b.box((-1.9, -0.75, h - 0.12), (1.9, 0.75, h), 0)
        for px in (-1.8, 0.0, 1.8):
            b.tube((px, -0.65, 0), (px, -0.65, h), 0.045, 0, 6)
        b.box((-1.85, -0.70, 0.35), (1.85, -0.66, h - 0.3), 2)
        b.box((1.75, -0.6, 0.3), (1.85, 0.6, h - 0.3), 3)
        b.box((-1.3, -0.55, 0.42), (1.0, -0.2, 0.48), 1)
        maker.mesh(
            b,
            item.at,
            item.heading_deg,
            {0: dark, 1: linear((126, 92, 60)), 2: linear((120, 134, 138)), 3: linear((200, 196, 188))},
            {3: 1.2},
        )


def _skyline(maker: _Maker, ground: Ground, rng: np.random.Generator) -> None:
    """Houses and trees around the drawn ground, so that no street ends in nothing."""
    x0, y0, x1, y1 = ground.bounds
    cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
    walls = ((214, 204, 184), (198, 188, 168), (226, 220, 206), (176, 164, 152))
    roofs = ((72, 76, 84), (84, 86, 92), (128, 84, 66))
    for ring, gap in ((14.0, 15.0), (52.0, 19.0)):
        half_x, half_y = (x1 - x0) / 2 + ring, (y1 - y0) / 2 + ring
        around = 4 * (half_x + half_y)
        for s in np.arange(0, around, gap):
            t = s / around * 4
            side, f = int(t) % 4, (t % 1) * 2 - 1
            px, py = ((f * half_x, half_y), (half_x, -f * half_y), (-f * half_x, -half_y), (-half_x, f * half_y))[side]
            px, py = cx + px + rng.normal() * 2, cy + py + rng.normal() * 2
            if rng.uniform() < 0.45:
                w, d, h = rng.uniform(9, 14), rng.uniform(8, 11), rng.uniform(6, 11)
                ring_pts = (
                    (px - w / 2, py - d / 2),
                    (px + w / 2, py - d / 2),
                    (px + w / 2, py + d / 2),
                    (px - w / 2, py + d / 2),
                )
                _building(
                    maker, Building(ring_pts, h, walls[int(rng.integers(4))], roofs[int(rng.integers(3))], True), rng
                )
            else:
                for _ in range(3):
                    off = rng.normal(size=2) * 3
                    h = rng.uniform(6, 12)
                    _leaves(
                        maker,
                        (px + off[0], py + off[1], h * 0.5),
                        (h * 0.45, h * 0.45, h * 0.5),
                        260,
                        0.34,
                        _GREENS[int(rng.integers(5))],
                        rng,
                    )


TEXTURE_PX_PER_M = PX_PER_M
"""Texture pixels per metre of wall."""
