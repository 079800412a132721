# SPDX-License-Identifier: AGPL-3.0-or-later
"""Times as people of the town write and read them, in the zone that the gate names; everything else is UTC."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import streamlit as st

from gate.client import Invalid, read_time, time_of_day, told_time
from gate.messages import Interval, Whoami

_KEY = "timezone"


def use_zone_of(person: Whoami) -> None:
    """From now on this page gives and reads times in the town's zone, as the gate names it."""
    st.session_state[_KEY] = person.timezone


def zone() -> ZoneInfo:
    """The town's time zone; UTC while nobody is signed in."""
    return ZoneInfo(st.session_state.get(_KEY, "UTC"))


def local(at: datetime) -> str:
    """A moment as people of the town read it; of the hour that occurs twice, with its offset."""
    return told_time(at, zone())


def clock(at: datetime) -> str:
    """The time of day alone, where the day is known."""
    return time_of_day(at, zone())


def number(value: float) -> str:
    """A number as the page's language writes it."""
    written = f"{value:.1f}".removesuffix(".0")
    return written if st.session_state.get("language") == "English" else written.replace(".", ",")


def percent(share: float) -> str:
    """A share of one in percent."""
    return f"{share:.0%}" if st.session_state.get("language") == "English" else f"{100 * share:.0f} %"


def duration(hours: float) -> str:
    """A length of time in the unit that a person would use."""
    seconds = round(hours * 3600)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min" + (f" {seconds % 60} s" if seconds % 60 and seconds < 600 else "")
    return f"{number(hours)} h"


def between(interval: Interval) -> str:
    """A stretch of time, its day once where it lies in one."""
    start, end = interval.start, interval.end
    same = start.astimezone(zone()).date() == end.astimezone(zone()).date()
    return f"{local(start)} → {clock(end) if same else local(end)}"


def hours(intervals: Iterable[Interval]) -> str:
    """Several stretches of time."""
    return " ; ".join(between(i) for i in intervals)


def parse_local(written: str) -> datetime:
    """Read a local time as people write it; Invalid, which says what to write, when it names no moment or two."""
    return read_time(written, zone())


def parse_interval(written_from: str, written_to: str) -> Interval:
    """What two fields name; Invalid when it is none. The second that a person names last counts whole."""
    start, end = parse_local(written_from), parse_local(written_to)
    if end < start:
        raise Invalid(f"{written_from}..{written_to} ends before it starts")
    return Interval(start, end + timedelta(seconds=1) if end == start else end)


def inside(asked: Interval, allowed: tuple[Interval, ...]) -> list[Interval]:
    """Every part of what is asked for that is allowed, in order of time; none when no second of it is.

    Fields show whole seconds and a scope may begin and end between two: its first and its last second mean all of it.
    """
    parts = []
    for interval in sorted(allowed):
        end = interval.end if asked.end == interval.end.replace(microsecond=0) else asked.end
        if asked.start < end and (met := interval.meet(Interval(asked.start, end))) is not None:
            parts.append(met)
    return parts
