# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every way into the gate: each method of its client, each command, each route, with what the rules say of it.

A way that is missing here makes `test_every_way_in_is_tried` fail.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

import click
import httpx
import pytest
import typer
from typer.testing import CliRunner

import connectors.clickhouse
import connectors.kafka
import gate.command_line
import gate.commands
import gate.gate
from connectors.bounds import Interval
from gate.client import GateClient, _fault, keep_session, kept_session
from gate.database import RequisitionRow
from gate.errors import GateError
from gate.messages import CredentialDraft, Decision
from tests.gate.rule_model import ALL_ACTS, Leave, Paper, Somebody, may_do, may_show, may_sit
from tests.gate.rule_world import GROUP_S, MONTH, World
from tests.gate.town import PASSWORD, PDF, START

Try = tuple[bool | None, Callable[[], bytes]]
"""Whether it is lawful (None: only what comes out is looked at), and the trying itself: all that came out."""


ACCEPTED: Literal["accepted"] = "accepted"


@dataclass(frozen=True)
class Scene:
    """One case, at the moment something is tried."""

    world: World
    client: GateClient
    actor: Somebody
    """Who the client's session is of, as things stand now."""
    signed_in: bool
    leave: Leave
    grant: str
    dead: bool
    """Whether something has ended the grant."""
    camera: str
    ask: tuple[float, float]
    number: int
    """Any number, to choose by."""

    @property
    def now(self) -> datetime:
        return self.world.town.clock()

    @property
    def asked(self) -> Interval:
        start, end = (START + timedelta(seconds=s) for s in self.ask)
        return Interval(start, end)

    @property
    def paper(self) -> Paper:
        return self.leave.paper

    @property
    def passage(self) -> str:
        return self.world.passages[self.number % len(self.world.passages)].id

    @property
    def somebody(self) -> str:
        """The id of one of the town's people."""
        return self.world.town.people[self.world.people[self.number % len(self.world.people)].login]

    def can(self, act: str, cameras: set[str], ask: tuple[float, float] | None) -> bool:
        return not self.dead and bool(self.leave.acts) and may_do(self.leave, act, cameras, ask, self.now)

    def sits(self, desk: str) -> bool:
        return self.signed_in and may_sit(self.actor, desk, self.now)

    def visible(self) -> set[tuple[str, int]]:
        """What may be shown under the grant now."""
        secured = self.paper.basis == "requisition"
        return set() if self.dead else may_show(self.leave, self.now, START, secured, MONTH)

    def asked_for(self) -> set[tuple[str, int]]:
        """What a request that names a camera and an interval asks for, outward to whole groups of pictures.

        More than that is too much, even where the grant holds more.
        """
        group = GROUP_S.get(self.camera, 1)
        first, last = self.ask[0] // group * group, -(-self.ask[1] // group) * group
        return {(self.camera, s) for s in range(60) if s + 1 > first and s < last}

    def reachable(self) -> bool:
        """Whether the chosen passage lies in the grant, and is not too old: the index ages where evidence does not."""
        camera, second, scope = self.world.ids[self.passage]
        inside = scope == self.paper.id and (camera, second) in self.visible() and second >= self.leave.start
        return inside and second < self.leave.end and START + timedelta(seconds=second) >= self.now - MONTH

    def visible_by_command(self) -> set[tuple[str, int]]:
        """A command asks for a grant of its own, of the whole paper."""
        with self.world.town.gate.database.read() as s:
            state = s.get_one(RequisitionRow, self.paper.id).state
        if not self.signed_in or state != "open":
            return set()
        paper = replace(self.paper, state=state)
        whole = Leave(self.actor, paper, ALL_ACTS, paper.cameras, paper.start, paper.end)
        return may_show(whole, self.now, START, paper.basis == "requisition", MONTH)

    def get(self, url: str) -> bytes:
        """What a signed-in browser gets at an address."""
        cookies = {"Cookie": f"passage_session={self.client.token}"}
        return checked(self.world.http.get(url, headers=cookies))


def checked(response: httpx.Response) -> bytes:
    if response.status_code >= 400:
        raise _fault(response)
    return response.content


