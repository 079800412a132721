# SPDX-License-Identifier: AGPL-3.0-or-later
"""From a plan to SUMO's network and to the ground that the renderer draws."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import itertools
import math
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.rehearsal.errors import NetworkError, PlanError
from infra.rehearsal.plan import JunctionPlan, PlanFile, StreetPlan
from infra.rehearsal.world import Camera, Ground, Lane, Point, Town, Weather

LANE_WIDTH_M = {"main": 3.3, "street": 3.0, "lane": 2.8}
PARKING_WIDTH_M = 2.0
CYCLE_WIDTH_M = 1.4
PRIORITY = {"main": 6, "street": 3, "lane": 1}


@dataclass(frozen=True, slots=True)
class EdgePlan:
    """One direction of one stretch of street between two junctions."""

    edge_id: str
    start: str
    end: str
    street: StreetPlan
    parking: bool
    """Kerbside places on its right."""
    bends: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Network:
    """A built SUMO network."""

    edges: tuple[EdgePlan, ...]
    net_xml: bytes
    net: Any
    """`sumolib.net.Net`, with internal lanes and crossings."""
    origin: Point
    """What netconvert subtracted: net coordinates plus this are plan coordinates."""


def edges_of(plan: PlanFile) -> tuple[EdgePlan, ...]:
    """Both directions of every stretch of every street."""
    edges = []
    for number, street in enumerate(plan.streets):
        for i, (a, b) in enumerate(zip(street.through, street.through[1:], strict=False)):
            bends = street.bends if i == 0 else ()
            parks_right, parks_left = street.parking in ("right", "both"), street.parking in ("left", "both")
            edges.append(EdgePlan(f"s{number}.{i}f", a, b, street, parks_right, bends))
            if not street.one_way:
                edges.append(EdgePlan(f"s{number}.{i}b", b, a, street, parks_left, bends[::-1]))
    return tuple(edges)


def build_network(plan: PlanFile) -> Network:
    """Runs netconvert on the plan's streets; the result is kept for plans of equal streets.

    Raises NetworkError with what netconvert said.
    """
    return _build(plan.junctions, plan.streets, edges_of(plan))


@functools.lru_cache(maxsize=8)
def _build(
    junctions: tuple[JunctionPlan, ...], streets: tuple[StreetPlan, ...], edges: tuple[EdgePlan, ...]
) -> Network:
    with tempfile.TemporaryDirectory(prefix="passage-net-") as folder:
        base = Path(folder)
        _write_nodes(base / "town.nod.xml", junctions)
        _write_edges(base / "town.edg.xml", edges)
        command = [
            str(sumo_tool("netconvert")),
            "--node-files", str(base / "town.nod.xml"),
            "--edge-files", str(base / "town.edg.xml"),
            "--output-file", str(base / "town.net.xml"),
            "--offset.disable-normalization", "true",
            "--crossings.guess", "true",
            "--crossings.guess.speed-threshold", "16",
            "--walkingareas", "true",
            "--junctions.corner-detail", "8",
            "--junctions.internal-link-detail", "12",
            "--default.junctions.radius", "4.5",
            "--tls.default-type", "static",
            "--tls.cycle.time", "40",
            "--no-turnarounds.except-deadend", "false",
            "--xml-validation", "never",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, env=sumo_environment(), check=False)  # noqa: S603
        if done.returncode != 0:
            raise NetworkError(f"netconvert refused the streets: {done.stderr.strip() or done.stdout.strip()}")
        content = (base / "town.net.xml").read_bytes()
        net = _read_net(base / "town.net.xml")
    return Network(edges, content, net, (0.0, 0.0))


def _read_net(path: Path) -> Any:
    import sumolib

    return sumolib.net.readNet(str(path), withInternal=True, withPrograms=True, withPedestrianConnections=True)


def sumo_tool(name: str) -> Path:
    """The executable of the eclipse-sumo wheel; raises NetworkError where it is absent."""
    spec = importlib.util.find_spec("sumo")
    places = list(spec.submodule_search_locations or []) if spec else []
    for place in places:
        tool = Path(place) / "bin" / (name + (".exe" if sys.platform == "win32" else ""))
        if tool.exists():
            return tool
    raise NetworkError(f"SUMO's {name} is not installed; install the package eclipse-sumo")


def sumo_environment() -> dict[str, str]:
    """The environment that SUMO's tools need."""
    spec = importlib.util.find_spec("sumo")
    places = list(spec.submodule_search_locations or []) if spec else []
    return {**os.environ, "SUMO_HOME": places[0] if places else ""}


