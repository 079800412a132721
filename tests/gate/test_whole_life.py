# SPDX-License-Identifier: AGPL-3.0-or-later
"""The whole life of a requisition on the command line: the session that docs/gate.md shows, line by line."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
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
from tests.browser.chromium import chromium
from tests.browser.test_verifier_page import said
from tests.gate.town import PASSWORD, PDF, START, Town, canaries

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "gate.md"
BEGAN = int(START.timestamp())
SCOPE = {(camera, BEGAN + n) for camera in ("mairie", "gare") for n in range(10, 40)}
PV = "PV 2026/1234"


def documented() -> list[str]:
    """The lines of the session in docs/gate.md, those that go on joined."""
    text = DOCUMENT.read_text(encoding="utf-8")
    block = re.search(r"## The life of a requisition\n.*?\n```\n(.*?)\n```\n", text, re.DOTALL)
    assert block is not None
    return block[1].replace("\\\n", "").splitlines()


class Office:
    """A town hall with one command line, at which one person after another sits down."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.town = town = Town(folder / "var")
        town.staff()
        town.record()
        self.names = {"JOURNAL": str(town.gate.journal.folder), "FINGERPRINT": fingerprint(town.gate)}
        patch.chdir(folder)
        patch.setenv("PASSAGE_SESSION", str(folder / "session"))
        patch.setenv("PASSAGE_PASSWORD", PASSWORD)
        # While the command waits for the index, the town indexes.
        patch.setattr(gate.requisition_commands.clock, "sleep", lambda _: self._index())

        def client(site: Path | None = None) -> GateClient:
            return GateClient(town.url, kept_session(), http=town.http())

        modules = (gate.commands, gate.requisition_commands, gate.people_commands)
        for module in (*modules, gate.journal_commands, gate.retention_commands):
            patch.setattr(module, "client", client)

    @property
    def requisition(self) -> str:
        """Its id."""
        (found,) = self.town.gate.requisitions.all()
        return found.id

    def type(self, line: str) -> str:
        """What a line of the document prints."""
        for name, value in self.names.items():
            line = line.replace(f"${name}", value)
        words = shlex.split(line, comments=True)
        if words[0] != "passage":
            done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, env=os.environ)
            assert done.returncode == 0, (line, done.stdout, done.stderr)
            return done.stdout
        return self.run(*words[1:])

    def run(self, *words: str, fails: bool = False) -> str:
        """What `passage` prints, or says of its failure."""
        if words[0] == "sign-in":  # the six digits are asked for
            self.town.clock.turn(seconds=31)
            words = (*words, "--code", self.town.code(words[1]))
        done = CliRunner().invoke(gate.commands.app, words)
        assert (done.exit_code != 0) == fails, (words, done.output, done.exception)
        return str(done.exception) if fails else done.stdout

    def _index(self) -> None:
        self.town.index(self.requisition)
        for order in self.town.gate.requisitions.orders(self.requisition):
            said = {"state": "done", "seconds_asked": 60, "seconds_done": 60, "passages": 60, "message": ""}
            (self.town.folder / "orders" / f"{order}.progress.json").write_text(json.dumps(said))


def _drafted(office: Office) -> None:
    assert "20/03/2026 15:30:00" in office.run("requisition", "show", PV)
    office.run("sign-in", "chef")
    office.run("sign-in", "greffe")
    assert "the other registrar" in office.run("requisition", "open", PV, fails=True)


def _rewound(office: Office) -> None:
    assert canaries(Path("clip.mp4").read_bytes()) == {("mairie", BEGAN + n) for n in range(12, 20)}
    assert Path("clip.mp4").stat().st_mode & 0o077 == 0
    office.run("rewind", "pont", "2026-03-20 15:00:12", fails=True)


def _searched(office: Office) -> None:
    found = json.loads(office.run("search", "--colour", "red", "--json"))["passages"]
    assert found and len(list(Path("vues").iterdir())) == len(found)
    office.names |= {"PASSAGE": found[0]["id"], "OTHER": found[1]["id"]}


def _traced(office: Office) -> None:
    steps = json.loads(office.run("trace", office.names["PASSAGE"], "--json"))["steps"]
    followed = [s["passage"]["id"] for s in steps]
    assert office.names["PASSAGE"] in followed and office.names["OTHER"] not in followed


def _verified(office: Office) -> None:
    (folder,) = Path("piece").resolve().iterdir()
    with chromium(offline=True) as browser:
        assert said(browser, folder, office.names["FINGERPRINT"]).startswith("CONFORME : ")
    seen = set().union(*(canaries(p.read_bytes()) for p in folder.rglob("*") if p.is_file()))
    assert seen and seen <= SCOPE


def _closed(office: Office) -> None:
    """It is erased: nothing answers any more, and the proof finds nothing."""
    town, requisition = office.town, office.requisition
    for order in town.gate.requisitions.orders(requisition):
        (town.folder / "orders" / f"{order}.closed").touch()
    assert Keeper(town.gate, town.store).close_requisitions() == [requisition]
    assert not (town.folder / "exhibits" / requisition).exists()
    office.run("sign-in", "tech")
    assert "closed" in office.run("search", "-r", requisition, fails=True)
    town.clock.turn(hours=2)
    assert prove(town.gate, town.store, MemoryBroker()).good
    office.run("sign-in", "greffe")


def _reported(office: Office) -> None:
    """The year's figures name nobody."""
    assert Path("bilan.pdf").read_bytes().startswith(b"%PDF")
    bilan = office.run("bilan", "2026", "--json")
    assert json.loads(bilan)["exports"] == 1 and json.loads(bilan)["by_offence"] == {"violences en réunion": 1}
    (line,) = json.loads(bilan)["lines"]
    assert line["delay_hours"] == 0.5  # from the paper's arrival at half past three to the opening
    assert not any(name in bilan for name in ("Tech", "Greffe", "Durand"))


def _read(office: Office) -> None:
    words = ("journal", "show", "-r", office.requisition, "--limit", "500", "--json")
    acts = {line["act"] for line in json.loads(office.run(*words))}
    assert {"rewind", "search", "trace", "decide", "export", "requisition.close"} <= acts
    office.town.gate.journal.sign_head()
    shutil.copyfile(office.town.folder / "keys" / "public" / "journal.pub", "journal.pub")


AFTER: dict[str, Callable[[Office], None]] = {
    "passage requisition draft": _drafted,
    "passage rewind": _rewound,
    "passage search": _searched,
    "passage trace": _traced,
    "sh piece": _verified,
    "passage requisition close": _closed,
    "passage bilan": _reported,
    "passage journal show": _read,
}
"""What must hold once the line that begins like this has run."""


@pytest.mark.slow
@pytest.mark.browser
def test_the_whole_life_of_a_requisition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(tmp_path, monkeypatch)
    Path("pv.pdf").write_bytes(PDF)
    held = []
    for line in documented():
        office.type(line)
        for begins, check in AFTER.items():
            if line.startswith(begins):
                check(office)
                held.append(begins)
    assert held == list(AFTER), "the document no longer shows every step"
