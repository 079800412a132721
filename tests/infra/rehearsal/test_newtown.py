# SPDX-License-Identifier: AGPL-3.0-or-later
"""New towns from a seed are sound; `passage town` says so, or says everything that is wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.rehearsal.errors import PlanError
from infra.rehearsal.families import rules_of
from infra.rehearsal.newtown import NewTown, new_plan, plan_text
from infra.rehearsal.plan import LIGHTS, find_plan, parse_plan
from infra.rehearsal.town_commands import town_app

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("light", LIGHTS)
def test_new_plans_are_sound_in_every_light(light: str) -> None:
    content = new_plan(NewTown(f"new-{light}", seed=77, cameras=3, light=light))
    plan = parse_plan(tomllib.loads(plan_text(content)))
    assert plan.light == light
    assert len(plan.cameras) == 3
    assert plan.seed == 77


def test_equal_seeds_equal_plans_other_seeds_other_streets() -> None:
    a, b, c = (new_plan(NewTown("n", seed=s, cameras=2)) for s in (5, 5, 6))
    assert a == b
    assert a["junction"] != c["junction"]


def test_a_familys_new_town_keeps_to_its_rules() -> None:
    content = new_plan(NewTown("e", seed=3500, family="exam", cameras=4))
    assert set(content["fleet"]["bodies"]) <= set(rules_of("exam").bodies)
    assert {c["height_m"] for c in content["camera"]} <= set(rules_of("exam").heights_m)


def test_wrong_wishes_are_named_together() -> None:
    with pytest.raises(PlanError) as caught:
        new_plan(NewTown("n", seed=1, family="training", light="noon"))
    assert len(caught.value.problems) == 2
    assert "seeds of the family training lie from 1000 to 1999" in str(caught.value)


def test_commands_write_check_and_draw(tmp_path: Path) -> None:
    run = CliRunner()
    plan = tmp_path / "mine.toml"
    written = run.invoke(town_app, ["new", "--seed", "9", "--out", str(plan), "--cameras", "2", "--light", "dusk"])
    assert written.exit_code == 0, written.output
    checked = run.invoke(town_app, ["check", "--plan", str(plan)])
    assert checked.exit_code == 0, checked.output
    assert "mine: sound." in checked.output
    drawn = run.invoke(town_app, ["show", "--plan", str(plan), "--out", str(tmp_path / "mine.svg")])
    assert drawn.exit_code == 0, drawn.output
    assert (
        "C02" in (tmp_path / "mine.svg").read_text(encoding="utf-8") or (tmp_path / "mine.svg").stat().st_size > 50_000
    )


def test_check_of_a_bad_plan_says_everything_and_fails(tmp_path: Path) -> None:
    text = find_plan("test-2").read_text(encoding="utf-8")
    bad = tmp_path / "bad.toml"
    bad.write_text(text.replace('light = "day"', 'ligth = "day"').replace("hfov_deg = 66", "hfov_deg = 1"), "utf-8")
    result = CliRunner().invoke(town_app, ["check", "--plan", str(bad)])
    assert result.exit_code == 1
    assert "2 problems in the plan" in result.output
    assert "did you mean `light`?" in result.output


def test_render_refuses_a_bad_plan_before_it_writes(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("name = 1\n", encoding="utf-8")
    out = tmp_path / "out"
    result = CliRunner().invoke(town_app, ["render", "--plan", str(bad), "--out", str(out)])
    assert result.exit_code == 1
    assert "problems in the plan" in result.output
    assert not out.exists()


def test_show_says_what_it_needs(tmp_path: Path) -> None:
    result = CliRunner().invoke(town_app, ["show", "--out", str(tmp_path / "x.mp4"), "--camera", "T1"])
    assert result.exit_code == 1
    assert "--camera needs --town" in result.output
