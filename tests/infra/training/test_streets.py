# SPDX-License-Identifier: AGPL-3.0-or-later
"""Random streets to learn from: of the training family alone, equal by seed, drawn whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from infra.rehearsal.bodies_two_wheelers import ANY_TWO_WHEELER
from infra.rehearsal.errors import PlanError
from infra.rehearsal.families import FAMILY_RULES
from infra.rehearsal.fleet import BODY_SIZES
from infra.rehearsal.plan import load_plan
from infra.training.pictures import INPUT_HW, read_picture
from infra.training.streets import FIRST_SEED, PICTURES, street_plan, write_streets
from infra.training.town_frames import PLANS
from reid.passage import VEHICLE_CLASSES


def test_towns_are_of_the_training_family_and_none_is_shipped() -> None:
    rules = FAMILY_RULES["training"]
    shipped = {load_plan(path).seed for path in PLANS.glob("*.toml")}
    taken = set()
    for seed in range(FIRST_SEED, FIRST_SEED + 12):
        plan = street_plan(seed)
        assert plan.family == "training" and plan.seed not in shipped
        motors = {name for name in plan.fleet.bodies if BODY_SIZES[name].kind == "motorcycle"}
        assert motors == {ANY_TWO_WHEELER}
        assert {name for name, weight in plan.fleet.bodies.items() if weight} - motors <= set(rules.bodies)
        assert all(camera.height_m in rules.heights_m for camera in plan.cameras)
        taken.add(round(plan.demand.parked, 2))
    assert street_plan(FIRST_SEED) == street_plan(FIRST_SEED)
    assert min(taken) < 0.3 and max(taken) > 0.5


def test_a_rare_traffic_is_dense_and_mostly_of_what_is_rare() -> None:
    usual, rare = street_plan(FIRST_SEED), street_plan(FIRST_SEED, traffic="rare")
    assert rare.demand.kinds["motorcycle"] > rare.demand.kinds["car"]
    assert rare.demand.vehicles_per_hour > usual.demand.vehicles_per_hour
    assert rare.demand.parked < usual.demand.parked
    assert rare.cameras == usual.cameras


def test_cyclists_are_many_and_dense_streets_hold_all_that_has_a_motor() -> None:
    cyclists, dense = (street_plan(FIRST_SEED, traffic=name) for name in ("cyclists", "dense"))
    assert cyclists.demand.kinds["bicycle"] > cyclists.demand.kinds["motorcycle"] > 0
    assert min(dense.demand.kinds[kind] for kind in VEHICLE_CLASSES) > 0.05
    assert dense.demand.vehicles_per_hour > cyclists.demand.vehicles_per_hour


def test_a_seed_of_another_family_is_refused() -> None:
    with pytest.raises(PlanError, match="1000 to 1999"):
        street_plan(3001)


@pytest.mark.slow
def test_a_town_is_drawn_at_the_input_scale_and_not_twice(tmp_path: Path) -> None:
    assert write_streets(tmp_path, FIRST_SEED, 1, cameras=1) == PICTURES
    pictures = [read_picture(path) for path in sorted(tmp_path.glob("*.jpg"))]
    assert [p.picture.shape[1] for p in pictures] == [INPUT_HW[1]] * PICTURES
    assert not np.array_equal(pictures[0].picture, pictures[1].picture)
    for p in pictures:
        assert (p.boxes[:, 2:] > p.boxes[:, :2]).all()
    assert write_streets(tmp_path, FIRST_SEED, 1, cameras=1) == 0