def shown(answer: object) -> bytes:
    return repr(answer).encode()


# The client's methods


def _sign_in(s: Scene) -> Try:
    right = s.number % 2 == 0
    code = s.world.town.code(s.actor.login) if right else "000000"
    fresh = GateClient(s.world.town.url, http=s.world.http)
    return right and not s.actor.gone, lambda: shown(fresh.sign_in(s.actor.login, PASSWORD, code))


def _renew(s: Scene) -> Try:
    right = s.number % 2 == 0
    code = s.world.town.code(s.actor.login) if right else "000000"
    new = f"another password {s.number}"
    return right and not s.actor.gone, lambda: shown(s.client.renew(s.actor.login, PASSWORD, code, new))


def _sign_out(s: Scene) -> Try:
    def do() -> bytes:
        old = s.client.token
        s.client.sign_out()
        with pytest.raises(GateError):
            GateClient(s.world.town.url, old, http=s.world.http).whoami()
        return b""

    return s.signed_in, do


def _search(s: Scene) -> Try:
    def do() -> bytes:
        found = s.client.search(s.grant, cameras=[s.camera], interval=s.asked, limit=500)
        assert all(s.world.ids[p.id][2] == s.paper.id for p in found.passages)
        return json.dumps([p.id for p in found.passages]).encode()

    return s.can("search", {s.camera}, s.ask), do


def _trace(s: Scene) -> Try:
    def do() -> bytes:
        return json.dumps([step.passage.id for step in s.client.trace(s.grant, s.passage).steps]).encode()

    return s.can("trace", set(), None) and s.reachable(), do


def _export(s: Scene) -> Try:
    def do() -> bytes:
        out = s.world.work / "export.zip"
        s.client.export(s.grant, out, purpose="remise", recipient="X", clips=[(s.camera, s.asked)])
        return contents(out)

    return s.can("export", {s.camera}, s.ask), do


def _asked_for(s: Scene) -> str:
    """The ticket of a package for the browser."""
    return s.client.ask_export(s.grant, purpose="remise", recipient="X", clips=[(s.camera, s.asked)]).id


def _downloaded(s: Scene) -> bytes:
    out = s.world.work / "package.zip"
    out.write_bytes(s.get(s.client.export_url(s.grant, _asked_for(s))))
    return contents(out)


def _grant(s: Scene) -> Try:
    """Another grant of the whole paper: it is no wider than what the case asked for may be."""
    return None, lambda: shown(s.client.grant(s.paper.id, tuple(s.leave.acts) or ("rewind",)).acts)  # type: ignore[arg-type]


def _words(s: Scene) -> dict[str, Any]:
    words: dict[str, Any] = s.world.town.words(reference=f"N{s.number}", expires_at=s.now + timedelta(days=3))
    return words


def _credential(s: Scene) -> CredentialDraft:
    return CredentialDraft(kind="habilitation", reference="H-new", starts_at=s.now, ends_at=s.now + timedelta(days=100))


def _camera_act(act: str, do: Callable[[Scene], bytes]) -> Callable[[Scene], Try]:
    return lambda s: (s.can(act, {s.camera}, s.ask), lambda: do(s))


def _still(do: Callable[[Scene], bytes]) -> Callable[[Scene], Try]:
    return lambda s: (s.can("picture", {s.camera}, (s.ask[0], s.ask[0] + 1e-6)), lambda: do(s))


def _of_passage(act: str, do: Callable[[Scene], bytes]) -> Callable[[Scene], Try]:
    return lambda s: (s.can(act, set(), None) and s.reachable(), lambda: do(s))


def _desk(desk: str, do: Callable[[Scene], object]) -> Callable[[Scene], Try]:
    return lambda s: (s.sits(desk), lambda: shown(do(s)))


def _anybody(do: Callable[[Scene], object]) -> Callable[[Scene], Try]:
    return lambda s: (s.signed_in, lambda: shown(do(s)))


def _anyone_at_all(do: Callable[[Scene], object]) -> Callable[[Scene], Try]:
    return lambda s: (True, lambda: shown(do(s)))


