# SPDX-License-Identifier: AGPL-3.0-or-later
"""Recorded video inside a permit: found where the permit says, opened in memory only, never outside the bounds."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from connectors.archive import ArchiveReader
from connectors.bounds import Bounds, Interval
from connectors.errors import ArchiveError, KeyUnavailable
from connectors.gop import Gop, Seal
from connectors.sealing import open_gop
from gate.errors import KeyDestroyed
from gate.requisitions import merged

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

    def secured(self, scope: str) -> bool:
        """Whether evidence was copied for this scope."""
        return (self._exhibits / scope / "secured").exists()

    def sealed(self, bounds: Bounds, camera: str) -> Iterator[Gop]:
        """Groups of pictures of one camera that touch the bounds, still sealed, each once, in time order."""
        last: tuple[str, int] | None = None
        for interval in self._intervals(bounds, camera):
            for record in self._readable(bounds.scope, camera, interval):
                if last == (record.run, record.sequence):
                    continue
                last = (record.run, record.sequence)
                yield record

    def _readable(self, scope: str, camera: str, interval: Interval) -> Iterator[Gop]:
        """Records that are whole; a damaged one is a gap to whoever looks."""
        reader = self._reader(scope)
        for segment, row in reader.entries(camera, interval):
            try:
                yield reader.read(segment, row)
            except ArchiveError as fault:
                log.error("a record of %s cannot be read: %s", camera, fault)

    def opened(self, bounds: Bounds, camera: str) -> Iterator[Gop]:
        """The same, in clear, in memory."""
        for gop in self.sealed(bounds, camera):
            yield self.open(gop, bounds.scope)

    def open(self, gop: Gop, scope: str) -> Gop:
        """One group of pictures in clear; KeyDestroyed when its key pair is gone."""
        if gop.seal is None:
            return gop
        try:
            return open_gop(gop, self._keys.data_key(gop.seal, scope))
        except KeyUnavailable as fault:
            raise KeyDestroyed(str(fault)) from fault

    def recorded(self, bounds: Bounds, camera: str, interval: Interval) -> list[Interval]:
        """Which parts of the interval are held and may still be shown."""
        return [
            piece
            for allowed in self._intervals(bounds, camera)
            for whole in [allowed.meet(interval)]
            if whole is not None
            for held in self._reader(bounds.scope).recorded(camera, whole)
            for piece in [held.meet(whole)]
            if piece is not None
        ]

    def shown(self, bounds: Bounds, granted: tuple[Interval, ...]) -> tuple[Interval, ...]:
        """The stretches of the grant whose pictures may leave."""
        return tuple(self._recent(bounds, granted))

    def _reader(self, scope: str) -> ArchiveReader:
        return ArchiveReader(self._exhibits / scope) if self.secured(scope) else self._archive

    def _intervals(self, bounds: Bounds, camera: str) -> list[Interval]:
        """The stretches of this camera that may be read: none outside the bounds, none past the retention limit.

        What was secured for a requisition at its opening has that requisition's own deadline instead.
        """
        return self._recent(bounds, bounds.intervals) if camera in bounds.cameras else []

    def _recent(self, bounds: Bounds, intervals: tuple[Interval, ...]) -> list[Interval]:
        if self.secured(bounds.scope):
            return list(merged(intervals))
        return [
            Interval(max(i.start, bounds.not_before), i.end) for i in merged(intervals) if i.end > bounds.not_before
        ]
