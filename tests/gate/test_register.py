# SPDX-License-Identifier: AGPL-3.0-or-later
"""The register of recordings: made, destroyed, handed over; who reads it, and of what time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from connectors.bounds import Interval
from gate.errors import DutyRefused, Invalid
from gate.keeper import Keeper
from gate.proof import prove
from gate.register import LONGEST
from tests.gate.town import START, Town, live_broker, span


def test_it_says_what_is_held_by_camera_and_day_of_the_towns(town: Town) -> None:
    # Half past eleven in the evening until half past midnight: two days in the town, one by UTC.
    evening = START.replace(hour=22, minute=30) - timedelta(days=1)
    town.record(evening, 2, ["gare"])
    town.record(evening + timedelta(hours=1), 2, ["gare"])
    held = town.client("audit").register().recordings
    assert [(r.camera, r.day, r.hours) for r in held] == [
        ("gare", "2026-03-19", 1),
        ("gare", "2026-03-20", 2),
        ("mairie", "2026-03-20", 1),
        ("pont", "2026-03-20", 1),
    ]
    assert (held[0].started_at, held[0].ended_at) == (evening.replace(minute=0), evening + timedelta(minutes=30))


@pytest.mark.slow
def test_it_says_what_was_handed_over_erased_destroyed_and_proved(town: Town, tmp_path: Path) -> None:
    requisition = town.opened()
    tech = town.client("tech")
    grant = tech.grant(requisition, ("export",))
    words = {"purpose": "remise", "recipient": "Capitaine Durand"}
    tech.export(grant.id, tmp_path / "x.zip", clips=[("mairie", span(12, 14))], **words)
    town.client("chef").close_requisition(requisition)
    (town.folder / "orders" / f"{requisition}-1.closed").touch()
    keeper = Keeper(town.gate, town.store)
    keeper.close_requisitions()
    town.record(START + timedelta(minutes=70), 10, ["gare"])
    began = START + timedelta(days=30)
    for minutes in (20, 80):
        town.clock.at = began + timedelta(minutes=minutes)
        town.gate.clock_guard.confirm()
        assert keeper.destroy()
    town.clock.turn(minutes=1)
    assert prove(town.gate, town.store, live_broker()).good
    assert not prove(town.gate, None, live_broker()).good
    found = town.client("greffe").register(Interval(START, START + timedelta(days=60)))
    assert [x.kind for x in found.lines] == ["proof_failed", "proved", "destroyed", "scope_erased", "sent"]
    failed, good, destroyed, erased, sent = found.lines
    assert failed.details["not_looked_at"] == ["store"] and good.details["found"] == []
    assert destroyed.details["cameras"] == ["gare", "mairie", "pont"] and destroyed.details["bytes"] > 0
    assert destroyed.details["failed"] == []
    assert destroyed.details["before"] == (START + timedelta(minutes=80)).isoformat()
    assert erased.requisition == sent.requisition == "PV 2026/1234"
    assert sent.details["to"] == "Capitaine Durand" and sent.details["number"].startswith(requisition[:9])
    assert found.recordings == ()


def test_it_is_shown_of_a_time_of_a_year_at_most(town: Town) -> None:
    prove(town.gate, town.store, live_broker())
    proved = town.clock.at
    audit = town.client("audit")
    assert [x.kind for x in audit.register().lines] == ["proved"]
    assert audit.register(Interval(proved - timedelta(days=2), proved)).lines == ()
    assert audit.register(Interval(proved - timedelta(days=2), proved - timedelta(days=1))).recordings == ()
    town.clock.turn(days=32)
    assert town.client("audit").register().lines == ()
    assert len(town.client("audit").register(Interval(proved, proved + LONGEST)).lines) == 1
    with pytest.raises(Invalid, match="shorter"):
        town.client("audit").register(Interval(proved, proved + LONGEST + timedelta(days=1)))


def test_registrar_auditor_and_administrator_read_it(town: Town) -> None:
    for login in ("greffe", "audit", "admin"):
        town.client(login).register()
    with pytest.raises(DutyRefused):
        town.client("tech").register()
    last = town.journal()[-1]
    assert (last["phase"], last["act"], last["person"]) == ("refusal", "register", "Tech")
