# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs SUMO on a plan and gives every vehicle's moves, sampled ten times a second."""

from __future__ import annotations

import itertools
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.rehearsal.demand import FOREVER_S, Trip, Walk, draw_demand
from infra.rehearsal.errors import TrafficError
from infra.rehearsal.fleet import BODY_SIZES
from infra.rehearsal.moves import Moves, smooth_parking, steady_walk
from infra.rehearsal.network import Network, build_network, build_town
from infra.rehearsal.plan import PlanFile
from infra.rehearsal.routing import ParkingRow, StreetGraph
from infra.rehearsal.world import Frame, Town, Traffic, Vehicle

STEP_S = 0.1
VCLASS = {
    "car": "passenger",
    "van": "delivery",
    "truck": "truck",
    "bus": "bus",
    "motorcycle": "motorcycle",
    "bicycle": "bicycle",
    "pedestrian": "pedestrian",
}
_BLINK_RIGHT, _BLINK_LEFT, _BRAKE, _PARKED_STATE = 1, 2, 8, 2
"""SUMO's own bits: vehicle signals and stop state."""


def simulate(
    plan: PlanFile,
    minutes: float | None = None,
    seconds: float | None = None,
    progress: Callable[[float], None] | None = None,
    traffic_seed: int | None = None,
    sparse: bool = False,
) -> tuple[Town, Traffic]:
    """Builds the town and drives it for `seconds` (or `minutes`, or the plan's own length) after the warm-up.

    Equal plans and seeds give equal traffic, bit for bit. `traffic_seed` takes the place of the plan's seed for who
    drives where and when, and leaves streets, houses and cameras as they are: another day in the same town.
    `sparse` leaves out pedestrians and what stays parked, and every second frame (which is then empty): several
    times faster, for counting passages. `progress` gets the share that is done.
    Raises NetworkError, PlanError (cameras) or TrafficError.
    """
    length = seconds if seconds is not None else 60.0 * (minutes if minutes is not None else plan.minutes)
    if length <= 0:
        raise TrafficError(f"the run would last {length:g} s; ask for a positive time")
    town = build_town(plan)
    if traffic_seed is not None:
        plan = replace(plan, seed=traffic_seed)
    network = build_network(plan)
    graph = StreetGraph(network)
    trips, walks = draw_demand(plan, graph, length)
    with tempfile.TemporaryDirectory(prefix="passage-traffic-") as folder:
        base = Path(folder)
        (base / "town.net.xml").write_bytes(network.net_xml)
        _write_routes(base / "town.rou.xml", plan, trips, walks, network)
        _write_places(base / "town.add.xml", graph.rows)
        wanted = {t.vehicle.identity for t in trips if not (t.starts_parked and t.stops[0].duration_s >= FOREVER_S)}
        raw = _run(plan, base, length, progress, wanted if sparse else None)
    vehicles = {t.vehicle.identity: t.vehicle for t in trips} | {w.vehicle.identity: w.vehicle for w in walks}
    return town, _traffic(vehicles, raw, length)


def _write_routes(path: Path, plan: PlanFile, trips: list[Trip], walks: list[Walk], network: Network) -> None:
    root = ET.Element("routes")
    for body in sorted({t.vehicle.body for t in trips} | {w.vehicle.body for w in walks}):
        ET.SubElement(root, "vType", _vehicle_type(body))
    entries: list[tuple[float, ET.Element]] = []
    for trip in trips:
        element = ET.Element(
            "vehicle",
            id=trip.vehicle.identity,
            type=trip.vehicle.body,
            depart=f"{trip.depart_s + plan.warmup_s:.1f}",
            departLane="best",
            departSpeed="0" if trip.starts_parked else "max",
            departPos="stop" if trip.starts_parked else "base",
        )
        ET.SubElement(element, "route", edges=" ".join(trip.edges))
        for stop in trip.stops:
            where: dict[str, str]
            if stop.row:
                where = {"parkingArea": stop.row}
            else:
                edge = network.net.getEdge(stop.edge_id)
                lane = next(x for x in edge.getLanes() if x.allows("passenger"))
                where = {"lane": lane.getID(), "endPos": f"{max(15.0, edge.getLength() * 0.7):.1f}"}
            ET.SubElement(element, "stop", {"duration": f"{stop.duration_s:.1f}", **where})
        entries.append((trip.depart_s, element))
    for walk in walks:
        element = ET.Element(
            "person", id=walk.vehicle.identity, type="pedestrian", depart=f"{walk.depart_s + plan.warmup_s:.1f}"
        )
        ET.SubElement(element, "personTrip", {"from": walk.start, "to": walk.end})
        entries.append((walk.depart_s, element))
    for _, element in sorted(entries, key=lambda e: (e[0], e[1].get("id"))):
        root.append(element)
    ET.ElementTree(root).write(path, encoding="utf-8")


