# SPDX-License-Identifier: AGPL-3.0-or-later
"""A clock set ahead or back destroys nothing in the store, and ageing resumes when it is confirmed."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.bounds import Bounds, Interval
from connectors.clickhouse import open_keeper, open_reader, open_writer
from connectors.errors import StoreUnavailable
from infra.store_clock import JUMP, LONGEST_SLEEP, Ageing, StoreClock
from reid.passage import Coverage
from tests.fixtures.store import StoreProcess

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Times:
    """A wall clock and a monotonic one that the test moves."""

    def __init__(self) -> None:
        self.wall = START
        self.ticks = 0.0

    def pass_by(self, span: timedelta) -> None:
        self.wall += span
        self.ticks += span.total_seconds()

    def clock(self, file: Path) -> StoreClock:
        return StoreClock(file, lambda: self.wall, lambda: self.ticks)


class FakeEngine:
    """Remembers when it was let to age."""

    def __init__(self) -> None:
        self.said: list[bool] = []

    def age(self, on: bool) -> None:
        self.said.append(on)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "store-clock.json"


def test_time_that_passes_is_trusted(file: Path) -> None:
    times = Times()
    clock = times.clock(file)
    for _ in range(100):
        times.pass_by(timedelta(hours=7))
        assert clock.look() == ""


@pytest.mark.parametrize(
    ("jump", "way"), [(JUMP + MINUTE, "ahead"), (-JUMP - MINUTE, "back"), (timedelta(31), "ahead")]
)
def test_a_jump_while_running_is_noticed_and_stays(file: Path, jump: timedelta, way: str) -> None:
    times = Times()
    clock = times.clock(file)
    assert clock.look() == ""
    times.wall += jump
    assert way in clock.look()
    times.wall -= jump
    assert clock.look() != ""
    assert times.clock(file).look() != "", "a restart forgets no suspicion"
    clock.confirm()
    assert clock.look() == "" and times.clock(file).look() == ""


@pytest.mark.parametrize(
    ("away", "suspect"),
    [
        (timedelta(hours=1), False),
        (LONGEST_SLEEP - MINUTE, False),
        (LONGEST_SLEEP + MINUTE, True),
        (timedelta(31), True),
        (-JUMP - MINUTE, True),
    ],
)
def test_across_a_restart(file: Path, away: timedelta, suspect: bool) -> None:
    times = Times()
    times.clock(file).look()
    times.wall += away
    assert bool(times.clock(file).look()) is suspect


def test_a_file_that_cannot_be_read_is_suspect(file: Path) -> None:
    times = Times()
    times.clock(file).look()
    file.write_text("{")
    assert "cannot be read" in times.clock(file).look()


def test_ageing_comes_in_spells_and_a_jump_ends_one(file: Path) -> None:
    times = Times()
    clock = times.clock(file)
    engine = FakeEngine()
    ageing = Ageing(engine, clock, spell_s=0.01)  # type: ignore[arg-type]
    ageing.spell()
    assert engine.said == [True, False]
    times.wall += timedelta(31)
    ageing.spell()
    assert engine.said == [True, False]
    clock.confirm()
    ageing.spell()
    assert engine.said == [True, False] * 2


@pytest.mark.engine
@pytest.mark.slow
def test_what_would_be_past_its_date_outlives_a_doubtful_clock(own_store_server: StoreProcess) -> None:
    now = datetime.now(UTC)
    site = own_store_server.site
    state = site.data / "state" / "store-clock.json"
    state.parent.mkdir(parents=True)
    # As if the store had last run forty days ago: either the machine was off, or its clock is wrong now.
    state.write_text(json.dumps({"trusted": (now - timedelta(40)).isoformat(), "suspect": ""}))
    own_store_server.start()
    old = Coverage(
        scope="s", camera="c", started_at=now - timedelta(35), ended_at=now - timedelta(35), status="gap", reason="old"
    )
    open_writer(site).insert_coverage([old])
    own_store_server.stop()
    own_store_server.start()
    keeper = open_keeper(site)
    within = Bounds("s", frozenset({"c"}), (Interval(now - timedelta(36), now),), now - timedelta(36))
    assert len(open_reader(site).coverage(within)) == 1
    keeper.resume_ageing()
    end = time.monotonic() + 90
    while time.monotonic() < end:
        try:
            # The row goes at once, the part that held it a moment later.
            if not open_reader(site).coverage(within) and open_keeper(site).oldest() is None:
                break
        except StoreUnavailable:
            pass  # the engine is opened anew once the clock is confirmed: a moment without an answer
        time.sleep(0.1)
    assert open_reader(site).coverage(within) == []
    assert open_keeper(site).oldest() is None
    keeper.hold_ageing()
    assert "keeper" in json.loads(state.read_text())["suspect"]
