# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where each camera of a plan stands, and whether it can see a road from there."""

from __future__ import annotations

import math

from shapely.geometry import LineString, Polygon
from shapely.geometry import Point as ShapelyPoint
from shapely.strtree import STRtree

from infra.rehearsal.errors import NetworkError
from infra.rehearsal.network import Network, camera_of
from infra.rehearsal.plan import CameraPlan, PlanFile
from infra.rehearsal.world import Camera, Ground, Point

SEEN_FROM_M, SEEN_TO_M = 6.0, 55.0
NEEDED_ROAD_M = 20.0
"""Metres of lane that a camera must see between the two distances above."""
KERB_CLEAR_M = 0.35
"""From the kerb to the middle of a mast that stands there."""


def place_cameras(plan: PlanFile, network: Network) -> tuple[Camera, ...]:
    """The cameras of the plan with their points and headings worked out."""
    at = {j.name: j.at for j in plan.junctions}
    cameras = []
    for site in plan.cameras:
        if site.at is not None:
            cameras.append(camera_of(site, site.at, site.heading_deg or 0.0))
        else:
            cameras.append(camera_of(site, *_mast(site, at, network)))
    return tuple(cameras)


def _mast(site: CameraPlan, at: dict[str, Point], network: Network) -> tuple[Point, float]:
    """On the pavement at the corner of the junction, by the wall or at the kerb, looking along the street.

    The heading is turned a little inwards, so that the axis of the street meets the middle of the
    picture about 25 m ahead.
    """
    there = {(e.start, e.end): e for e in network.edges}
    outward = there.get((site.junction, site.towards))
    inward = there.get((site.towards, site.junction))
    edge = outward or inward
    if edge is None:
        raise NetworkError(f"[[camera]] {site.name}: no street joins {site.junction!r} and {site.towards!r}")
    right = site.side == "right"
    lanes = network.net.getEdge(edge.edge_id).getLanes()
    own = outward if right else inward
    if own is not None:
        lane = network.net.getEdge(own.edge_id).getLanes()[0]
        shape = [(float(x), float(y)) for x, y in lane.getShape()]
        (ax, ay), (bx, by) = (shape[0], shape[1]) if own is outward else (shape[-1], shape[-2])
        half = own.street.sidewalk_m / 2
        aside = half - 0.3 if site.mast == "wall" else KERB_CLEAR_M - half
    else:
        # A one-way street has no pavement of its own on the far side; the mast stands at the kerb there.
        shape = [(float(x), float(y)) for x, y in lanes[-1].getShape()]
        (ax, ay), (bx, by) = (shape[0], shape[1]) if edge is outward else (shape[-1], shape[-2])
        aside = lanes[-1].getWidth() / 2 + 0.6
    length = math.dist((ax, ay), (bx, by)) or 1.0
    ux, uy = (bx - ax) / length, (by - ay) / length
    sign = 1.0 if right else -1.0
    spot = (ax - ux * site.back_m + sign * uy * aside, ay - uy * site.back_m - sign * ux * aside)
    a = at[site.junction]
    off_axis = abs((spot[0] - a[0]) * uy - (spot[1] - a[1]) * ux)
    axis = math.degrees(math.atan2(ux, uy))
    turn = -sign * math.degrees(math.atan2(off_axis, 25.0 + site.back_m))
    return (round(spot[0], 3), round(spot[1], 3)), axis + turn + site.pan_deg