def _write_nodes(path: Path, junctions: tuple[JunctionPlan, ...]) -> None:
    kinds = {
        "priority": "priority",
        "lights": "traffic_light",
        "right_before_left": "right_before_left",
        "stop": "allway_stop",
    }
    root = ET.Element("nodes")
    for junction in junctions:
        ET.SubElement(
            root,
            "node",
            id=junction.name,
            x=f"{junction.at[0]:.3f}",
            y=f"{junction.at[1]:.3f}",
            type="dead_end" if junction.entrance else kinds[junction.control],
        )
    ET.ElementTree(root).write(path, encoding="utf-8")


def _write_edges(path: Path, edges: tuple[EdgePlan, ...]) -> None:
    root = ET.Element("edges")
    for edge in edges:
        street = edge.street
        extra = 1 + int(edge.parking) + int(street.cycle_lane)
        element = ET.SubElement(
            root,
            "edge",
            {
                "id": edge.edge_id,
                "from": edge.start,
                "to": edge.end,
                "numLanes": str(street.lanes + extra),
                "speed": f"{street.speed_kmh / 3.6:.3f}",
                "priority": str(PRIORITY[street.street_class]),
                "spreadType": "center" if street.one_way else "right",
            },
        )
        if edge.bends:
            element.set("shape", " ".join(f"{x:.3f},{y:.3f}" for x, y in edge.bends))
        kinds: list[tuple[float, dict[str, str]]] = [(street.sidewalk_m, {"allow": "pedestrian"})]
        if edge.parking:
            kinds.append((PARKING_WIDTH_M, {"disallow": "all"}))
        if street.cycle_lane:
            kinds.append((CYCLE_WIDTH_M, {"allow": "bicycle"}))
        kinds += [(LANE_WIDTH_M[street.street_class], {"disallow": "pedestrian"})] * street.lanes
        for index, (width, permissions) in enumerate(kinds):
            ET.SubElement(element, "lane", {"index": str(index), "width": f"{width:.2f}", **permissions})
    ET.ElementTree(root).write(path, encoding="utf-8")


def road_lane_index(edge: EdgePlan) -> int:
    """Index in SUMO of the rightmost lane for motor vehicles."""
    return 1 + int(edge.parking) + int(edge.street.cycle_lane)


def build_town(plan: PlanFile) -> Town:
    """The town of a plan: ground, cameras, weather.

    Raises NetworkError, or PlanError with every problem that only the built streets show.
    """
    from infra.rehearsal.camera_sites import check_cameras, place_cameras
    from infra.rehearsal.houses import lay_buildings
    from infra.rehearsal.street_furniture import lay_furniture

    network = build_network(plan)
    cameras = place_cameras(plan, network)
    lanes = _lanes(network)
    junctions = tuple(_ring(n.getShape()) for n in network.net.getNodes() if n.getType() != "dead_end")
    junctions = tuple(shape for shape in junctions if len(shape) >= 3)
    crossings, walking = _crossings(network)
    buildings = lay_buildings(plan, network)
    furniture = lay_furniture(plan, network, buildings, cameras)
    xs = [p[0] for lane in lanes for p in lane.points]
    ys = [p[1] for lane in lanes for p in lane.points]
    ground = Ground(
        lanes=lanes,
        junctions=junctions,
        crossings=crossings,
        stop_lines=_stop_lines(plan, network),
        buildings=buildings,
        furniture=furniture,
        bounds=(min(xs) - 60, min(ys) - 60, max(xs) + 60, max(ys) + 60),
        walking_areas=walking,
    )
    problems = check_cameras(cameras, ground)
    if problems:
        raise PlanError(plan.source, problems)
    return Town(
        name=plan.name,
        family=plan.family,
        seed=plan.seed,
        start_utc=plan.start_utc,
        ground=ground,
        cameras=cameras,
        weather=Weather(plan.light, plan.rain, plan.sun_azimuth_deg, plan.sun_elevation_deg),
        bodies=tuple(sorted(name for name, weight in plan.fleet.bodies.items() if weight > 0)),
        digest=plan.digest,
        notes=_notes(plan),
    )