CLIENT: dict[str, Callable[[Scene], Try]] = {
    "sign_in": _sign_in,
    "renew": _renew,
    "own_password_url": _anyone_at_all(lambda s: s.get(s.client.own_password_url())),
    "sign_out": _sign_out,
    "whoami": _anybody(lambda s: s.client.whoami()),
    "cameras": _anybody(lambda s: s.client.cameras()),
    "streets": _anybody(lambda s: s.client.streets()),
    "operations": _anybody(lambda s: s.client.operations()),
    "people": _desk("accounts", lambda s: s.client.people()),
    "make_person": _desk(
        "accounts", lambda s: s.client.make_person(f"new-{s.number}", "New", ("auditor",), PASSWORD).person
    ),
    "reissue": _desk("accounts", lambda s: s.client.reissue(s.somebody, PASSWORD).person),
    "add_credential": _desk("accounts", lambda s: s.client.add_credential(s.somebody, _credential(s))),
    "withdraw_credential": _desk(
        "accounts", lambda s: s.client.withdraw_credential(s.somebody, "habilitation", "H-t-full")
    ),
    "set_roles": _desk("accounts", lambda s: s.client.set_roles(s.somebody, ("technician",))),
    "leave": _desk("accounts", lambda s: s.client.leave(s.somebody)),
    "requisitions": _desk("the register", lambda s: s.client.requisitions()),
    "requisition": _desk("the register", lambda s: s.client.requisition(s.paper.id)),
    "draft": _desk("requisitions", lambda s: s.client.draft(**_words(s))),
    "attach": _desk("requisitions", lambda s: s.client.attach(s.paper.id, PDF)),
    "open": _desk("requisitions", lambda s: s.client.open(s.paper.id)),
    "amend": _desk(
        "requisitions", lambda s: s.client.amend(s.paper.id, reference="A", document=PDF, cameras=[s.camera])
    ),
    "close_requisition": _desk("requisitions", lambda s: s.client.close_requisition(s.paper.id)),
    "review": _desk("reviews", lambda s: s.client.review(s.paper.id)),
    "document": _desk("the register", lambda s: s.client.document(s.paper.id)),
    "document_url": _desk("the register", lambda s: s.get(s.client.document_url(s.paper.id))),
    "progress": _desk("the register", lambda s: s.client.progress(s.paper.id)),
    "grant": _grant,
    "search": _search,
    "passage": _of_passage("search", lambda s: s.client.passage(s.grant, s.passage).id.encode()),
    "picture": _of_passage("picture", lambda s: s.client.picture(s.grant, s.passage, 0)),
    "picture_url": _of_passage("picture", lambda s: s.get(s.client.picture_url(s.grant, s.passage, 0))),
    "still": _still(lambda s: s.client.still(s.grant, s.camera, s.asked.start)),
    "still_url": _still(lambda s: s.get(s.client.still_url(s.grant, s.camera, s.asked.start))),
    "rewind": _camera_act("rewind", lambda s: s.client.rewind(s.grant, s.camera, s.asked)),
    "video_url": _camera_act("video", lambda s: s.get(s.client.video_url(s.grant, s.camera, s.asked))),
    "coverage": _camera_act("rewind", lambda s: shown(s.client.coverage(s.grant, (s.camera,), s.asked).asked_s)),
    "trace": _trace,
    "decide": _of_passage(
        "trace",
        lambda s: shown(s.client.decide(s.grant, s.passage, Decision(passage_id=s.passage, verdict="accepted"))),
    ),
    "export": _export,
    "ask_export": _camera_act("export", lambda s: shown(_asked_for(s))),
    "export_status": _camera_act("export", lambda s: shown(s.client.export_status(s.grant, _asked_for(s)))),
    "export_url": _camera_act("export", _downloaded),
    "journal": _desk("the journal", lambda s: s.client.journal(limit=20)),
    "bilan": _desk("reports", lambda s: s.client.bilan(2026)),
    "bilan_url": _desk("reports", lambda s: s.get(s.client.bilan_url(2026))),
    "bilan_pdf": _desk("reports", lambda s: s.client.bilan_pdf(2026)),
    "register": _desk("reports", lambda s: s.client.register(s.asked if s.number % 2 else None)),
    "self_check": _desk("reports", lambda s: s.client.self_check()),
    "room_entry": _desk("the register", lambda s: s.client.room_entry(("A",), "lamp")),
    "confirm_clock": _desk("the clock", lambda s: s.client.confirm_clock()),
}
SHOW_PICTURES = frozenset(
    "search passage picture picture_url still still_url rewind video_url trace export export_url".split()
)
"""Methods that may show something at all; out of every other nothing may come."""
NAME_A_CAMERA = frozenset(
    "rewind video_url still still_url search coverage export ask_export export_status export_url".split()
)
"""Methods whose request names a camera and an interval, so that a rule can refuse it before anything is read."""
NAMES_IDS = frozenset({"journal"})
"""The auditor's journal names what was looked at; it shows none of it."""


