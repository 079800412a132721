# SPDX-License-Identifier: AGPL-3.0-or-later
"""Times as people of the town write and read them; everything else is UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


def zone() -> ZoneInfo:
    """The town's time zone, in which people give and read times."""
    return ZoneInfo("Europe/Paris")


def local(at: datetime) -> str:
    """A moment as people of the town read it."""
    return at.astimezone(zone()).strftime("%d/%m/%Y %H:%M:%S")


def parse_local(written: str) -> datetime | None:
    """Read a local time as people write it; None when it is none."""
    for form in ("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"):
        try:
            return datetime.strptime(written.strip(), form).replace(tzinfo=zone()).astimezone(UTC)
        except ValueError:
            continue
    return None
