# SPDX-License-Identifier: AGPL-3.0-or-later
"""Random persons, papers, moments and requests over every way into the gate, against the rules written again.

Nothing may come out that shows a camera's second outside the grant, and what is lawful must be given.
`PASSAGE_PROPERTY_CASES` sets how many cases are tried.
"""

from __future__ import annotations

import itertools
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import gate.command_line
import gate.commands
import gate.journal_commands
import gate.people_commands
import gate.requisition_commands
import gate.retention_commands
from connectors.bounds import Interval
from gate.client import GateClient
from gate.database import CredentialRow, GrantRow, PersonRow, RequisitionRow, SessionRow
from gate.errors import GateError
from gate.messages import Decision
from reid.passage import Passage
from tests.gate.conftest import in_memory
from tests.gate.rule_model import ALL_ACTS, Leave, Paper, Somebody, may_do, may_have, may_show
from tests.gate.town import START, Town, canaries

CASES = int(os.environ.get("PASSAGE_PROPERTY_CASES", "400"))
MONTH = timedelta(days=30)
CAMERAS = ("mairie", "gare", "pont")
TIMES = (-1.0, 9.0, 9.999999, 10.0, 10.000001, 12.0, 12.5, 25.0, 39.0, 39.5, 40.0, 40.000001, 41.0, 61.0)
NOWS = (*tuple(timedelta(hours=1) + timedelta(days=d) for d in (0, 3, 8, 15)), timedelta(days=30, seconds=25))
ACTIONS = (
    "rewind video still search passage picture trace decide coverage export cli_rewind cli_search cli_trace cli_export "
    "cli_coverage cli_still routes office"
).split()


