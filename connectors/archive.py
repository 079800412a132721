# SPDX-License-Identifier: AGPL-3.0-or-later
"""The archive: what cameras recorded, kept in a folder, found by camera and UTC time.

    ROOT/<camera>/<YYYY-MM-DD>/<HH>-<codec>.seg   GOPs whose first frame lies in that hour (see `archive_segment.py`)
    ROOT/<camera>/<YYYY-MM-DD>/<HH>-gaps.seg      gaps that begin in that hour
    ROOT/views/<scope>/<camera>/<hour>/…          best views of passages (see `archive_views.py`)

Payloads lie there as they came: ciphertext where the site seals. Only the gate, the replay and the keeper read.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

from connectors.archive_segment import (
    Row,
    SegmentWriter,
    is_gop,
    microseconds,
    moment,
    read_record,
    read_rows,
    read_table,
    steps_us,
)
from connectors.archive_views import VIEWS, ArchiveViews
from connectors.bounds import Interval
from connectors.errors import ArchiveError, ArchiveFull
from connectors.gop import EndOfInterval, FrameRecord, Gap, Gop
from connectors.records import name
from connectors.whole_file import sync_folder

OPEN_SEGMENTS = 256
"""Segments held open at once: one a camera, and some for late records."""
HELD_OPEN = timedelta(hours=2)
"""A camera's segment is closed once another begins more than so long after it; late records may come until then."""
LONGEST_GOP = timedelta(seconds=90)
"""How far before an interval a GOP that reaches into it may begin."""
JOINED_WITHIN = timedelta(milliseconds=250)
"""Two GOPs no further apart than this (or two frames) count as recorded without a break."""
LEAST_FREE_BYTES = 200 * 2**20
"""Below this the archive counts as full, so that broker and store on the same disk keep working."""


def _free(root: Path) -> int:
    return shutil.disk_usage(root).free


class ArchiveWriter:
    """Appends records of many cameras. One process a camera; what it acknowledged by `sync` no crash loses."""

    def __init__(
        self,
        root: Path,
        *,
        least_free_bytes: int = LEAST_FREE_BYTES,
        free: Callable[[Path], int] = _free,
        write: Callable[[int, bytes], int] = os.write,
    ) -> None:
        self._root = root
        self._least_free = least_free_bytes
        self._free = free
        self._write = write
        self._segments: OrderedDict[Path, SegmentWriter] = OrderedDict()
        self._views = ArchiveViews(root)

    def append(self, record: FrameRecord) -> bool:
        """Add a record; False when it is held already, or is an EndOfInterval, which the archive does not keep.

        Raises ArchiveFull when there is no room, with nothing half written.
        """
        if isinstance(record, EndOfInterval):
            return False
        if isinstance(record, Gop) and record.parts != 1:
            raise ArchiveError(f"GOP {name(record)} is a part: join its {record.parts} parts first")
        free = self.free_bytes()
        if free < self._least_free:
            raise ArchiveFull(
                f"{free // 2**20} MiB left on the disk of {self._root}, under the {self._least_free // 2**20} MiB "
                "kept for broker and store: free some; recording goes on by itself then, from where it stopped"
            )
        return self._segment(record).append(record)

    def free_bytes(self) -> int:
        """Room on its disk."""
        self._root.mkdir(parents=True, exist_ok=True)
        return self._free(self._root)

    def sync(self) -> None:
        """Return once everything appended lies on the disk."""
        for segment in self._segments.values():
            segment.sync()

    def put_view(self, scope: str, camera: str, at: datetime, passage_id: str, number: int, data: bytes) -> str:
        """Keep a passage's view (JPEG or ciphertext) and return its reference. Doing it again changes nothing."""
        return self._views.put(scope, camera, at, passage_id, number, data)

    def close(self) -> None:
        """Sync and close every segment."""
        for segment in self._segments.values():
            segment.close()
        self._segments.clear()

    def _segment(self, record: Gop | Gap) -> SegmentWriter:
        path = segment_path(self._root, record)
        segment = self._segments.get(path)
        if segment is None:
            segment = SegmentWriter(path, self._write)
            self._segments[path] = segment
            self._close_old(path)
            while len(self._segments) > OPEN_SEGMENTS:
                self._segments.popitem(last=False)[1].close()
        self._segments.move_to_end(path)
        return segment

    def _close_old(self, fresh: Path) -> None:
        """Close what the camera of a segment just opened records to no longer, but never that one."""
        hours = {path: _hour(path) for path in self._segments if path.parents[1] == fresh.parents[1]}
        limit = max(hours.values()) - HELD_OPEN
        for path, hour in hours.items():
            if hour < limit and path != fresh:
                self._segments[path].close()
                del self._segments[path]


