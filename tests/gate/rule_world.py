# SPDX-License-Identifier: AGPL-3.0-or-later
"""One town with persons and papers of every kind; each case changes what it likes, and then all is put back."""

from __future__ import annotations

import os
import sqlite3
from datetime import timedelta
from pathlib import Path

import httpx

from connectors.memory_broker import MemoryBroker
from gate.client import GateClient
from gate.database import CredentialRow, GrantRow, PersonRow, RequisitionRow, SessionRow
from reid.passage import Passage
from tests.gate.in_process import InProcess
from tests.gate.rule_model import Paper, Somebody
from tests.gate.town import START, Town, canaries

MONTH = timedelta(days=30)
CAMERAS = ("mairie", "gare", "pont")
GROUP_S = {"gare": 2}
"""Seconds of a group of pictures where it is not one: what reaches into the next second shows what is not cut."""
PEOPLE = (
    # login, roles, municipal, days until the habilitation ends
    ("t-full", ("technician",), True, 400),
    ("t-police", ("technician",), False, 400),
    ("t-short", ("technician",), True, 5),
    ("t-noagr", ("technician",), True, 400),
    ("r-only", ("registrar",), True, 400),
    ("a-only", ("auditor",), True, 400),
    ("adm", ("administrator", "registrar"), True, 400),
    ("r-short", ("registrar",), True, 5),
)
PAPERS = (
    # basis, state, days until it expires
    ("requisition", "open", 12),
    ("requisition", "closed", 12),
    ("requisition", "draft", 12),
    ("habilitated_officer", "open", 12),
    ("inspection", "open", 60),
    ("maintenance", "open", 60),
    ("requisition", "open", 60),
)
KEPT = ("exhibits", "orders", "keys", "secrets", "gate/documents")
"""Folders that acts of the office change."""


class World:
    """The town, and what it was before a case."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.town = town = Town(folder / "var")
        town.staff()
        for camera in CAMERAS:
            town.record(cameras=(camera,), group_s=GROUP_S.get(camera, 1))
        now = town.clock()
        day = timedelta(days=1)
        self.people: list[Somebody] = []
        for login, roles, municipal, days in PEOPLE:
            end = now + days * day
            town.person(login, *roles, municipal=municipal, until=end)  # type: ignore[arg-type]
            agreed = None if login == "t-noagr" else end
            self.people.append(Somebody(login, "technician" in roles, municipal, end, agreed, roles=frozenset(roles)))
        with town.gate.database.write() as s:
            for row in s.query(CredentialRow).filter(CredentialRow.reference == "A-t-noagr"):
                row.withdrawn_at = now - 300 * day
        self.papers: list[Paper] = []
        self.passages: list[Passage] = town.index("live", every=5)
        for n, (basis, state, days) in enumerate(PAPERS):
            self._paper(n, basis, state, now + days * day)
        self.ids = {p.id: (p.camera, int((p.started_at - START).total_seconds()), p.scope) for p in self.passages}
        self.in_process = InProcess(town.http().app)
        self.http = httpx.Client(transport=self.in_process, base_url=town.url, trust_env=False)
        self.work = folder / "work"
        self.work.mkdir()
        self.document = folder / "document.pdf"
        self.document.write_bytes(b"%PDF-1.4 a scan")
        self.broker = MemoryBroker()
        self.site_file = folder / "site.toml"
        self.site_file.write_text(
            f'name = "Essai"\ndata = "{town.folder}"\n'
            + "".join(
                f'[[camera]]\nname = "{c}"\nlabel = "{c}"\nurl = "rtsp://10.0.0.1/x"\nmasks_dwellings = true\n'
                for c in CAMERAS
            )
        )
        self._rows = sqlite3.connect(":memory:", check_same_thread=False)
        self._copy(town.gate.database.path, self._rows)
        self._files = {path: (path.read_bytes(), stamp) for path, stamp in self._stamps().items()}

    def _paper(self, n: int, basis: str, state: str, expires: object) -> None:
        town = self.town
        cameras = {"mairie", "gare"} if basis != "maintenance" else {"mairie"}
        words = town.words(
            reference=f"P{n}",
            basis=basis,
            cameras=tuple(sorted(cameras)),
            expires_at=expires,
            article="60-1" if basis == "requisition" else "",
        )
        drafted = town.client("greffe").draft(**words)
        if state != "draft":
            town.client("chef").open(drafted.id)
        if basis == "requisition":
            self.passages += town.index(drafted.id, every=5)
        if state == "closed":
            with town.gate.database.write() as s:
                s.get_one(RequisitionRow, drafted.id).state = "closed"
        self.papers.append(Paper(drafted.id, basis, state, cameras, 10.0, 40.0, drafted.expires_at))

    def put_back(self, *, files: bool) -> None:
        """Everything as it was before the case, but for the journal, which only grows."""
        target = sqlite3.connect(self.town.gate.database.path)
        self._rows.backup(target)
        target.close()
        for path in self.work.iterdir():
            path.unlink()
        if files:
            found = self._stamps()
            for path in found.keys() - self._files.keys():
                path.unlink()
            for path, (data, stamp) in self._files.items():
                if found.get(path) != stamp:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
                    path.chmod(0o600)
                    os.utime(path, ns=(stamp[1], stamp[1]))
        self.town.gate.clips.forget()
        self.http.cookies.clear()

    def _stamps(self) -> dict[Path, tuple[int, int]]:
        files = [p for name in KEPT for p in (self.town.folder / name).rglob("*") if p.is_file()]
        return {p: (p.stat().st_size, p.stat().st_mtime_ns) for p in files}

    @staticmethod
    def _copy(source: Path, target: sqlite3.Connection) -> None:
        connection = sqlite3.connect(source)
        connection.backup(target)
        connection.close()

    def client(self, who: Somebody) -> GateClient:
        """A signed-in client of this person."""
        return GateClient(self.town.url, self.token(who), http=self.http)

    def token(self, who: Somebody) -> str:
        person = self.town.gate.people.person(self.town.people[who.login])
        return self.town.gate.sessions.begin(person, "command")[0]

    def seen(self, data: bytes) -> set[tuple[str, int]]:
        """What some bytes show: canaries of pictures, and passages by their ids."""
        text = data.decode("utf-8", "ignore")
        return self.pictures(data) | {(c, s) for i, (c, s, _) in self.ids.items() if i in text}

    @staticmethod
    def pictures(data: bytes) -> set[tuple[str, int]]:
        """What some bytes show in pictures."""
        began = int(START.timestamp())
        return {(c, s - began) for c, s in canaries(data)}

    def happens(self, event: str, client: GateClient, who: Somebody, paper: Paper) -> None:
        """Something between the asking for a grant and its use."""
        clock, gate = self.town.clock, self.town.gate
        person = self.town.people[who.login]
        if event == "ended":
            gate.sessions.end(gate.sessions.check(client.token or "").id)
            return
        with gate.database.write() as s:
            if event == "idle":
                for session in s.query(SessionRow).filter(SessionRow.person == person):
                    session.seen_at = clock() - timedelta(minutes=15)
            elif event == "recalled":
                for row in s.query(GrantRow).filter(GrantRow.requisition == paper.id):
                    row.withdrawn_at = clock()
            elif event == "closed":
                s.get_one(RequisitionRow, paper.id).state = "closed"
            elif event == "left":
                s.get_one(PersonRow, person).left_at = clock()
            elif event == "withdrawn":
                for held in s.query(CredentialRow).filter_by(person=person, kind="habilitation"):
                    held.withdrawn_at = clock()
