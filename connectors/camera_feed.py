# SPDX-License-Identifier: AGPL-3.0-or-later
"""A thread that keeps one camera's records coming: connects, reads, waits and connects again, until told to stop."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from connectors.broker import back_off
from connectors.camera import CameraReader
from connectors.errors import CameraError, CameraUnreachable, CameraUnreadable
from connectors.gop import EndOfInterval, FrameRecord, Gap, Gop
from connectors.site import CameraSite, utc_now

log = logging.getLogger(__name__)

QUEUE_GOPS = 16
GAP_OVER_S = 2.0
"""A hole in a stream's own time longer than this is a gap."""
GAP_EVERY_S = 60.0
"""While a camera is away, its gap is told in pieces this long, so that coverage is known meanwhile."""
DAMAGE_EVERY_S = 60.0
"""A camera's damaged packets are warned about no more often than this."""


class CameraPosition(msgspec.Struct, frozen=True):
    """How far a camera's time has been handed on; survives a restart."""

    last_at: datetime | None = None
    """Capture time of the last frame handed on, or end of the last gap."""
    ended: bool = False
    """The file was read to its end."""


class Reading(Protocol):
    """One connection, as `CameraReader` makes it."""

    shortfall: tuple[datetime, datetime] | None

    def records(self) -> Iterator[Gop | Gap]:
        """GOPs, and gaps for damaged ones, until the end; a CameraError when the camera fails."""


class FeedReport(Protocol):
    """Who wants to know how a camera fares."""

    def up(self, camera: str, is_up: bool) -> None:
        """It gives video, or does not."""

    def failed(self, camera: str, fault: CameraError) -> None:
        """A connection was lost or not to be had, for this reason."""

    def dropped(self, camera: str) -> None:
        """A GOP was dropped because nobody took it."""

    def damaged(self, camera: str) -> None:
        """A packet came damaged and was left out."""


