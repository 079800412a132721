# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every body shape of the town by name, and the marks that tell one car from its like."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from infra.rehearsal.bodies_cars import CarShape, _Car
from infra.rehearsal.bodies_heavy import build_bus, build_minibus, build_truck
from infra.rehearsal.bodies_people import WALK_POSES, build_bicycle, build_motorbike, build_pedestrian
from infra.rehearsal.bodies_two_wheelers import ANY_TWO_WHEELER, random_two_wheeler
from infra.rehearsal.mesh import Builder, Material, Mesh

CARS: dict[str, CarShape] = {
    "city_car": CarShape(
        3.55,
        1.64,
        1.50,
        belt=0.94,
        cowl=0.78,
        screen_top=1.45,
        roof_end=3.15,
        rear_glass_end=3.42,
        deck=0.96,
        front_axle=0.68,
        rear_axle=2.98,
        wheel=0.29,
        windows=((0.1, 0.56), (0.60, 0.86)),
        roof_width=0.77,
        doors=(0.05, 0.66),
        tall_lamps=True,
    ),
    "hatch_small": CarShape(
        4.02,
        1.74,
        1.45,
        cowl=1.0,
        screen_top=1.72,
        roof_end=3.42,
        rear_glass_end=3.82,
        deck=0.96,
        front_axle=0.8,
        rear_axle=3.33,
        wheel=0.31,
        windows=((0.09, 0.47), (0.50, 0.83)),
    ),
    "hatch_compact": CarShape(
        4.32,
        1.80,
        1.46,
        cowl=1.12,
        screen_top=1.90,
        roof_end=3.62,
        rear_glass_end=4.10,
        deck=0.98,
        front_axle=0.86,
        rear_axle=3.50,
        windows=((0.09, 0.45), (0.48, 0.74), (0.76, 0.86)),
    ),
    "sedan": CarShape(
        4.62,
        1.80,
        1.44,
        cowl=1.22,
        screen_top=2.05,
        roof_end=3.25,
        rear_glass_end=4.0,
        deck=1.0,
        front_axle=0.88,
        rear_axle=3.62,
        windows=((0.12, 0.48), (0.51, 0.82)),
        roof_width=0.73,
    ),
    "estate": CarShape(
        4.66,
        1.80,
        1.48,
        cowl=1.18,
        screen_top=2.0,
        roof_end=4.25,
        rear_glass_end=4.55,
        deck=0.98,
        front_axle=0.88,
        rear_axle=3.62,
        windows=((0.08, 0.37), (0.40, 0.66), (0.69, 0.91)),
        rails=True,
    ),
    "suv_compact": CarShape(
        4.36,
        1.83,
        1.63,
        belt=1.05,
        bonnet_front=0.90,
        cowl=1.08,
        screen_top=1.82,
        roof_end=3.75,
        rear_glass_end=4.16,
        deck=1.07,
        clearance=0.26,
        wheel=0.355,
        front_axle=0.86,
        rear_axle=3.52,
        cladding=True,
        windows=((0.09, 0.45), (0.48, 0.76), (0.78, 0.88)),
        nose_drop=0.06,
    ),
    "suv_large": CarShape(
        4.82,
        1.93,
        1.76,
        belt=1.14,
        bonnet_front=1.0,
        cowl=1.22,
        screen_top=1.95,
        roof_end=4.42,
        rear_glass_end=4.70,
        deck=1.14,
        clearance=0.27,
        wheel=0.385,
        front_axle=0.92,
        rear_axle=3.80,
        windows=((0.08, 0.38), (0.41, 0.67), (0.70, 0.90)),
        roof_width=0.79,
        rails=True,
        nose_drop=0.05,
        tall_lamps=True,
    ),
    "crossover": CarShape(
        4.22,
        1.80,
        1.55,
        belt=1.0,
        bonnet_front=0.84,
        cowl=1.06,
        screen_top=1.85,
        roof_end=3.40,
        rear_glass_end=4.02,
        deck=1.04,
        clearance=0.24,
        wheel=0.345,
        front_axle=0.84,
        rear_axle=3.46,
        cladding=True,
        windows=((0.10, 0.46), (0.49, 0.78)),
        nose_drop=0.07,
        lamp_height=0.1,
    ),
    "mpv": CarShape(
        4.55,
        1.84,
        1.67,
        belt=1.02,
        bonnet_front=0.84,
        cowl=0.90,
        screen_top=1.85,
        roof_end=4.15,
        rear_glass_end=4.45,
        deck=1.02,
        wheel=0.33,
        front_axle=0.9,
        rear_axle=3.70,
        roof_width=0.80,
        tall_lamps=True,
        windows=((0.03, 0.12), (0.14, 0.41), (0.44, 0.68), (0.71, 0.90)),
    ),
    "coupe": CarShape(
        4.40,
        1.80,
        1.34,
        belt=0.90,
        bonnet_front=0.68,
        cowl=1.32,
        screen_top=2.18,
        roof_end=2.98,
        rear_glass_end=3.98,
        deck=0.94,
        clearance=0.15,
        wheel=0.33,
        front_axle=0.84,
        rear_axle=3.50,
        windows=((0.14, 0.58), (0.61, 0.78)),
        roof_width=0.70,
        doors=(0.06, 0.70),
        lamp_height=0.09,
    ),
    "cabriolet_closed": CarShape(
        4.10,
        1.75,
        1.39,
        belt=0.91,
        bonnet_front=0.70,
        cowl=1.20,
        screen_top=2.0,
        roof_end=2.80,
        rear_glass_end=3.42,
        deck=0.97,
        clearance=0.16,
        front_axle=0.80,
        rear_axle=3.27,
        windows=((0.14, 0.60),),
        roof_width=0.70,
        doors=(0.06, 0.70),
        fabric_roof=True,
    ),
    "pickup": CarShape(
        5.25,
        1.88,
        1.78,
        belt=1.14,
        bonnet_front=1.0,
        cowl=1.42,
        screen_top=2.12,
        roof_end=3.42,
        rear_glass_end=3.58,
        deck=1.12,
        clearance=0.30,
        wheel=0.38,
        front_axle=0.98,
        rear_axle=4.10,
        windows=((0.10, 0.50), (0.54, 0.90)),
        roof_width=0.78,
        bed=1.62,
        cladding=True,
        doors=(0.02, 0.32, 0.60),
        tall_lamps=True,
        nose_drop=0.04,
    ),
    "van_small": CarShape(
        4.45,
        1.84,
        1.84,
        belt=1.10,
        bonnet_front=0.88,
        cowl=0.92,
        screen_top=1.68,
        roof_end=4.36,
        rear_glass_end=4.43,
        deck=1.08,
        wheel=0.33,
        front_axle=0.88,
        rear_axle=3.68,
        roof_width=0.86,
        windows=((0.06, 0.30),),
        tall_lamps=True,
        doors=(0.04, 0.42, 0.80),
        nose_drop=0.06,
    ),
    "van_large": CarShape(
        5.55,
        2.03,
        2.45,
        belt=1.30,
        bonnet_front=1.05,
        cowl=0.80,
        screen_top=1.65,
        roof_end=5.46,
        rear_glass_end=5.53,
        deck=1.28,
        clearance=0.28,
        wheel=0.36,
        front_axle=0.98,
        rear_axle=4.55,
        roof_width=0.86,
        windows=((0.05, 0.23),),
        tall_lamps=True,
        doors=(0.0, 0.26, 0.58),
        nose_drop=0.04,
        cladding=True,
    ),
}
"""Settings of every car-like shape."""

