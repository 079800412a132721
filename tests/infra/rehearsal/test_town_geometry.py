# SPDX-License-Identifier: AGPL-3.0-or-later
"""From a plan to ground and cameras: what the built streets alone can show."""

from __future__ import annotations

import copy
import math
import tomllib
from datetime import UTC, datetime
from typing import Any

import pytest
from shapely.geometry import LineString, Polygon
from shapely.geometry import Point as ShapelyPoint

from infra.rehearsal.camera_sites import project
from infra.rehearsal.errors import PlanError
from infra.rehearsal.network import build_town
from infra.rehearsal.plan import find_plan, load_plan, parse_plan
from infra.rehearsal.sun import sun_position
from infra.rehearsal.world import Town

pytestmark = pytest.mark.slow


@pytest.fixture
def content() -> dict[str, Any]:
    return copy.deepcopy(tomllib.loads(find_plan("test-2").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def town() -> Town:
    return build_town(load_plan("test-2"))


def test_ground_has_everything(town: Town) -> None:
    kinds = {lane.kind for lane in town.ground.lanes}
    assert {"road", "sidewalk", "parking"} <= kinds
    assert town.ground.junctions
    assert town.ground.crossings
    assert town.ground.walking_areas
    assert town.ground.stop_lines
    assert {"tree", "lamp"} <= {item.kind for item in town.ground.furniture}


def test_houses_keep_off_the_road_and_off_each_other(town: Town) -> None:
    houses = [Polygon(b.footprint) for b in town.ground.buildings]
    assert len(houses) > 20
    roads = [LineString(x.points).buffer(x.width_m / 2, cap_style="flat") for x in town.ground.lanes]
    for number, house in enumerate(houses):
        assert house.exterior.is_ccw
        assert not any(house.intersects(road) for road in roads)
        assert sum(house.intersection(other).area for other in houses[number + 1 :]) < 1.0


def test_cameras_stand_on_the_pavement_and_look_along_their_street(town: Town) -> None:
    west = town.cameras[0]
    assert 240 < west.heading_deg < 300
    roads = [LineString(x.points).buffer(x.width_m / 2) for x in town.ground.lanes if x.kind == "road"]
    for camera in town.cameras:
        assert not any(road.contains(ShapelyPoint(camera.at)) for road in roads)
    middle = project(west, (-40.0, 0.0, 0.0))
    assert middle is not None
    assert abs(middle[0] - west.width_px / 2) < 0.2 * west.width_px
    assert 0 < middle[1] < west.height_px


def test_same_seed_same_town_other_seed_other_houses(town: Town) -> None:
    assert build_town(load_plan("test-2")) == town
    assert build_town(load_plan("test-2", seed=5)).ground.buildings != town.ground.buildings


def test_camera_inside_a_house_and_one_that_sees_no_road_are_reported_together(content: dict[str, Any]) -> None:
    first, second = content["camera"]
    for camera in (first, second):
        for key in ("junction", "towards", "side"):
            camera.pop(key, None)
    content["house"] = [{"footprint": [[-60, 40], [-40, 40], [-40, 60], [-60, 60]], "height_m": 9}]
    first |= {"at": [-50, 50], "heading_deg": 180}
    second |= {"at": [-30, 120], "heading_deg": 0}
    with pytest.raises(PlanError) as caught:
        build_town(parse_plan(content))
    inside, blind = caught.value.problems
    assert "T1" in inside
    assert "stands inside a house (-50.0, 50.0; the house is 9.0 m high" in inside
    assert "T2" in blind
    assert "sees 0 m of road" in blind


def test_camera_on_the_carriageway(content: dict[str, Any]) -> None:
    camera = content["camera"][0]
    for key in ("junction", "towards"):
        camera.pop(key)
    camera |= {"at": [-40.0, 1.5], "heading_deg": 270}
    with pytest.raises(PlanError, match="its mast stands on the carriageway"):
        build_town(parse_plan(content))


def test_camera_above_a_low_house_is_no_error(content: dict[str, Any]) -> None:
    camera = content["camera"][0]
    at = build_town(parse_plan(content)).cameras[0].at
    x, y = at
    content["house"] = [{"footprint": [[x - 1, y], [x + 1, y], [x + 1, y + 1.5], [x - 1, y + 1.5]], "height_m": 3.0}]
    camera["height_m"] = 8.0
    assert build_town(parse_plan(content)).cameras[0].at == at


@pytest.mark.parametrize(
    ("moment", "azimuth", "elevation"),
    [
        # Solar noon at the summer solstice: 90° - latitude + tilt of the axis, due south.
        (datetime(2026, 6, 21, 12, 7, 40, tzinfo=UTC), 180.0, 90 - 49.05 + 23.44),
        (datetime(2026, 12, 21, 12, 4, tzinfo=UTC), 180.0, 90 - 49.05 - 23.44),
    ],
)
def test_sun(moment: datetime, azimuth: float, elevation: float) -> None:
    found = sun_position(moment, 49.05, -1.44)
    assert math.isclose(found[0], azimuth, abs_tol=0.6)
    assert math.isclose(found[1], elevation, abs_tol=0.05)


def test_sun_rises_in_the_east_and_is_down_at_midnight() -> None:
    azimuth, elevation = sun_position(datetime(2026, 3, 20, 6, 30, tzinfo=UTC), 49.05, -1.44)
    assert 88 < azimuth < 97
    assert abs(elevation) < 5
    assert sun_position(datetime(2026, 6, 21, 0, tzinfo=UTC), 49.05, -1.44)[1] < -15
