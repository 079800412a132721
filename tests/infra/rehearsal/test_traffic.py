# SPDX-License-Identifier: AGPL-3.0-or-later
"""SUMO's traffic as the renderer gets it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from shapely.geometry import LineString, MultiPolygon, Point, Polygon
from shapely.ops import unary_union

from infra.rehearsal.demand import FOREVER_S, draw_demand
from infra.rehearsal.errors import TrafficError
from infra.rehearsal.network import build_network
from infra.rehearsal.plan import load_plan
from infra.rehearsal.routing import StreetGraph
from infra.rehearsal.traffic import STEP_S, simulate
from infra.rehearsal.world import Town, Traffic

SECONDS = 40.0

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run() -> tuple[Town, Traffic]:
    return simulate(load_plan("test-2"), seconds=SECONDS)


def same(a: Traffic, b: Traffic) -> bool:
    fields = ("index", "x", "y", "heading_deg", "speed_mps", "signals")
    return a.vehicles == b.vehicles and all(
        np.array_equal(getattr(f, k), getattr(g, k)) for f, g in zip(a.frames, b.frames, strict=True) for k in fields
    )


def test_samples_and_streets_populated_from_the_first_moment(run: tuple[Town, Traffic]) -> None:
    traffic = run[1]
    assert traffic.step_s == STEP_S
    assert len(traffic.frames) == round(SECONDS / STEP_S) + 1
    assert traffic.frames[17].time_s == pytest.approx(1.7)
    first = traffic.frames[0]
    assert int(((first.signals & 8) == 0).sum()) >= 4
    assert int(((first.signals & 8) > 0).sum()) >= 4
    assert {v.kind for v in traffic.vehicles} >= {"car", "pedestrian"}


def test_two_runs_are_equal_bit_for_bit_and_another_seed_is_not(run: tuple[Town, Traffic]) -> None:
    assert same(run[1], simulate(load_plan("test-2"), seconds=SECONDS)[1])
    assert not same(run[1], simulate(load_plan("test-2", seed=903), seconds=SECONDS)[1])


def test_vehicles_drive_on_the_road(run: tuple[Town, Traffic]) -> None:
    town, traffic = run
    roads = unary_union(
        [LineString(x.points).buffer(x.width_m / 2 + 0.6) for x in town.ground.lanes if x.kind in ("road", "parking")]
        + [Polygon(j).buffer(0.3) for j in town.ground.junctions]
    )
    assert isinstance(roads, Polygon | MultiPolygon)
    kinds = [v.kind for v in traffic.vehicles]
    spots = [
        Point(float(x), float(y))
        for frame in traffic.frames[::20]
        for k, x, y in zip(frame.index, frame.x, frame.y, strict=True)
        if kinds[k] != "pedestrian"
    ]
    assert np.mean([roads.contains(spot) for spot in spots]) > 0.995


def test_nothing_jumps(run: tuple[Town, Traffic]) -> None:
    traffic = run[1]
    for before, after in zip(traffic.frames, traffic.frames[1:], strict=False):
        _, a, b = np.intersect1d(before.index, after.index, assume_unique=True, return_indices=True)
        step = np.hypot(after.x[b] - before.x[a], after.y[b] - before.y[a])
        assert step.max(initial=0.0) < 2.0
        moving = step > 0.25
        course = np.degrees(np.arctan2(after.x[b] - before.x[a], after.y[b] - before.y[a]))
        off = np.abs((course - after.heading_deg[b] + 180.0) % 360.0 - 180.0)
        assert np.all(off[moving] < 45.0)


def test_scripted_vehicle_is_there_as_written(run: tuple[Town, Traffic]) -> None:
    traffic = run[1]
    number = next(k for k, v in enumerate(traffic.vehicles) if v.identity == "red-1")
    vehicle = traffic.vehicles[number]
    assert (vehicle.body, vehicle.colour, vehicle.marks) == ("hatch_small", "red", ())
    xs = [float(f.x[f.index == number][0]) for f in traffic.frames if np.any(f.index == number)]
    assert xs[0] < -50
    assert xs[-1] > 50


def test_a_length_must_be_positive() -> None:
    with pytest.raises(TrafficError, match="would last 0 s"):
        simulate(load_plan("test-2"), seconds=0)


def test_demand_has_every_habit_of_drivers() -> None:
    plan = load_plan("coutances-13")
    graph = StreetGraph(build_network(plan))
    trips, walks = draw_demand(plan, graph, 600.0)
    kerb = [t for t in trips if any(s.row for s in t.stops)]
    assert any(t.starts_parked and t.stops[0].duration_s < FOREVER_S for t in trips), "parked cars that leave"
    assert any(not t.starts_parked and t.stops[-1].duration_s == FOREVER_S for t in kerb), "cars that come and stay"
    assert any(not t.starts_parked and t.stops[-1].duration_s < FOREVER_S for t in kerb), "cars that stop and go on"
    assert any(s.row == "" for t in trips for s in t.stops), "stops on the road"
    turns = [t for t in trips if any(graph.opposite[a] == b for a, b in zip(t.edges, t.edges[1:], strict=False))]
    assert turns, "U-turns"
    assert any(len(set(t.edges)) < len(t.edges) or len(t.edges) > 14 for t in trips), "cars that stay in the town"
    assert {t.vehicle.kind for t in trips} == {"car", "van", "truck", "bus", "motorcycle", "bicycle"}
    assert walks
    for trip in trips:
        assert all(b in graph.next[a] for a, b in zip(trip.edges, trip.edges[1:], strict=False)), trip


def test_no_more_cars_at_a_kerb_than_places() -> None:
    plan = load_plan("coutances-13")
    plan = replace(plan, demand=replace(plan.demand, parked=1.0, parks=0.5))
    graph = StreetGraph(build_network(plan))
    trips, _ = draw_demand(plan, graph, 600.0)
    for row in graph.rows:
        assert sum(stop.row == row.name for trip in trips for stop in trip.stops) <= row.places


def test_colours_follow_the_fleet() -> None:
    plan = load_plan("coutances-13")
    trips, _ = draw_demand(plan, StreetGraph(build_network(plan)), 3600.0)
    cars = [t.vehicle for t in trips if t.vehicle.kind == "car"]
    share = {c: sum(v.colour == c for v in cars) / len(cars) for c in ("white", "grey", "black", "red")}
    assert len(cars) > 800
    assert share["white"] == pytest.approx(0.26, abs=0.05)
    assert share["grey"] == pytest.approx(0.26, abs=0.05)
    assert share["black"] == pytest.approx(0.19, abs=0.05)
    assert np.mean([bool(v.marks) for v in cars]) == pytest.approx(plan.fleet.marks, abs=0.04)
