# SPDX-License-Identifier: AGPL-3.0-or-later
"""Destruction by the clock, its proof, and a clock that jumps."""

import os
import shutil
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors import topics
from connectors.archive import ArchiveEraser, ArchiveReader, ArchiveWriter
from connectors.broker import Outgoing, TopicSettings
from connectors.errors import KeyUnavailable, SiteError, StoreUnavailable
from connectors.memory_broker import MemoryBroker
from connectors.memory_store import MemoryStore
from connectors.records import encode
from gate.clock import ClockGuard
from gate.closure import begin_closure, expire
from gate.database import RegisterRow
from gate.errors import DutyRefused, NotFound
from gate.journal import Journal
from gate.keeper import PUT_OFF, Keeper
from gate.keystore import Keystore
from gate.proof import Proof, prove
from reid.passage import Coverage
from tests.gate.town import START, Town, canaries, dead_record, gop, live_broker, recorded_town, span


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return recorded_town(tmp_path / "var")


def destroyed(town: Town) -> Keeper:
    keeper = Keeper(town.gate, town.store)
    keeper.destroy()
    keeper.close_requisitions()
    return keeper


def faulty(proof: Proof) -> set[str]:
    return {p.name for p in proof.places if p.found or p.failed}


def raw(folder: Path) -> bytes:
    return b"".join(p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file())


def fingerprints(town: Town) -> list[bytes]:
    """Canaries of what lies there sealed: some bytes of every ciphertext."""
    reader = ArchiveReader(town.site.archive_dir)
    held = [g.payload[100:132] for c in reader.cameras() for g in reader.records(c, span(0, 60))]
    views = [p.read_bytes()[20:52] for p in (town.site.archive_dir / "views").rglob("*") if p.is_file()]
    return held + views


@pytest.mark.slow
def test_thirty_one_days_on_nothing_is_left(town: Town, tmp_path: Path) -> None:
    requisition = town.opened(intervals=(span(5, 15),), expires_at=START + timedelta(days=20))
    town.index(requisition, seconds=20)
    town.index("live", seconds=20)
    marks = fingerprints(town)
    assert len(marks) > 40 and all(m in raw(town.folder) for m in marks)
    # Clear canaries were never on the disk at all.
    assert not canaries(raw(town.folder))
    backup = tmp_path / "backup"
    shutil.copytree(town.site.archive_dir, backup)
    broker = live_broker()
    for _ in range(31 * 4):
        town.clock.turn(hours=6)
        town.gate.clock_guard.confirm()
        expire(town.gate)
        for order in town.gate.requisitions.orders(requisition):
            if (town.folder / "orders" / f"{order}.close").exists():
                (town.folder / "orders" / f"{order}.closed").touch()
        destroyed(town)
    assert prove(town.gate, town.store, broker).good
    left = raw(town.folder)
    assert sum(m in left for m in marks) == 0
    assert town.store.oldest() is None
    kinds = registered(town)
    assert kinds[-1] == "proved" and "destroyed" in kinds and "scope_erased" in kinds
    # A backup of day 1 comes back: its bytes open no more, are not shown, and fail the proof.
    shutil.copytree(backup, town.site.archive_dir, dirs_exist_ok=True)
    seal = next(ArchiveReader(town.site.archive_dir).records("mairie", span(5, 6))).seal
    assert seal
    with pytest.raises(KeyUnavailable, match="destroyed"):
        town.gate.keys.data_key(seal)
    assert faulty(prove(town.gate, town.store, broker)) == {"archive", "pictures"}


def test_reads_end_at_the_limit_to_the_second(town: Town) -> None:
    requisition = town.opened(
        reference="C 1", basis="inspection", article="", intervals=(span(0, 20),), expires_at=START + timedelta(60)
    )
    town.clock.at = START + timedelta(days=30, seconds=10 - 31)
    tech = town.client("tech")  # signing in turns the clock by 31 s
    grant = tech.grant(requisition, ("rewind",))
    seen = canaries(tech.rewind(grant.id, "mairie", span(0, 20)))
    assert {s - int(START.timestamp()) for _, s in seen} == set(range(10, 20))
    town.clock.turn(seconds=10)
    with pytest.raises(NotFound):
        tech.rewind(grant.id, "mairie", span(0, 20))


