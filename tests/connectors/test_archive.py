# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import errno
import os
import shutil
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest

from connectors.archive import ArchiveEraser, ArchiveReader, ArchiveWriter, segment_path
from connectors.bounds import Interval
from connectors.errors import ArchiveCorrupt, ArchiveError, ArchiveFull
from connectors.gop import Gap, Gop
from tests.connectors.gops import START, end, gop

HOUR = Interval(START, START + timedelta(hours=1))


def seconds(start: float, stop: float) -> Interval:
    return Interval(START + timedelta(seconds=start), START + timedelta(seconds=stop))


def writer(root: Path, **more: object) -> ArchiveWriter:
    return ArchiveWriter(root, least_free_bytes=0, **more)  # type: ignore[arg-type]


def write(root: Path, *sequences: int, camera: str = "c1") -> None:
    archive = writer(root)
    for n in sequences:
        archive.append(gop(camera, n))
    archive.sync()
    archive.close()


def found(root: Path, interval: Interval = HOUR, camera: str = "c1") -> list[int]:
    return [g.sequence for g in ArchiveReader(root).records(camera, interval)]


def test_what_was_recorded_is_found_by_camera_and_time(tmp_path: Path) -> None:
    write(tmp_path, *range(10))
    write(tmp_path, 3, camera="c2")
    reader = ArchiveReader(tmp_path)
    assert reader.cameras() == ["c1", "c2"]
    assert reader.days("c1") == ["2026-11-20"]
    assert list(reader.records("c1", HOUR)) == [gop("c1", n) for n in range(10)]
    assert found(tmp_path, seconds(3.5, 5)) == [3, 4]  # outward: the GOP that began before
    assert found(tmp_path, seconds(3.95, 4)) == [3]  # its last frame lasts until the next
    assert found(tmp_path, seconds(3.95, 4.01)) == [3, 4]
    assert found(tmp_path, seconds(100, 200)) == []
    assert found(tmp_path, camera="nobody") == []


def test_what_comes_twice_or_late_is_held_once_and_in_order(tmp_path: Path) -> None:
    write(tmp_path, 0, 1, 5, 6)
    archive = writer(tmp_path)
    assert [archive.append(gop("c1", n)) for n in (5, 3, 1, 7)] == [False, True, False, True]
    archive.close()
    assert found(tmp_path) == [0, 1, 3, 5, 6, 7]


def test_the_same_video_sealed_anew_is_held_once(tmp_path: Path) -> None:
    write(tmp_path, 0)
    archive = writer(tmp_path)
    assert not archive.append(msgspec.structs.replace(gop("c1", 0), run="later", payload=b"other ciphertext"))


def test_ends_of_intervals_are_not_kept(tmp_path: Path) -> None:
    assert not writer(tmp_path).append(end())


def test_segments_are_of_one_hour_and_one_set_of_parameters(tmp_path: Path) -> None:
    first = gop("c1", 0)
    later = gop("c1", 1, at=START + timedelta(hours=1))
    other = msgspec.structs.replace(gop("c1", 2), codec=msgspec.structs.replace(first.codec, width_px=32))
    assert len({segment_path(tmp_path, g) for g in (first, later, other)}) == 3
    archive = writer(tmp_path)
    for g in (first, other, later):
        archive.append(g)
    archive.close()
    day = Interval(START, START + timedelta(days=1))
    assert list(ArchiveReader(tmp_path).records("c1", day)) == [first, other, later]


def test_an_interval_at_the_turn_of_an_hour_finds_the_gop_that_reaches_into_it(tmp_path: Path) -> None:
    archive = writer(tmp_path)
    archive.append(gop("c1", 0, at=START - timedelta(seconds=0.5)))
    archive.close()
    assert found(tmp_path, seconds(0, 1)) == [0]


def test_recorded_joins_what_follows_and_leaves_holes(tmp_path: Path) -> None:
    write(tmp_path, 0, 1, 2, 5, 6)
    reader = ArchiveReader(tmp_path)
    assert reader.recorded("c1", HOUR) == [seconds(0, 3), seconds(5, 7)]
    assert reader.recorded("c1", seconds(1.5, 5.5)) == [seconds(1.5, 3), seconds(5, 5.5)]
    assert reader.recorded("c1", seconds(3.2, 4.8)) == []


def silence(start: datetime, end: datetime) -> Gap:
    return Gap(
        camera="c1", scope="live", run="r", sequence=1, started_at=start, ended_at=end, reason="it stopped answering"
    )


