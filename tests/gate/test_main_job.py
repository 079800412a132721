# SPDX-License-Identifier: AGPL-3.0-or-later
"""The main job through service and client, from signing in to pictures, and what is refused on the way."""

from datetime import timedelta

import pytest

from connectors.archive import ArchiveEraser
from connectors.bounds import Interval
from gate.client import GateClient
from gate.errors import (
    BasisNotOpen,
    GrantUnknown,
    HabilitationLapsed,
    Invalid,
    NotFound,
    OutsideScope,
    SignedOut,
)
from gate.messages import Decision
from gate.sessions import session_id
from tests.gate.town import START, Town, canaries, span


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


def test_a_requisition_expires_by_itself(case: tuple[Town, str, GateClient, str]) -> None:
    town, requisition, _, _ = case
    town.clock.turn(days=21)
    assert town.client("greffe").requisition(requisition).state == "expired"
    with pytest.raises(BasisNotOpen):
        town.client("tech").grant(requisition, ("rewind",))


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
