# SPDX-License-Identifier: AGPL-3.0-or-later
"""The body shapes a fleet may use, how common they are, and the paints of each colour name."""

from __future__ import annotations

from dataclasses import dataclass

from infra.rehearsal.bodies import MARKS, SIZES
from infra.rehearsal.world import Kind

__all__ = ["BODY_SIZES", "MARKS", "PAINTS", "VAN_SHARE_WHITE", "BodySize"]


@dataclass(frozen=True, slots=True)
class BodySize:
    """Outer size of a body shape in metres and how common it is inside its kind."""

    kind: Kind
    length_m: float
    width_m: float
    height_m: float
    weight: float


_SHAPES: dict[Kind, dict[str, float]] = {
    "car": {
        "city_car": 1.0,
        "hatch_small": 2.0,
        "hatch_compact": 1.5,
        "sedan": 0.8,
        "estate": 0.7,
        "suv_compact": 1.5,
        "suv_large": 0.7,
        "mpv": 0.6,
        "coupe": 0.3,
        "pickup": 0.2,
        "crossover": 1.2,
        "cabriolet_closed": 0.2,
    },
    "van": {"van_small": 1.0, "van_large": 0.8, "minibus": 0.3},
    "truck": {"truck_rigid": 1.0, "truck_tipper": 0.6, "truck_flatbed": 0.0},
    "bus": {"bus_city": 1.0, "coach": 0.5, "bus_midi": 0.0},
    "motorcycle": {"scooter": 1.0, "motorbike": 1.0, "maxi_scooter": 0.0, "cruiser": 0.0, "any_two_wheeler": 0.0},
    "bicycle": {"bicycle": 1.0},
    "pedestrian": {"pedestrian": 1.0},
}
"""The shapes of each kind and how common each is inside it, where a plan does not say; 0: only where it is named."""

BODY_SIZES: dict[str, BodySize] = {
    name: BodySize(kind, *SIZES[name], weight) for kind, shapes in _SHAPES.items() for name, weight in shapes.items()
}
"""Every body shape; two-wheelers include their rider. A plan's `fleet.bodies` names come from here."""

PAINTS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "white": ((238, 239, 238), (228, 229, 226), (244, 243, 238)),
    "grey": ((148, 151, 154), (112, 116, 120), (176, 179, 181), (92, 96, 101)),
    "black": ((24, 25, 27), (32, 33, 36), (18, 19, 24)),
    "blue": ((32, 62, 122), (46, 88, 158), (28, 46, 88), (70, 118, 176)),
    "red": ((158, 24, 28), (186, 34, 34), (134, 20, 30)),
    "green": ((38, 84, 56), (70, 110, 62), (92, 128, 84)),
    "brown": ((92, 66, 48), (116, 86, 62), (74, 54, 42)),
    "yellow": ((232, 190, 40), (240, 206, 66)),
    "orange": ((214, 98, 28), (226, 118, 40)),
    "purple": ((86, 50, 104), (102, 64, 128)),
    "pink": ((216, 132, 162), (228, 150, 176)),
}
"""sRGB paints of each colour name; a vehicle takes one and shifts it by a few levels."""

VAN_SHARE_WHITE = 0.55
"""Share of vans and trucks that are white whatever the cars' colours are."""
