# SPDX-License-Identifier: AGPL-3.0-or-later
"""Buses, coaches and trucks: rounded boxes with bands of glass, lamps and big wheels."""

from __future__ import annotations

import itertools

import numpy as np

from infra.rehearsal.bodies_cars import wheel
from infra.rehearsal.mesh import Builder, Material, Mesh

OFF_M = 0.012


def rounded_box(
    b: Builder,
    x: float,
    front: float,
    rear: float,
    low: float,
    high: float,
    radius: float,
    material: int,
    roof_drop: float = 0.12,
) -> None:
    """An upright box with rounded vertical edges and a softened roof edge."""
    t = np.linspace(0, np.pi / 2, 5)
    corners = [
        (x - radius, front - radius, 0.0),
        (-x + radius, front - radius, np.pi / 2),
        (-x + radius, rear + radius, np.pi),
        (x - radius, rear + radius, 1.5 * np.pi),
    ]
    outline = np.concatenate(
        [np.stack([cx + radius * np.cos(t + a), cy + radius * np.sin(t + a)], -1) for cx, cy, a in corners]
    )
    outline = np.concatenate([outline, outline[:1]])
    centre = np.array([0.0, (front + rear) / 2])
    levels = [(low, 1.0), (high - roof_drop, 1.0), (high - roof_drop * 0.4, 0.985), (high, 0.93)]
    rings = [np.concatenate([(outline - centre) * s + centre, np.full((len(outline), 1), z)], 1) for z, s in levels]
    middle = (0.0, (front + rear) / 2, (low + high) / 2)
    b.grid(np.stack(rings[:2]), material, middle)
    b.grid(np.stack(rings[1:]), material, middle)
    top = np.concatenate([np.broadcast_to(centre, outline.shape), np.full((len(outline), 1), high + 0.01)], 1)
    b.grid(np.stack([rings[-1], top]), material, middle)
    under = rings[0].copy()
    under[:, :2] = centre
    b.grid(np.stack([rings[0], under]), Material.PLASTIC, middle)


def side_panel(
    b: Builder, x: float, y0: float, y1: float, z0: float, z1: float, material: int, off: float = OFF_M
) -> None:
    """The same flat panel on both sides."""
    for sign in (-1.0, 1.0):
        px = sign * (x + off)
        b.quad((px, y0, z0), (px, y1, z0), (px, y1, z1), (px, y0, z1), material, (0, (y0 + y1) / 2, (z0 + z1) / 2))


def end_panel(
    b: Builder, y: float, sign: float, x0: float, x1: float, z0: float, z1: float, material: int, off: float = OFF_M
) -> None:
    """A flat panel on the front (sign 1) or rear (-1)."""
    py = y + sign * off
    b.quad((x0, py, z0), (x1, py, z0), (x1, py, z1), (x0, py, z1), material, (0, y - sign, (z0 + z1) / 2))


def windscreen(b: Builder, y: float, sign: float, half_w: float, low: float, high: float, bulge: float = 0.07) -> None:
    """A big bowed pane on the front (sign 1) or rear (-1): its bow mirrors street below and sky above."""
    x = np.linspace(-1, 1, 11)
    v = np.linspace(0, 1, 6)
    grid = np.zeros((6, 11, 3))
    grid[..., 0] = half_w * x
    grid[..., 1] = y + sign * (0.015 + bulge * (1 - x[None, :] ** 2) * (1 - 0.7 * v[:, None]))
    grid[..., 2] = (low + (high - low) * v)[:, None]
    b.grid(grid, Material.GLASS, (0.0, y - sign * 2.0, (low + high) / 2 - 0.4))


def wipers(b: Builder, y: float, half_w: float, low: float) -> None:
    """Two wipers at rest on a windscreen, and the dashboard's pale edge behind it."""
    for x in (-0.55, 0.25):
        b.tube(
            (x * half_w, y + 0.11, low + 0.03), (x * half_w + 0.75, y + 0.11, low + 0.22), 0.018, Material.PLASTIC, 4
        )
    b.quad(
        (-half_w * 0.8, y + 0.10, low + 0.02),
        (half_w * 0.8, y + 0.10, low + 0.02),
        (half_w * 0.8, y + 0.095, low + 0.09),
        (-half_w * 0.8, y + 0.095, low + 0.09),
        Material.SEAM,
        (0, y - 1, low),
    )


