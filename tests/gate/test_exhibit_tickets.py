# SPDX-License-Identifier: AGPL-3.0-or-later
"""Packages asked for on a page: refused at once, made while downloaded, once, by the session that asked alone."""

from __future__ import annotations

import io
import zipfile

import pytest

from gate.client import GateClient, GateError
from gate.errors import Conflict, GrantUnknown, NotFound, OutsideScope
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


def test_a_ticket_is_of_one_session(town: Town) -> None:
    requisition = town.opened()
    town.person("other", "technician")
    tech, other = town.client("tech"), town.client("other")
    grant, theirs = tech.grant(requisition, ("export",)).id, other.grant(requisition, ("export",)).id
    asked = tech.ask_export(grant, **ASKED)
    for client, through in ((other, grant), (other, theirs), (town.client("tech"), grant), (tech, theirs)):
        with pytest.raises(NotFound):
            client.export_status(through, asked.id)
        with pytest.raises(NotFound):
            download(client, through, asked.id)


def test_a_ticket_dies_with_its_requisition(town: Town) -> None:
    requisition = town.opened()
    tech = town.client("tech")
    grant = tech.grant(requisition, ("export",)).id
    asked = tech.ask_export(grant, **ASKED)
    town.client("chef").close_requisition(requisition)
    with pytest.raises(GrantUnknown):
        download(tech, grant, asked.id)
    assert tech.export_status(grant, asked.id).state == "ready"


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