def plant_archive(town: Town) -> None:
    writer = ArchiveWriter(town.site.archive_dir)
    writer.append(gop("gare", START - timedelta(days=40), 1))
    writer.close()


def plant_view(town: Town) -> None:
    writer = ArchiveWriter(town.site.archive_dir)
    writer.put_view("live", "gare", START - timedelta(days=40), "00000000-0000-5000-8000-000000000000", 0, b"x")


def test_no_picture_outlives_the_limit_and_the_proof_finds_it_to_the_hour(town: Town) -> None:
    views = town.site.archive_dir / "views"
    town.index("live", START + timedelta(hours=9, minutes=55), 600, ["gare"], every=60)

    def at(hours: int, minutes: int) -> tuple[str, ...]:
        """What the proof finds of pictures when the limit stands so long after the recordings' beginning."""
        town.clock.at = START + timedelta(days=30, hours=hours, minutes=minutes)
        town.gate.clock_guard.confirm()
        (place,) = (p for p in prove(town.gate, town.store, live_broker()).places if p.name == "pictures")
        return place.found

    for hours, left in ((8, 10), (9, 5), (10, 0)):
        # Five minutes after the limit has entered the hour: that of 22:00, of 23:00, of the next day's midnight.
        assert at(hours, 5) == ()
        assert Keeper(town.gate, town.store).destroy()
        assert len(list(views.rglob("*-0"))) == left
    town.index("live", START + timedelta(hours=10, minutes=5), 1, ["gare"])
    assert at(10, 55) == ()
    assert at(11, 5) == (f"archive/views/live/gare/{START + timedelta(hours=10):%Y-%m-%dT%H}",)


def test_what_comes_to_its_date_between_two_rounds_fails_no_proof(town: Town) -> None:
    """As where cameras record around the clock: the limit goes on while the keeper looks."""
    town.index("live", seconds=20)
    town.clock.at = START + timedelta(days=30, seconds=5)
    town.gate.clock_guard.confirm()
    assert Keeper(town.gate, town.store).destroy()
    town.clock.turn(seconds=5)
    assert prove(town.gate, town.store, live_broker()).good
    town.clock.turn(hours=1, minutes=1)
    # Recordings went whole with their hour; rows go to the second.
    assert faulty(prove(town.gate, town.store, live_broker())) == {"store"}


def plant_row(town: Town) -> None:
    town.store.insert_coverage(
        [
            Coverage(
                scope="live",
                camera="gare",
                started_at=START - timedelta(days=40),
                ended_at=START - timedelta(days=40) + timedelta(seconds=5),
                status="indexed",
            )
        ]
    )


def plant_evidence(town: Town) -> None:
    (town.folder / "exhibits" / "r00" / "gare").mkdir(parents=True)


def plant_export(town: Town) -> None:
    old = town.folder / "exports" / "x.zip"
    old.parent.mkdir()
    old.write_bytes(b"x")
    at = (town.clock() - timedelta(days=40)).timestamp()
    os.utime(old, (at, at))


def plant_half_written(town: Town) -> None:
    """A write of the gate's that was cut off days ago."""
    half = town.folder / "gate" / ".documents.1234.new"
    half.write_bytes(b"x")
    os.utime(half, (time.time() - 86400, time.time() - 86400))


def plant_engine_log(town: Town) -> None:
    """A ClickHouse server that was not set up as ours keeps what was asked for, and longer than it may."""
    town.store.engine_logs = lambda: {"query_log": (START - timedelta(days=40)).date()}  # type: ignore[method-assign]


def plant_stopped_flow(town: Town) -> None:
    state = town.folder / "recovery" / "index-2-of-3" / "part-0.sqlite3"
    state.parent.mkdir(parents=True)
    state.write_bytes(b"x")
    at = (town.clock() - timedelta(days=40)).timestamp()
    os.utime(state, (at, at))


@pytest.mark.parametrize("share", ["", "-1-of-2"])
def test_positions_of_an_ended_requisition_are_found_whatever_their_share(town: Town, share: str) -> None:
    requisition = town.opened()
    town.client("greffe").close_requisition(requisition)
    town.clock.turn(hours=2)
    folder = town.folder / "recovery" / f"index-{requisition}{share}"
    folder.mkdir(parents=True)
    (place,) = (p for p in prove(town.gate, town.store, live_broker()).places if p.name == "recovery")
    assert place.found == (f"recovery/{folder.name}",)


