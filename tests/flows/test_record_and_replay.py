# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connectors import topics
from connectors.archive import ArchiveReader, ArchiveWriter
from connectors.bounds import Interval
from connectors.broker import Outgoing
from connectors.errors import ArchiveFull, BrokerError, BrokerUnavailable, OrderForged
from connectors.gop import EndOfInterval, FrameRecord, Gap, Gop
from connectors.memory_broker import MemoryBroker
from connectors.orders import sign_order
from connectors.records import decode_dead, decode_frame, encode, split
from connectors.site import Site, utc_now
from flows import metrics
from flows.broker_room import LEAST_FREE_BYTES
from flows.dead_letters import DeadLetterLimit
from flows.drain import Drain
from flows.errors import MostlyBad
from flows.record import ArchiveSink, record, record_flow
from flows.replay import load_order, replay
from flows.share import Share
from tests.connectors.gops import START, gop
from tests.connectors.videos import file_camera
from tests.flows.failing import run_apart
from tests.flows.sites import site_of, write_order

HOUR = Interval(START, START + timedelta(hours=1))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return site_of(tmp_path, [file_camera("x.mp4", name) for name in ("c1", "c2")])


def live(
    site: Site, *values: bytes | Gop | Gap, partition: int = 0, broker: MemoryBroker | None = None
) -> MemoryBroker:
    broker = broker or MemoryBroker()
    broker.ensure_topic(topics.FRAMES_LIVE, topics.settings(site, "live"))
    encoded = [v if isinstance(v, bytes) else encode(v) for v in values]
    broker.writer().write(topics.FRAMES_LIVE, [Outgoing(partition, "k", v) for v in encoded])
    return broker


class EndAfter(ArchiveWriter):
    """An archive that ends the flow once it has seen so many records, as SIGTERM would."""

    def __init__(self, root: Path, drain: Drain, count: int) -> None:
        super().__init__(root, least_free_bytes=0)
        self._drain, self._left = drain, count

    def append(self, record: FrameRecord) -> bool:
        self._left -= 1
        if self._left <= 0:
            self._drain.ask()
        return super().append(record)


def run_record(site: Site, broker: MemoryBroker, count: int, share: str = "0/1") -> None:
    drain = Drain()
    record(site, Share.parse(share), drain, broker, EndAfter(site.archive_dir, drain, count))


def recorded(site: Site, camera: str = "c1") -> list[int]:
    return [g.sequence for g in ArchiveReader(site.archive_dir).records(camera, HOUR)]


def test_records_reach_the_archive_and_a_restart_goes_on_behind_them(site: Site) -> None:
    broker = live(site, *(gop("c1", n) for n in range(5)))
    live(site, *(gop("c2", n) for n in range(3)), partition=1, broker=broker)
    run_record(site, broker, 8)
    assert (recorded(site), recorded(site, "c2")) == (list(range(5)), list(range(3)))
    live(site, gop("c1", 5), broker=broker)
    seen: list[FrameRecord] = []

    class Watching(EndAfter):
        def append(self, record: FrameRecord) -> bool:
            seen.append(record)
            return super().append(record)

    drain = Drain()
    record(site, Share(), drain, broker, Watching(site.archive_dir, drain, 1))
    assert [r.sequence for r in seen] == [5]
    assert recorded(site) == list(range(6))


def test_a_corrupt_record_goes_to_the_dead_letters_whole_and_costs_no_other(site: Site) -> None:
    corrupt = bytearray(encode(gop("c1", 1)))
    corrupt[200] ^= 1
    broker = live(site, gop("c1", 0), bytes(corrupt), b"rubbish", gop("c1", 2))
    run_record(site, broker, 2)
    assert recorded(site) == [0, 2]
    dead = [decode_dead(m.value) for m in broker.messages(topics.dead("live"))]
    assert [(d.error, d.partition, d.offset) for d in dead] == [("RecordCorrupt", 0, 1), ("RecordCorrupt", 0, 2)]
    assert dead[0].data == bytes(corrupt)
    assert "checksum" in dead[0].reason


def test_a_gop_in_parts_is_recorded_whole_even_when_the_flow_ends_between_its_parts(site: Site) -> None:
    large = gop("c1", 1, size=200_000)
    parts = split(large, 65_536)
    broker = live(site, gop("c1", 0), *parts[:2])
    run_record(site, broker, 1)
    assert recorded(site) == [0]
    live(site, *parts[2:], broker=broker)
    run_record(site, broker, 1)
    assert list(ArchiveReader(site.archive_dir).records("c1", HOUR)) == [gop("c1", 0), large]


