# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who drives where and when, and in what: a list of trips drawn from the plan's demand and its seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from infra.rehearsal.errors import TrafficError
from infra.rehearsal.fleet import BODY_SIZES, MARKS, PAINTS, VAN_SHARE_WHITE
from infra.rehearsal.network import stable_seed
from infra.rehearsal.plan import PlanFile
from infra.rehearsal.routing import StreetGraph
from infra.rehearsal.world import Kind, Vehicle

FOREVER_S = 1e6


@dataclass(frozen=True, slots=True)
class Stop:
    """A halt on the way: at a kerbside row, or on the road itself where `row` is empty."""

    edge_id: str
    row: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class Trip:
    """One vehicle and its way."""

    vehicle: Vehicle
    depart_s: float
    """Town time; negative inside the warm-up."""
    edges: tuple[str, ...]
    stops: tuple[Stop, ...] = ()
    starts_parked: bool = False


@dataclass(frozen=True, slots=True)
class Walk:
    """One pedestrian."""

    vehicle: Vehicle
    depart_s: float
    start: str
    end: str


def draw_demand(plan: PlanFile, graph: StreetGraph, seconds: float) -> tuple[list[Trip], list[Walk]]:
    """Every trip and walk between the start of the warm-up and `seconds`, in order of departure."""
    maker = _Maker(plan, graph, seconds)
    maker.park_at_start()
    maker.script()
    maker.drive()
    trips = sorted(maker.trips, key=lambda t: (t.depart_s, t.vehicle.identity))
    walks = sorted(maker.walks(), key=lambda w: (w.depart_s, w.vehicle.identity))
    return trips, walks