def test_gaps_are_kept_with_their_reasons(tmp_path: Path) -> None:
    gap = silence(START, START + timedelta(hours=3))
    archive = writer(tmp_path)
    assert archive.append(gap)
    assert not archive.append(gap)
    archive.close()
    reader = ArchiveReader(tmp_path)
    assert reader.gaps("c1", Interval(START + timedelta(hours=2), START + timedelta(hours=2.5))) == [gap]
    assert reader.gaps("c1", Interval(START + timedelta(hours=4), START + timedelta(hours=5))) == []
    assert list(reader.records("c1", HOUR)) == []


@pytest.mark.slow
def test_after_a_crash_at_any_byte_whole_records_are_there_and_writing_goes_on(tmp_path: Path) -> None:
    """Cut the segment at every length, with the index ahead of it, as far, or missing."""
    whole = tmp_path / "whole"
    archive = writer(whole)
    for n in range(3):
        archive.append(gop("c1", n, size=40))
    archive.close()
    (segment,) = whole.rglob("*.seg")
    data = segment.read_bytes()
    ends = [row.offset + 8 + row.length for _, row in ArchiveReader(whole).entries("c1", HOUR)]
    for n, cut in enumerate(range(0, len(data) + 1, 7)):
        root = tmp_path / str(cut)
        shutil.copytree(whole, root)
        (torn,) = root.rglob("*.seg")
        torn.write_bytes(data[:cut])
        if n % 3 == 1:
            torn.with_suffix(".idx").unlink()
        elif n % 3 == 2:
            torn.with_suffix(".idx").write_bytes(torn.with_suffix(".idx").read_bytes()[:-5])
        kept = [s for s, e in enumerate(ends) if e <= cut]
        assert found(root) == kept
        archive = writer(root)
        archive.append(gop("c1", 9, size=40))
        archive.close()
        assert found(root) == [*kept, 9]
        shutil.rmtree(root)


def test_garbage_after_the_end_is_ignored_by_readers_and_cut_by_the_next_writer(tmp_path: Path) -> None:
    write(tmp_path, 0, 1)
    (segment,) = tmp_path.rglob("*.seg")
    with open(segment, "ab") as file:
        file.write(b"\xff" * 1000)
    assert found(tmp_path) == [0, 1]
    write(tmp_path, 2)
    assert found(tmp_path) == [0, 1, 2]
    assert b"\xff" * 100 not in segment.read_bytes()


def test_a_damaged_record_is_named_and_the_others_can_be_read(tmp_path: Path) -> None:
    write(tmp_path, 0, 1, 2)
    reader = ArchiveReader(tmp_path)
    entries = reader.entries("c1", HOUR)
    segment, row = entries[1]
    data = bytearray(segment.read_bytes())
    data[row.offset + 500] ^= 1
    segment.write_bytes(data)
    with pytest.raises(ArchiveCorrupt, match=f"byte {row.offset}"):
        list(reader.records("c1", HOUR))
    assert [reader.read(*entries[n]).sequence for n in (0, 2)] == [0, 2]


def test_a_full_disk_is_told_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    room = [5000]

    def limited(handle: int, data: bytes) -> int:
        some = bytes(data)[: max(0, room[0])]
        if not some:
            raise OSError(errno.ENOSPC, "No space left on device")
        room[0] -= len(some)
        return os.write(handle, some)

    archive = writer(tmp_path, write=limited)
    kept = []
    with pytest.raises(ArchiveFull, match="free some"):
        for n in range(10):
            archive.append(gop("c1", n))
            kept.append(n)
    assert 0 < len(kept) < 5
    archive.sync()
    assert found(tmp_path) == kept
    room[0] = 1_000_000
    archive.append(gop("c1", kept[-1] + 1))
    archive.close()
    assert found(tmp_path) == [*kept, kept[-1] + 1]


def test_the_archive_counts_as_full_before_broker_and_store_starve(tmp_path: Path) -> None:
    archive = ArchiveWriter(tmp_path, least_free_bytes=100 * 2**20, free=lambda _: 99 * 2**20)
    with pytest.raises(ArchiveFull, match="99 MiB left"):
        archive.append(gop())


def test_a_full_disk_keeps_no_half_view_and_takes_it_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = writer(tmp_path)
    with monkeypatch.context() as full:
        full.setattr("connectors.archive_views.write_whole", _no_room)
        with pytest.raises(ArchiveFull, match="free some"):
            archive.put_view("r-1", "c1", START, "a", 1, b"x")
        full.setattr(Path, "mkdir", _no_room)
        with pytest.raises(ArchiveFull, match="free some"):
            archive.put_view("r-2", "c1", START, "a", 1, b"x")
    assert not [f for f in tmp_path.rglob("*") if f.is_file()]
    assert ArchiveReader(tmp_path).get_view(archive.put_view("r-1", "c1", START, "a", 1, b"x")) == b"x"


