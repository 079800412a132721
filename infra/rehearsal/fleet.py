# SPDX-License-Identifier: AGPL-3.0-or-later
"""The body shapes a fleet may use, their sizes, and the paints of each colour name."""

from __future__ import annotations

from dataclasses import dataclass

from infra.rehearsal.world import Kind


@dataclass(frozen=True, slots=True)
class BodySize:
    """Outer size of a body shape in metres and how common it is inside its kind."""

    kind: Kind
    length_m: float
    width_m: float
    height_m: float
    weight: float


BODY_SIZES: dict[str, BodySize] = {
    "city_car": BodySize("car", 3.60, 1.63, 1.50, 1.0),
    "hatch_small": BodySize("car", 4.05, 1.74, 1.46, 2.0),
    "hatch_compact": BodySize("car", 4.35, 1.80, 1.46, 1.5),
    "sedan": BodySize("car", 4.70, 1.83, 1.45, 0.8),
    "estate": BodySize("car", 4.65, 1.82, 1.50, 0.7),
    "suv_compact": BodySize("car", 4.30, 1.81, 1.62, 1.5),
    "suv_large": BodySize("car", 4.75, 1.92, 1.72, 0.7),
    "mpv": BodySize("car", 4.60, 1.83, 1.66, 0.6),
    "coupe": BodySize("car", 4.40, 1.82, 1.36, 0.3),
    "pickup": BodySize("car", 5.25, 1.86, 1.80, 0.2),
    "crossover": BodySize("car", 4.20, 1.79, 1.56, 1.2),
    "cabriolet_closed": BodySize("car", 4.25, 1.78, 1.38, 0.2),
    "van_small": BodySize("van", 4.40, 1.83, 1.82, 1.0),
    "van_large": BodySize("van", 5.60, 2.05, 2.50, 0.8),
    "minibus": BodySize("van", 5.30, 1.95, 1.98, 0.3),
    "truck_rigid": BodySize("truck", 8.20, 2.50, 3.40, 1.0),
    "truck_tipper": BodySize("truck", 7.40, 2.50, 3.00, 0.6),
    "bus_city": BodySize("bus", 12.0, 2.55, 3.05, 1.0),
    "coach": BodySize("bus", 12.5, 2.55, 3.45, 0.5),
    "scooter": BodySize("motorcycle", 1.85, 0.75, 1.65, 1.0),
    "motorbike": BodySize("motorcycle", 2.15, 0.80, 1.65, 1.0),
    "bicycle": BodySize("bicycle", 1.75, 0.60, 1.72, 1.0),
    "pedestrian": BodySize("pedestrian", 0.45, 0.55, 1.74, 1.0),
}
"""Sizes in metres; two-wheelers include their rider. Every plan's `fleet.bodies` names come from here."""

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

MARKS: tuple[str, ...] = (
    "roof_rack",
    "roof_box",
    "dent_left",
    "dent_right",
    "sticker_rear",
    "sticker_side",
    "two_tone",
    "dirt",
    "stripe",
    "spare_wheel",
)
"""Details that tell one vehicle from its like; most vehicles have none."""

VAN_SHARE_WHITE = 0.55
"""Share of vans and trucks that are white whatever the cars' colours are."""
