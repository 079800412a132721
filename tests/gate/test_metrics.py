# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the gate counts of its own work, and that it counts nobody."""

from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from connectors.bounds import Interval
from gate.errors import OutsideScope, Unavailable
from gate.metrics import Metrics
from infra.health import parse_metrics
from infra.observer import _asked
from infra.ports import free_port
from tests.gate.town import START, Town


def test_requests_refusals_seconds_and_bytes_are_counted_by_act_alone(tmp_path: Path) -> None:
    town = Town(tmp_path / "var")
    town.staff()
    town.record(seconds=20)
    requisition = town.opened(intervals=(Interval(START, START + timedelta(seconds=20)),))
    tech = town.client("tech")
    grant = tech.grant(requisition, ("rewind",)).id
    video = tech.rewind(grant, "mairie", Interval(START, START + timedelta(seconds=10)))
    with pytest.raises(OutsideScope):
        tech.rewind(grant, "pont", Interval(START, START + timedelta(seconds=10)))
    tech._http.get("/nowhere")
    service = town.http().app.state.service  # type: ignore[attr-defined]
    text = generate_latest(service.metrics.registry).decode()
    seen = parse_metrics(text)
    act = "GET /grants/{grant}/rewind"
    assert seen.by("passage_gate_bytes_total", "act")[act] > len(video)
    assert seen.by("passage_gate_seconds_total", "act")[act] > 0
    assert seen.by("passage_gate_requests_total", "act") | {act: 2.0, "none": 1.0} == seen.by(
        "passage_gate_requests_total", "act"
    )
    assert seen.by("passage_gate_refusals_total", "rule")["outside_scope"] == 1
    assert ", 1 refused, " in _asked(seen)
    for secret in (grant, requisition, "mairie", "tech", "Tech"):
        assert secret not in text


def test_a_port_that_is_taken_is_told() -> None:
    port = free_port()
    Metrics().serve(port)
    with pytest.raises(Unavailable, match="metrics_port"):
        Metrics().serve(port)
