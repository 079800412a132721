# SPDX-License-Identifier: AGPL-3.0-or-later
"""The clock, watched: a jump ahead or back destroys nothing by itself and hides what would be past its date.

The wall clock is compared with the machine's monotonic one while the gate runs, and with the last trusted time across
restarts. Once it is suspect, destruction waits until an administrator confirms the clock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from gate.database import Database, fact, keep_fact

JUMP = timedelta(minutes=5)
"""More than the drift of any clock kept by NTP."""
LONGEST_SLEEP = timedelta(hours=36)
"""A machine that was off longer than this comes back with a clock that a person looks at before anything goes."""
_FACT = "clock"


class ClockGuard:
    """Remembers the last trusted time and notices jumps."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._mark: tuple[datetime, float] | None = None
        self._latest: datetime | None = None
        self.suspect = ""
        with database.read() as s:
            self._load(s)

    def latest(self) -> datetime:
        """The later of now and the last time seen: what the retention limit counts from."""
        now = self._clock()
        return now if self._latest is None or now > self._latest else self._latest

    def watch(self) -> str:
        """Look at the clock and remember it; why it is suspect, or empty. Called every few seconds.

        The gate's processes share what they remember: one notices, all hold back, one confirmation frees all.
        """
        with self._lock, self._database.write() as s:
            self._load(s)
            now, ticks = self._clock(), self._monotonic()
            if self._mark is not None:
                drift = (now - self._mark[0]) - timedelta(seconds=ticks - self._mark[1])
                if abs(drift) > JUMP:
                    way = "ahead" if drift > timedelta() else "back"
                    self.suspect = f"the clock jumped {way} by {abs(drift)} to {now:%Y-%m-%d %H:%M} UTC"
            elif self._latest is not None:
                if now < self._latest - JUMP:
                    self.suspect = f"the clock says {now:%Y-%m-%d %H:%M} UTC, before {self._latest:%Y-%m-%d %H:%M}"
                elif now > self._latest + LONGEST_SLEEP:
                    self.suspect = f"the clock says {now:%Y-%m-%d %H:%M} UTC; last seen {self._latest:%Y-%m-%d %H:%M}"
            self._mark = (now, ticks)
            if self._latest is None or (now > self._latest and not self.suspect):
                self._latest = now
            self._keep(s)
            return self.suspect

    def confirm(self) -> None:
        """An administrator says that the clock is right: what it says now is trusted, destruction resumes."""
        with self._lock, self._database.write() as s:
            self._latest = self._clock()
            self._mark = (self._latest, self._monotonic())
            self.suspect = ""
            self._keep(s)

    def _load(self, s: Session) -> None:
        value = fact(s, _FACT)
        self._latest = datetime.fromisoformat(value["latest"]) if "latest" in value else None
        self.suspect = str(value.get("suspect", ""))

    def _keep(self, s: Session) -> None:
        value = {"suspect": self.suspect}
        if self._latest is not None:
            value["latest"] = self._latest.isoformat()
        keep_fact(s, _FACT, value)


def clock_source() -> str:
    """Where UTC comes from: `ntp` when systemd says that it is synchronised, else `system`."""
    return "ntp" if Path("/run/systemd/timesync/synchronized").exists() else "system"
