# SPDX-License-Identifier: AGPL-3.0-or-later
"""The sessions that docs/gate.md shows, run line by line: the first day, and the whole life of a requisition."""

from __future__ import annotations

import json
import os
import re
import shlex
import string
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pyotp
import pytest
from pypdf import PdfReader
from typer.testing import CliRunner

import connectors.clickhouse
import connectors.kafka
import gate.command_line
import gate.commands
import gate.gate
import gate.journal_commands
import gate.people_commands
import gate.requisition_commands
import gate.retention_commands
import gate.setup
from gate.client import GateClient, kept_session
from gate.errors import BasisNotOpen
from gate.keeper import Keeper
from gate.orders import ProgressFile
from tests.browser.chromium import chromium
from tests.browser.test_verifier_page import said
from tests.gate.conftest import in_memory
from tests.gate.town import PASSWORD, PDF, START, Town, canaries, live_broker

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "gate.md"
RECORDED = START - timedelta(minutes=55)
"""Five past two in the town: the document's clip begins half a minute later."""
SECONDS = 120
ASKED = {(camera, second) for camera in ("mairie", "gare") for second in range(SECONDS)}


def session(heading: str) -> list[str]:
    """The commands of a section's block, each on one line."""
    _, found, rest = DOCUMENT.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    assert found, f"docs/gate.md has no section {heading!r}"
    block = rest.partition("\n## ")[0].split("```")[1]
    return [line for line in block.replace("\\\n", " ").splitlines() if line.strip()]


class TownHall:
    """One command line, at which one person after another sits down, and what the document says is typed there."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.town = town = Town(folder / "var", now=START + timedelta(hours=1))
        town.record(RECORDED, SECONDS)
        self.variables: dict[str, str] = {}
        self.opened: list[Path] = []
        """What was given to the desktop to open."""
        self.answers: dict[str, str] = {}
        """What each command printed, by its first words."""
        self._seen = {"people first-admin": self._account, "people add": self._account, "search": self._found}
        patch.chdir(folder)
        patch.setenv("PASSAGE_SESSION", str(folder / "session"))
        patch.setenv("PASSAGE_PASSWORD", PASSWORD)
        patch.setenv("PASSAGE_NEW_PASSWORD", PASSWORD)
        patch.setenv("COLUMNS", "300")
        Path("pv.pdf").write_bytes(PDF)
        Path("site.toml").write_text(
            f'name = "Essai"\ndata = "{town.folder}"\n'
            + "".join(
                f'[[camera]]\nname = "{name}"\nlabel = "{name}"\nurl = "rtsp://10.0.0.1/x"\nmasks_dwellings = true\n'
                for name in town.names
            )
        )
        self._stand_in(patch)

    def _stand_in(self, patch: pytest.MonkeyPatch) -> None:
        """The town's clock, its gate without a port, and whoever replays and indexes."""
        town, first = self.town, gate.setup.first_administrator

        def client(site: Path | None = None) -> GateClient:
            return GateClient("http://testserver", kept_session(), http=town.http())

        commands = (gate.commands, gate.journal_commands, gate.people_commands, gate.requisition_commands)
        for module in (*commands, gate.retention_commands):
            patch.setattr(module, "client", client)
        for timed in (gate.journal_commands, gate.people_commands, gate.requisition_commands, gate.setup):
            patch.setattr(timed, "utc_now", town.clock)
        patch.setattr(gate.setup, "first_administrator", lambda *words: first(*words, clock=town.clock))
        patch.setattr(gate.requisition_commands, "clock", SimpleNamespace(sleep=lambda _: self._index()))
        patch.setattr(connectors.clickhouse, "open_reader", lambda site: town.store)
        patch.setattr(connectors.clickhouse, "open_keeper", lambda site: town.store)
        patch.setattr(connectors.kafka, "site_broker", lambda site, user: live_broker())
        patch.setattr(gate.gate, "Gate", lambda site, store: town.new_gate())

    def run(self, line: str) -> None:
        """Do what a line says, as a shell would."""
        words = [string.Template(w).substitute(self.variables) for w in shlex.split(line, comments=True)]
        assigned = re.fullmatch(r"([A-Z]+)=(.*)", words[0])
        if assigned:
            self.variables[assigned[1]] = assigned[2]
        elif words[0] == "passage":
            self._passage(words[1:])
        elif words[0] == "xdg-open":
            self.opened += self.folder.glob(words[1])
        else:
            subprocess.run(["sh", "-ec", line], env=os.environ | self.variables, check=True)

    def _passage(self, words: list[str]) -> None:
        typed = ""
        if words[0] == "sign-in":
            self.town.clock.turn(seconds=31)
            typed = self.town.code(words[1]) + "\n"
        done = CliRunner().invoke(gate.commands.app, words, input=typed)
        assert done.exit_code == 0, (words, done.output, done.exception)
        name = " ".join(words[:2]) if words[0] in ("people", "requisition", "journal", "retention") else words[0]
        self.answers[name] = done.stdout
        self._seen.get(name, lambda _: None)(words)

    def told(self, *words: str) -> dict[str, object]:
        """What a command answers a program, typed by whoever sits there."""
        done = CliRunner().invoke(gate.commands.app, [*words, "--json"])
        assert done.exit_code == 0, (words, done.output, done.exception)
        answer: dict[str, object] = json.loads(done.stdout)
        return answer

    def _account(self, words: list[str]) -> None:
        """The person takes the secret of the one-time codes from what was printed."""
        uri = re.search(r"otpauth://\S+", self.answers[" ".join(words[:2])])
        assert uri
        self.town.secrets[words[2]] = pyotp.parse_uri(uri[0]).secret

    def _found(self, words: list[str]) -> None:
        rows = [line.split() for line in self.answers["search"].splitlines()]
        found = [row[0] for row in rows if len(row) > 1 and row[1] in self.town.names]
        self.variables["PASSAGE"], self.variables["OTHER"] = found[:2]

    def _index(self) -> None:
        """What replay and indexing leave, once the order is there."""
        (requisition,) = self.town.gate.requisitions.all()
        (order,) = self.town.gate.requisitions.orders(requisition.id)
        folder = self.town.gate.folders.orders
        assert (folder / f"{order}.order").exists()
        self.town.index(requisition.id, RECORDED, SECONDS, ("mairie", "gare"))
        (folder / f"{order}.progress.json").write_bytes(msgspec.json.encode(ProgressFile(state="done")))


