# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is now for the rules: a clock set back revives nothing, one set ahead and corrected locks nobody out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gate.client import GateClient
from gate.clock import JUMP, ClockGuard
from gate.errors import BasisNotOpen, HabilitationLapsed, SignedOut
from tests.gate.town import PASSWORD, Town, recorded_town

HOUR = timedelta(hours=1)


class Ticks:
    """A monotonic clock that stands until it is turned."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def town(tmp_path: Path, ticks: Ticks) -> Town:
    """A town with an open requisition, whose gate looks at its clock."""
    town = recorded_town(tmp_path / "var")
    town.gate.clock_guard = ClockGuard(town.gate.database, town.clock, ticks)
    return town


def passes(town: Town, ticks: Ticks, time: timedelta) -> None:
    """Time goes by, by both clocks; the gate looks."""
    town.clock.at += time
    ticks.seconds += time.total_seconds()
    town.gate.clock_guard.watch()


def signed_in(town: Town, login: str) -> GateClient:
    """By a recovery code, for which no clock is turned."""
    client = GateClient("http://testserver", http=town.http())
    client.sign_in(login, PASSWORD, town.recovery[login][0])
    return client


@pytest.mark.parametrize("back", [2 * HOUR, JUMP / 2, timedelta(days=400)], ids=["hours", "minutes", "a year"])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_clock_set_back_revives_nothing(town: Town, ticks: Ticks, back: timedelta, restarted: bool) -> None:
    end = town.clock() + 2 * HOUR
    town.person("short", "technician", until=end)
    lasting, lapsed = town.opened(), town.opened(reference="PV 2", expires_at=end)
    passes(town, ticks, end - town.clock() - timedelta(minutes=15))
    idle = town.client("audit")
    passes(town, ticks, timedelta(minutes=15))
    fresh = town.client("tech")
    passes(town, ticks, timedelta(minutes=1))
    latest = town.clock()

    town.clock.at -= back
    if restarted:
        town.gate.clock_guard = ClockGuard(town.gate.database, town.clock, ticks)
    assert town.gate.now() == latest
    with pytest.raises(SignedOut):
        idle.whoami()
    with pytest.raises(BasisNotOpen, match="expired"):
        fresh.grant(lapsed, ("rewind",))
    assert town.gate.requisitions.info(lapsed).state == "expired"
    with pytest.raises(HabilitationLapsed):
        signed_in(town, "short").grant(lasting, ("rewind",))
    # Whose habilitation holds goes on working, and the journal says what the clock says.
    assert fresh.grant(lasting, ("rewind",)).requisition == lasting
    assert datetime.fromisoformat(town.journal()[-1]["at"]) == latest - back


def test_an_ended_session_stays_ended(town: Town, ticks: Ticks) -> None:
    client = town.client("greffe")
    for _ in range(80):
        passes(town, ticks, timedelta(minutes=10))
        try:
            client.whoami()
        except SignedOut as over:
            assert "over" in str(over)
            break
    else:
        pytest.fail("a session lasts for ever")
    town.clock.turn(hours=-6)
    with pytest.raises(SignedOut):
        client.whoami()


def test_things_lapse_while_the_clock_is_set_back(town: Town, ticks: Ticks) -> None:
    requisition = town.opened(expires_at=town.clock() + 2 * HOUR)
    passes(town, ticks, HOUR)
    busy, idle = town.client("tech"), town.client("audit")
    town.clock.turn(hours=-3)
    assert "back" in town.gate.clock_guard.watch()
    for _ in range(4):
        passes(town, ticks, timedelta(minutes=10))
        busy.grant(requisition, ("rewind",))
    with pytest.raises(SignedOut, match="without activity"):
        idle.whoami()
    for _ in range(2):
        passes(town, ticks, timedelta(minutes=10))
        busy.whoami()
    with pytest.raises(BasisNotOpen, match="expired"):
        busy.grant(requisition, ("rewind",))
    # What one of the gate's processes has seen pass is known to the others, and after a restart.
    other = ClockGuard(town.gate.database, town.clock, ticks)
    assert other.latest() == town.gate.now()


def test_a_clock_set_back_little_by_little_is_suspect_in_the_end(town: Town, ticks: Ticks) -> None:
    for _ in range(4):
        assert not town.gate.clock_guard.suspect
        town.clock.at -= JUMP / 2
        ticks.seconds += 10
        town.gate.clock_guard.watch()
    assert "before" in town.gate.clock_guard.suspect


def test_a_withdrawn_habilitation_stays_withdrawn_when_the_clock_is_put_right(town: Town, ticks: Ticks) -> None:
    requisition = town.opened()
    passes(town, ticks, timedelta())
    town.clock.turn(days=40)
    town.gate.clock_guard.watch()
    town.gate.people.withdraw_credentials(town.people["tech"], "habilitation", "H-tech")
    town.clock.turn(days=-40)
    town.gate.clock_guard.confirm()
    with pytest.raises(HabilitationLapsed):
        town.client("tech").grant(requisition, ("rewind",))


def watched(town: Town, ticks: Ticks) -> None:
    """The gate runs while its clock is wrong, and notices."""
    town.gate.clock_guard.watch()


def started(town: Town, ticks: Ticks) -> None:
    """The gate starts with the wrong clock, less far ahead than it would notice: it is trusted."""
    town.gate.clock_guard = ClockGuard(town.gate.database, town.clock, ticks)
    assert not town.gate.clock_guard.watch()


@pytest.mark.parametrize(
    ("ahead", "looks"), [(timedelta(days=400), watched), (timedelta(hours=30), started)], ids=["noticed", "trusted"]
)
def test_a_clock_set_ahead_and_corrected_locks_nobody_out(
    town: Town, ticks: Ticks, ahead: timedelta, looks: Callable[[Town, Ticks], None]
) -> None:
    requisition = town.opened()
    passes(town, ticks, timedelta())
    right = town.clock()
    town.clock.at += ahead
    looks(town, ticks)
    town.clock.at -= ahead
    assert town.gate.clock_guard.watch()
    # What was noticed is right at once; what was trusted, once the clock is confirmed.
    assert (town.gate.now() == town.clock()) == (looks is watched)
    # `client` signs in by the one-time code of the corrected clock.
    admin = town.client("admin")
    assert any("clock" in warning for warning in admin.whoami().warnings)
    admin.confirm_clock()
    assert not town.gate.clock_guard.suspect
    assert town.gate.now() == town.clock() < right + timedelta(minutes=5)
    tech = town.client("tech")
    assert tech.grant(requisition, ("rewind",)).requisition == requisition
    town.clock.turn(minutes=14)
    assert tech.whoami()
    town.clock.turn(minutes=16)
    with pytest.raises(SignedOut):
        tech.whoami()
