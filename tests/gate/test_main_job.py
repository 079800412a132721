# SPDX-License-Identifier: AGPL-3.0-or-later
"""The main job through service and client, from signing in to pictures, and what is refused on the way."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest

from connectors.archive import ArchiveEraser
from connectors.bounds import Interval
from gate.client import GateClient
from gate.errors import (
    ActNotPermitted,
    BasisNotOpen,
    Conflict,
    DutyRefused,
    GrantUnknown,
    HabilitationLapsed,
    Invalid,
    NotFound,
    OriginRefused,
    OutsideScope,
    SignedOut,
    SignInRefused,
)
from gate.messages import Act, Amendment, Basis, Decision
from gate.sessions import session_id
from tests.gate.town import PASSWORD, PDF, START, Town, canaries

ACTS: tuple[Act, ...] = ("rewind", "search", "picture", "video", "trace", "export")
SECOND = timedelta(seconds=1)
EARLIER = START + timedelta(days=19)


def at(second: float) -> object:
    return START + timedelta(seconds=second)


def span(start: float, end: float) -> Interval:
    return Interval(START + timedelta(seconds=start), START + timedelta(seconds=end))


@pytest.fixture(scope="module")
def made_case(made_town: Town, tmp_path_factory: pytest.TempPathFactory) -> tuple[Town, str]:
    town = made_town.copy(tmp_path_factory.mktemp("case") / "var")
    requisition = town.opened()
    town.index(requisition)
    town.index("live")
    return town, requisition


@pytest.fixture
def case(made_case: tuple[Town, str], tmp_path: Path) -> tuple[Town, str, GateClient, str]:
    """An open and indexed requisition, the technician's client and an all-embracing grant."""
    made, requisition = made_case
    town = made.copy(tmp_path / "case")
    tech = town.client("tech")
    return town, requisition, tech, tech.grant(requisition, ACTS).id


def test_nobody_unsigned_gets_anything(town: Town) -> None:
    client = GateClient("http://testserver", http=town.http())
    token = town.client("tech").token or ""
    # Nothing; guessed; what the database keeps of somebody's token; their token but for its last sign.
    for tried in (None, "guessed", session_id(token), token[:-1]):
        client.token = tried
        for call in (client.whoami, client.cameras, client.requisitions, client.people, client.journal):
            before = len(town.journal())
            with pytest.raises(SignedOut):
                call()
            fresh = [(e["phase"], e["act"]) for e in town.journal()[before:]]
            assert fresh == ([("refusal", "session")] if tried else [])


def test_rewind_gives_the_seconds_asked_for_and_no_other(case: tuple[Town, str, GateClient, str]) -> None:
    town, _, tech, grant = case
    data = tech.rewind(grant, "mairie", span(12, 20))
    assert canaries(data) == {("mairie", int(START.timestamp()) + n) for n in range(12, 20)}
    last = town.journal()[-1]
    assert (last["phase"], last["act"]) == ("outcome", "rewind")
    assert last["person"] == "Tech" and last["purpose"] and last["reference"] == "PV 2026/1234"


@pytest.mark.parametrize(
    ("named", "recorded"),
    [("Major Roy", "Major Roy"), (" ", "Capitaine Durand, commissariat")],
)
def test_the_journal_names_who_directed_each_act(
    case: tuple[Town, str, GateClient, str], named: str, recorded: str
) -> None:
    town, requisition, tech, _ = case
    before = len(town.journal())
    tech.rewind(tech.grant(requisition, ("rewind",), directed_by=named).id, "mairie", span(12, 20))
    fresh = town.journal()[before:]
    assert {e["act"] for e in fresh} == {"grant", "rewind"}
    assert {e.get("directed_by") for e in fresh} == {recorded}


@pytest.mark.parametrize(
    ("camera", "interval"),
    [
        ("pont", span(12, 20)),
        ("mairie", span(9, 20)),
        ("mairie", span(12, 41)),
        ("mairie", span(9.999999, 20)),
        ("../mairie", span(12, 20)),
        ("", span(12, 20)),
    ],
)
def test_one_camera_or_one_second_outside_gets_nothing(
    case: tuple[Town, str, GateClient, str], camera: str, interval: Interval
) -> None:
    town, _, tech, grant = case
    before = len(town.journal())
    with pytest.raises((OutsideScope, Invalid)):
        tech.rewind(grant, camera, interval)
    assert "refusal" in [e["phase"] for e in town.journal()[before:]]


