# SPDX-License-Identifier: AGPL-3.0-or-later
"""Trees, lamps, signs and small things on the pavements, laid from the seed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Literal

from shapely.geometry import LineString, Polygon
from shapely.geometry import Point as ShapelyPoint
from shapely.strtree import STRtree

from infra.rehearsal.network import PARKING_MARGIN_M, EdgePlan, Network, path_at, path_length, stable_seed
from infra.rehearsal.plan import PlanFile
from infra.rehearsal.world import Building, Camera, Furniture, Point

LAMP_EVERY_M = 24.0
TREE_EVERY_M = 11.0
FurnitureKind = Literal["tree", "hedge", "bin", "bench", "bollard"]
SMALL_THINGS: tuple[FurnitureKind, ...] = ("bin", "bin", "bench", "bollard", "bollard", "bollard")
Put = Callable[[Furniture, float], None]
Line = tuple[Point, ...]


def lay_furniture(
    plan: PlanFile, network: Network, buildings: tuple[Building, ...], cameras: tuple[Camera, ...]
) -> tuple[Furniture, ...]:
    """Everything small that stands still. Nothing tall stands right before a camera."""
    rng = random.Random(stable_seed(plan.name, plan.seed, "furniture"))  # noqa: S311 - scenery
    houses = STRtree([Polygon(b.footprint) for b in buildings])
    roads = STRtree(_roads(network))
    found: list[Furniture] = []

    def put(item: Furniture, clear_m: float) -> None:
        spot = ShapelyPoint(item.at)
        if len(houses.query(spot.buffer(0.3), predicate="intersects")):
            return
        if len(roads.query(spot.buffer(0.25), predicate="intersects")):
            return
        if any(_before(camera, item.at, clear_m) for camera in cameras):
            return
        found.append(item)

    control = {j.name: j.control for j in plan.junctions}
    for edge in network.edges:
        points = _line(network, edge, 0)
        length = path_length(points)
        kerb = edge.street.sidewalk_m / 2 - 0.35
        _lamps(rng, points, length, kerb, put)
        _trees(rng, edge, points, length, kerb, put)
        _small(rng, points, length, edge, put)
        if length > 20 and control[edge.end] == "lights":
            at, heading = path_at(points, length - 1.2)
            put(Furniture("traffic_light", _aside(at, heading, -kerb), (heading + 180) % 360, 3.2), 3.0)
        elif length > 20 and rng.random() < 0.6:
            at, heading = path_at(points, length - 2.5)
            put(Furniture("sign", _aside(at, heading, -kerb), (heading + 180) % 360, 2.6), 6.0)
    return tuple(found)


def _roads(network: Network) -> list[Polygon]:
    found = []
    for edge in network.net.getEdges(withInternal=True):
        for lane in edge.getLanes():
            if edge.getFunction() in ("", "internal") and (lane.allows("passenger") or lane.allows("bicycle")):
                found.append(LineString(lane.getShape()).buffer(lane.getWidth() / 2))
    return found


def _line(network: Network, edge: EdgePlan, lane: int) -> tuple[Point, ...]:
    shape = network.net.getEdge(edge.edge_id).getLanes()[lane].getShape()
    return tuple((float(x), float(y)) for x, y in shape)


def _aside(at: Point, heading: float, right_m: float) -> Point:
    angle = math.radians(heading)
    return (round(at[0] + math.cos(angle) * right_m, 3), round(at[1] - math.sin(angle) * right_m, 3))


def _before(camera: Camera, at: Point, clear_m: float) -> bool:
    """Whether a point lies in the camera's cone nearer than `clear_m`."""
    away = math.dist(camera.at, at)
    if away > clear_m:
        return False
    if away < 1.0:
        return True
    bearing = math.degrees(math.atan2(at[0] - camera.at[0], at[1] - camera.at[1]))
    off = (bearing - camera.heading_deg + 180.0) % 360.0 - 180.0
    return abs(off) < camera.hfov_deg / 2 + 6.0


def _lamps(rng: random.Random, points: Line, length: float, kerb: float, put: Put) -> None:
    run = rng.uniform(4.0, 12.0)
    while run < length - 3.0:
        at, heading = path_at(points, run)
        put(Furniture("lamp", _aside(at, heading, -kerb), (heading - 90) % 360, round(rng.uniform(5.5, 7.5), 2)), 8.0)
        run += LAMP_EVERY_M + rng.uniform(-3.0, 3.0)


def _trees(rng: random.Random, edge: EdgePlan, points: Line, length: float, kerb: float, put: Put) -> None:
    run = PARKING_MARGIN_M + rng.uniform(0.0, 4.0)
    while run < length - PARKING_MARGIN_M:
        at, heading = path_at(points, run)
        height = round(rng.uniform(5.0, 8.5), 2)
        if rng.random() < edge.street.trees and edge.street.sidewalk_m >= 1.6:
            put(Furniture("tree", _aside(at, heading, -kerb), heading, height), 18.0)
        run += TREE_EVERY_M + rng.uniform(-2.0, 2.0)
    if edge.street.frontage != "dense":
        run = rng.uniform(0.0, 10.0)
        while run < length:
            at, heading = path_at(points, run)
            kind: FurnitureKind = "hedge" if rng.random() < 0.6 else "tree"
            high = round(rng.uniform(1.0, 1.8) if kind == "hedge" else rng.uniform(5.0, 10.0), 2)
            put(Furniture(kind, _aside(at, heading, edge.street.sidewalk_m / 2 + 0.9), heading, high), 14.0)
            run += rng.uniform(2.5, 9.0)


def _small(rng: random.Random, points: Line, length: float, edge: EdgePlan, put: Put) -> None:
    run = rng.uniform(3.0, 15.0)
    wall = edge.street.sidewalk_m / 2 - 0.3
    while run < length - 4.0:
        at, heading = path_at(points, run)
        kind: FurnitureKind = rng.choice(SMALL_THINGS)
        if kind == "bollard":
            for k in range(rng.randint(2, 5)):
                spot, angle = path_at(points, min(length, run + 1.6 * k))
                put(Furniture("bollard", _aside(spot, angle, -wall), angle, 0.95), 2.0)
        else:
            put(Furniture(kind, _aside(at, heading, wall), (heading - 90) % 360, 1.1 if kind == "bin" else 0.85), 3.0)
        run += rng.uniform(10.0, 30.0)
    if edge.street.street_class == "main" and length > 55 and rng.random() < 0.5 and edge.street.sidewalk_m >= 2.0:
        at, heading = path_at(points, length * 0.55)
        put(Furniture("shelter", _aside(at, heading, wall - 0.4), (heading - 90) % 360, 2.5), 12.0)
