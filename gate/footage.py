# SPDX-License-Identifier: AGPL-3.0-or-later
"""Recorded video inside a permit: found where the permit says, opened in memory only, never outside the bounds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from connectors.archive import ArchiveReader
from connectors.archive_segment import Row
from connectors.bounds import Bounds, Interval
from connectors.errors import ArchiveError, SealError
from connectors.gop import Gop, Seal
from connectors.sealing import open_gop
from gate.errors import KeyDestroyed
from gate.requisitions import merged
from reid.passage import LIVE

log = logging.getLogger("gate.footage")


class Keys(Protocol):
    """Gives the data key inside a seal."""

    def data_key(self, seal: Seal, scope: str) -> bytes:
        """32 bytes, or KeyUnavailable."""


class Footage:
    """Reads the archive, or what was secured for a requisition, wrapped with bounds."""

    def __init__(self, archive: Path, exhibits: Path, keys: Keys) -> None:
        self._archive = ArchiveReader(archive)
        self._exhibits = exhibits
        self._keys = keys

    def sealed(self, bounds: Bounds, camera: str) -> Iterator[Gop]:
        """Groups of pictures of one camera that touch the bounds, still sealed, each once, in time order.

        What was secured for the requisition comes first; the archive fills in what is not copied yet, and gives nothing
        captured before the retention limit.
        """
        if camera not in bounds.cameras:
            return
        seen: set[tuple[int, bytes]] = set()
        for interval in merged(bounds.intervals):
            for reader, segment, row in self._entries(bounds, camera, interval):
                if row.key in seen:
                    continue
                try:
                    gop = reader.read(segment, row)
                except ArchiveError as fault:
                    # A damaged record is a gap to whoever looks.
                    log.error("a record of %s cannot be read: %s", camera, fault)
                    continue
                seen.add(row.key)
                yield gop

    def opened(self, bounds: Bounds, camera: str, before: Callable[[], None] = lambda: None) -> Iterator[Gop]:
        """The same, in clear, in memory, without those that do not open; `before` each one it is called."""
        for gop in self.sealed(bounds, camera):
            before()
            try:
                clear = self.open(gop, bounds.scope)
            except KeyDestroyed as fault:
                # A gap to whoever looks, as a damaged record is.
                log.error("a record of %s stays closed: %s", camera, fault)
                continue
            yield clear

    def open(self, gop: Gop, scope: str) -> Gop:
        """One group of pictures in clear; KeyDestroyed when its key pair is gone, or when it was changed."""
        if gop.seal is None:
            return gop
        try:
            return open_gop(gop, self._keys.data_key(gop.seal, scope))
        except SealError as fault:
            raise KeyDestroyed(str(fault)) from fault

    def recorded(self, bounds: Bounds, camera: str, interval: Interval) -> list[Interval]:
        """Which parts of the interval are held and may still be shown."""
        if camera not in bounds.cameras:
            return []
        found: list[Interval] = []
        for allowed in merged(bounds.intervals):
            whole = allowed.meet(interval)
            if whole is None:
                continue
            if (secured := self.secured(bounds.scope)) is not None:
                found += secured.recorded(camera, whole)
            if whole.end > bounds.not_before:
                recent = Interval(max(whole.start, bounds.not_before), whole.end)
                found += self._archive.recorded(camera, recent)
        return list(merged(tuple(found)))

    def recorder(self, bounds: Bounds) -> Callable[[str, Interval], list[Interval]]:
        """`recorded` for these bounds, as coverage statements ask it."""
        return lambda camera, interval: self.recorded(bounds, camera, interval)

    def _entries(self, bounds: Bounds, camera: str, interval: Interval) -> list[tuple[ArchiveReader, Path, Row]]:
        secured = self.secured(bounds.scope)
        found = [(secured, *e) for e in secured.entries(camera, interval)] if secured is not None else []
        found += [
            (self._archive, *e) for e in self._archive.entries(camera, interval) if e[1].first_at >= bounds.not_before
        ]
        # Stable: of the same moment, the secured one is first.
        return sorted(found, key=lambda e: (e[2].first_us, e[2].last_us))

    def secured(self, scope: str) -> ArchiveReader | None:
        """What was copied for a requisition at its opening, which no retention overtakes; None where nothing was."""
        folder = self._exhibits / scope
        return ArchiveReader(folder) if scope != LIVE and folder.is_dir() else None
