# SPDX-License-Identifier: AGPL-3.0-or-later
"""Local times: read as they are written, and the hours of the two nights on which clocks change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gate.errors import Invalid
from gate.town_time import read_end, read_time, time_of_day, told_time

PARIS = ZoneInfo("Europe/Paris")
OCTOBER = datetime(2026, 10, 24, 23, 0, tzinfo=UTC)


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["Europe/Paris", "America/Miquelon", "Australia/Lord_Howe", "UTC"])
def test_every_moment_of_a_year_is_read_back_as_it_is_told(zone: str) -> None:
    for step in range(365 * 48):
        at = OCTOBER + timedelta(minutes=30 * step)
        assert read_time(told_time(at, ZoneInfo(zone)), ZoneInfo(zone)) == at


def test_the_hour_that_occurs_twice_says_which_one_it_is() -> None:
    told = [told_time(OCTOBER + timedelta(minutes=30 * n), PARIS) for n in range(1, 8)]
    assert told == [
        "25/10/2026 01:30:00",
        "25/10/2026 02:00:00 (UTC+2)",
        "25/10/2026 02:30:00 (UTC+2)",
        "25/10/2026 02:00:00 (UTC+1)",
        "25/10/2026 02:30:00 (UTC+1)",
        "25/10/2026 03:00:00",
        "25/10/2026 03:30:00",
    ]
    assert time_of_day(OCTOBER + timedelta(minutes=150), PARIS) == "02:30:00 (UTC+1)"


@pytest.mark.parametrize(
    "written",
    [
        "25/10/2026 02:30 (UTC+1)",
        "25/10/2026 02:30:00 UTC+1",
        " 25/10/2026 02:30:00(UTC+01:00) ",
        "2026-10-25 02:30 (UTC+1)",
        "2026-10-25T02:30:00+01:00",
        "2026-10-25T01:30:00Z",
    ],
)
def test_the_second_pass_can_be_written(written: str) -> None:
    assert read_time(written, PARIS) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("written", ["25/10/2026 02:30", "2026-10-25 02:30", "2026-10-25T02:30:00"])
def test_a_time_that_occurs_twice_is_refused_with_what_to_write(written: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_time(written, PARIS)
    assert str(refused.value) == (
        "25/10/2026 02:30:00 occurs twice, as clocks go back: write 25/10/2026 02:30:00 (UTC+2) or, "
        "the second time, 25/10/2026 02:30:00 (UTC+1)"
    )


@pytest.mark.parametrize("written", ["29/03/2026 02:30", "2026-03-29T02:30"])
def test_a_time_that_never_was_is_refused_with_what_to_write(written: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_time(written, PARIS)
    assert str(refused.value) == (
        "29/03/2026 02:30:00 does not exist, as clocks go forward: write 29/03/2026 01:30:00 or 29/03/2026 03:30:00"
    )


@pytest.mark.parametrize("written", ["", "hier soir", "(UTC+1)", "25/10/2026 02:30 (UTC+99)", "31/02/2026 10:00"])
def test_what_is_no_time_is_refused(written: str) -> None:
    with pytest.raises(Invalid, match="is no time: write"):
        read_time(written, PARIS)


def test_a_day_alone_begins_or_ends_as_is_meant() -> None:
    begins, over = datetime(2027, 1, 30, 23, 0, tzinfo=UTC), datetime(2027, 1, 31, 22, 59, 59, tzinfo=UTC)
    for written in ("31/01/2027", "2027-01-31"):
        assert read_time(written, PARIS) == begins and read_end(written, PARIS) == over
    assert read_end("31/01/2027 12:00", PARIS) == datetime(2027, 1, 31, 11, 0, tzinfo=UTC)
    assert read_time("31/01/2027 12h05", PARIS) == datetime(2027, 1, 31, 11, 5, tzinfo=UTC)
