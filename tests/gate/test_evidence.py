# SPDX-License-Identifier: AGPL-3.0-or-later
"""Evidence is secured at opening, outlives the retention, and dies with its requisition."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.archive import ArchiveReader, ArchiveWriter
from connectors.bounds import Interval
from connectors.errors import ArchiveFull, KeyUnavailable
from connectors.gop import FrameRecord, Gap, Gop
from connectors.keys import GateKeys
from connectors.memory_store import MemoryStore
from connectors.orders import load_orders_key, read_close, read_order
from flows.replay import replayed
from gate.alarms import standing
from gate.closure import begin_closure, expire, finish_closures, take_up_closures
from gate.database import RequisitionRow
from gate.errors import BasisNotOpen
from gate.evidence import Evidence
from gate.keeper import Keeper
from gate.keystore import Keystore
from gate.orders import Orders
from gate.reasons import CLOSED
from gate.rounds import Rounds
from gate.setup import set_up
from reid.passage import Coverage
from tests.gate.town import START, Town, canaries, span


def copies(town: Town, requisition: str) -> list[Gop]:
    reader = ArchiveReader(town.folder / "exhibits" / requisition)
    return [g for camera in reader.cameras() for g in reader.records(camera, span(-600, 600))]


def test_opening_copies_under_the_requisitions_own_key(town: Town) -> None:
    requisition = town.opened()
    held = copies(town, requisition)
    assert {(g.camera, int((g.first_at - START).total_seconds())) for g in held} == {
        (c, n) for c in ("mairie", "gare") for n in range(10, 40)
    }
    assert {g.seal.day for g in held if g.seal} == {f"exhibit-{requisition}"} and all(g.seal for g in held)
    assert not any(canaries(g.payload) for g in held)
    order_file = next((town.folder / "orders").glob("*.order"))
    order = read_order(order_file.read_bytes(), load_orders_key(town.folder / "keys" / "public"), town.clock())
    assert (order.scope, order.source, order.cameras) == (requisition, "exhibits", ("gare", "mairie"))
    assert order.intervals == (span(10, 40),)


def test_what_was_secured_outlives_the_retention_and_the_days_key(town: Town) -> None:
    requisition = town.opened(expires_at=START + timedelta(days=60))
    town.opened(reference="Consultation 3", basis="habilitated_officer", article="", expires_at=START + timedelta(60))
    town.clock.turn(days=35)
    town.gate.clock_guard.confirm()
    assert Keeper(town.gate, town.store).destroy()
    assert ArchiveReader(town.site.archive_dir).cameras() == []
    assert f"{START:%Y-%m-%d}" not in town.gate.keys.days()
    tech = town.client("tech")
    grant = tech.grant(requisition, ("rewind",))
    data = tech.rewind(grant.id, "mairie", span(12, 20))
    assert len(canaries(data)) == 8
    assert tech.coverage(grant.id).recorded_s == pytest.approx(60, abs=1)


def test_closing_erases_its_own_and_no_others(town: Town) -> None:
    first = town.opened()
    second = town.opened(reference="PV 2026/77", cameras=("mairie",))
    for scope in (first, second):
        town.index(scope, cameras=["mairie"])
    town.client("chef").close_requisition(first)
    assert not (town.folder / "exhibits" / first).exists()
    assert town.gate.keys.destroyed(f"exhibit-{first}")
    orders = town.folder / "orders"
    order = town.gate.requisitions.orders(first)[0]
    close = read_close((orders / f"{order}.close").read_bytes(), load_orders_key(town.folder / "keys" / "public"))
    assert close.scope == first
    keeper = Keeper(town.gate, town.store)
    assert keeper.close_requisitions() == []  # its runs are not stopped yet
    (orders / f"{order}.closed").touch()
    assert keeper.close_requisitions() == [first]
    assert keeper.close_requisitions() == []
    assert not list(orders.glob(f"{order}.*"))
    assert not (town.site.archive_dir / "views" / first).exists()
    tech = town.client("tech")
    grant = tech.grant(second, ("rewind", "search", "picture"))
    found = tech.search(grant.id)
    assert found.total and tech.picture(grant.id, found.passages[0].id)
    assert canaries(tech.rewind(grant.id, "mairie", span(12, 20)))


def test_expiry_closes_by_itself(town: Town) -> None:
    requisition = town.opened(expires_at=START + timedelta(days=2))
    town.clock.turn(days=3)
    assert expire(town.gate) == [requisition]
    assert not copies(town, requisition)
    assert town.gate.requisitions.info(requisition).state == "expired"
    assert expire(town.gate) == []
    (town.folder / "orders" / f"{requisition}-1.closed").touch()
    assert finish_closures(town.gate, town.store) == [requisition]


def fails_once(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
    """The disk is full, this once."""
    real = getattr(owner, name)

    def full(*_: object, **__: object) -> None:
        monkeypatch.setattr(owner, name, real)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(owner, name, full)


@pytest.mark.parametrize(("owner", "name"), [(Orders, "close"), (Keystore, "destroy"), (shutil, "rmtree")])
@pytest.mark.parametrize("ends", ["closed", "expired"])
def test_a_closure_that_was_cut_off_is_taken_up_again(
    town: Town, monkeypatch: pytest.MonkeyPatch, ends: str, owner: object, name: str
) -> None:
    kept = town.opened(reference="PV 2026/77")
    requisition = town.opened(expires_at=START + timedelta(days=2))
    chef = town.client("chef")
    fails_once(monkeypatch, owner, name)
    with pytest.raises(OSError, match="No space"):
        if ends == "closed":
            chef.close_requisition(requisition)
        else:
            town.clock.turn(days=3)
            expire(town.gate)
    assert town.gate.requisitions.info(requisition).state == ends
    after = Rounds(town.new_gate())
    after.once()
    assert not (town.folder / "exhibits" / requisition).exists()
    assert town.gate.keys.destroyed(f"exhibit-{requisition}")
    assert (town.folder / "orders" / f"{requisition}-1.close").exists()
    assert copies(town, kept)
    last = town.journal()[-1]
    assert (last["act"], last["requisition"], last["details"]) == ("requisition.close", requisition, {"taken_up": True})
    after.once()
    assert town.journal()[-1]["n"] == last["n"]


def test_a_lost_copy_whose_order_was_never_written_goes_as_well(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    fails_once(monkeypatch, Orders, "write")
    requisition = town.opened()
    assert copies(town, requisition) and not list((town.folder / "orders").glob("*.order"))
    town.gate.requisitions.close(requisition, None)
    assert finish_closures(town.gate, town.store) == [requisition]
    assert take_up_closures(town.gate) == [requisition]
    assert not (town.folder / "exhibits" / requisition).exists()
    assert take_up_closures(town.gate) == []


def test_clear_video_goes_from_memory_when_a_requisition_ends(town: Town) -> None:
    requisition = town.opened(expires_at=START + timedelta(hours=2))
    tech = town.client("tech")
    grant = tech.grant(requisition, ("video",))
    browser = town.http()
    url = tech.video_url(grant.id, "mairie", span(12, 20)).removeprefix(tech.url)
    assert browser.get(url, headers={"Authorization": f"Bearer {tech.token}"}).status_code in (200, 206)
    assert town.gate.clips._held
    town.clock.turn(hours=3)
    Rounds(town.gate).once()
    assert not town.gate.clips._held


def test_a_copy_that_was_cut_off_is_taken_up_again(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    real, count = ArchiveWriter.append, 0

    def full(self: ArchiveWriter, record: FrameRecord) -> bool:
        nonlocal count
        count += 1
        if count > 20:
            raise ArchiveFull("no room")
        return real(self, record)

    monkeypatch.setattr(ArchiveWriter, "append", full)
    requisition = town.opened()
    assert not list((town.folder / "orders").glob("*.order"))
    assert "no room" in town.client("greffe").progress(requisition).message
    monkeypatch.undo()
    assert Evidence(town.new_gate()).secure_pending() == 1
    assert len(copies(town, requisition)) == 60
    assert list((town.folder / "orders").glob("*.order"))


def fails_for(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, requisition: str) -> None:
    """What a method of a class does fails where one requisition is named."""
    real = getattr(owner, name)

    def fails(self: object, *given: Any) -> Any:
        if any(requisition in (g, getattr(g, "requisition", None)) for g in given):
            raise OSError(28, "No space left on device")
        return real(self, *given)

    monkeypatch.setattr(owner, name, fails)


def acts(town: Town, act: str) -> int:
    return sum(e["act"] == act and e["phase"] == "intent" for e in town.journal())


def test_a_copy_that_fails_is_an_alarm_and_waits_longer_each_time(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = town.opened()
    (town.folder / "orders" / f"{alone}-1.order").unlink()
    fails_for(monkeypatch, Orders, "write", alone)
    rounds = Rounds(town.gate)
    before = acts(town, "evidence.secure")
    for _ in range(6 * 360):  # six hours, by the rounds of the gate
        rounds.evidence.secure_pending()
        town.clock.turn(seconds=10)
    assert acts(town, "evidence.secure") - before == 14
    assert "No space" in rounds.evidence.message(alone)
    alarms = standing(town.gate, town.clock())
    assert alarms[f"evidence/{alone}"].english == f"PV 2026/1234: {rounds.evidence.message(alone)}"
    # Another is secured at once, and what was added to the same one as well, were there room.
    other = town.opened(reference="PV 2026/77")
    assert rounds.evidence.message(other) == "" and list((town.folder / "orders").glob(f"{other}-1.order"))
    tries = acts(town, "evidence.secure")
    town.client("chef").amend(alone, reference="bis", document=b"%PDF-1.4 bis", cameras=("pont",))
    assert acts(town, "evidence.secure") == tries + 1
    monkeypatch.undo()
    assert rounds.evidence.secure_pending() == 0
    assert Evidence(town.new_gate()).secure_pending() == 2  # a new process tries at once
    assert not [name for name in standing(town.gate, town.clock()) if name.startswith("evidence/")]


def test_an_unforeseen_fault_keeps_no_other_from_being_secured(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = town.opened(), town.opened(reference="PV 2026/77")
    for requisition in (first, second):
        (town.folder / "orders" / f"{requisition}-1.order").unlink()
    real = Orders.write

    def fails(self: Orders, opened: Any, source: Any) -> None:
        if opened.requisition == first:
            raise ValueError("words of what was read")
        real(self, opened, source)

    monkeypatch.setattr(Orders, "write", fails)
    evidence = Evidence(town.gate)
    assert evidence.secure_pending() == 1
    assert evidence.message(first) == "securing the evidence failed (ValueError); it is tried again"


def test_one_index_that_cannot_be_erased_keeps_no_other_from_it(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = [town.opened(reference=f"PV 2026/{n}") for n in range(3)]
    for requisition in ended:
        town.index(requisition, cameras=["mairie"])
        town.client("chef").close_requisition(requisition)
        (town.folder / "orders" / f"{requisition}-1.closed").touch()
    fails_for(monkeypatch, MemoryStore, "erase_scope", ended[0])
    keeper = Keeper(town.gate, town.store)
    assert keeper.close_requisitions() == ended[1:]
    assert not (town.site.archive_dir / "views" / ended[0]).exists()  # its pictures need no store
    for _ in range(12 * 60):
        assert keeper.close_requisitions() == []
        town.clock.turn(seconds=5)
    assert acts(town, "requisition.erase") <= 3 + 9
    monkeypatch.undo()
    town.clock.turn(hours=1)
    assert keeper.close_requisitions() == ended[:1]


def test_closing_in_the_middle_of_a_copy_leaves_nothing(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    real, count = ArchiveWriter.append, 0

    def closing(self: ArchiveWriter, record: FrameRecord) -> bool:
        nonlocal count
        count += 1
        if count == 20:
            requisition = town.gate.requisitions.all()[0].id
            town.gate.requisitions.close(requisition, None)
        return real(self, record)

    monkeypatch.setattr(ArchiveWriter, "append", closing)
    requisition = town.opened()
    assert count == 20
    begin_closure(town.gate, requisition)
    assert not copies(town, requisition)
    assert not list((town.folder / "orders").glob("*.order"))
    assert Evidence(town.gate).secure_pending() == 0


def test_a_closure_while_a_copys_gaps_are_told_leaves_nothing(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = ArchiveWriter(town.site.archive_dir)
    at = span(20, 21)
    writer.append(
        Gap(camera="gare", scope="live", run="r", sequence=9, started_at=at.start, ended_at=at.end, reason="silent")
    )
    writer.close()
    gaps = ArchiveReader.gaps

    def told(self: ArchiveReader, camera: str, interval: Interval) -> list[Gap]:
        if camera == "gare":
            end(town)
        return gaps(self, camera, interval)

    monkeypatch.setattr(ArchiveReader, "gaps", told)
    requisition = town.opened()
    assert town.gate.requisitions.info(requisition).state == "closed"
    assert not (town.folder / "exhibits" / requisition).exists()


def test_a_copys_folder_is_made_where_no_closure_comes_between(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    mkdir = Path.mkdir

    def make(self: Path, *how: Any, **else_: Any) -> None:
        if self.parent == town.gate.folders.exhibits and not town.gate.evidence_lock.locked():
            end(town)
        mkdir(self, *how, **else_)

    monkeypatch.setattr(Path, "mkdir", make)
    requisition = town.opened()
    end(town)
    assert not (town.folder / "exhibits" / requisition).exists()


def end(town: Town) -> None:
    """The one requisition ends now, if it has not."""
    (requisition,) = town.gate.requisitions.all()
    if requisition.state == "open":
        town.gate.requisitions.close(requisition.id, None)
        begin_closure(town.gate, requisition.id)


def test_after_a_restore_without_the_days_keys_what_opens_is_secured(town: Town, tmp_path: Path) -> None:
    day, next_day = f"{START:%Y-%m-%d}", timedelta(days=1)
    town.clock.turn(days=1)
    town.record(START + next_day)
    days = town.folder / "secrets" / "gate" / "days"
    spare = shutil.copy(days / f"{day}.key", tmp_path / "spare")
    (days / f"{day}.key").unlink()
    gate = town.gate = town.new_gate()
    gate.keys.publish(gate.not_before())
    assert day not in gate.keys.days() and not (town.folder / "keys" / "public" / f"{day}.pub").exists()
    later = Interval(START + next_day + timedelta(seconds=10), START + next_day + timedelta(seconds=40))
    requisition = town.opened(cameras=("mairie",), intervals=(span(10, 40), later))
    exhibits = ArchiveReader(town.folder / "exhibits" / requisition)
    assert exhibits.recorded("mairie", span(0, 60)) == []
    assert len(list(exhibits.records("mairie", later))) == 30
    order_file = town.folder / "orders" / f"{requisition}-1.order"
    order = read_order(order_file.read_bytes(), load_orders_key(town.folder / "keys" / "public"), town.clock())
    (hole, *_) = replayed(exhibits, order, "mairie", span(10, 40))
    assert isinstance(hole, Gap) and hole.reason == CLOSED
    assert (hole.started_at, hole.ended_at) == (span(10, 40).start, span(10, 40).end)
    # A fresh key would open nothing; the old one does, once it is put back.
    seal = next(ArchiveReader(town.site.archive_dir).records("mairie", span(12, 13))).seal
    assert seal
    with pytest.raises(KeyUnavailable, match="is lost"):
        gate.keys.data_key(seal)
    shutil.copy(spare, days / f"{day}.key")
    gate.keys.publish(gate.not_before())
    assert gate.keys.data_key(seal) and (town.folder / "keys" / "public" / f"{day}.pub").exists()


def test_one_record_that_does_not_open_keeps_no_other_from_being_secured_and_shown(town: Town) -> None:
    archive = ArchiveReader(town.site.archive_dir)
    whole = list(archive.records("mairie", span(0, 60)))
    shutil.rmtree(town.site.archive_dir / "mairie")
    writer = ArchiveWriter(town.site.archive_dir)
    for n, held in enumerate(whole):
        writer.append(msgspec.structs.replace(held, payload=bytes(len(held.payload))) if n == 20 else held)
    writer.close()
    requisition = town.opened(cameras=("mairie",))
    secured = {int((g.first_at - START).total_seconds()) for g in copies(town, requisition)}
    assert secured == {*range(10, 40)} - {20}
    done = [e for e in town.journal() if e["act"] == "evidence.secure" and e["phase"] == "outcome"]
    assert [(e["details"]["groups"], e["details"]["lost"]) for e in done] == [(29, 1)]
    tech = town.client("tech")
    grant = tech.grant(requisition, ("rewind",))
    shown = canaries(tech.rewind(grant.id, "mairie", span(18, 24)))
    assert {s - int(START.timestamp()) for _, s in shown} == {18, 19, 21, 22, 23}
    # Indexing has told the gap: it is told once, and for what it is.
    hole = {"scope": requisition, "camera": "mairie", "started_at": span(20, 21).start, "ended_at": span(20, 21).end}
    looked = {"scope": requisition, "camera": "mairie", "status": "indexed"}
    town.store.insert_coverage(
        [
            Coverage(started_at=span(10, 20).start, ended_at=span(10, 20).end, **looked),
            Coverage(status="gap", reason=CLOSED, **hole),
            Coverage(started_at=span(21, 40).start, ended_at=span(21, 40).end, **looked),
        ]
    )
    covered = tech.coverage(tech.grant(requisition, ("rewind", "search")).id)
    assert [(line.status, line.reason) for line in covered.lines] == [("gap", CLOSED)]
    assert (covered.recorded_s, covered.indexed_s) == (30, 29)


def test_a_requisition_that_is_prolonged_has_its_orders_signed_anew(town: Town) -> None:
    requisition = town.opened(expires_at=START + timedelta(days=2))
    (order,) = town.gate.requisitions.orders(requisition)
    file, key = town.folder / "orders" / f"{order}.order", load_orders_key(town.gate.folders.public)
    later = START + timedelta(days=20)
    town.client("chef").amend(requisition, reference="bis", document=b"%PDF-1.4 bis", expires_at=later)
    again = read_order(file.read_bytes(), key, START + timedelta(days=3))
    assert (again.id, again.expires_at, set(again.cameras)) == (order, later, {"mairie", "gare"})


def test_one_that_is_prolonged_while_it_is_copied_is_ordered_until_its_new_end(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    later, copy = START + timedelta(days=20), Evidence._copy

    def slow(evidence: Evidence, opened: Any, outcome: Any) -> None:
        copy(evidence, opened, outcome)
        # Not by a client: the town's own office would wait for this very copy.
        with town.gate.database.write() as rows:
            rows.get_one(RequisitionRow, opened.requisition).expires_at = later

    monkeypatch.setattr(Evidence, "_copy", slow)
    requisition = town.opened(expires_at=START + timedelta(days=2))
    (order,) = town.gate.requisitions.orders(requisition)
    file = town.folder / "orders" / f"{order}.order"
    written = read_order(file.read_bytes(), load_orders_key(town.gate.folders.public), START + timedelta(days=3))
    assert written.expires_at == later


def test_an_amendment_secures_what_it_adds(town: Town) -> None:
    requisition = town.opened()
    town.client("chef").amend(requisition, reference="bis", document=b"%PDF-1.4 bis", cameras=("pont",))
    assert {g.camera for g in copies(town, requisition)} == {"mairie", "gare", "pont"}
    assert len(list((town.folder / "orders").glob("*.order"))) == 2


def keys(town: Town, token: str | None = None) -> GateKeys:
    held = token or (town.folder / "secrets" / "indexer" / "gate-token").read_text()
    return GateKeys(town.url, held, client=town.http())


def test_the_indexer_gets_the_keys_of_open_requisitions_only(town: Town) -> None:
    requisition = town.opened()
    other = town.opened(reference="PV 2026/77", cameras=("pont",))
    seals = [g.seal for g in copies(town, requisition) if g.seal]
    assert len(keys(town).data_keys(seals[:3], requisition)[0]) == 32
    archive = ArchiveReader(town.site.archive_dir)
    inside = next(archive.records("mairie", span(12, 13))).seal
    outside = next(archive.records("pont", span(12, 13))).seal
    assert inside and outside
    assert keys(town).data_key(inside, requisition)
    for seal, scope in (
        (outside, requisition),
        (seals[0], other),
        (inside, other),
        (inside, "live"),
        (inside, "r00"),
        (inside, "../etc"),
    ):
        with pytest.raises(KeyUnavailable, match="403"):
            keys(town).data_key(seal, scope)
    with pytest.raises(KeyUnavailable, match="401"):
        keys(town, "guessed").data_key(inside, requisition)
    assert [e for e in town.journal() if e["phase"] == "refusal" and e["act"] == "data_keys"]
    town.client("chef").close_requisition(requisition)
    with pytest.raises(KeyUnavailable, match="403"):
        keys(town).data_key(inside, requisition)


def test_a_gate_that_does_not_see_the_indexers_folder_knows_its_token(town: Town, tmp_path: Path) -> None:
    requisition = town.opened()
    seal = next(g.seal for g in copies(town, requisition) if g.seal)
    held = (town.folder / "secrets" / "indexer" / "gate-token").read_text()
    shutil.move(town.folder / "secrets" / "indexer", tmp_path / "elsewhere")
    set_up(town.site)
    http = town.http(town.new_gate())
    assert GateKeys(town.url, held, client=http).data_key(seal, requisition)
    with pytest.raises(KeyUnavailable, match="401"):
        GateKeys(town.url, "guessed", client=http).data_key(seal, requisition)
    kept = town.folder / "secrets" / "gate" / "indexer-token.sha256"
    assert not (town.folder / "secrets" / "indexer").exists() and kept.read_text() != held
    # A new token of the indexer's is known at the gate's next start.
    shutil.move(tmp_path / "elsewhere", town.folder / "secrets" / "indexer")
    (town.folder / "secrets" / "indexer" / "gate-token").unlink()
    before = kept.read_text()
    set_up(town.site)
    assert kept.read_text() != before


def test_a_key_id_is_bound_to_its_key(town: Town) -> None:
    requisition = town.opened()
    outside = next(ArchiveReader(town.site.archive_dir).records("pont", span(12, 13))).seal
    assert outside
    lied = msgspec.structs.replace(outside, key_id=outside.key_id.replace("pont", "mairie"))
    with pytest.raises(KeyUnavailable, match="403"):
        keys(town).data_key(lied, requisition)
    last = town.journal()[-1]
    assert (last["phase"], last["act"], last["details"]["seals"]) == ("refusal", "data_keys", [lied.key_id])


def test_keys_destroyed_stay_destroyed(town: Town) -> None:
    day = f"{START:%Y-%m-%d}"
    assert town.gate.keys.destroy(day)
    assert not town.gate.keys.destroy(day)
    town.gate.keys.publish(START - timedelta(days=2))
    assert day not in town.gate.keys.days()
    assert not (town.folder / "keys" / "public" / f"{day}.pub").exists()
    seal = next(ArchiveReader(town.site.archive_dir).records("pont", span(12, 13))).seal
    assert seal
    for store in (town.gate.keys, town.new_gate().keys):
        with pytest.raises(KeyUnavailable, match="destroyed"):
            store.data_key(seal)
    for name in ("../vault", "2026-3-1", "exhibit-../x"):
        with pytest.raises(KeyUnavailable):
            store.destroy(name)


def test_a_closed_requisition_cannot_be_opened_by_hand(town: Town) -> None:
    requisition = town.opened()
    town.client("chef").close_requisition(requisition)
    with pytest.raises(BasisNotOpen):
        town.client("tech").grant(requisition, ("rewind",))