def seats(b: Builder, x: float, y0: float, y1: float, low: float, high: float) -> None:
    """Pale seat backs behind the side windows of a bus, one every 0.8 m."""
    for y in np.arange(y0 + 0.35, y1 - 0.4, 0.82):
        side_panel(b, x, float(y), float(y) + 0.34, low + 0.04, low + (high - low) * 0.45, Material.SEAT, OFF_M * 1.3)


def big_wheels(b: Builder, x: float, axles: tuple[float, ...], r: float) -> None:
    """Wheels and arches on both sides at each axle."""
    for y in axles:
        for sign in (-1.0, 1.0):
            t = np.linspace(0.0, np.pi, 13)
            px = sign * (x + 0.006)
            outer = np.stack([np.full(13, px), y + (r + 0.09) * np.cos(t), r + (r + 0.09) * np.sin(t) * 0.98], -1)
            core = np.stack([np.full(13, px), y + 0.01 * np.cos(t), np.full(13, r)], -1)
            b.grid(np.stack([core, outer]), Material.PLASTIC, (0.0, y, r))
            wheel(b, sign, x + 0.01, y, r, 0.3)


def front_lamps(b: Builder, x: float, y: float, z: float, size: float = 0.26) -> None:
    """Headlamps, indicators and a number plate on a front."""
    for sign in (-1.0, 1.0):
        a, c = sorted((sign * (x - 0.12), sign * (x - 0.12 - size * 1.3)))
        end_panel(b, y, 1, a, c, z, z + size * 0.75, Material.HEADLAMP, 0.02)
        which = Material.INDICATOR_LEFT if sign < 0 else Material.INDICATOR_RIGHT
        end_panel(b, y, 1, a, c, z + size * 0.8, z + size, which, 0.02)
    end_panel(b, y, 1, -0.26, 0.26, z - 0.14, z - 0.03, Material.PLATE, 0.025)


def rear_lamps(b: Builder, x: float, y: float, z: float, high: float = 0.45) -> None:
    """Tail, brake and indicator lamps and a number plate on a rear."""
    for sign in (-1.0, 1.0):
        a, c = sorted((sign * (x - 0.06), sign * (x - 0.26)))
        end_panel(b, y, -1, a, c, z, z + high * 0.45, Material.TAILLAMP, 0.02)
        end_panel(b, y, -1, a, c, z + high * 0.45, z + high * 0.75, Material.BRAKELAMP, 0.02)
        which = Material.INDICATOR_LEFT if sign < 0 else Material.INDICATOR_RIGHT
        end_panel(b, y, -1, a, c, z + high * 0.77, z + high, which, 0.02)
    end_panel(b, y, -1, -0.26, 0.26, z - 0.05, z + 0.07, Material.PLATE, 0.025)


def big_mirrors(b: Builder, x: float, y: float, z: float) -> None:
    """Mirrors on arms on both sides."""
    for sign in (-1.0, 1.0):
        a, c = sorted((sign * (x + 0.08), sign * (x + 0.3)))
        b.box((a, y - 0.06, z - 0.35), (c, y + 0.06, z + 0.1), Material.PLASTIC)
        b.tube((sign * x, y - 0.05, z + 0.1), (sign * (x + 0.2), y, z + 0.1), 0.025, Material.PLASTIC, 4)


