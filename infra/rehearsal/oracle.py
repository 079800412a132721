# SPDX-License-Identifier: AGPL-3.0-or-later
"""How hard a town is: how many vehicles have a look-alike, and how far an oracle gets that knows everything but names.

The oracle is given every true passage with its body shape, colour name and marks, and knows what usually follows a
passage in this town: which camera next, in which direction, after how long. It knows that from other days in the same
town (`past_drives`), never from the passages that it links. It does not know identities. It links passages of equal
looks into chains at the least total cost (negative log-likelihood; an assignment problem per look, solved exactly),
and is scored by IDF1 over seen frames. No method that sees no more than it can be expected to beat it: it is the
ceiling that re-identification is measured against.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from infra.rehearsal.errors import PlanError
from infra.rehearsal.link_model import Drive, LinkModel, Seen
from infra.rehearsal.past_drives import DRIVE_S, Progress, past_drives, with_marks
from infra.rehearsal.plan import PlanFile, find_plan, load_plan

WINDOW_S = 600.0


def seen_passages(passages: pa.Table) -> list[Seen]:
    """The passages of a truth table with `marks` (`past_drives.with_marks`), in order of entry."""
    found = [
        Seen(
            look=(row["body"], row["colour"], *row["marks"]),
            # Both ends of a passage say which way the vehicle drove through the picture.
            way=(row["camera"], f"{row['entry_side']}>{row['exit_side']}"),
            entered_s=row["entered_s"],
            left_s=row["left_s"],
            frames=row["seen_frames"],
            identity=row["identity"],
        )
        for row in passages.to_pylist()
    ]
    return sorted(found, key=lambda s: (s.entered_s, s.way, s.identity))


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


def report(passages: pa.Table, drives: Sequence[pa.Table], seconds: float) -> dict[str, Any]:
    """Look-alikes per ten minutes and the oracle's IDF1, as flat figures.

    `passages` and `drives` have `marks`; `seconds` is how long the recording lasts. Without drives the oracle knows
    nothing, and its figures are left out.
    """
    seen = seen_passages(passages)
    shares, sizes = [], []
    for k in range(max(1, math.ceil(max((s.left_s for s in seen), default=0.0) / WINDOW_S))):
        inside = {s.identity: s.look[:2] for s in seen if k * WINDOW_S <= s.entered_s < (k + 1) * WINDOW_S}
        share, size = lookalikes([(look[0], look[1]) for look in inside.values()])
        shares.append(share)
        sizes.append(size)
    truth, frames = [s.identity for s in seen], [s.frames for s in seen]
    per_vehicle = Counter(truth)
    looks = {look: k for k, look in enumerate(dict.fromkeys(s.look for s in seen))}
    figures = {
        "vehicles_seen": len(per_vehicle),
        "passages": len(seen),
        "passages_per_vehicle": round(len(seen) / max(len(per_vehicle), 1), 2),
        "vehicles_on_two_cameras": sum(n > 1 for n in per_vehicle.values()),
        "lookalike_share": round(float(np.mean(shares)), 4),
        "lookalike_median_group": float(np.median(sizes)),
        "idf1_looks_alone": round(idf1(truth, [looks[s.look] for s in seen], frames), 4),
    }
    if drives:
        model = LinkModel(_of_cameras(drives, {s.way[0] for s in seen}), seconds)
        found = link(seen, model)
        figures["idf1_oracle"] = round(idf1(truth, found, frames), 4)
        figures["idf1_oracle_by_passage"] = round(idf1(truth, found, [1] * len(seen)), 4)
    return figures


def _of_cameras(drives: Sequence[pa.Table], cameras: set[str]) -> list[Drive]:
    """What the cameras that recorded would have seen of each drive."""
    return [Drive(tuple(s for s in seen_passages(d) if s.way[0] in cameras), DRIVE_S) for d in drives]


def report_of_plan(
    plan: Path | str, seed: int | None = None, minutes: float | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Drives the plan's traffic and takes passages from geometry; draws nothing."""
    from infra.rehearsal.sightlines import passages_by_geometry
    from infra.rehearsal.traffic import simulate

    read = load_plan(plan, seed)
    town, traffic = simulate(read, minutes, sparse=True)
    passages = with_marks(passages_by_geometry(town, traffic), {v.identity: v.marks for v in traffic.vehicles})
    length = minutes or read.minutes
    found = report(passages, past_drives(read, progress), 60.0 * length)
    return {"town": read.name, "minutes": length, "passages_from": "geometry", **found}


def report_of_town(folder: Path, progress: Progress | None = None) -> dict[str, Any]:
    """From the truth of a rendered town; its plan is driven on other days for what the oracle knows."""
    from infra.rehearsal.town_site import described
    from infra.rehearsal.truth import load_truth

    truth = load_truth(folder)
    rows = truth.table("vehicles").select(["identity", "marks"]).to_pylist()
    passages = with_marks(truth.table("passages"), {r["identity"]: tuple(r["marks"]) for r in rows})
    length = float(described(folder)["seconds"])
    plan = plan_of(folder, truth.summary)
    found = report(passages, past_drives(plan, progress) if plan is not None else [], length)
    return {"town": truth.summary["town"], "passages_from": "pictures", **found}


def plan_of(folder: Path, summary: dict[str, Any]) -> PlanFile | None:
    """The plan that a town was rendered from: kept beside it, or shipped; None where neither is the one."""
    for file in (folder / "plan.toml", find_plan(summary["town"])):
        try:
            plan = load_plan(file, summary["seed"])
        except PlanError:
            continue
        if plan.digest == summary["digest"]:
            return plan
    return None
