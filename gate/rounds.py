# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the gate does by itself: watches the clock, publishes keys, expires requisitions, signs the journal's head."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from gate.alarms import raise_alarms
from gate.closure import expire, take_up_closures
from gate.evidence import Evidence
from gate.gate import Gate
from gate.mail import mailer

EVERY_S = 10.0
SIGN_EVERY = timedelta(minutes=10)
ALARM_EVERY = timedelta(minutes=10)
log = logging.getLogger("gate.rounds")


class Rounds:
    """A thread that walks its round every few seconds; one round can be walked alone, as tests do."""

    def __init__(self, gate: Gate, every_s: float = EVERY_S) -> None:
        self._gate = gate
        self._every_s = every_s
        self._stop = threading.Event()
        self.evidence = Evidence(gate)
        self._work = threading.Event()
        self._threads = (
            threading.Thread(target=self._run, name="gate-rounds", daemon=True),
            threading.Thread(target=self._secure, name="gate-evidence", daemon=True),
        )
        self._signed = (gate.clock(), -1)
        self._alarmed = gate.clock()

    def start(self) -> None:
        """Begin walking."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Something was opened: its evidence is secured now."""
        self._work.set()

    def stop(self) -> None:
        """Finish the round and end."""
        self._stop.set()
        self._work.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=30)

    def once(self) -> None:
        """One round."""
        gate = self._gate
        suspect = gate.clock_guard.watch()
        gate.keys.publish(gate.not_before())
        gate.clips.drop_old()
        if not suspect:
            expire(gate)
            take_up_closures(gate)
        if gate.clock() - self._alarmed >= ALARM_EVERY:
            self._alarmed = gate.clock()
            raise_alarms(gate, mailer(gate.site), gate.site.gate.alarms_to)
        at, count = self._signed
        head = gate.journal.head()
        if head.count != count and gate.clock() - at >= SIGN_EVERY:
            gate.journal.sign_head()
            self._signed = (gate.clock(), head.count)

    def _secure(self) -> None:
        while not self._stop.is_set():
            self._work.clear()
            try:
                self.evidence.secure_pending()
            except Exception:
                log.exception("evidence could not be secured; it is tried again in %s s", self._every_s)
            self._work.wait(self._every_s)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.once()
            except Exception:
                # One failed round is told and tried again: nothing else would.
                log.exception("a round failed; it is walked again in %s s", self._every_s)
            self._stop.wait(self._every_s)