def build_bus(length: float, height: float, coach: bool) -> Mesh:
    """A city bus (low floor, doors, glass down low) or a coach (high floor, dark glass, luggage flaps)."""
    b = Builder()
    half, x = length / 2, 1.26
    low = 0.32 if coach else 0.28
    rounded_box(b, x, half, -half, low, height, 0.18, Material.PAINT, 0.2)
    glass_low, glass_high = (1.75, height - 0.55) if coach else (1.05, height - 0.75)
    side_panel(b, x, -half + 0.35, half - 0.22, glass_low, glass_high, Material.GLASS)
    seats(b, x, -half + 0.35, half - 2.2, glass_low, glass_high)
    step = 1.45
    y = -half + 0.35 + step
    while y < half - 0.8:
        side_panel(b, x, y - 0.035, y + 0.035, glass_low, glass_high, Material.PLASTIC, OFF_M * 1.6)
        y += step
    side_panel(b, x, -half + 0.25, half - 0.25, low, low + 0.18, Material.PLASTIC)
    side_panel(b, x, -half + 0.25, half - 0.25, low + 0.35, low + 0.60, Material.PAINT_2)
    doors = (half - 1.75,) if coach else (half - 1.75, 0.3, -half + 2.4)
    for d in doors:
        px = x + OFF_M * 2
        b.quad(
            (px, d, low + 0.05),
            (px, d + 1.2, low + 0.05),
            (px, d + 1.2, height - 0.7),
            (px, d, height - 0.7),
            Material.GLASS,
            (0, d, 1.5),
        )
        for k in (d, d + 0.6, d + 1.2):
            b.quad(
                (px + 0.01, k - 0.03, low + 0.05),
                (px + 0.01, k + 0.03, low + 0.05),
                (px + 0.01, k + 0.03, height - 0.7),
                (px + 0.01, k - 0.03, height - 0.7),
                Material.PLASTIC,
                (0, d, 1.5),
            )
    pane_low = 1.0 if not coach else 1.15
    windscreen(b, half, 1, x - 0.1, pane_low, height - 0.55)
    wipers(b, half, x - 0.1, pane_low)
    end_panel(b, half, 1, -0.25, 0.25, pane_low - 0.22, pane_low - 0.12, Material.CHROME)
    end_panel(b, half, 1, -x + 0.25, x - 0.25, height - 0.5, height - 0.22, Material.PLASTIC)
    end_panel(b, half, 1, -x + 0.45, x - 0.75, height - 0.43, height - 0.29, Material.DISPLAY, OFF_M * 1.6)
    end_panel(b, half, 1, -x + 0.12, x - 0.12, low, low + 0.15, Material.PLASTIC)
    windscreen(b, -half, -1, x - 0.2, height - 1.35, height - 0.45, 0.03)
    end_panel(b, -half, -1, -x + 0.2, x - 0.2, 0.75, 1.25, Material.PLASTIC)
    end_panel(b, -half, -1, -x + 0.12, x - 0.12, low, low + 0.15, Material.PLASTIC)
    front_lamps(b, x, half, 0.62)
    rear_lamps(b, x, -half, 0.85, 0.7)
    big_mirrors(b, x, half + 0.1, height - 0.8)
    axles = (half - 2.75, -half + 3.2) if not coach else (half - 2.6, -half + 3.4, -half + 2.1)
    big_wheels(b, x - 0.01, axles, 0.5)
    b.box((-0.8, -1.4, height), (0.8, 0.9, height + 0.18), Material.WHITE, "-z")
    if not coach:
        b.box((-0.7, -half + 0.6, height), (0.7, -half + 2.0, height + 0.22), Material.CHROME, "-z")
    return b.done()


