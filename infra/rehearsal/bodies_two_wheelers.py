# SPDX-License-Identifier: AGPL-3.0-or-later
"""Scooters and motorcycles of endless shapes with who rides them, for pictures that a detector learns from.

Shipped towns know a handful of such shapes, and a detector that has seen no others hardly finds another. Here every
seed gives one of its own: each part is drawn by chance, within what is built and can be ridden.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from infra.rehearsal.bodies_people import add_rider, add_tyre
from infra.rehearsal.mesh import Builder, Material, Mesh

ANY_TWO_WHEELER = "any_two_wheeler"
"""Name of the body; the vehicle's `mark_seed` says which one it is."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """What all parts hang on: metres from the ground under the middle, y forward, z up; `lean` in radians."""

    step_through: bool
    front: float
    """Radius of the front wheel; `rear` of the other."""
    rear: float
    half: float
    """Half of the wheelbase."""
    seat: tuple[float, float]
    hands: tuple[float, float, float]
    feet: tuple[float, float, float]
    lean: float


@lru_cache(maxsize=64)
def random_two_wheeler(seed: int) -> Mesh:
    """A powered two-wheeler with its rider, sometimes two; equal seeds give equal ones."""
    rng = np.random.default_rng(seed)
    b, f = Builder(), _frame(rng)
    _running_gear(b, rng, f)
    (_step_through if f.step_through else _tank)(b, rng, f)
    _front(b, rng, f)
    _lamps(b, rng, f)
    _luggage(b, rng, f)
    add_rider(b, f.seat[0], f.seat[1], f.hands, f.feet, f.lean, bool(rng.random() < 0.96))
    return b.done()


def _frame(rng: np.random.Generator) -> _Frame:
    """Wheels, seat and bars, the bars where the rider's arms reach them."""
    u = rng.uniform
    step = bool(rng.random() < 0.4)
    front = u(0.20, 0.33) if step else u(0.27, 0.36)
    seat = (u(-0.36, -0.16), u(0.72, 0.86)) if step else (u(-0.42, -0.18), u(0.64, 0.95))
    lean = u(-0.08, 0.25) if step else u(-0.05, 0.85)
    reach = seat[0] + math.sin(lean) * 0.48 + u(0.30, 0.48)
    half = float(np.clip(reach + u(0.14, 0.46), 0.58, 0.80 if step else 0.90))
    hands = (u(0.25, 0.40), min(reach, half - 0.14), seat[1] + 0.10 + math.cos(lean) * 0.48 - u(0.14, 0.40))
    low = u(0.28, 0.42)
    feet = (u(0.11, 0.20), u(0.08, 0.42), low) if step else (u(0.14, 0.25), u(-0.34, 0.46) * (1 - lean), low)
    return _Frame(step, front, front * u(0.86, 1.04), half, seat, hands, feet, lean)


def _one(rng: np.random.Generator, *materials: Material) -> Material:
    return materials[int(rng.integers(len(materials)))]


def _running_gear(b: Builder, rng: np.random.Generator, f: _Frame) -> None:
    """Wheels, fork, swinging arm, exhausts, mudguards."""
    u = rng.uniform
    metal = _one(rng, Material.CHROME, Material.PLASTIC, Material.PAINT_2)
    add_tyre(b, f.half, f.front, u(0.035, 0.07), False)
    add_tyre(b, -f.half, f.rear, u(0.05, 0.10), False)
    thick = u(0.02, 0.04)
    for sign in (-1.0, 1.0):
        b.tube((sign * 0.07, f.half, f.front), (sign * 0.09, f.hands[1] + 0.04, f.hands[2] - 0.08), thick, metal, 6)
        b.tube((sign * 0.10, 0.0, 0.40), (sign * 0.08, -f.half, f.rear), thick, metal, 6)
    material, rise, end = _one(rng, Material.CHROME, Material.PLASTIC), u(0.0, 0.35), -u(0.55, 0.95)
    for sign in ((), (1.0,), (1.0,), (-1.0,), (-1.0, 1.0))[int(rng.integers(5))]:
        b.tube((sign * 0.13, -0.1, 0.32), (sign * 0.17, end, 0.34 + rise), u(0.035, 0.065), material, 9)
    for y, r, chance in ((f.half, f.front, 0.75), (-f.half, f.rear, 0.6)):
        if rng.random() < chance:
            high = 2 * r + (u(0.0, 0.16) if rng.random() < 0.3 else -0.02)
            b.ellipsoid((0, y, high), (u(0.06, 0.12), u(0.2, 0.34), u(0.04, 0.09)), _one(rng, *_SHELLS), 5, 9)