def check_cameras(cameras: tuple[Camera, ...], ground: Ground) -> list[str]:
    """One sentence for each camera inside a house, on the carriageway, or that sees too little road."""
    problems = []
    houses = [Polygon(b.footprint) for b in ground.buildings]
    tree = STRtree(houses)
    roads = [LineString(lane.points).buffer(lane.width_m / 2) for lane in ground.lanes if lane.kind == "road"]
    road_tree = STRtree(roads)
    for camera in cameras:
        spot = ShapelyPoint(camera.at)
        where = f"[[camera]] {camera.name}"
        inside = [int(i) for i in tree.query(spot, predicate="within")]
        tall = [i for i in inside if ground.buildings[i].height_m > camera.height_m - 0.5]
        if tall:
            problems.append(
                f"{where}: stands inside a house ({camera.at[0]:.1f}, {camera.at[1]:.1f}; the house is "
                f"{ground.buildings[tall[0]].height_m:.1f} m high, the camera {camera.height_m:g} m); "
                "move it to the street"
            )
            continue
        if len(road_tree.query(spot, predicate="within")):
            problems.append(
                f"{where}: its mast stands on the carriageway ({camera.at[0]:.1f}, {camera.at[1]:.1f}); "
                "move it to the pavement"
            )
        seen = seen_road_m(camera, ground, houses, tree)
        if seen < NEEDED_ROAD_M:
            problems.append(
                f"{where}: sees {seen:.0f} m of road, needs {NEEDED_ROAD_M:.0f} m; turn it towards a street "
                f"(heading {camera.heading_deg:.0f}°, tilt {camera.tilt_deg:g}°, hfov {camera.hfov_deg:g}°)"
            )
    return problems


def seen_road_m(camera: Camera, ground: Ground, houses: list[Polygon], tree: STRtree) -> float:
    """Metres of road lane in view that no house hides, at 6 to 55 m from the camera."""
    seen = 0.0
    for lane in ground.lanes:
        if lane.kind != "road":
            continue
        line = LineString(lane.points)
        if line.distance(ShapelyPoint(camera.at)) > SEEN_TO_M:
            continue
        steps = max(1, int(line.length // 2))
        for k in range(steps):
            point = line.interpolate((k + 0.5) / steps, normalized=True)
            if in_view(camera, (point.x, point.y)) and not _hidden(camera, (point.x, point.y), ground, houses, tree):
                seen += line.length / steps
    return seen


def in_view(camera: Camera, spot: Point, height_m: float = 0.7) -> bool:
    """Whether a point falls inside the picture, between 6 and 55 m away."""
    pixel = project(camera, (spot[0], spot[1], height_m))
    away = math.dist(camera.at, spot)
    return (
        pixel is not None
        and SEEN_FROM_M <= away <= SEEN_TO_M
        and 0 <= pixel[0] < camera.width_px
        and 0 <= pixel[1] < camera.height_px
    )


def project(camera: Camera, spot: tuple[float, float, float]) -> tuple[float, float] | None:
    """Pixel of a point in space, without lens distortion; None behind the camera."""
    dx, dy, dz = spot[0] - camera.at[0], spot[1] - camera.at[1], spot[2] - camera.height_m
    heading, tilt = math.radians(camera.heading_deg), math.radians(camera.tilt_deg)
    ahead = dx * math.sin(heading) + dy * math.cos(heading)
    right = dx * math.cos(heading) - dy * math.sin(heading)
    depth = ahead * math.cos(tilt) - dz * math.sin(tilt)
    up = ahead * math.sin(tilt) + dz * math.cos(tilt)
    if depth <= 0.1:
        return None
    focal = camera.width_px / 2 / math.tan(math.radians(camera.hfov_deg) / 2)
    return camera.width_px / 2 + focal * right / depth, camera.height_px / 2 - focal * up / depth


def _hidden(camera: Camera, spot: Point, ground: Ground, houses: list[Polygon], tree: STRtree) -> bool:
    ray = LineString([camera.at, spot])
    length = ray.length
    for index in tree.query(ray, predicate="intersects"):
        cut = ray.intersection(houses[int(index)])
        far = max(ShapelyPoint(camera.at).distance(ShapelyPoint(p)) for p in _corners(cut))
        height_there = camera.height_m + (0.7 - camera.height_m) * min(1.0, far / length)
        if ground.buildings[int(index)].height_m > height_there:
            return True
    return False


def _corners(shape: object) -> list[tuple[float, float]]:
    parts = getattr(shape, "geoms", None)
    if parts is not None:
        return [point for part in parts for point in _corners(part)]
    return [(float(x), float(y)) for x, y in shape.coords]  # type: ignore[attr-defined]
