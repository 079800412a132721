# SPDX-License-Identifier: AGPL-3.0-or-later
"""The demonstration's story holds: a red car drives past its cameras, and others like it are about."""

from __future__ import annotations

from typing import Any

import pytest

from infra.rehearsal.plan import PlanFile, load_plan
from infra.rehearsal.sightlines import passages_by_geometry
from infra.rehearsal.traffic import simulate

DEMO_S = 45.0
"""What the demonstration renders."""
MINUTE_S = 60.0

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plan() -> PlanFile:
    return load_plan("coutances-13")


@pytest.fixture(scope="module")
def passed(plan: PlanFile) -> list[dict[str, Any]]:
    """Every passage of the first minute, by entry."""
    town, traffic = simulate(plan, seconds=MINUTE_S, sparse=True)
    return sorted(passages_by_geometry(town, traffic).to_pylist(), key=lambda row: row["entered_s"])


def test_the_target_passes_four_cameras_while_the_demonstration_lasts(
    plan: PlanFile, passed: list[dict[str, Any]]
) -> None:
    mine = [p for p in passed if p["identity"] == plan.demo_target and p["left_s"] <= DEMO_S]
    assert mine
    assert {p["colour"] for p in mine} == {"red"}
    cameras = [p["camera"] for p in mine if p["camera"] in plan.demo_cameras]
    assert len(set(cameras)) >= 4, f"the target passes {cameras} within {DEMO_S:g} s"


def test_the_target_has_red_rivals_of_its_shape(plan: PlanFile, passed: list[dict[str, Any]]) -> None:
    target = next(p for p in passed if p["identity"] == plan.demo_target)
    rivals = {
        p["identity"]
        for p in passed
        if p["camera"] in plan.demo_cameras and (p["body"], p["colour"]) == (target["body"], target["colour"])
    } - {plan.demo_target}
    assert len(rivals) >= 2, f"{target['colour']} {target['body']}: {sorted(rivals)}"
