# SPDX-License-Identifier: AGPL-3.0-or-later
"""The whole life of a requisition on the command line, as docs/gate.md tells it."""

import json
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

import gate.commands
import gate.journal_commands
import gate.people_commands
import gate.requisition_commands
import gate.retention_commands
from connectors.memory_broker import MemoryBroker
from gate.client import GateClient, kept_session
from gate.exhibits import fingerprint
from gate.keeper import Keeper
from gate.proof import prove
from tests.gate.test_exhibits import by_script
from tests.gate.town import PASSWORD, PDF, START, Town, canaries

SCOPE = {("mairie", n) for n in range(10, 40)} | {("gare", n) for n in range(10, 40)}


class Office:
    """A town hall with one command line, at which one person after another sits down."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.town = town = Town(folder / "var")
        town.staff()
        town.record()
        patch.chdir(folder)
        patch.setenv("PASSAGE_SESSION", str(folder / "session"))
        patch.setenv("PASSAGE_PASSWORD", PASSWORD)

        def client(site: Path | None = None) -> GateClient:
            return GateClient("http://testserver", kept_session(), http=town.http())

        modules = (gate.commands, gate.requisition_commands, gate.people_commands)
        for module in (*modules, gate.journal_commands, gate.retention_commands):
            patch.setattr(module, "client", client)

    def run(self, *words: str, fails: bool = False) -> str:
        done = CliRunner().invoke(gate.commands.app, words)
        assert (done.exit_code != 0) == fails, (words, done.output, done.exception)
        return str(done.exception) if fails else done.stdout

    def sign_in(self, login: str) -> None:
        self.town.clock.turn(seconds=31)
        self.run("sign-in", login, "--code", self.town.code(login))


@pytest.mark.slow
def test_the_whole_life_of_a_requisition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(tmp_path, monkeypatch)
    town, run = office.town, office.run
    Path("pv.pdf").write_bytes(PDF)

    # The registrar types it from the paper; the other registrar opens it.
    office.sign_in("chef")
    office.sign_in("greffe")
    run(
        *("requisition", "draft", "PV 2026/1234", "--camera", "mairie", "--camera", "gare"),
        *("--during", "2026-03-20 15:00:10..2026-03-20 15:00:40", "--article", "60-1", "--authority", "opj"),
        *("--name", "Capitaine Durand, commissariat", "--inquiry", "2026/000123"),
        *("--offence", "violences en réunion", "--purpose", "retrouver une voiture rouge"),
        *("--expires", "2026-04-15 12:00", "--document", "pv.pdf", "--received", "20/03/2026 15:30"),
    )
    assert "the other registrar" in run("requisition", "open", "PV 2026/1234", fails=True)
    assert "20/03/2026 15:30:00" in run("requisition", "show", "PV 2026/1234")
    office.sign_in("chef")
    requisition = json.loads(run("requisition", "open", "PV 2026/1234", "--json"))["id"]

    # Its copy is replayed and indexed.
    town.index(requisition)

    # The technician rewinds, searches, follows, decides, exports.
    office.sign_in("tech")
    run("rewind", "mairie", "2026-03-20 15:00:12", "--for", "8s", "-o", "clip.mp4", "--directed-by", "Capitaine Durand")
    assert canaries(Path("clip.mp4").read_bytes()) == {("mairie", int(START.timestamp()) + n) for n in range(12, 20)}
    assert Path("clip.mp4").stat().st_mode & 0o077 == 0
    run("rewind", "pont", "2026-03-20 15:00:12", fails=True)
    found = json.loads(run("search", "--colour", "red", "--pictures", "vues", "--json"))["passages"]
    assert found and len(list(Path("vues").iterdir())) == len(found)
    picked, other = found[0]["id"], found[1]["id"]
    run("trace", picked, "--reject", other, "--keep", "--json")
    steps = json.loads(run("trace", picked, "--json"))["steps"]
    assert picked in [s["passage"]["id"] for s in steps] and other not in [s["passage"]["id"] for s in steps]
    run(
        "export",
        "--trace",
        picked,
        "--purpose",
        "remise à l'enquêteur",
        "--to-whom",
        "Capitaine Durand",
        "-o",
        "piece.zip",
    )

    # Whoever receives it checks it with the fingerprint of the slip.
    with zipfile.ZipFile("piece.zip") as package:
        package.extractall("piece")
    folder = next(Path("piece").iterdir())
    good, words = by_script(folder.resolve(), fingerprint(town.gate))
    assert good, words
    began = int(START.timestamp())
    seen = set().union(*(canaries(p.read_bytes()) for p in folder.rglob("*") if p.is_file()))
    assert seen and {(c, s - began) for c, s in seen} <= SCOPE

    # Closed, it is erased: nothing answers any more, and the proof finds nothing.
    office.sign_in("greffe")
    run("requisition", "close", "PV 2026/1234")
    for order in town.gate.requisitions.orders(requisition):
        (town.folder / "orders" / f"{order}.closed").touch()
    assert Keeper(town.gate, town.store).close_requisitions() == [requisition]
    assert not (town.folder / "exhibits" / requisition).exists()
    office.sign_in("tech")
    assert "closed" in run("search", "-r", requisition, fails=True)
    town.clock.turn(hours=2)
    assert prove(town.gate, town.store, MemoryBroker()).good

    # The year's figures name nobody; the journal tells the auditor everything, and verifies.
    office.sign_in("greffe")
    bilan = run("bilan", "2026", "--json", "--pdf", "bilan.pdf")
    assert json.loads(bilan)["exports"] == 1 and json.loads(bilan)["by_offence"] == {"violences en réunion": 1}
    (line,) = json.loads(bilan)["lines"]
    assert line["delay_hours"] == 0.5  # from the paper's arrival at half past three to the opening
    assert not any(name in bilan for name in ("Tech", "Greffe", "Durand"))
    assert Path("bilan.pdf").read_bytes().startswith(b"%PDF")
    office.sign_in("audit")
    acts = {line["act"] for line in json.loads(run("journal", "show", "-r", requisition, "--limit", "500", "--json"))}
    assert {"rewind", "search", "trace", "decide", "export", "requisition.close"} <= acts
    town.gate.journal.sign_head()
    public = town.folder / "keys" / "public" / "journal.pub"
    run("journal", "verify", str(town.gate.journal.folder), "--key", str(public))
