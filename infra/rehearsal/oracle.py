# SPDX-License-Identifier: AGPL-3.0-or-later
"""How hard a town is: how many vehicles have a look-alike, and how far an oracle gets that knows everything but names.

The oracle is given every true passage with its body shape, colour name and marks, and the true distribution of
what follows a passage: which camera next, in which direction, after how long. It does not know identities. It links
passages of equal looks into chains at the least total cost (negative log-likelihood; an assignment problem per look,
solved exactly), and is scored by IDF1 over seen frames. No method that sees no more than it can be expected to beat
it: it is the ceiling that re-identification is measured against.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from infra.rehearsal.world import Vehicle

WINDOW_S = 600.0
LONGEST_LINK_S = 300.0
SPREAD = 0.12
"""Width of the kernel over log travel time."""
FLOOR = 1e-6


@dataclass(frozen=True, slots=True)
class Seen:
    """One passage as the oracle gets it."""

    look: tuple[str, ...]
    way_in: tuple[str, str]
    """Camera and side of entry."""
    way_out: tuple[str, str]
    entered_s: float
    left_s: float
    frames: int
    identity: str
    """For scoring only."""


def seen_passages(passages: pa.Table, marks: dict[str, tuple[str, ...]]) -> list[Seen]:
    """The passages of a truth table in order of entry."""
    found = []
    for row in passages.to_pylist():
        camera = row["camera"]
        # Both ends of a passage say which way the vehicle drove through the picture.
        way = f"{row['entry_side']}>{row['exit_side']}"
        found.append(
            Seen(
                look=(row["body"], row["colour"], *marks.get(row["identity"], ())),
                way_in=(camera, way),
                way_out=(camera, way),
                entered_s=row["entered_s"],
                left_s=row["left_s"],
                frames=row["seen_frames"],
                identity=row["identity"],
            )
        )
    return sorted(found, key=lambda s: (s.entered_s, s.way_in, s.identity))


class LinkModel:
    """What follows a passage, learnt from the true chains: probability of the next way in and density of the time."""

    def __init__(self, seen: list[Seen]) -> None:
        chains: dict[str, list[Seen]] = defaultdict(list)
        for passage in seen:
            chains[passage.identity].append(passage)
        times: dict[tuple[tuple[str, str], tuple[str, str]], list[float]] = defaultdict(list)
        out: Counter[tuple[str, str]] = Counter()
        ends: Counter[tuple[str, str]] = Counter()
        starts: Counter[tuple[str, str]] = Counter()
        for chain in chains.values():
            starts[chain[0].way_in] += 1
            for a, b in pairwise(chain):
                times[a.way_out, b.way_in].append(_gap(a, b))
                out[a.way_out] += 1
            out[chain[-1].way_out] += 1
            ends[chain[-1].way_out] += 1
        self._times = {pair: np.array(found) for pair, found in times.items()}
        self._out, self._ends, self._starts = out, ends, starts
        self._total = sum(starts.values())
        self._per_way = Counter(p.way_in for p in seen)

    def end_cost(self, passage: Seen) -> float:
        """Of being the last of a chain."""
        return -math.log(max(self._ends[passage.way_out] / max(self._out[passage.way_out], 1), FLOOR))

    def start_cost(self, passage: Seen) -> float:
        """Of being the first of a chain: the share of passages of this way in that are."""
        return -math.log(max(self._starts[passage.way_in] / max(self._per_way[passage.way_in], 1), FLOOR))

    def link_cost(self, a: Seen, b: Seen) -> float:
        """Of `b` coming next after `a`; infinite where it never does.

        A link that is itself among the samples is left out of them, so that the distribution never says who is who.
        """
        gap = _gap(a, b)
        times = self._times.get((a.way_out, b.way_in))
        if times is None or gap > LONGEST_LINK_S or b.left_s <= a.entered_s:
            return math.inf
        own = int(np.any(times == gap))
        count, total = len(times) - own, self._out[a.way_out] - own
        width = SPREAD * np.maximum(times, 4.0)
        kernels = np.exp(-0.5 * ((gap - times) / width) ** 2) / width / math.sqrt(2 * math.pi)
        kernel_sum = float(kernels.sum()) - own / (SPREAD * max(gap, 4.0) * math.sqrt(2 * math.pi))
        # Half a sample of "any time at all" keeps rare links possible.
        density = (max(kernel_sum, 0.0) + 0.5 / LONGEST_LINK_S) / (count + 0.5)
        chance = (count + 0.5) / (total + 1.0)
        # A rival explanation of `b` is a new vehicle, spread over the time in which it could have come.
        return -math.log(max(chance * density * 10.0, FLOOR)) - math.log(
            max(1.0 - self._starts[b.way_in] / max(self._per_way[b.way_in], 1), FLOOR)
        )


def _gap(a: Seen, b: Seen) -> float:
    return b.entered_s - a.left_s


def link(seen: list[Seen], model: LinkModel) -> list[int]:
    """A chain number for every passage."""
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, passage in enumerate(seen):
        groups[passage.look].append(number)
    chain = [-1] * len(seen)
    count = 0
    for members in groups.values():
        after = _successors([seen[m] for m in members], model)
        has_before = set(after.values())
        for k in range(len(members)):
            if k in has_before:
                continue
            at: int | None = k
            while at is not None:
                chain[members[at]] = count
                at = after.get(at)
            count += 1
    return chain


def _successors(group: list[Seen], model: LinkModel) -> dict[int, int]:
    """Row → the row that follows it, at the least total cost of links, ends and starts."""
    size = len(group)
    never = 1e9
    cost = np.full((2 * size, 2 * size), never)
    for i, a in enumerate(group):
        for j, b in enumerate(group):
            if i != j and b.entered_s > a.entered_s:
                value = model.link_cost(a, b)
                if math.isfinite(value):
                    cost[i, j] = value
        cost[i, size + i] = model.end_cost(a)
        cost[size + i, i] = model.start_cost(a)
    cost[size:, size:] = 0.0
    rows, columns = linear_sum_assignment(cost)
    return {
        int(i): int(j) for i, j in zip(rows, columns, strict=True) if i < size and j < size and cost[i, j] < never / 2
    }


def idf1(truth: list[str], found: list[int], weights: list[int]) -> float:
    """IDF1 of perfect detections under found identities: the best one-to-one match of true and found ids."""
    true_ids = {name: k for k, name in enumerate(dict.fromkeys(truth))}
    found_ids = {name: k for k, name in enumerate(dict.fromkeys(found))}
    shared: NDArray[np.float64] = np.zeros((len(true_ids), len(found_ids)))
    for t, f, w in zip(truth, found, weights, strict=True):
        shared[true_ids[t], found_ids[f]] += w
    rows, columns = linear_sum_assignment(-shared)
    # With equal detections on both sides, IDFP = IDFN = total - IDTP, so that IDF1 = IDTP / total.
    return float(shared[rows, columns].sum() / max(sum(weights), 1))


def lookalikes(vehicles: list[tuple[str, str]]) -> tuple[float, float]:
    """Share of vehicles with a look-alike, and the median over vehicles of their group's size."""
    if not vehicles:
        return 0.0, 0.0
    sizes = Counter(vehicles)
    mine = [sizes[v] for v in vehicles]
    return sum(n > 1 for n in mine) / len(mine), float(np.median(mine))


