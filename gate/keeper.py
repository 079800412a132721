# SPDX-License-Identifier: AGPL-3.0-or-later
"""The keeper, a process of its own: `python -m gate.keeper --site SITE`. It migrates, and erases what is past its date.

It reads no passage and opens no picture. Nothing is destroyed while the clock is suspect (`clock.py`).
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from connectors.archive import ArchiveEraser, ArchiveReader
from connectors.archive_views import ArchiveViews
from connectors.broker import Broker
from connectors.clickhouse import open_keeper, open_reader
from connectors.errors import BrokerError, ConnectorError, SiteError, StoreError
from connectors.kafka import site_broker
from connectors.site import load_site
from connectors.store import StoreKeeper
from gate.closure import finish_closures
from gate.database import RegisterRow
from gate.gate import Gate
from gate.journal import Because
from gate.proof import proof_is_due, prove, seen_topics
from gate.setup import set_up

EVERY_S = 5.0
DESTROY_EVERY_S = 600.0
PUT_OFF = 18
"""Rounds of destruction, three hours, that a proof waits for a broker that cannot be looked at; then it fails."""
KEYS, RECORDINGS, PICTURES, STORE, JOURNAL = "the keys", "the recordings", "the pictures", "the store", "the journal"
"""What may fail besides a camera, whose name has no space: words of the register, put into French by its page."""
log = logging.getLogger("gate.keeper")


class Keeper:
    """Finishes closures at every round; destroys what is past its date every ten minutes or so, and proves it daily."""

    def __init__(self, gate: Gate, store: StoreKeeper) -> None:
        self._gate = gate
        self._store = store
        self._migrated = False
        self._destroy_at = time.monotonic()
        self._held: bool | None = None
        self._put_off = 0

    def once(self, open_broker: Callable[[], Broker]) -> None:
        """One round. No step waits for another to succeed: keys and recordings go without the store as well."""
        if not self._migrated:
            _step("migrating the store", self._migrate, EVERY_S)
        _step("watching the clock", self.watch_clock, EVERY_S)
        _step("erasing what closed requisitions indexed", self.close_requisitions, EVERY_S)
        if time.monotonic() >= self._destroy_at:
            self._destroy_at = time.monotonic() + DESTROY_EVERY_S
            _step("destroying what is past its date", self.destroy, DESTROY_EVERY_S)
            _step("proving it", lambda: self.prove(open_broker), DESTROY_EVERY_S)

    def _migrate(self) -> None:
        for name in self._store.migrate():
            log.info("migrated %s", name)
        self._migrated = True

    def watch_clock(self) -> None:
        """Hold the store's own ageing while the clock is suspect, and let it go on once the clock is confirmed."""
        suspect = bool(self._gate.clock_guard.watch())
        if suspect == self._held:
            return
        if suspect:
            self._store.hold_ageing()
        else:
            self._store.resume_ageing()
        self._held = suspect

    def close_requisitions(self) -> list[str]:
        """Erase the index of closed requisitions whose runs are stopped."""
        return finish_closures(self._gate, self._store)

    def destroy(self) -> bool:
        """Destroy everything captured before the retention limit; False where something due is left.

        Counted from capture: keys of days that are over, archive, pictures, rows. All is left while the clock is
        suspect; what cannot be destroyed keeps nothing else from it, is named in the register, and waits for the next
        round. A store that does not answer makes no line by itself.
        """
        gate = self._gate
        suspect = gate.clock_guard.watch()
        if suspect:
            log.error("nothing is destroyed: %s; `passage retention confirm-clock` once it is right", suspect)
            return False
        limit = gate.not_before()
        failed: list[str] = []
        due: list[str] = []
        views: list[Path] = []
        stored = None
        # A day's key goes when all that it sealed is past its date.
        days = [day for day in gate.keys.days() if day < f"{limit:%Y-%m-%d}"]
        with _noted(RECORDINGS, failed):
            eraser, reader = ArchiveEraser(gate.site.archive_dir), ArchiveReader(gate.site.archive_dir)
            due = [camera for camera in reader.cameras() if _is_due(eraser, camera, limit)]
        with _noted(PICTURES, failed):
            views = ArchiveViews(gate.site.archive_dir).before(limit)
        with _noted(STORE, failed):
            stored = self._store.oldest()
        rows = stored is not None and stored < limit.replace(microsecond=0)
        if due or days or views or rows or gate.journal.old_volumes(gate.clock()):
            self._destroy_due(limit, days, due, failed)
        return not failed

    def _destroy_due(self, limit: datetime, days: list[str], due: list[str], failed: list[str]) -> None:
        """Destroy what is due, keys first; the register says what went, and what in `failed` did not."""
        gate, eraser = self._gate, ArchiveEraser(self._gate.site.archive_dir)
        volumes = [volume.name for volume in gate.journal.old_volumes(gate.clock())]
        words = {"before": limit.isoformat(), "cameras": due, "keys": days, "journal": volumes}
        gone: dict[str, int] = {}
        with gate.journal.act("retention.destroy", Because(), words) as outcome:
            for day in days:
                with _noted(KEYS, failed):
                    gate.keys.destroy(day)
            for camera in due:
                with _noted(camera, failed):
                    gone[camera] = eraser.erase_before(camera, limit)
            with _noted(PICTURES, failed):
                outcome.note(views=eraser.erase_views_before(limit))
            with _noted(STORE, failed):
                self._store.erase_before(limit)
            with _noted(JOURNAL, failed):
                gate.journal.destroy_volumes(gate.clock())
            outcome.note(bytes=gone, failed=failed)
            left = gate.keys.days()
            went = {"cameras": list(gone), "keys": [day for day in days if day not in left], "bytes": gone}
            with gate.database.write() as s:
                details = {**words, **went, "failed": failed}
                s.add(RegisterRow(at=gate.clock(), kind="destroyed", details=details))

    def prove(self, open_broker: Callable[[], Broker]) -> None:
        """Prove where a proof is due; put it off, `PUT_OFF` times at most, while the broker may still be starting."""
        if not proof_is_due(self._gate):
            return
        broker = None
        try:
            broker = open_broker()
            seen_topics(broker)
        except (BrokerError, SiteError) as fault:
            if self._put_off < PUT_OFF:
                self._put_off += 1
                log.warning(
                    "the proof of destruction is put off to the next round, in %s s: %s", DESTROY_EVERY_S, fault
                )
                return
            log.error("the proof of destruction is made, though the broker cannot be looked at: %s", fault)
        self._put_off = 0
        if not prove(self._gate, self._store, broker).good:
            log.error("the proof of destruction failed: `passage retention prove` shows what was found")


