# SPDX-License-Identifier: AGPL-3.0-or-later
"""What cameras' places and headings say before anything is seen: where vehicles pass, and where they go from there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, get_args

from reid.nearest import Way

NEAR_M: Final = 8.0
"""A vehicle is nearest, at the edge of the picture, about so far ahead of the camera (measured on drawn streets)."""
_BELIEF: Final = 2.2
"""Log odds of driving straight towards the next camera against straight away from it; streets bend."""
_BLUR_M: Final = 20.0
"""At this distance between two cameras directions are half as telling as far off."""

Point = tuple[float, float]
Ways = dict[tuple[str, Way, str, Way], float]


def passing_places(positions_m: Mapping[str, Point], headings_deg: Mapping[str, float]) -> dict[str, Point]:
    """Camera → where vehicles are nearest to it, metres east and north; beside it where its heading is not known."""
    places = {}
    for camera, (east, north) in positions_m.items():
        heading = headings_deg.get(camera)
        if heading is not None:
            ahead = math.radians(heading)
            east, north = east + NEAR_M * math.sin(ahead), north + NEAR_M * math.cos(ahead)
        places[camera] = (east, north)
    return places


def expected_ways(cameras: Sequence[str], places: Mapping[str, Point], headings_deg: Mapping[str, float]) -> Ways:
    """How many times likelier than any two cameras' ways these are: driving to where the next camera lies.

    Args:
        cameras: all that are known.
        places: of `passing_places`.
        headings_deg: camera → degrees clockwise from north.

    Returns:
        (camera, way there, next camera, way there) → factor; pairs without places or headings are left out.
    """
    ways: Ways = {}
    for a in cameras:
        for b in cameras:
            if a == b or a not in places or b not in places:
                continue
            east, north = places[b][0] - places[a][0], places[b][1] - places[a][1]
            metres = math.hypot(east, north)
            if metres < 1.0:
                continue
            sure = metres / (metres + _BLUR_M)
            bearing = math.degrees(math.atan2(east, north))
            for way_a in get_args(Way):
                for way_b in get_args(Way):
                    factor = 1.0
                    for camera, way in ((a, way_a), (b, way_b)):
                        factor *= _agreement(headings_deg.get(camera), way, bearing, sure)
                    ways[a, way_a, b, way_b] = factor
    return ways


def _agreement(heading_deg: float | None, way: Way, bearing_deg: float, sure: float) -> float:
    """Between about a fifth and about two, for driving against the bearing or along it."""
    if heading_deg is None or way == "across":
        return 1.0
    driving = heading_deg if way == "away" else heading_deg + 180.0
    along = math.cos(math.radians(driving - bearing_deg))
    return 2.0 / (1.0 + math.exp(-_BELIEF * sure * along))