@pytest.mark.parametrize(
    ("plant", "place"),
    [
        (plant_engine_log, "store"),
        (plant_stopped_flow, "recovery"),
        (plant_archive, "archive"),
        (plant_view, "pictures"),
        (plant_row, "store"),
        (plant_evidence, "evidence"),
        (plant_export, "folders"),
        (plant_half_written, "folders"),
    ],
)
def test_every_survivor_is_found(town: Town, plant: object, place: str) -> None:
    broker = live_broker()
    assert prove(town.gate, town.store, broker).good
    plant(town)  # type: ignore[operator]
    assert faulty(prove(town.gate, town.store, broker)) == {place}
    with town.gate.database.read() as s:
        assert s.query(RegisterRow).order_by(RegisterRow.id.desc()).first().kind == "proof_failed"  # type: ignore[union-attr]


def test_topics_are_looked_through(town: Town) -> None:
    broker = live_broker(partitions=2)
    broker.writer().write("frames.live", [Outgoing(1, "gare", encode(gop("gare", START, 1)))])
    assert prove(town.gate, town.store, broker).good
    broker.writer().write("frames.live", [Outgoing(0, "gare", encode(gop("gare", START - timedelta(days=40), 2)))])
    assert faulty(prove(town.gate, town.store, broker)) == {"topics"}


def hold(broker: MemoryBroker, scope: str, *letters: bytes) -> None:
    """Replayed video, what was found in it and dead letters, all of the first recorded second."""
    line = Coverage(
        scope=scope, camera="gare", started_at=START, ended_at=START + timedelta(seconds=1), status="indexed"
    )
    for topic, record in (
        (topics.frames(scope), encode(gop("gare", START, 1, scope=scope))),
        (topics.passages(scope), encode(line)),
        *((topics.dead(scope), letter) for letter in letters),
    ):
        broker.ensure_topic(topic, TopicSettings(partitions=1))
        broker.writer().write(topic, [Outgoing(0, "gare", record)])


def day(town: Town, number: int) -> None:
    """So many days after the recordings, with everything destroyed by then that is due."""
    town.clock.at = START + timedelta(days=number)
    town.gate.clock_guard.confirm()
    destroyed(town)


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "never closed"])
def test_topics_of_a_requisition_in_force_are_kept_until_it_ends(town: Town, closed: bool) -> None:
    broker = live_broker()
    requisition = town.opened(intervals=(span(5, 15),), expires_at=START + timedelta(days=50))
    hold(broker, requisition, encode(dead_record(topics.frames(requisition), b"damaged", START)))
    day(town, 35)
    assert prove(town.gate, town.store, broker).good
    if closed:
        town.gate.requisitions.close(requisition, None)
        begin_closure(town.gate, requisition)
        assert prove(town.gate, town.store, broker).good  # the runs have an hour to stop
        town.clock.turn(hours=2)
    else:
        day(town, 51)
    place = next(p for p in prove(town.gate, town.store, broker).places if p.name == "topics")
    for topic in (topics.frames(requisition), topics.passages(requisition), topics.dead(requisition)):
        assert any(topic in found for found in place.found), topic


@pytest.mark.parametrize(
    ("data", "found_days_ago", "past"),
    [
        (b"damaged", 40, True),
        (b"damaged", 1, False),
        # What can still be read says itself when it was captured, however late it was found unusable.
        (encode(gop("gare", START - timedelta(days=40), 1)), 1, True),
    ],
    ids=["damaged long ago", "damaged yesterday", "old video found yesterday"],
)
def test_a_dead_letter_is_as_old_as_what_it_holds_or_as_its_finding(
    town: Town, data: bytes, found_days_ago: int, past: bool
) -> None:
    broker = live_broker()
    broker.ensure_topic("dead.live", TopicSettings(partitions=1))
    letter = encode(dead_record("frames.live", data, town.clock() - timedelta(days=found_days_ago)))
    broker.writer().write("dead.live", [Outgoing(0, "gare", letter)])
    assert faulty(prove(town.gate, town.store, broker)) == ({"topics"} if past else set())


def test_what_was_not_looked_at_is_not_proved(town: Town) -> None:
    assert faulty(prove(town.gate, None, None)) == {"store", "topics"}
    # As in a container that was given no such folder.
    (town.folder / "recovery").rmdir()
    assert faulty(prove(town.gate, town.store, live_broker())) == {"recovery"}


