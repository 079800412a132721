# SPDX-License-Identifier: AGPL-3.0-or-later
"""Times as people of the town write and read them. Of the hour that occurs twice, each says which one: `(UTC+1)`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from gate.errors import Invalid

_DAY = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}/\d{1,2}/\d{4}")
_MARKED = re.compile(r"(.+?)\s*\(?UTC([+-])(\d{1,2})(?::(\d\d))?\)?")


def told_time(at: datetime, zone: ZoneInfo) -> str:
    """A moment in the town's time, to the second: `25/10/2026 02:30:00 (UTC+1)`, without the offset on other nights."""
    return f"{at.astimezone(zone):%d/%m/%Y} {time_of_day(at, zone)}"


def time_of_day(at: datetime, zone: ZoneInfo) -> str:
    """The same without its day."""
    here = at.astimezone(zone)
    twice = here.replace(fold=0).utcoffset() != here.replace(fold=1).utcoffset()
    return f"{here:%H:%M:%S}" + (f" ({_offset(here)})" if twice else "")


def read_time(written: str, zone: ZoneInfo) -> datetime:
    """The moment that is written, in UTC; Invalid when it is no time, or names two moments or none.

    `20/03/2026 14:05`, `20/03/2026 14h05`, `20/03/2026 14:05:30`, each with `(UTC+1)` behind it or not, a day alone for
    its beginning, or ISO 8601 with or without a zone.
    """
    text, own = written.strip(), None
    try:
        if found := _MARKED.fullmatch(text):
            text, sign, hours, minutes = found.groups()
            away = timedelta(hours=int(hours), minutes=int(minutes or 0))
            own = timezone(-away if sign == "-" else away)
        at = _parsed(text, own or zone)
    except ValueError:
        raise Invalid(f"{written!r} is no time: write 2026-03-20 14:05:30, or 2026-03-20T13:05:30Z") from None
    return _only(at, zone)


def read_end(written: str, zone: ZoneInfo) -> datetime:
    """The same for what ends then: a day alone is in force until it is over."""
    return read_time(f"{written.strip()} 23:59:59" if _DAY.fullmatch(written.strip()) else written, zone)


def _parsed(text: str, zone: tzinfo) -> datetime:
    for form in ("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y %Hh%M", "%d/%m/%Y"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=zone)
        except ValueError:
            continue
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=zone)


def _only(at: datetime, zone: ZoneInfo) -> datetime:
    """The one moment of a local time, in UTC; Invalid, with what to write, where clocks show it twice or never."""
    one, other = (at.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if one == other:
        return one
    here, first, second = f"{at:%d/%m/%Y %H:%M:%S}", told_time(one, zone), told_time(other, zone)
    if first.startswith(here):
        raise Invalid(f"{here} occurs twice, as clocks go back: write {first} or, the second time, {second}")
    raise Invalid(f"{here} does not exist, as clocks go forward: write {second} or {first}")


def _offset(here: datetime) -> str:
    minutes = round((here.utcoffset() or timedelta()) / timedelta(minutes=1))
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02d}" if rest else "")
