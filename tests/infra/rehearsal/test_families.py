# SPDX-License-Identifier: AGPL-3.0-or-later
"""Training, validation and exam do not meet: seeds, streets, body shapes, camera settings."""

from __future__ import annotations

import functools
import itertools
import math
from pathlib import Path

import pytest

from infra.rehearsal.families import FAMILY_RULES
from infra.rehearsal.fleet import BODY_SIZES
from infra.rehearsal.plan import CameraPlan, PlanFile, load_plan

FOLDER = Path(__file__).parents[3] / "infra" / "rehearsal" / "plans"
SHARED_SHAPES = {"bicycle", "pedestrian"}
"""One shape each, never tracked."""


@functools.cache
def all_plans() -> tuple[PlanFile, ...]:
    return tuple(load_plan(file) for file in sorted(FOLDER.glob("*.toml")))


def plans_of(family: str) -> list[PlanFile]:
    return [plan for plan in all_plans() if plan.family == family]


def bodies(plans: list[PlanFile]) -> set[str]:
    return {name for plan in plans for name, weight in plan.fleet.bodies.items() if weight > 0} - SHARED_SHAPES


def streets(plans: list[PlanFile]) -> set[str]:
    return {street.name for plan in plans for street in plan.streets}


def shape_of(plan: PlanFile) -> list[float]:
    """The lengths of all stretches: two towns with the same streets have the same list, however turned or named."""
    at = {j.name: j.at for j in plan.junctions}
    pairs = [p for street in plan.streets for p in itertools.pairwise(street.through)]
    return sorted(math.dist(at[a], at[b]) for a, b in pairs)


def lens(camera: CameraPlan) -> tuple[float, float, float, float]:
    return camera.height_m, camera.tilt_deg, camera.hfov_deg, camera.distortion_k1


def test_every_family_has_its_plans() -> None:
    training = plans_of("training")
    assert len(training) >= 4
    assert {p.light for p in training} == {"day", "dusk", "night", "overcast", "low_sun"}
    assert any(p.rain > 0 for p in training)
    assert len(plans_of("validation")) >= 2
    assert {p.name for p in plans_of("exam")} == {"exam-13", "exam-13-night", "exam-13-rain"}
    assert {p.light for p in plans_of("exam")} == {"day", "night", "overcast"}


@pytest.mark.parametrize("other", ["training", "validation"])
def test_exam_shares_nothing_with(other: str) -> None:
    exam, known = plans_of("exam"), plans_of(other)
    assert not {p.seed for p in exam} & {p.seed for p in known}
    assert not streets(exam) & streets(known)
    assert not bodies(exam) & bodies(known)
    for setting in range(4):
        ours = {lens(c)[setting] for p in exam for c in p.cameras}
        theirs = {lens(c)[setting] for p in known for c in p.cameras}
        assert not ours & theirs
    for ours_plan, theirs_plan in itertools.product(exam, known):
        ours_m, theirs_m = shape_of(ours_plan), shape_of(theirs_plan)
        assert sum(any(abs(a - b) < 0.005 for b in theirs_m) for a in ours_m) < len(ours_m) / 4


def test_validation_shares_no_seed_street_or_camera_setting_with_training() -> None:
    validation, training = plans_of("validation"), plans_of("training")
    assert not {p.seed for p in validation} & {p.seed for p in training}
    assert not streets(validation) & streets(training)
    assert not {lens(c) for p in validation for c in p.cameras} & {lens(c) for p in training for c in p.cameras}


def test_exam_has_shapes_of_its_own_in_every_motor_kind() -> None:
    own = bodies(plans_of("exam")) - bodies(plans_of("training"))
    kinds = [BODY_SIZES[name].kind for name in own]
    assert kinds.count("car") >= 3
    assert {"van", "truck", "bus", "motorcycle"} <= set(kinds)


def test_rules_do_not_meet() -> None:
    for a, b in itertools.combinations(FAMILY_RULES, 2):
        one, two = FAMILY_RULES[a], FAMILY_RULES[b]
        assert one.seeds[1] < two.seeds[0] or two.seeds[1] < one.seeds[0]
        assert not set(one.names) & set(two.names)
        for grid in ("heights_m", "tilts_deg", "hfovs_deg", "distortions"):
            assert not set(getattr(one, grid)) & set(getattr(two, grid)), (a, b, grid)


def test_plans_keep_to_their_familys_rules() -> None:
    for family, rules in FAMILY_RULES.items():
        for plan in plans_of(family):
            assert rules.seeds[0] <= plan.seed <= rules.seeds[1]
            assert set(plan.fleet.bodies) <= set(rules.bodies)
            assert all(c.tilt_deg in rules.tilts_deg and c.height_m in rules.heights_m for c in plan.cameras)
