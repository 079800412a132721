# SPDX-License-Identifier: AGPL-3.0-or-later
"""Threats of docs/threats.md that no other test tries: stolen copies, a captured capture machine, many at once."""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from connectors.archive import ArchiveReader
from connectors.bounds import Interval
from connectors.errors import KeyUnavailable, SealError
from connectors.keys import HeldKeys
from connectors.sealing import open_gop
from gate.errors import GateError, Invalid, JournalUnwritable
from gate.gate import Gate
from gate.journal import entry_hash
from gate.journal_check import verify
from tests.gate.conftest import in_memory
from tests.gate.town import PASSWORD, START, Clock, Town, canaries, gop


def span(start: float, end: float) -> Interval:
    return Interval(START + timedelta(seconds=start), START + timedelta(seconds=end))


@pytest.fixture
def town() -> Iterator[Town]:
    with in_memory() as folder:
        town = Town(folder / "var")
        town.staff()
        town.record()
        yield town


def everything(folder: Path, without: str = "\0") -> bytes:
    return b"\n".join(p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and without not in str(p))


def test_a_stolen_disk_without_the_keystore_shows_nothing(town: Town) -> None:
    requisition = town.opened()
    town.index(requisition)
    assert not canaries(everything(town.folder))
    stolen = ArchiveReader(town.site.archive_dir)
    sealed = next(stolen.records("mairie", span(12, 13)))
    assert sealed.seal
    with pytest.raises(KeyUnavailable):
        HeldKeys({}).data_key(sealed.seal, requisition)
    for guess in (bytes(32), sealed.seal.sealed_key[:32], sealed.seal.sealed_key[-32:]):
        with pytest.raises(SealError):
            open_gop(sealed, guess)


def test_backups_that_honour_the_tag_leave_the_keys_out(town: Town) -> None:
    folder = town.folder / "secrets" / "gate" / "days"
    assert (folder / "CACHEDIR.TAG").read_bytes().startswith(b"Signature: 8a477f597d28d172789f06886806bc55")
    assert all(p.stat().st_mode & 0o077 == 0 for p in folder.glob("*.key"))


def test_a_backup_of_the_database_signs_nobody_in(town: Town) -> None:
    client = town.client("tech")
    town.gate.database.vacuum()
    data = everything(town.folder / "gate")
    for secret in (client.token or "", PASSWORD, town.secrets["tech"], town.recovery["tech"][0]):
        assert secret and secret.encode() not in data


def test_a_capture_machine_taken_over_opens_nothing_recorded_before(town: Town) -> None:
    """It holds public keys and, in memory, the data key of each camera's current hour: nothing older opens."""
    taken = town.sealer  # it has sealed all that is recorded
    for camera in town.names:
        taken.seal(gop(camera, START + timedelta(hours=1), 99))
    keys = [data_key for _, data_key, _ in taken._keys.values()]
    reader = ArchiveReader(town.site.archive_dir)
    recorded = [sealed for camera in town.names for sealed in reader.records(camera, span(0, 60))]
    assert len(keys) == 3 and len(recorded) == 180
    for sealed in recorded:
        for key in keys:
            with pytest.raises(SealError):
                open_gop(sealed, key)
    assert not any(b"PRIVATE" in p.read_bytes() for p in (town.folder / "keys").rglob("*.pub"))


NASTY = (
    "x' OR '1'='1",
    "'; DROP TABLE requisitions; --",
    "../../../secrets/gate/vault",
    "..%2f..%2fsecrets",
    "\x00",
    "mairie\n",
    "{passage:String}",
    "a" * 5000,
)


@pytest.mark.parametrize("nasty", NASTY)
def test_paths_and_sql_in_every_field_get_nothing(town: Town, nasty: str) -> None:
    requisition = town.opened()
    town.index(requisition)
    client = town.client("tech")
    grant = client.grant(requisition, ("rewind", "search", "picture", "video", "trace", "export")).id
    http, headers = town.http(), {"Authorization": f"Bearer {client.token}"}
    known = len(town.journal())
    package = {"purpose": "remise", "recipient": "X", "clips": [], "passages": []}
    part = quote(nasty, safe="")
    interval = {"start": span(12, 20).start.isoformat(), "end": span(12, 20).end.isoformat()}
    answers = [
        http.get(f"/grants/{part}/video", params={"camera": "mairie", **interval}, headers=headers),
        http.get(f"/grants/{grant}/video", params={"camera": nasty, **interval}, headers=headers),
        http.get(f"/grants/{grant}/still", params={"camera": "mairie", "at": nasty}, headers=headers),
        http.get(f"/grants/{grant}/passages/{part}", headers=headers),
        http.get(f"/grants/{grant}/pictures/{part}/0", headers=headers),
        http.get(f"/requisitions/{part}", headers=headers),
        http.post(f"/grants/{grant}/search", json={"cameras": [nasty]}, headers=headers),
        http.post(f"/grants/{grant}/search", json={"colours": [nasty]}, headers=headers),
        http.post(f"/grants/{grant}/trace", json={"passage_id": nasty}, headers=headers),
        http.post(
            f"/grants/{grant}/exports",
            json={**package, "clips": [{"camera": nasty, "interval": interval}]},
            headers=headers,
        ),
        http.post(f"/grants/{grant}/export", json={**package, "passages": [nasty]}, headers=headers),
        http.get(f"/grants/{grant}/exports/{part}/package", headers=headers),
        http.post("/grants", json={"requisition": nasty, "acts": ["rewind"]}, headers=headers),
        http.post("/session", json={"login": nasty, "password": nasty, "code": nasty, "kind": "command"}),
    ]
    for answer in answers:
        assert 400 <= answer.status_code < 500, (answer.request.url, answer.status_code)
        assert not canaries(answer.content)
    entries = town.journal()[known:]
    assert all(e["phase"] in ("intent", "refusal") or "failed" in e["details"] for e in entries)
    forbidden = [a for a in answers if a.status_code in (401, 403)]
    assert len(forbidden) == len([e for e in entries if e["phase"] == "refusal"])
    assert client.search(grant).total > 0


