# SPDX-License-Identifier: AGPL-3.0-or-later
"""Day 31 on the real stack: Kafka, the embedded store and the archive hold canaries that a raw scan finds, then none.

The gate's clock is injected and turned; the broker ages by a clock of its own and is told that its hours have passed.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow
import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from connectors import topics
from connectors.archive import ArchiveReader
from connectors.bounds import Interval
from connectors.broker import Outgoing
from connectors.clickhouse import open_keeper, open_reader, open_writer
from connectors.errors import KeyUnavailable
from connectors.records import encode
from gate.closure import expire
from gate.database import RegisterRow
from gate.keeper import Keeper
from gate.proof import Proof, prove
from infra.kafka_broker import KafkaBroker
from reid.passage import LIVE, Coverage, Passage
from tests.fixtures.store import StoreProcess
from tests.gate.town import Town, canaries, dead_record

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.engine, pytest.mark.timeout(900)]
CAMERAS = ("mairie", "gare")
SECONDS = 20


class Sides:
    """The three sides of the real store behind one object, as the town's store in memory is."""

    def __init__(self, store: StoreProcess) -> None:
        self._sides = (open_writer(store.site), open_reader(store.site), open_keeper(store.site))

    def __getattr__(self, name: str) -> object:
        return next(getattr(side, name) for side in self._sides if hasattr(side, name))


class Whole:
    """A town whose data folder holds the store's files as well, and a broker beside it."""

    def __init__(self, store: StoreProcess, broker: KafkaBroker) -> None:
        self.store = Sides(store)
        self.broker = broker.client()
        self.kafka_folder = broker.settings.folder
        self.began = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
        self.town = Town(store.site.data, cameras=CAMERAS, now=datetime.now(UTC), store=self.store)
        self.store.migrate()  # type: ignore[operator]
        self.town.staff()
        self.town.record(self.began, SECONDS)
        self.span = Interval(self.began + timedelta(seconds=5), self.began + timedelta(seconds=15))
        self.requisition = self.town.opened(intervals=(self.span,), expires_at=self.began + timedelta(days=20))
        self.rows = self.town.index(self.requisition, self.began, SECONDS) + self.town.index(LIVE, self.began, SECONDS)
        self._fill_topics()

    def _fill_topics(self) -> None:
        """What capture, replay, index and an unreadable record would have left."""
        reader = ArchiveReader(self.town.site.archive_dir)
        whole = Interval(self.began, self.began + timedelta(seconds=SECONDS))
        groups = [g for c in CAMERAS for g in reader.records(c, whole)]
        writer = self.broker.writer()
        for scope in (LIVE, self.requisition):
            for topic in (topics.frames(scope), topics.passages(scope), topics.dead(scope)):
                self.broker.ensure_topic(topic, topics.settings(self.town.site, scope))
            own = [p for p in self.rows if p.scope == scope]
            for topic, records in (
                (topics.frames(scope), groups),
                (topics.passages(scope), own),
                (topics.dead(scope), [dead_record(topics.frames(LIVE), encode(groups[0]), datetime.now(UTC))]),
            ):
                writer.write(topic, [Outgoing(0, "x", encode(r)) for r in records])  # type: ignore[arg-type]
        writer.close()

    def marks(self) -> list[bytes]:
        """What a raw scan looks for: pieces of every ciphertext, and the ids of passages as the store has them."""
        archive = ArchiveReader(self.town.site.archive_dir)
        whole = Interval(self.began, self.began + timedelta(seconds=SECONDS))
        video = [g.payload[100:132] for c in CAMERAS for g in archive.records(c, whole)]
        secured = ArchiveReader(self.town.folder / "exhibits" / self.requisition)
        evidence = [g.payload[100:132] for c in CAMERAS for g in secured.records(c, whole)]
        folder = self.town.site.archive_dir / "views"
        return [
            *video,
            *evidence,
            *(p.read_bytes()[20:52] for p in folder.rglob("*") if p.is_file()),
            *(p.id[:18].encode() for p in self.rows),
        ]

    def raw(self) -> bytes:
        """Every byte of every file: data folder, with the store's, and the broker's."""
        folders = (self.town.folder, self.kafka_folder)
        files = sorted(p for folder in folders for p in folder.rglob("*") if p.is_file())
        return b"\n".join(read(p) for p in files if not keeps_reasons(p, self.town.folder))

    def holds(self, folder: Path, marks: list[bytes]) -> bool:
        """Whether any mark lies in a folder."""
        return any(m in read(p) for p in folder.rglob("*") if p.is_file() for m in marks)

    def hours_pass_for_the_broker(self) -> None:
        """Its retention has passed: it drops what it holds of the live topics by its own cleaning."""
        names = (topics.frames(LIVE), topics.passages(LIVE), topics.dead(LIVE))
        with self.broker._admin() as admin:
            for name in names:
                admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": "1"})])
        end = time.monotonic() + 240
        while any(first < following for n in names for first, following in self.broker.extent(n).values()):
            assert time.monotonic() < end, "the broker does not drop what is past its retention"
            time.sleep(0.5)

    def runs_are_stopped(self) -> None:
        """What `infra.jobs` does for a closure."""
        for order in self.town.gate.requisitions.orders(self.requisition):
            if (self.town.folder / "orders" / f"{order}.close").exists():
                scope = self.requisition
                for topic in (topics.frames(scope), topics.passages(scope), topics.dead(scope)):
                    self.broker.delete_topic(topic)
                (self.town.folder / "orders" / f"{order}.closed").touch()

    def walk(self) -> Keeper:
        keeper = Keeper(self.town.gate, self.store)  # type: ignore[arg-type]
        expire(self.town.gate)
        self.runs_are_stopped()
        assert keeper.destroy()
        keeper.close_requisitions()
        return keeper

    def prove(self) -> Proof:
        return prove(self.town.gate, self.store, self.broker)  # type: ignore[arg-type]