def test_a_broker_that_shows_no_topic_was_not_looked_at(town: Town) -> None:
    """A listing leaves out, without an error, what its user may not see."""
    proof = prove(town.gate, town.store, MemoryBroker())
    (place,) = (p for p in proof.places if p.name == "topics")
    assert place.failed and "shows no frames.live" in place.looked and "infra.kafka_users" in place.looked
    assert faulty(proof) == {"topics"} and not proof.good


@pytest.mark.parametrize("method", ["erase_before", "oldest"])
def test_a_camera_that_cannot_be_erased_keeps_no_other_from_it(
    town: Town, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = getattr(ArchiveEraser, method)

    def fails(eraser: ArchiveEraser, camera: str, *moment: datetime) -> object:
        if camera == "gare":
            raise OSError("no such sector")
        return whole(eraser, camera, *moment)

    town.clock.turn(days=31)
    town.gate.clock_guard.confirm()
    with monkeypatch.context() as patch:
        patch.setattr(ArchiveEraser, method, fails)
        assert Keeper(town.gate, town.store).destroy() == (method == "oldest")  # what cannot be looked at can go
        assert ArchiveReader(town.site.archive_dir).cameras() == (["gare"] if method == "erase_before" else [])
    with town.gate.database.read() as s:
        row = s.query(RegisterRow).order_by(RegisterRow.id.desc()).first()
    assert row and (row.kind, row.details["failed"]) == ("destroyed", ["gare"] if method == "erase_before" else [])
    assert Keeper(town.gate, town.store).destroy()
    assert ArchiveReader(town.site.archive_dir).cameras() == []


def away(*_: object) -> None:
    raise StoreUnavailable("the store does not answer")


def destructions(town: Town) -> list[dict[str, Any]]:
    """What the register says of each destruction."""
    with town.gate.database.read() as s:
        return [r.details for r in s.query(RegisterRow).order_by(RegisterRow.id) if r.kind == "destroyed"]


def test_a_round_destroys_and_proves_whatever_the_store_does(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a round waits for the store: neither what is due nor the proof."""
    requisition = town.opened(expires_at=START + timedelta(days=40))
    town.index("live", seconds=20)
    town.gate.requisitions.close(requisition, None)
    begin_closure(town.gate, requisition)
    (town.folder / "orders" / f"{requisition}-1.closed").touch()
    prove(town.gate, town.store, live_broker())
    town.clock.turn(days=32)
    town.gate.clock_guard.confirm()
    keeper = Keeper(town.gate, town.store)
    monkeypatch.setattr("gate.keeper.DESTROY_EVERY_S", 0.0)
    with monkeypatch.context() as patch:
        for method in ("migrate", "resume_ageing", "erase_scope", "erase_before", "oldest"):
            patch.setattr(town.store, method, away)
        keeper.once(live_broker)
        assert ArchiveReader(town.site.archive_dir).cameras() == []
        assert f"{START:%Y-%m-%d}" not in town.gate.keys.days()
        assert registered(town)[-2:] == ["destroyed", "proof_failed"]
        (line,) = destructions(town)
        assert (line["cameras"], line["failed"]) == (["gare", "mairie"], ["the store"])
        assert f"{START:%Y-%m-%d}" in line["keys"]
        # With nothing else due, a store that is away makes neither a line nor an act.
        entries = [e for e in town.journal() if e["act"] == "retention.destroy"]
        keeper.once(live_broker)
        assert not keeper.destroy()
        assert destructions(town) == [line]
        assert [e for e in town.journal() if e["act"] == "retention.destroy"] == entries
    town.clock.turn(minutes=1)
    keeper.once(live_broker)
    assert town.store.oldest() is None and destructions(town)[-1]["failed"] == []
    assert "scope_erased" in registered(town)


@pytest.mark.parametrize(
    ("owner", "method", "word"),
    [
        (Keystore, "destroy", "the keys"),
        (ArchiveReader, "cameras", "the recordings"),
        (ArchiveEraser, "erase_views_before", "the pictures"),
        (MemoryStore, "erase_before", "the store"),
        (Journal, "destroy_volumes", "the journal"),
    ],
)
def test_what_fails_is_registered_beside_what_went(
    town: Town, owner: type, method: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.index("live", seconds=20)
    town.clock.turn(days=32)
    town.gate.clock_guard.confirm()
    keeper = Keeper(town.gate, town.store)
    with monkeypatch.context() as patch:
        patch.setattr(owner, method, away)
        assert not keeper.destroy()
    (line,) = destructions(town)
    assert line["failed"] == [word]
    assert bool(line["keys"]) == (word != "the keys")
    assert bool(line["bytes"]) == bool(line["cameras"]) == (word != "the recordings")
    assert (town.store.oldest() is None) == (word != "the store")
    # The next round does what is left.
    assert keeper.destroy()
    assert not list((town.site.archive_dir / "views").rglob("*-0"))
    assert f"{START:%Y-%m-%d}" not in town.gate.keys.days() and town.store.oldest() is None
    assert ArchiveReader(town.site.archive_dir).cameras() == []


def test_a_proof_waits_for_a_broker_that_starts_and_fails_where_it_never_does(town: Town) -> None:
    keeper, broker = Keeper(town.gate, town.store), live_broker()

    def no_secret() -> MemoryBroker:
        raise SiteError(["the broker's secret of keeper cannot be read"])

    def proofs(open_broker: Callable[[], MemoryBroker], rounds: int) -> list[str]:
        """What the register says once so many rounds are walked, a day after it last said anything."""
        before = len(registered(town))
        town.clock.turn(days=1)
        town.gate.clock_guard.confirm()
        keeper.destroy()
        for _ in range(rounds):
            keeper.prove(open_broker)
        return [kind for kind in registered(town)[before:] if kind.startswith("proof") or kind == "proved"]

    keeper.prove(lambda: broker)  # from now on one is owed
    assert proofs(lambda: broker, 2) == ["proved"]
    for blind in (MemoryBroker, no_secret):
        assert proofs(blind, PUT_OFF) == []
        keeper.prove(blind)
        assert registered(town)[-1] == "proof_failed"
    broker.down = True
    assert proofs(lambda: broker, 3) == []
    broker.down = False
    keeper.prove(lambda: broker)
    assert registered(town)[-1] == "proved"


def registered(town: Town) -> list[str]:
    with town.gate.database.read() as s:
        return [row.kind for row in s.query(RegisterRow).order_by(RegisterRow.id)]


@pytest.mark.parametrize("jump", [timedelta(days=40), timedelta(days=-40)])
def test_a_jump_of_the_clock_destroys_nothing(town: Town, jump: timedelta) -> None:
    ticks = 0.0
    town.gate.clock_guard = ClockGuard(town.gate.database, town.clock, lambda: ticks)
    keeper = Keeper(town.gate, town.store)
    assert keeper.destroy()
    town.clock.at += jump
    assert not keeper.destroy()
    assert len(list(ArchiveReader(town.site.archive_dir).records("mairie", span(0, 20)))) == 20
    assert f"{START:%Y-%m-%d}" in town.gate.keys.days()
    # Another process of the gate, and one after a restart, hold back as well.
    assert not Keeper(town.new_gate(), town.store).destroy()
    # What would be past its date by either clock is not shown.
    limit = town.gate.not_before()
    assert limit >= town.clock() - timedelta(days=30) and limit >= START - timedelta(days=30)
    assert not prove(town.gate, town.store, live_broker()).good
    town.clock.at -= jump
    town.gate.clock_guard.watch()
    assert not keeper.destroy()  # only a person frees it
    with pytest.raises(DutyRefused):
        town.client("tech").confirm_clock()
    refused = town.journal()[-1]
    assert (refused["phase"], refused["act"], refused["person"]) == ("refusal", "clock.confirm", "Tech")
    assert any("clock" in w for w in town.client("admin").whoami().warnings)
    town.client("admin").confirm_clock()
    confirmed = town.journal()[-1]
    assert (confirmed["phase"], confirmed["act"], confirmed["person"]) == ("outcome", "clock.confirm", "Admin")
    assert keeper.destroy()


def test_a_clock_set_back_shows_nothing_more(town: Town) -> None:
    town.clock.turn(days=29)
    town.gate.clock_guard.watch()
    limit = town.gate.not_before()
    town.clock.turn(days=-20)
    assert town.gate.not_before() == limit
    assert town.new_gate().not_before() == limit
