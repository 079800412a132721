# SPDX-License-Identifier: AGPL-3.0-or-later
"""Small triangle meshes built piece by piece: patches, boxes, cylinders, ellipsoids, each of one material.

Frame of a body: x to the right, y forward, z up, metres, origin on the ground under the middle of the body.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Vec = tuple[float, float, float]


class Material(IntEnum):
    """What a face is made of; `light.py` and `paint.py` give it its look."""

    PAINT = 0
    PAINT_2 = 1
    GLASS = 2
    TYRE = 3
    RIM = 4
    PLASTIC = 5
    CHROME = 6
    HEADLAMP = 7
    TAILLAMP = 8
    INDICATOR_LEFT = 9
    INDICATOR_RIGHT = 10
    PLATE = 11
    SKIN = 12
    CLOTH = 13
    TROUSERS = 14
    HELMET = 15
    CARGO = 16
    SEAM = 17
    WHITE = 18
    STICKER = 19
    DENT = 20
    DIRT = 21
    HAIR = 22
    FABRIC = 23
    BRAKELAMP = 24
    SEAT = 25
    DISPLAY = 26


@dataclass(frozen=True, slots=True)
class Mesh:
    """Vertices (n, 3), unit normals (n, 3), material per vertex (n,), faces (m, 3) counter-clockwise from outside."""

    points: NDArray[np.float32]
    normals: NDArray[np.float32]
    materials: NDArray[np.int32]
    faces: NDArray[np.int32]


@dataclass(slots=True)
class Builder:
    """Collects patches; `done` gives the mesh."""

    points: list[NDArray[np.float64]] = field(default_factory=list)
    normals: list[NDArray[np.float64]] = field(default_factory=list)
    materials: list[NDArray[np.int32]] = field(default_factory=list)
    faces: list[NDArray[np.int32]] = field(default_factory=list)
    count: int = 0

    def add(
        self, points: NDArray[np.float64], normals: NDArray[np.float64], faces: NDArray[np.int32], material: int
    ) -> None:
        """Append raw geometry, faces turned to agree with their normals."""
        p, n = points, normals
        fn = np.cross(p[faces[:, 1]] - p[faces[:, 0]], p[faces[:, 2]] - p[faces[:, 0]])
        mean = n[faces[:, 0]] + n[faces[:, 1]] + n[faces[:, 2]]
        wrong = (fn * mean).sum(1) < 0
        faces = faces.copy()
        faces[wrong] = faces[wrong][:, ::-1]
        self.points.append(p)
        self.normals.append(n)
        self.materials.append(np.full(len(p), int(material), np.int32))
        self.faces.append((faces + self.count).astype(np.int32))
        self.count += len(p)

    def grid(self, grid: NDArray[np.float64], material: int, away_from: Vec | None = None, flat: bool = False) -> None:
        """A patch (rows, columns, 3) with smooth normals that point away from a point inside the body."""
        rows, cols = grid.shape[:2]
        if flat:
            for i in range(rows - 1):
                for j in range(cols - 1):
                    self.grid(grid[i : i + 2, j : j + 2], material, away_from)
            return
        du = np.gradient(grid, axis=0) if rows > 1 else np.zeros_like(grid)
        dv = np.gradient(grid, axis=1) if cols > 1 else np.zeros_like(grid)
        n = np.cross(du, dv)
        size = np.linalg.norm(n, axis=-1, keepdims=True)
        n /= np.maximum(size, 1e-9)
        if (size < 1e-9).any():  # where a row has shrunk to a point, the patch's own direction
            mean = n.sum((0, 1))
            n = np.where(size < 1e-9, mean / max(float(np.linalg.norm(mean)), 1e-9), n)
        centre = np.array(away_from if away_from is not None else (0.0, 0.0, 0.6))
        out = ((grid - centre) * n).sum(-1)
        if out.sum() < 0:
            n = -n
        index = np.arange(rows * cols).reshape(rows, cols)
        a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
        faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]).astype(
            np.int32
        )
        self.add(grid.reshape(-1, 3), n.reshape(-1, 3), faces, material)

    def quad(self, a: Vec, b: Vec, c: Vec, d: Vec, material: int, away_from: Vec | None = None) -> None:
        """One flat four-sided face."""
        self.grid(np.array([[a, b], [d, c]], dtype=np.float64), material, away_from)

    def box(self, low: Vec, high: Vec, material: int, skip: str = "") -> None:
        """An upright box; `skip` names faces left out among `-x +x -y +y -z +z`."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        mid = ((x0 + x1) / 2, (y0 + y1) / 2, (z0 + z1) / 2)
        sides: dict[str, tuple[Vec, Vec, Vec, Vec]] = {
            "-x": ((x0, y0, z0), (x0, y1, z0), (x0, y1, z1), (x0, y0, z1)),
            "+x": ((x1, y0, z0), (x1, y1, z0), (x1, y1, z1), (x1, y0, z1)),
            "-y": ((x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1)),
            "+y": ((x0, y1, z0), (x1, y1, z0), (x1, y1, z1), (x0, y1, z1)),
            "-z": ((x0, y0, z0), (x1, y0, z0), (x1, y1, z0), (x0, y1, z0)),
            "+z": ((x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)),
        }
        for name, (a, b, c, d) in sides.items():
            if name not in skip:
                self.quad(a, b, c, d, material, mid)

    def disc(self, centre: Vec, radius: float, axis: Vec, material: int, sides: int = 16, inner: float = 0.0) -> None:
        """A flat disc (or ring) facing along `axis`."""
        u, v, n = _frame(axis)
        t = np.linspace(0, 2 * math.pi, sides + 1)
        ring = np.cos(t)[:, None] * u + np.sin(t)[:, None] * v
        c = np.array(centre)
        grid = np.stack([c + ring * max(inner, 1e-4), c + ring * radius])
        self.grid(grid, material, tuple(c - n))

    def tube(
        self, a: Vec, b: Vec, radius: float, material: int, sides: int = 8, end_radius: float | None = None
    ) -> None:
        """A cylinder or cone between two points, with smooth sides and no caps."""
        pa, pb = np.array(a), np.array(b)
        u, v, _ = _frame(tuple(pb - pa))
        t = np.linspace(0, 2 * math.pi, sides + 1)
        ring = np.cos(t)[:, None] * u + np.sin(t)[:, None] * v
        r1 = radius if end_radius is None else end_radius
        points = np.concatenate([pa + ring * radius, pb + ring * r1])
        normals = np.concatenate([ring, ring])
        k = sides + 1
        i = np.arange(sides)
        faces = np.concatenate([np.stack([i, i + 1, i + 1 + k], -1), np.stack([i, i + 1 + k, i + k], -1)])
        self.add(points, normals, faces.astype(np.int32), material)

    def ellipsoid(self, centre: Vec, radii: Vec, material: int, rows: int = 6, cols: int = 10) -> None:
        """A closed, smooth ellipsoid."""
        th = np.linspace(0.001, math.pi - 0.001, rows + 1)
        ph = np.linspace(0, 2 * math.pi, cols + 1)
        unit = np.stack(
            [
                np.outer(np.sin(th), np.cos(ph)),
                np.outer(np.sin(th), np.sin(ph)),
                np.outer(np.cos(th), np.ones(cols + 1)),
            ],
            -1,
        )
        r = np.array(radii)
        n = unit / r
        n /= np.linalg.norm(n, axis=-1, keepdims=True)
        index = np.arange((rows + 1) * (cols + 1)).reshape(rows + 1, cols + 1)
        a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
        faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
        self.add((unit * r + np.array(centre)).reshape(-1, 3), n.reshape(-1, 3), faces.astype(np.int32), material)

    def done(self) -> Mesh:
        """The finished mesh."""
        return Mesh(
            points=np.concatenate(self.points).astype(np.float32),
            normals=np.concatenate(self.normals).astype(np.float32),
            materials=np.concatenate(self.materials),
            faces=np.concatenate(self.faces),
        )


def _frame(axis: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Two unit vectors across `axis`, and `axis` itself of unit length."""
    n = np.array(axis, dtype=np.float64)
    n /= np.linalg.norm(n)
    helper = np.array([0.0, 0.0, 1.0]) if abs(n[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    u = np.cross(helper, n)
    u /= np.linalg.norm(u)
    return u, np.cross(n, u), n