def segment_path(root: Path, record: Gop | Gap) -> Path:
    """The segment that a record belongs to: a change of codec parameters starts another."""
    if isinstance(record, Gop):
        at = record.first_at.astimezone(UTC)
        kind = hashlib.sha256(msgspec.msgpack.encode(record.codec)).hexdigest()[:8]
    else:
        at, kind = record.started_at.astimezone(UTC), "gaps"
    return root / record.camera / f"{at:%Y-%m-%d}" / f"{at:%H}-{kind}.seg"


def _hour(segment: Path) -> datetime:
    """When a segment's hour begins."""
    return datetime.fromisoformat(f"{segment.parent.name}T{segment.name[:2]}:00:00+00:00")


class ArchiveReader:
    """Finds and reads records. It takes any camera and interval: whoever holds one bounds what is asked of it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._views = ArchiveViews(root)

    def cameras(self) -> list[str]:
        """Cameras of which anything is held."""
        if not self._root.is_dir():
            return []
        return sorted(d.name for d in self._root.iterdir() if d.is_dir() and d.name != VIEWS)

    def days(self, camera: str) -> list[str]:
        """UTC days `YYYY-MM-DD` of which anything of a camera is held."""
        folder = self._root / camera
        return sorted(d.name for d in folder.iterdir() if d.is_dir()) if folder.is_dir() else []

    def records(self, camera: str, interval: Interval) -> Iterator[Gop]:
        """GOPs with a frame inside the interval, by time: outward to the keyframe before.

        Raises ArchiveCorrupt at a damaged record; `entries` and `read` let a caller go on after it.
        """
        for segment, row in self.entries(camera, interval):
            yield self.read(segment, row)

    def entries(self, camera: str, interval: Interval) -> list[tuple[Path, Row]]:
        """Where the GOPs of an interval lie, by time."""
        found = [
            (segment, row)
            for segment in self._segments(camera, interval)
            if not segment.stem.endswith("-gaps")
            for row in read_rows(segment)
            if row.first_at < interval.end and row.last_at + row.step > interval.start
        ]
        return sorted(found, key=lambda e: (e[1].first_us, e[1].last_us, e[0].name))

    def read(self, segment: Path, row: Row) -> Gop:
        """One GOP. Raises ArchiveCorrupt."""
        record = read_record(segment, row)
        if not isinstance(record, Gop):
            raise ArchiveError(f"{segment} holds a gap at byte {row.offset}")
        return record

    def gaps(self, camera: str, interval: Interval) -> list[Gap]:
        """Gaps that capture told and that touch the interval, by time."""
        found: list[Gap] = []
        for segment in self._segments(camera, interval, timedelta(days=1)):
            if segment.stem.endswith("-gaps"):
                for row in read_rows(segment):
                    if row.first_at < interval.end and row.last_at > interval.start:
                        record = read_record(segment, row)
                        if isinstance(record, Gap):
                            found.append(record)
        return sorted(found, key=lambda g: g.started_at)

    def recorded(self, camera: str, interval: Interval) -> list[Interval]:
        """The stretches of the interval for which there is video, without overlap, by time."""
        tables = [read_table(s) for s in self._segments(camera, interval) if not s.stem.endswith("-gaps")]
        if not tables:
            return []
        table = np.concatenate(tables)
        table = table[is_gop(table)]
        low, high = microseconds(interval.start), microseconds(interval.end)
        step = steps_us(table)
        start, end = np.maximum(table["first_us"], low), np.minimum(table["last_us"] + step, high)
        inside = np.flatnonzero(end > start)
        if not len(inside):
            return []
        order = inside[np.lexsort((end[inside], start[inside]))]
        start, end, step = start[order], np.maximum.accumulate(end[order]), step[order]
        apart = start[1:] - end[:-1] > np.maximum(JOINED_WITHIN // timedelta(microseconds=1), 2 * step[1:])
        breaks = np.flatnonzero(apart)
        begins = np.concatenate([[0], breaks + 1])
        ends = np.concatenate([breaks, [len(start) - 1]])
        return [Interval(moment(int(start[a])), moment(int(end[b]))) for a, b in zip(begins, ends, strict=True)]

    def hours(self, camera: str, interval: Interval) -> list[datetime]:
        """The UTC hours of an interval of which video is held, by time; read off the names of the segments."""
        found = {
            f"{segment.parent.name}T{segment.name[:2]}"
            for segment in self._segments(camera, interval, timedelta())
            if not segment.stem.endswith("-gaps")
        }
        return [datetime.fromisoformat(f"{hour}:00:00+00:00") for hour in sorted(found)]

    def size_bytes(self, camera: str) -> int:
        """Bytes that a camera's video takes."""
        folder = self._root / camera
        return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) if folder.is_dir() else 0

    def get_view(self, reference: str) -> bytes:
        """A view by its reference. Raises ArchiveError when it is not there."""
        return self._views.get(reference)

    def _segments(self, camera: str, interval: Interval, before: timedelta = LONGEST_GOP) -> Iterator[Path]:
        start, end = (interval.start - before).astimezone(UTC), interval.end.astimezone(UTC)
        for day in self.days(camera):
            if not f"{start:%Y-%m-%d}" <= day <= f"{end:%Y-%m-%d}":
                continue
            for segment in sorted((self._root / camera / day).glob("*.seg")):
                if f"{start:%Y-%m-%d %H}" <= f"{day} {segment.name[:2]}" <= f"{end:%Y-%m-%d %H}":
                    yield segment