class CameraFeed:
    """The records of one camera through a bounded queue; `take` never waits.

    A stream cannot wait: when the queue is full its GOP is dropped, and the hole is told as a gap. A file can: its
    reading stops until there is room, whatever its pace.
    """

    def __init__(
        self,
        camera: CameraSite,
        *,
        run: str,
        position: CameraPosition,
        record_limit_bytes: int = 4_000_000,
        report: FeedReport | None = None,
        now: Callable[[], datetime] = utc_now,
        queue_gops: int = QUEUE_GOPS,
        connect: Callable[[int], Reading] | None = None,
    ) -> None:
        self.camera = camera
        self._run = run
        self._position = position
        self._report = report
        self._now = now
        self._queue: queue.Queue[FrameRecord] = queue.Queue(queue_gops)
        self._stopping = threading.Event()
        self._done = threading.Event()
        self._sequence = 0
        self._last_at = position.last_at
        self._gap_since: datetime | None = None
        self._gap_reason = ""
        self._damaged_packets = 0
        self._damage_told_at: datetime | None = None
        self._connect = connect or (
            lambda sequence: CameraReader(
                camera,
                run=run,
                first_sequence=sequence,
                resume_after=self._last_at,
                record_limit_bytes=record_limit_bytes,
                stop=self._stopping.is_set,
                damaged=self._damaged,
                now=now,
            )
        )
        self._thread = threading.Thread(target=self._work, name=f"camera-{camera.name}", daemon=True)
        if position.ended:
            self._done.set()

    def start(self) -> None:
        """Begin to read."""
        if not self._done.is_set():
            self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; what it has read stays to be taken."""
        self._stopping.set()

    @property
    def finished(self) -> bool:
        """Whether nothing more will come and everything was taken."""
        return self._done.is_set() and self._queue.empty()

    def take(self) -> FrameRecord | None:
        """The next record, or None when there is none now."""
        try:
            record = self._queue.get_nowait()
        except queue.Empty:
            return None
        self._position = CameraPosition(_end(record), isinstance(record, EndOfInterval))
        return record

    @property
    def position(self) -> CameraPosition:
        """Up to where records were taken."""
        return self._position

    def _work(self) -> None:
        try:
            if self.camera.is_file:
                self._read_file()
            else:
                self._read_stream()
        except Exception as fault:
            log.exception("camera %s: its thread failed, a fault of this program", self.camera.name)
            self._failed(
                CameraError(f"camera {self.camera.name}: {type(fault).__name__} ended its reading, see the log")
            )
        finally:
            self._tell(False)
            self._done.set()

    # Files

    def _read_file(self) -> None:
        camera = self.camera
        assert camera.start_utc is not None  # noqa: S101 - the site file was checked
        began, base = time.monotonic(), self._last_at or camera.start_utc
        reached = self._last_at
        reason = ""
        try:
            reading = self._connect(self._sequence)
            for record in reading.records():
                self._tell(True)
                if isinstance(record, Gap):
                    log.warning("camera %s: %s", camera.name, record.reason)
                if camera.pace == "real":
                    due = began + (_end(record) - base).total_seconds()
                    if self._stopping.wait(max(0.0, due - time.monotonic())):
                        return
                if not self._put(record):
                    return
                reached = _end(record)
            if self._stopping.is_set():
                return
            if reading.shortfall is not None:
                start, end = reading.shortfall
                reason = f"the file ends at {start.isoformat()}, its header promised {end.isoformat()}"
                log.warning("camera %s: %s", camera.name, reason)
                self._put_gap(start, end, reason)
                reached = end
        except CameraError as fault:
            self._failed(fault)
            if reached is None:
                return  # not one picture could be read: the next start tries again
            reason = str(fault)
            self._put_gap(reached, reached + timedelta(microseconds=1), reason)
        start, end = camera.start_utc, reached or camera.start_utc
        closing = EndOfInterval(
            camera=camera.name,
            scope="live",
            order="",
            sequence=self._sequence,
            started_at=start,
            ended_at=max(end, start + timedelta(microseconds=1)),
        )
        if self._put(closing):
            log.info("camera %s: end of its file reached%s", camera.name, f" ({reason})" if reason else "")

    # Streams

    def _read_stream(self) -> None:
        waits, began = back_off(1.0, 60.0), self._now()
        if self._last_at is not None:
            self._begin_gap(self._last_at, "capture was not running")
        while not self._stopping.is_set():
            try:
                reading = self._connect(self._sequence)
                for record in reading.records():
                    if isinstance(record, Gap):  # a new connection brings a new keyframe, perhaps a sound one
                        rubbish = f"camera {self.camera.name} sends rubbish: {record.reason}"
                        raise CameraUnreadable(rubbish, "damaged video")
                    waits = back_off(1.0, 60.0)
                    self._tell(True)
                    self._offer(record)
                if self._stopping.is_set():
                    break
                raise CameraUnreachable(f"camera {self.camera.name} ended its stream", "stream ended")
            except CameraError as fault:
                self._failed(fault)
                self._begin_gap(self._last_at or began, str(fault))
            wait_s = next(waits)
            log.info("camera %s: connecting again in %.0f s", self.camera.name, wait_s)
            self._wait_in_gap(wait_s)
        if self._gap_since is not None:
            self._end_gap(self._now())

    def _wait_in_gap(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stopping.wait(min(left, 1.0)):
            now = self._now()
            if self._gap_since is not None and (now - self._gap_since).total_seconds() >= GAP_EVERY_S:
                reason = self._gap_reason
                self._end_gap(now)
                self._begin_gap(now, reason)

    def _offer(self, gop: Gop) -> None:
        """Queue a stream's GOP, or drop it and remember the hole."""
        if self._gap_since is not None:
            self._end_gap(gop.first_at)
            if self._gap_since is not None:  # still no room: the hole grows
                self._drop()
                return
        elif self._last_at is not None and (gop.first_at - self._last_at).total_seconds() > GAP_OVER_S:
            self._put_gap(self._last_at, gop.first_at, "the camera sent nothing for this time")
        gop = msgspec.structs.replace(gop, sequence=self._sequence)
        try:
            self._queue.put_nowait(gop)
        except queue.Full:
            self._begin_gap(self._last_at or gop.first_at, "capture could not pass it on: broker away or too slow")
            self._drop()
            return
        self._handed_on(gop)

    def _drop(self) -> None:
        if self._report is not None:
            self._report.dropped(self.camera.name)

    def _begin_gap(self, since: datetime, reason: str) -> None:
        if self._gap_since is None:
            self._gap_since, self._gap_reason = since, reason

    def _end_gap(self, until: datetime) -> None:
        if self._gap_since is not None and self._put_gap(self._gap_since, until, self._gap_reason, wait=False):
            self._gap_since = None

    def _put_gap(self, start: datetime, end: datetime, reason: str, wait: bool = True) -> bool:
        if end <= start:
            return True
        gap = Gap(
            camera=self.camera.name,
            scope="live",
            run=self._run,
            sequence=self._sequence,
            started_at=start,
            ended_at=end,
            reason=reason,
        )
        if wait and self.camera.is_file:
            return self._put(gap)
        try:
            self._queue.put_nowait(gap)
        except queue.Full:
            return False
        self._handed_on(gap)
        return True

    def _put(self, record: FrameRecord) -> bool:
        """Queue a file's record as soon as there is room; False when stopped meanwhile."""
        while not self._stopping.is_set():
            try:
                self._queue.put(record, timeout=0.1)
            except queue.Full:
                continue
            self._handed_on(record)
            return True
        return False

    def _handed_on(self, record: FrameRecord) -> None:
        self._sequence = record.sequence + 1
        self._last_at = _end(record)

    def _failed(self, fault: CameraError) -> None:
        log.warning("%s", fault)
        self._tell(False)
        if self._report is not None:
            self._report.failed(self.camera.name, fault)

    def _damaged(self) -> None:
        if self._report is not None:
            self._report.damaged(self.camera.name)
        self._damaged_packets += 1
        now = self._now()
        if self._damage_told_at is None or (now - self._damage_told_at).total_seconds() >= DAMAGE_EVERY_S:
            log.warning(
                "camera %s: %d packets came damaged and were left out: check its network, or the disk of its file",
                self.camera.name,
                self._damaged_packets,
            )
            self._damaged_packets, self._damage_told_at = 0, now

    def _tell(self, is_up: bool) -> None:
        if self._report is not None:
            self._report.up(self.camera.name, is_up)


def _end(record: FrameRecord) -> datetime:
    return record.last_at if isinstance(record, Gop) else record.ended_at
