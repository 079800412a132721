# SPDX-License-Identifier: AGPL-3.0-or-later
"""The camera thread with connections made up: each is a list of GOPs and perhaps an error at its end."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import connectors.camera_feed as camera_feed
from connectors.camera_feed import CameraFeed, CameraPosition
from connectors.errors import CameraError, CameraUnreachable
from connectors.gop import EndOfInterval, FrameRecord, Gap, Gop
from connectors.site import CameraSite
from tests.connectors.gops import START, gop
from tests.connectors.videos import file_camera, make_video, with_damaged_packets, with_wrong_length


class FakeReading:
    def __init__(
        self, gops: Sequence[Gop | Gap], fault: Exception | None = None, hold: threading.Event | None = None
    ) -> None:
        self._gops, self._fault, self._hold = gops, fault, hold
        self.shortfall: tuple[datetime, datetime] | None = None

    def records(self) -> Iterator[Gop | Gap]:
        yield from self._gops
        if self._hold is not None:
            self._hold.wait(10)
        if self._fault is not None:
            raise self._fault


class Report:
    def __init__(self) -> None:
        self.states: list[bool] = []
        self.failures = self.drops = self.damages = 0
        self.faults: list[CameraError] = []

    def up(self, camera: str, is_up: bool) -> None:
        if self.states[-1:] != [is_up]:
            self.states.append(is_up)

    def failed(self, camera: str, fault: CameraError) -> None:
        self.failures += 1
        self.faults.append(fault)

    def dropped(self, camera: str) -> None:
        self.drops += 1

    def damaged(self, camera: str) -> None:
        self.damages += 1


STREAM = CameraSite(name="c1", label="c1", url=SecretStr("rtsp://127.0.0.1/x"), masks_dwellings=True)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect again without waiting."""
    monkeypatch.setattr(camera_feed, "back_off", lambda first, most: iter(lambda: 0.001, None))


def feed_of(camera: CameraSite, readings: list[FakeReading], **more: Any) -> CameraFeed:
    left = iter(readings)
    hold = threading.Event()
    return CameraFeed(
        camera,
        run="r",
        connect=lambda sequence: next(left, FakeReading([], CameraUnreachable("gone"), hold)),
        **{"position": CameraPosition(), "now": lambda: START + timedelta(seconds=20), **more},
    )


def take(feed: CameraFeed, until: Callable[[list[FrameRecord]], bool]) -> list[FrameRecord]:
    found: list[FrameRecord] = []
    deadline = time.monotonic() + 10
    while not until(found) and time.monotonic() < deadline:
        record = feed.take()
        if record is not None:
            found.append(record)
        else:
            threading.Event().wait(0.001)
    return found


def test_a_lost_connection_becomes_a_gap_with_its_reason() -> None:
    report = Report()
    feed = feed_of(
        STREAM,
        [
            FakeReading([gop(sequence=0), gop(sequence=1)], CameraUnreachable("it stopped answering")),
            FakeReading([], CameraUnreachable("refused")),
            FakeReading([gop(sequence=30), gop(sequence=31)], hold=threading.Event()),
        ],
        report=report,
    )
    feed.start()
    records = take(feed, lambda r: len(r) == 5)
    feed.stop()
    assert [type(r) for r in records] == [Gop, Gop, Gap, Gop, Gop]
    gap = records[2]
    assert isinstance(gap, Gap)
    assert gap.started_at == START + timedelta(seconds=1.9)
    assert gap.ended_at == START + timedelta(seconds=30)
    assert gap.reason == "it stopped answering"
    assert [r.sequence for r in records] == [0, 1, 2, 3, 4]
    assert report.failures == 2
    assert report.states[:3] == [True, False, True]


def test_a_camera_that_never_gave_anything_is_missing_since_capture_began() -> None:
    ticks = itertools.count()
    feed = feed_of(
        STREAM,
        [FakeReading([], CameraUnreachable("silent")), FakeReading([gop(sequence=90)], hold=threading.Event())],
        now=lambda: START + timedelta(seconds=next(ticks)),
    )
    feed.start()
    gap, first = take(feed, lambda r: len(r) == 2)
    feed.stop()
    assert isinstance(gap, Gap) and isinstance(first, Gop)
    assert (gap.started_at, gap.ended_at, gap.reason) == (START, START + timedelta(seconds=90), "silent")


