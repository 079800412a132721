# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which looks at a vehicle are kept as pictures, and which of them is shown where one is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from reid.passage import View
from reid.views import keep_best

START = datetime(2026, 11, 20, 8, tzinfo=UTC)


def view(second: float, quality: float) -> View:
    return View(
        at=START + timedelta(seconds=second), box=(0, 0, 9, 9), width_px=9, height_px=9, quality=quality, jpeg=b"j"
    )


def test_the_best_is_the_first_picture_of_a_passage_not_the_earliest() -> None:
    """It comes from far away: the earliest look, small and blurred, is what nobody wants to see on a card."""
    coming = [view(0, 0.1), view(1, 0.3), view(2, 0.8), view(3, 0.6)]
    assert keep_best(coming)[0].quality == 0.8
    assert keep_best(coming)[0] == keep_best([*coming, view(4, 0.2), view(5, 0.1)])[0]


def test_of_many_the_best_and_those_from_other_moments_are_kept() -> None:
    many = [view(0.0, 0.5), *(view(4 + 0.1 * n, 0.7 + 0.01 * n) for n in range(6)), view(9.0, 0.45)]
    kept = keep_best(many, 3)
    assert kept[0].quality == max(v.quality for v in many)
    assert {v.at for v in kept[1:]} == {START, START + timedelta(seconds=9)}


def test_no_look_and_one_look() -> None:
    assert keep_best([]) == ()
    assert keep_best([view(1, 0.5)]) == (view(1, 0.5),)