def build_truck(length: float, height: float, bed: str) -> Mesh:
    """A two- or three-axle truck: cab over engine, chassis, and a `box`, a `tipper` bed or a loaded `flat` one."""
    b = Builder()
    half, x = length / 2, 1.22
    cab_rear = half - 1.9
    cab_top = min(2.95, height - 0.05)
    rounded_box(b, x, half, cab_rear, 0.45, cab_top, 0.16, Material.PAINT, 0.25)
    windscreen(b, half, 1, x - 0.12, 1.6, cab_top - 0.4)
    wipers(b, half, x - 0.12, 1.6)
    end_panel(b, half, 1, -x + 0.05, x - 0.05, cab_top - 0.36, cab_top - 0.24, Material.PLASTIC, 0.10)
    end_panel(b, half, 1, -x + 0.3, x - 0.3, 0.95, 1.45, Material.PLASTIC)
    for bar in (1.02, 1.14, 1.34):
        end_panel(b, half, 1, -x + 0.34, x - 0.34, bar, bar + 0.03, Material.CHROME, OFF_M * 1.5)
    end_panel(b, half, 1, -x + 0.08, x - 0.08, 0.4, 0.62, Material.PLASTIC)
    end_panel(b, half, 1, -0.3, 0.3, 1.22, 1.3, Material.CHROME, 0.02)
    side_panel(b, x, half - 1.15, half - 0.22, 1.6, cab_top - 0.45, Material.GLASS)
    side_panel(b, x, half - 1.18, half - 1.15, 0.8, cab_top - 0.4, Material.SEAM, OFF_M)
    side_panel(b, x, half - 1.45, half - 0.2, 0.45, 0.62, Material.PLASTIC)
    front_lamps(b, x, half, 0.66)
    big_mirrors(b, x, half + 0.02, 2.5)
    b.box((-0.45, -half + 0.1, 0.6), (0.45, cab_rear, 0.95), Material.PLASTIC)
    for sign in (-1.0, 1.0):
        a, c = sorted((sign * 0.5, sign * 1.1))
        b.box((a, -0.7, 0.45), (c, 0.9, 0.9), Material.CHROME if sign > 0 else Material.PLASTIC)
    body_front = cab_rear - 0.12
    if bed == "tipper":
        y0, y1, z0, z1 = -half + 0.05, body_front, 1.05, min(height - 0.9, 1.95)
        b.box((-x, y0, z0), (x, y1, z1), Material.PAINT_2, "+z")
        for sign in (-1.0, 1.0):
            b.quad(
                (sign * (x - 0.07), y0, z0),
                (sign * (x - 0.07), y1, z0),
                (sign * (x - 0.07), y1, z1),
                (sign * (x - 0.07), y0, z1),
                Material.PLASTIC,
                (sign * 9, 0, z0),
            )
            for k in np.arange(y0 + 0.4, y1, 0.75):
                a, c = sorted((sign * x, sign * (x + 0.05)))
                b.box((a, float(k), z0), (c, float(k) + 0.09, z1), Material.PAINT_2)
        b.quad(
            (-x + 0.05, y0, z1 - 0.25),
            (x - 0.05, y0, z1 - 0.25),
            (x - 0.05, y1, z1 - 0.15),
            (-x + 0.05, y1, z1 - 0.15),
            Material.CARGO,
            (0, 0, 0),
        )
        b.box((-x, y1 - 0.06, z1), (x, y1, z1 + 0.5), Material.PAINT_2)
    elif bed == "flat":
        y0, y1 = -half + 0.05, body_front
        b.box((-x, y0, 0.98), (x, y1, 1.12), Material.PLASTIC)
        side_panel(b, x, y0, y1, 0.98, 1.5, Material.PAINT_2, 0.02)
        end_panel(b, y0, -1, -x, x, 0.98, 1.5, Material.PAINT_2, 0.02)
        b.box((-x, y1 - 0.08, 1.0), (x, y1, 2.5), Material.CHROME)
        b.box((-x + 0.15, y0 + 0.9, 1.12), (x - 0.25, y0 + 2.6, 1.95), Material.CARGO)
        b.box((-x + 0.3, y1 - 2.0, 1.12), (x - 0.15, y1 - 0.4, 2.25), Material.PLASTIC)
    else:
        y0, y1 = -half + 0.05, body_front
        b.box((-x - 0.04, y0, 1.0), (x + 0.04, y1, height), Material.WHITE)
        side_panel(b, x + 0.04, y0, y1, 1.0, 1.08, Material.CHROME, 0.01)
        side_panel(b, x + 0.04, y0, y1, height - 0.06, height, Material.CHROME, 0.01)
        mid = (y0 + y1) / 2
        side_panel(b, x + 0.04, mid - 1.3, mid + 1.3, 1.6, 2.4, Material.PAINT, 0.01)
        end_panel(b, y0, -1, -0.02, 0.02, 1.05, height - 0.05, Material.SEAM, 0.012)
        for px in (-0.55, 0.55):
            end_panel(b, y0, -1, px - 0.02, px + 0.02, 1.05, height - 0.1, Material.CHROME, 0.015)
    b.box((-x, -half, 0.5), (x, -half + 0.1, 0.68), Material.PLASTIC)
    rear_lamps(b, x, -half, 0.72, 0.22)
    axles = (half - 1.35, -half + 1.6) if length < 8.0 else (half - 1.35, -half + 2.3, -half + 1.15)
    big_wheels(b, x - 0.02, axles, 0.48)
    return b.done()


