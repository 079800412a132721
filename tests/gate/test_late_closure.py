# SPDX-License-Identifier: AGPL-3.0-or-later
"""What ends while an act is under way lets nothing out, however late; clear video in memory outlives no limit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.memory_store import MemoryStore
from gate.client import GateClient
from gate.errors import GateError
from gate.rounds import Rounds
from tests.gate.town import START, Town, canaries, recorded_town, span


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return recorded_town(tmp_path / "var")


ACTS: dict[str, Callable[[GateClient, str, str], Any]] = {
    "picture": lambda tech, grant, passage: tech.picture(grant, passage),
    "search": lambda tech, grant, passage: tech.search(grant),
    "passage": lambda tech, grant, passage: tech.passage(grant, passage),
    "trace": lambda tech, grant, passage: tech.trace(grant, passage),
    "still": lambda tech, grant, passage: tech.still(grant, "mairie", START + timedelta(seconds=15)),
    "coverage": lambda tech, grant, passage: tech.coverage(grant),
}


def under_way(town: Town, name: str) -> tuple[str, Callable[[], Any]]:
    """An indexed requisition, and that act under it."""
    requisition = town.opened(intervals=(span(0, 20),))
    town.index(requisition, seconds=20)
    tech = town.client("tech")
    grant = tech.grant(requisition, ("picture", "search", "trace", "rewind")).id
    return requisition, lambda: ACTS[name](tech, grant, town.indexed[0].id)


@pytest.mark.parametrize("name", ACTS)
def test_a_closure_while_the_outcome_is_written_stops_the_answer(
    town: Town, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    requisition, do = under_way(town, name)
    do()
    append = town.gate.journal.append

    def slow(phase: Any, act: str, *rest: Any) -> Any:
        written = append(phase, act, *rest)
        if phase == "outcome" and act == name:
            town.gate.requisitions.close(requisition, None)
        return written

    monkeypatch.setattr(town.gate.journal, "append", slow)
    with pytest.raises(GateError, match="closed"):
        do()
    assert (town.journal()[-1]["phase"], town.journal()[-1]["act"]) == ("refusal", name)


@pytest.mark.parametrize("name", ["passage", "coverage"])
def test_a_closure_while_the_store_answers_stops_the_answer(
    town: Town, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    requisition, do = under_way(town, name)
    answer = getattr(MemoryStore, name)

    def slow(*given: Any) -> Any:
        town.gate.requisitions.close(requisition, None)
        return answer(*given)

    monkeypatch.setattr(MemoryStore, name, slow)
    with pytest.raises(GateError, match="closed"):
        do()


def test_a_clip_in_memory_is_not_shown_past_its_date_and_saving_does_not_keep_it(town: Town) -> None:
    requisition = town.opened(basis="inspection", article="", authority=None, expires_at=START + timedelta(days=60))
    tech = town.client("tech")
    limit = START + timedelta(days=30)
    town.clock.turn(seconds=(limit - timedelta(minutes=5) - town.clock()).total_seconds())
    tech = town.client("tech")
    grant = tech.grant(requisition, ("video",))
    url = tech.video_url(grant.id, "mairie", span(12, 20)).removeprefix(tech.url)

    def played(saved: bool) -> tuple[int, bytes]:
        more = "&download=1" if saved else ""
        answer = town.http().get(url + more, headers={"Authorization": f"Bearer {tech.token}"})
        return answer.status_code, answer.content

    status, data = played(saved=False)
    assert status == 200 and canaries(data)
    town.clock.turn(minutes=4)
    assert canaries(played(saved=True)[1])
    town.clock.turn(minutes=4)
    status, data = played(saved=True)
    assert status != 200 and not canaries(data), "the limit has passed"
    town.clock.turn(minutes=4)
    Rounds(town.gate).once()
    assert not town.gate.clips._held, "saving made it young again"