def _vehicle_type(body: str) -> dict[str, str]:
    size = BODY_SIZES[body]
    found = {"id": body, "vClass": VCLASS[size.kind], "width": f"{size.width_m}", "height": f"{size.height_m}"}
    if size.kind == "pedestrian":
        return {**found, "length": "0.3", "width": "0.5", "speedFactor": "normc(1,0.12,0.7,1.3)"}
    found |= {"length": f"{size.length_m}", "sigma": "0.4", "minGap": "1.6"}
    moves = {
        "car": {"accel": "2.2", "decel": "4.0", "speedFactor": "normc(1.0,0.09,0.75,1.25)"},
        "van": {"accel": "1.9", "decel": "3.8", "speedFactor": "normc(0.98,0.08,0.75,1.2)"},
        "truck": {"accel": "1.1", "decel": "3.2", "speedFactor": "normc(0.92,0.06,0.75,1.05)"},
        "bus": {"accel": "1.0", "decel": "3.0", "speedFactor": "normc(0.92,0.05,0.8,1.05)"},
        "motorcycle": {"accel": "3.0", "decel": "5.0", "speedFactor": "normc(1.08,0.1,0.8,1.35)"},
        "bicycle": {"accel": "1.2", "decel": "3.0", "maxSpeed": "5.6", "speedFactor": "normc(1,0.12,0.7,1.3)"},
    }
    return found | moves[size.kind]


def _write_places(path: Path, rows: tuple[ParkingRow, ...]) -> None:
    root = ET.Element("additional")
    for row in rows:
        ET.SubElement(
            root,
            "parkingArea",
            id=row.name,
            lane=row.lane_id,
            startPos=f"{row.start_m:.2f}",
            endPos=f"{row.end_m:.2f}",
            roadsideCapacity=str(row.places),
            width="2.0",
            angle="0",
        )
    ET.ElementTree(root).write(path, encoding="utf-8")


def _run(
    plan: PlanFile,
    base: Path,
    length_s: float,
    progress: Callable[[float], None] | None,
    wanted: set[str] | None,
) -> dict[str, list[Any]]:
    """SUMO from the start of the warm-up to the end; rows (step, x, y, angle, speed, signals) by identity.

    With `wanted`, of these vehicles alone and of every second step.
    """
    import libsumo

    command = [
        "sumo",
        "-n", str(base / "town.net.xml"),
        "-r", str(base / "town.rou.xml"),
        "-a", str(base / "town.add.xml"),
        "--seed", str(plan.seed % 2**31),
        "--step-length", f"{STEP_S}",
        "--lanechange.duration", "2.5",
        "--time-to-teleport", "150",
        "--time-to-teleport.remove", "true",
        "--collision.action", "warn",
        "--ignore-route-errors", "true",
        "--max-depart-delay", "90",
        "--no-warnings", "true",
        "--no-step-log", "true",
        "--xml-validation", "never",
        "--pedestrian.striping.jamtime", "60",
    ]  # fmt: skip
    try:
        libsumo.start(command)
    except Exception as error:
        raise TrafficError(f"SUMO did not start: {error}") from error
    try:
        return _collect(libsumo, plan, length_s, progress, wanted)
    except libsumo.TraCIException as error:
        raise TrafficError(f"SUMO stopped: {error}") from error
    finally:
        libsumo.close()


