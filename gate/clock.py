# SPDX-License-Identifier: AGPL-3.0-or-later
"""The clock, watched: a jump ahead or back destroys nothing by itself and hides what would be past its date.

The wall clock is compared with the machine's monotonic one while the gate runs, and with the last trusted time across
restarts. Once it is suspect, destruction waits until an administrator confirms the clock.

The rules go by `latest`, which a clock set back does not move back: a habilitation, a requisition or a session that has
lapsed stays lapsed. A jump ahead that is noticed is not trusted, so that a clock put right is right for the rules too.
The journal and the one-time codes go by the wall clock: what they say must hold beside other clocks.
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
        with database.read() as s:
            latest, self.suspect = _kept(s)
        self._trusted = None if latest is None else (latest, monotonic())
        """The latest time trusted, and the monotonic clock at that moment."""

    def latest(self) -> datetime:
        """The later of now and the last trusted time: what is now for the rules, and what the retention counts from."""
        now, trusted = self._clock(), self._trusted_now()
        return now if trusted is None or now > trusted else trusted

    def watch(self) -> str:
        """Look at the clock and remember it; why it is suspect, or empty. Called every few seconds.

        The gate's processes share what they remember: one notices, all hold back, one confirmation frees all.
        """
        with self._lock, self._database.write() as s:
            latest, suspect = _kept(s)
            now, ticks = self._clock(), self._monotonic()
            if suspect and latest is not None:
                latest = max(latest, self._trusted_now() or latest)
            drift = timedelta()
            if self._mark is not None:
                drift = (now - self._mark[0]) - timedelta(seconds=ticks - self._mark[1])
            if abs(drift) > JUMP:
                way = "ahead" if drift > timedelta() else "back"
                suspect = f"the clock jumped {way} by {abs(drift)} to {now:%Y-%m-%d %H:%M} UTC"
            elif latest is not None and not suspect:
                if now < latest - JUMP:
                    suspect = f"the clock says {now:%Y-%m-%d %H:%M} UTC, before {latest:%Y-%m-%d %H:%M}"
                elif self._mark is None and now > latest + LONGEST_SLEEP:
                    suspect = f"the clock says {now:%Y-%m-%d %H:%M} UTC; last seen {latest:%Y-%m-%d %H:%M}"
            if latest is None or (now > latest and not suspect):
                latest = now
            self._mark = (now, ticks)
            self._trust(s, latest, ticks, suspect)
            return suspect

    def confirm(self) -> None:
        """An administrator says that the clock is right: what it says now is trusted, destruction resumes."""
        with self._lock, self._database.write() as s:
            self._mark = now, ticks = self._clock(), self._monotonic()
            self._trust(s, now, ticks, "")

    def _trusted_now(self) -> datetime | None:
        """The last trusted time; while the clock is suspect it goes on by the monotonic one, so that things lapse."""
        if self._trusted is None:
            return None
        at, ticks = self._trusted
        return at + timedelta(seconds=self._monotonic() - ticks) if self.suspect else at

    def _trust(self, s: Session, at: datetime, ticks: float, suspect: str) -> None:
        self._trusted, self.suspect = (at, ticks), suspect
        keep_fact(s, _FACT, {"suspect": suspect, "latest": at.isoformat()})


def _kept(s: Session) -> tuple[datetime | None, str]:
    """The last trusted time, and why the clock is suspect, as the gate's processes last left them."""
    value = fact(s, _FACT)
    return datetime.fromisoformat(value["latest"]) if "latest" in value else None, str(value.get("suspect", ""))


def clock_source() -> str:
    """Where UTC comes from: `ntp` when systemd says that it is synchronised, else `system`."""
    return "ntp" if Path("/run/systemd/timesync/synchronized").exists() else "system"