def test_search_is_bounded_and_journalled(case: tuple[Town, str, GateClient, str]) -> None:
    town, _requisition, tech, grant = case
    found = tech.search(grant, colours=("red",))
    assert found.total == len(found.passages) > 0
    assert {p.camera for p in found.passages} <= {"mairie", "gare"}
    assert all(span(10, 40).holds(p.started_at) for p in found.passages)
    assert found.coverage.asked_s == 60 and found.coverage.recorded_s == pytest.approx(60, abs=1)
    entry = town.journal()[-1]
    assert entry["details"]["total"] == found.total and set(entry["details"]["ids"]) == {p.id for p in found.passages}
    assert town.journal()[-2]["details"]["colours"] == ["red"]
    with pytest.raises(OutsideScope):
        tech.search(grant, cameras=("pont",))
    with pytest.raises(OutsideScope):
        tech.search(grant, interval=span(5, 20))
    with pytest.raises(Invalid):
        tech.search(grant, colours=("mauve'; DROP TABLE passages --",))


def test_passages_of_another_scope_are_as_absent_as_none(case: tuple[Town, str, GateClient, str]) -> None:
    town, _, tech, grant = case
    live = town.index("live", seconds=30)
    outside = town.index(case[1], cameras=["pont"])
    answers = set()
    for identifier in (live[3].id, outside[3].id, "00000000-0000-5000-8000-000000000000"):
        for call in (tech.passage, tech.picture):
            with pytest.raises(NotFound) as refused:
                call(grant, identifier)
            answers.add(str(refused.value))
            last = town.journal()[-1]
            assert (last["act"], last["person"], last["details"]["failed"]) == (call.__name__, "Tech", "not_found")
    assert len(answers) == 1


def test_pictures_are_opened_in_the_gate(case: tuple[Town, str, GateClient, str]) -> None:
    town, _, tech, grant = case
    passage = tech.search(grant).passages[0]
    data = tech.picture(grant, passage.id, 0)
    assert canaries(data) == {(passage.camera, int(passage.started_at.timestamp()))}
    with pytest.raises(NotFound):
        tech.picture(grant, passage.id, 1)
    ArchiveEraser(town.site.archive_dir).erase_views_before(passage.started_at + timedelta(hours=1))
    with pytest.raises(NotFound, match="no longer held"):
        tech.picture(grant, passage.id, 0)


def test_still(case: tuple[Town, str, GateClient, str]) -> None:
    _, _, tech, grant = case
    assert tech.still(grant, "gare", START + timedelta(seconds=15.3))[:2] == b"\xff\xd8"
    with pytest.raises(OutsideScope):
        tech.still(grant, "gare", START + timedelta(seconds=9.9))


def test_ranges_for_a_player(case: tuple[Town, str, GateClient, str]) -> None:
    town, _, tech, grant = case
    url = tech.video_url(grant, "mairie", span(12, 20)).removeprefix("http://testserver")
    headers = {"Authorization": f"Bearer {tech.token}"}
    http = town.http()
    whole = http.get(url, headers=headers)
    assert (whole.status_code, whole.headers["accept-ranges"], whole.headers["cache-control"]) == (
        200,
        "bytes",
        "no-store",
    )
    entries = len(town.journal())
    part = http.get(url, headers={**headers, "Range": "bytes=10-99"})
    assert part.status_code == 206 and part.content == whole.content[10:100]
    assert part.headers["content-range"] == f"bytes 10-99/{len(whole.content)}"
    assert http.get(url, headers={**headers, "Range": "bytes=-5"}).content == whole.content[-5:]
    assert http.get(url, headers={**headers, "Range": f"bytes={len(whole.content)}-"}).status_code == 416
    assert len(town.journal()) == entries  # one playing is one act


