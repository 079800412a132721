# SPDX-License-Identifier: AGPL-3.0-or-later
"""Packages asked for on a page: refused at once, made while downloaded, once, by the session that asked alone."""

from __future__ import annotations

import io
import zipfile
from functools import partial

import pytest

from gate.client import GateClient, GateError
from gate.errors import Conflict, GrantUnknown, HabilitationLapsed, NotFound, OutsideScope, SignedOut
from gate.exhibits import fingerprint
from tests.gate.test_exhibits import span
from tests.gate.town import Town

ASKED = {"purpose": "remise", "recipient": "Capitaine Durand", "clips": [("mairie", span(12, 20))]}


def download(client: GateClient, grant: str, ticket: str) -> bytes:
    """What the browser does with the address."""
    path = client.export_url(grant, ticket).removeprefix(client.url)
    return client._bytes(path)


def test_a_package_asked_for_is_downloaded_once(town: Town) -> None:
    requisition = town.opened()
    tech = town.client("tech")
    grant = tech.grant(requisition, ("export",)).id
    with pytest.raises(OutsideScope):
        tech.ask_export(grant, **{**ASKED, "clips": [("pont", span(12, 20))]})
    asked = tech.ask_export(grant, **ASKED)
    assert (asked.state, asked.files, asked.asked_s) == ("ready", 0, 8.0)
    assert asked.fingerprint == fingerprint(town.gate)
    data = download(tech, grant, asked.id)
    done = tech.export_status(grant, asked.id)
    assert (done.state, done.bytes, done.done_s) == ("done", len(data), 8.0)
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        assert package.testzip() is None
        names = package.namelist()
    assert done.files == len(names) and done.file == names[0].split("/")[0] + ".zip"
    with pytest.raises(Conflict):
        download(tech, grant, asked.id)
    acts = [(e["act"], e["phase"]) for e in town.journal() if e["act"].startswith("export")]
    assert acts.count(("export", "intent")) == acts.count(("export", "outcome")) == 1


def test_a_package_of_nothing_is_refused_when_it_is_asked_for(town: Town) -> None:
    requisition = town.opened(intervals=(span(10, 40), span(600, 660)))
    tech = town.client("tech")
    grant = tech.grant(requisition, ("export",)).id
    # The first was never recorded; the second lies inside one group of pictures.
    for clip in (("gare", span(600, 660)), ("mairie", span(12.25, 12.75))):
        with pytest.raises(NotFound, match="recorded and whole"):
            tech.ask_export(grant, **{**ASKED, "clips": [clip]})
    assert tech.ask_export(grant, **{**ASKED, "clips": [clip, *ASKED["clips"]]}).state == "ready"


def test_a_link_that_is_refused_says_so_on_a_page_and_to_a_program_as_before(town: Town) -> None:
    tech = town.client("tech")
    grant = tech.grant(town.opened(), ("export",)).id
    path = tech.export_url(grant, "<b>").removeprefix(tech.url)
    own = {"Authorization": f"Bearer {tech.token}"}
    page = town.http().get(path, headers={**own, "Accept": "text/html,*/*;q=0.8"})
    program = town.http().get(path, headers={**own, "Accept": "*/*"})
    assert page.status_code == program.status_code == 404
    assert page.headers["content-type"].startswith("text/html") and "Revenez" in page.text and "<b>" not in page.text
    assert program.json()["code"] == "not_found"


def test_a_ticket_is_of_one_session(town: Town) -> None:
    requisition = town.opened()
    town.person("other", "technician")
    tech, other = town.client("tech"), town.client("other")
    grant, theirs = tech.grant(requisition, ("export",)).id, other.grant(requisition, ("export",)).id
    asked = tech.ask_export(grant, **ASKED)
    for client, through in ((other, grant), (other, theirs), (town.client("tech"), grant), (tech, theirs)):
        for look in (client.export_status, partial(download, client)):
            before = len(town.journal())
            with pytest.raises(NotFound):
                look(through, asked.id)
            (refusal,) = town.journal()[before:]
            assert (refusal["phase"], refusal["act"], refusal["person"]) == ("refusal", "export", client.whoami().name)
            assert "another session" in refusal["details"]["why"]
    before = len(town.journal())
    with pytest.raises(NotFound):
        tech.export_status(grant, "guessed")
    assert len(town.journal()) == before  # no package at all: nothing was tried on one


def test_a_page_that_looks_how_far_it_has_come_does_not_put_the_idle_lock_off(town: Town) -> None:
    requisition = town.opened()
    tech = town.client("tech")
    grant = tech.grant(requisition, ("export",)).id
    asked = tech.ask_export(grant, **ASKED)
    for _ in range(town.site.gate.idle_lock_minutes - 1):
        town.clock.turn(minutes=1)
        assert tech.export_status(grant, asked.id).state == "ready"
    town.clock.turn(minutes=1)
    with pytest.raises(SignedOut, match="without activity"):
        tech.export_status(grant, asked.id)


def test_a_ticket_dies_with_its_requisition(town: Town) -> None:
    requisition = town.opened()
    tech = town.client("tech")
    grant = tech.grant(requisition, ("export",)).id
    asked = tech.ask_export(grant, **ASKED)
    town.client("chef").close_requisition(requisition)
    with pytest.raises(GrantUnknown):
        download(tech, grant, asked.id)
    refusal = town.journal()[-1]
    assert (refusal["phase"], refusal["act"], refusal["reference"]) == ("refusal", "export", "PV 2026/1234")
    assert refusal["person"] == "Tech" and "closed" in refusal["details"]["why"]
    assert tech.export_status(grant, asked.id).state == "ready"


def test_a_ticket_dies_with_the_habilitation(town: Town) -> None:
    requisition = town.opened()
    tech = town.client("tech")
    grant = tech.grant(requisition, ("export",)).id
    asked = tech.ask_export(grant, **ASKED)
    town.gate.people.withdraw_credentials(town.people["tech"], "habilitation", "H-tech")
    with pytest.raises(HabilitationLapsed):
        download(tech, grant, asked.id)
    assert (town.journal()[-1]["phase"], town.journal()[-1]["act"]) == ("refusal", "export")


def test_what_broke_off_says_so_and_may_be_begun_again(town: Town) -> None:
    requisition = town.opened()
    tech = town.client("tech")
    grant = tech.grant(requisition, ("export",)).id
    asked = tech.ask_export(grant, **ASKED)
    service = town.http().app.state.service  # type: ignore[attr-defined]
    live = town.gate.sessions.check(tech.token or "")
    _, pieces = service.packages.tickets.download(live, grant, asked.id)
    next(pieces)
    assert tech.export_status(grant, asked.id).state == "making"
    with pytest.raises(Conflict):
        download(tech, grant, asked.id)
    pieces.close()
    assert tech.export_status(grant, asked.id).state == "broken"
    assert download(tech, grant, asked.id).startswith(b"PK")
    with pytest.raises(GateError):
        tech.export_status(grant, "guessed")