class _Maker:
    def __init__(self, plan: PlanFile, graph: StreetGraph, seconds: float) -> None:
        self.plan, self.graph, self.seconds = plan, graph, seconds
        self.trips: list[Trip] = []
        self.free = {row.name: row.places for row in graph.rows}
        self.count = 0
        self.entrances = [j.name for j in plan.junctions if j.entrance]

    def _rng(self, what: str) -> random.Random:
        return random.Random(stable_seed(self.plan.name, self.plan.seed, what))  # noqa: S311 - traffic

    def _vehicle(self, rng: random.Random, kind: Kind, body: str = "") -> Vehicle:
        self.count += 1
        return draw_vehicle(self.plan, rng, f"v{self.count:05d}", kind, body)

    def park_at_start(self) -> None:
        """Cars that stand at the kerb when the warm-up begins; some leave later."""
        rng = self._rng("parked")
        rate = self._vehicles_per_s()
        leaving = min(0.5, 0.2 + self.plan.demand.leaves_parking)
        horizon = self.plan.warmup_s + self.seconds
        wanted = int(rate * horizon * self.plan.demand.leaves_parking)
        for row in self.graph.rows:
            for _ in range(row.places):
                if rng.random() >= self.plan.demand.parked:
                    continue
                vehicle = self._vehicle(rng, "van" if rng.random() < 0.07 else "car")
                if vehicle.length_m > 5.4:
                    continue
                self.free[row.name] -= 1
                goes = wanted > 0 and rng.random() < leaving
                way = self._way_out(rng, row.edge_id) if goes else None
                stop = Stop(row.edge_id, row.name, rng.uniform(20.0, horizon) if way else FOREVER_S)
                wanted -= 1 if way else 0
                edges = tuple(way) if way else (row.edge_id,)
                self.trips.append(Trip(vehicle, -self.plan.warmup_s, edges, (stop,), True))

    def script(self) -> None:
        """The trips that the plan gives by hand."""
        for trip in self.plan.scripted:
            way = self.graph.way_by_junctions(trip.via)
            if not way:
                raise TrafficError(f"[[scripted]] {trip.identity}: no way leads through {', '.join(trip.via)}")
            rng = self._rng(f"scripted {trip.identity}")
            vehicle = draw_vehicle(self.plan, rng, trip.identity, BODY_SIZES[trip.body].kind, trip.body)
            vehicle = replace(vehicle, colour=trip.colour, rgb=_paint(rng, trip.colour), marks=trip.marks)
            before = [e for e in way if self.graph.edges[e].end == trip.stop_at]
            stops = (Stop(before[0], "", trip.stop_s),) if before and trip.stop_s > 0 else ()
            self.trips.append(Trip(vehicle, trip.depart_s, tuple(way), stops))

    def drive(self) -> None:
        """Arrivals at the entrances, one Poisson stream for the town and one for each extra flow."""
        rng = self._rng("drive")
        demand = self.plan.demand
        weights = {name: demand.entrances.get(name, 1.0) for name in self.entrances}
        for depart in self._arrivals(rng, self._vehicles_per_s() * (1.0 - demand.leaves_parking)):
            start = _pick(rng, weights)
            others = {k: w for k, w in weights.items() if k != start} or weights
            self._one(rng, depart, start, _pick(rng, others))
        for flow in demand.flows:
            for depart in self._arrivals(rng, flow.vehicles_per_hour / 3600.0):
                self._one(rng, depart, flow.start, flow.end)

    def _one(self, rng: random.Random, depart: float, start: str, end: str) -> None:
        demand, graph = self.plan.demand, self.graph
        kind: Kind = _pick(rng, demand.kinds)  # type: ignore[assignment]
        vehicle = self._vehicle(rng, kind)
        first, last = graph.leaving[start][0], graph.arriving[end][0]
        draw = rng.random()
        stops: list[Stop] = []
        way: list[str] | None
        rows = [r for r in graph.rows if self.free[r.name] > 1]
        if kind in ("car", "van") and vehicle.length_m < 5.4 and draw < demand.parks and rows:
            row = rng.choice(rows)
            self.free[row.name] -= 1
            stays = rng.random() < 0.5
            stops.append(Stop(row.edge_id, row.name, FOREVER_S if stays else rng.uniform(40.0, 400.0)))
            way = graph.way_by_edges([first, row.edge_id] + ([] if stays else [last]), rng)
        elif kind in ("car", "van", "motorcycle") and draw < demand.parks + demand.circulates:
            inner = sorted(e for e, p in graph.edges.items() if not {p.start, p.end} & set(self.entrances))
            via = [rng.choice(inner) for _ in range(rng.randint(2, 4))] if inner else []
            way = graph.way_by_edges([first, *via, last], rng)
        elif kind in ("car", "van") and draw < demand.parks + demand.circulates + demand.uturn:
            turns = [e for e in sorted(graph.edges) if graph.opposite[e] in graph.next[e] and self._inner(e)]
            edge = rng.choice(turns) if turns else ""
            way = graph.way_by_edges([first, edge, graph.opposite[edge], last], rng) if edge else None
        else:
            way = graph.way(first, last, rng)
        way = way or graph.way(first, last)
        if way is None:
            return
        inside = [e for e in way[1:-1] if graph.length_m[e] > 35.0]
        if kind in ("van", "truck") and not stops and inside and rng.random() < demand.delivers:
            stops.append(Stop(rng.choice(inside), "", rng.uniform(8.0, 25.0)))
        if kind == "bus":
            stops += [Stop(e, "", rng.uniform(8.0, 16.0)) for e in inside[1::3][:3]]
        self.trips.append(Trip(vehicle, round(depart, 1), tuple(way), tuple(stops)))

    def _inner(self, edge: str) -> bool:
        plan = self.graph.edges[edge]
        return not {plan.start, plan.end} & set(self.entrances) and self.graph.length_m[edge] > 40.0

    def walks(self) -> list[Walk]:
        """Pedestrians between two streets of the town."""
        rng = self._rng("walk")
        found = []
        edges = sorted(self.graph.edges)
        for number, depart in enumerate(self._arrivals(rng, self.plan.demand.pedestrians_per_hour / 3600.0)):
            start, end = rng.choice(edges), rng.choice(edges)
            if start != end:
                vehicle = draw_vehicle(self.plan, rng, f"p{number + 1:05d}", "pedestrian", "pedestrian")
                found.append(Walk(vehicle, round(depart, 1), start, end))
        return found

    def _vehicles_per_s(self) -> float:
        demand = self.plan.demand
        return demand.vehicles_per_hour * demand.by_hour[self.plan.start.hour] / 100.0 / 3600.0

    def _arrivals(self, rng: random.Random, per_second: float) -> list[float]:
        times: list[float] = []
        if per_second <= 0:
            return times
        now = -self.plan.warmup_s
        while (now := now + rng.expovariate(per_second)) < self.seconds:
            times.append(now)
        return times

    def _way_out(self, rng: random.Random, edge: str) -> list[str] | None:
        return self.graph.way(edge, self.graph.arriving[rng.choice(self.entrances)][0], rng)


def _pick(rng: random.Random, weights: dict[str, float]) -> str:
    names = sorted(weights)
    return rng.choices(names, [weights[n] for n in names])[0]


def _paint(rng: random.Random, colour: str) -> tuple[int, int, int]:
    red, green, blue = (min(255, max(0, v + rng.randint(-5, 5))) for v in rng.choice(PAINTS[colour]))
    return red, green, blue


def draw_vehicle(plan: PlanFile, rng: random.Random, identity: str, kind: Kind, body: str = "") -> Vehicle:
    """A vehicle of the plan's fleet; equal `rng` states give equal vehicles."""
    if not body:
        body = _pick(rng, {n: w for n, w in plan.fleet.bodies.items() if BODY_SIZES[n].kind == kind})
    size = BODY_SIZES[body]
    colour = _pick(rng, plan.fleet.colours)
    if kind in ("van", "truck") and rng.random() < VAN_SHARE_WHITE:
        colour = "white"
    marks: tuple[str, ...] = ()
    if kind in ("car", "van", "truck", "bus") and rng.random() < plan.fleet.marks:
        marks = tuple(sorted(rng.sample(MARKS, 1 if rng.random() < 0.8 else 2)))
    return Vehicle(
        identity=identity,
        kind=kind,
        body=body,
        colour=colour,
        rgb=_paint(rng, colour),
        marks=marks,
        mark_seed=rng.randrange(2**31),
        length_m=size.length_m,
        width_m=size.width_m,
        height_m=size.height_m,
    )
