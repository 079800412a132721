# SPDX-License-Identifier: AGPL-3.0-or-later
"""How long recordings are kept: the site's days, never more than thirty, never more than one calendar month."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

CEILING_DAYS = 30
"""CSI L252-5 says one month; a site may set less and never more than this."""


def limit(now: datetime, days: int, timezone: str = "Europe/Paris") -> datetime:
    """The moment before which nothing captured may be kept or shown at `now`.

    Counted from capture. February makes the calendar month shorter than thirty days, and the shorter one holds.
    """
    if not 1 <= days <= CEILING_DAYS:
        raise ValueError(f"retention is 1 to {CEILING_DAYS} days, not {days}")
    return max(now.astimezone(UTC) - timedelta(days=days), month_before(now, timezone))


def month_before(now: datetime, timezone: str = "Europe/Paris") -> datetime:
    """The earliest moment from which on everything captured is less than one calendar month old at `now`.

    A month after 31 January ends on the last day of February: so on 28 February what was captured on 31 January at
    the same hour is due, and with it all that came before.
    """
    local = now.astimezone(ZoneInfo(timezone))
    year, month = (local.year - 1, 12) if local.month == 1 else (local.year, local.month - 1)
    last_before = calendar.monthrange(year, month)[1]
    last_now = calendar.monthrange(local.year, local.month)[1]
    if local.day > last_before:
        # No such day in the month before: the whole of that month is more than a month old.
        start = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    else:
        day = last_before if local.day == last_now and last_before > last_now else local.day
        start = local.replace(year=year, month=month, day=day)
    return start.astimezone(UTC)
