# SPDX-License-Identifier: AGPL-3.0-or-later
"""The register of recordings: which were made, when they were destroyed and when any were handed over, with the proofs.

What was made is read off the archive as it stands; the rest is written down as it happens (`RegisterRow`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

from sqlalchemy import select

from connectors.bounds import Interval
from gate.database import RegisterRow, RequisitionRow
from gate.errors import Invalid
from gate.gate import Gate
from gate.messages import RecordedDay, Register, RegisterKind, RegisterLine

PERIOD = timedelta(days=31)
"""What is shown where no time is named: as long as recordings are kept."""
LONGEST = timedelta(days=366)


def register(gate: Gate, interval: Interval | None = None) -> Register:
    """The register of an interval, a year at most, newest first; Invalid when it is longer."""
    # What is written in this very second counts.
    until = gate.clock() + timedelta(seconds=1)
    asked = interval or Interval(until - PERIOD, until)
    if asked.end - asked.start > LONGEST:
        raise Invalid(f"the register is shown for {LONGEST.days} days at most: name a shorter time")
    zone = ZoneInfo(gate.site.timezone)
    with gate.database.read() as s:
        rows = s.execute(
            select(RegisterRow, RequisitionRow.reference)
            .outerjoin(RequisitionRow, RequisitionRow.id == RegisterRow.requisition)
            .where(RegisterRow.at >= asked.start, RegisterRow.at < asked.end)
            .order_by(RegisterRow.at, RegisterRow.id)
        ).all()
    destroyed: dict[date, list[RegisterRow]] = {}
    lines: list[RegisterLine] = []
    for row, reference in rows:
        if row.kind == "destroyed":
            destroyed.setdefault(row.at.astimezone(zone).date(), []).append(row)
        else:
            lines.append(_line(row, reference or row.requisition, _told(row)))
    lines += [_line(day[-1], "", _together(day)) for day in destroyed.values()]
    return Register(
        started_at=asked.start,
        ended_at=asked.end,
        recordings=tuple(_recordings(gate, asked, zone)),
        lines=tuple(sorted(lines, key=lambda line: line.at)[::-1]),
    )


def _line(row: RegisterRow, requisition: str, details: dict[str, Any]) -> RegisterLine:
    return RegisterLine(at=row.at, kind=cast("RegisterKind", row.kind), requisition=requisition, details=details)


def _told(row: RegisterRow) -> dict[str, Any]:
    """A line's own words; of a proof, what it found, and not every place where it found nothing."""
    if row.kind not in ("proved", "proof_failed"):
        return row.details
    places = row.details["places"]
    return {
        "before": row.details["before"],
        "found": [found for place in places for found in place["found"]],
        "not_looked_at": [place["name"] for place in places if place["failed"]],
    }


def _together(rows: list[RegisterRow]) -> dict[str, Any]:
    """A day's destructions as one: the keeper destroys every few minutes what has come to its date."""
    return {
        "before": max(r.details["before"] for r in rows),
        "cameras": sorted({camera for r in rows for camera in r.details["cameras"]}),
        "keys": sorted({day for r in rows for day in r.details["keys"]}),
        "journal": sorted({volume for r in rows for volume in r.details["journal"]}),
        # What could not be destroyed is tried again: the newest says what is left.
        "failed": rows[-1].details.get("failed", []),
        "bytes": sum(sum(r.details["bytes"].values()) for r in rows),
    }


def _recordings(gate: Gate, asked: Interval, zone: ZoneInfo) -> Iterator[RecordedDay]:
    """What the archive holds, a line for each camera and each day of the town's."""
    for camera in gate.archive.cameras():
        days: dict[date, list[datetime]] = {}
        for hour in gate.archive.hours(camera, asked):
            days.setdefault(hour.astimezone(zone).date(), []).append(hour)
        for day, hours in days.items():
            yield RecordedDay(
                camera=camera,
                day=day.isoformat(),
                hours=len(hours),
                started_at=hours[0],
                ended_at=hours[-1] + timedelta(hours=1),
            )
