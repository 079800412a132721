# SPDX-License-Identifier: AGPL-3.0-or-later
"""Two-wheelers with their riders, and people on foot."""

from __future__ import annotations

import math

import numpy as np

from infra.rehearsal.mesh import Builder, Material, Mesh

WALK_POSES = 6
"""Poses in one stride of a walker."""


def _limb(
    b: Builder, a: tuple[float, float, float], c: tuple[float, float, float], r0: float, r1: float, material: int
) -> None:
    b.tube(a, c, r0, material, 8, r1)
    b.ellipsoid(a, (r0, r0, r0), material, 4, 7)
    b.ellipsoid(c, (r1, r1, r1), material, 4, 7)


def _head(b: Builder, y: float, z: float, helmet: bool) -> None:
    b.ellipsoid((0, y, z), (0.085, 0.10, 0.125), Material.SKIN, 6, 9)
    if helmet:
        b.ellipsoid((0, y - 0.01, z + 0.035), (0.135, 0.155, 0.135), Material.HELMET, 7, 11)
        b.ellipsoid((0, y + 0.07, z + 0.015), (0.10, 0.10, 0.06), Material.GLASS, 5, 9)
    else:
        b.ellipsoid((0, y - 0.02, z + 0.03), (0.095, 0.105, 0.115), Material.HAIR, 5, 9)


def build_pedestrian(pose: int) -> Mesh:
    """A walker, 1.75 m tall, in one of `WALK_POSES` poses."""
    b = Builder()
    swing = math.sin(2 * math.pi * pose / WALK_POSES) * 0.45
    for sign in (-1.0, 1.0):
        a = sign * swing
        hip = (sign * 0.095, 0.0, 0.92)
        knee = (sign * 0.095, math.sin(a) * 0.44 + 0.03, 0.92 - math.cos(a) * 0.44)
        bend = a - max(0.0, -a) * 0.9 - 0.1
        foot = (sign * 0.095, knee[1] + math.sin(bend) * 0.43, max(0.06, knee[2] - math.cos(bend) * 0.43))
        _limb(b, hip, knee, 0.095, 0.065, Material.TROUSERS)
        _limb(b, knee, foot, 0.065, 0.05, Material.TROUSERS)
        b.ellipsoid((foot[0], foot[1] + 0.06, foot[2] - 0.02), (0.05, 0.13, 0.045), Material.PLASTIC, 4, 8)
        shoulder = (sign * 0.205, 0.0, 1.40)
        elbow = (sign * 0.25, -math.sin(a) * 0.26, 1.40 - math.cos(a) * 0.27)
        hand = (sign * 0.24, elbow[1] - math.sin(a) * 0.2 + 0.06, elbow[2] - 0.24)
        _limb(b, shoulder, elbow, 0.06, 0.048, Material.CLOTH)
        _limb(b, elbow, hand, 0.046, 0.036, Material.CLOTH)
        b.ellipsoid(hand, (0.04, 0.05, 0.06), Material.SKIN, 4, 7)
    b.ellipsoid((0, 0, 1.19), (0.20, 0.135, 0.34), Material.CLOTH, 8, 12)
    b.ellipsoid((0, 0, 1.38), (0.225, 0.12, 0.12), Material.CLOTH, 6, 12)
    b.ellipsoid((0, 0, 0.93), (0.17, 0.125, 0.13), Material.TROUSERS, 6, 10)
    b.tube((0, 0, 1.44), (0, 0.01, 1.56), 0.055, Material.SKIN, 7)
    _head(b, 0.015, 1.64, False)
    return b.done()


