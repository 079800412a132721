# SPDX-License-Identifier: AGPL-3.0-or-later
"""Cars and car-like vans: one parametric shape, many settings.

A car is its side line (bumper, bonnet, windscreen, roof, rear window, boot), its plan (rounded corners), a lower
body that bulges towards the middle and a narrower glasshouse. Details are thin patches laid on those surfaces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infra.rehearsal.mesh import Builder, Material, Mesh, Vec

Surface = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
_KNOTS = (0.12, 0.15, 0.42, 0.45, 0.5, 0.62, 0.72, 0.78, 0.95)
"""Heights at which a body's surface bends: patches bend there too, or they would dip into it."""
LIFT_M = 0.008
"""How far a patch stands off the surface it is laid on: enough for the depth buffer at 100 m."""


@dataclass(frozen=True, slots=True)
class CarShape:
    """Metres. `y` positions are measured from the front of the car backwards, so 0 is the nose."""

    length: float
    width: float
    height: float
    belt: float = 0.93
    bonnet_front: float = 0.72
    cowl: float = 1.05
    """Where the windscreen meets the bonnet."""
    screen_top: float = 1.85
    roof_end: float = 3.55
    rear_glass_end: float = 4.0
    deck: float = 0.95
    """Height of the boot lid, or of the lower edge of the rear window of a hatchback."""
    clearance: float = 0.2
    wheel: float = 0.32
    front_axle: float = 0.85
    rear_axle: float = 3.4
    roof_width: float = 0.76
    windows: tuple[tuple[float, float], ...] = ((0.10, 0.46), (0.50, 0.84))
    """Side windows as shares of the glasshouse from front to rear."""
    cladding: bool = False
    """Dark plastic along sills and arches, as on crossovers."""
    rear_glass: bool = True
    bed: float = 0.0
    """Length of a pickup's open bed."""
    tall_lamps: bool = False
    rails: bool = False
    fabric_roof: bool = False
    doors: tuple[float, ...] = (0.08, 0.48, 0.86)
    lamp_height: float = 0.14
    nose_drop: float = 0.1


