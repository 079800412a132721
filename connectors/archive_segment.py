# SPDX-License-Identifier: AGPL-3.0-or-later
"""One segment of the archive: the records of one camera, one hour and one set of codec parameters, and its index.

    NAME.seg   magic `PSGSEG1` newline, then frames: length u32 | CRC-32 u32 | encoded record
    NAME.idx   one fixed row a frame; a cache that is rebuilt from the segment whenever it does not fit it

Numbers are little-endian. A frame counts once it is whole with its checksum; what a crash left behind it is cut off
by the next writer and ignored by every reader.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from connectors.errors import ArchiveCorrupt, ArchiveError, ArchiveFull, RecordError
from connectors.gop import Gap, Gop
from connectors.records import decode_frame, encode
from connectors.whole_file import sync_folder

MAGIC = b"PSGSEG1\n"
_FRAME = struct.Struct("<II")
_ROW = struct.Struct("<QIBxxxIqqq16s")
_TABLE = np.dtype(
    {
        "names": ["offset", "length", "kind", "frames", "first_us", "last_us", "sequence", "identity"],
        "formats": ["<u8", "<u4", "u1", "<u4", "<i8", "<i8", "<i8", "V16"],
        "offsets": [0, 8, 12, 16, 20, 28, 36, 44],
        "itemsize": _ROW.size,
    }
)
"""The same row as numpy reads it, for an hour's thousands of rows at once."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KIND_GOP, _KIND_GAP = 1, 2
_ONE_FRAME = timedelta(milliseconds=40)
"""How long a GOP of one frame lasts."""
LARGEST_FRAME = 256 * 2**20


class Row(NamedTuple):
    """One frame of a segment, as its index tells it."""

    offset: int
    length: int
    """Of the encoded record."""
    is_gop: bool
    frames: int
    first_us: int
    """Capture time of first and last frame (or start and end of a gap), microseconds since 1970."""
    last_us: int
    sequence: int
    identity: bytes
    """What makes a record the same when it comes again: 16 bytes of the content's hash, or of a gap's reason."""

    @property
    def first_at(self) -> datetime:
        """Capture time of the first frame."""
        return _EPOCH + timedelta(microseconds=self.first_us)

    @property
    def last_at(self) -> datetime:
        """Capture time of the last frame."""
        return _EPOCH + timedelta(microseconds=self.last_us)

    @property
    def step(self) -> timedelta:
        """Time between frames, about; a GOP lasts that much longer than its last frame's time."""
        if not self.is_gop:
            return timedelta(0)
        return (self.last_at - self.first_at) / (self.frames - 1) if self.frames > 1 else _ONE_FRAME

    @property
    def key(self) -> tuple[int, bytes]:
        """Equal for a record that came twice."""
        return (self.first_us, self.identity)


def row_of(record: Gop | Gap, offset: int, length: int) -> Row:
    """The index row of a record at an offset."""
    if isinstance(record, Gop):
        return Row(
            offset,
            length,
            True,
            record.frames,
            microseconds(record.first_at),
            microseconds(record.last_at),
            record.sequence,
            record.sha256[:16].ljust(16, b"\0"),
        )
    reason = zlib.crc32(record.reason.encode()).to_bytes(4, "little")
    identity = (reason + microseconds(record.ended_at).to_bytes(8, "little", signed=True)).ljust(16, b"\0")
    return Row(
        offset,
        length,
        False,
        0,
        microseconds(record.started_at),
        microseconds(record.ended_at),
        record.sequence,
        identity,
    )


def microseconds(at: datetime) -> int:
    """Since 1970."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def moment(us: int) -> datetime:
    """The time that many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=us)


def read_rows(segment: Path) -> list[Row]:
    """The rows of a segment: from its index as far as that fits, the rest from the segment itself."""
    return [
        Row(offset, length, kind == _KIND_GOP, frames, first, last, sequence, identity)
        for offset, length, kind, frames, first, last, sequence, identity in read_table(segment).tolist()
    ]


def read_table(segment: Path) -> NDArray[Any]:
    """The same as one structured array: `offset length kind frames first_us last_us sequence identity`."""
    try:
        size = segment.stat().st_size
    except FileNotFoundError:
        return np.empty(0, _TABLE)
    table = _indexed(segment.with_suffix(".idx"), size)
    start = int(table[-1]["offset"]) + _FRAME.size + int(table[-1]["length"]) if len(table) else len(MAGIC)
    if start < size:
        rest = b"".join(_pack(row) for row in scan(segment, start))
        table = np.concatenate([table, np.frombuffer(rest, _TABLE)])
    return table


