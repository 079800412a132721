# SPDX-License-Identifier: AGPL-3.0-or-later
"""Threats of docs/threats.md that no other test tries: stolen copies, a captured capture machine, many at once."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.archive import ArchiveReader
from connectors.bounds import Interval
from connectors.errors import KeyUnavailable, SealError
from connectors.keys import HeldKeys
from connectors.sealing import PublicKeys, Sealer, open_gop
from gate.errors import JournalUnwritable
from gate.gate import Gate
from gate.journal import entry_hash
from tests.gate.conftest import in_memory
from tests.gate.town import PASSWORD, START, Town, canaries, gop


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
    public = PublicKeys(town.folder / "keys" / "public")
    taken = Sealer(public)
    taken.seal(gop("mairie", START + timedelta(hours=1), 99))
    keys = [held[1] for held in taken._keys.values()]
    for camera in town.names:
        for sealed in ArchiveReader(town.site.archive_dir).records(camera, span(0, 60)):
            for key in keys:
                with pytest.raises(SealError):
                    open_gop(sealed, key)
    assert not any(b"PRIVATE" in p.read_bytes() for p in (town.folder / "keys").rglob("*.pub"))


@pytest.mark.parametrize(
    "nasty",
    [
        "../../../secrets/gate/vault",
        "..%2f..%2fsecrets",
        "x' OR '1'='1",
        "'; DROP TABLE requisitions; --",
        "\x00",
        "mairie\n",
        "{passage:String}",
        "a" * 5000,
    ],
)
def test_paths_and_sql_in_every_field_get_nothing(town: Town, nasty: str) -> None:
    requisition = town.opened()
    town.index(requisition)
    client = town.client("tech")
    grant = client.grant(requisition, ("rewind", "search", "picture", "video", "trace")).id
    http, headers = town.http(), {"Authorization": f"Bearer {client.token}"}
    from urllib.parse import quote

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
        http.post("/grants", json={"requisition": nasty, "acts": ["rewind"]}, headers=headers),
    ]
    for answer in answers:
        assert 400 <= answer.status_code < 500, (answer.request.url, answer.status_code)
        assert not canaries(answer.content)
    assert client.search(grant).total > 0


def test_two_operators_at_once_are_both_bounded_and_both_journalled(town: Town) -> None:
    town.person("second", "technician")
    papers = [town.opened(cameras=("mairie",)), town.opened(reference="PV 2", cameras=("gare",))]
    clients = [town.client("tech"), town.client("second")]
    grants = [c.grant(p, ("rewind",)).id for c, p in zip(clients, papers, strict=True)]
    seen: list[set[str]] = [set(), set()]

    def work(n: int) -> None:
        for _ in range(5):
            camera = ("mairie", "gare")[n]
            seen[n] |= {c for c, _ in canaries(clients[n].rewind(grants[n], camera, span(12, 20)))}

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
    assert sorted(outcomes) == ["Second"] * 5 + ["Tech"] * 5


def test_a_full_disk_stops_every_act(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    requisition = town.opened()
    client = town.client("tech")
    grant = client.grant(requisition, ("rewind", "search")).id

    def full(*_: object) -> int:
        raise JournalUnwritable("the journal cannot be written (No space left on device): make room")

    monkeypatch.setattr("gate.journal.Journal._write", staticmethod(full))
    for call in (lambda: client.rewind(grant, "mairie", span(12, 20)), lambda: client.search(grant)):
        with pytest.raises(JournalUnwritable):
            call()


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
