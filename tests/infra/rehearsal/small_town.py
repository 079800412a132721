# SPDX-License-Identifier: AGPL-3.0-or-later
"""A hand-made street for tests of the pictures: one road, two houses, a tree, a lamp, one camera, four road users."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from infra.rehearsal.bodies import SIZES
from infra.rehearsal.world import (
    Building,
    Camera,
    Frame,
    Furniture,
    Ground,
    Lane,
    Outage,
    Town,
    Traffic,
    Vehicle,
    Weather,
)

STEP_S = 0.25


def ground() -> Ground:
    """A straight street along the y axis."""
    return Ground(
        lanes=(
            Lane(((1.6, -20.0), (1.6, 80.0)), 3.2, "road", "Rue d'essai"),
            Lane(((-1.6, 80.0), (-1.6, -20.0)), 3.2, "road", "Rue d'essai"),
            Lane(((4.5, -20.0), (4.5, 80.0)), 2.0, "sidewalk", "Rue d'essai"),
        ),
        junctions=(),
        crossings=(((-3.2, 30.0), (3.2, 30.0), (3.2, 33.0), (-3.2, 33.0)),),
        stop_lines=(),
        buildings=(
            Building(((6.0, 10.0), (14.0, 10.0), (14.0, 22.0), (6.0, 22.0)), 7.0, (214, 204, 184), (72, 76, 84), True),
        ),
        furniture=(Furniture("tree", (-5.0, 26.0), 0.0, 6.0), Furniture("lamp", (5.2, 8.0), 270.0, 6.0)),
        bounds=(-30.0, -30.0, 30.0, 90.0),
    )


def camera(name: str = "A1", **more: object) -> Camera:
    """A small camera that looks along the street."""
    base = Camera(name, "essai", (-3.5, -2.0), 6.0, 8.0, 16.0, 60.0, 320, 180, 4, "h264", 400, 1.0)
    return replace(base, **more)  # type: ignore[arg-type]


def vehicle(
    identity: str, body: str, kind: str = "car", rgb: tuple[int, int, int] = (30, 60, 130), **more: object
) -> Vehicle:
    """A vehicle of a shape's own size."""
    length, width, height = SIZES[body]
    return Vehicle(identity, kind, body, "blue", rgb, length_m=length, width_m=width, height_m=height, **more)  # type: ignore[arg-type]


def town(seed: int = 1, cameras: tuple[Camera, ...] | None = None, light: str = "day") -> Town:
    """The whole small town."""
    return Town(
        "essai",
        "test",
        seed,
        "2026-03-02T09:00:00Z",
        ground(),
        cameras or (camera(),),
        Weather(light, 0.0, 140.0, 40.0),  # type: ignore[arg-type]
        ("hatch_small", "suv_large"),
        f"digest-{seed}",
    )


def traffic(seconds: float = 3.0, seed: int = 1) -> Traffic:
    """Two moving cars, a parked one and somebody on foot."""
    vehicles = (
        vehicle("v0", "hatch_small"),
        vehicle("v1", "suv_large", rgb=(220, 220, 218)),
        vehicle("v2", "sedan", rgb=(24, 24, 26)),
        vehicle("p0", "pedestrian", "pedestrian"),
    )
    frames = []
    for k in range(int(seconds / STEP_S) + 2):
        t = k * STEP_S
        frames.append(
            Frame(
                t,
                np.arange(4, dtype=np.int32),
                np.array([1.6, -1.6, 2.4, 4.6], np.float32),
                np.array([8.0 + seed + 6 * t, 40.0 - 6 * t, 34.0, 14.0 + t], np.float32),
                np.array([0.0, 180.0, 0.0, 0.0], np.float32),
                np.array([6.0, 6.0, 0.0, 1.0], np.float32),
                np.array([0, 0, 8, 0], np.uint8),
            )
        )
    return Traffic(vehicles, tuple(frames), STEP_S)


def with_outage() -> Camera:
    """A camera that gives nothing for a second."""
    return camera("B2", outages=(Outage(1.0, 2.0),))