def build_minibus(length: float, height: float) -> Mesh:
    """A minibus: a van's nose, a band of windows, a high roof."""
    b = Builder()
    half, x = length / 2, 1.0
    rounded_box(b, x, half - 0.75, -half, 0.32, height, 0.15, Material.PAINT, 0.18)
    nose = np.array(
        [(half - 0.02, 0.32), (half, 0.62), (half - 0.06, 0.95), (half - 0.5, 1.18), (half - 1.0, height - 0.35)]
    )
    across = np.linspace(-1, 1, 7)
    grid = np.zeros((5, 7, 3))
    for i, (yy, zz) in enumerate(nose):
        grid[i, :, 0] = across * (x - 0.02) * (0.94 if i < 4 else 0.9)
        grid[i, :, 1] = yy - 0.16 * np.abs(across) ** 3
        grid[i, :, 2] = zz
    b.grid(grid, Material.PAINT, (0, half - 1.5, 0.8))
    for sign in (-1.0, 1.0):
        px = sign * (x - 0.05)
        pts = [
            (px, half - 0.16, 0.34),
            (px, half - 0.2, 0.95),
            (px, half - 0.62, 1.16),
            (px, half - 1.0, 1.9),
            (px, half - 1.1, 0.34),
        ]
        centre = (px, half - 0.8, 0.8)
        for p, q in itertools.pairwise(pts):
            normal = np.tile([sign, 0.0, 0.0], (3, 1))
            b.add(np.array([centre, p, q]), normal, np.array([[0, 1, 2]], np.int32), Material.PAINT)
        b.quad(
            (px * 1.03, half - 0.68, 1.2),
            (px * 1.03, half - 1.02, 1.85),
            (px * 1.03, half - 1.1, 1.85),
            (px * 1.03, half - 1.1, 1.2),
            Material.GLASS,
            (0, half - 0.8, 1.3),
        )
    g0, g1 = np.array([half - 0.54, 1.22]), np.array([half - 0.98, height - 0.42])
    b.quad(
        (-x + 0.12, g0[0] + 0.03, g0[1]),
        (x - 0.12, g0[0] + 0.03, g0[1]),
        (x - 0.16, g1[0] + 0.06, g1[1]),
        (-x + 0.16, g1[0] + 0.06, g1[1]),
        Material.GLASS,
        (0, half - 2, 1),
    )
    side_panel(b, x, -half + 0.2, half - 1.0, 1.15, height - 0.55, Material.GLASS)
    for k in np.arange(-half + 1.3, half - 1.2, 1.15):
        side_panel(b, x, float(k) - 0.06, float(k) + 0.06, 1.15, height - 0.55, Material.PAINT, OFF_M * 1.6)
    side_panel(b, x, -half + 0.1, half - 1.0, 0.32, 0.5, Material.PLASTIC)
    side_panel(b, x, -half + 0.1, half - 1.0, 0.72, 0.78, Material.PLASTIC)
    end_panel(b, -half, -1, -x + 0.15, -0.04, 1.25, height - 0.45, Material.GLASS)
    end_panel(b, -half, -1, 0.04, x - 0.15, 1.25, height - 0.45, Material.GLASS)
    end_panel(b, -half, -1, -x + 0.05, x - 0.05, 0.32, 0.55, Material.PLASTIC)
    rear_lamps(b, x, -half, 0.85, 0.7)
    end_panel(b, half, 1, -0.45, 0.45, 0.66, 0.85, Material.PLASTIC, 0.0)
    end_panel(b, half, 1, -0.7, 0.7, 0.34, 0.55, Material.PLASTIC, 0.0)
    front_lamps(b, x - 0.02, half - 0.07, 0.7, 0.22)
    big_mirrors(b, x, half - 1.0, 1.5)
    big_wheels(b, x - 0.005, (half - 1.0, -half + 1.4), 0.36)
    return b.done()