def test_what_people_write_stays_text(town: Town) -> None:
    greffe = town.client("greffe")
    written: dict[str, str] = {}
    for nasty in NASTY:
        fields = dict.fromkeys(("reference", "purpose", "offence", "inquiry", "authority_name"), nasty)
        try:
            written[greffe.draft(**town.words(**fields)).id] = nasty
        except Invalid:
            continue  # too long, say
    assert len(written) >= 6
    assert {r.id: r.reference for r in greffe.requisitions()} == {k: v.strip() for k, v in written.items()}
    assert {r.purpose for r in greffe.requisitions()} == {v.strip() for v in written.values()}


@pytest.mark.parametrize(
    "way", ["../../secrets/gate/vault", "live/mairie/2026-03-20/../../../../../secrets/gate/vault"]
)
def test_no_row_of_the_store_makes_the_gate_read_another_file(town: Town, way: str) -> None:
    """Whoever has the indexer's secret may write any row, and in it any reference of a picture."""
    requisition = town.opened()
    honest = next(p for p in town.index(requisition, cameras=["mairie"]) if span(10, 40).holds(p.started_at))
    assert (town.site.archive_dir / "views" / "../../secrets/gate/vault").exists()
    view = msgspec.structs.replace(honest.views[0], reference=way, sealed=b"")
    town.store.insert_passages([msgspec.structs.replace(honest, views=(view,))])
    client = town.client("tech")
    grant = client.grant(requisition, ("search", "picture")).id
    with pytest.raises(GateError, match="cannot be read"):
        client.picture(grant, honest.id, 0)
    last = town.journal()[-1]
    assert (last["act"], last["person"], last["details"]["failed"]) == ("picture", "Tech", "ArchiveError")


ROUNDS = 5


def test_two_operators_at_once_are_both_bounded_and_both_journalled(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.person("second", "technician")
    papers = [town.opened(cameras=("mairie",)), town.opened(reference="PV 2", cameras=("gare",))]
    clients = [town.client("tech"), town.client("second")]
    grants = [c.grant(p, ("rewind",)).id for c, p in zip(clients, papers, strict=True)]
    seen: list[set[str]] = [set(), set()]

    def work(n: int) -> None:
        for _ in range(ROUNDS):
            camera = ("mairie", "gare")[n]
            seen[n] |= {c for c, _ in canaries(clients[n].rewind(grants[n], camera, span(12, 20)))}

    def slow(clock: Clock) -> datetime:
        time.sleep(0.001)
        return clock.at

    # The clock is asked in the middle of everything: whoever can come in between does.
    monkeypatch.setattr(Clock, "__call__", slow)
    workers = [threading.Thread(target=work, args=(n,)) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert seen == [{"mairie"}, {"gare"}]
    entries = town.journal()
    assert all(entry_hash(e) == e["hash"] for e in entries)
    assert [e["n"] for e in entries] == list(range(1, len(entries) + 1))
    outcomes = [e["person"] for e in entries if e["act"] == "rewind" and e["phase"] == "outcome"]
    assert sorted(outcomes) == ["Second"] * ROUNDS + ["Tech"] * ROUNDS


def test_a_full_disk_stops_every_act(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    requisition = town.opened()
    town.index(requisition)
    client = town.client("tech")
    grant = client.grant(requisition, ("rewind", "search", "picture", "video", "trace", "export")).id
    passage = client.search(grant).passages[0].id
    clip = {"purpose": "remise", "recipient": "X", "clips": [("mairie", span(12, 20))]}
    before, write, looked_at = town.journal(), os.write, []

    def full(descriptor: int, data: bytes) -> int:
        if Path(os.readlink(f"/proc/self/fd/{descriptor}")).parent == town.gate.journal.folder:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *a, **k: (looked_at.append(name), real(*a, **k))[1]

    monkeypatch.setattr(os, "write", full)
    for owner, name in ((town.store, "passages"), (town.store, "passage"), (town.gate.footage, "sealed")):
        monkeypatch.setattr(owner, name, watched(name, getattr(owner, name)))
    acts: tuple[Callable[[], object], ...] = (
        lambda: client.rewind(grant, "mairie", span(12, 20)),
        lambda: client.search(grant),
        lambda: client.picture(grant, passage),
        lambda: client.still(grant, "mairie", span(12, 20).start),
        lambda: client.trace(grant, passage),
        lambda: client.export(grant, town.folder / "out.zip", **clip),
        lambda: client.grant(requisition, ("rewind",)),
        lambda: town.client("chef"),
    )
    for act in acts:
        with pytest.raises(JournalUnwritable):
            act()
    assert not looked_at  # nothing was so much as looked at
    monkeypatch.undo()
    assert town.journal() == before
    assert client.search(grant).total > 0
    assert verify(town.gate.journal.folder, town.gate.signing.public_key(), (), town.clock()).good


def test_a_second_gate_over_the_same_folder_holds_the_same_rules(town: Town) -> None:
    requisition = town.opened()
    client = town.client("tech")
    grant = client.grant(requisition, ("rewind",)).id
    other: Gate = town.new_gate()
    live = other.sessions.check(client.token or "")
    assert other.grants.permit(live, grant, "rewind", ["mairie"], span(12, 20))
    town.gate.requisitions.close(requisition, None)
    with pytest.raises(Exception, match="closed"):
        other.grants.permit(live, grant, "rewind", ["mairie"], span(12, 20))