def add_rider(
    b: Builder,
    seat_y: float,
    seat_z: float,
    hands: tuple[float, float, float],
    feet: tuple[float, float, float],
    lean: float,
    helmet: bool,
    scale: float = 1.0,
) -> None:
    """A person sitting: hands at (x, y, z) and feet at (x, y, z), mirrored left and right."""
    chest = (0.0, seat_y + math.sin(lean) * 0.48, seat_z + 0.08 + math.cos(lean) * 0.48)
    mid = (0.0, (seat_y + chest[1]) / 2, (seat_z + chest[2]) / 2 + 0.02)
    b.ellipsoid((0, seat_y, seat_z + 0.08), (0.17, 0.17, 0.14), Material.TROUSERS, 6, 10)
    b.ellipsoid(mid, (0.175, 0.14, 0.28), Material.CLOTH, 7, 11)
    b.ellipsoid(chest, (0.21, 0.14, 0.16), Material.CLOTH, 7, 11)
    for sign in (-1.0, 1.0):
        shoulder = (sign * 0.19, chest[1], chest[2] + 0.02)
        hand = (sign * hands[0], hands[1], hands[2])
        elbow = (sign * (0.27), (shoulder[1] + hand[1]) / 2 - 0.03, (shoulder[2] + hand[2]) / 2 - 0.1)
        _limb(b, shoulder, elbow, 0.065, 0.052, Material.CLOTH)
        _limb(b, elbow, hand, 0.05, 0.04, Material.CLOTH)
        b.ellipsoid(hand, (0.045, 0.055, 0.045), Material.SKIN, 4, 7)
        foot = (sign * feet[0], feet[1], feet[2])
        knee = (
            sign * (feet[0] + 0.06),
            max(seat_y + 0.36, (seat_y + feet[1]) / 2 + 0.2),
            (seat_z + feet[2]) / 2 + 0.17,
        )
        _limb(b, (sign * 0.1, seat_y, seat_z + 0.05), knee, 0.09, 0.065, Material.TROUSERS)
        _limb(b, knee, foot, 0.065, 0.05, Material.TROUSERS)
        b.ellipsoid((foot[0], foot[1] + 0.06, foot[2] - 0.03), (0.05, 0.13, 0.05), Material.PLASTIC, 4, 8)
    b.tube((0, chest[1] + 0.02, chest[2] + 0.1), (0, chest[1] + 0.05, chest[2] + 0.2), 0.055, Material.SKIN, 7)
    _head(b, chest[1] + 0.07, chest[2] + 0.30, helmet)


def add_tyre(b: Builder, y: float, r: float, half_width: float, spokes: bool) -> None:
    """A wheel standing at `y`, its radius and half its width in metres."""
    for sign in (-1.0, 1.0):
        axis = (sign, 0.0, 0.0)
        b.disc((sign * half_width, y, r), r, axis, Material.TYRE, 20, r * (0.90 if spokes else 0.68))
        if spokes:
            for a in np.linspace(0, math.pi, 7)[:-1]:
                p = (0.0, y + math.cos(a) * r * 0.9, r + math.sin(a) * r * 0.9)
                q = (0.0, y - math.cos(a) * r * 0.9, r - math.sin(a) * r * 0.9)
                b.tube(p, q, 0.004, Material.CHROME, 3)
        else:
            b.disc((sign * (half_width - 0.02), y, r), r * 0.7, axis, Material.PLASTIC, 14)
            b.disc((sign * half_width * 0.9, y, r), r * 0.66, axis, Material.RIM, 16, r * 0.5)
            b.disc((sign * half_width, y, r), r * 0.25, axis, Material.RIM, 10)
    b.tube((-half_width, y, r), (half_width, y, r), r, Material.TYRE, 20)