def _no_room(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_two_writers_of_one_segment_are_refused(tmp_path: Path) -> None:
    one, two = writer(tmp_path), writer(tmp_path)
    one.append(gop("c1", 0))
    with pytest.raises(ArchiveError, match="written by another process"):
        two.append(gop("c1", 1))
    two.append(gop("c2", 1))


def files(root: Path) -> dict[str, int]:
    return {f.name: f.stat().st_size for f in root.rglob("*") if f.is_file()}


def hours(root: Path, count: int, *more: Gop | Gap) -> None:
    archive = writer(root)
    for record in (*(gop("c1", n, at=START + timedelta(minutes=20 * n)) for n in range(3 * count)), *more):
        archive.append(record)
    archive.close()


def test_erasing_takes_whole_hours_as_soon_as_the_limit_has_entered_them(tmp_path: Path) -> None:
    hours(tmp_path, 3, gop("c2", 0))
    eraser, day = ArchiveEraser(tmp_path), Interval(START, START + timedelta(days=1))
    whole = files(tmp_path / "c1")
    assert eraser.erase_before("c1", START) == 0
    assert files(tmp_path / "c1") == whole
    gone = eraser.erase_before("c1", START + timedelta(minutes=61))
    assert found(tmp_path, day) == [6, 7, 8]
    left = files(tmp_path / "c1")
    assert left.items() < whole.items()  # what stays is not written anew
    assert gone == sum(size for name, size in whole.items() if name not in left and name.endswith(".seg"))
    assert found(tmp_path, day, "c2") == [0]
    eraser.erase_before("c1", START + timedelta(days=2))
    assert not (tmp_path / "c1").exists()
    assert eraser.oldest("c1") is None


def test_nothing_outlives_the_limit_and_nothing_stays_due(tmp_path: Path) -> None:
    """The keeper erases a camera whose `oldest` is before the limit: it must find none again with the same limit."""
    began = START + timedelta(minutes=30)
    hours(tmp_path, 26, silence(began, began + timedelta(hours=1)))
    eraser = ArchiveEraser(tmp_path)
    for minutes in range(0, 26 * 60 + 1, 10):
        limit = START + timedelta(minutes=minutes)
        oldest = eraser.oldest("c1")
        if oldest is not None and oldest < limit:
            eraser.erase_before("c1", limit)
            oldest = eraser.oldest("c1")
        assert oldest is None or oldest >= limit
    assert not (tmp_path / "c1").exists()


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("survives", range(6))
def test_an_erasure_killed_midway_is_finished_by_the_next(
    tmp_path: Path, survives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours(tmp_path, 26)
    (folder,) = (tmp_path / "c1").glob("2026-11-20")
    (folder / "07-0123abcd.seg.new").write_bytes(b"what an older version left half written")
    (folder / "07-0123abcd.seg.idx").write_bytes(b"its index")
    (folder / "06-0123abcd.idx").write_bytes(b"an index without its segment")
    eraser, limit, steps = ArchiveEraser(tmp_path), START + timedelta(hours=20), iter(range(100))
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if next(steps) == survives:
            raise _Killed
        real(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        with pytest.raises(_Killed):
            eraser.erase_before("c1", limit)
    assert (oldest := eraser.oldest("c1")) is not None and oldest < limit
    eraser.erase_before("c1", limit)
    assert eraser.oldest("c1") == START + timedelta(hours=20)
    assert {f.suffix for f in tmp_path.rglob("*") if f.is_file()} == {".seg", ".idx"}
    assert len(files(tmp_path)) == 2 * 6


def test_a_day_without_a_record_hides_no_later_one(tmp_path: Path) -> None:
    hours(tmp_path, 1)
    (tmp_path / "c1" / "2026-11-19").mkdir()
    (tmp_path / "c1" / "2026-11-19" / "08-0123abcd.seg").touch()
    assert ArchiveEraser(tmp_path).oldest("c1") == START
    assert ArchiveEraser(tmp_path).erase_before("c1", START) == 0
    assert ArchiveReader(tmp_path).days("c1") == ["2026-11-20"]


def test_hours_past_their_date_go_while_a_recorder_holds_them_open(tmp_path: Path) -> None:
    archive, eraser = writer(tmp_path), ArchiveEraser(tmp_path)
    for n in range(9):
        archive.append(gop("c1", n, at=START + timedelta(minutes=20 * n)))
    archive.append(gop("c2", 0))  # it is silent since
    held = [os.open(f, os.O_RDONLY) for f in sorted(tmp_path.glob("c?/*/*.seg"))]
    for camera in ("c1", "c2"):
        assert eraser.erase_before(camera, START + timedelta(minutes=100)) > 0
    day = Interval(START, START + timedelta(days=1))
    assert found(tmp_path, day) == [6, 7, 8] and not (tmp_path / "c2").exists()
    assert [os.fstat(f).st_size > 0 for f in held] == [False, False, True, False]  # not even behind its open file
    for f in held:
        os.close(f)
    # Recording goes on, and what comes for an hour that went goes nowhere.
    assert archive.append(gop("c1", 9, at=START + timedelta(hours=3)))
    assert archive.append(gop("c2", 1, at=START + timedelta(hours=3)))
    archive.append(gop("c1", 99, at=START + timedelta(minutes=90)))
    archive.close()
    assert found(tmp_path, day) == [6, 7, 8, 9] and found(tmp_path, day, "c2") == [1]


def test_views_are_put_got_and_erased(tmp_path: Path) -> None:
    archive = writer(tmp_path)
    reference = archive.put_view("r-1", "c1", START, "0b8e7c1e-1d0c-5f53-9d5d-000000000000", 0, b"jpeg")
    assert reference == f"r-1/c1/{START:%Y-%m-%dT%H}/0b8e7c1e-1d0c-5f53-9d5d-000000000000-0"
    reader = ArchiveReader(tmp_path)
    assert reader.get_view(reference) == b"jpeg"
    assert archive.put_view("r-1", "c1", START, "0b8e7c1e-1d0c-5f53-9d5d-000000000000", 0, b"jpeg") == reference
    assert reader.cameras() == []
    for bad in (
        "../../etc/passwd",
        "r-1/c1/2026-11-20T08/../../../x-0",
        "r-1",
        "/etc/2026-11-20/x-0",
        "r/c/2026-11-20T/x-0",
    ):
        with pytest.raises(ArchiveError, match="no reference"):
            reader.get_view(bad)
    eraser = ArchiveEraser(tmp_path)
    archive.put_view("r-2", "c1", START, "a", 1, b"x")
    eraser.erase_views("r-2")
    assert not (tmp_path / "views" / "r-2").exists()
    with pytest.raises(ArchiveError, match="no scope"):
        eraser.erase_views("../c1")


def test_a_view_goes_with_its_hour_as_soon_as_the_limit_stands_in_it(tmp_path: Path) -> None:
    archive, reader, eraser = writer(tmp_path), ArchiveReader(tmp_path), ArchiveEraser(tmp_path)
    hour = START.replace(minute=0, second=0, microsecond=0)
    paris = timezone(timedelta(hours=1))
    at = [
        hour - timedelta(seconds=1),
        hour,
        (hour + timedelta(minutes=59)).astimezone(paris),
        hour + timedelta(hours=1),
    ]
    early, first, late, after = (
        archive.put_view("live", "c1", moment, f"p{n}", 0, b"x") for n, moment in enumerate(at)
    )
    assert eraser.erase_views_before(hour - timedelta(hours=1)) == 0
    assert eraser.erase_views_before(hour) == 1  # nothing of the hour is past its date yet
    assert reader.get_view(first) and reader.get_view(late)
    assert eraser.erase_views_before((hour + timedelta(seconds=1)).astimezone(paris)) == 2
    for gone in (early, first, late):
        with pytest.raises(ArchiveError, match="past its date"):
            reader.get_view(gone)
    assert reader.get_view(after)


def test_views_that_lie_by_the_day_are_read_and_go_as_soon_as_the_limit_stands_in_it(tmp_path: Path) -> None:
    reader, eraser = ArchiveReader(tmp_path), ArchiveEraser(tmp_path)
    reference = "live/c1/2026-11-20/0b8e7c1e-1d0c-5f53-9d5d-000000000000-0"
    file = tmp_path / "views" / reference
    file.parent.mkdir(parents=True)
    file.write_bytes(b"jpeg")
    assert eraser.erase_views_before(datetime(2026, 11, 20, tzinfo=UTC)) == 0
    assert reader.get_view(reference) == b"jpeg"
    assert eraser.erase_views_before(datetime(2026, 11, 20, 0, 5, tzinfo=UTC)) == 1
    assert not file.exists()