@contextmanager
def _noted(what: str, failed: list[str]) -> Iterator[None]:
    """Go on where a part of the destruction fails, whatever the fault: it is logged, and `what` counts as failed."""
    try:
        yield
    except Exception as fault:
        log.error("%s: what is past its date cannot be destroyed: %s: %s", what, type(fault).__name__, fault)
        if what not in failed:
            failed.append(what)


def _step(name: str, do: Callable[[], object], again_s: float) -> None:
    """Take one step of a round; where it fails, its fault is logged and the round goes on."""
    try:
        do()
    except (ConnectorError, OSError) as fault:
        log.warning("%s: %s: %s; tried again in %s s", name, type(fault).__name__, fault, again_s)
    except Exception:
        log.exception("%s failed; tried again in %s s", name, again_s)


def _is_due(eraser: ArchiveEraser, camera: str, limit: datetime) -> bool:
    """Whether a camera has anything past its date, or cannot be looked at: erasing it then says why."""
    try:
        at = eraser.oldest(camera)
    except OSError:
        return True
    return at is None or at < limit


def main(arguments: list[str] | None = None) -> int:
    """Run the keeper until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m gate.keeper", description="Migrates, and erases what is due.")
    parser.add_argument("--site", type=Path, required=True, help="the town's site.toml")
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        site = load_site(options.site)
        set_up(site)
        store = open_keeper(site)
        gate = Gate(site, open_reader(site))
    except (SiteError, StoreError) as fault:
        print(fault, file=sys.stderr)
        return 2
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    keeper = Keeper(gate, store)
    while not stop.is_set():
        keeper.once(lambda: site_broker(site, "keeper"))
        stop.wait(EVERY_S)
    gate.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