def test_saving_what_was_just_played_is_an_act_of_its_own(case: tuple[Town, str, GateClient, str]) -> None:
    town, _, tech, grant = case
    http, headers = town.http(), {"Authorization": f"Bearer {tech.token}"}
    played, saved = (
        tech.video_url(grant, "mairie", span(12, 20), download=wanted).removeprefix("http://testserver")
        for wanted in (False, True)
    )
    clip = http.get(played, headers=headers).content
    for _ in range(2):
        entries = len(town.journal())
        answer = http.get(saved, headers=headers)
        assert answer.content == clip and "attachment" in answer.headers["content-disposition"]
        fresh = town.journal()[entries:]
        assert [(e["act"], e["phase"]) for e in fresh] == [("save", "intent"), ("save", "outcome")]
        assert fresh[0]["details"]["camera"] == "mairie" and fresh[0]["reference"] == "PV 2026/1234"
    entries = len(town.journal())
    assert http.get(played, headers=headers).content == clip and len(town.journal()) == entries


def test_a_browser_signs_in_with_a_cookie_that_scripts_cannot_read(town: Town) -> None:
    http = town.http()
    town.clock.turn(seconds=31)
    form = {
        "login": "tech",
        "password": PASSWORD,
        "code": town.code("tech"),
        "next": "http://127.0.0.1:18501/",
    }
    answer = http.post("/sign-in", data=form, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "http://127.0.0.1:18501/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    assert http.get("/whoami").status_code == 200
    assert http.delete("/session").status_code == 403  # no origin
    assert http.delete("/session", headers={"Origin": "http://evil.example"}).status_code == 403
    assert http.delete("/session", headers={"Origin": "http://127.0.0.1:18501"}).status_code == 200
    assert http.get("/whoami").status_code == 401
    bad = http.post("/sign-in", data={**form, "next": "http://evil.example/"}, follow_redirects=False)
    assert bad.status_code == 401 and "evil" not in bad.text


def test_other_hosts_and_origins_are_refused(town: Town) -> None:
    client = town.client("tech")
    http = town.http()
    headers = {"Authorization": f"Bearer {client.token}"}
    for extra in ({"Host": "rebound.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = http.get("/cameras", headers={**headers, **extra})
        assert answer.status_code == OriginRefused.status and answer.json()["code"] == OriginRefused.code


def test_grants_are_worth_nothing_to_others(case: tuple[Town, str, GateClient, str]) -> None:
    town, requisition, tech, grant = case
    town.person("second", "technician")
    other = town.client("second")
    again = town.client("tech")
    answers = set()
    for client, wanted in ((other, grant), (again, grant), (tech, "x" * 32), (tech, requisition)):
        with pytest.raises(GrantUnknown) as refused:
            client.search(wanted)
        answers.add(str(refused.value))
        last = town.journal()[-1]
        assert (last["phase"], last["act"], last["person"]) == ("refusal", "search", client.whoami().name)
        assert "requisition" not in last  # whose grant it is, the entry of a stranger does not say
    assert len(answers) == 1


def test_closing_ends_everything_at_once(case: tuple[Town, str, GateClient, str]) -> None:
    town, requisition, tech, grant = case
    tech.rewind(grant, "mairie", span(12, 20))
    town.client("greffe").close_requisition(requisition)
    for call in (
        lambda: tech.rewind(grant, "mairie", span(12, 20)),
        lambda: tech.search(grant),
        lambda: tech.grant(requisition, ("rewind",)),
    ):
        with pytest.raises((GrantUnknown, BasisNotOpen)):
            call()
        last = town.journal()[-1]
        assert last["phase"] == "refusal" and "closed" in last["details"]["why"]


def test_playing_stops_at_the_chunk_after_closure(case: tuple[Town, str, GateClient, str]) -> None:
    town, requisition, tech, grant = case
    acts = town.http().app.state.service.acts  # type: ignore[attr-defined]
    live = town.gate.sessions.check(tech.token or "")
    permit, data = acts.video(live, grant, "video", "mairie", span(12, 20))
    pieces = acts.stream(permit, data * 400, 0, len(data) * 400)
    assert len(next(pieces)) > 0
    town.gate.requisitions.close(requisition, None)
    with pytest.raises((GrantUnknown, BasisNotOpen)):
        next(pieces)
    stopped = town.journal()[-1]
    assert (stopped["phase"], stopped["act"], stopped["reference"]) == ("refusal", "video", "PV 2026/1234")
    assert stopped["details"]["camera"] == "mairie" and "closed" in stopped["details"]["why"]


def test_habilitation_that_lapses_in_mid_act(case: tuple[Town, str, GateClient, str]) -> None:
    town, _, tech, grant = case
    acts = town.http().app.state.service.acts  # type: ignore[attr-defined]
    live = town.gate.sessions.check(tech.token or "")
    permit, data = acts.video(live, grant, "video", "mairie", span(12, 20))
    pieces = acts.stream(permit, data * 400, 0, len(data) * 400)
    next(pieces)
    town.gate.people.withdraw_credentials(town.people["tech"], "habilitation", "H-tech")
    with pytest.raises(HabilitationLapsed):
        next(pieces)
    stopped = town.journal()[-1]
    assert (stopped["phase"], stopped["act"]) == ("refusal", "video") and "habilitation" in stopped["details"]["why"]
    with pytest.raises(HabilitationLapsed):
        tech.search(grant)


def test_idle_sessions_lock_and_playing_keeps_them_open(case: tuple[Town, str, GateClient, str]) -> None:
    town, _, tech, grant = case
    for _ in range(4):
        town.clock.turn(minutes=10)
        tech.rewind(grant, "mairie", span(12, 20))
    town.clock.turn(minutes=15)
    with pytest.raises(SignedOut, match="without activity"):
        tech.whoami()
    last = town.journal()[-1]
    assert (last["phase"], last["act"]) == ("refusal", "session") and "without activity" in last["details"]["why"]


def test_signing_out_and_replaying_the_token(town: Town) -> None:
    client = town.client("tech")
    token = client.token
    client.sign_out()
    client.token = token
    with pytest.raises(SignedOut):
        client.whoami()
    last = town.journal()[-1]
    assert (last["phase"], last["act"]) == ("refusal", "session") and "ended" in last["details"]["why"]


def test_lock_out_codes_used_once_and_recovery(town: Town) -> None:
    client = GateClient("http://testserver", http=town.http())
    town.clock.turn(seconds=31)
    code = town.code("tech")
    client.sign_in("tech", PASSWORD, code)
    with pytest.raises(SignInRefused):
        client.sign_in("tech", PASSWORD, code)
    client.sign_in("tech", PASSWORD, town.recovery["tech"][0])
    with pytest.raises(SignInRefused):
        client.sign_in("tech", PASSWORD, town.recovery["tech"][0])
    words = set()
    town.clock.turn(seconds=31)
    with pytest.raises(SignInRefused) as refused:
        client.sign_in("tech", "wrong password!", town.code("tech"))
    words.add(str(refused.value))
    for login in ("tech", "nobody"):
        for _ in range(5):
            with pytest.raises(SignInRefused) as refused:
                client.sign_in(login, "wrong password!", "000000")
            words.add(str(refused.value))
    town.clock.turn(minutes=1)
    with pytest.raises(SignInRefused):
        client.sign_in("tech", PASSWORD, town.code("tech"))
    assert len(words) == 1
    refusals = [e["details"]["login"] for e in town.journal() if (e["phase"], e["act"]) == ("refusal", "sign_in")]
    assert (refusals.count("tech"), refusals.count("nobody")) == (9, 5)
    town.clock.turn(minutes=16)
    client.sign_in("tech", PASSWORD, town.code("tech"))


def test_who_registers_does_not_open_while_another_is_on_duty(town: Town) -> None:
    chef = town.client("chef")
    greffe = town.client("greffe")
    drafted = greffe.draft(**town.words())
    with pytest.raises(DutyRefused, match="the other registrar"):
        greffe.open(drafted.id)
    last = town.journal()[-1]
    assert (last["phase"], last["act"], last["person"]) == ("refusal", "requisition.open", "Greffe")
    chef.sign_out()
    assert greffe.open(drafted.id).review_due
    audit = town.client("audit")
    assert not audit.review(drafted.id).review_due
    with pytest.raises(Conflict):
        audit.review(drafted.id)


def test_who_may_not_work_is_not_on_duty(town: Town) -> None:
    chef, greffe = town.client("chef"), town.client("greffe")
    drafted = greffe.draft(**town.words())
    town.gate.people.withdraw_credentials(town.people["chef"], "habilitation", "H-chef")
    with pytest.raises(HabilitationLapsed):
        chef.open(drafted.id)
    assert greffe.open(drafted.id).review_due


def test_who_registers_does_not_widen_while_another_is_on_duty(town: Town) -> None:
    requisition = town.opened()
    greffe, chef = (town.gate.people.person(town.people[login]) for login in ("greffe", "chef"))
    wider = Amendment(reference="PV 2026/1234 bis", cameras=("pont",))
    amend = town.gate.requisitions.amend
    with pytest.raises(DutyRefused, match="the other registrar on duty widens it"):
        amend(requisition, wider, PDF, greffe, frozenset({chef.id}))
    assert town.gate.requisitions.info(requisition).amendments == 0
    assert all(order.review_due for order in amend(requisition, wider, PDF, chef, frozenset({greffe.id})))


def test_every_widening_is_marked_until_reviewed(town: Town) -> None:
    requisition = town.opened()
    assert not town.gate.requisitions.info(requisition).review_due
    town.clock.turn(minutes=town.site.gate.idle_lock_minutes)  # nobody else is at a desk
    greffe = town.client("greffe")
    later = START + timedelta(days=21)
    assert greffe.amend(requisition, reference="bis", document=PDF, expires_at=later).review_due
    chef, audit = town.client("chef"), town.client("audit")
    assert chef.amend(requisition, reference="ter", document=PDF, cameras=("pont",)).review_due
    assert not audit.review(requisition).review_due
    assert chef.amend(requisition, reference="quater", document=PDF, expires_at=later + SECOND).review_due


@pytest.mark.parametrize(("opener", "marked"), [("chef", True), ("adjoint", False)])
def test_whoever_attached_the_paper_and_opens_is_marked(town: Town, opener: str, marked: bool) -> None:
    town.person("adjoint", "registrar")
    drafted = town.client("greffe").draft(**town.words())
    town.client("chef").attach(drafted.id, b"%PDF-1.4 another one in its place")
    assert town.client(opener).open(drafted.id).review_due == marked


def test_a_registrar_who_looks_at_pictures_too_is_marked(town: Town) -> None:
    town.person("seul", "registrar", "technician")
    drafted = town.client("greffe").draft(**town.words())
    assert town.client("seul").open(drafted.id).review_due


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"article": "12-3"}, "article"),
        ({"article": "77-1-1"}, "prosecutor_authorisation"),
        ({"article": "99-3", "authority": "prosecutor"}, "authority"),
        ({"authority_name": " "}, "authority_name"),
        ({"cameras": ("mairie", "cave")}, "cave"),
        ({"cameras": ()}, "cameras"),
        ({"purpose": ""}, "purpose"),
        ({"intervals": (span(0, 86400 * 3),)}, "not happened"),
        ({"intervals": (span(-86400 * 40, -86400 * 39),)}, "destroyed"),
        ({"expires_at": START - SECOND}, "past"),
        ({"expires_at": START + timedelta(days=4000)}, "three years"),
        ({"document": b"MZ an executable"}, "PDF"),
    ],
)
def test_requisitions_that_do_not_hold_together(town: Town, change: dict[str, object], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        town.client("greffe").draft(**town.words(**change))


def test_a_draft_whose_scan_is_refused_leaves_nothing_in_the_way_of_the_next(town: Town) -> None:
    greffe = town.client("greffe")
    with pytest.raises(Invalid, match="PDF"):
        greffe.draft(**town.words(document=b"MZ an executable"))
    assert not greffe.requisitions()
    assert greffe.draft(**town.words()).document
    with pytest.raises(Conflict):
        greffe.draft(**town.words(document=b"%PDF-1.4 of one that is refused"))
    assert len(list(town.gate.folders.documents.iterdir())) == 1


def test_all_faults_at_once_and_no_opening_without_the_document(town: Town) -> None:
    greffe = town.client("greffe")
    with pytest.raises(Invalid) as refused:
        greffe.draft(**town.words(article="", inquiry="", offence="", cameras=("x",)))
    assert len(refused.value.faults) >= 4
    drafted = greffe.draft(**town.words(document=None))
    with pytest.raises(Invalid, match="scanned"):
        town.client("chef").open(drafted.id)
    assert greffe.attach(drafted.id, PDF).document
    assert town.client("chef").open(drafted.id).state == "open"


def test_amendment_widens_on_a_document_and_only_then(case: tuple[Town, str, GateClient, str]) -> None:
    town, requisition, tech, grant = case
    with pytest.raises(OutsideScope):
        tech.grant(requisition, ("rewind",), cameras=("pont",))
    chef = town.client("chef")
    with pytest.raises(Invalid):
        chef.amend(requisition, reference="", document=PDF, cameras=("pont",))
    widened = chef.amend(requisition, reference="PV 2026/1234 bis", document=PDF, cameras=("pont",))
    assert widened.cameras == ("gare", "mairie", "pont") and widened.amendments == 1
    with pytest.raises(OutsideScope):  # an old grant stays as narrow as it was
        tech.rewind(grant, "pont", span(12, 20))
    fresh = tech.grant(requisition, ("rewind",), cameras=("pont",))
    assert canaries(tech.rewind(fresh.id, "pont", span(12, 20)))


@pytest.mark.parametrize("basis", get_args(Basis))
def test_only_a_consultation_and_a_maintenance_still_are_opened_without_a_document(town: Town, basis: Basis) -> None:
    drafted = town.client("greffe").draft(**town.words(basis=basis, cameras=("gare",), document=None))
    chef = town.client("chef")
    assert drafted.lacks_document == (basis not in ("habilitated_officer", "maintenance"))
    if drafted.lacks_document:
        with pytest.raises(Invalid, match="attach the scanned document first"):
            chef.open(drafted.id)
        assert not chef.attach(drafted.id, PDF).lacks_document
    assert chef.open(drafted.id).state == "open"


def test_what_was_secured_is_widened_and_prolonged_when_it_is_older_than_the_retention(town: Town) -> None:
    requisition = town.opened(expires_at=START + timedelta(days=40))
    town.clock.turn(days=31)
    town.gate.clock_guard.confirm()
    chef, later = town.client("chef"), START + timedelta(days=90)
    yesterday = Interval(START + timedelta(days=30), START + timedelta(days=30, seconds=10))
    assert chef.amend(requisition, reference="bis", document=PDF, expires_at=later).expires_at == later
    widened = chef.amend(requisition, reference="ter", document=PDF, intervals=(span(10, 20), yesterday))
    assert widened.intervals == (span(10, 40), yesterday) and widened.expires_at == later
    with pytest.raises(Invalid, match="destroyed"):
        chef.amend(requisition, reference="quater", document=PDF, intervals=(span(30, 50),))


@pytest.mark.parametrize(
    ("end", "words"), [(EARLIER, "takes nothing away"), (EARLIER.replace(tzinfo=None), "time zone")]
)
def test_no_amendment_ends_a_requisition_earlier(town: Town, end: datetime, words: str) -> None:
    requisition = town.opened(expires_at=START + timedelta(days=20))
    with pytest.raises(Invalid, match=words):
        town.client("chef").amend(requisition, reference="bis", document=PDF, cameras=("pont",), expires_at=end)
    assert town.gate.requisitions.info(requisition).cameras == ("gare", "mairie")


def test_a_narrow_basis_is_not_widened_beyond_its_longest(town: Town) -> None:
    requisition = town.opened(basis="inspection", article="", authority=None, cameras=("gare",))
    long = Interval(START - timedelta(hours=3), START - timedelta(hours=1))
    with pytest.raises(Invalid, match="allows 2:00:00 in all"):
        town.client("chef").amend(requisition, reference="bis", document=PDF, intervals=(long,))


def test_narrow_bases(town: Town) -> None:
    requisition = town.opened(
        reference="Consultation 7", basis="habilitated_officer", article="", document=None, intervals=(span(10, 40),)
    )
    tech = town.client("tech")
    for act in ("search", "trace", "export"):
        with pytest.raises(ActNotPermitted):
            tech.grant(requisition, (act,))  # type: ignore[arg-type]
    grant = tech.grant(requisition, ("rewind",))
    assert canaries(tech.rewind(grant.id, "gare", span(10, 12)))
    assert town.gate.requisitions.orders(requisition)
    assert not list((town.folder / "orders").glob("*.order"))


def test_a_requisition_expires_by_itself(case: tuple[Town, str, GateClient, str]) -> None:
    town, requisition, _, _ = case
    town.clock.turn(days=21)
    assert town.client("greffe").requisition(requisition).state == "expired"
    with pytest.raises(BasisNotOpen):
        town.client("tech").grant(requisition, ("rewind",))


@pytest.mark.parametrize("swept", [False, True])
def test_a_reference_is_free_again_once_its_requisition_has_ended(town: Town, swept: bool) -> None:
    first = town.opened(expires_at=START + timedelta(days=2))
    greffe = town.client("greffe")
    with pytest.raises(Conflict, match="already registered"):
        greffe.draft(**town.words())
    town.clock.turn(days=3)
    if swept:
        town.gate.requisitions.close(first, None, "expired")
    again = town.client("greffe").draft(**town.words())
    with pytest.raises(Conflict, match="already registered"):  # its own draft waits
        town.client("greffe").draft(**town.words())
    town.client("greffe").close_requisition(again.id)
    assert town.client("greffe").draft(**town.words()).state == "draft"


def test_people_are_the_administrators(town: Town) -> None:
    admin = town.client("admin")
    made = admin.make_person("lea", "Léa Roy", ("technician",), PASSWORD)
    assert made.totp_uri.startswith("otpauth://totp/Passage") and len(made.recovery_codes) == 8
    with pytest.raises(Invalid, match="exclude"):
        admin.set_roles(made.person.id, ("administrator", "technician"))
    with pytest.raises(Conflict):
        admin.make_person("lea", "Autre", ("technician",), PASSWORD)
    with pytest.raises(Conflict, match="only administrator"):
        admin.leave(town.people["admin"])
    for call in (admin.requisitions, admin.journal):
        with pytest.raises(DutyRefused):
            call()
    with pytest.raises(DutyRefused):
        town.client("tech").make_person("x.y", "X", ("technician",), PASSWORD)
    tech = town.client("tech")
    admin.leave(town.people["tech"])
    with pytest.raises(SignedOut):
        tech.whoami()


def test_cameras_say_where_and_never_how(town: Town) -> None:
    text = town.http().get("/cameras", headers={"Authorization": f"Bearer {town.client('tech').token}"}).text
    assert "mairie" in text and "secret" not in text and "10.0.0" not in text


def test_progress(case: tuple[Town, str, GateClient, str]) -> None:
    town, requisition, tech, _ = case
    assert tech.progress(requisition).state == "waiting"
    order = town.gate.requisitions.orders(requisition)[0]
    (town.folder / "orders" / f"{order}.progress.json").write_text(
        '{"state":"running","seconds_asked":60,"seconds_done":12.5,"passages":3,"message":""}'
    )
    seen = tech.progress(requisition)
    assert (seen.state, seen.seconds_done, seen.passages) == ("running", 12.5, 3)


def test_warnings_weeks_before(town: Town) -> None:
    town.person("bientot", "technician", until=town.clock() + timedelta(days=20))
    warnings = town.client("bientot").whoami().warnings
    assert len(warnings) == 2 and all("renewed" in w for w in warnings)
    assert town.client("tech").whoami().warnings == ()


def test_trace_and_decisions_stay_inside_the_requisition(case: tuple[Town, str, GateClient, str]) -> None:
    town, requisition, tech, grant = case
    found = tech.search(grant, colours=("red",), limit=100).passages
    asked = found[0]
    trace = tech.trace(grant, asked.id)
    assert asked.id in [s.passage.id for s in trace.steps]
    assert "jamais une identification" in trace.notice
    assert all(s.passage.camera in ("mairie", "gare") for s in trace.steps)
    assert all(span(10, 40).holds(s.passage.started_at) for s in trace.steps)
    other = next(p.id for p in found if p.id != asked.id and p.camera != asked.camera)
    tech.decide(grant, asked.id, Decision(passage_id=other, verdict="rejected"))
    assert other not in [s.passage.id for s in tech.trace(grant, asked.id).steps]
    tech.decide(grant, asked.id, Decision(passage_id=other, verdict="accepted"))
    again = tech.trace(grant, asked.id)
    assert next(s for s in again.steps if s.passage.id == other).decision == "accepted"
    for identifier in (town.index("live", seconds=30)[3].id, town.index(requisition, cameras=["pont"])[3].id):
        with pytest.raises(NotFound):
            tech.trace(grant, identifier)
        with pytest.raises(NotFound):
            tech.decide(grant, asked.id, Decision(passage_id=identifier, verdict="accepted"))
    assert {e["act"] for e in town.journal() if e["phase"] == "outcome"} >= {"trace", "decide", "search", "grant"}
