# SPDX-License-Identifier: AGPL-3.0-or-later
"""Opening, widening and prolonging a requisition: who may, on what paper, on which basis."""

from datetime import datetime, timedelta
from typing import get_args

import pytest

from connectors.bounds import Interval
from gate.client import GateClient
from gate.errors import (
    ActNotPermitted,
    Conflict,
    DutyRefused,
    HabilitationLapsed,
    Invalid,
    OutsideScope,
)
from gate.messages import Amendment, Basis
from tests.gate.town import PDF, START, Town, canaries, span

SECOND = timedelta(seconds=1)
EARLIER = START + timedelta(days=19)


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