def test_records_that_retention_took_are_told_and_reading_goes_on(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    broker = live(site, *(gop("c1", n) for n in range(4)))
    run_record(site, broker, 4)
    live(site, *(gop("c1", n) for n in range(4, 10)), broker=broker)
    broker.erase(topics.FRAMES_LIVE, 0, 7)
    run_record(site, broker, 3)
    assert recorded(site) == [0, 1, 2, 3, 7, 8, 9]
    assert "3 records of frames.live/0 were erased before they were read" in caplog.text


def test_a_topic_that_begins_anew_is_told_and_read_from_there(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    run_record(site, live(site, *(gop("c1", n) for n in range(4))), 4)
    # The broker's folder was lost: its log is shorter than the position that was kept.
    broker = live(site, gop("c1", 4), gop("c1", 5))
    run_record(site, broker, 2)
    assert recorded(site) == [0, 1, 2, 3, 4, 5]
    assert "frames.live/0 begins anew at offset 0, and 4 was to be read next" in caplog.text
    live(site, gop("c1", 6), broker=broker)
    caplog.clear()
    run_record(site, broker, 1)
    assert recorded(site) == [0, 1, 2, 3, 4, 5, 6] and "anew" not in caplog.text


def test_a_full_disk_stops_recording_without_losing_what_waits(site: Site) -> None:
    broker = live(site, *(gop("c1", n) for n in range(6)))
    drain = Drain()

    class Full(ArchiveWriter):
        def append(self, record: FrameRecord) -> bool:
            if record.sequence == 3:
                drain.ask()
                raise ArchiveFull("no room left")
            return super().append(record)

    with pytest.raises(ArchiveFull):
        run_apart(lambda: record(site, Share(), drain, broker, Full(site.archive_dir, least_free_bytes=0)))
    assert recorded(site) == [0, 1, 2]
    run_record(site, broker, 6)
    assert recorded(site) == [0, 1, 2, 3, 4, 5]


def test_a_full_disk_that_gets_room_again_goes_on_by_itself(site: Site) -> None:
    broker = live(site, *(gop("c1", n) for n in range(6)))
    drain, fails = Drain(), [2]

    class Tight(EndAfter):
        def append(self, record: FrameRecord) -> bool:
            if record.sequence == 3 and fails[0]:
                fails[0] -= 1
                raise ArchiveFull("no room left")
            return super().append(record)

    from connectors.topic_source import TopicSource
    from flows.recovery import run_flow

    broker.ensure_topic(topics.dead("live"), topics.settings(site, "live"))
    waits: list[float] = []
    sink = ArchiveSink(archive=lambda: Tight(site.archive_dir, drain, 6), stop=drain, sleep=waits.append)
    source = TopicSource(broker=broker, topic=topics.FRAMES_LIVE, partitions=[0, 1], stop=drain)
    run_flow(record_flow(source, sink, drain), None)
    assert recorded(site) == [0, 1, 2, 3, 4, 5]
    assert waits == [1.0, 2.0]


def test_a_disk_that_fills_while_recording_is_shown_as_it_fills(site: Site) -> None:
    def shown() -> float | None:
        return metrics.REGISTRY.get_sample_value("passage_archive_free_bytes", {"flow": "record"})

    room = iter([5e9, 4e9, 3e9])
    archive = ArchiveWriter(site.archive_dir, free=lambda _: int(next(room)))
    partition = ArchiveSink(archive=lambda: archive, stop=lambda: False).build("archive", 0, 1)
    assert shown() == 5e9
    partition.write_batch([gop("c1", 0)])
    assert shown() == 3e9
    partition.close()


def test_only_the_flow_that_records_tells_the_room_of_the_archive() -> None:
    code = "from flows.metrics import REGISTRY; print(REGISTRY.get_sample_value('passage_archive_free_bytes'))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "None"


def test_a_flow_of_which_most_is_bad_stops_and_says_why(site: Site) -> None:
    broker = live(site, *(b"rubbish %d" % n for n in range(200)))
    with pytest.raises(MostlyBad, match="cannot be used"):
        run_apart(lambda: run_record(site, broker, 999))


def test_a_few_bad_records_never_stop_a_flow() -> None:
    from connectors.records import DeadRecord
    from connectors.topic_source import Arrived

    bad = DeadRecord(topic="t", partition=0, offset=0, key="", error="E", reason="r", data=b"", found_at=START)
    limit = DeadLetterLimit("record")
    for _ in range(100):
        assert not limit(bad) if limit._recent.count(True) < 40 else True
        assert limit(Arrived(gop(), 0, 0))


def archive(site: Site, camera: str, sequences: Sequence[int]) -> None:
    writer = ArchiveWriter(site.archive_dir, least_free_bytes=0)
    for n in sequences:
        writer.append(gop(camera, n))
    writer.close()


def replayed(broker: MemoryBroker, camera: str) -> list[FrameRecord]:
    found = [decode_frame(m.value) for m in broker.messages("frames.replay.r-1")]
    return [r for r in found if r.camera == camera]


def test_an_order_is_replayed_with_its_holes_and_ends_in_its_own_topic(site: Site) -> None:
    archive(site, "c1", [*range(0, 10), *range(15, 20)])
    archive(site, "c2", range(20))
    order, file = write_order(site, ["c1", "c2"], (3.5, 17), (100, 110))
    broker = MemoryBroker()
    replay(site, load_order(site, file, utc_now()), Drain(), broker)
    mine = replayed(broker, "c1")
    kinds = [(type(r).__name__, r.sequence) for r in mine]
    assert kinds[:7] == [("Gop", n) for n in range(3, 10)]
    gap = mine[7]
    assert isinstance(gap, Gap)
    assert (gap.started_at, gap.ended_at) == (START + timedelta(seconds=10), START + timedelta(seconds=15))
    assert [type(r) for r in mine[8:]] == [Gop, Gop, EndOfInterval, Gap, EndOfInterval]
    assert {r.scope for r in mine} == {"r-1"}
    ends = [r for r in mine if isinstance(r, EndOfInterval)]
    assert [(e.started_at, e.ended_at, e.order) for e in ends] == [
        (i.start, i.end, "o-1") for i in sorted(order.intervals)
    ]
    assert [g.sequence for g in replayed(broker, "c2") if isinstance(g, Gop)] == list(range(3, 17))
    told = json.loads((site.data / "orders" / "o-1.replay.json").read_text())
    assert told["state"] == "done"
    assert told["seconds_asked"] == told["seconds_done"] == pytest.approx(6.5 + 2 + 13.5, abs=0.3)


def test_a_hole_tells_the_reason_that_capture_gave(site: Site) -> None:
    archive(site, "c1", [0, 9])
    writer = ArchiveWriter(site.archive_dir, least_free_bytes=0)
    writer.append(
        Gap(
            camera="c1", scope="live", run="r", sequence=1, reason="it stopped answering",
            started_at=START + timedelta(seconds=1), ended_at=START + timedelta(seconds=9),
        )
    )  # fmt: skip
    writer.close()
    _, file = write_order(site, ["c1"], (0, 10))
    broker = MemoryBroker()
    replay(site, load_order(site, file, utc_now()), Drain(), broker)
    assert [r.reason for r in replayed(broker, "c1") if isinstance(r, Gap)] == ["it stopped answering"]


def test_a_damaged_recording_becomes_a_gap_that_says_so(site: Site) -> None:
    archive(site, "c1", range(3))
    reader = ArchiveReader(site.archive_dir)
    segment, row = reader.entries("c1", HOUR)[1]
    data = bytearray(segment.read_bytes())
    data[row.offset + 500] ^= 1
    segment.write_bytes(data)
    _, file = write_order(site, ["c1"], (0, 3))
    broker = MemoryBroker()
    replay(site, load_order(site, file, utc_now()), Drain(), broker)
    kinds = replayed(broker, "c1")
    assert [type(r) for r in kinds] == [Gop, Gap, Gop, EndOfInterval]
    assert "the recording is damaged" in kinds[1].reason  # type: ignore[union-attr]


def test_a_replay_cut_short_goes_on_where_it_was(site: Site) -> None:
    archive(site, "c1", range(300))
    _, file = write_order(site, ["c1"], (0, 300))
    order = load_order(site, file, utc_now())
    drain = Drain()

    class Cutting(MemoryBroker):
        def _append(self, topic: str, messages: Sequence[Outgoing]) -> None:
            super()._append(topic, messages)
            if len(self.messages(topic)) >= 100:
                drain.ask()

    broker = Cutting()
    replay(site, order, drain, broker)
    assert 100 <= len(replayed(broker, "c1")) < 301
    replay(site, order, Drain(), broker)
    assert [r.sequence for r in replayed(broker, "c1") if isinstance(r, Gop)] == list(range(300))
    assert isinstance(replayed(broker, "c1")[-1], EndOfInterval)


def test_a_replay_leaves_the_brokers_last_room_to_live_recording_and_goes_on_when_there_is_more(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("flows.broker_room.ASK_EVERY_S", 0.0)
    monkeypatch.setattr("flows.broker_room.FULL_EVERY_S", 0.0)
    monkeypatch.setattr("flows.replay.NO_ROOM", timedelta(0))
    archive(site, "c1", range(200))
    _, file = write_order(site, ["c1"], (0, 200))
    told: list[str] = []
    full_at: list[int] = []

    class Filling(MemoryBroker):
        """Nearly full behind the first batch, for the next three questions."""

        def free_bytes(self) -> int | None:
            written = len(self.messages("frames.replay.r-1"))
            if written == 0 or len(full_at) == 3:
                return LEAST_FREE_BYTES
            full_at.append(written)
            told.append(json.loads((site.data / "orders" / "o-1.replay.json").read_text()).get("message", ""))
            return LEAST_FREE_BYTES - 1

    broker = Filling()
    replay(site, load_order(site, file, utc_now()), Drain(), broker)
    assert len(full_at) == 3 and len(set(full_at)) == 1, "nothing is written meanwhile"
    assert told[0] == "" and all("the broker's disk has 1.0 GiB free" in words for words in told[1:])
    assert caplog.text.count("the broker's disk has") == 1
    assert [r.sequence for r in replayed(broker, "c1") if isinstance(r, Gop)] == list(range(200))
    done = json.loads((site.data / "orders" / "o-1.replay.json").read_text())
    assert (done["state"], done["message"]) == ("done", "")


def test_a_replay_that_waits_for_room_ends_when_it_is_asked_to(site: Site) -> None:
    archive(site, "c1", range(10))
    _, file = write_order(site, ["c1"], (0, 10))
    drain = Drain()

    class Full(MemoryBroker):
        def free_bytes(self) -> int | None:
            drain.ask()
            return 0

    broker = Full()
    replay(site, load_order(site, file, utc_now()), drain, broker)
    assert replayed(broker, "c1") == []
    assert json.loads((site.data / "orders" / "o-1.replay.json").read_text())["state"] == "waiting"


@pytest.mark.parametrize("fault", [BrokerUnavailable("away"), BrokerError("it knows no such question"), None])
def test_a_broker_that_does_not_say_how_much_room_it_has_is_written_to(site: Site, fault: Exception | None) -> None:
    archive(site, "c1", range(10))
    _, file = write_order(site, ["c1"], (0, 10))

    class Mute(MemoryBroker):
        def free_bytes(self) -> int | None:
            if fault is not None:
                raise fault
            return None

    broker = Mute()
    replay(site, load_order(site, file, utc_now()), Drain(), broker)
    assert len(replayed(broker, "c1")) == 11


def test_exhibits_are_replayed_from_the_requisitions_own_folder(site: Site) -> None:
    writer = ArchiveWriter(site.data / "exhibits" / "r-1", least_free_bytes=0)
    writer.append(gop("c1", 4))
    writer.close()
    _, file = write_order(site, ["c1"], (4, 5), source="exhibits")
    broker = MemoryBroker()
    replay(site, load_order(site, file, utc_now()), Drain(), broker)
    assert [type(r) for r in replayed(broker, "c1")] == [Gop, EndOfInterval]


def test_ciphertext_passes_through_closed(site: Site) -> None:
    from connectors.gop import Seal

    seal = Seal(key_id="c1/2026-11-20T08/r", day="2026-11-20", sealed_key=bytes(80), nonce=bytes(12))
    sealed = msgspec.structs.replace(gop("c1", 0), seal=seal, payload=b"ciphertext")
    writer = ArchiveWriter(site.archive_dir, least_free_bytes=0)
    writer.append(sealed)
    writer.close()
    _, file = write_order(site, ["c1"], (0, 1))
    broker = MemoryBroker()
    replay(site, load_order(site, file, utc_now()), Drain(), broker)
    assert replayed(broker, "c1")[0] == msgspec.structs.replace(sealed, scope="r-1")


def test_an_order_that_the_gate_did_not_sign_is_not_obeyed(site: Site) -> None:
    order, file = write_order(site, ["c1"], (0, 1))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    for forged in (sign_order(order, Ed25519PrivateKey.generate()), bytes(data)):
        file.write_bytes(forged)
        with pytest.raises(OrderForged):
            load_order(site, file, utc_now())