def drafted(hall: TownHall) -> None:
    (found,) = hall.town.gate.requisitions.all()
    assert (found.state, found.registered_by) == ("draft", "Luc Greffe")
    assert "20/03/2026 15:30:00" in CliRunner().invoke(gate.commands.app, ["requisition", "show", found.id]).stdout


def opened(hall: TownHall) -> None:
    (found,) = hall.town.gate.requisitions.all()
    assert (found.state, found.opened_by, found.review_due) == ("open", "Rose Chef", False)


def read_back(hall: TownHall) -> None:
    (scan,) = Path("lu").iterdir()
    assert scan.read_bytes() == PDF


def rewound(hall: TownHall) -> None:
    began = int(RECORDED.timestamp())
    assert canaries(Path("clip.mp4").read_bytes()) == {("mairie", began + n) for n in range(30, 90)}
    assert Path("clip.mp4").stat().st_mode & 0o077 == 0
    refused = CliRunner().invoke(gate.commands.app, ["rewind", "pont", "2026-03-20 14:05:30"])
    assert refused.exit_code != 0 and not list(Path().glob("pont*"))
    assert hall.town.journal()[-1]["phase"] == "refusal"


def searched(hall: TownHall) -> None:
    assert len(list(Path("vues").iterdir())) == hall.answers["search"].count(" car ") > 1


def traced(hall: TownHall) -> None:
    """The decision was kept: the trace asked again goes by it."""
    found = hall.told("trace", hall.variables["PASSAGE"])
    steps = {step["passage"]["id"] for step in found["steps"]}  # type: ignore[attr-defined]
    assert hall.variables["PASSAGE"] in steps and hall.variables["OTHER"] not in steps


def unpacked(hall: TownHall) -> None:
    began = int(RECORDED.timestamp())
    seen = set().union(*(canaries(p.read_bytes()) for p in Path("piece").rglob("*") if p.is_file()))
    assert seen and {(camera, second - began) for camera, second in seen} <= ASKED
    (slip,) = Path("piece").rglob("bordereau*.pdf")
    printed = re.search(r"(?:[0-9a-f]{4}\s+){15}[0-9a-f]{4}", PdfReader(slip).pages[0].extract_text())
    assert printed
    hall.variables["FINGERPRINT"] = printed[0]


