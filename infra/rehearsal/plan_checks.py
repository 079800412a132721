# SPDX-License-Identifier: AGPL-3.0-or-later
"""What must hold between the parts of a plan: names that exist, streets that connect, traffic, lenses."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable

from infra.rehearsal.fleet import BODY_SIZES, MARKS
from infra.rehearsal.plan import CameraPlan, PlanFile


def check_plan(plan: PlanFile) -> list[str]:
    """Every problem between the parts of the plan, one sentence each; empty for a sound plan."""
    problems: list[str] = []
    problems += _doubles("junction", (j.name for j in plan.junctions))
    problems += _doubles("street", (s.name for s in plan.streets))
    problems += _doubles("camera", (c.name for c in plan.cameras))
    problems += _doubles("scripted trip", (s.identity for s in plan.scripted))
    problems += _check_streets(plan)
    problems += _check_demand(plan)
    problems += _check_fleet(plan)
    for camera in plan.cameras:
        problems += _check_camera(plan, camera)
    problems += _check_scripted(plan)
    if not plan.cameras:
        problems.append("there is no camera; add a [[camera]]")
    names = {c.name for c in plan.cameras}
    problems += [
        f"[demo]: `cameras` names {name!r}, which is no camera" for name in plan.demo_cameras if name not in names
    ]
    if plan.demo_target and plan.demo_target not in {s.identity for s in plan.scripted}:
        problems.append(f"[demo]: `target` is {plan.demo_target!r}, which is no [[scripted]] identity")
    return problems


def _doubles(what: str, names: Iterable[str]) -> list[str]:
    return [f"the {what} name {name!r} is used {n} times" for name, n in Counter(names).items() if n > 1]


def _check_streets(plan: PlanFile) -> list[str]:
    problems: list[str] = []
    at = {j.name: j.at for j in plan.junctions}
    out: dict[str, set[str]] = {name: set() for name in at}
    back: dict[str, set[str]] = {name: set() for name in at}
    seen: dict[tuple[str, str], str] = {}
    for street in plan.streets:
        where = f"[[street]] {street.name}"
        if len(street.through) < 2:
            problems.append(f"{where}: `through` must name two junctions or more, names {len(street.through)}")
        for name in street.through:
            if name not in at:
                problems.append(f"{where}: goes through {name!r}, which is no junction")
        for a, b in zip(street.through, street.through[1:], strict=False):
            if a not in at or b not in at:
                continue
            if a == b:
                problems.append(f"{where}: goes from {a!r} to itself")
                continue
            length = math.dist(at[a], at[b])
            if length < 25.0:
                problems.append(f"{where}: {a!r} and {b!r} are {length:.1f} m apart, must be 25 m or more")
            other = seen.setdefault((min(a, b), max(a, b)), street.name)
            if other != street.name:
                problems.append(f"{where}: joins {a!r} and {b!r}, which {other!r} joins already")
            out[a].add(b)
            back[b].add(a)
            if not street.one_way:
                out[b].add(a)
                back[a].add(b)
    if not plan.streets:
        return [*problems, "there is no street; add a [[street]]"]
    used = [name for name in at if out[name] or back[name]]
    problems += [f"[[junction]] {name}: no street goes there" for name in at if name not in used]
    if used:
        first = used[0]
        forward, backward = _reach(first, out), _reach(first, back)
        for name in used:
            if name not in forward and name not in backward:
                problems.append(f"the streets do not connect: {name!r} cannot be reached from {first!r}")
            elif name not in forward:
                problems.append(
                    f"the streets do not connect: no way leads from {first!r} to {name!r} (one-way streets)"
                )
            elif name not in backward:
                problems.append(
                    f"the streets do not connect: no way leads from {name!r} to {first!r} (one-way streets)"
                )
    for junction in plan.junctions:
        ends = out.get(junction.name, set()) | back.get(junction.name, set())
        if junction.entrance and len(ends) != 1:
            problems.append(
                f"[[junction]] {junction.name}: an entrance must end exactly one street, here {len(ends)} meet"
            )
        if junction.control == "lights" and len(ends) < 3 and ends:
            problems.append(
                f"[[junction]] {junction.name}: has lights but only {len(ends)} streets meet there, needs 3"
            )
    return problems


def _reach(start: str, step: dict[str, set[str]]) -> set[str]:
    found, queue = {start}, deque([start])
    while queue:
        for name in step[queue.popleft()] - found:
            found.add(name)
            queue.append(name)
    return found


def _check_demand(plan: PlanFile) -> list[str]:
    problems: list[str] = []
    entrances = [j.name for j in plan.junctions if j.entrance]
    demand = plan.demand
    share = demand.by_hour[plan.start.hour]
    total = demand.vehicles_per_hour * share + sum(f.vehicles_per_hour for f in demand.flows)
    if total <= 0:
        problems.append(
            f"[demand]: there is no demand at {plan.start:%H} h UTC (vehicles_per_hour "
            f"{demand.vehicles_per_hour:g}, by_hour {share:g} %): nothing would drive"
        )
    if len(entrances) < 2:
        problems.append(
            f"[demand]: traffic needs two entrances or more, {len(entrances)} junctions have `entrance = true`"
        )
    for name in demand.entrances:
        if name not in entrances:
            problems.append(f"[demand.entrances]: {name!r} is no entrance")
    for flow in demand.flows:
        for name in (flow.start, flow.end):
            if name not in entrances:
                problems.append(f"[[demand.flow]]: {name!r} is no entrance")
    if demand.leaves_parking + demand.circulates > 1:
        problems.append("[demand]: leaves_parking + circulates is above 1")
    return problems


def _check_fleet(plan: PlanFile) -> list[str]:
    kinds = {BODY_SIZES[name].kind for name, weight in plan.fleet.bodies.items() if weight > 0}
    wanted = {kind for kind, weight in plan.demand.kinds.items() if weight > 0}
    return [
        f"[fleet.bodies]: has no body shape for {kind!r}, which [demand.kinds] asks for"
        for kind in sorted(wanted)
        if kind not in kinds
    ]


def _check_camera(plan: PlanFile, camera: CameraPlan) -> list[str]:
    problems: list[str] = []
    where = f"[[camera]] {camera.name}"
    names = {j.name for j in plan.junctions}
    if camera.at is None:
        for key, name in (("junction", camera.junction), ("towards", camera.towards)):
            if name and name not in names:
                problems.append(f"{where}: `{key}` is {name!r}, which is no junction")
        joined = any(
            {camera.junction, camera.towards} == {a, b}
            for s in plan.streets
            for a, b in zip(s.through, s.through[1:], strict=False)
        )
        if camera.junction in names and camera.towards in names and not joined:
            problems.append(f"{where}: no street joins {camera.junction!r} and {camera.towards!r} directly")
    vfov = 2 * math.atan(math.tan(math.radians(camera.hfov_deg / 2)) * camera.height_px / camera.width_px)
    if camera.tilt_deg + math.degrees(vfov) / 2 > 90.0:
        problems.append(
            f"{where}: impossible lens: tilted {camera.tilt_deg:g}° with hfov_deg {camera.hfov_deg:g}° "
            "it looks behind its own mast; lower tilt_deg or hfov_deg"
        )
    if math.degrees(vfov) / 2 - camera.tilt_deg > 28.0:
        problems.append(f"{where}: more than half of the picture is sky; raise tilt_deg or lower hfov_deg")
    # Radial distortion r(1 + k1 r²) turns back where its slope is zero; the corner must come before that.
    corner = math.tan(math.radians(camera.hfov_deg / 2)) * math.hypot(1.0, camera.height_px / camera.width_px)
    if camera.distortion_k1 < 0 and corner > 0.97 * 2 / 3 * math.sqrt(-1.0 / (3.0 * camera.distortion_k1)):
        problems.append(
            f"{where}: impossible lens: distortion_k1 {camera.distortion_k1:g} folds the picture's corners back; "
            "take a value nearer to 0"
        )
    return problems


def _check_scripted(plan: PlanFile) -> list[str]:
    problems: list[str] = []
    names = {j.name for j in plan.junctions}
    for trip in plan.scripted:
        where = f"[[scripted]] {trip.identity}"
        if len(trip.via) < 2:
            problems.append(f"{where}: `via` must name two junctions or more")
        problems += [f"{where}: `via` names {name!r}, which is no junction" for name in trip.via if name not in names]
        problems += [
            f"{where}: the mark {mark!r} is none of {', '.join(MARKS)}" for mark in trip.marks if mark not in MARKS
        ]
        if trip.stop_at and trip.stop_at not in names:
            problems.append(f"{where}: `stop_at` is {trip.stop_at!r}, which is no junction")
        if trip.depart_s < -plan.warmup_s:
            problems.append(
                f"{where}: departs at {trip.depart_s:g} s, before the warm-up begins at {-plan.warmup_s:g} s"
            )
    return problems