def build_bicycle() -> Mesh:
    """A bicycle with its rider."""
    b = Builder()
    front, rear, r = 0.53, -0.53, 0.34
    add_tyre(b, front, r, 0.018, True)
    add_tyre(b, rear, r, 0.018, True)
    crank, seat, head = (0.0, -0.08, 0.30), (0.0, -0.24, 0.86), (0.0, 0.36, 0.86)
    for p, q in (
        (crank, seat),
        (crank, head),
        ((0.0, -0.21, 0.75), (0.0, 0.34, 0.80)),
        ((0.0, rear, r), crank),
        ((0.0, rear, r), (0.0, -0.21, 0.75)),
        ((0.0, front, r), (0.0, 0.33, 0.98)),
    ):
        b.tube(p, q, 0.022, Material.PAINT, 6)
    b.tube((-0.27, 0.30, 1.02), (0.27, 0.30, 1.02), 0.016, Material.PLASTIC, 6)
    b.ellipsoid((0, -0.26, 0.91), (0.07, 0.13, 0.04), Material.PLASTIC, 5, 8)
    b.ellipsoid((0, 0.42, 0.84), (0.035, 0.03, 0.035), Material.HEADLAMP, 5, 7)
    b.ellipsoid((0, -0.40, 0.80), (0.03, 0.025, 0.03), Material.TAILLAMP, 5, 7)
    b.disc((0.04, -0.08, 0.30), 0.1, (1, 0, 0), Material.CHROME, 12)
    add_rider(b, -0.25, 0.93, (0.25, 0.29, 1.04), (0.11, -0.02, 0.26), 0.42, False)
    return b.done()