_SHELLS = (Material.PAINT, Material.PAINT, Material.PAINT_2, Material.PLASTIC)
"""What panels are made of; the paint more often."""


def _seat(b: Builder, rng: np.random.Generator, f: _Frame) -> None:
    """A seat for one or two, and now and then somebody behind."""
    u = rng.uniform
    double = bool(rng.random() < 0.6)
    long = u(0.36, 0.50) if double else u(0.20, 0.30)
    cover = _one(rng, Material.PLASTIC, Material.PLASTIC, Material.SEAT, Material.DIRT)
    b.ellipsoid((0, f.seat[0] - long * 0.4, f.seat[1] - 0.03), (u(0.12, 0.19), long, u(0.05, 0.10)), cover, 6, 10)
    if double and rng.random() < 0.25:
        back, high = f.seat[0] - u(0.34, 0.44), f.seat[1] + u(0.0, 0.10)
        add_rider(b, back, high, (0.2, f.seat[0] - 0.02, high + 0.3), (0.2, back + 0.25, 0.42), f.lean * 0.7, True)


def _step_through(b: Builder, rng: np.random.Generator, f: _Frame) -> None:
    """Body under the seat, floor and leg shield."""
    u = rng.uniform
    y, z = f.seat
    b.ellipsoid((0, y - 0.16, z - 0.24), (u(0.15, 0.26), u(0.38, 0.56), u(0.15, 0.26)), Material.PAINT, 7, 12)
    wide, floor = u(0.13, 0.22), u(0.22, 0.36)
    tunnel = u(0.0, 0.22) if rng.random() < 0.4 else 0.0
    b.box((-wide, y - 0.05, floor), (wide, f.hands[1] + 0.1, floor + 0.08), _one(rng, *_SHELLS))
    b.box((-wide * 0.5, y, floor), (wide * 0.5, f.hands[1] + 0.05, floor + 0.08 + tunnel), _one(rng, *_SHELLS))
    tall = (f.hands[2] - floor) / 2
    shield = (u(0.17, 0.30), u(0.06, 0.20), tall * u(0.8, 1.05))
    b.ellipsoid((0, f.hands[1] + 0.12, floor + tall), shield, Material.PAINT, 7, 12)
    _seat(b, rng, f)


def _tank(b: Builder, rng: np.random.Generator, f: _Frame) -> None:
    """Engine, tank, seat and tail."""
    u = rng.uniform
    engine = _one(rng, Material.PLASTIC, Material.PLASTIC, Material.CHROME, Material.RIM, Material.PAINT_2)
    b.ellipsoid((0, u(-0.06, 0.14), u(0.40, 0.52)), (u(0.13, 0.26), u(0.22, 0.36), u(0.17, 0.26)), engine, 6, 10)
    middle = (f.seat[0] + f.hands[1]) / 2 + u(0.02, 0.14)
    tank = (u(0.10, 0.20), u(0.24, 0.38), u(0.10, 0.17))
    b.ellipsoid((0, middle, f.seat[1] + u(-0.06, 0.08)), tank, _one(rng, *_SHELLS), 7, 12)
    for p in ((0.0, middle, f.seat[1] - 0.05), (0.0, -0.35, f.seat[1] - 0.1)):
        b.tube((0.0, 0.0, 0.36), p, u(0.03, 0.06), _one(rng, Material.PAINT, Material.PLASTIC, Material.CHROME), 6)
    if rng.random() < 0.5:  # panels below the tank or the seat
        panel = (u(0.13, 0.22), u(0.14, 0.32), u(0.08, 0.20))
        b.ellipsoid((0, u(-0.35, 0.25), f.seat[1] - u(0.1, 0.3)), panel, _one(rng, *_SHELLS), 6, 10)
    tail = (u(0.07, 0.16), u(0.14, 0.32), u(0.05, 0.11))
    b.ellipsoid((0, f.seat[0] - u(0.30, 0.46), f.seat[1] + u(-0.1, 0.08)), tail, _one(rng, *_SHELLS), 6, 10)
    _seat(b, rng, f)


