# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta

import pytest

from connectors.camera_clock import CameraClock
from connectors.errors import CameraUnreadable

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FakePacket:
    """A packet with or without the sender's word on its time."""

    def __init__(self, says: datetime | None = None) -> None:
        self._says = says

    def has_sidedata(self, kind: str) -> bool:
        return kind == "prft" and self._says is not None

    def get_sidedata(self, kind: str) -> bytes:
        assert self._says is not None
        return struct.pack("=qi4x", (self._says - EPOCH) // timedelta(microseconds=1), 24)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def saw(clock: CameraClock, pts_s: float, arrived: datetime, says: datetime | None = None) -> None:
    clock.saw(round(pts_s * 1e6), FakePacket(says), lambda: arrived)  # type: ignore[arg-type]


def settled(clock: CameraClock, first_s: float, last_s: float) -> datetime:
    return clock.settle(round(first_s * 1e6), round(last_s * 1e6))


def test_a_file_runs_from_its_stated_start_whatever_the_wall_says() -> None:
    clock = CameraClock(NOW, 7_000_000, "c")
    saw(clock, 7, after(1e6))
    assert settled(clock, 7, 7.9) == NOW
    saw(clock, 8, after(2e6))
    assert settled(clock, 8, 8.9) == after(1)
    assert clock.source == "file"


def test_without_reports_arrival_counts_and_delays_do_not_shift_it() -> None:
    clock = CameraClock(None, None, "c")
    for n, delay in enumerate((0.0, 0.3, 0.1, 0.0)):
        saw(clock, n, after(n + delay))
    assert clock.source == "arrival"
    assert settled(clock, 0, 3) == NOW
    saw(clock, 4, after(4.4))  # late once: not a drift
    assert settled(clock, 4, 5) == after(4)


def test_the_senders_reports_win_as_soon_as_they_come() -> None:
    clock = CameraClock(None, None, "c")
    saw(clock, 0, after(0.5))
    assert settled(clock, 0, 0.9) == after(0.5)
    saw(clock, 1, after(1.5), says=after(1.7))
    assert settled(clock, 1, 1.9) == after(1.7)
    assert clock.source == "stream"
    saw(clock, 2, after(2.9))  # a packet without a word changes nothing
    assert settled(clock, 2, 2.9) == after(2.7)


def test_time_never_runs_back() -> None:
    clock = CameraClock(None, None, "c")
    saw(clock, 0, after(10))
    assert settled(clock, 0, 0.9) == after(10)
    saw(clock, 1, after(11), says=after(5))
    assert settled(clock, 1, 1.9) == after(10.9) + timedelta(microseconds=1)


def test_a_clock_that_is_far_off_is_not_believed_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = CameraClock(None, None, "place")
    for n in range(5):
        saw(clock, n, after(n), says=EPOCH + timedelta(seconds=100 + n))
    assert clock.source == "arrival"
    assert settled(clock, 0, 4) == NOW
    told = [r.message for r in caplog.records]
    assert len(told) == 1
    assert "camera place says it is 1970-01-01T00:01:40+00:00" in told[0]


def test_a_slow_drift_of_the_camera_is_taken_up_between_gops() -> None:
    clock = CameraClock(None, None, "c")
    saw(clock, 0, NOW)
    settled(clock, 0, 0.9)
    for n in range(1, 4):
        saw(clock, n, after(n * 1.2))
        first = settled(clock, n, n + 0.9)
    assert abs((first - after(3.6)).total_seconds()) < 0.5


@pytest.mark.parametrize("says", [False, True])
@pytest.mark.parametrize("jump_s", [3.0, 45.0, 3600.0, -3.0, -45.0])
def test_a_jump_of_the_cameras_time_ends_the_connection(jump_s: float, says: bool) -> None:
    clock = CameraClock(None, None, "place")
    for n in range(100):
        saw(clock, n / 25, after(n / 25), after(n / 25) if says else None)
    with pytest.raises(CameraUnreadable, match=rf"place: its time jumps by \{jump_s:+.0f}\.0 s") as raised:
        saw(clock, 4 + jump_s, after(4.1), after(4.1 + jump_s) if says else None)
    assert raised.value.state == "time jumps"


def test_what_is_held_up_or_lost_on_the_way_is_no_jump() -> None:
    clock = CameraClock(None, None, "c")
    for n in range(100):
        saw(clock, n / 25, after(n / 25))
    saw(clock, 14, after(14))  # ten seconds were lost
    for n in range(50):  # the next two come twelve seconds late, all at once
        saw(clock, 14 + n / 25, after(28))
    saw(clock, 28, after(28.1))  # the camera had no room for what lay between
    saw(clock, 27.8, after(28.1))  # pictures come in the order in which they are decoded
    for n in range(10):  # one picture in five seconds is a rate too
        saw(clock, 33 + 5 * n, after(33.1 + 5 * n))


def test_a_jump_shows_after_days_of_a_slow_clock() -> None:
    clock = CameraClock(None, None, "c")
    for n in range(1, 3 * 8640):
        saw(clock, 10 * n * 0.9999, after(10 * n))
    assert clock._last_pts_us is not None
    with pytest.raises(CameraUnreadable, match="its time jumps"):
        saw(clock, clock._last_pts_us / 1e6 + 4, after(10 * n + 0.04))


def test_a_files_own_time_may_jump() -> None:
    clock = CameraClock(NOW, 0, "c")
    for pts_s in (0, 60, 3):
        saw(clock, pts_s, NOW)
