# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.errors import RecordCorrupt, RecordTooNew
from connectors.gop import Gap, Gop, Seal
from connectors.records import (
    DeadRecord,
    Joiner,
    decode_dead,
    decode_frame,
    decode_index,
    encode,
    headers,
    join,
    split,
)
from reid.passage import Coverage
from tests.connectors.gops import START, end, gop

OLD = Path(__file__).parent / "old_records"
SEAL = Seal(key_id="c1/2026-11-20T08/r", day="2026-11-20", sealed_key=bytes(80), nonce=bytes(12))


def gap() -> Gap:
    return Gap(
        camera="c1", scope="live", run="r", sequence=1, started_at=START, ended_at=START + timedelta(1), reason="é"
    )


@pytest.mark.parametrize("record", [gop(), msgspec.structs.replace(gop(), seal=SEAL), gap(), end()])
def test_a_frame_record_comes_back_as_it_was(record: Gop) -> None:
    assert decode_frame(encode(record)) == record


def test_index_and_dead_records_come_back_as_they_were() -> None:
    coverage = Coverage(scope="r-1", camera="c1", started_at=START, ended_at=START + timedelta(1), status="indexed")
    assert decode_index(encode(coverage)) == coverage
    assert decode_index(encode(end())) == end()
    dead = DeadRecord(
        topic="t", partition=1, offset=2, key="c1", error="RecordCorrupt", reason="x", data=b"\0", found_at=START
    )
    assert decode_dead(encode(dead)) == dead


def test_headers_tell_version_and_kind() -> None:
    assert headers(gop()) == [("v", b"1"), ("type", b"gop")]
    assert headers(end()) == [("v", b"1"), ("type", b"end")]


@pytest.mark.parametrize("file", sorted(OLD.glob("*.bin")), ids=lambda f: f.stem)
def test_every_old_record_still_reads(file: Path) -> None:
    """The files were written by the version in their name and never change; see docs/records.md."""
    data = file.read_bytes()
    kind = file.stem.split("-")[1]
    if kind == "dead":
        assert decode_dead(data).reason == "the checksum is wrong"
    elif kind in ("passage", "track", "coverage"):
        record = decode_index(data)
        assert record.camera == "place-du-marche"
    else:
        record = decode_frame(data)
        assert record.camera == "place-du-marche"
        if isinstance(record, Gop):
            assert record.first_at.isoformat() == "2026-11-20T08:00:00.123456+00:00"
            assert record.codec.codec == "h264" and len(record.payload) == 1000 and len(record.packets) == 10
            assert record.packets[1].pts_us == 100_000 and record.packets[0].keyframe


def test_there_are_old_records_of_every_kind() -> None:
    assert {f.stem for f in OLD.glob("*.bin")} >= {
        f"v1-{kind}" for kind in ("gop", "sealed", "gap", "end", "passage", "track", "coverage", "dead")
    }


def test_a_record_with_a_field_from_the_future_still_reads() -> None:
    body = msgspec.msgpack.decode(encode(gop())[8:])
    body["weather"] = "rain"
    import zlib

    raw = msgspec.msgpack.encode(body)
    assert decode_frame(b"PSG\x01" + zlib.crc32(raw).to_bytes(4, "little") + raw) == gop()


def test_any_damaged_byte_is_found() -> None:
    data = encode(gop(size=200))
    for n in range(len(data)):
        damaged = bytearray(data)
        damaged[n] ^= 0x40
        with pytest.raises(RecordCorrupt if n != 3 else (RecordCorrupt, RecordTooNew)):
            decode_frame(bytes(damaged))


@pytest.mark.parametrize("data", [b"", b"PSG", b"not a record at all", encode(gop())[:-1]])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(RecordCorrupt):
        decode_frame(data)


def test_a_record_of_another_kind_is_refused() -> None:
    with pytest.raises(RecordCorrupt, match="no frame record"):
        decode_frame(encode(Coverage(scope="s", camera="c", started_at=START, ended_at=START, status="gap")))


def test_a_later_version_is_refused_and_says_what_to_do() -> None:
    data = bytearray(encode(gop()))
    data[3] = 2
    with pytest.raises(RecordTooNew, match="update it"):
        decode_frame(bytes(data))


@settings(max_examples=50, deadline=None)
@given(size=st.integers(10, 300_000), limit=st.integers(8_000, 70_000))
def test_split_parts_stay_under_the_limit_and_join_to_the_same(size: int, limit: int) -> None:
    whole = gop(size=size)
    parts = split(whole, limit)
    assert all(len(encode(p)) <= limit for p in parts)
    assert join(list(reversed(parts))) == whole


def test_join_refuses_missing_and_foreign_parts() -> None:
    parts = split(gop(size=50_000), 20_000)
    with pytest.raises(RecordCorrupt, match="only these came"):
        join(parts[:-1])
    other = split(gop(sequence=5, size=50_000), 20_000)
    with pytest.raises(RecordCorrupt, match="different GOPs"):
        join([*parts[:-1], other[-1]])


def test_the_joiner_joins_cameras_that_alternate_and_knows_where_to_resume() -> None:
    a, b = split(gop("a", size=50_000), 20_000), split(gop("b", size=50_000), 20_000)
    joiner, whole = Joiner(), []
    for n, part in enumerate(x for pair in zip(a, b, strict=True) for x in pair):
        done, lost = joiner.add(part, 100 + n)
        assert lost is None
        if done is not None:
            whole.append(done)
        elif n == 3:
            assert joiner.oldest_offset == 100
    assert whole == [gop("a", size=50_000), gop("b", size=50_000)]
    assert joiner.oldest_offset is None


def test_the_joiner_tells_what_it_lost_and_takes_what_came_twice() -> None:
    parts = split(gop(size=40_000), 20_000)
    joiner = Joiner()
    assert joiner.add(parts[0], 0) == (None, None)
    done, lost = joiner.add(gop(sequence=1), 1)
    assert done == gop(sequence=1) and lost is not None and "1 of 3 parts" in lost
    assert joiner.add(parts[1], 2)[1] == "GOP c1/r/0: part 0 of 3 never came"
    for part in (parts[0], parts[1], parts[0], parts[1], parts[1]):  # the producer began again, and doubled
        assert joiner.add(part, 3) == (None, None)
    assert joiner.add(parts[2], 4) == (gop(size=40_000), None)