def report(passages: pa.Table, vehicles: list[Vehicle]) -> dict[str, Any]:
    """Look-alikes per ten minutes and the oracle's IDF1, as flat figures."""
    marks = {v.identity: v.marks for v in vehicles}
    seen = seen_passages(passages, marks)
    shares, sizes = [], []
    last = max((s.left_s for s in seen), default=0.0)
    for k in range(max(1, math.ceil(last / WINDOW_S))):
        inside = {s.identity: s.look[:2] for s in seen if k * WINDOW_S <= s.entered_s < (k + 1) * WINDOW_S}
        share, size = lookalikes([(look[0], look[1]) for look in inside.values()])
        shares.append(share)
        sizes.append(size)
    found = link(seen, LinkModel(seen)) if seen else []
    truth = [s.identity for s in seen]
    per_vehicle = Counter(truth)
    baseline = {look: k for k, look in enumerate(dict.fromkeys(s.look for s in seen))}
    return {
        "vehicles_seen": len(per_vehicle),
        "passages": len(seen),
        "passages_per_vehicle": round(len(seen) / max(len(per_vehicle), 1), 2),
        "vehicles_on_two_cameras": sum(n > 1 for n in per_vehicle.values()),
        "lookalike_share": round(float(np.mean(shares)), 4),
        "lookalike_median_group": float(np.median(sizes)),
        "idf1_oracle": round(idf1(truth, found, [s.frames for s in seen]), 4),
        "idf1_oracle_by_passage": round(idf1(truth, found, [1] * len(seen)), 4),
        "idf1_looks_alone": round(idf1(truth, [baseline[s.look] for s in seen], [s.frames for s in seen]), 4),
    }


def report_of_plan(plan: Path | str, seed: int | None = None, minutes: float | None = None) -> dict[str, Any]:
    """Drives the plan's traffic and takes passages from geometry; draws nothing."""
    from infra.rehearsal.plan import load_plan
    from infra.rehearsal.sightlines import passages_by_geometry
    from infra.rehearsal.traffic import simulate

    read = load_plan(plan, seed)
    town, traffic = simulate(read, minutes)
    found = report(passages_by_geometry(town, traffic), list(traffic.vehicles))
    return {"town": read.name, "minutes": minutes or read.minutes, "passages_from": "geometry", **found}


def report_of_town(folder: Path) -> dict[str, Any]:
    """From the truth of a rendered town."""
    from infra.rehearsal.truth import load_truth

    truth = load_truth(folder)
    rows = truth.table("vehicles").to_pylist()
    vehicles = [
        Vehicle(r["identity"], r["kind"], r["body"], r["colour"], (r["red"], r["green"], r["blue"]), tuple(r["marks"]))
        for r in rows
    ]
    found = report(truth.table("passages"), vehicles)
    return {"town": truth.summary["town"], "passages_from": "pictures", **found}
