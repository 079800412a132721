# SPDX-License-Identifier: AGPL-3.0-or-later
"""The one encoding of all that crosses Kafka or lies in the archive; `docs/records.md` describes it byte by byte.

    magic `PSG` | version u8 | CRC-32 u32 (little-endian, of the body) | body: one msgpack map with its `type`

A field is only ever added, with a default, so that an old record still reads. A change that an old reader would
misunderstand raises `VERSION`, and the old reader then refuses the record instead of guessing.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypeVar

import msgspec

from connectors.errors import RecordCorrupt, RecordTooNew
from connectors.gop import EndOfInterval, FrameRecord, Gap, Gop
from reid.passage import Coverage, Passage, Track

MAGIC: Final = b"PSG"
VERSION: Final = 1
HEADER_BYTES: Final = 8

ENVELOPE_BYTES: Final = 4096
"""Room that a part of a GOP leaves for its own header, the key and the broker's framing, besides its packet table."""


class DeadRecord(msgspec.Struct, frozen=True, tag="dead", kw_only=True):
    """A record that could not be used, whole, with the reason, so that a person can look and replay it."""

    topic: str
    partition: int
    offset: int
    key: str
    error: str
    """Name of the error's class."""
    reason: str
    data: bytes
    found_at: datetime


IndexRecord = Passage | Track | Coverage | EndOfInterval
"""What a topic of passages carries; an EndOfInterval says that all before it of its interval has been indexed."""

AnyRecord = Gop | Gap | EndOfInterval | Passage | Track | Coverage | DeadRecord

T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()
_frames = msgspec.msgpack.Decoder(FrameRecord)
_index = msgspec.msgpack.Decoder(IndexRecord)
_dead = msgspec.msgpack.Decoder(DeadRecord)


def encode(record: AnyRecord) -> bytes:
    """The bytes of a record."""
    body = _encoder.encode(record)
    return b"".join((MAGIC, bytes((VERSION,)), zlib.crc32(body).to_bytes(4, "little"), body))


def headers(record: AnyRecord) -> list[tuple[str, bytes]]:
    """Kafka headers of a record: schema version and kind, readable without decoding it."""
    return [("v", b"%d" % VERSION), ("type", str(type(record).__struct_config__.tag).encode())]


def decode_frame(data: bytes) -> FrameRecord:
    """A Gop, Gap or EndOfInterval from its bytes. Raises RecordCorrupt or RecordTooNew."""
    frame: FrameRecord = _decode(data, _frames, "frame")
    return frame


def decode_index(data: bytes) -> IndexRecord:
    """A Passage, Track, Coverage or EndOfInterval from its bytes. Raises RecordCorrupt or RecordTooNew."""
    record: IndexRecord = _decode(data, _index, "index")
    return record


def decode_dead(data: bytes) -> DeadRecord:
    """A DeadRecord from its bytes. Raises RecordCorrupt or RecordTooNew."""
    return _decode(data, _dead, "dead")


def _decode(data: bytes, decoder: msgspec.msgpack.Decoder[T], kind: str) -> T:
    if len(data) < HEADER_BYTES or data[:3] != MAGIC:
        raise RecordCorrupt(f"{len(data)} bytes that do not begin with {MAGIC!r}: this is no record of Passage")
    if data[3] > VERSION:
        raise RecordTooNew(f"the record has version {data[3]}, this program reads up to {VERSION}: update it")
    body = memoryview(data)[HEADER_BYTES:]
    if zlib.crc32(body) != int.from_bytes(data[4:8], "little"):
        raise RecordCorrupt(f"the checksum of a record of {len(data)} bytes is wrong: it was damaged on its way")
    try:
        return decoder.decode(body)
    except msgspec.MsgspecError as fault:
        raise RecordCorrupt(f"the checksum is right and the body is no {kind} record: {fault}") from None


def split(gop: Gop, limit_bytes: int) -> list[Gop]:
    """The GOP as parts whose encoding stays under `limit_bytes`; itself alone when it fits.

    Every part repeats the header; only the first carries the packet table.
    """
    table = 16 * len(gop.packets) + len(gop.codec.extradata)
    room = limit_bytes - ENVELOPE_BYTES - len(gop.codec.extradata)
    first = room - table
    if len(gop.payload) <= first:
        return [gop]
    if first < 1024:
        raise ValueError(f"record limit of {limit_bytes} bytes cannot hold the header of {len(gop.packets)} packets")
    cuts = [0, *range(first, len(gop.payload), room), len(gop.payload)]
    parts = len(cuts) - 1
    return [
        msgspec.structs.replace(
            gop,
            payload=gop.payload[cuts[n] : cuts[n + 1]],
            packets=gop.packets if n == 0 else (),
            part=n,
            parts=parts,
        )
        for n in range(parts)
    ]


def join(parts: Sequence[Gop]) -> Gop:
    """One GOP from all its parts in any order. Raises RecordCorrupt when one lacks or is foreign."""
    ordered = sorted(parts, key=lambda g: g.part)
    head = ordered[0]
    if [g.part for g in ordered] != list(range(head.parts)):
        have = ", ".join(str(g.part) for g in ordered)
        raise RecordCorrupt(f"GOP {name(head)} has {head.parts} parts and only these came: {have}")
    if any(name(g) != name(head) for g in ordered):
        raise RecordCorrupt(f"parts of different GOPs cannot be joined: {sorted({name(g) for g in ordered})}")
    if head.parts == 1:
        return head
    return msgspec.structs.replace(head, payload=b"".join(g.payload for g in ordered), part=0, parts=1)


def name(record: Gop | Gap | EndOfInterval) -> str:
    """What a log line calls a record."""
    run = record.order if isinstance(record, EndOfInterval) else record.run
    return f"{record.camera}/{run}/{record.sequence}"


class Joiner:
    """Joins split GOPs of many cameras as their parts arrive in order, and knows what is still incomplete.

    A part that does not follow makes the incomplete GOP before it lost; `add` returns it as a reason.
    """

    def __init__(self) -> None:
        self._pending: dict[tuple[str, str], list[Gop]] = {}
        self._since: dict[tuple[str, str], int] = {}

    def add(self, gop: Gop, offset: int) -> tuple[Gop | None, str | None]:
        """The whole GOP once its last part is here, and the reason why an incomplete one is lost."""
        key = (gop.scope, gop.camera)
        pending = self._pending.get(key, [])
        lost = None
        if pending and name(pending[0]) != name(gop):
            lost = f"GOP {name(pending[0])}: {len(pending)} of {pending[0].parts} parts came"
            pending = []
            self._drop(key)
        if gop.parts == 1:
            return gop, lost
        if gop.part < len(pending) and gop.part > 0:
            return None, lost  # a part sent twice
        if gop.part == 0:  # the first, or the producer began this GOP again
            pending = []
            self._since[key] = offset
        elif gop.part != len(pending):
            self._drop(key)
            return None, lost or f"GOP {name(gop)}: part {len(pending)} of {gop.parts} never came"
        collected = [*pending, gop]
        if len(collected) == gop.parts:
            self._drop(key)
            return join(collected), lost
        self._pending[key] = collected
        return None, lost

    @property
    def oldest_offset(self) -> int | None:
        """Offset of the first part of the oldest incomplete GOP: reading must resume there."""
        return min(self._since.values(), default=None)

    def _drop(self, key: tuple[str, str]) -> None:
        self._pending.pop(key, None)
        self._since.pop(key, None)
