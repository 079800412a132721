# SPDX-License-Identifier: AGPL-3.0-or-later
"""How far from the passage asked for a trace looks, and that its coverage says where it did not."""

from datetime import timedelta
from pathlib import Path

import pytest

from connectors.bounds import Interval
from gate import exhibit_words, traces
from gate.messages import Trace
from gate.reasons import recognised
from tests.gate.town import START, Town

HOURS = timedelta(hours=1)


def traced(folder: Path) -> Trace:
    """A requisition of twenty-one hours with passages in its first minute and its last hour; the first is followed."""
    town = Town(folder / "var", cameras=("mairie",), now=START + 22 * HOURS)
    town.staff()
    requisition = town.opened(cameras=("mairie",), intervals=(Interval(START, START + 21 * HOURS),))
    asked = town.index(requisition, START)[0]
    town.index(requisition, START + 20 * HOURS)
    tech = town.client("tech")
    return tech.trace(tech.grant(requisition, ("trace", "search")).id, asked.id)


def test_what_lies_further_than_a_trace_looks_is_told(tmp_path: Path) -> None:
    trace = traced(tmp_path)
    assert all(step.passage.started_at < START + HOURS for step in trace.steps)
    (line,) = (c for c in trace.coverage.lines if c.status == "doubtful")
    assert (line.started_at, line.ended_at) == (START + 12 * HOURS + timedelta(seconds=1), START + 21 * HOURS)
    assert recognised(line.reason) == ("far", {"around": "12:00:00"})
    assert exhibit_words.reason(line.reason) == "parcours cherché 12:00:00 autour du véhicule désigné seulement"


def test_so_many_passages_that_a_trace_looks_less_far_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "CANDIDATES", 5)
    (line,) = (c for c in traced(tmp_path).coverage.lines if c.status == "doubtful")
    assert (line.started_at, recognised(line.reason)) == (
        START + timedelta(minutes=3, seconds=1),
        ("many", {"around": "0:03:00"}),
    )
