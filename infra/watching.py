# SPDX-License-Identifier: AGPL-3.0-or-later
"""Watching a running stack at work: until its archive holds what cameras sent, until a requisition is indexed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from connectors.archive import ArchiveReader
from connectors.bounds import Interval
from connectors.site import Site
from gate.client import GateClient
from infra.errors import StackError

RECORDED_SHARE = 0.98
"""So much of the video must be found in the archive; groups of pictures end a little before the next one begins."""
_LOOK_EVERY_S = 0.4


def wait_until(
    measure: Callable[[], float], enough: float, patience_s: float, tell: Callable[[float], None], what: str
) -> None:
    """Measure and tell it, again and again, until it is enough. Raises StackError when it stands still for too long."""
    best, moved = -1.0, time.monotonic()
    while True:
        now = measure()
        tell(now)
        if now >= enough:
            return
        if now > best:
            best, moved = now, time.monotonic()
        if time.monotonic() - moved > patience_s:
            raise StackError(f"{what} stands still at {now:.0f} of {enough:.0f} for {patience_s:.0f} s")
        time.sleep(_LOOK_EVERY_S)


def recorded_s(site: Site, stretches: Iterable[tuple[str, Interval]]) -> float:
    """Seconds of cameras' stretches that the archive holds."""
    reader = ArchiveReader(site.archive_dir)
    parts = (part for camera, interval in stretches for part in reader.recorded(camera, interval))
    return sum((part.end - part.start).total_seconds() for part in parts)


def indexed_s(client: GateClient, requisition: str, asked_s: float, site: Site) -> float:
    """Camera-seconds of a requisition that are indexed; all that were asked for once its links are made too.

    Raises StackError when indexing has failed.
    """
    progress = client.progress(requisition)
    if progress.state == "failed":
        raise StackError(f"indexing failed: {progress.message} (logs are in {site.data / 'logs'})")
    return asked_s if progress.state == "done" else min(progress.seconds_done, asked_s - 1.0)
