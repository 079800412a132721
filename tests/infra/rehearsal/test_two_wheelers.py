# SPDX-License-Identifier: AGPL-3.0-or-later
"""Two-wheelers of endless shapes: equal by seed, none like another or the exam's, in pictures to learn from alone."""

from __future__ import annotations

import numpy as np

from infra.rehearsal.bodies import body_mesh
from infra.rehearsal.bodies_two_wheelers import ANY_TWO_WHEELER, random_two_wheeler
from infra.rehearsal.families import FAMILY_RULES
from infra.rehearsal.fleet import BODY_SIZES
from infra.rehearsal.plan import load_plan
from infra.training.scatter import STRETCH, random_vehicle
from infra.training.scatter_dataset import strewn
from infra.training.town_frames import PLANS

SEEDS = range(60)


def test_equal_seeds_give_equal_meshes_and_others_differ() -> None:
    first = random_two_wheeler(7)
    random_two_wheeler.cache_clear()
    again = random_two_wheeler(7)
    assert first is not again
    assert (first.points == again.points).all() and (first.materials == again.materials).all()
    assert len({random_two_wheeler(seed).points.tobytes() for seed in SEEDS}) == len(SEEDS)


def test_sizes_are_those_of_what_is_ridden() -> None:
    sides = np.array([np.ptp(random_two_wheeler(seed).points, axis=0) for seed in SEEDS])
    assert (sides > (0.5, 1.4, 1.4)).all() and (sides < (1.2, 2.7, 2.1)).all()
    assert (sides.std(axis=0) > (0.05, 0.1, 0.05)).all()
    for seed in SEEDS:
        mesh = random_two_wheeler(seed)
        assert abs(float(mesh.points[:, 2].min())) < 0.01
        assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-3)
        assert abs(float(mesh.points[:, 0].min() + mesh.points[:, 0].max())) < 0.4


def test_none_is_a_shape_of_the_towns() -> None:
    towns = {body_mesh(name).points.tobytes() for name in ("scooter", "maxi_scooter", "motorbike", "cruiser")}
    assert not towns & {random_two_wheeler(seed).points.tobytes() for seed in SEEDS}
    for seed in SEEDS:
        assert (body_mesh(ANY_TWO_WHEELER, (), seed).points == random_two_wheeler(seed).points).all()


def test_no_shipped_plan_and_no_fleet_that_names_none_has_them() -> None:
    for plan in PLANS.glob("*.toml"):
        assert not load_plan(plan).fleet.bodies.get(ANY_TWO_WHEELER), plan.name
    assert BODY_SIZES[ANY_TWO_WHEELER].weight == 0
    assert all(ANY_TWO_WHEELER not in rules.bodies for rules in FAMILY_RULES.values())


def test_scenes_of_rare_kinds_alone_strew_them_each_another() -> None:
    assert ANY_TWO_WHEELER in strewn(rare=True) and ANY_TWO_WHEELER not in strewn(rare=False)
    rng = np.random.default_rng(1)
    several = [random_vehicle(rng, ANY_TWO_WHEELER, f"v{n}") for n in range(8)]
    assert len({vehicle.mark_seed for vehicle in several}) == 8
    for vehicle in several:
        width, length, height = np.ptp(random_two_wheeler(vehicle.mark_seed).points, axis=0)
        ratios = vehicle.length_m / length, vehicle.width_m / width, vehicle.height_m / height
        assert vehicle.kind == "motorcycle"
        assert all(abs(r - 1) <= far + 1e-6 for r, far in zip(ratios, STRETCH["motorcycle"], strict=True))
