# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where one group of pictures ends and the next begins."""

from __future__ import annotations

from typing import NamedTuple

from connectors.errors import CameraUnreadable
from connectors.gop import Packet


class Picture(NamedTuple):
    """One compressed picture of a stream, in decoding order."""

    data: bytes
    pts_us: int
    """Presentation time on the stream's own clock, microseconds."""
    dts_us: int
    keyframe: bool

    def entry(self, first_pts_us: int) -> Packet:
        """Its line in the packet table of a GOP whose first frame is at `first_pts_us`."""
        return Packet(len(self.data), self.pts_us - first_pts_us, self.dts_us - first_pts_us, self.keyframe)


class GopCutter:
    """Cuts before keyframes, but makes no group shorter than `least_s`.

    All-intra streams (Motion-JPEG) would otherwise give one record a frame. A group over `soft_bytes` is cut at its
    next keyframe whatever its length; one over `most_bytes` or `most_s` without any is refused.
    """

    def __init__(
        self, least_s: float = 0.9, soft_bytes: int = 2_000_000, most_bytes: int = 64_000_000, most_s: float = 60.0
    ) -> None:
        self._least_us = round(least_s * 1_000_000)
        self._most_us = round(most_s * 1_000_000)
        self._soft_bytes = soft_bytes
        self._most_bytes = most_bytes
        self._group: list[Picture] = []
        self._bytes = 0

    @property
    def started(self) -> bool:
        """Whether a keyframe has come."""
        return bool(self._group)

    def add(self, picture: Picture) -> list[Picture] | None:
        """The finished group when this picture begins the next. Pictures before the first keyframe are dropped.

        Raises CameraUnreadable when keyframes lie too far apart to hold a group in memory.
        """
        done = None
        if picture.keyframe and self._group and self._may_cut(picture):
            done = self.flush()
        if picture.keyframe or self._group:
            self._group.append(picture)
            self._bytes += len(picture.data)
        length_us = self._group[-1].dts_us - self._group[0].dts_us if self._group else 0
        if self._bytes > self._most_bytes or length_us > self._most_us:
            raise CameraUnreadable(
                f"{length_us / 1e6:.0f} s, {self._bytes} bytes and {len(self._group)} frames without a keyframe; "
                "set a keyframe every 1 to 2 s in the camera",
                "no keyframe",
            )
        return done

    def flush(self) -> list[Picture] | None:
        """What is held, as a last group."""
        done, self._group, self._bytes = self._group or None, [], 0
        return done

    def _may_cut(self, picture: Picture) -> bool:
        return picture.dts_us - self._group[0].dts_us >= self._least_us or self._bytes >= self._soft_bytes