def test_a_thread_that_ends_by_a_fault_of_ours_is_told() -> None:
    report = Report()
    feed = feed_of(STREAM, [FakeReading([], ZeroDivisionError("rtsp://admin:secret@camera"))], report=report)
    feed.start()
    assert take(feed, lambda _: feed.finished) == []
    (fault,) = report.faults
    assert fault.state == "reading failed" and "ZeroDivisionError" in str(fault) and "secret" not in str(fault)


def test_time_before_a_restart_is_a_gap() -> None:
    position = CameraPosition(START - timedelta(minutes=1))
    feed = feed_of(STREAM, [FakeReading([gop()], hold=threading.Event())], position=position)
    feed.start()
    gap, first = take(feed, lambda r: len(r) == 2)
    feed.stop()
    assert isinstance(gap, Gap) and isinstance(first, Gop)
    assert (gap.started_at, gap.ended_at) == (START - timedelta(minutes=1), START)
    assert gap.reason == "capture was not running"


def test_a_hole_in_the_streams_own_time_is_a_gap() -> None:
    feed = feed_of(STREAM, [FakeReading([gop(sequence=0), gop(sequence=9)], hold=threading.Event())])
    feed.start()
    records = take(feed, lambda r: len(r) == 3)
    feed.stop()
    assert [type(r) for r in records] == [Gop, Gap, Gop]


def test_a_stream_that_nobody_takes_is_dropped_and_the_hole_told() -> None:
    report = Report()
    go_on, all_read = threading.Event(), threading.Event()

    class Slow(FakeReading):
        def records(self) -> Iterator[Gop | Gap]:
            for n in range(10):
                yield gop(sequence=n)
            all_read.set()
            go_on.wait(10)
            yield gop(sequence=10)
            go_on.clear()
            go_on.wait(10)

    feed = feed_of(STREAM, [Slow([])], report=report, queue_gops=4)
    feed.start()
    assert all_read.wait(10)
    first = take(feed, lambda r: len(r) == 4)
    go_on.set()
    rest = take(feed, lambda r: len(r) == 2)
    feed.stop()
    go_on.set()
    assert [r.first_at for r in first if isinstance(r, Gop)] == [START + timedelta(seconds=n) for n in range(4)]
    gap, last = rest
    assert isinstance(gap, Gap) and isinstance(last, Gop)
    assert (gap.started_at, gap.ended_at) == (START + timedelta(seconds=3.9), START + timedelta(seconds=10))
    assert "could not pass it on" in gap.reason
    assert report.drops == 6


def test_a_file_waits_for_room_and_loses_nothing_and_its_end_is_marked() -> None:
    gops = [gop(sequence=n, at=START + timedelta(seconds=n)) for n in range(50)]
    feed = feed_of(file_camera("x.mp4"), [FakeReading(gops)], queue_gops=2)
    feed.start()
    records = take(feed, lambda r: bool(r) and isinstance(r[-1], EndOfInterval))
    assert [r.first_at for r in records if isinstance(r, Gop)] == [g.first_at for g in gops]
    end = records[-1]
    assert isinstance(end, EndOfInterval)
    assert (end.started_at, end.ended_at, end.order) == (START, gops[-1].last_at, "")
    assert take(feed, lambda _: feed.finished) == []
    assert feed.position == CameraPosition(gops[-1].last_at, ended=True)


def test_a_file_that_ends_early_says_so() -> None:
    reading = FakeReading([gop()])
    reading.shortfall = (START + timedelta(seconds=0.9), START + timedelta(seconds=60))
    feed = feed_of(file_camera("x.mp4"), [reading])
    feed.start()
    records = take(feed, lambda r: len(r) == 3)
    assert [type(r) for r in records] == [Gop, Gap, EndOfInterval]
    assert "its header promised" in records[1].reason  # type: ignore[union-attr]