class World:
    """One town with persons and papers of every kind; each case puts back what it changes."""

    def __init__(self, folder: Path) -> None:
        self.town = town = Town(folder)
        town.staff()
        town.record()
        day = timedelta(days=1)
        now = town.clock()
        self.people: list[Somebody] = []
        for login, roles, municipal, until in (
            ("t-full", ("technician",), True, 400),
            ("t-police", ("technician",), False, 400),
            ("t-short", ("technician",), True, 5),
            ("t-noagr", ("technician",), True, 400),
            ("r-only", ("registrar",), True, 400),
            ("a-only", ("auditor",), True, 400),
            ("adm", ("administrator", "registrar"), True, 400),
        ):
            town.person(login, *roles, municipal=municipal, until=now + until * day)  # type: ignore[arg-type]
            end = now + until * day
            self.people.append(
                Somebody(login, "technician" in roles, municipal, end, None if login == "t-noagr" else end)
            )
        with town.gate.database.write() as s:
            for row in s.query(CredentialRow).filter(CredentialRow.reference == "A-t-noagr"):
                row.withdrawn_at = now - 300 * day
        self.papers: list[Paper] = []
        self.passages: list[Passage] = town.index("live", every=5)
        for n, (basis, state, expires) in enumerate(
            (
                ("requisition", "open", 12),
                ("requisition", "closed", 12),
                ("requisition", "draft", 12),
                ("habilitated_officer", "open", 12),
                ("inspection", "open", 60),
                ("maintenance", "open", 60),
                ("requisition", "open", 60),
            )
        ):
            cameras = {"mairie", "gare"} if basis != "maintenance" else {"mairie"}
            words = town.words(
                reference=f"P{n}",
                basis=basis,
                cameras=tuple(sorted(cameras)),
                expires_at=now + expires * day,
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
            self.papers.append(Paper(drafted.id, basis, state, cameras, 10.0, 40.0, now + expires * day))
        self.at_rest = now
        self.ids = {p.id: (p.camera, int((p.started_at - START).total_seconds()), p.scope) for p in self.passages}
        self.count = 0

    def token(self, who: Somebody) -> str:
        person = self.town.gate.people.person(self.town.people[who.login])
        return self.town.gate.sessions.begin(person, "command")[0]

    def seen(self, data: bytes) -> set[tuple[str, int]]:
        """What some bytes show: canaries of pictures, and passages by their ids."""
        began = int(START.timestamp())
        shown = {(c, s - began) for c, s in canaries(data)}
        text = data.decode("utf-8", "ignore")
        return shown | {(c, s) for i, (c, s, _) in self.ids.items() if i in text}


def span_of(start: float, end: float) -> Interval:
    return Interval(START + timedelta(seconds=start), START + timedelta(seconds=end))


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with in_memory() as folder:
        yield World(folder / "var")


spans = st.none() | st.tuples(st.sampled_from(TIMES), st.sampled_from(TIMES)).filter(lambda p: p[0] < p[1])
cases = st.fixed_dictionaries(
    {
        "who": st.sampled_from([0, 0, 0, 1, 1, 2, 3, 4, 5, 6]),
        "paper": st.sampled_from([0, 0, 0, 6, 6, 1, 2, 3, 4, 5]),
        "acts": st.one_of(
            st.just(frozenset(ALL_ACTS)),
            st.sets(st.sampled_from(sorted(ALL_ACTS)), max_size=4).map(frozenset),
            st.just(frozenset({"rewind", "video"})),
            st.just(frozenset({"picture"})),
        ),
        "cameras": st.just(frozenset()) | st.sets(st.sampled_from(CAMERAS), max_size=2).map(frozenset),
        "span": st.none() | spans,
        "now": st.sampled_from(NOWS),
        "action": st.sampled_from(ACTIONS),
        "ask_camera": st.sampled_from(CAMERAS),
        "ask_span": st.one_of(
            st.just((12.0, 25.0)),
            st.just((10.0, 40.0)),
            st.tuples(st.sampled_from(TIMES), st.sampled_from(TIMES)).filter(lambda p: p[0] < p[1]),
        ),
        "passage": st.integers(0, 10_000),
        "event": st.sampled_from(
            [None] * 10 + ["closed", "withdrawn", "left", "ended", "idle", "borrowed", "recalled"]
        ),
    }
)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@settings(
    max_examples=CASES,
    phases=(Phase.generate,),  # a case is told whole: making it smaller would take as long as the search
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    derandomize=True,
    print_blob=False,
)
@given(case=cases)
def test_nothing_comes_out_that_the_rules_forbid(world: World, case: dict[str, Any]) -> None:
    run_case(world, case)


def run_case(world: World, case: dict[str, Any]) -> None:
    town, who, paper = world.town, world.people[case["who"]], world.papers[case["paper"]]
    world.count += 1
    town.clock.at = now = START + case["now"]
    town.gate.clock_guard.confirm()
    town.http().app.state.service.acts.clips.forget()  # type: ignore[attr-defined]
    client = GateClient("http://testserver", world.token(who), http=town.http())
    cameras, span = set(case["cameras"]), case["span"]
    lawful = may_have(who, paper, set(case["acts"]), cameras, span, now)
    try:
        given_ = client.grant(paper.id, tuple(case["acts"]), tuple(cameras), span_of(*span) if span else None)
    except GateError:
        assert not lawful, f"refused although lawful: {case}"
        # Without a grant nothing works, whatever id is tried.
        leave, grant = Leave(who, paper, set(), set(), 0, 0), "guessed"
    else:
        assert lawful, f"granted although unlawful: {case}"
        start, end = span or (paper.start, paper.end)
        leave, grant = Leave(who, paper, set(case["acts"]), cameras or paper.cameras, start, end), given_.id
    dead, undo = happen(world, case["event"], client, leave, grant)
    try:
        act(world, case, client, leave, grant, dead)
    finally:
        undo()
        town.clock.at = now


def happen(
    world: World, event: str | None, client: GateClient, leave: Leave, grant: str
) -> tuple[bool, Callable[[], None]]:
    """Something that ends the grant between asking and using it; and how it is put back."""
    town = world.town
    database, clock = town.gate.database, town.clock
    person, paper = town.people[leave.who.login], leave.paper.id
    if event is None:
        return False, lambda: None
    if event == "borrowed":
        other = world.people[1 if leave.who.login != "t-police" else 0]
        client.token = world.token(other)
        return True, lambda: None
    if event == "ended":
        town.gate.sessions.end(town.gate.sessions.check(client.token or "").id)
        return True, lambda: None
    if event == "idle":
        with database.write() as s:
            live = town.gate.sessions.check(client.token or "").id
            s.get_one(SessionRow, live).seen_at = clock() - timedelta(minutes=15)
        return True, lambda: None
    if event == "recalled":
        with database.write() as s:
            for row in s.query(GrantRow).filter(GrantRow.requisition == paper):
                row.withdrawn_at = clock()
        return True, lambda: None

    with database.write() as s:
        if event == "closed":
            row = s.get_one(RequisitionRow, paper)
            before, row.state = row.state, "closed"

            def undo() -> None:
                with database.write() as again:
                    again.get_one(RequisitionRow, paper).state = before

        elif event == "left":
            s.get_one(PersonRow, person).left_at = clock()

            def undo() -> None:
                with database.write() as again:
                    again.get_one(PersonRow, person).left_at = None

        else:
            held = [r.id for r in s.query(CredentialRow).filter_by(person=person, kind="habilitation")]
            for identifier in held:
                s.get_one(CredentialRow, identifier).withdrawn_at = clock()

            def undo() -> None:
                with database.write() as again:
                    for identifier in held:
                        again.get_one(CredentialRow, identifier).withdrawn_at = None

    return True, undo


def act(world: World, case: dict[str, Any], client: GateClient, leave: Leave, grant: str, dead: bool) -> None:
    """Do one thing and hold what came out against the rules."""
    now, action = world.town.clock(), case["action"]
    camera, ask = case["ask_camera"], case["ask_span"]
    asked = span_of(*ask)
    passage = world.passages[case["passage"] % len(world.passages)]
    where, second, scope = world.ids[passage.id]
    secured = leave.paper.basis == "requisition"
    allowed = set() if dead else may_show(leave, now, START, secured, MONTH)
    reachable = scope == leave.paper.id and (where, second) in allowed and leave.start <= second < leave.end
    # The index ages with its site's retention even where the evidence was secured.
    reachable = reachable and START + timedelta(seconds=second) >= now - MONTH

    def can(kind: str, cams: set[str], span: tuple[float, float] | None) -> bool:
        return not dead and bool(leave.acts) and may_do(leave, kind, cams, span, now)

    headers = {"Authorization": f"Bearer {client.token}"}
    expected: bool | None
    data = b""
    try:
        if action == "rewind":
            expected = can("rewind", {camera}, ask)
            data = client.rewind(grant, camera, asked)
        elif action == "video":
            expected = can("video", {camera}, ask)
            url = client.video_url(grant, camera, asked).removeprefix("http://testserver")
            data = checked(world.town.http().get(url, headers={**headers, "Range": "bytes=0-"}))
        elif action == "still":
            expected = can("picture", {camera}, (ask[0], ask[0] + 1e-6))
            data = client.still(grant, camera, asked.start)
        elif action == "search":
            expected = can("search", {camera}, ask)
            found = client.search(grant, cameras=[camera], interval=asked, limit=500)
            assert all(world.ids[p.id][2] == leave.paper.id for p in found.passages)
            data = json.dumps([p.id for p in found.passages]).encode()
        elif action == "passage":
            expected = can("search", set(), None) and reachable
            data = client.passage(grant, passage.id).id.encode()
        elif action == "picture":
            expected = can("picture", set(), None) and reachable
            data = client.picture(grant, passage.id, 0)
        elif action == "trace":
            expected = can("trace", set(), None) and reachable
            data = json.dumps([s.passage.id for s in client.trace(grant, passage.id).steps]).encode()
        elif action == "decide":
            expected = can("trace", set(), None) and reachable
            client.decide(grant, passage.id, Decision(passage_id=passage.id, verdict="accepted"))
        elif action == "coverage":
            expected = can("rewind", {camera}, ask)
            client.coverage(grant, (camera,), asked)
        elif action == "export":
            expected = can("export", {camera}, ask)
            out = world.town.folder.parent / "export.zip"
            out.unlink(missing_ok=True)
            client.export(grant, out, purpose="remise", recipient="X", clips=[(camera, asked)])
            data = contents(out)
        elif action.startswith("cli_"):
            expected, data = None, by_command(world, action, client, leave, camera, asked, passage.id)
            allowed = may_see_by_command(world, client, leave, now)
        elif action == "routes":
            expected, data = None, every_route(world, client, grant, passage.id, leave)
        else:
            expected, data = None, office(client)
            allowed = set()
    except GateError as refusal:
        if action in ("rewind", "video", "still", "export", "passage", "picture"):
            # Nothing recorded there any more, or no whole group of pictures inside, is no refusal.
            empty = refusal.code in ("not_found", "invalid", "key_destroyed")
            assert expected is not True or empty, f"refused although lawful: {case}: {refusal}"
        else:
            assert expected is not True, f"refused although lawful: {case}: {refusal}"
        return
    if expected is not None:
        assert expected, f"done although unlawful: {case}"
    leaked = world.seen(data) - allowed
    assert not leaked, f"{sorted(leaked)[:5]} came out: {case}"


def contents(path: Path) -> bytes:
    """What a file shows. The journal's extract repeats what was asked for and refused: such ids are no pictures."""
    if path.suffix != ".zip":
        return path.read_bytes()
    with zipfile.ZipFile(path) as package:
        return b"".join(package.read(n) for n in package.namelist() if not n.endswith("journal/extrait.jsonl"))


def checked(response: Any) -> bytes:
    if response.status_code >= 400:
        from gate.client import _fault

        raise _fault(response)
    return bytes(response.content)


def may_see_by_command(world: World, client: GateClient, leave: Leave, now: Any) -> set[tuple[str, int]]:
    """A command asks for its own grant of the whole paper, as the person of the session that the client carries."""
    try:
        login = world.town.gate.people.login_of(world.town.gate.sessions.check(client.token or "").person.id)
    except GateError:
        return set()
    who = next(p for p in world.people if p.login == login)
    with world.town.gate.database.read() as s:
        row = s.get_one(RequisitionRow, leave.paper.id)
        held = s.query(CredentialRow).filter_by(person=world.town.people[login], kind="habilitation").all()
        withdrawn = any(c.withdrawn_at is not None for c in held)
    if row.state != leave.paper.state or withdrawn:
        return set()
    whole = Leave(who, leave.paper, ALL_ACTS, leave.paper.cameras, leave.paper.start, leave.paper.end)
    return may_show(whole, now, START, leave.paper.basis == "requisition", MONTH)


def by_command(
    world: World, action: str, client: GateClient, leave: Leave, camera: str, asked: Interval, passage: str
) -> bytes:
    """A command of the command line, as the signed-in person."""
    folder = world.town.folder.parent / "commands"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    start, end = asked.start.isoformat(), asked.end.isoformat()
    length = f"{(asked.end - asked.start).total_seconds()}s"
    clip = ["--clip", f"{camera}={start}..{end}"]
    arguments = {
        "cli_rewind": ["rewind", camera, start, "--for", length, "-o", str(folder / "x.mp4")],
        "cli_still": ["still", camera, start, "-o", str(folder / "x.jpg")],
        "cli_search": ["search", "--camera", camera, "--from", start, "--to", end, "--json"],
        "cli_trace": ["trace", passage, "--json", "--pictures", str(folder)],
        "cli_coverage": ["coverage", "--json"],
        "cli_export": ["export", "--purpose", "x", "--to-whom", "y", "-o", str(folder / "x.zip"), *clip],
    }[action]
    modules = (gate.commands, gate.journal_commands, gate.people_commands, gate.requisition_commands)
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            patch.setattr(module, "client", lambda site=None: client)
        patch.chdir(folder)
        done = CliRunner().invoke(gate.commands.app, [*arguments, "-r", leave.paper.id])
    if done.exception is not None and not isinstance(done.exception, GateError | SystemExit):
        raise done.exception
    return done.stdout.encode() + b"".join(contents(p) for p in folder.iterdir())


def every_route(world: World, client: GateClient, grant: str, passage: str, leave: Leave) -> bytes:
    """One address after another with what is at hand in its path; only the bodies count."""
    service = world.town.http().app.state.service  # type: ignore[attr-defined]
    routes = [r for r in service.routes() if r.path not in ("/session",) and "people" not in r.path]
    route = next(itertools.islice(routes, world.count % len(routes), None))
    path = (
        route.path.replace("{grant}", grant)
        .replace("{passage}", passage)
        .replace("{requisition}", leave.paper.id)
        .replace("{number:int}", "0")
    )
    method = next(iter(route.methods - {"HEAD"}))
    if method == "POST" and any(path.endswith(end) for end in ("/open", "/close", "/review", "/amend")):
        return b""  # these change the world; the office's own tests try them
    query = {"camera": "pont", "start": span_of(9, 41).start.isoformat(), "end": span_of(9, 41).end.isoformat()}
    query |= {"at": query["start"], "year": "2026"}
    headers = {"Authorization": f"Bearer {client.token}"}
    answer = world.town.http().request(method, path, params=query, headers=headers, content=b"{}")
    if path.startswith("/journal"):
        return b""  # the auditor's, and names ids by design
    return bytes(answer.content).replace(passage.encode(), b"") if "passages" not in path else bytes(answer.content)


def office(client: GateClient) -> bytes:
    """What people of the office may look at holds no picture and no passage."""
    out = b""
    for call in (client.whoami, client.cameras, client.requisitions, client.people, client.operations):
        try:
            out += repr(call()).encode()
        except GateError:
            continue
    for year in (2026,):
        try:
            out += client.bilan_pdf(year)
        except GateError:
            continue
    return out