def build_motorbike(shape: str) -> Mesh:
    """A motorbike or a scooter with its rider: `scooter`, `maxi_scooter`, `motorbike` or `cruiser`."""
    b = Builder()
    r = {"scooter": 0.24, "maxi_scooter": 0.27, "motorbike": 0.31, "cruiser": 0.32}[shape]
    half = {"scooter": 0.68, "maxi_scooter": 0.78, "motorbike": 0.76, "cruiser": 0.86}[shape]
    add_tyre(b, half, r, 0.055, False)
    add_tyre(b, -half, r, 0.07, False)
    lean = 0.18
    if shape == "scooter":
        b.ellipsoid((0, -0.45, 0.55), (0.19, 0.45, 0.22), Material.PAINT, 7, 12)
        b.ellipsoid((0, -0.38, 0.78), (0.16, 0.40, 0.075), Material.PLASTIC, 6, 10)
        b.ellipsoid((0, 0.48, 0.62), (0.22, 0.10, 0.36), Material.PAINT, 7, 12)
        b.box((-0.16, -0.2, 0.26), (0.16, 0.5, 0.34), Material.PLASTIC)
        b.ellipsoid((0, 0.66, 0.42), (0.09, 0.24, 0.11), Material.PAINT, 6, 10)
        b.box((-0.16, -0.98, 0.78), (0.16, -0.66, 1.06), Material.PLASTIC)
        lamp_y, lamp_z, bar_z, seat = 0.58, 0.86, 1.02, (-0.25, 0.80)
        feet, hands = (0.14, 0.22, 0.40), (0.3, 0.36, 1.04)
    elif shape == "maxi_scooter":
        b.ellipsoid((0, -0.40, 0.58), (0.25, 0.56, 0.26), Material.PAINT, 7, 12)
        b.ellipsoid((0, -0.36, 0.82), (0.19, 0.46, 0.09), Material.PLASTIC, 6, 10)
        b.ellipsoid((0, 0.56, 0.70), (0.29, 0.20, 0.38), Material.PAINT, 7, 12)
        b.box((-0.20, -0.2, 0.28), (0.20, 0.6, 0.42), Material.PAINT)
        b.quad(
            (-0.24, 0.60, 1.0), (0.24, 0.60, 1.0), (0.18, 0.42, 1.42), (-0.18, 0.42, 1.42), Material.GLASS, (0, 0, 0.9)
        )
        b.box((-0.24, -1.0, 0.86), (0.24, -0.62, 1.18), Material.PAINT)
        lamp_y, lamp_z, bar_z, seat = 0.72, 0.84, 1.04, (-0.22, 0.84)
        feet, hands = (0.20, 0.30, 0.44), (0.32, 0.38, 1.06)
    elif shape == "cruiser":
        b.ellipsoid((0, 0.12, 0.78), (0.16, 0.34, 0.13), Material.PAINT, 7, 12)
        b.ellipsoid((0, 0.06, 0.46), (0.24, 0.28, 0.24), Material.CHROME, 6, 10)
        b.ellipsoid((0, -0.36, 0.70), (0.18, 0.34, 0.08), Material.PLASTIC, 6, 10)
        b.ellipsoid((0, -half, 0.56), (0.11, 0.36, 0.14), Material.PAINT, 6, 10)
        b.ellipsoid((0, half, 0.58), (0.08, 0.30, 0.09), Material.PAINT, 5, 9)
        for sign in (-1.0, 1.0):
            a, c = sorted((sign * 0.16, sign * 0.38))
            b.box((a, -0.98, 0.42), (c, -0.52, 0.74), Material.PLASTIC)
            b.tube((sign * 0.16, 0.0, 0.30), (sign * 0.18, -0.95, 0.34), 0.05, Material.CHROME, 9)
        lamp_y, lamp_z, bar_z, seat = 0.60, 0.90, 1.10, (-0.36, 0.70)
        feet, hands, lean = (0.26, 0.42, 0.36), (0.38, 0.26, 1.08), 0.02
    else:
        b.ellipsoid((0, 0.08, 0.86), (0.15, 0.30, 0.14), Material.PAINT, 7, 12)
        b.ellipsoid((0, 0.02, 0.50), (0.19, 0.30, 0.22), Material.PLASTIC, 6, 10)
        b.ellipsoid((0, -0.42, 0.84), (0.13, 0.38, 0.07), Material.PLASTIC, 6, 10)
        b.ellipsoid((0, -0.72, 0.86), (0.10, 0.22, 0.08), Material.PAINT, 6, 10)
        b.ellipsoid((0, 0.46, 0.94), (0.19, 0.18, 0.20), Material.PAINT, 7, 12)
        b.ellipsoid((0, half, 0.58), (0.07, 0.26, 0.06), Material.PAINT, 5, 9)
        b.tube((0.13, -0.1, 0.36), (0.15, -0.85, 0.46), 0.055, Material.CHROME, 9)
        b.tube((0, -0.1, 0.42), (0, -half, r), 0.05, Material.CHROME, 6)
        lamp_y, lamp_z, bar_z, seat = 0.62, 0.92, 1.06, (-0.30, 0.87)
        feet, hands, lean = (0.17, -0.12, 0.38), (0.32, 0.36, 1.04), 0.38
    for sign in (-1.0, 1.0):
        b.tube((sign * 0.06, half, r), (sign * 0.09, 0.44, 0.92), 0.03, Material.CHROME, 6)
        b.tube((sign * 0.22, 0.44, bar_z), (sign * 0.30, 0.46, bar_z + 0.2), 0.01, Material.PLASTIC, 4)
        b.ellipsoid((sign * 0.32, 0.46, bar_z + 0.22), (0.07, 0.02, 0.045), Material.PLASTIC, 5, 7)
        which = Material.INDICATOR_LEFT if sign < 0 else Material.INDICATOR_RIGHT
        b.ellipsoid((sign * 0.18, 0.60, lamp_z - 0.05), (0.03, 0.03, 0.025), which, 4, 6)
        b.ellipsoid((sign * 0.16, -0.88, 0.76), (0.03, 0.03, 0.025), which, 4, 6)
    b.tube((-0.34, 0.40, bar_z), (0.34, 0.40, bar_z), 0.018, Material.PLASTIC, 6)
    b.ellipsoid((0, lamp_y, lamp_z), (0.10, 0.06, 0.09), Material.HEADLAMP, 6, 9)
    b.ellipsoid((0, -0.92, 0.82), (0.08, 0.04, 0.045), Material.TAILLAMP, 5, 8)
    b.ellipsoid((0, -0.93, 0.80), (0.04, 0.04, 0.03), Material.BRAKELAMP, 5, 8)
    b.quad(
        (-0.1, -0.97, 0.52), (0.1, -0.97, 0.52), (0.1, -0.95, 0.66), (-0.1, -0.95, 0.66), Material.PLATE, (0, 0, 0.6)
    )
    add_rider(b, seat[0], seat[1], hands, feet, lean, True)
    return b.done()
