# SPDX-License-Identifier: AGPL-3.0-or-later
"""Houses along the streets, laid from the seed; they never stand on a road, a pavement or one another."""

from __future__ import annotations

import math
import random

from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.strtree import STRtree

from infra.rehearsal.network import EdgePlan, Network, path_at, path_length, stable_seed
from infra.rehearsal.plan import PlanFile
from infra.rehearsal.world import Building, Point

WALLS = (
    (214, 204, 184),
    (198, 188, 168),
    (226, 220, 206),
    (188, 172, 150),
    (208, 196, 190),
    (176, 164, 152),
    (232, 226, 214),
    (196, 178, 160),
)
"""Limestone, render and granite."""
ROOFS = ((72, 76, 84), (84, 86, 92), (62, 66, 74), (128, 84, 66), (96, 88, 84))
"""Mostly slate."""


def lay_buildings(plan: PlanFile, network: Network) -> tuple[Building, ...]:
    """Every building of the plan: those given by hand first, then the rows along the streets."""
    rng = random.Random(stable_seed(plan.name, plan.seed, "houses"))  # noqa: S311 - scenery
    kept: list[Building] = []
    shapes: list[Polygon] = []
    for house in plan.houses:
        ring = Polygon(house.footprint)
        points = tuple(house.footprint) if ring.exterior.is_ccw else tuple(house.footprint)[::-1]
        kept.append(Building(points, house.height_m, rng.choice(WALLS), rng.choice(ROOFS), False))
        shapes.append(Polygon(points))
    free = STRtree(_reserved(network))
    for edge in network.edges:
        if edge.street.frontage == "none":
            continue
        for building in _row(edge, network, rng):
            shape = Polygon(building.footprint)
            if len(free.query(shape, predicate="intersects")):
                continue
            near = [other for other in shapes if other.distance(shape) < 0.01]
            if any(other.intersection(shape).area > 0.2 for other in near):
                continue
            kept.append(building)
            shapes.append(shape)
    return tuple(kept)


def _reserved(network: Network) -> list[BaseGeometry]:
    """Ground that belongs to the streets: lanes with their width and whole junctions."""
    found: list[BaseGeometry] = []
    for edge in network.edges:
        for lane in network.net.getEdge(edge.edge_id).getLanes():
            found.append(LineString(lane.getShape()).buffer(lane.getWidth() / 2 + 0.15, cap_style="flat"))
    for node in network.net.getNodes():
        shape = node.getShape()
        if len(shape) >= 3:
            found.append(Polygon([p[:2] for p in shape]).buffer(0.3))
    return found


def _row(edge: EdgePlan, network: Network, rng: random.Random) -> list[Building]:
    """Candidates on the right of one edge, behind its pavement, and on the left of a one-way street."""
    lanes = network.net.getEdge(edge.edge_id).getLanes()
    line = tuple((float(x), float(y)) for x, y in lanes[0].getShape())
    half = lanes[0].getWidth() / 2
    rows = [(line, half, 1.0)]
    if edge.street.one_way:
        left = lanes[-1]
        rows.append((tuple((float(x), float(y)) for x, y in left.getShape()), left.getWidth() / 2, -1.0))
    dense = edge.street.frontage == "dense"
    found = []
    for points, aside, side in rows:
        length = path_length(points)
        run = -6.0
        setback = 0.2 if dense else rng.uniform(2.5, 6.0)
        storeys = rng.randint(2, 4) if dense else rng.randint(1, 2)
        while run < length + 2.0:
            width = rng.uniform(7.0, 14.0) if dense else rng.uniform(9.0, 15.0)
            depth = rng.uniform(8.0, 12.0)
            height = 3.0 * max(1, storeys + rng.choice((-1, 0, 0, 0, 1))) + rng.uniform(0.5, 2.0)
            gap = 0.0 if dense and rng.random() < 0.85 else rng.uniform(2.0, 7.0)
            back = aside + setback + (0.0 if dense else rng.uniform(0.0, 2.0))
            foot = _footprint(points, run, width, back, depth, side)
            if foot is not None:
                found.append(
                    Building(foot, round(height, 2), rng.choice(WALLS), rng.choice(ROOFS), rng.random() < 0.75)
                )
            run += width + gap
    return found


def _footprint(
    points: tuple[Point, ...], run: float, width: float, back: float, depth: float, side: float
) -> tuple[Point, ...] | None:
    (x, y), heading = path_at(points, max(0.0, run + width / 2))
    if run < 0:
        _, heading = path_at(points, 0.0)
    ux, uy = math.sin(math.radians(heading)), math.cos(math.radians(heading))
    if run + width / 2 < 0:
        x, y = x + ux * (run + width / 2), y + uy * (run + width / 2)
    nx, ny = uy * side, -ux * side
    corners = [
        (x + ux * a + nx * b, y + uy * a + ny * b)
        for a, b in (
            (-width / 2, back),
            (width / 2, back),
            (width / 2, back + depth),
            (-width / 2, back + depth),
        )
    ]
    ring = Polygon(corners)
    if not ring.is_valid or ring.area < 10:
        return None
    ordered = corners if ring.exterior.is_ccw else corners[::-1]
    return tuple((round(px, 3), round(py, 3)) for px, py in ordered)