class ArchiveEraser:
    """The keeper's side: what is past its date goes, and is gone when the call returns.

    Recordings go by whole segments, a segment as soon as the limit has entered its hour. So nothing outlives the limit,
    the last of an hour goes up to an hour before its date, and what is kept is never written anew: cut to the second,
    an hour of video would be copied at every round that the limit spends in it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def erase_before(self, camera: str, moment: datetime) -> int:
        """Erase a camera's recordings of every hour that began before `moment`; the number of bytes that went.

        An erasure that was killed midway is finished by the next. Where a recorder holds a segment open, it goes too.
        """
        gone = 0
        for day in ArchiveReader(self._root).days(camera):
            folder = self._root / camera / day
            _clear_leftovers(folder)
            for segment in sorted(folder.glob("*.seg")):
                if _hour(segment) < moment:
                    gone += segment.stat().st_size
                    # The index is only a cache: killed in between, a segment without one is found, and goes, as before.
                    segment.with_suffix(".idx").unlink(missing_ok=True)
                    os.truncate(segment, 0)  # a recorder that holds it open must not keep its bytes on the disk
                    segment.unlink()
            if not any(folder.iterdir()):
                folder.rmdir()
            else:
                sync_folder(folder)
        folder = self._root / camera
        if folder.is_dir():
            if any(folder.iterdir()):
                sync_folder(folder)
            else:
                folder.rmdir()
        return gone

    def erase_views(self, scope: str) -> None:
        """Erase every view of a scope."""
        ArchiveViews(self._root).erase(scope)

    def erase_views_before(self, moment: datetime) -> int:
        """Erase every view captured before `moment`, and what else its hour holds; how many files went."""
        return ArchiveViews(self._root).erase_before(moment)

    def oldest(self, camera: str) -> datetime | None:
        """Capture time of the oldest record held of a camera."""
        for day in ArchiveReader(self._root).days(camera):
            times = [
                row.first_at for segment in (self._root / camera / day).glob("*.seg") for row in read_rows(segment)
            ]
            if times:
                return min(times)
        return None


def _clear_leftovers(folder: Path) -> None:
    """Unlink what a writing or erasing that was cut off left: segments half written, indexes without their segment."""
    orphans = (index for index in folder.glob("*.idx") if not index.with_suffix(".seg").exists())
    for left in (*folder.glob("*.new"), *orphans):
        left.unlink()