class _Car:
    def __init__(self, shape: CarShape) -> None:
        self.s = shape
        self.b = Builder()
        self.half = shape.length / 2
        self.w = shape.width / 2
        self.corner_front = 0.34
        self.corner_rear = float(np.clip(shape.length - shape.rear_glass_end + 0.02, 0.09, 0.24))

    def y(self, from_nose: float) -> float:
        return self.half - from_nose

    def half_width(self, y: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Half the width at belt height along the car: full in the middle, drawn in at both ends."""
        t = np.abs(np.asarray(y, dtype=np.float64)) / self.half
        return self.w * (1.0 - 0.075 * t**4)

    def deck_line(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Height of bonnet, belt line and boot along the car."""
        s = self.s
        knots = [
            (self.y(s.length), s.deck - 0.03),
            (self.y(s.length - 0.12), s.deck),
            (self.y(s.rear_glass_end), s.deck if s.deck < s.belt + 0.2 else s.belt + 0.05),
            (self.y(min(s.roof_end, s.rear_glass_end - 0.02)), s.belt + 0.04),
            (self.y(s.screen_top), s.belt),
            (self.y(s.cowl), s.belt - 0.01),
            (self.y(s.cowl * 0.5), s.belt * 0.55 + s.bonnet_front * 0.45 + 0.02),
            (self.y(0.1), s.bonnet_front),
        ]
        knots.sort()
        ys, zs = zip(*knots, strict=True)
        line: NDArray[np.float64] = np.interp(y, ys, zs)
        return line

    def side(self, sign: float) -> Surface:
        """Side of the lower body: u along the car (0 front), v from sill to shoulder."""
        front, rear = self.half - self.corner_front, -self.half + self.corner_rear

        def at(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
            y = front + (rear - front) * u
            top = self.deck_line(y) - 0.02
            z = self.s.clearance + (top - self.s.clearance) * v
            bulge = np.interp(v, [0, 0.12, 0.45, 0.72, 0.78, 0.95, 1.0], [0.93, 0.965, 0.99, 1.0, 0.985, 0.965, 0.93])
            return np.stack([sign * self.half_width(y) * bulge, y, z], -1)

        return at

    def fascia(self, front: bool) -> Surface:
        """Front or rear end: u from left to right, v from the bumper's lower edge to the bonnet or boot."""
        s = self.s
        sign = 1.0 if front else -1.0
        corner = self.corner_front if front else self.corner_rear
        edge_y = sign * self.half - sign * corner
        top = s.bonnet_front + 0.03 if front else s.deck - 0.02

        def at(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
            edge_top = float(self.deck_line(np.array([edge_y]))[0]) - 0.02
            x = (u * 2 - 1) * 1.0
            share = np.abs(x)
            z_top = top + (edge_top - top) * share**3
            z = s.clearance + (z_top - s.clearance) * v
            bulge = np.interp(v, [0, 0.12, 0.45, 0.72, 0.78, 0.95, 1.0], [0.93, 0.965, 0.99, 1.0, 0.985, 0.965, 0.93])
            wide = float(self.half_width(edge_y)) * bulge
            round_off = corner * share**3.2
            if front:
                lean = np.interp(v, [0, 0.15, 0.5, 0.62, 1.0], [0.07, 0.01, 0.0, 0.03, 0.03 + s.nose_drop])
            else:
                lean = np.interp(v, [0, 0.12, 0.42, 0.5, 1.0], [0.07, 0.0, 0.0, 0.03, 0.045])
            lean = lean * (1 - share**3.2)
            return np.stack([x * wide, sign * (self.half - round_off - lean), z], -1)

        return at

    def glasshouse_side(self, sign: float) -> Surface:
        """U from the windscreen pillar to the rear pillar, v from belt to roof."""
        s = self.s

        def at(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
            low = self.y(s.cowl) + (self.y(s.rear_glass_end) - self.y(s.cowl)) * u
            high = self.y(s.screen_top) + (self.y(s.roof_end) - self.y(s.screen_top)) * u
            y = low + (high - low) * v
            base = self.deck_line(low) - 0.03
            roof = s.height - 0.05 - 0.05 * np.abs(u - 0.35) ** 2
            z = base + (roof - base) * v
            lower = self.half_width(low) * 0.93
            upper = self.w * s.roof_width
            bow = 0.02 * np.sin(np.pi * v)
            return np.stack([sign * (lower + (upper - lower) * v + bow), y, z], -1)

        return at

    def screen(self, front: bool) -> Surface:
        """Windscreen or rear window: u left to right, v from below to the roof."""
        s = self.s
        y_low = self.y(s.cowl) if front else self.y(s.rear_glass_end)
        y_high = self.y(s.screen_top) if front else self.y(s.roof_end)
        sign = 1.0 if front else -1.0

        def at(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
            x = u * 2 - 1
            low = float(self.half_width(y_low)) * 0.93
            high = self.w * s.roof_width
            wide = low + (high - low) * v + 0.02 * np.sin(np.pi * v)
            base = float(self.deck_line(np.array([y_low]))[0]) - 0.03
            roof = s.height - 0.05 - 0.05 * (0.35**2 if front else 0.65**2)
            bow = 0.10 if front else min(0.08, 0.7 * (s.length - s.rear_glass_end))
            y = y_low + (y_high - y_low) * v + sign * bow * (1 - x**2) * (1 - 0.6 * v)
            crown = 0.035 * (1 - x**2) * v
            return np.stack([x * wide, y, base + (roof - base) * v + crown], -1)

        return at

    def lay(
        self,
        surface: Surface,
        u: tuple[float, float],
        v: tuple[float, float],
        material: int,
        lift: float = LIFT_M,
        steps: tuple[int, int] = (5, 3),
        inside: Vec = (0.0, 0.0, 0.7),
    ) -> None:
        """Lay a patch on a surface, standing `lift` off it."""
        rows = np.unique(np.concatenate([np.linspace(*v, steps[1]), [k for k in _KNOTS if v[0] < k < v[1]]]))
        us, vs = np.meshgrid(np.linspace(*u, steps[0]), rows, indexing="ij")
        e = 1e-3
        p = surface(us, vs)
        du = surface(us + e, vs) - surface(us - e, vs)
        dv = surface(us, vs + e) - surface(us, vs - e)
        n = np.cross(du, dv)
        n /= np.maximum(np.linalg.norm(n, axis=-1, keepdims=True), 1e-12)
        if ((p - np.array(inside)) * n).sum() < 0:
            n = -n
        self.b.grid(p + n * lift, material, inside)

    def build(self) -> Mesh:
        s, b = self.s, self.b
        inside: Vec = (0.0, 0.0, 0.55)
        for sign in (-1.0, 1.0):
            self.lay(self.side(sign), (0, 1), (0, 1), Material.PAINT, 0.0, (26, 8), inside)
        self.lay(self.fascia(True), (0, 1), (0, 1), Material.PAINT, 0.0, (15, 8), inside)
        self.lay(self.fascia(False), (0, 1), (0, 1), Material.PAINT, 0.0, (15, 8), inside)
        self._deck()
        self._glasshouse()
        self._wheels()
        self._front()
        self._rear()
        self._sides()
        b.quad(
            (-self.w * 0.9, -self.half + 0.1, s.clearance),
            (self.w * 0.9, -self.half + 0.1, s.clearance),
            (self.w * 0.9, self.half - 0.1, s.clearance),
            (-self.w * 0.9, self.half - 0.1, s.clearance),
            Material.PLASTIC,
            (0, 0, 1),
        )
        return b.done()

    def _deck(self) -> None:
        """Bonnet and boot lid (under the glasshouse it is hidden, and harmless)."""
        s = self.s
        y = np.linspace(self.half - 0.12, -self.half + 0.07, 30)
        x = np.linspace(-1, 1, 11)
        front_round = np.clip((y - (self.half - self.corner_front)) / self.corner_front, 0, 1)
        rear_round = np.clip((-self.half + self.corner_rear - y) / self.corner_rear, 0, 1)
        wide = self.half_width(y) * 0.93 * (1 - 0.30 * front_round**2 - 0.18 * rear_round**2)
        z = self.deck_line(y)
        grid = np.zeros((30, 11, 3))
        grid[..., 0] = wide[:, None] * x
        grid[..., 1] = y[:, None]
        grid[..., 2] = z[:, None] - 0.02 + 0.05 * (1 - np.abs(x[None, :]) ** 3)
        if s.bed > 0:
            cut = y > -self.half + s.bed + 0.02
            self.b.grid(grid[cut], Material.PAINT, (0.0, 0.0, 0.0))
            self._bed()
            return
        self.b.grid(grid, Material.PAINT, (0.0, 0.0, 0.0))

    def _bed(self) -> None:
        s, b = self.s, self.b
        front, rear = -self.half + s.bed, -self.half + 0.08
        wide = self.w * 0.86
        top = s.deck
        b.quad(
            (-wide, rear, top - 0.42),
            (wide, rear, top - 0.42),
            (wide, front, top - 0.42),
            (-wide, front, top - 0.42),
            Material.PLASTIC,
            (0, 0, 0),
        )
        for x in (-wide, wide):
            b.quad(
                (x, rear, top - 0.42),
                (x, front, top - 0.42),
                (x, front, top),
                (x, rear, top),
                Material.PLASTIC,
                (x * 1.3, 0, top),
            )
            b.box((min(x, x * 1.06), rear, top - 0.03), (max(x, x * 1.06), front, top + 0.01), Material.PAINT)
        b.quad(
            (-wide, rear, top - 0.42),
            (wide, rear, top - 0.42),
            (wide, rear, top),
            (-wide, rear, top),
            Material.PLASTIC,
            (0, -9, top),
        )
        b.box((-wide, rear - 0.05, top - 0.05), (wide, rear, top + 0.01), Material.PAINT)

    def _glasshouse(self) -> None:
        s, b = self.s, self.b
        inside: Vec = (0.0, self.y((s.screen_top + s.roof_end) / 2), s.belt)
        skin = Material.FABRIC if s.fabric_roof else Material.PAINT
        for sign in (-1.0, 1.0):
            side = self.glasshouse_side(sign)
            self.lay(side, (0, 1), (0, 1), skin, 0.0, (14, 5), inside)
            first, last = (s.windows[0][0], s.windows[-1][1]) if s.windows else (0, 0)
            if s.windows and not s.fabric_roof:
                self.lay(side, (first - 0.01, last + 0.01), (0.05, 0.93), Material.PLASTIC, 0.004, (10, 3), inside)
            for u0, u1 in s.windows:
                self.lay(side, (u0, u1), (0.08, 0.90), Material.GLASS, LIFT_M, (6, 4), inside)
        front, rear = self.screen(True), self.screen(False)
        self.lay(front, (0, 1), (0, 1), Material.PAINT, 0.0, (9, 5), inside)
        self.lay(front, (0.045, 0.955), (0.0, 0.96), Material.GLASS, LIFT_M, (9, 5), inside)
        self.lay(rear, (0, 1), (0, 1), skin, 0.0, (9, 5), inside)
        if s.rear_glass:
            self.lay(rear, (0.09, 0.91), (0.10, 0.90), Material.GLASS, LIFT_M, (9, 4), inside)
        y = np.linspace(self.y(s.screen_top), self.y(s.roof_end), 12)
        u = np.linspace(0, 1, 12)
        x = np.linspace(-1, 1, 9)
        grid = np.zeros((12, 9, 3))
        grid[..., 0] = self.w * s.roof_width * x
        grid[..., 1] = y[:, None] + 0.04 * (1 - x[None, :] ** 2) * np.where(u < 0.5, 1 - 2 * u, 1 - 2 * u)[:, None]
        grid[..., 2] = (
            (s.height - 0.05 - 0.05 * np.abs(u - 0.35) ** 2)[:, None]
            + 0.035 * (1 - x[None, :] ** 2)
            + (0.012 * np.sin(np.pi * u)[:, None])
        )
        b.grid(grid, skin, inside)
        b.tube(
            (0.12, self.y(s.roof_end) + 0.1, s.height - 0.03),
            (0.12, self.y(s.roof_end) - 0.02, s.height + 0.09),
            0.012,
            Material.PLASTIC,
            4,
        )
        if s.rails:
            self.rails(Material.CHROME)

    def rails(self, material: int) -> None:
        s = self.s
        for sign in (-1.0, 1.0):
            x = sign * self.w * s.roof_width * 0.93
            self.b.box(
                (x - 0.02, self.y(s.roof_end - 0.15), s.height - 0.05),
                (x + 0.02, self.y(s.screen_top + 0.2), s.height + 0.02),
                material,
            )

    def _wheels(self) -> None:
        s, b = self.s, self.b
        r = s.wheel
        for from_nose in (s.front_axle, s.rear_axle):
            y = self.y(from_nose)
            side_x = float(self.half_width(y)) * 1.0
            for sign in (-1.0, 1.0):
                x = sign * (side_x + 0.004)
                arch = r + (0.085 if s.cladding else 0.055)
                dip = np.arcsin(np.clip((s.clearance - r) / arch, -1, 1))
                t = np.linspace(dip, np.pi - dip, 15)
                outer = np.stack([np.full(15, x), y + arch * np.cos(t), r + arch * np.sin(t)], -1)
                core = np.stack([np.full(15, x), y + 0.01 * np.cos(t), np.full(15, s.clearance + 0.001)], -1)
                b.grid(np.stack([core, outer]), Material.PLASTIC, (0.0, y, r))
                wheel(b, sign, side_x, y, r, 0.2)

    def _front(self) -> None:
        s = self.s
        f = self.fascia(True)
        lamp_low = 0.70 - (0.10 if s.tall_lamps else 0.0)
        lamp_high = lamp_low + s.lamp_height * 1.4
        self.lay(f, (0.02, 0.98), (0.0, 0.13), Material.PLASTIC, 0.004, (13, 2))
        self.lay(f, (0.30, 0.70), (lamp_low, lamp_high - 0.03), Material.PLASTIC, LIFT_M, (7, 3))
        self.lay(f, (0.34, 0.66), (lamp_high - 0.06, lamp_high - 0.03), Material.CHROME, 0.012, (7, 2))
        self.lay(f, (0.22, 0.78), (0.16, 0.40), Material.PLASTIC, LIFT_M, (9, 3))
        for u in ((0.07, 0.19), (0.81, 0.93)):
            self.lay(f, u, (0.2, 0.36), Material.PLASTIC, LIFT_M, (4, 3))
        self.lay(f, (0.36, 0.64), (0.45, 0.62), Material.PLATE, 0.016, (5, 2))
        for u in ((0.0, 0.27), (0.73, 1.0)):
            self.lay(f, u, (lamp_low, lamp_high), Material.HEADLAMP, 0.012, (8, 3))
        for sign, u in ((-1.0, (0.02, 0.07)), (1.0, (0.93, 0.98))):
            which = Material.INDICATOR_LEFT if sign < 0 else Material.INDICATOR_RIGHT
            self.lay(f, u, (lamp_low - 0.09, lamp_low - 0.03), which, 0.013, (3, 2))
        for sign in (-1.0, 1.0):
            self.lay(self.side(sign), (-0.005, 0.055), (lamp_low, lamp_high - 0.04), Material.HEADLAMP, 0.012, (4, 3))

    def _rear(self) -> None:
        s = self.s
        f = self.fascia(False)
        low, high = (0.52, 0.97) if s.tall_lamps else (0.66, 0.90)
        self.lay(f, (0.0, 1.0), (0.0, 0.22), Material.PLASTIC, 0.004, (13, 3))
        self.lay(f, (0.03, 0.97), (0.445, 0.465), Material.SEAM, 0.010, (13, 2))
        self.lay(f, (0.34, 0.66), (0.52, 0.68) if s.deck > 0.8 else (0.3, 0.44), Material.PLATE, 0.016, (5, 2))
        for u in ((0.0, 0.2), (0.8, 1.0)):
            self.lay(f, u, (low, high), Material.TAILLAMP, 0.012, (6, 3))
            mid = (u[0] + 0.03, u[1] - 0.03)
            self.lay(f, mid, (low + 0.05, low + (high - low) * 0.45), Material.BRAKELAMP, 0.018, (4, 2))
        for sign in (-1.0, 1.0):
            which = Material.INDICATOR_LEFT if sign < 0 else Material.INDICATOR_RIGHT
            u = (0.03, 0.16) if sign < 0 else (0.84, 0.97)
            self.lay(f, u, (high - 0.09, high - 0.02), which, 0.018, (4, 2))
            self.lay(self.side(sign), (0.955, 1.005), (low, high - 0.02), Material.TAILLAMP, 0.012, (3, 3))

    def _sides(self) -> None:
        s = self.s
        span = s.length - self.corner_front - self.corner_rear

        def along(from_nose: float) -> float:
            return (from_nose - self.corner_front) / span

        u_front, u_rear = along(s.front_axle), along(s.rear_axle)
        low = 0.16 if not s.cladding else 0.26
        for sign in (-1.0, 1.0):
            side = self.side(sign)
            self.lay(side, (0, 1), (0.0, low), Material.PLASTIC, 0.005, (20, 3))
            first = s.front_axle + s.wheel + 0.12
            last = min(s.rear_axle - 0.05, s.length - 0.5)
            for share in s.doors:
                u = along(first + (last - first) * share)
                self.lay(side, (u - 0.0022, u + 0.0022), (low, 0.97), Material.SEAM, 0.007, (2, 4))
            for share in s.doors[1:]:
                u = along(first + (last - first) * share) - 0.03
                self.lay(side, (u - 0.025, u), (0.80, 0.83), Material.CHROME, 0.02, (2, 2))
            if u_rear - u_front > 0:
                self.lay(side, (u_front + 0.1, u_rear - 0.1), (0.70, 0.71), Material.SEAM, 0.006, (8, 2))
            y = self.y(s.cowl + 0.30)
            x = float(self.half_width(y)) * 0.97
            a, c = sorted((sign * x, sign * (x + 0.20)))
            self.b.ellipsoid(((a + c) / 2, y, s.belt + 0.07), (0.10, 0.06, 0.075), Material.PAINT, 5, 8)
            self.b.quad(
                (a + 0.03, y - 0.062, s.belt + 0.02),
                (c - 0.03, y - 0.062, s.belt + 0.02),
                (c - 0.03, y - 0.062, s.belt + 0.12),
                (a + 0.03, y - 0.062, s.belt + 0.12),
                Material.GLASS,
                (0.0, y, s.belt),
            )


def wheel(b: Builder, sign: float, side_x: float, y: float, r: float, width: float) -> None:
    """One wheel whose outer face is just outside the body's side."""
    out, back = sign * (side_x + 0.012), sign * (side_x + 0.012 - width)
    b.tube((back, y, r), (out, y, r), r, Material.TYRE, 18)
    axis = (sign, 0.0, 0.0)
    b.disc((out, y, r), r, axis, Material.TYRE, 18, r * 0.62)
    b.disc((out - sign * 0.012, y, r), r * 0.66, axis, Material.PLASTIC, 14)
    b.disc((out - sign * 0.002, y, r), r * 0.66, axis, Material.RIM, 16, r * 0.56)
    t = np.linspace(0, 2 * np.pi, 6)[:-1] + 0.3
    for a in t:
        u = np.array([0.0, np.cos(a), np.sin(a)])
        v = np.array([0.0, -np.sin(a), np.cos(a)])
        c = np.array([out, y, r])
        k = r * 0.11
        p = [
            c + u * r * 0.1 - v * k,
            c + u * r * 0.1 + v * k,
            c + u * r * 0.6 + v * k * 0.8,
            c + u * r * 0.6 - v * k * 0.8,
        ]
        b.grid(np.array([[p[0], p[1]], [p[3], p[2]]]), Material.RIM, (0.0, y, r))
    b.disc((out + sign * 0.004, y, r), r * 0.2, axis, Material.RIM, 10)