def _notes(plan: PlanFile) -> dict[str, str]:
    notes = {"title": plan.title, "note": plan.note, "minutes": f"{plan.minutes:g}"}
    if plan.demo_cameras:
        notes["demo_cameras"] = ",".join(plan.demo_cameras)
    if plan.demo_target:
        notes["demo_target"] = plan.demo_target
    return notes


def _ring(shape: Any) -> tuple[Point, ...]:
    points = [(float(p[0]), float(p[1])) for p in shape]
    if len(points) > 1 and points[0] == points[-1]:
        points.pop()
    return tuple(points)


def _lanes(network: Network) -> tuple[Lane, ...]:
    lanes: list[Lane] = []
    for plan_edge in network.edges:
        edge = network.net.getEdge(plan_edge.edge_id)
        road = road_lane_index(plan_edge)
        for lane in edge.getLanes():
            points = tuple((float(x), float(y)) for x, y in lane.getShape())
            index, width, name = lane.getIndex(), float(lane.getWidth()), plan_edge.street.name
            if index == 0:
                lanes.append(Lane(points, width, "sidewalk", name))
            elif index >= road:
                lanes.append(Lane(points, width, "road", name))
            elif plan_edge.parking and index == 1:
                lanes.extend(_parking_strip(points, width, name))
            else:
                lanes.append(Lane(points, width, "cycle", name))
    for edge in network.net.getEdges(withInternal=True):
        if edge.getFunction() == "internal":
            for lane in edge.getLanes():
                if lane.allows("passenger"):
                    points = tuple((float(x), float(y)) for x, y in lane.getShape())
                    lanes.append(Lane(points, float(lane.getWidth()), "road", ""))
    return tuple(lanes)


PARKING_MARGIN_M = 9.0
"""No kerbside place this near to a junction; the kerb comes out there."""


def _parking_strip(points: tuple[Point, ...], width: float, street: str) -> list[Lane]:
    length = path_length(points)
    if length < 2 * PARKING_MARGIN_M + 6:
        return [Lane(points, width, "sidewalk", street)]
    first, second = PARKING_MARGIN_M, length - PARKING_MARGIN_M
    return [
        Lane(path_part(points, 0.0, first), width, "sidewalk", street),
        Lane(path_part(points, first, second), width, "parking", street),
        Lane(path_part(points, second, length), width, "sidewalk", street),
    ]


def path_length(points: tuple[Point, ...]) -> float:
    """Length of a line in metres."""
    return sum(math.dist(a, b) for a, b in itertools.pairwise(points))


def path_at(points: tuple[Point, ...], distance: float) -> tuple[Point, float]:
    """The point at `distance` metres along a line and the heading there in degrees."""
    left = max(0.0, distance)
    for a, b in itertools.pairwise(points):
        step = math.dist(a, b)
        if step > 0 and (left <= step or b == points[-1]):
            share = min(1.0, left / step)
            heading = math.degrees(math.atan2(b[0] - a[0], b[1] - a[1])) % 360.0
            return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share), heading
        left -= step
    return points[-1], 0.0


