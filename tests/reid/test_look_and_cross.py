# SPDX-License-Identifier: AGPL-3.0-or-later
"""Looking, following and describing on made-up pictures: one passage a crossing, none for what is parked."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from reid.boxes import side
from reid.crossings import Crossings, Outcome
from reid.detector import Detections
from reid.finding import Ended, Finding, GopFindings, LookedInVain, Missing
from reid.look import look_at
from reid.parked import PARKED_AFTER_S
from reid.passage import Box, Coverage, Passage, Track, passage_id
from reid.tracklet import least_size_px
from tests.reid.made_video import FPS, HEIGHT, START, WIDTH, PaintDetector, Way, drives, pictures

Vehicles = Sequence[tuple[str, Way]]


def gops(
    seconds: float, vehicles: Vehicles, per_gop: int = FPS, detector: PaintDetector | None = None
) -> list[GopFindings]:
    frames = pictures(seconds, vehicles)
    found = []
    for n in range(0, len(frames), per_gop):
        part = frames[n : n + per_gop]
        look = look_at(part, detector or PaintDetector(), lambda _: True)
        found.append(
            GopFindings(
                scope="live",
                camera="c1",
                run="r",
                sequence=n // per_gop,
                first_at=part[0][0],
                last_at=part[-1][0],
                width_px=WIDTH,
                height_px=HEIGHT,
                frames=len(part),
                frames_decoded=look.frames,
                sampled=tuple(look.sampled),
                travel_explained_s=look.travel_explained_s,
                travel_unexplained_s=look.travel_unexplained_s,
                detector="paint-1",
            )
        )
    return found


def end(seconds: float) -> Ended:
    return Ended(scope="live", camera="c1", started_at=START, ended_at=START + timedelta(seconds=seconds))


def follow(records: Sequence[GopFindings | Ended | Missing | LookedInVain]) -> list[Outcome]:
    crossings = Crossings("live", "c1")
    return [outcome for record in records for outcome in crossings.take(record)]


def passages(outcomes: Sequence[Outcome]) -> list[Passage]:
    return sorted((o for o in outcomes if isinstance(o, Passage)), key=lambda p: p.started_at)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def waits(y: float, speed: float, stop_x: float, begins: float, waits_s: float) -> Way:
    """Drives to `stop_x`, stands there, drives on."""
    arrives = begins + (stop_x + 60) / speed

    def where(second: float) -> Box | None:
        if second < begins:
            return None
        if second <= arrives:
            x = -60 + speed * (second - begins)
        else:
            x = stop_x + speed * max(0.0, second - arrives - waits_s)
        return (x, y, x + 60, y + 36) if x < WIDTH else None

    return where


def parked(x: float, y: float, leaves: float | None = None) -> Way:
    def where(second: float) -> Box | None:
        moved = x + 80 * max(0.0, second - leaves) if leaves is not None else x
        return (moved, y, moved + 60, y + 36) if moved < WIDTH else None

    return where


def test_a_vehicle_that_crosses_is_one_passage_with_its_looks() -> None:
    outcomes = follow([*gops(8, [("red", drives(60, 80, begins=1))]), end(8)])
    (passage,) = passages(outcomes)
    assert (passage.vehicle_class, passage.colour, passage.entry, passage.exit) == ("car", "red", "left", "right")
    assert abs((passage.started_at - at(1.3)).total_seconds()) <= 0.5
    assert abs((passage.ended_at - at(5.6)).total_seconds()) <= 0.5
    assert 70 <= passage.speed_px_s <= 90
    assert not passage.truncated and passage.waited_s == 0
    assert 3 <= len(passage.views) <= 5 and all(v.jpeg[:2] == b"\xff\xd8" for v in passage.views)
    assert passage.views[0].quality == max(v.quality for v in passage.views)
    assert passage.embedding is not None and passage.embedding.model.startswith("paint-1")
    (track,) = [o for o in outcomes if isinstance(o, Track)]
    assert track.passage_id == passage.id
    assert len(track.sightings) >= 4 * (passage.ended_at - passage.started_at).total_seconds()


def test_the_id_follows_from_the_first_detection() -> None:
    records = [*gops(8, [("red", drives(60, 80, begins=1))]), end(8)]

    def large(finding: Finding) -> bool:
        return side(finding.box) >= least_size_px(finding.vehicle_class)

    first = min(
        f.at for g in records[:-1] if isinstance(g, GopFindings) for f in g.sampled if any(map(large, f.findings))
    )
    assert passages(follow(records))[0].id == passage_id("live", "c1", first, 0)


def test_two_that_pass_each_other_are_two() -> None:
    def back(second: float) -> Box | None:
        x = WIDTH - 80 * second
        return (x, 105, x + 60, 141) if x > -60 else None

    found = passages(follow([*gops(7, [("red", drives(60, 80)), ("blue", back)]), end(7)]))
    assert sorted((p.colour, p.entry, p.exit) for p in found) == [("blue", "right", "left"), ("red", "left", "right")]


@pytest.mark.slow
def test_waiting_at_a_light_stays_one_passage() -> None:
    found = passages(follow([*gops(40, [("red", waits(60, 80, 150, 1, 30))]), end(40)]))
    assert len(found) == 1
    assert 28 <= found[0].waited_s <= 32
    assert found[0].exit == "right" and found[0].started_at < at(2) and found[0].ended_at > at(33)


@pytest.mark.slow
def test_waiting_while_others_pass_before_it_stays_one_passage() -> None:
    others: Vehicles = [("blue", drives(70, 100, begins=b)) for b in (8, 12, 16)]
    found = passages(follow([*gops(30, [("red", waits(60, 80, 150, 1, 20)), *others]), end(30)]))
    assert sorted(p.colour for p in found) == ["blue", "blue", "blue", "red"]


@pytest.mark.slow
def test_one_that_leaves_and_another_that_comes_by_the_same_edge_are_two() -> None:
    """Nothing moves meanwhile: where the first one was lost nothing stands, it drove out of the picture."""

    def comes_back(second: float) -> Box | None:
        x = WIDTH - 70 * (second - 9.0)
        return (x, 60, x + 60, 96) if second >= 9.0 and x > -60 else None

    found = passages(follow([*gops(14, [("red", drives(60, 80)), ("red", comes_back)]), end(14)]))
    assert [(p.entry, p.exit) for p in found] == [("left", "right"), ("right", "left")]
    assert found[0].ended_at < at(6) < at(8.5) < found[1].started_at


@pytest.mark.slow
def test_one_that_was_hidden_while_it_stood_stays_one_passage() -> None:
    """A truck drives past before it and hides it bit by bit; what is found before and after is half of it."""
    red = waits(70, 60, 120, 0, 9)
    truck = drives(60, 90, begins=4, width=150, height=70)
    found = passages(follow([*gops(16, [("red", red), ("blue", truck)]), end(16)]))
    assert sorted(p.colour for p in found) == ["blue", "red"]
    assert next(p for p in found if p.colour == "red").waited_s > 6


def test_a_parked_car_makes_no_passage_even_when_others_drive_past() -> None:
    found = passages(follow([*gops(10, [("red", parked(150, 30)), ("blue", drives(60, 80, begins=1))]), end(10)]))
    assert [p.colour for p in found] == ["blue"]


def test_a_parked_car_that_leaves_is_a_passage_from_the_moment_it_moves() -> None:
    found = passages(follow([*gops(14, [("red", parked(150, 60, leaves=8))]), end(14)]))
    assert len(found) == 1
    assert -0.6 <= (found[0].started_at - at(8)).total_seconds() <= 0.6
    assert found[0].entry == "inside" and found[0].exit == "right"


@pytest.mark.slow
def test_a_car_that_parks_ends_its_passage_when_it_stopped() -> None:
    seconds = PARKED_AFTER_S + 12
    outcomes = follow(gops(seconds, [("red", waits(60, 80, 150, 1, 10_000))]))
    (passage,) = passages(outcomes)
    assert abs((passage.ended_at - at(1 + 210 / 80)).total_seconds()) <= 0.7
    assert passage.exit == "inside" and passage.waited_s == 0


def test_going_behind_a_tree_does_not_make_two() -> None:
    way = drives(60, 80, begins=1)

    def hidden(second: float) -> Box | None:
        return None if 2.6 < second < 4.2 else way(second)

    found = passages(follow([*gops(8, [("red", hidden)]), end(8)]))
    assert len(found) == 1
    assert found[0].started_at < at(2) and found[0].ended_at > at(5)


def test_another_one_that_comes_out_is_not_joined() -> None:
    way = drives(60, 80, begins=1)

    def goes(second: float) -> Box | None:
        return way(second) if second < 2.6 else None

    def comes(second: float) -> Box | None:
        return way(second) if second > 4.2 else None

    assert len(passages(follow([*gops(8, [("red", goes), ("blue", comes)]), end(8)]))) == 2


def test_nothing_moving_asks_the_detector_nothing() -> None:
    detector = PaintDetector()
    look = look_at(pictures(3, [("red", parked(150, 60))]), detector, lambda _: True)
    assert detector.frames == 0 and len(look.sampled) == 30 and not any(f.looked for f in look.sampled)


def test_frames_outside_are_not_looked_at() -> None:
    look = look_at(pictures(4, [("red", drives(60, 80))]), PaintDetector(), lambda t: t >= at(2))
    assert min(f.at for f in look.sampled) == at(2) and look.frames == 20


def test_delivery_twice_changes_nothing() -> None:
    records = [*gops(8, [("red", drives(60, 80, begins=1))]), end(8)]
    once = follow(records)
    twice = follow([r for record in records for r in (record, record)])
    again = follow([*records[:4], *records[:4], *records[2:]])
    for other in (twice, again):
        assert [p for p in other if isinstance(p, Passage)] == [p for p in once if isinstance(p, Passage)]


@pytest.fixture(scope="module")
def two_vehicles() -> list[GopFindings | Ended]:
    return [*gops(8, [("red", drives(60, 80, begins=1)), ("blue", waits(110, 60, 100, 0, 2))]), end(8)]


@pytest.mark.slow
@pytest.mark.parametrize("cut", range(1, 9))
def test_state_that_was_kept_goes_on_as_if_nothing_had_been(cut: int, two_vehicles: list[GopFindings | Ended]) -> None:
    records = two_vehicles
    whole = follow(records)
    crossings = Crossings("live", "c1")
    before = [o for r in records[:cut] for o in crossings.take(r)]
    kept: Crossings = pickle.loads(pickle.dumps(crossings))  # noqa: S301
    assert before + [o for r in records[cut:] for o in kept.take(r)] == whole


def test_a_gap_ends_what_is_in_view_and_says_so() -> None:
    found = gops(8, [("red", drives(60, 80, begins=1))])
    gap = Missing(scope="live", camera="c1", started_at=at(3), ended_at=at(60), reason="camera away")
    outcomes = follow([*found[:3], gap])
    (passage,) = passages(outcomes)
    assert passage.truncated and passage.ended_at < at(3)
    (row,) = [o for o in outcomes if isinstance(o, Coverage) and o.status == "gap"]
    assert (row.started_at, row.ended_at, row.reason) == (at(3), at(60), "camera away")


def test_a_hole_without_a_record_is_a_gap_too() -> None:
    found = gops(8, [("red", drives(60, 80, begins=1))])
    outcomes = follow([*found[:3], *found[7:]])
    assert [o.reason for o in outcomes if isinstance(o, Coverage) and o.status == "gap"] == ["nothing was recorded"]


def test_what_cannot_be_looked_at_is_covered_as_unreadable() -> None:
    found = gops(4, [])
    lost = LookedInVain(
        scope="live",
        camera="c1",
        run="r",
        sequence=4,
        first_at=at(4),
        last_at=at(4.9),
        frames=10,
        reason="packets do not decode",
    )
    rows = [o for o in follow([*found, lost, end(5)]) if isinstance(o, Coverage)]
    assert ("unreadable", "packets do not decode") in {(r.status, r.reason) for r in rows}


def test_the_end_of_an_interval_says_what_was_not_recorded() -> None:
    rows = [o for o in follow([*gops(3, []), end(60)]) if isinstance(o, Coverage)]
    assert [(r.status, r.ended_at) for r in rows][-1] == ("gap", at(60))


class Blind(PaintDetector):
    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        return super().detect([np.zeros_like(f) for f in frames])


@pytest.mark.slow
def test_vehicles_that_no_detector_names_make_the_time_doubtful() -> None:
    vehicles = [("red", drives(60, 150, begins=b, width=90, height=54)) for b in (1, 4)]
    seen = follow([*gops(8, vehicles, 20), end(8)])
    missed = follow([*gops(8, vehicles, 20, Blind()), end(8)])
    assert {o.status for o in seen if isinstance(o, Coverage)} == {"indexed"}
    last = [o for o in missed if isinstance(o, Coverage)][-1]
    assert last.status == "doubtful" and "vehicles are probably missed" in last.reason


def test_intervals_of_an_order_may_come_in_any_order_and_each_counts_once() -> None:
    found = gops(8, [("red", drives(60, 80, begins=1))])

    def of(interval: tuple[datetime, datetime]) -> list[GopFindings]:
        return [msgspec.structs.replace(g, interval=interval) for g in found if interval[0] <= g.first_at < interval[1]]

    def ended(interval: tuple[datetime, datetime]) -> Ended:
        return Ended(scope="live", camera="c1", started_at=interval[0], ended_at=interval[1], interval=interval)

    late, early = (at(6), at(8)), (at(0), at(6))
    records = [*of(late), ended(late), *of(early), ended(early), *of(late), ended(late)]
    assert len(passages(follow(records))) == 1