def _front(b: Builder, rng: np.random.Generator, f: _Frame) -> None:
    """Bars, mirrors, and a fairing and a windscreen of any size, or none."""
    u = rng.uniform
    x, y, z = f.hands[0] + 0.03, f.hands[1] + 0.04, f.hands[2]
    b.tube((-x, y, z), (x, y, z), 0.018, Material.PLASTIC, 6)
    if rng.random() < 0.85:
        up, out, size = u(0.08, 0.26), u(-0.06, 0.08), u(0.04, 0.08)
        for sign in (-1.0, 1.0):
            b.tube((sign * x * 0.8, y, z), (sign * (x + out), y + 0.04, z + up), 0.01, Material.PLASTIC, 4)
            b.ellipsoid((sign * (x + out), y + 0.04, z + up), (size, 0.02, size * 0.7), Material.PLASTIC, 5, 7)
    wide, size = u(0.13, 0.30), rng.random()
    if size > 0.35:
        tall = u(0.10, 0.20) if size < 0.75 else u(0.18, 0.28)
        b.ellipsoid((0, y + u(0.06, 0.18), z - u(0.02, 0.18)), (wide, u(0.10, 0.22), tall), _one(rng, *_SHELLS), 7, 12)
    if size > 0.85:  # down to the engine
        b.ellipsoid((0, y - 0.06, 0.56), (wide * 0.85, u(0.28, 0.42), u(0.2, 0.28)), Material.PAINT, 7, 12)
    if rng.random() < 0.45:
        high, back, half = z + u(0.14, 0.48), y + u(-0.12, 0.10), wide * u(0.6, 1.0)
        low = ((-half, y + 0.18, z), (half, y + 0.18, z))
        b.quad(*low, (half * 0.75, back, high), (-half * 0.75, back, high), Material.GLASS, (0, 0, z - 0.1))


def _lamps(b: Builder, rng: np.random.Generator, f: _Frame) -> None:
    """Headlamps, rear lamps, indicators and the plate."""
    u = rng.uniform
    y, z = f.hands[1] + u(0.16, 0.30), f.hands[2] - u(0.04, 0.24)
    lamp = (u(0.06, 0.12), 0.06, u(0.05, 0.10))
    for x in (-lamp[0], lamp[0]) if rng.random() < 0.3 else (0.0,):
        b.ellipsoid((x, y, z), lamp, Material.HEADLAMP, 6, 9)
    end, high, wide = min(-f.half - u(0.0, 0.2), f.seat[0] - 0.4), f.seat[1] - u(0.0, 0.16), u(0.05, 0.12)
    b.ellipsoid((0, end, high), (wide, 0.04, 0.045), Material.TAILLAMP, 5, 8)
    b.ellipsoid((0, end - 0.01, high - 0.02), (wide / 2, 0.04, 0.03), Material.BRAKELAMP, 5, 8)
    for sign, which in ((-1.0, Material.INDICATOR_LEFT), (1.0, Material.INDICATOR_RIGHT)):
        b.ellipsoid((sign * 0.17, y - 0.02, z - 0.03), (0.03, 0.03, 0.025), which, 4, 6)
        b.ellipsoid((sign * 0.15, end + 0.03, high - 0.06), (0.03, 0.03, 0.025), which, 4, 6)
    foot = high - u(0.2, 0.36)
    corners = ((-0.1, end - 0.03, foot), (0.1, end - 0.03, foot), (0.1, end, foot + 0.14), (-0.1, end, foot + 0.14))
    b.quad(*corners, Material.PLATE, (0, 0, 0.6))


def _luggage(b: Builder, rng: np.random.Generator, f: _Frame) -> None:
    """A case behind, up to a courier's box, and cases at the sides."""
    u = rng.uniform
    if rng.random() < 0.35:
        half, long, tall = u(0.15, 0.27), u(0.26, 0.46), u(0.18, 0.46)
        at, floor = f.seat[0] - u(0.42, 0.50), f.seat[1] + u(0.0, 0.08)
        b.box(
            (-0.09, at - long * 0.7, floor - 0.1), (0.09, f.seat[0] - 0.2, floor), Material.PLASTIC
        )  # what carries it
        b.box((-half, at - long, floor), (half, at, floor + tall), _one(rng, *_SHELLS, Material.STICKER))
    if not f.step_through and rng.random() < 0.3:
        inner, wide, floor, tall = u(0.12, 0.18), u(0.12, 0.26), u(0.40, 0.56), u(0.22, 0.36)
        material = _one(rng, *_SHELLS, Material.RIM)
        for low, high in ((-inner - wide, -inner), (inner, inner + wide)):
            b.box((low, -u(0.85, 0.98), floor), (high, -u(0.42, 0.52), floor + tall), material)
