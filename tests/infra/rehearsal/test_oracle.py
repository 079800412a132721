# SPDX-License-Identifier: AGPL-3.0-or-later
"""The measure of how hard a town is."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from infra.rehearsal import past_drives
from infra.rehearsal.link_model import Drive, LinkModel, Seen
from infra.rehearsal.oracle import idf1, link, lookalikes, report
from infra.rehearsal.plan import load_plan

WHITE = ("hatch_small", "white")
RED = ("hatch_small", "red")


def passage(name: str, camera: str, start: float, look: tuple[str, ...] = WHITE, way: str = "left>right") -> Seen:
    return Seen(look, (camera, way), start, start + 4.0, 40, name)


def stream(count: int, every: float, look: tuple[str, ...] = WHITE) -> list[Seen]:
    """Cars that pass A, then B twenty seconds later, then C thirty seconds after that."""
    found = []
    for k in range(count):
        start, name = every * k, f"{look[1]}-{k}"
        found += [passage(name, camera, start + at, look) for camera, at in (("A", 0), ("B", 20), ("C", 50))]
    return sorted(found, key=lambda s: s.entered_s)


def learnt(seconds: float = 1000.0) -> LinkModel:
    """From another day, on which everybody was about as fast."""
    slow = [Seen(s.look, s.way, s.entered_s + k % 3, s.left_s + k % 3, 40, s.identity) for k, s in enumerate(PAST)]
    return LinkModel([Drive(tuple(slow), 1000.0)], seconds)


PAST = stream(40, 25.0) + stream(5, 200.0, RED)


def test_idf1_of_right_and_wrong_identities() -> None:
    truth = ["a", "a", "b", "b"]
    assert idf1(truth, [7, 7, 9, 9], [10, 10, 10, 10]) == 1.0
    assert idf1(truth, [1, 2, 3, 4], [10, 10, 10, 10]) == 0.5
    assert idf1(truth, [1, 1, 1, 1], [10, 30, 20, 20]) == 0.5
    assert idf1(truth, [1, 2, 2, 1], [30, 10, 10, 30]) == pytest.approx(0.5)


def test_lookalikes() -> None:
    share, median = lookalikes([("a", "white"), ("a", "white"), ("a", "white"), ("a", "red")])
    assert share == 0.75
    assert median == 3
    assert lookalikes([]) == (0.0, 0.0)


def test_steady_travel_times_give_a_perfect_oracle() -> None:
    seen = stream(10, 47.0)
    found = link(seen, learnt())
    assert idf1([s.identity for s in seen], found, [s.frames for s in seen]) == 1.0


def test_unlike_looks_are_never_linked() -> None:
    seen = stream(4, 47.0) + stream(4, 47.0, RED)
    found = link(seen, learnt())
    looks: dict[int, set[tuple[str, ...]]] = {}
    for chain, passage_ in zip(found, seen, strict=True):
        looks.setdefault(chain, set()).add(passage_.look)
    assert all(len(group) == 1 for group in looks.values())


def test_identities_change_nothing_in_what_is_linked() -> None:
    """Two look-alikes that swap order between cameras cannot be told apart, and are not."""
    seen = [passage("x", "A", 0.0), passage("y", "A", 6.0), passage("y", "B", 20.0), passage("x", "B", 26.0)]
    found = link(seen, learnt())
    assert found[0] == found[2]
    assert found[1] == found[3]
    assert idf1([s.identity for s in seen], found, [40] * 4) == 0.5
    anonymous = [replace(s, identity=str(k)) for k, s in enumerate(seen)]
    assert link(anonymous, learnt()) == found


def test_a_link_that_never_happens_is_not_made() -> None:
    model = learnt()
    assert model.link_cost(passage("z", "A", 0.0), passage("z", "C", 20.0)) == math.inf
    usual, late = (model.link_cost(passage("z", "A", 0.0), passage("z", "B", at)) for at in (21.0, 120.0))
    assert usual < late < math.inf


def test_a_rare_look_is_linked_over_an_unusual_time_before_a_second_one_is_believed_in() -> None:
    pair = [passage("z", "A", 100.0, RED), passage("z", "B", 140.0, RED)]
    model = learnt()
    apart = model.end_cost(pair[0]) + model.start_cost(pair[1])
    assert model.link_cost(*pair) < apart
    white = [replace(s, look=WHITE) for s in pair]
    assert model.start_cost(white[1]) < model.start_cost(pair[1])


def test_the_ends_of_a_recording_are_no_surprise() -> None:
    """A vehicle last seen just before the recording ends, or first seen just after it began, has not vanished."""
    model = learnt(600.0)
    assert model.end_cost(passage("z", "A", 590.0)) < model.end_cost(passage("z", "A", 300.0)) - 1.0
    assert model.start_cost(passage("z", "B", 3.0)) < model.start_cost(passage("z", "B", 300.0)) - 1.0


def table(seen: list[Seen]) -> pa.Table:
    """As a drive gives it."""
    return pa.table(
        {
            "camera": [s.way[0] for s in seen],
            "identity": [s.identity for s in seen],
            "body": [s.look[0] for s in seen],
            "colour": [s.look[1] for s in seen],
            "entry_side": ["left" for _ in seen],
            "exit_side": ["right" for _ in seen],
            "entered_s": [s.entered_s for s in seen],
            "left_s": [s.left_s for s in seen],
            "seen_frames": [s.frames for s in seen],
            "marks": pa.array([[] for _ in seen], pa.list_(pa.string())),
        }
    )


def test_report_of_a_town_with_and_without_other_days() -> None:
    passages = table(stream(10, 47.0))
    figures = report(passages, [table(PAST)], 600.0)
    assert figures["lookalike_share"] == 1.0
    assert figures["lookalike_median_group"] == 10
    assert figures["idf1_oracle"] == 1.0
    assert figures["idf1_looks_alone"] == pytest.approx(0.1)
    assert "idf1_oracle" not in report(passages, [], 600.0)


@pytest.mark.slow
def test_other_days_are_other_traffic_in_the_same_town_and_driven_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plan = load_plan("test-2")
    monkeypatch.setenv("PASSAGE_CACHE", str(tmp_path))
    monkeypatch.setattr(past_drives, "DRIVES", 2)
    monkeypatch.setattr(past_drives, "DRIVE_S", 20.0)
    first = past_drives.past_drives(plan)
    assert len(first) == 2
    assert not first[0].equals(first[1])
    assert len(list(tmp_path.glob("drives/*.parquet"))) == 2
    monkeypatch.setattr(past_drives, "_drive", lambda *_: pytest.fail("driven again"))
    assert all(a.equals(b) for a, b in zip(past_drives.past_drives(plan), first, strict=True))


def test_no_drive_has_the_seed_of_a_plan() -> None:
    for name in ("exam-13", "coutances-13", "test-2"):
        plan = load_plan(name)
        seeds = {past_drives.traffic_seed(plan, k) for k in range(past_drives.DRIVES)}
        assert len(seeds) == past_drives.DRIVES
        assert min(seeds) > 1_000_000 > plan.seed
