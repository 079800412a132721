# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a step of a trace says for itself, in one line."""

from __future__ import annotations

import pytest

from dashboards.follow import arguments
from gate.messages import TraceStep
from tests.infra.test_demo import NOW, passage


@pytest.mark.parametrize(
    ("waited", "typical", "said"),
    [
        (0.0, None, "trajet 46 s"),
        (0.0, (10.0, 22.0), "trajet 46 s (d'ordinaire 10–22 s)"),
        (30.2, None, "trajet 46 s (dont 30 s à l'arrêt en vue)"),
        (30.2, (10.0, 22.0), "trajet 46 s (dont 30 s à l'arrêt en vue ; d'ordinaire 10–22 s)"),
    ],
)
def test_a_long_way_names_the_wait_in_it(waited: float, typical: tuple[float, float] | None, said: str) -> None:
    step = TraceStep(
        passage=passage("C01", NOW, NOW),
        probability=0.9,
        look=0.8,
        colour=1.0,
        travel_s=46.0,
        travel_waited_s=waited,
        travel_typical_s=typical,
        rivals=0,
    )
    assert f" · {said} · " in arguments(step)
