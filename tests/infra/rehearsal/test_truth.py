# SPDX-License-Identifier: AGPL-3.0-or-later
"""Truth tables: what a camera truly saw, which passages that makes, and no half-written folder taken for whole."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from infra.rehearsal.errors import TruthError
from infra.rehearsal.network import build_town
from infra.rehearsal.passages import passages_of
from infra.rehearsal.plan import load_plan
from infra.rehearsal.truth import (
    CameraTruth,
    boxes_file,
    clock_utc,
    finish_truth,
    is_out,
    load_truth,
    pose_at,
    true_utc,
    write_town,
)
from infra.rehearsal.world import Camera, Frame, Kind, Outage, Town, Traffic, Vehicle

FPS = 10
FRAMES = 100


@functools.cache
def built() -> Town:
    return build_town(load_plan("test-2"))


def camera() -> Camera:
    return replace(built().cameras[0], fps=FPS, outages=())


def town(one: Camera) -> Town:
    return replace(built(), cameras=(one,))


def traffic(*kinds: Kind) -> Traffic:
    vehicles = tuple(Vehicle(f"v{k}", kind, "hatch_small", "red", (150, 20, 20)) for k, kind in enumerate(kinds))
    return Traffic(vehicles, tuple(frame(k / FPS, len(kinds)) for k in range(FRAMES)), 1 / FPS)


def frame(time_s: float, count: int, signals: int = 0) -> Frame:
    ones = np.ones(count, np.float32)
    index = np.arange(count, dtype=np.int32)
    return Frame(time_s, index, ones * 10 * time_s, ones, ones * 90, ones * 10, np.full(count, signals, np.uint8))


def record(
    folder: Path,
    one: Camera,
    moves: Traffic,
    seen: dict[int, float],
    parked: frozenset[int] = frozenset(),
    height_px: float = 60.0,
) -> CameraTruth:
    """Boxes of vehicle 0 in the frames of `seen` with their visible share, moving from left to right."""
    truth = CameraTruth(folder, town(one), moves, one)
    for number in sorted(seen):
        x = 6.0 * number
        full = np.array([[x, 100, x + 80, 100 + height_px]], np.float32)
        truth.add(
            number,
            frame(number / FPS, len(moves.vehicles), 8 if number in parked else 0),
            np.array([0], np.int32),
            full,
            full,
            np.array([round(1000 * seen[number])], np.int32),
            np.array([1000], np.int32),
            np.array([20.0], np.float32),
        )
    truth.close(FRAMES)
    return truth


def passages(
    folder: Path,
    seen: dict[int, float],
    parked: frozenset[int] = frozenset(),
    kind: Kind = "car",
    one: Camera | None = None,
    height_px: float = 60.0,
) -> list[tuple[int, int]]:
    import pyarrow.parquet as pq

    one = one or camera()
    moves = traffic(kind)
    truth = record(folder, one, moves, seen, parked, height_px)
    table = passages_of(pq.read_table(truth.file), one, town(one), moves, FRAMES)
    return [(row["entry_frame"], row["exit_frame"]) for row in table.to_pylist()]


def always(start: int, stop: int, share: float = 0.9) -> dict[int, float]:
    return dict.fromkeys(range(start, stop), share)


def test_one_passage_from_entry_to_exit(tmp_path: Path) -> None:
    assert passages(tmp_path, always(5, 60)) == [(5, 59)]


def test_hidden_frames_do_not_begin_or_end_a_passage(tmp_path: Path) -> None:
    assert passages(tmp_path, always(0, 10, 0.2) | always(10, 40) | always(40, 50, 0.1)) == [(10, 39)]


def test_short_gap_out_of_view_is_one_passage_and_a_long_one_two(tmp_path: Path) -> None:
    assert passages(tmp_path, always(5, 20) | always(38, 60)) == [(5, 59)]
    assert passages(tmp_path, always(5, 20) | always(45, 60)) == [(5, 19), (45, 59)]


def test_long_wait_behind_a_bus_is_one_passage(tmp_path: Path) -> None:
    assert passages(tmp_path, always(5, 20) | always(20, 60, 0.05) | always(60, 80)) == [(5, 79)]


def test_parking_ends_a_passage_and_leaving_begins_another(tmp_path: Path) -> None:
    parked = frozenset(range(25, 60))
    assert passages(tmp_path, always(5, 90), parked) == [(5, 24), (60, 89)]


def test_who_stands_parked_all_along_makes_none(tmp_path: Path) -> None:
    assert passages(tmp_path, always(0, FRAMES), frozenset(range(FRAMES))) == []


@pytest.mark.parametrize("kind", ["pedestrian", "bicycle"])
def test_walkers_and_cyclists_make_none(tmp_path: Path, kind: Kind) -> None:
    assert passages(tmp_path, always(5, 60), kind=kind) == []


def test_far_and_small_makes_none(tmp_path: Path) -> None:
    assert passages(tmp_path, always(5, 60), height_px=15.0) == []


def test_times_sides_and_cut(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    one, moves = replace(camera(), outages=(Outage(6.0, 8.0),)), traffic("car")
    truth = record(tmp_path, one, moves, always(0, 60) | always(85, 99))
    rows = passages_of(pq.read_table(truth.file), one, town(one), moves, FRAMES).to_pylist()
    first, second = rows
    assert first["cut"]
    assert first["entry_side"] == "left"
    assert first["entered_at"] == datetime(2026, 6, 10, 10, 0, 0, tzinfo=UTC)
    assert first["left_s"] == pytest.approx(5.9)
    assert not second["cut"]
    assert second["exit_side"] == "right"


def test_finished_truth_reads_back_and_is_the_same_twice(tmp_path: Path) -> None:
    digests = []
    for name in ("a", "b"):
        folder, one, moves = tmp_path / name, camera(), traffic("car", "van")
        write_town(folder, town(one), moves)
        record(folder, one, moves, always(5, 60))
        finish_truth(folder, town(one), moves)
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        digests.append([(p.name, hashlib.sha256(p.read_bytes()).hexdigest()) for p in files])
    assert digests[0] == digests[1]
    truth = load_truth(tmp_path / "a")
    assert truth.summary["passages"] == 1
    assert truth.table("passages")["identity"].to_pylist() == ["v0"]
    assert truth.table("vehicles").num_rows == 2
    assert truth.boxes("T1").num_rows == 55
    assert set(truth.table("poses").column_names) >= {"time_s", "vehicle", "x", "y", "heading_deg"}


def test_interrupted_render_is_not_taken_for_whole(tmp_path: Path) -> None:
    one, moves = camera(), traffic("car")
    write_town(tmp_path, town(one), moves)
    with pytest.raises(TruthError, match="holds no finished town"):
        load_truth(tmp_path)
    with pytest.raises(TruthError, match="camera T1 was not rendered to its end"):
        finish_truth(tmp_path, town(one), moves)


def test_boxes_of_another_seed_are_refused(tmp_path: Path) -> None:
    one, moves = camera(), traffic("car")
    record(tmp_path, one, moves, always(5, 60))
    with pytest.raises(TruthError, match="belongs to another plan or seed"):
        finish_truth(tmp_path, replace(town(one), digest="other"), moves)


def test_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(table: object, file: Path, **_: object) -> None:
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("infra.rehearsal.truth.pq.write_table", no_room)
    with pytest.raises(TruthError, match="No space left on device"):
        record(tmp_path, camera(), traffic("car"), always(5, 60))
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    assert not boxes_file(tmp_path, "T1").exists()


def test_poses_between_samples_go_the_shorter_way_round() -> None:
    one = np.ones(1, np.float32)
    zero = np.zeros(1, np.uint8)
    a = Frame(0.0, np.array([3], np.int32), one * 0, one * 0, one * 350, one * 4, zero)
    b = Frame(0.1, np.array([3], np.int32), one * 2, one * 4, one * 20, one * 8, zero)
    moves = Traffic((), (a, b), 0.1)
    pose = pose_at(moves, 0.025)
    assert pose.x[0] == pytest.approx(0.5)
    assert pose.y[0] == pytest.approx(1.0)
    assert pose.heading_deg[0] == pytest.approx(357.5)
    assert pose.speed_mps[0] == pytest.approx(5.0)
    assert pose_at(moves, 0.1) is b
    gone = replace(b, index=np.array([4], np.int32))
    assert len(pose_at(replace(moves, frames=(a, gone)), 0.05).index) == 0


def test_clocks_and_outages() -> None:
    one = replace(camera(), clock_offset_s=-1.5, clock_drift_ppm=100.0, outages=(Outage(3.0, 5.0),))
    there = town(one)
    assert true_utc(there, 10.0) == datetime(2026, 6, 10, 10, 0, 10, tzinfo=UTC)
    wrong = (clock_utc(there, one, 1000.0) - true_utc(there, 1000.0)).total_seconds()
    assert wrong == pytest.approx(-1.4)
    assert [is_out(one, t) for t in (2.99, 3.0, 4.99, 5.0)] == [False, True, True, False]