def _collect(
    sumo: Any,
    plan: PlanFile,
    length_s: float,
    progress: Callable[[float], None] | None,
    only: set[str] | None,
) -> dict[str, list[Any]]:
    constants = sumo.constants
    wanted = [
        constants.VAR_POSITION,
        constants.VAR_ANGLE,
        constants.VAR_SPEED,
        constants.VAR_SIGNALS,
        constants.VAR_STOPSTATE,
    ]
    warm = round(plan.warmup_s / STEP_S)
    steps = round(length_s / STEP_S)
    rows: dict[str, list[Any]] = {}
    for step in range(warm + steps + 1):
        sumo.simulationStep()
        for identity in sumo.simulation.getDepartedIDList():
            if only is None or identity in only:
                sumo.vehicle.subscribe(identity, wanted)
        for identity in sumo.simulation.getDepartedPersonIDList() if only is None else ():
            sumo.person.subscribe(identity, wanted[:3])
        if progress and step % 200 == 0:
            progress(step / (warm + steps + 1))
        if step < warm:
            continue
        now = step - warm
        if only is not None and now % 2:
            continue
        for identity, values in sumo.vehicle.getAllSubscriptionResults().items():
            x, y = values[wanted[0]]
            flags = _signals(values[wanted[3]], values[wanted[4]])
            rows.setdefault(identity, []).append((now, x, y, values[wanted[1]], values[wanted[2]], flags))
        for identity, values in sumo.person.getAllSubscriptionResults().items():
            x, y = values[wanted[0]]
            rows.setdefault(identity, []).append((now, x, y, values[wanted[1]], values[wanted[2]], 0))
    return rows


def _signals(sumo_bits: int, stop_state: int) -> int:
    if stop_state & _PARKED_STATE:
        return 8
    return (
        (1 if sumo_bits & _BRAKE else 0)
        | (2 if sumo_bits & _BLINK_LEFT else 0)
        | (4 if sumo_bits & _BLINK_RIGHT else 0)
    )


def _traffic(vehicles: dict[str, Vehicle], rows: dict[str, list[Any]], length_s: float) -> Traffic:
    present = sorted(identity for identity in rows if identity in vehicles and abs(rows[identity][0][1]) < 1e6)
    columns: list[NDArray[np.float64]] = []
    owners: list[NDArray[np.int32]] = []
    for number, identity in enumerate(present):
        table = np.asarray(rows[identity], dtype=np.float64)
        moves = Moves.from_sumo(table, vehicles[identity])
        walks = vehicles[identity].kind == "pedestrian"
        moves = steady_walk(moves) if walks else smooth_parking(moves)
        columns.append(moves.table())
        owners.append(np.full(len(table), number, dtype=np.int32))
    steps = round(length_s / STEP_S) + 1
    if not columns:
        return Traffic((), tuple(_frame(np.zeros((0, 6)), np.zeros(0, np.int32), k) for k in range(steps)), STEP_S)
    table, owner = np.concatenate(columns), np.concatenate(owners)
    order = np.lexsort((owner, table[:, 0]))
    table, owner = table[order], owner[order]
    edges = np.searchsorted(table[:, 0], np.arange(steps + 1) - 0.5)
    frames = tuple(_frame(table[a:b], owner[a:b], k) for k, (a, b) in enumerate(itertools.pairwise(edges)))
    return Traffic(tuple(vehicles[identity] for identity in present), frames, STEP_S)


def _frame(table: NDArray[np.float64], owner: NDArray[np.int32], step: int) -> Frame:
    return Frame(
        time_s=round(step * STEP_S, 3),
        index=owner,
        x=table[:, 1].astype(np.float32),
        y=table[:, 2].astype(np.float32),
        heading_deg=table[:, 3].astype(np.float32),
        speed_mps=table[:, 4].astype(np.float32),
        signals=table[:, 5].astype(np.uint8),
    )
