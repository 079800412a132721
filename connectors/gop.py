# SPDX-License-Identifier: AGPL-3.0-or-later
"""The records that carry video: a group of pictures exactly as the camera made it, and what may stand in its place.

`records.py` holds their encoding; `docs/records.md` describes it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

Clock = Literal["stream", "arrival", "file"]
"""Where UTC came from: the stream's own sender reports, the moment of arrival, or a file's stated start."""

Codec = Literal["h264", "hevc", "mjpeg"]


class CodecParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What a decoder must be told before the first packet."""

    codec: Codec
    width_px: int
    height_px: int
    extradata: bytes = b""
    framing: Literal["annexb", "length", "jpeg"] = "annexb"
    """How NAL units are delimited in packets: start codes, lengths (MP4), or whole JPEG pictures."""
    time_base: tuple[int, int] = (1, 90000)


class Packet(msgspec.Struct, frozen=True, array_like=True):
    """One compressed picture inside a GOP's payload."""

    size: int
    """Bytes; packets follow each other in decoding order."""
    pts_us: int
    """Presentation time after the GOP's `first_at`, microseconds (negative never)."""
    dts_us: int
    """Decoding time after the GOP's `first_at`, microseconds (may be negative)."""
    keyframe: bool


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """How a payload was sealed; the payload is ciphertext and the header is its associated data."""

    key_id: str
    """`camera/YYYY-MM-DDTHH/run`: one data key per camera and hour and capture run."""
    day: str
    """UTC day `YYYY-MM-DD` whose key pair seals the data key."""
    sealed_key: bytes
    """The data key, sealed to the public key of the day."""
    nonce: bytes


class Gop(msgspec.Struct, frozen=True, tag="gop", kw_only=True):
    """One group of pictures: keyframe first, packets copied, never re-encoded."""

    camera: str
    scope: str
    """`live`, or the requisition it is replayed for."""
    run: str
    """Id of the capture run that made it; with `sequence` it names the GOP for good."""
    sequence: int
    codec: CodecParameters
    first_at: datetime
    last_at: datetime
    """Capture UTC of the first and of the last frame by presentation order."""
    clock: Clock
    frames: int
    packets: tuple[Packet, ...]
    sha256: bytes
    """Of the clear payload's normalised NAL units (see `codec_units.py`), so that a remux does not change it."""
    payload: bytes
    """The packets one after another, or their ciphertext."""
    seal: Seal | None = None
    open_gop: bool = False
    """True when some leading pictures need the GOP before to decode."""
    part: int = 0
    parts: int = 1
    """A GOP over the record limit travels as several records; `join` in `records.py` makes it one again."""


class Gap(msgspec.Struct, frozen=True, tag="gap", kw_only=True):
    """A stretch of capture time for which a camera gave nothing."""

    camera: str
    scope: str
    run: str
    sequence: int
    started_at: datetime
    ended_at: datetime
    reason: str


class EndOfInterval(msgspec.Struct, frozen=True, tag="end", kw_only=True):
    """Closes one interval of a replay: trackers flush, coverage is completed."""

    camera: str
    scope: str
    order: str
    """Id of the signed order that asked for the replay."""
    sequence: int
    started_at: datetime
    ended_at: datetime
    """The interval asked for; frames outside it are decoded and never shown or indexed."""


FrameRecord = Gop | Gap | EndOfInterval
"""What a topic of frames carries."""
