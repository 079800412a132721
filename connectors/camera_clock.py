# SPDX-License-Identifier: AGPL-3.0-or-later
"""From a stream's own time to UTC: by a file's stated start, by the sender's reports, or by arrival."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import av

from connectors.errors import CameraUnreadable
from connectors.gop import Clock

log = logging.getLogger(__name__)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TRUSTED_WITHIN_S = 60.0
"""A camera's own clock further than this from ours is not believed; arrival is used and said."""
ADJUST_OVER_S = {"stream": 0.05, "arrival": 0.5, "file": 1e9}
"""A drift over this is taken up at the next GOP; below it time runs on evenly."""
JUMP_S = 2.0
"""A picture so much later than the one before that comes as much too soon, or so much earlier, is a jump of time."""


class CameraClock:
    """Keeps the offset from presentation time to UTC. It moves only between GOPs, and never makes time run back.

    So a camera whose own time jumps must be connected anew: stamps that ran ahead would hold all that follows.
    """

    def __init__(self, start_utc: datetime | None, first_pts_us: int | None, camera: str) -> None:
        self._camera = camera
        self._start_utc = start_utc
        self._offset_us: int | None = None
        self._newest_us: int | None = None
        self._last_at: datetime | None = None
        self._warned = False
        self._last_pts_us: int | None = None
        self._ahead_us = 0
        """The most that presentation time was ahead of arrival. It sinks by a thousandth, over any quartz's drift."""
        self.source: Clock = "file" if start_utc is not None else "arrival"
        if start_utc is not None and first_pts_us is not None:
            self._offset_us = _us(start_utc) - first_pts_us

    def saw(self, pts_us: int, packet: av.Packet, now: Callable[[], datetime]) -> None:
        """Note a packet's arrival and what the sender says of its time. Raises CameraUnreadable where that jumps."""
        if self._start_utc is not None:
            if self._offset_us is None:
                self._offset_us = _us(self._start_utc) - pts_us
            return
        arrived = _us(now())
        self._refuse_jump(pts_us, arrived)
        source: Clock = "arrival"
        wall = arrived
        said = _producer_time_us(packet)
        if said is not None:
            if abs(said - arrived) <= TRUSTED_WITHIN_S * 1e6:
                source, wall = "stream", said
            elif not self._warned:
                self._warned = True
                log.warning(
                    "camera %s says it is %s, %d s from this machine's clock: arrival is used; set the camera's clock",
                    self._camera,
                    (EPOCH + timedelta(microseconds=said)).isoformat(timespec="seconds"),
                    round((said - arrived) / 1e6),
                )
        if self._offset_us is None or (source == "stream" and self.source == "arrival" and self._last_at is None):
            self._offset_us, self.source, self._newest_us = wall - pts_us, source, None
        elif source == "stream" or self.source == "arrival":
            offset = wall - pts_us
            if source == "stream" and self.source == "arrival":
                self.source, self._newest_us = "stream", offset
            elif source == "stream":
                self._newest_us = offset
            else:  # of arrivals the earliest is nearest to the truth: delays only add
                self._newest_us = offset if self._newest_us is None else min(self._newest_us, offset)

    def _refuse_jump(self, pts_us: int, arrived_us: int) -> None:
        """What was lost or held up on the way makes pictures late, never early; time that jumps ahead does."""
        ahead = pts_us - arrived_us
        if self._last_pts_us is None:
            self._ahead_us = ahead
        else:
            step = pts_us - self._last_pts_us
            early = ahead - self._ahead_us
            if step < -JUMP_S * 1e6 or min(step, early) > JUMP_S * 1e6:
                raise CameraUnreadable(
                    f"camera {self._camera}: its time jumps by {step / 1e6:+.1f} s between two pictures; "
                    "have the camera keep its clock by NTP",
                    "time jumps",
                )
            self._ahead_us = max(ahead, self._ahead_us - abs(step) // 1000)
        self._last_pts_us = pts_us

    def at(self, pts_us: int) -> datetime:
        """UTC of a presentation time by the offset that holds now."""
        assert self._offset_us is not None  # noqa: S101 - `saw` comes first
        return EPOCH + timedelta(microseconds=pts_us + self._offset_us)

    def settle(self, first_pts_us: int, last_pts_us: int) -> datetime:
        """UTC of a GOP's first frame, after taking up drift; later than the last frame of the GOP before."""
        assert self._offset_us is not None  # noqa: S101
        if self._newest_us is not None:
            if abs(self._newest_us - self._offset_us) > ADJUST_OVER_S[self.source] * 1e6:
                self._offset_us = self._newest_us
            self._newest_us = None
        at = self.at(first_pts_us)
        if self._last_at is not None and at <= self._last_at and self._start_utc is None:
            at = self._last_at + timedelta(microseconds=1)
            self._offset_us = _us(at) - first_pts_us
        self._last_at = at + timedelta(microseconds=last_pts_us - first_pts_us)
        return at


def _us(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def _producer_time_us(packet: av.Packet) -> int | None:
    """Wall clock that the sender's RTCP reports give this packet (FFmpeg's producer reference time), if any."""
    if not packet.has_sidedata("prft"):
        return None
    raw = bytes(packet.get_sidedata("prft"))
    return struct.unpack_from("=q", raw)[0] if len(raw) >= 8 else None
