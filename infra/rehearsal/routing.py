# SPDX-License-Identifier: AGPL-3.0-or-later
"""Ways through the town: the streets as a graph, and the quickest way with a person's own taste."""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass

from infra.rehearsal.network import PARKING_MARGIN_M, EdgePlan, Network, road_lane_index

LOT_M = 6.0
"""Length of one kerbside place."""


@dataclass(frozen=True, slots=True)
class ParkingRow:
    """The kerbside places of one edge."""

    name: str
    edge_id: str
    lane_id: str
    start_m: float
    end_m: float
    places: int


class StreetGraph:
    """Which edge can follow which, and how long each takes."""

    def __init__(self, network: Network) -> None:
        net = network.net
        self.edges: dict[str, EdgePlan] = {e.edge_id: e for e in network.edges}
        self.length_m = {e: float(net.getEdge(e).getLength()) for e in self.edges}
        self.cost_s = {e: self.length_m[e] / (p.street.speed_kmh / 3.6) + 2.0 for e, p in self.edges.items()}
        self.next: dict[str, tuple[str, ...]] = {}
        for edge_id in self.edges:
            found = []
            for target, connections in net.getEdge(edge_id).getOutgoing().items():
                if target.getID() in self.edges and any(
                    c.getFromLane().allows("passenger") and c.getToLane().allows("passenger") for c in connections
                ):
                    found.append(target.getID())
            self.next[edge_id] = tuple(sorted(found))
        self.leaving: dict[str, tuple[str, ...]] = {}
        self.arriving: dict[str, tuple[str, ...]] = {}
        for edge_id, edge in self.edges.items():
            self.leaving[edge.start] = (*self.leaving.get(edge.start, ()), edge_id)
            self.arriving[edge.end] = (*self.arriving.get(edge.end, ()), edge_id)
        self.opposite = {
            e: next((o for o, q in self.edges.items() if (q.start, q.end) == (p.end, p.start)), "")
            for e, p in self.edges.items()
        }
        self.rows = tuple(self._parking_rows(network))

    def _parking_rows(self, network: Network) -> list[ParkingRow]:
        rows = []
        for edge_id, edge in self.edges.items():
            length = self.length_m[edge_id]
            places = int((length - 2 * PARKING_MARGIN_M) // LOT_M)
            if edge.parking and places >= 1:
                start = (length - places * LOT_M) / 2
                lane = f"{edge_id}_{road_lane_index(edge)}"
                rows.append(ParkingRow(f"row-{edge_id}", edge_id, lane, start, start + places * LOT_M, places))
        return rows

    def way(self, start: str, end: str, rng: random.Random | None = None, turn_back: bool = False) -> list[str] | None:
        """Edges from one edge to another, both included; None where there is no way.

        With `rng` every street is taken as up to a third longer or shorter than it is, so that drivers
        differ. Turning back is avoided unless `turn_back`.
        """
        taste = {e: rng.uniform(0.7, 1.35) for e in self.edges} if rng else {}
        queue: list[tuple[float, str]] = [(0.0, start)]
        best, before = {start: 0.0}, {start: ""}
        done: set[str] = set()
        while queue:
            cost, edge = heapq.heappop(queue)
            if edge in done:
                continue
            done.add(edge)
            if edge == end:
                way = [edge]
                while before[way[-1]]:
                    way.append(before[way[-1]])
                return way[::-1]
            for follower in self.next[edge]:
                if follower == self.opposite[edge] and not turn_back:
                    continue
                total = cost + self.cost_s[follower] * taste.get(follower, 1.0)
                if total < best.get(follower, float("inf")):
                    best[follower], before[follower] = total, edge
                    heapq.heappush(queue, (total, follower))
        return None

    def way_by_edges(self, stations: list[str], rng: random.Random | None = None) -> list[str] | None:
        """A way that passes the given edges in order."""
        whole = [stations[0]]
        for a, b in itertools.pairwise(stations):
            part = self.way(a, b, rng) or self.way(a, b, rng, turn_back=True)
            if part is None:
                return None
            whole += part[1:]
        return whole

    def way_by_junctions(self, names: tuple[str, ...]) -> list[str] | None:
        """The quickest way that passes the given junctions in order."""
        best: list[str] | None = None
        for first in self.leaving.get(names[0], ()):
            way: list[str] | None = [first]
            for name in names[1:]:
                if way is None or self.edges[way[-1]].end == name:
                    continue
                parts = [self.way(way[-1], e) for e in self.arriving.get(name, ())]
                good = [p for p in parts if p]
                if not good:
                    way = None
                    break
                way = way + min(good, key=self.cost)[1:]
            if way and (best is None or self.cost(way) < self.cost(best)):
                best = way
        return best

    def cost(self, way: list[str]) -> float:
        """Seconds that a way takes without traffic."""
        return sum(self.cost_s[e] for e in way)
