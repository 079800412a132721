# SPDX-License-Identifier: AGPL-3.0-or-later
"""How long a vehicle waited: what stands, what drives straight away and hardly moves, what is hidden or unseen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from reid.parked import Stance
from reid.passage import Box, Sighting
from reid.waits import waited_s

START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
FOCUS_PX = 1100.0
WIDTH_M, HEIGHT_M = 1.8, 1.5


def seen(box_at: Callable[[float], Box], seconds: Sequence[float], noise: float = 0.0) -> list[Sighting]:
    """Sightings at these seconds, their edges trembling by `noise` of their height."""
    random = np.random.default_rng(3)
    out = []
    for second in seconds:
        box = box_at(second)
        edges = random.normal(0, noise * (box[3] - box[1]), 4)
        tremble: Box = (box[0] + edges[0], box[1] + edges[1], box[2] + edges[2], box[3] + edges[3])
        out.append(Sighting(START + timedelta(seconds=float(second)), tremble, 0.9))
    return out


def along_the_street(metres: float) -> Box:
    """A car so far straight ahead of a camera, three metres under it and one beside its axis."""
    x, y = 640 + 1.0 * FOCUS_PX / metres, 60 + 3.0 * FOCUS_PX / metres
    width, height = WIDTH_M * FOCUS_PX / metres, HEIGHT_M * FOCUS_PX / metres
    return (x, y - height, x + width, y)


def stops_at(metres: float, stands_s: float) -> Callable[[float], Box]:
    """Drives from 20 m away to there at 10 m/s, stands and drives on."""

    def box(second: float) -> Box:
        begins = (metres - 20) / 10
        return along_the_street(20 + 10 * min(second, begins) + 10 * max(0.0, second - begins - stands_s))

    return box


EVERY = [k / 12 for k in range(12 * 14)]


@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_what_drives_straight_away_waits_nowhere_though_it_hardly_moves(noise: float) -> None:
    assert waited_s(seen(lambda s: along_the_street(20 + 10 * s), EVERY[:96], noise)) == 0
    far = seen(lambda s: along_the_street(100 + 10 * s), EVERY[:48], noise)
    if not noise:
        assert not Stance(far[0].box, far[0].at).feed(far[20].at, far[20].box), "while it is followed it seems to stand"
    assert waited_s(far) == 0


@pytest.mark.parametrize("metres", [40.0, 80.0])
@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_a_wait_is_as_long_as_it_stands(metres: float, noise: float) -> None:
    sightings = seen(stops_at(metres, 5.0), [s for s in EVERY if s < (metres - 20) / 10 + 8], noise)
    assert waited_s(sightings) == pytest.approx(5.0, abs=1.2)


def test_waits_are_summed_and_a_short_stop_is_none() -> None:
    def box(second: float) -> Box:
        driven = min(second, 2) + max(0.0, min(second, 6) - 5) + max(0.0, second - 7)  # stands from 2 to 5, from 6 to 7
        return along_the_street(20 + 10 * driven)

    assert waited_s(seen(box, EVERY[:108])) == pytest.approx(3.0, abs=0.4)


def test_what_is_hidden_while_it_stands_has_stood_all_the_time() -> None:
    stands = stops_at(40.0, 9.0)

    def half_hidden(second: float) -> Box:
        x1, y1, x2, y2 = stands(second)
        return ((x1 + x2) / 2, y1, x2, y2) if 5 < second < 9 else (x1, y1, x2, y2)

    assert waited_s(seen(half_hidden, EVERY)) == pytest.approx(9.0, abs=0.6)
    assert waited_s(seen(stands, [s for s in EVERY if not 5 < s < 9])) == pytest.approx(9.0, abs=0.6)


def test_what_is_not_looked_at_because_nothing_moves_stands_until_it_is() -> None:
    def box(second: float) -> Box:
        x = 200 + 60 * min(second, 2.0) + 60 * max(0.0, second - 11.85)  # it has gone 9 px when it is looked at again
        return (x, 300, x + 60, 336)

    assert waited_s(seen(box, [s for s in EVERY if s <= 2 or s >= 12])) == pytest.approx(10.0, abs=0.1)
    passes = seen(lambda s: (200 + 60 * s, 300, 260 + 60 * s, 336), [s for s in EVERY if not 3 < s < 6])
    assert waited_s(passes) == 0, "it came out elsewhere"


def test_what_was_seen_once_or_never_waited_nowhere() -> None:
    assert waited_s([]) == waited_s(seen(along_the_street, [30.0])) == 0
