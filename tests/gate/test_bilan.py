# SPDX-License-Identifier: AGPL-3.0-or-later
"""The yearly report counts what was done, not what was asked for and refused; its paper is French to the plural."""

import io

import pytest
from msgspec import structs
from pypdf import PdfReader

from gate.bilan import bilan, bilan_pdf
from gate.client import GateClient
from gate.errors import Invalid, NotFound, OutsideScope, SignInRefused
from tests.gate.town import START, Town, span


def words(report: object) -> str:
    return " ".join("\n".join(p.extract_text() for p in PdfReader(io.BytesIO(bilan_pdf(report))).pages).split())  # type: ignore[arg-type]


def test_only_what_was_done_counts_as_done(town: Town) -> None:
    requisition = town.opened(intervals=(span(10, 40), span(600, 660)))
    town.index(requisition)
    tech = town.client("tech")
    grant = tech.grant(requisition, ("rewind", "search")).id
    tech.search(grant)
    tech.rewind(grant, "gare", span(12, 20))
    with pytest.raises(OutsideScope):
        tech.search(grant, cameras=["pont"])
    with pytest.raises(Invalid):
        tech.search(grant, limit=10_000)
    with pytest.raises(OutsideScope):
        tech.rewind(grant, "pont", span(12, 20))
    with pytest.raises(NotFound):
        tech.rewind(grant, "gare", span(600, 660))  # not recorded
    found = bilan(town.gate, START.year)
    assert (found.searches, found.seen_hours, found.refusals) == (1, round(8 / 3600, 2), 2)


def test_a_mistyped_password_is_no_refusal_of_an_act(town: Town) -> None:
    client = GateClient("http://testserver", http=town.http())
    with pytest.raises(SignInRefused):
        client.sign_in("tech", "wrong password!", town.code("tech"))
    with pytest.raises(SignInRefused):
        client.renew("tech", "wrong password!", town.code("tech"), "another horse battery")
    answer = town.http().post("/component/data-keys", headers={"Authorization": "Bearer x"}, content=b"{}")
    assert answer.status_code == 401, answer.text
    assert bilan(town.gate, START.year).refusals == 0


def test_numbers_and_words_agree(town: Town) -> None:
    town.opened(received_at=START)
    found = bilan(town.gate, START.year)
    one = structs.replace(found, delay_median_hours=1.5, camera_hours=1.5, seen_hours=2.0, proofs=1, proofs_failed=0)
    said = words(one)
    assert "1 demande, ouverte en 1,5 h (médiane) après réception." in said
    assert "1,5 heure de caméra demandée, 2 heures visionnées, 0 recherche, 0 remise, 0 refus." in said
    assert "Preuves de destruction : 1 réussie, 0 échouée." in said
    said = words(structs.replace(one, lines=found.lines * 2, proofs=3, proofs_failed=2))
    assert "2 demandes, ouvertes en 1,5 h" in said and "3 réussies, 2 échouées." in said