def is_gop(table: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows of a table are groups of pictures, not gaps."""
    return np.asarray(table["kind"] == _KIND_GOP)


def steps_us(table: NDArray[Any]) -> NDArray[np.int64]:
    """`Row.step` of every GOP of a table, microseconds."""
    frames = table["frames"].astype(np.int64)
    between = (table["last_us"] - table["first_us"]) / np.maximum(frames - 1, 1)
    return np.where(frames > 1, np.rint(between), _ONE_FRAME // timedelta(microseconds=1)).astype(np.int64)


def _indexed(index: Path, size: int) -> NDArray[Any]:
    try:
        raw = index.read_bytes()
    except FileNotFoundError:
        return np.empty(0, _TABLE)
    table = np.frombuffer(raw[: len(raw) - len(raw) % _ROW.size], _TABLE)
    if not len(table):
        return table
    ends = table["offset"] + _FRAME.size + table["length"]
    begins = np.concatenate([np.array([len(MAGIC)], ends.dtype), ends[:-1]])
    known = (table["kind"] == _KIND_GOP) | (table["kind"] == _KIND_GAP)
    right = (table["offset"] == begins) & known & (ends <= size)
    # The index is ahead of the segment or foreign: what follows the first such row is read from the segment.
    return table if right.all() else table[: int(np.argmin(right))]


def scan(segment: Path, start: int) -> Iterator[Row]:
    """Rows of the whole frames from an offset on; ends at the first that is not whole."""
    with open(segment, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return
        offset = start
        file.seek(offset)
        while True:
            head = file.read(_FRAME.size)
            if len(head) < _FRAME.size:
                return
            length, checksum = _FRAME.unpack(head)
            if not 0 < length <= LARGEST_FRAME:
                return
            data = file.read(length)
            if len(data) < length or zlib.crc32(data) != checksum:
                return
            try:
                record = decode_frame(data)
            except RecordError:
                return
            if isinstance(record, Gop | Gap):
                yield row_of(record, offset, length)
            offset += _FRAME.size + length


def read_record(segment: Path, row: Row) -> Gop | Gap:
    """The record of a row. Raises ArchiveCorrupt, with where it lies, when its bytes were damaged."""
    try:
        with open(segment, "rb") as file:
            file.seek(row.offset)
            head, data = file.read(_FRAME.size), file.read(row.length)
        if len(head) < _FRAME.size or _FRAME.unpack(head) != (row.length, zlib.crc32(data)):
            raise ArchiveCorrupt(f"{segment} is damaged at byte {row.offset}: the checksum of that record is wrong")
        record = decode_frame(data)
    except RecordError as fault:
        raise ArchiveCorrupt(f"{segment} is damaged at byte {row.offset}: {fault}") from None
    except OSError as fault:
        raise ArchiveError(f"{segment} cannot be read: {fault.strerror}") from fault
    if not isinstance(record, Gop | Gap):
        raise ArchiveCorrupt(f"{segment} holds a {type(record).__name__} at byte {row.offset}")
    return record


class SegmentWriter:
    """Appends to one segment, which it holds locked. Nothing is kept for sure before `sync`."""

    def __init__(self, segment: Path, write: Callable[[int, bytes], int] = os.write) -> None:
        self.path = segment
        self._write = write
        segment.parent.mkdir(parents=True, exist_ok=True)
        fresh = not segment.exists()
        self._file = os.open(segment, os.O_RDWR | os.O_CREAT, 0o640)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise ArchiveError(f"{segment} is being written by another process; run one flows.record a share") from None
        try:
            self._recover()
        except OSError as fault:
            os.close(self._file)
            raise write_fault(fault, str(segment)) from fault
        if fresh:
            sync_folder(segment.parent)
        self._dirty = False

    def _recover(self) -> None:
        """Cut off what a crash left half written, and bring the index to what is there."""
        index = self.path.with_suffix(".idx")
        if os.fstat(self._file).st_size < len(MAGIC):
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, MAGIC, 0)
        rows = read_rows(self.path)
        self._end = rows[-1].offset + _FRAME.size + rows[-1].length if rows else len(MAGIC)
        if os.fstat(self._file).st_size > self._end:
            os.ftruncate(self._file, self._end)
            os.fsync(self._file)
        os.lseek(self._file, self._end, os.SEEK_SET)
        self._held = {row.key for row in rows}
        packed = b"".join(_pack(row) for row in rows)
        if not index.exists() or index.read_bytes() != packed:
            index.write_bytes(packed)
        self._index = os.open(index, os.O_WRONLY | os.O_APPEND)

    def append(self, record: Gop | Gap) -> bool:
        """Add a record; False when it is there already. Raises ArchiveFull, with the segment as it was before."""
        data = encode(record)
        row = row_of(record, self._end, len(data))
        if row.key in self._held:
            return False
        frame = _FRAME.pack(len(data), zlib.crc32(data)) + data
        try:
            self._write_all(frame)
            self._dirty = True
            os.write(self._index, _pack(row))
        except OSError as fault:
            os.ftruncate(self._file, self._end)
            os.lseek(self._file, self._end, os.SEEK_SET)
            raise write_fault(fault, str(self.path)) from fault
        self._end += len(frame)
        self._held.add(row.key)
        return True

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._write(self._file, view) :]  # type: ignore[arg-type]

    def sync(self) -> None:
        """Return once everything appended lies on the disk. Raises ArchiveFull or ArchiveError."""
        if self._dirty:
            try:
                os.fdatasync(self._file)
            except OSError as fault:
                raise write_fault(fault, str(self.path)) from fault
            self._dirty = False

    def close(self) -> None:
        """Sync and let go."""
        self.sync()
        os.close(self._index)
        os.close(self._file)


def _pack(row: Row) -> bytes:
    kind = _KIND_GOP if row.is_gop else _KIND_GAP
    return _ROW.pack(row.offset, row.length, kind, row.frames, row.first_us, row.last_us, row.sequence, row.identity)


def write_fault(fault: OSError, what: str) -> ArchiveError:
    """What kept `what` from being written to the archive: ArchiveFull, worth waiting for, or any other."""
    if fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return ArchiveFull(
            f"no room left on the archive's disk for {what}: free some, or move `data` to a larger disk; "
            "it goes on by itself then, from where it stopped"
        )
    return ArchiveError(f"{what} cannot be written: {fault.strerror}")
