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
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from connectors.archive import ArchiveEraser, ArchiveReader
from connectors.broker import Broker
from connectors.clickhouse import open_keeper, open_reader
from connectors.errors import ArchiveError, BrokerError, ConnectorError, SiteError, StoreError
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
log = logging.getLogger("gate.keeper")


class Keeper:
    """Finishes closures at every round; destroys what is past its date every ten minutes or so, and proves it daily."""

    def __init__(self, gate: Gate, store: StoreKeeper) -> None:
        self._gate = gate
        self._store = store
        self._held: bool | None = None
        self._put_off = 0

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

        Counted from capture: archive, pictures, rows, and the keys of days that are over. All is left while the clock
        is suspect; where one camera's recordings cannot be erased, they alone are, until the next round.
        """
        gate = self._gate
        suspect = gate.clock_guard.watch()
        if suspect:
            log.error("nothing is destroyed: %s; `passage retention confirm-clock` once it is right", suspect)
            return False
        limit = gate.not_before()
        eraser = ArchiveEraser(gate.site.archive_dir)
        cameras = ArchiveReader(gate.site.archive_dir).cameras()
        due = [camera for camera in cameras if _is_due(eraser, camera, limit)]
        gone: dict[str, int] = {}
        # A day's key goes when all that it sealed is past its date.
        days = [day for day in gate.keys.days() if day < f"{limit:%Y-%m-%d}"]
        stored = self._store.oldest()
        volumes = gate.journal.old_volumes(gate.clock())
        if due or days or volumes or (stored is not None and stored < limit.replace(microsecond=0)):
            words = {"before": limit.isoformat(), "cameras": due, "keys": days, "journal": [v.name for v in volumes]}
            with gate.journal.act("retention.destroy", Because(), words) as outcome:
                for day in days:
                    gate.keys.destroy(day)
                for camera in due:
                    try:
                        gone[camera] = eraser.erase_before(camera, limit)
                    except (ArchiveError, OSError) as fault:
                        log.error("recordings of %s that are past their date cannot be erased: %s", camera, fault)
                failed = [camera for camera in due if camera not in gone]
                views = eraser.erase_views_before(limit)
                self._store.erase_before(limit)
                gate.journal.destroy_volumes(gate.clock())
                outcome.note(bytes=gone, views=views, failed=failed)
                with gate.database.write() as s:
                    details = {**words, "bytes": gone, "failed": failed}
                    s.add(RegisterRow(at=gate.clock(), kind="destroyed", details=details))
        return len(gone) == len(due)

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
    migrated = False
    waited = DESTROY_EVERY_S
    while not stop.is_set():
        try:
            if not migrated:
                for name in store.migrate():
                    log.info("migrated %s", name)
                migrated = True
            keeper.watch_clock()
            keeper.close_requisitions()
            if waited >= DESTROY_EVERY_S:
                keeper.destroy()
                waited = 0.0
                keeper.prove(lambda: site_broker(site, "keeper"))
        except (ConnectorError, OSError) as fault:
            log.warning("%s: %s; tried again in %s s", type(fault).__name__, fault, EVERY_S)
        except Exception:
            log.exception("the round failed; it is walked again in %s s", EVERY_S)
        stop.wait(EVERY_S)
        waited += EVERY_S
    gate.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