# Commands


def _command_words(s: Scene) -> dict[str, list[str]]:
    start, end = s.asked.start.isoformat(), s.asked.end.isoformat()
    during, out = f"{start}..{end}", s.world.work
    length = f"{(s.asked.end - s.asked.start).total_seconds()}s"
    paper, scan = s.paper.id, str(s.world.document)
    of, site = ["-r", paper], ["--site", str(s.world.site_file)]
    login = s.world.people[s.number % len(s.world.people)].login
    code = s.world.town.code(s.actor.login) if s.number % 2 else "000000"
    expires = (s.now + timedelta(days=3)).isoformat()
    new = [f"C{s.number}", "--purpose", "x", "--expires", expires, "--during", during, "--camera", s.camera]
    new += ["--article", "60-1", "--authority", "opj", "--name", "A", "--inquiry", "I", "--offence", "O"]
    return {
        "sign-in": [s.actor.login, "--code", code],
        "renew": [s.actor.login, "--code", code, "--authenticator", "--json"],
        "sign-out": [],
        "whoami": [],
        "cameras": ["--json"],
        "rewind": [s.camera, start, "--for", length, "-o", str(out / "x.mp4"), *of],
        "still": [s.camera, start, "-o", str(out / "x.jpg"), *of],
        "search": ["--camera", s.camera, "--from", start, "--to", end, "--json", "--pictures", str(out), *of],
        "trace": [s.passage, "--json", "--pictures", str(out), *of],
        "export": ["--purpose", "x", "--to-whom", "y", "-o", str(out / "x.zip"), "--clip", f"{s.camera}={during}", *of],
        "coverage": ["--json", *of],
        "bilan": ["2026", "--pdf", str(out / "bilan.pdf"), "--json"],
        "register": ["--from", start, "--to", end, "--json"] if s.number % 2 else ["--json"],
        "self-check": ["--json"],
        "people first-admin": ["second", "Second", *site],
        "people add": ["fresh", "Fresh", "--role", "auditor", "--json"],
        "people list": ["--json"],
        "people habilitate": [login, "H-2", "--until", "2027-01-31 00:00"],
        "people withdraw": [login, f"H-{login}"],
        "people roles": [login, "--role", "technician"],
        "people reissue": [login, "--json"],
        "people leave": [login],
        "requisition draft": [*new, "--document", scan],
        "requisition attach": [paper, scan],
        "requisition open": [paper],
        "requisition amend": [paper, "--reference", "A", "--document", scan, "--camera", s.camera],
        "requisition close": [paper],
        "requisition list": ["--json"],
        "requisition show": [paper],
        "requisition document": [paper, "--out", str(out), "--json"],
        "requisition progress": [paper],
        "requisition review": [paper],
        "journal show": ["--json"],
        "journal verify": [str(s.world.town.gate.folders.journal)],
        "journal room": ["lamp", "--present", "A"],
        "retention state": site,
        "retention prove": site,
        "retention confirm-clock": [],
    }


IDS_BY_DESIGN = frozenset({"journal show", "trace"})
"""The journal names ids; a trace that is refused may say which id was asked for."""