def path_part(points: tuple[Point, ...], start: float, end: float) -> tuple[Point, ...]:
    """The part of a line between two distances along it."""
    inner, run = [], 0.0
    for a, b in itertools.pairwise(points):
        run += math.dist(a, b)
        if start < run < end:
            inner.append(b)
    return (path_at(points, start)[0], *inner, path_at(points, end)[0])


def _crossings(network: Network) -> tuple[tuple[tuple[Point, ...], ...], tuple[tuple[Point, ...], ...]]:
    crossings, walking = [], []
    for edge in network.net.getEdges(withInternal=True):
        lane = edge.getLanes()[0]
        if edge.getFunction() == "crossing":
            (ax, ay), (bx, by) = lane.getShape()[0][:2], lane.getShape()[-1][:2]
            length = math.dist((ax, ay), (bx, by)) or 1.0
            nx, ny = -(by - ay) / length * lane.getWidth() / 2, (bx - ax) / length * lane.getWidth() / 2
            crossings.append(((ax - nx, ay - ny), (bx - nx, by - ny), (bx + nx, by + ny), (ax + nx, ay + ny)))
        elif edge.getFunction() == "walkingarea":
            shape = _ring(lane.getShape())
            if len(shape) >= 3:
                walking.append(shape)
    return tuple(crossings), tuple(walking)


def _stop_lines(plan: PlanFile, network: Network) -> tuple[tuple[Point, Point], ...]:
    """Across the road lanes of every arm that must give way or has lights."""
    control = {j.name: j.control for j in plan.junctions}
    rank: dict[str, int] = {}
    for edge in network.edges:
        rank[edge.end] = max(rank.get(edge.end, 0), PRIORITY[edge.street.street_class])
    lines = []
    for plan_edge in network.edges:
        kind = control[plan_edge.end]
        minor = kind == "priority" and PRIORITY[plan_edge.street.street_class] < rank[plan_edge.end]
        if kind not in ("lights", "stop") and not minor:
            continue
        for lane in network.net.getEdge(plan_edge.edge_id).getLanes()[road_lane_index(plan_edge) :]:
            shape = [tuple(p[:2]) for p in lane.getShape()]
            (ax, ay), (bx, by) = shape[-2], shape[-1]
            length = math.dist((ax, ay), (bx, by)) or 1.0
            ux, uy = (bx - ax) / length, (by - ay) / length
            half = lane.getWidth() / 2
            x, y = bx - 0.4 * ux, by - 0.4 * uy
            lines.append(((x - uy * half, y + ux * half), (x + uy * half, y - ux * half)))
    return tuple(lines)


def stable_seed(*parts: object) -> int:
    """A seed that depends on the parts alone, the same on every machine."""
    return int.from_bytes(hashlib.sha256("|".join(map(str, parts)).encode()).digest()[:8], "big")


def camera_of(site: Any, at: Point, heading_deg: float) -> Camera:
    """The camera of a plan's entry, standing at `at`."""
    return Camera(
        name=site.name,
        place=site.place,
        at=at,
        height_m=site.height_m,
        heading_deg=heading_deg % 360.0,
        tilt_deg=site.tilt_deg,
        hfov_deg=site.hfov_deg,
        width_px=site.width_px,
        height_px=site.height_px,
        fps=site.fps,
        codec=site.codec,
        bitrate_kbps=site.bitrate_kbps,
        gop_s=site.gop_s,
        exposure_ev=site.exposure_ev,
        white_balance_k=site.white_balance_k,
        vignette=site.vignette,
        distortion_k1=site.distortion_k1,
        noise=site.noise,
        blur_px=site.blur_px,
        dirt=site.dirt,
        clock_offset_s=site.clock_offset_s,
        clock_drift_ppm=site.clock_drift_ppm,
        outages=site.outages,
    )