_OTHERS: dict[str, Callable[[], Mesh]] = {
    "minibus": lambda: build_minibus(6.2, 2.6),
    "truck_rigid": lambda: build_truck(8.2, 3.5, "box"),
    "truck_tipper": lambda: build_truck(7.4, 3.0, "tipper"),
    "truck_flatbed": lambda: build_truck(6.6, 2.7, "flat"),
    "bus_city": lambda: build_bus(11.9, 3.05, False),
    "bus_midi": lambda: build_bus(8.7, 2.95, False),
    "coach": lambda: build_bus(12.4, 3.55, True),
    "scooter": lambda: build_motorbike("scooter"),
    "maxi_scooter": lambda: build_motorbike("maxi_scooter"),
    "motorbike": lambda: build_motorbike("motorbike"),
    "cruiser": lambda: build_motorbike("cruiser"),
    "bicycle": build_bicycle,
}

SIZES: dict[str, tuple[float, float, float]] = {
    **{name: (s.length, s.width, s.height) for name, s in CARS.items()},
    "minibus": (6.2, 2.0, 2.6),
    "truck_rigid": (8.2, 2.5, 3.5),
    "truck_tipper": (7.4, 2.5, 3.0),
    "truck_flatbed": (6.6, 2.5, 2.7),
    "bus_city": (11.9, 2.55, 3.05),
    "bus_midi": (8.7, 2.55, 2.95),
    "coach": (12.4, 2.55, 3.55),
    "scooter": (1.9, 0.7, 1.75),
    "maxi_scooter": (2.2, 0.8, 1.8),
    "motorbike": (2.15, 0.75, 1.75),
    "cruiser": (2.4, 0.85, 1.65),
    ANY_TWO_WHEELER: (2.1, 0.8, 1.75),
    "bicycle": (1.75, 0.6, 1.75),
    "pedestrian": (0.5, 0.55, 1.75),
}
"""Length, width, height of every shape in metres; of `ANY_TWO_WHEELER` what is usual."""

