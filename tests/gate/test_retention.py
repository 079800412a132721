# SPDX-License-Identifier: AGPL-3.0-or-later
"""The retention limit: days, ceiling, and the calendar month that February shortens."""

from datetime import UTC, datetime, timedelta

import pytest

from gate.retention import limit, month_before


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("now", "earliest"),
    [
        (utc(2026, 7, 15, 12), utc(2026, 6, 15, 12)),
        (utc(2026, 3, 15, 12), utc(2026, 2, 15, 12)),
        # No 30 February: everything of February is over a month old.
        (utc(2026, 3, 30, 12), utc(2026, 2, 28, 23)),
        # A month after 31 January ends on 28 February.
        (utc(2026, 2, 28, 12), utc(2026, 1, 31, 12)),
        (utc(2026, 1, 10, 12), utc(2025, 12, 10, 12)),
        (utc(2028, 2, 29, 12), utc(2028, 1, 31, 12)),
    ],
)
def test_calendar_month(now: datetime, earliest: datetime) -> None:
    assert abs(month_before(now) - earliest) <= timedelta(hours=1)  # summer time moves an hour


def test_february_is_shorter_than_thirty_days() -> None:
    now = utc(2026, 3, 10)
    assert now - limit(now, 30) == timedelta(days=28)
    assert now - limit(now, 10) == timedelta(days=10)


def test_never_above_thirty_days_and_never_moves_back() -> None:
    before = limit(utc(2026, 1, 1), 30)
    for hour in range(0, 24 * 400, 7):
        now = utc(2026, 1, 1) + timedelta(hours=hour)
        at = limit(now, 30)
        assert now - at <= timedelta(days=30)
        assert at >= before
        before = at


@pytest.mark.parametrize("days", [0, 31, -3])
def test_refuses_what_the_law_does_not_allow(days: int) -> None:
    with pytest.raises(ValueError, match="1 to 30"):
        limit(utc(2026, 1, 1), days)
