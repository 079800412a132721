# SPDX-License-Identifier: AGPL-3.0-or-later
"""Following from findings alone: fast and narrow, lost and another one, standing for long, driving away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from reid.crossings import Crossings
from reid.describe import Description
from reid.faint import Faint
from reid.finding import Ended, Finding, FrameFindings, GopFindings, pack
from reid.joining import may_join
from reid.motion import GRID
from reid.parked import PARKED_AFTER_S, Stance, travel
from reid.passage import COLOURS, Box, Passage
from reid.tracker import CameraTracker
from reid.tracklet import Tracklet

START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
FPS = 12
SIZE = (1280, 720)
STILL = bytes(GRID[0] * GRID[1] // 8)
"""A frame in which no cell changes."""


def at(frame: int) -> datetime:
    return START + timedelta(seconds=frame / FPS)


def finding(box: Box, score: float = 0.9, colour: str = "red", moving: float = 0.5, red: float = 0.0) -> Finding:
    """`red`: how much of it looks red although it is of another colour."""
    shares = np.full(len(COLOURS), 0.1 / (len(COLOURS) - 1))
    shares[COLOURS.index(colour)] = 0.9 - red
    shares[COLOURS.index("red")] = max(shares[COLOURS.index("red")], red)
    return Finding(box, score, "car", moving, 0.5, pack(np.eye(8)[0] + 0.05), pack(shares), None)


def numbers(frames: Sequence[Sequence[Finding]], confidence: float = 0.325) -> list[list[int]]:
    """Of each frame, the numbers of the tracks that are seen in it."""
    tracker = CameraTracker(confidence)
    return [[n for n, _ in tracker.update(at(k), found, lambda _: 0.5, SIZE)] for k, found in enumerate(frames)]


def seen_of(frames: Sequence[Sequence[Finding]], first: int) -> GopFindings:
    """One record of so many frames, the first of that number."""
    sampled = tuple(FrameFindings(at(first + k), True, STILL, tuple(found)) for k, found in enumerate(frames))
    return GopFindings(
        scope="live",
        camera="c1",
        run="r",
        sequence=first // FPS,
        first_at=at(first),
        last_at=sampled[-1].at,
        width_px=SIZE[0],
        height_px=SIZE[1],
        frames=len(frames),
        frames_decoded=len(frames),
        sampled=sampled,
        detector="paint-1",
    )


def passages(frames: Sequence[Sequence[Finding]]) -> list[Passage]:
    crossings = Crossings("live", "c1", 0.325)
    outcomes = []
    for first in range(0, len(frames), FPS):
        outcomes += crossings.take(seen_of(frames[first : first + FPS], first))
    outcomes += crossings.take(Ended(scope="live", camera="c1", started_at=START, ended_at=at(len(frames))))
    return sorted((o for o in outcomes if isinstance(o, Passage)), key=lambda p: p.started_at)


def moved(box: Box, x: float, y: float = 0.0) -> Box:
    return (box[0] + x, box[1] + y, box[2] + x, box[3] + y)


CAR: Box = (100, 300, 220, 380)


def test_a_motorcycle_that_is_fast_narrow_and_unsure_is_one_track() -> None:
    boxes: list[Box] = [
        (484, 320, 574, 506), (515, 285, 596, 458), (540, 254, 615, 415), (564, 226, 632, 378), (584, 202, 646, 346),
        (601, 182, 654, 316), (616, 162, 671, 290), (630, 146, 682, 268),
    ]  # fmt: skip
    seen = numbers([[finding(box, score=0.45)] for box in boxes])
    assert seen[1:] == [seen[1]] * (len(boxes) - 1) and len(seen[1]) == 1


@pytest.mark.parametrize(
    ("returns", "same"),
    [
        (finding(moved(CAR, 360)), True),
        (finding(moved(CAR, 360), colour="white"), False),
        (finding((460, 320, 520, 360)), False),
    ],
    ids=["itself", "another colour", "another size"],
)
def test_what_was_lost_is_taken_on_by_its_like_only(returns: Finding, same: bool) -> None:
    drives = [[finding(moved(CAR, 30 * k))] for k in range(8)]
    goes_on = [[returns], [returns]]
    seen = numbers([*drives, [], [], [], [], *goes_on])
    assert (seen[-1] == seen[7]) is same


def test_a_vehicle_that_came_and_stands_until_the_end_has_passed() -> None:
    comes = [[finding(moved(CAR, 12 * k))] for k in range(30)]
    stands = [[finding(moved(CAR, 12 * 29), moving=0.0)] for _ in range(80 * FPS)]
    (passage,) = passages([*comes, *stands])
    assert passage.started_at <= at(2)


def test_a_car_that_comes_in_close_by_and_parks_has_passed() -> None:
    """It has gone hardly more than its own length, and stands for all the time that is left."""
    way = between({0: (1172, 336, 1280, 581), 8: (1070, 222, 1280, 414), 16: (1000, 184, 1280, 347)})
    comes = [[finding(box)] for box in way]
    others = [[finding(way[-1], moving=0.0 if k % 240 else 0.3)] for k in range(int(PARKED_AFTER_S + 5) * FPS)]
    (passage,) = passages([*comes, *others])
    assert passage.exit == "inside" and passage.ended_at <= at(len(comes))


def test_what_only_trembles_has_not_passed() -> None:
    random = np.random.default_rng(5)
    stands = [[finding(moved(CAR, *random.normal(0, 6, 2)), moving=0.06)] for _ in range(40 * FPS)]
    assert passages(stands) == []


@pytest.mark.parametrize(("stands_s", "count"), [(12, 0), (2, 1)])
def test_a_parked_car_that_others_pass_before_has_not_passed(stands_s: int, count: int) -> None:
    """What hides it moves its box to what is seen of the next one for a moment, and back."""
    aside = [[finding(moved(CAR, 30 * k), moving=0.5)] for k in (1, 2, 3, 3, 3, 2, 1)]
    stands = [[finding(CAR, moving=0.2)] for _ in range(stands_s * FPS)]
    assert len(passages([*aside, *stands, *aside, *stands])) == count


@pytest.mark.parametrize(("side", "frames", "count"), [(23.0, 5, 0), (23.0, 10, 1), (30.0, 5, 1)])
def test_what_is_seen_for_a_moment_must_be_larger(side: float, frames: int, count: int) -> None:
    crosses = [[finding((300 + 8 * k, 90, 300 + 8 * k + side, 90 + side))] for k in range(frames)]
    assert len(passages([*crosses, *[[]] * FPS])) == count


@pytest.mark.parametrize(("step", "count"), [(1.4, 0), (5.0, 1)])
def test_what_has_gone_far_has_passed_though_little_of_it_changes(step: float, count: int) -> None:
    creeps = [[finding(moved(CAR, step * k), moving=0.12)] for k in range(5 * FPS)]
    assert len(passages(creeps)) == count


def test_a_lorry_that_drives_away_to_one_side_has_gone_its_own_length() -> None:
    away: list[Box] = [(304, 216, 712, 618), (396, 202, 724, 529), (528, 176, 748, 408), (618, 156, 767, 320)]
    assert travel(away[0], away[-1]) > 0.8
    assert travel(away[-1], away[0]) > 0.8
    hidden_from_the_left: Box = (580, 216, 712, 618)
    assert travel(away[0], hidden_from_the_left) == 0.0


def test_what_comes_out_in_another_colour_is_another_vehicle() -> None:
    goes = [[finding(moved(CAR, 20 * k))] for k in range(12)]
    for colour, red, count in (("red", 0.0, 1), ("brown", 0.3, 2)):
        comes = [[finding(moved(CAR, 20 * k), colour=colour, red=red)] for k in range(36, 48)]
        assert len(passages([*goes, *[[]] * 24, *comes])) == count


FAR: Box = (600, 90, 640, 122)


def grows(frame: int) -> Box:
    """Where a car is that comes near, that many frames after it was at `FAR`."""
    return moved((FAR[0], FAR[1], FAR[2] + 2 * frame, FAR[3] + 1.6 * frame), -2 * frame, 3 * frame)


def test_what_comes_unsure_from_far_away_has_passed_from_where_it_was_first_seen() -> None:
    comes = [[finding(grows(k), score=0.15 if k < 24 else 0.9)] for k in range(60)]
    (passage,) = passages(comes)
    assert passage.started_at == at(0) and passage.truncated
    assert passage.first_box == pytest.approx(FAR, abs=0.1)


def test_what_drives_away_is_followed_over_a_miss_to_where_nobody_is_sure_of_it() -> None:
    goes = [[finding(grows(60 - k), score=0.15 if k > 40 else 0.9)] for k in range(55)]
    goes[41] = []
    (passage,) = passages([*goes, *[[]] * 6 * FPS])
    assert passage.ended_at == at(54)


def test_unsure_findings_elsewhere_lengthen_no_passage() -> None:
    elsewhere = moved(FAR, 200, 150)
    comes = [[finding(elsewhere, score=0.15)] if k < 24 else [finding(grows(k))] for k in range(60)]
    (passage,) = passages(comes)
    assert passage.started_at == at(24)


def test_one_that_vanished_far_away_is_not_the_one_that_comes_from_there_later() -> None:
    goes = [[finding(grows(60 - k))] for k in range(61)]
    comes = [[finding(grows(k))] for k in range(61)]
    assert len(passages([*goes, *[[]] * 5 * FPS, *comes])) == 2


@pytest.mark.parametrize(
    "meanwhile",
    [[[], []], [[], [finding((965, 590, 1280, 720), score=0.23)]], [[finding((965, 590, 1280, 720), score=0.23)]], []],
    ids=["unseen", "seen once more, unsure", "unsure at once", "no picture between"],
)
def test_one_that_drove_out_is_not_the_one_that_comes_in_by_the_same_edge(meanwhile: list[list[Finding]]) -> None:
    goes = between({
        0: (438, 96, 499, 168), 12: (470, 125, 553, 223), 24: (528, 178, 660, 330), 30: (578, 224, 763, 432),
        36: (656, 296, 943, 617), 40: (734, 354, 1098, 715), 44: (792, 423, 1154, 720), 47: (906, 545, 1280, 720),
    })  # fmt: skip
    comes: list[Box] = [
        (1043, 528, 1279, 713), (995, 478, 1280, 702), (959, 453, 1280, 658), (925, 422, 1224, 606),
        (890, 398, 1159, 565),
    ]  # fmt: skip
    went = [[finding(box)] for box in goes]
    seen = numbers([*went, *meanwhile, *([finding(box, score=0.75)] for box in comes)], 0.425)
    assert seen[len(goes) - 1] == [1] and seen[-1] == [2]


def test_one_that_drove_out_far_away_is_not_the_one_that_drives_out_there_next() -> None:
    first = between({
        0: (456, 9, 518, 34), 3: (444, 9, 496, 34), 6: (438, 8, 478, 33), 9: (436, 6, 466, 30), 15: (432, 3, 464, 26),
        22: (432, 0, 464, 21), 27: (433, 0, 466, 17), 32: (433, 0, 467, 14),
    })  # fmt: skip
    both_at_once = between({0: (432, 4.5, 479, 39), 3: (428, 3.6, 480, 43)})
    second = between({
        0: (396, 14, 443, 38), 3: (412, 13, 452, 36), 6: (417, 9, 459, 36), 9: (427, 6, 456, 31), 12: (430, 4, 460, 28),
        18: (434, 0, 462, 23), 24: (436, 0, 463, 18),
    })  # fmt: skip
    frames = [*([finding(b)] for b in first), *[[]] * 12, *([finding(b)] for b in both_at_once), *[[]] * 10]
    frames += [[finding((426, 0, 480, 37))], *([finding(b)] for b in second)]
    assert passages(frames)[0].ended_at == at(32)


def drives_by(frame: int) -> Box:
    """A car that drives past `PARKED`, half over it after two seconds."""
    return moved((100, 320, 220, 400), 16 * (frame - 2 * FPS))


PARKED: Box = (500, 300, 610, 372)


def test_a_parked_car_takes_over_no_track_of_what_drives_by() -> None:
    parked = finding(PARKED, moving=0.0, colour="red")
    before = [[parked] for _ in range(2 * FPS)]
    # Over the parked car the one that drives by is missed, and not seen again.
    goes = [[parked, finding(drives_by(k))] for k in range(2 * FPS, 2 * FPS + 24)]
    after = [[parked] for _ in range(20 * FPS)]
    (passage,) = passages([*before, *goes, *after])
    assert passage.ended_at == at(2 * FPS + 23)


def test_what_stood_since_it_came_is_still_itself() -> None:
    comes = [[finding(moved(CAR, 12 * k))] for k in range(24)]
    stays = moved(CAR, 12 * 23)
    stands = [[finding(stays, moving=0.0)] for _ in range(5 * FPS)]
    leaves = [[finding(moved(stays, 12 * k))] for k in range(24)]
    (passage,) = passages([*comes, *stands, *leaves])
    assert passage.started_at <= at(2) and passage.ended_at >= at(24 + 5 * FPS + 22)


@pytest.mark.parametrize(("stands_s", "from_the_start"), [(60, True), (PARKED_AFTER_S + 10, False)])
def test_what_stood_in_view_when_recording_began_waited_unless_it_was_parked(
    stands_s: float, from_the_start: bool
) -> None:
    """Something passes before it 50 seconds before it sets off: from there it is followed."""
    still, stirs = ([finding(PARKED, moving=share)] for share in (0.0, 0.2))
    stood = [still] * (int(stands_s - 50) * FPS) + [stirs] * FPS + [still] * (49 * FPS)
    leaves = [[finding(moved(PARKED, 12 * k))] for k in range(24)]
    (passage,) = passages([*stood, *leaves])
    begins = int(stands_s - 50) * FPS
    assert passage.started_at == at(begins) if from_the_start else passage.started_at >= at(len(stood) - FPS)


def test_one_picture_need_not_be_sure_where_the_next_confirms_it() -> None:
    for score, count in ((0.315, 1), (0.3, 0)):
        seen = numbers([[finding(moved(CAR, 12 * k), score=score)] for k in range(12)], 0.325)
        assert len(seen[-1]) == count


def test_what_drove_when_it_was_lost_does_not_stand_while_nothing_moves() -> None:
    tracker = CameraTracker(0.325)
    for k in range(12):
        tracker.update(at(k), [finding(moved(CAR, 12 * k))], lambda _: 0.5, SIZE)
    for k in (12, 13):
        tracker.update(at(k), [], lambda _: 0.5, SIZE)
    for k in range(14, 14 + 4 * FPS):
        tracker.rest(at(k))
    tracker.update(at(14 + 4 * FPS), [], lambda _: 0.0, SIZE)
    assert tracker.alive() == set()


def test_two_pictures_close_in_time_make_nothing_drive_that_stands() -> None:
    tracker = CameraTracker(0.325)
    stays = moved(CAR, 8 * 23)
    for k in range(24):
        tracker.update(at(k), [finding(moved(CAR, 8 * k))], lambda _: 0.5, SIZE)
    for k in range(24, 36):
        tracker.update(at(k), [finding(stays, moving=0.0)], lambda _: 0.0, SIZE)
    tracker.update(at(35) + timedelta(milliseconds=3), [finding(stays, moving=0.0)], lambda _: 0.0, SIZE)
    for k in range(36, 36 + 4 * FPS):
        tracker.update(at(k), [], lambda _: 0.0, SIZE)
    ((number, _),) = tracker.update(at(36 + 4 * FPS), [finding(stays, moving=0.0)], lambda _: 0.0, SIZE)
    assert number == 1


def between(boxes: Mapping[int, Box]) -> list[Box]:
    """A box for every frame up to the last, where those of some are known."""
    sides = np.array(list(boxes.values()), dtype=float).T
    count = max(boxes) + 1
    return [tuple(float(np.interp(k, list(boxes), side)) for side in sides) for k in range(count)]  # type: ignore[misc]


def slowly(frame: int) -> Box:
    """Slower the farther away it is, in the picture, and large for a moment only."""
    near = (40 - frame) ** 2 / 40
    return moved((600, 90, 620 + near, 106 + 0.8 * near), -near, near)


def test_what_drove_away_out_of_sight_is_not_what_comes_from_there() -> None:
    goes = [[finding(slowly(k))] for k in range(41)]
    comes = [[finding(moved(slowly(40 - k), -6))] for k in range(41)]
    assert len(passages([*goes, *[[]] * 2 * FPS, *comes])) == 2


def test_what_is_seen_smaller_than_any_passage_makes_one_of_no_two_vehicles() -> None:
    goes = between({0: (600, 90, 720, 180), 24: (640, 84, 680, 114), 36: (652, 80, 676, 98), 48: (656, 78, 670, 89)})
    stands = [moved(goes[-1], 0.4 * (k % 3)) for k in range(18)]
    comes = between({0: goes[-1], 12: (640, 78, 664, 96), 24: (610, 82, 650, 112), 48: (500, 90, 620, 180)})
    first, second = passages([[finding(box)] for box in (*goes, *stands, *comes)])
    assert first.ended_at <= at(48) and second.started_at >= at(48 + 18)


def test_what_is_slow_to_grow_far_away_comes_near_all_the_same() -> None:
    goes = between({
        0: (1148, 455, 1279, 666), 3: (1024, 382, 1279, 599), 15: (756, 225, 929, 334), 27: (626, 153, 737, 228),
        39: (551, 110, 632, 168), 51: (503, 84, 565, 130), 63: (469, 65, 519, 103), 75: (443, 50, 488, 85),
        87: (424, 41, 461, 70), 99: (409, 33, 441, 58), 111: (397, 26, 425, 49), 123: (388, 21, 413, 41),
        129: (386, 17, 408, 38), 136: (376, 15, 400, 35),
    })  # fmt: skip
    comes = between({
        0: (334, 13, 363, 35), 2: (336, 13, 364, 36), 7: (336, 15, 365, 38), 9: (339, 16, 366, 39),
        12: (342, 18, 368, 41), 25: (351, 25, 383, 52), 37: (360, 36, 397, 65), 49: (375, 45, 418, 82),
    })  # fmt: skip
    frames = [*([finding(box)] for box in goes), *[[]] * 21, *([finding(box)] for box in comes)]
    assert len(passages(frames)) == 2


def test_what_was_small_for_seconds_before_it_was_lost_is_not_what_comes_from_there() -> None:
    goes = between({
        0: (1008, 436, 1278, 642), 6: (807, 312, 1019, 431), 12: (700, 246, 841, 328), 18: (631, 202, 737, 269),
        30: (550, 156, 618, 201), 42: (501, 128, 552, 163), 54: (473, 111, 510, 139), 66: (452, 100, 484, 122),
        78: (440, 91, 467, 112), 90: (418, 85, 440, 102), 102: (410, 77, 430, 94), 114: (406, 77, 425, 93),
    })  # fmt: skip
    comes = between({
        0: (387, 72, 417, 107), 11: (394, 81, 427, 117), 23: (399, 81, 442, 131), 35: (416, 94, 462, 147),
        47: (433, 103, 494, 170),
    })  # fmt: skip
    frames = [*([finding(box)] for box in goes), *[[]] * 31, *([finding(box)] for box in comes)]
    assert len(passages(frames)) == 2


def piece(boxes: Mapping[int, Box]) -> Tracklet:
    """What was followed in the frames of those numbers."""
    first = min(boxes)
    tracklet = Tracklet({first}, at(first), 0, at(first), Stance(boxes[first], at(first)))
    for frame, box in boxes.items():
        tracklet.add(at(frame), finding(box))
    return tracklet


def coloured(frames: range, colour: str, *, red: float = 0.0, quality: float = 0.5, step: float = 20.0) -> Tracklet:
    """A car that goes so many pixels a picture, in those frames, seen in that colour alone."""
    boxes = {k: moved(CAR, step * k) for k in frames}
    tracklet = piece(boxes)
    tracklet.description = Description()
    for box in boxes.values():
        found = finding(box, colour=colour, red=red)
        tracklet.description.add(msgspec.structs.replace(found, quality=quality))
    return tracklet


@pytest.mark.parametrize(("aside", "one"), [(0, True), (40, False)])
def test_what_another_hides_bit_by_bit_is_known_by_the_corner_that_nothing_hides(aside: float, one: bool) -> None:
    """A van goes left behind a lorry that stands: there its front is hidden, and its middle seems to stop."""
    goes = piece({
        0: (718, 28, 768, 59), 1: (710, 30, 766, 59), 2: (707, 30, 761, 58), 3: (700, 32, 754, 58),
        4: (691, 33, 745, 58), 5: (697, 31, 737, 58), 6: (695, 31, 732, 58), 7: (696, 30, 722, 58),
    })  # fmt: skip
    comes = {9: (649, 29, 691, 57), 10: (641, 30, 690, 58), 11: (633, 29, 682, 57), 12: (624, 30, 674, 56)}
    later = piece({frame: moved(box, -aside) for frame, box in comes.items()})
    assert (may_join(goes, later, "paint-1", SIZE) is not None) is one


@pytest.mark.parametrize(("aside", "count"), [(0.0, 1), (-430.0, 2)], ids=["of the same lorry", "beside it"])
def test_a_lorry_that_enters_close_by_is_one_although_its_front_is_seen_first(aside: float, count: int) -> None:
    front = between(
        {0: (1072, 339, 1276, 720), 4: (925, 280, 1260, 660), 7: (821, 215, 1224, 603), 10: (765, 183, 1145, 568)}
    )
    whole = between({
        0: (906, 294, 1280, 720), 3: (800, 200, 1190, 610), 12: (700, 150, 1050, 420), 24: (640, 125, 830, 300),
        48: (590, 90, 690, 180),
    })  # fmt: skip
    frames: list[list[Finding]] = [[] for _ in range(7 + len(whole))]
    for k, box in enumerate(front):
        frames[k].append(finding(box))
    for k, box in enumerate(whole):
        frames[7 + k].append(finding(moved(box, aside)))
    assert len(passages(frames)) == count


@pytest.mark.parametrize(("kind", "count"), [("motorcycle", 1), ("car", 0)])
def test_a_two_wheeler_is_narrow(kind: str, count: int) -> None:
    far: Box = (600, 90, 611, 115)
    frames = [[msgspec.structs.replace(finding(moved(far, 2 * k)), vehicle_class=kind)] for k in range(2 * FPS)]
    assert len(passages(frames)) == count


@pytest.mark.parametrize(("place", "from_the_start"), [(FAR, True), (moved(FAR, 0, 60), False)])
def test_what_was_found_where_it_set_off_is_what_waited_there(place: Box, from_the_start: bool) -> None:
    waits = [[finding(place, score=0.2, moving=0.0)] if k % 6 == 0 else [] for k in range(24)]
    (passage,) = passages([*waits, *([finding(grows(k))] for k in range(36))])
    assert (passage.started_at == at(0)) is from_the_start


def taken_for(tracklet: Tracklet, kind: str) -> Tracklet:
    tracklet.description.votes = {kind: 1.0}
    return tracklet


@pytest.mark.parametrize(("kind", "one"), [("van", True), ("bus", False), ("motorcycle", False)])
def test_what_went_as_a_car_does_not_come_out_as_a_bus(kind: str, one: bool) -> None:
    goes = taken_for(piece({k: moved(CAR, 20 * k) for k in range(12)}), "car")
    comes = taken_for(piece({k: moved(CAR, 20 * k) for k in range(24, 36)}), kind)
    assert (may_join(goes, comes, "paint-1", SIZE) is not None) is one


def test_a_corner_at_the_pictures_edge_says_nothing() -> None:
    goes = piece({k: (66 - 2 * k, 547 + 3 * k, 222 - 2 * k, 720) for k in range(12)})
    comes = piece({k: (305 + 20 * (k - 20), 572 - 20 * (k - 20), 615 + 6 * (k - 20), 720) for k in range(20, 30)})
    assert may_join(goes, comes, "paint-1", SIZE) is None
    assert may_join(goes, comes, "paint-1", (1280, 1440)) is not None


@pytest.mark.parametrize(("hidden", "one"), [(2, True), (6, False)])
def test_what_is_found_at_once_where_another_was_lost_is_the_same_in_whatever_colours(hidden: int, one: bool) -> None:
    goes = coloured(range(12), "red", step=8)
    comes = coloured(range(11 + hidden, 23 + hidden), "brown", red=0.3, step=8)
    assert (may_join(goes, comes, "paint-1", SIZE) is not None) is one


@pytest.mark.parametrize(("hidden", "one"), [(2, True), (6, False)])
def test_what_drove_away_and_is_missed_for_a_moment_is_the_same(hidden: int, one: bool) -> None:
    """It is followed on from there for less than it takes to see whether it grows."""
    half = [30 * 0.97**k for k in range(37)]
    away = {k: (600 - r, 100 - r, 600 + r, 100 + r) for k, r in enumerate(half)}
    goes_on = {k: moved(away[36], 0.2 * (k - 36)) for k in range(36 + hidden, 44 + hidden)}
    assert (may_join(piece(away), piece(goes_on), "paint-1", SIZE) is not None) is one


@pytest.mark.parametrize(("aside", "one"), [(0, False), (14, True)])
def test_two_that_one_picture_shows_apart_are_two(aside: float, one: bool) -> None:
    """A car drives up to where another one waits, and is not seen again."""
    comes = piece({
        18: (790, 8, 833, 33), 19: (793, 6, 837, 33), 20: (798, 9, 834, 33), 21: (809, 7, 841, 33),
        23: (808, 6, 846, 32),
    })  # fmt: skip
    waits = {23: (796, 0, 814, 24), 24: (795, 0, 814, 24), 25: (795, 1, 816, 24), 28: (796, 2, 817, 24)}
    there = piece({frame: moved(box, aside) for frame, box in waits.items()})
    assert (may_join(comes, there, "paint-1", SIZE) is not None) is one


@pytest.mark.parametrize(("hidden", "inwards", "one"), [(2, 8, False), (2, -8, True)])
def test_what_turns_round_at_an_edge_is_another_vehicle(hidden: int, inwards: float, one: bool) -> None:
    leaves = piece({k: (max(0.0, 160 - 8 * k), 300, 280 - 8 * k, 380) for k in range(24)})
    comes = piece({23 + hidden + k: (0, 300, 96 - 8 * hidden + inwards * k, 380) for k in range(4)})
    assert (may_join(leaves, comes, "paint-1", SIZE) is not None) is one


@pytest.mark.parametrize(("y", "one"), [(2, False), (14, True)])
def test_what_comes_in_over_an_edge_was_not_in_the_picture_before(y: float, one: bool) -> None:
    goes = piece({k: (700 + 5 * k, 14, 744 + 5 * k, 40) for k in range(12)})
    comes = piece({k: (700 + 5 * k, y + 4 * (k - 18), 744 + 5 * k, y + 26 + 4 * (k - 18)) for k in range(18, 30)})
    assert (may_join(goes, comes, "paint-1", SIZE) is not None) is one


def test_what_is_seen_again_at_once_has_no_direction_yet() -> None:
    """A car comes out from behind a tree: for some pictures its box grows to one side, its middle seems to go back."""
    comes_out = piece({0: (334, 22, 372, 50), 1: (330, 22, 372, 50), 2: (322, 24, 366, 50), 3: (318, 25, 362, 51)})
    for frame, one in ((5, True), (9, False)):
        goes_on = piece({frame + k: (322 + 4 * k, 25, 364 + 4 * k, 51) for k in range(12)})
        assert (may_join(comes_out, goes_on, "paint-1", SIZE) is not None) is one


@pytest.mark.parametrize(("quality", "one"), [(0.5, True), (2.0, False)])
def test_colours_that_are_hardly_known_count_less(quality: float, one: bool) -> None:
    goes = coloured(range(3), "red", quality=quality / 2)
    comes = coloured(range(12, 15), "brown", red=0.3, quality=quality / 2)
    assert (may_join(goes, comes, "paint-1", SIZE) is not None) is one


def test_what_an_older_program_remembered_is_gone_on_from() -> None:
    faint = Faint()
    faint.keep(at(0), [finding(FAR, score=0.2)], ())
    _, older = faint.__reduce_ex__(2)[2]
    del older["still"]
    again = Faint.__new__(Faint)
    again.__setstate__((None, older))
    assert again.frames == faint.frames and not again.still


def test_state_that_an_older_program_kept_is_gone_on_from() -> None:
    crossings = Crossings("live", "c1", 0.325)
    crossings.take(seen_of([[finding(grows(k))] for k in range(FPS)], 0))
    _, older = crossings.__reduce_ex__(2)[2]
    del older["faint"]
    (tracklet,) = older["tracklets"]
    _, its = tracklet.__reduce_ex__(2)[2]
    del its["faint_before"], its["faint_after"]
    _, stance = its["stance"].__reduce_ex__(2)[2]
    its["stance"] = Stance.__new__(Stance)
    its["stance"].__setstate__((None, stance | {"waited_s": 3.0}))
    older["tracklets"] = [Tracklet.__new__(Tracklet)]
    older["tracklets"][0].__setstate__((None, its))
    tracker = older["tracker"].__getstate__()
    del tracker["drove"], tracker["standing"], tracker["step"], tracker["clock"]
    older["tracker"] = CameraTracker.__new__(CameraTracker)
    older["tracker"].__setstate__(tracker)
    again = Crossings.__new__(Crossings)
    again.__setstate__((None, older))
    again.take(seen_of([[finding(grows(k))] for k in range(FPS, 4 * FPS)], FPS))
    ended = again.take(Ended(scope="live", camera="c1", started_at=START, ended_at=at(4 * FPS)))
    (passage,) = [o for o in ended if isinstance(o, Passage)]
    assert passage.started_at == at(0) and passage.ended_at == at(4 * FPS - 1)