MARKS = (
    "roof_rack",
    "roof_box",
    "dent_left",
    "dent_right",
    "sticker_rear",
    "sticker_side",
    "two_tone",
    "dirt",
    "stripe",
)
"""Marks a car may carry; those without meaning on a body are ignored."""

PAINTED_ROOF = frozenset({"two_tone"})


def body_names() -> tuple[str, ...]:
    """Every shape the town can draw."""
    return (*SIZES,)


def body_mesh(body: str, marks: tuple[str, ...] = (), mark_seed: int = 0, pose: int = 0) -> Mesh:
    """The mesh of a body with its marks.

    Raises:
        KeyError: the body is not one of `body_names()`.
    """
    return _body_mesh(body, marks, mark_seed if marks or body == ANY_TWO_WHEELER else 0, pose)


@lru_cache(maxsize=512)
def _body_mesh(body: str, marks: tuple[str, ...], mark_seed: int, pose: int) -> Mesh:
    if body == ANY_TWO_WHEELER:
        return random_two_wheeler(mark_seed)
    if body == "pedestrian":
        return build_pedestrian(pose % WALK_POSES)
    if body in _OTHERS:
        return _OTHERS[body]()
    if body not in CARS:
        raise KeyError(f"no body shape is called {body!r}; there are: {', '.join(body_names())}")
    car = _Car(CARS[body])
    mesh = car.build()
    if not marks:
        return mesh
    return _marked(car, mesh, marks, mark_seed)


def _marked(car: _Car, mesh: Mesh, marks: tuple[str, ...], seed: int) -> Mesh:
    """Add the marks to a built car, each placed by the vehicle's own seed."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(f"{seed}".encode()).digest()[:8], "big"))
    s = car.s
    extra = Builder()
    car.b = extra
    roof_front, roof_rear = car.y(s.screen_top + 0.25), car.y(s.roof_end - 0.25)
    top = s.height
    for mark in marks:
        place = rng.uniform(size=4)
        if mark == "roof_rack":
            for k in (0.2, 0.75):
                y = roof_front + (roof_rear - roof_front) * k
                extra.box(
                    (-car.w * s.roof_width, y - 0.03, top + 0.04),
                    (car.w * s.roof_width, y + 0.03, top + 0.08),
                    Material.PLASTIC,
                )
            if not s.rails:
                car.rails(Material.PLASTIC)
        elif mark == "roof_box":
            x = (place[0] - 0.5) * 0.3
            y = (roof_front + roof_rear) / 2
            extra.ellipsoid(
                (x, y, top + 0.20), (0.42, min(1.05, (roof_front - roof_rear) / 2 + 0.2), 0.20), Material.PLASTIC, 8, 14
            )
        elif mark.startswith("dent"):
            sign = -1.0 if mark.endswith("left") else 1.0
            u, v = 0.15 + 0.6 * place[0], 0.45 + 0.25 * place[1]
            car.lay(car.side(sign), (u, u + 0.09), (v, v + 0.16), Material.DENT, 0.009, (4, 3))
        elif mark == "sticker_side":
            for sign in (-1.0, 1.0):
                u = 0.32 + 0.2 * place[0]
                car.lay(car.side(sign), (u, u + 0.22), (0.50, 0.85), Material.STICKER, 0.010, (4, 3))
        elif mark.startswith("sticker"):
            u = 0.24 + 0.4 * place[0]
            car.lay(car.screen(False), (u, u + 0.14), (0.15, 0.40), Material.STICKER, 0.018, (3, 3))
        elif mark == "dirt":
            for sign in (-1.0, 1.0):
                car.lay(car.side(sign), (0.0, 1.0), (0.1, 0.42), Material.DIRT, 0.006, (20, 3))
            car.lay(car.fascia(False), (0.0, 1.0), (0.1, 0.5), Material.DIRT, 0.006, (12, 3))
        elif mark == "stripe":
            for sign in (-1.0, 1.0):
                car.lay(car.side(sign), (0.0, 1.0), (0.56, 0.66), Material.PAINT_2, 0.007, (20, 2))
    parts = [mesh]
    if extra.points:
        parts.append(extra.done())
    materials = np.concatenate([m.materials for m in parts])
    points = np.concatenate([m.points for m in parts])
    if "two_tone" in marks:
        roof = (points[:, 2] > s.height - 0.085) & (materials == Material.PAINT)
        materials = np.where(roof, int(Material.PAINT_2), materials).astype(np.int32)
    offsets = np.cumsum([0, *[len(m.points) for m in parts[:-1]]])
    return Mesh(
        points=points,
        normals=np.concatenate([m.normals for m in parts]),
        materials=materials,
        faces=np.concatenate([m.faces + o for m, o in zip(parts, offsets, strict=True)]).astype(np.int32),
    )