@pytest.mark.parametrize("picture", [0, 25, 31, 99])
def test_a_damaged_group_of_a_file_is_told_by_name_and_the_rest_is_recorded(
    tmp_path: Path, picture: int, caplog: pytest.LogCaptureFixture
) -> None:
    file = with_wrong_length(make_video(tmp_path / "a.mp4", frames=100), picture)
    feed = CameraFeed(file_camera(file, name="place-du-marche"), run="r", position=CameraPosition())
    feed.start()
    *records, end = take(feed, lambda r: bool(r) and isinstance(r[-1], EndOfInterval))
    second = picture // 25
    assert [type(r) for r in records] == [Gap if n == second else Gop for n in range(4)]
    assert [r.sequence for r in (*records, end)] == list(range(5))
    gap = records[second]
    assert isinstance(gap, Gap)
    assert gap.started_at == START + timedelta(seconds=second)
    assert gap.ended_at == START + timedelta(seconds=second + 0.96, microseconds=1)
    assert [r.getMessage() for r in caplog.records] == [f"camera place-du-marche: {gap.reason}"]


def test_a_stream_with_a_damaged_group_is_connected_again_and_the_hole_told() -> None:
    report = Report()
    moment = START + timedelta(seconds=1)
    bad = Gap(camera="c1", scope="live", run="r", sequence=1, started_at=moment, ended_at=moment, reason="damaged")
    feed = feed_of(
        STREAM,
        [FakeReading([gop(sequence=0), bad]), FakeReading([gop(sequence=3)], hold=threading.Event())],
        report=report,
    )
    feed.start()
    records = take(feed, lambda r: len(r) == 3)
    feed.stop()
    assert [type(r) for r in records] == [Gop, Gap, Gop]
    assert records[1].reason == "camera c1 sends rubbish: damaged"  # type: ignore[union-attr]
    assert records[1].ended_at == START + timedelta(seconds=3)  # type: ignore[union-attr]
    assert report.failures == 1


@pytest.mark.parametrize("apart_s", [0, 61])
def test_damaged_packets_are_counted_and_warned_about_once_a_minute(
    tmp_path: Path, apart_s: int, caplog: pytest.LogCaptureFixture
) -> None:
    file, report, ticks = with_damaged_packets(make_video(tmp_path / "a.ts")), Report(), itertools.count()
    feed = CameraFeed(
        file_camera(file),
        run="r",
        position=CameraPosition(),
        report=report,
        now=lambda: START + timedelta(seconds=apart_s * next(ticks)),
    )
    feed.start()
    take(feed, lambda r: bool(r) and isinstance(r[-1], EndOfInterval))
    assert report.damages > 2
    told = [r for r in caplog.records if "camera c1: 1 packets came damaged" in r.getMessage()]
    assert len(told) == (report.damages if apart_s else 1)


def test_a_file_that_cannot_be_opened_ends_without_a_mark_so_that_the_next_start_tries_again() -> None:
    feed = feed_of(file_camera("x.mp4"), [FakeReading([], CameraUnreachable("no such file"))])
    feed.start()
    assert take(feed, lambda _: feed.finished) == []
    assert feed.position == CameraPosition()


def test_a_file_at_its_end_is_not_read_again() -> None:
    feed = feed_of(file_camera("x.mp4"), [FakeReading([gop()])], position=CameraPosition(START, ended=True))
    feed.start()
    assert feed.finished


def test_a_stopped_file_keeps_its_place() -> None:
    gops = [gop(sequence=n, at=START + timedelta(seconds=n)) for n in range(50)]
    feed = feed_of(file_camera("x.mp4"), [FakeReading(gops)], queue_gops=2)
    feed.start()
    take(feed, lambda r: len(r) == 3)
    feed.stop()
    records = take(feed, lambda _: feed.finished)
    assert not any(isinstance(r, EndOfInterval) for r in records)
    assert feed.position.last_at == gops[2 + len(records)].last_at