def closed(hall: TownHall) -> None:
    """Nothing answers any more, and what was kept for it is erased as soon as its runs are stopped."""
    town = hall.town
    (found,) = town.gate.requisitions.all()
    person = town.gate.people.person(next(p.id for p in town.gate.people.all() if p.login == "tech"))
    token, _ = town.gate.sessions.begin(person, "command")
    with pytest.raises(BasisNotOpen, match="closed"):
        GateClient("http://testserver", token, http=town.http()).grant(found.id, ("rewind",))
    for order in town.gate.requisitions.orders(found.id):
        (town.folder / "orders" / f"{order}.closed").touch()
    assert Keeper(town.gate, town.store).close_requisitions() == [found.id]
    assert not (town.folder / "exhibits" / found.id).exists()


def registered(hall: TownHall) -> None:
    """What was handed over stands there, and what was kept for it is erased."""
    lines = hall.told("register")["lines"]
    assert isinstance(lines, list) and {line["requisition"] for line in lines} == {"PV 2026/1234"}
    assert {line["kind"] for line in lines} == {"sent", "scope_erased"}


def reported(hall: TownHall) -> None:
    """The year's figures name nobody. Then the keeper has its time, and the proof looks."""
    assert Path("bilan.pdf").read_bytes().startswith(b"%PDF")
    bilan = hall.told("bilan", "2026")
    assert bilan["exports"] == 1 and bilan["by_offence"] == {"violences en réunion": 1}
    (line,) = bilan["lines"]  # type: ignore[misc]
    assert line["delay_hours"] == 0.5  # from the paper's arrival at half past three to the opening
    assert not any(name in json.dumps(bilan) for name in ("Zoé", "Luc", "Rose", "Durand"))
    hall.town.clock.turn(hours=2)


def shown(hall: TownHall) -> None:
    acts = set(hall.answers["journal show"].split())
    assert {"rewind", "search", "trace", "decide", "export", "requisition.document", "requisition.close"} <= acts


def verified(hall: TownHall) -> None:
    assert hall.answers["journal verify"].startswith("good: ")


AFTER: dict[str, Callable[[TownHall], None]] = {
    "passage requisition draft": drafted,
    "passage requisition open": opened,
    "passage requisition document": read_back,
    "passage rewind": rewound,
    "passage search": searched,
    "passage trace": traced,
    "python3 -m zipfile": unpacked,
    "passage requisition close": closed,
    "passage register": registered,
    "passage bilan": reported,
    "passage journal show": shown,
    "passage journal verify": verified,
}
"""What must hold once a line that begins so was run."""


@pytest.fixture(scope="module")
def hall() -> Iterator[TownHall]:
    """The town hall at the end of both sessions, each line of which was run and held."""
    with in_memory() as folder, pytest.MonkeyPatch.context() as patch:
        gate.command_line._site.cache_clear()
        hall, left = TownHall(folder, patch), dict(AFTER)
        for line in session("First day") + session("The life of a requisition"):
            hall.run(line)
            for begin in [b for b in left if line.startswith(b)]:
                left.pop(begin)(hall)
        assert not left, f"docs/gate.md no longer shows {', '.join(left)}"
        yield hall
        gate.command_line._site.cache_clear()


def test_the_documented_sessions_run_as_they_stand(hall: TownHall) -> None:
    """The script of the package was one of the lines; nothing was opened but the package's page."""
    lines = session("The life of a requisition")
    assert any(line.startswith("sh ") and "verifier.sh" in line for line in lines)
    assert [page.name for page in hall.opened] == ["verifier.html"]
    people = {person.login for person in hall.town.gate.people.all()}
    assert people == {"mairie", "greffe", "chef", "tech", "audit"}


@pytest.mark.browser
def test_the_package_s_page_finds_it_whole(hall: TownHall) -> None:
    (page,) = hall.opened
    with chromium(offline=True) as browser:
        words = said(browser, page.parent.parent, hall.variables["FINGERPRINT"])
    assert words.startswith("CONFORME : ")
