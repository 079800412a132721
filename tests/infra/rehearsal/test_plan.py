# SPDX-License-Identifier: AGPL-3.0-or-later
"""A plan is read whole, and everything that is wrong with it is said at once."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from infra.rehearsal.errors import PlanError
from infra.rehearsal.plan import find_plan, load_plan, parse_plan

PLANS = sorted((Path(__file__).parents[3] / "infra" / "rehearsal" / "plans").glob("*.toml"))


@pytest.fixture
def content() -> dict[str, Any]:
    return copy.deepcopy(tomllib.loads(find_plan("test-2").read_text(encoding="utf-8")))


def problems_of(content: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(PlanError) as caught:
        parse_plan(content)
    return caught.value.problems


@pytest.mark.parametrize("file", PLANS, ids=lambda f: f.stem)
def test_shipped_plans_are_sound_and_named_like_their_files(file: Path) -> None:
    plan = load_plan(file)
    assert plan.name == file.stem
    assert plan.note.startswith("Imaginary")


def test_places_of_the_big_town() -> None:
    plan = load_plan("coutances-42")
    assert len(plan.cameras) == 42
    assert len({camera.place.split(",")[0] for camera in plan.cameras}) == 32
    assert len(load_plan("coutances-13").cameras) == len(load_plan("exam-13").cameras) == 13


def test_seed_replaces_the_plans_own_and_changes_the_digest() -> None:
    assert load_plan("test-2").digest == load_plan("test-2").digest
    other = load_plan("test-2", seed=5)
    assert other.seed == 5
    assert other.digest != load_plan("test-2").digest


def test_digest_does_not_depend_on_where_the_file_lies(tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere.toml"
    moved.write_bytes(find_plan("test-2").read_bytes())
    assert load_plan(moved).digest == load_plan("test-2").digest


def test_every_problem_is_reported_at_once(content: dict[str, Any]) -> None:
    content["wether"] = 1
    content["demand"]["vehicles_per_hour"] = -3
    content["camera"][0]["hfov_deg"] = 400
    content["camera"][1]["towards"] = "nowhere"
    content["fleet"]["bodies"]["hatch_smal"] = 1
    content["scripted"][0]["colour"] = "rouge"
    content["street"][0]["klass"] = "main"
    found = problems_of(content)
    for part in (
        "unknown key `wether`",
        "`vehicles_per_hour` is -3",
        "`hfov_deg` is 400",
        "`towards` is 'nowhere', which is no junction",
        "unknown name 'hatch_smal'; did you mean 'hatch_small'?",
        "`colour` is 'rouge'",
        "unknown key `klass`; did you mean `class`?",
    ):
        assert any(part in problem for problem in found), (part, found)


def test_message_names_the_file_and_counts(content: dict[str, Any]) -> None:
    content["family"] = "exams"
    with pytest.raises(PlanError, match=r"my.toml: 1 problem in the plan\n  - .*did you mean 'exam'"):
        parse_plan(content, "my.toml")


def test_streets_that_do_not_connect(content: dict[str, Any]) -> None:
    content["junction"] += [{"name": "a", "at": [500, 500]}, {"name": "b", "at": [600, 500]}]
    content["street"].append({"name": "Île", "through": ["a", "b"]})
    assert any("the streets do not connect: 'a' cannot be reached from" in p for p in problems_of(content))


def test_one_way_trap(content: dict[str, Any]) -> None:
    content["street"][1]["one_way"] = True
    assert any("no way leads from 'north'" in p and "one-way" in p for p in problems_of(content))


def test_no_demand_at_that_hour(content: dict[str, Any]) -> None:
    content["demand"]["by_hour"] = [0] * 10 + [0] + [100] * 13
    assert any("there is no demand at 10 h UTC" in p for p in problems_of(content))


def test_no_entrances(content: dict[str, Any]) -> None:
    for junction in content["junction"]:
        junction.pop("entrance", None)
    assert any("traffic needs two entrances or more, 0 junctions" in p for p in problems_of(content))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tilt_deg": 75}, "it looks behind its own mast"),
        ({"distortion_k1": -0.3, "hfov_deg": 80}, "folds the picture's corners back"),
        ({"tilt_deg": 0, "hfov_deg": 115}, "more than half of the picture is sky"),
        ({"resolution": "1281x720"}, "both must be even"),
        ({"resolution": "big"}, "must be WIDTHxHEIGHT"),
        ({"codec": "h266"}, "must be one of h264, h265"),
        ({"outages": [[30, 10]]}, "from < to"),
    ],
)
def test_impossible_cameras(content: dict[str, Any], change: dict[str, Any], said: str) -> None:
    content["camera"][0] |= change
    assert any(said in p and "T1" in p for p in problems_of(content))


def test_lens_of_the_picture_not_of_the_frame(content: dict[str, Any]) -> None:
    content["camera"][0] |= {"distortion_k1": -0.3, "hfov_deg": 30}
    assert parse_plan(content).cameras[0].distortion_k1 == -0.3


def test_light_must_fit_the_sun(content: dict[str, Any]) -> None:
    content["light"]["light"] = "night"
    assert any("`light` is 'night' but the sun stands at" in p for p in problems_of(content))
    content["light"]["sun_elevation_deg"] = -20
    assert parse_plan(content).sun_elevation_deg == -20


@pytest.mark.parametrize("text", ["2026-06-10T10:00:00", "yesterday"])
def test_start_needs_a_time_zone(content: dict[str, Any], text: str) -> None:
    content["start_utc"] = text
    assert any("start_utc" in p for p in problems_of(content))


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be read"):
        load_plan(tmp_path / "none.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("name = ", encoding="utf-8")
    with pytest.raises(PlanError, match="is not TOML"):
        load_plan(bad)


def test_fleet_must_have_a_body_for_each_kind(content: dict[str, Any]) -> None:
    del content["fleet"]["bodies"]["bus_city"]
    assert any("has no body shape for 'bus'" in p for p in problems_of(content))