@cache
def commands() -> tuple[str, ...]:
    """Every command of the gate."""

    def walk(group: click.Command, path: str) -> Iterator[str]:
        if isinstance(group, click.Group) or hasattr(group, "commands"):
            for name, command in group.commands.items():  # type: ignore[union-attr]
                yield from walk(command, f"{path} {name}".strip())
        else:
            yield path

    return tuple(sorted(walk(typer.main.get_command(gate.commands.app), "")))


def by_command(s: Scene, name: str) -> Try:
    def do() -> bytes:
        with as_person(s):
            done = CliRunner().invoke(gate.commands.app, [*name.split(), *_command_words(s)[name]])
        fault = done.exception
        if fault is not None and not isinstance(fault, GateError | SystemExit):
            raise fault
        # 2 says that it was called wrongly, and then nothing was tried.
        assert done.exit_code in (0, 1), f"{name}: {done.output}"
        return done.output.encode() + b"".join(contents(p) for p in sorted(s.world.work.iterdir()))

    return None, do


@contextmanager
def as_person(s: Scene) -> Iterator[None]:
    """The command line as this person left it: the session in its file, the gate behind its address."""
    session = s.world.folder / "session"
    keep_session(s.client.token or "", session)
    assert kept_session(session) == s.client.token
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PASSAGE_SESSION", str(session))
        patch.setenv("PASSAGE_PASSWORD", PASSWORD)
        patch.setenv("PASSAGE_NEW_PASSWORD", f"another {PASSWORD}")
        patch.setenv("PASSAGE_GATE_URL", s.world.town.url)
        patch.setattr(connectors.clickhouse, "open_reader", lambda site: s.world.town.store)
        patch.setattr(connectors.clickhouse, "open_keeper", lambda site: s.world.town.store)
        patch.setattr(connectors.kafka, "site_broker", lambda site, user: s.world.broker)
        patch.setattr(gate.gate, "Gate", lambda site, store: s.world.town.new_gate())
        patch.setattr(gate.command_line, "GateClient", lambda url, token: GateClient(url, token, http=s.world.http))
        patch.chdir(s.world.work)
        yield


def contents(path: Path) -> bytes:
    """What a file shows. The journal's extract repeats what was asked for and refused: such ids are no pictures."""
    if path.suffix != ".zip":
        return path.read_bytes()
    with zipfile.ZipFile(path) as package:
        return b"".join(package.read(n) for n in package.namelist() if not n.endswith("journal/extrait.jsonl"))


# Routes


@cache
def routes(world: World) -> tuple[str, ...]:
    """`METHOD path` of every route."""
    service = world.town.http().app.state.service  # type: ignore[attr-defined]
    return tuple(sorted(f"{next(iter(r.methods - {'HEAD'}))} {r.path}" for r in service.routes()))


def by_route(s: Scene, route: str) -> Try:
    """The address with what is at hand in its path, query and body."""
    method, _, path = route.partition(" ")
    filled = (
        path.replace("{grant}", s.grant)
        .replace("{passage}", s.passage)
        .replace("{requisition}", s.paper.id)
        .replace("{person}", s.somebody)
        .replace("{number:int}", "0")
        .replace("{ticket}", "guessed")
    )
    query = {
        "camera": s.camera,
        "start": s.asked.start.isoformat(),
        "end": s.asked.end.isoformat(),
        "at": s.asked.start.isoformat(),
        "year": "2026",
    }
    body = {"cameras": [s.camera], "passage_id": s.passage, "requisition": s.paper.id, "acts": ["rewind"]}
    body |= {"scope": s.paper.id, "seals": [], "purpose": "x", "recipient": "y", "passages": [s.passage]}
    headers = {"Authorization": f"Bearer {s.client.token}"}

    def do() -> bytes:
        answer = s.world.http.request(
            method, filled, params=query, headers=headers, content=json.dumps(body if s.number % 3 else {})
        )
        if path == "/component/data-keys":
            assert answer.status_code >= 400, "data keys without the indexer's token"
        # What was asked for may be named in the answer to it.
        return answer.content if "passages" in path else answer.content.replace(s.passage.encode(), b"")

    return None, do