def read(path: Path) -> bytes:
    """The bytes of a file; of the store's columns also what they are unpacked."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return b""  # a part that the engine merged away meanwhile
    return data + unpacked(data) if path.suffix == ".bin" else data


def unpacked(data: bytes) -> bytes:
    """A column file of the store, its blocks decompressed: checksum 16 | method u8 | sizes u32, u32 | bytes."""
    out, at = [], 0
    while at + 25 <= len(data):
        method, packed, whole = struct.unpack_from("<BII", data, at + 16)
        block = data[at + 25 : at + 16 + packed]
        codec = {0x82: "lz4_raw", 0x90: "zstd"}.get(method)
        out.append(pyarrow.decompress(block, whole, codec=codec, asbytes=True) if codec else block)
        at += 16 + packed
    return b"".join(out)


def keeps_reasons(path: Path, folder: Path) -> bool:
    """The journal, three years: it names passages that were asked for and shows none."""
    return folder / "gate" / "journal" in path.parents


def faulty(proof: Proof) -> set[str]:
    return {p.name for p in proof.places if p.found or p.failed}


def eventually_none(whole: Whole, marks: list[bytes], patience_s: float = 120.0) -> int:
    """How many marks are left once broker and engine have unlinked what they dropped."""
    end = time.monotonic() + patience_s
    while True:
        left = whole.raw()
        found = sum(m in left for m in marks)
        if found == 0 or time.monotonic() > end:
            return found
        time.sleep(1.0)


def test_day_31_leaves_nothing_and_a_restored_backup_goes_again(
    own_store_server: StoreProcess, own_kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    own_store_server.start()
    whole = Whole(own_store_server, own_kafka_broker)
    town, marks = whole.town, whole.marks()
    before = whole.raw()
    assert not canaries(before)  # nothing was ever there in clear
    found_before = sum(m in before for m in marks)
    assert len(marks) > 2 * SECONDS + 8 and found_before == len(marks)
    places = (town.site.archive_dir, town.folder / "exhibits", town.folder / "store", whole.kafka_folder)
    assert {p.name: whole.holds(p, marks) for p in places} == {p.name: True for p in places}
    assert whole.prove().good
    backup = tmp_path / "backup-of-day-1"
    shutil.copytree(town.site.archive_dir, backup)

    for day in range(1, 32):
        town.clock.turn(days=1)
        town.gate.clock_guard.confirm()
        if day == 31:
            whole.hours_pass_for_the_broker()
        whole.walk()
        assert (whole.store.oldest() is None) == (day >= 30)  # type: ignore[operator]
    proof = whole.prove()
    assert proof.good, proof
    left = eventually_none(whole, marks)

    # A backup of day 1 comes back: its bytes open no more, the proof fails by name, and the next round erases it.
    shutil.copytree(backup, town.site.archive_dir, dirs_exist_ok=True)
    whole.store.insert_passages([p for p in whole.rows if p.scope == LIVE])  # type: ignore[operator]
    restored = whole.raw()
    restored_found = sum(m in restored for m in marks)
    assert restored_found > 0 and not canaries(restored)
    seal = next(ArchiveReader(town.site.archive_dir).records("mairie", whole.span)).seal
    assert seal is not None
    with pytest.raises(KeyUnavailable, match="destroyed"):
        town.gate.keys.data_key(seal)
    assert faulty(whole.prove()) == {"archive", "pictures", "store"}
    whole.walk()
    assert whole.prove().good
    left += eventually_none(whole, marks)
    with town.gate.database.read() as s:
        kinds = [row.kind for row in s.query(RegisterRow).order_by(RegisterRow.id)]
    assert [k for k in kinds if k in ("proved", "proof_failed")] == ["proved", "proved", "proof_failed", "proved"]
    assert "destroyed" in kinds and "scope_erased" in kinds
    if out := os.environ.get("PASSAGE_RETENTION_FIGURES"):
        figures = {"bytes_found_after_31_days": left, "marks": len(marks), "marks_found_before": found_before}
        figures["marks_found_in_restored_backup"] = restored_found
        Path(out).write_text(json.dumps(figures))
    assert left == 0


def test_topics_are_looked_through_for_real(own_store_server: StoreProcess, kafka_broker: KafkaBroker) -> None:
    """Video, results and dead letters past their date are each found in the real broker."""
    own_store_server.start()
    store = Sides(own_store_server)
    town = Town(own_store_server.site.data, cameras=CAMERAS, now=datetime.now(UTC), store=store)
    store.migrate()  # type: ignore[operator]
    broker = kafka_broker.client()
    old = town.clock() - timedelta(days=40)
    line = Coverage(scope="p", camera="gare", started_at=old, ended_at=old + timedelta(seconds=5), status="indexed")
    fresh = Coverage(scope="p", camera="gare", started_at=town.clock(), ended_at=town.clock(), status="indexed")
    writer = broker.writer()
    own = (topics.FRAMES_LIVE, topics.passages("proof"), topics.dead("proof"))
    for topic in own:
        broker.ensure_topic(topic, topics.settings(town.site, LIVE))
    writer.write(topics.passages("proof"), [Outgoing(0, "gare", encode(r)) for r in (fresh, line)])
    try:
        # What is old comes second: every result is looked at, not the first alone.
        proof = prove(town.gate, store, broker)  # type: ignore[arg-type]
        assert faulty(proof) == {"topics"}
        assert any(p.found for p in proof.places if p.name == "topics")
    finally:
        writer.close()
        for topic in own:
            broker.delete_topic(topic)


def test_rows_dated_back_go_by_the_engines_own_ageing(own_store_server: StoreProcess) -> None:
    """No keeper, no injected clock: rows older than the retention are dropped by the engine itself."""
    own_store_server.start()
    store = Sides(own_store_server)
    town = Town(own_store_server.site.data, cameras=CAMERAS, now=datetime.now(UTC), store=store)
    store.migrate()  # type: ignore[operator]
    town.gate.keys._make(f"{datetime.now(UTC) - timedelta(days=40):%Y-%m-%d}")
    rows: list[Passage] = town.index(LIVE, datetime.now(UTC) - timedelta(days=40), SECONDS)
    marks = [p.id[:18].encode() for p in rows]
    folder = town.folder / "store"
    end = time.monotonic() + 300
    while store.oldest() is not None:  # type: ignore[operator]
        assert time.monotonic() < end, "the engine keeps rows past their date"
        time.sleep(0.5)
    while any(m in read(p) for p in folder.rglob("*") if p.is_file() for m in marks):
        assert time.monotonic() < end, "files of dropped rows stay on the disk"
        time.sleep(0.5)
