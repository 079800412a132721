# SPDX-License-Identifier: AGPL-3.0-or-later
"""A clock that jumps destroys nothing: the engine ages its tables only while the store trusts the wall clock.

The engine drops what is past its time to live by the wall clock, and by itself, even while it opens its tables. So:
before the path is opened the clock is compared with the last time that was trusted, and a suspect clock opens it with
ageing off; while the store runs, ageing is off but for a few seconds at a time, each begun after a look at the clock.
A suspicion ends when the keeper confirms the clock (`SYSTEM START TTL MERGES`), and begins also when the keeper says so
(`SYSTEM STOP TTL MERGES`). On a ClickHouse server the same two statements do the same, without the watching.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from connectors.whole_file import write_whole
from infra.store_engine import EngineError, StoreEngine

log = logging.getLogger("passage.store.clock")

JUMP: Final = timedelta(minutes=5)
"""More than the drift of any clock kept by NTP; the gate's guard says the same."""
LONGEST_SLEEP: Final = timedelta(hours=36)
"""A machine that was off longer comes back with a clock that a person looks at first."""


class StoreClock:
    """What the store knows of the time, kept in one small file across restarts.

    Args:
        file: where it is kept.
        clock: aware UTC now.
        monotonic: seconds that only grow, of this boot.
    """

    def __init__(
        self,
        file: Path,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = file
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._mark: tuple[datetime, float] | None = None
        self._trusted: datetime | None = None
        self._written: datetime | None = None
        self.suspect = ""
        if file.exists():
            try:
                held = json.loads(file.read_text(encoding="utf-8"))
                self._trusted, self.suspect = datetime.fromisoformat(held["trusted"]), str(held["suspect"])
            except (ValueError, KeyError, TypeError):
                self._trusted = None
                self.suspect = f"what was known of the clock cannot be read ({file})"

    def look(self) -> str:
        """Compare the clock with what it should say; why it is suspect, or empty."""
        with self._lock:
            now, ticks = self._clock(), self._monotonic()
            if not self.suspect:
                self.suspect = self._fault(now, ticks)
                if self.suspect:
                    log.error("%s; nothing ages until the clock is confirmed", self.suspect)
            self._mark = (now, ticks)
            if not self.suspect:
                self._trusted = now
            self._keep(now)
            return self.suspect

    def confirm(self) -> None:
        """A person says that the clock is right."""
        with self._lock:
            now = self._clock()
            self.suspect, self._trusted, self._mark = "", now, (now, self._monotonic())
            self._keep(now, force=True)
        log.warning("the clock is confirmed: %s", now)

    def hold(self, why: str) -> None:
        """Trust the clock no longer."""
        with self._lock:
            self.suspect = self.suspect or why
            self._keep(self._clock(), force=True)

    def _fault(self, now: datetime, ticks: float) -> str:
        if self._mark is not None:
            drift = (now - self._mark[0]) - timedelta(seconds=ticks - self._mark[1])
            if abs(drift) > JUMP:
                return (
                    f"the clock jumped {'ahead' if drift > timedelta() else 'back'} by {abs(drift)}, to {now:%F %R} UTC"
                )
        elif self._trusted is not None:
            if now < self._trusted - JUMP:
                return f"the clock says {now:%F %R} UTC, before {self._trusted:%F %R}, when the store last ran"
            if now > self._trusted + LONGEST_SLEEP:
                return f"the clock says {now:%F %R} UTC, and the store last ran {self._trusted:%F %R}"
        return ""

    def _keep(self, now: datetime, force: bool = False) -> None:
        if not force and self._written is not None and not self.suspect and now - self._written < timedelta(minutes=1):
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        trusted = now if self._trusted is None else self._trusted
        write_whole(self._file, json.dumps({"trusted": trusted.isoformat(), "suspect": self.suspect}).encode())
        self._written = now


class Ageing:
    """Lets the engine drop what is past its time to live, a few seconds at a time, while the clock is trusted.

    Args:
        engine: opened with ageing off if the clock was suspect then.
        clock: of the store.
        every_s: from one spell to the next.
        spell_s: length of a spell.
    """

    def __init__(self, engine: StoreEngine, clock: StoreClock, every_s: float = 20.0, spell_s: float = 4.0) -> None:
        self._engine = engine
        self._clock = clock
        self._every_s = every_s
        self._spell_s = spell_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ageing", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; waits for the spell under way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def spell(self) -> None:
        """Let the engine age for a spell, if the clock is trusted; a jump ends the spell at once."""
        if self._clock.look():
            return
        self._engine.age(True)
        try:
            end = time.monotonic() + self._spell_s
            while time.monotonic() < end and not self._clock.look() and not self._stop.wait(0.2):
                pass
        finally:
            self._engine.age(False)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.spell()
            except EngineError as fault:
                log.error("ageing failed: %s", fault)
            # Looks in between keep the trusted time fresh, and notice a jump before the next spell.
            rest = time.monotonic() + self._every_s - self._spell_s
            while time.monotonic() < rest and not self._stop.wait(1.0):
                self._clock.look()
