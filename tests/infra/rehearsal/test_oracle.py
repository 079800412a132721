# SPDX-License-Identifier: AGPL-3.0-or-later
"""The measure of how hard a town is."""

from __future__ import annotations

import pytest

from infra.rehearsal.oracle import LinkModel, Seen, idf1, link, lookalikes

WHITE = ("hatch_small", "white")


def passage(name: str, camera: str, start: float, look: tuple[str, ...] = WHITE, way: str = "left>right") -> Seen:
    return Seen(look, (camera, way), (camera, way), start, start + 4.0, 40, name)


def stream(count: int, every: float, look: tuple[str, ...] = WHITE) -> list[Seen]:
    """Cars that pass A, then B twenty seconds later, then C thirty seconds after that."""
    found = []
    for k in range(count):
        start = every * k
        found += [passage(f"v{k}", camera, start + at, look) for camera, at in (("A", 0), ("B", 20), ("C", 50))]
    return sorted(found, key=lambda s: s.entered_s)


def test_idf1_of_right_and_wrong_identities() -> None:
    truth = ["a", "a", "b", "b"]
    assert idf1(truth, [7, 7, 9, 9], [10, 10, 10, 10]) == 1.0
    assert idf1(truth, [1, 2, 3, 4], [10, 10, 10, 10]) == 0.5
    assert idf1(truth, [1, 1, 1, 1], [10, 30, 20, 20]) == 0.5
    assert idf1(truth, [1, 2, 2, 1], [30, 10, 10, 30]) == pytest.approx(0.5)


def test_lookalikes() -> None:
    share, median = lookalikes([("a", "white"), ("a", "white"), ("a", "white"), ("a", "red")])
    assert share == 0.75
    assert median == 3
    assert lookalikes([]) == (0.0, 0.0)


def test_steady_travel_times_give_a_perfect_oracle() -> None:
    seen = stream(10, 47.0)
    found = link(seen, LinkModel(seen))
    assert idf1([s.identity for s in seen], found, [s.frames for s in seen]) == 1.0


def test_unlike_looks_are_never_linked() -> None:
    seen = stream(4, 47.0) + stream(4, 47.0, ("hatch_small", "red"))
    found = link(seen, LinkModel(seen))
    looks: dict[int, set[tuple[str, ...]]] = {}
    for chain, passage_ in zip(found, seen, strict=True):
        looks.setdefault(chain, set()).add(passage_.look)
    assert all(len(group) == 1 for group in looks.values())


def test_the_oracle_does_not_use_identities() -> None:
    """Two look-alikes that swap order between cameras cannot be told apart, and are not."""
    seen = [
        passage("x", "A", 0.0),
        passage("y", "A", 6.0),
        passage("y", "B", 20.0),
        passage("x", "B", 26.0),
        *[
            Seen(WHITE, s.way_in, s.way_out, s.entered_s + 1000, s.left_s + 1000, 40, f"n{s.identity}")
            for s in stream(6, 60.0)
        ],
    ]
    found = link(seen, LinkModel(seen))
    assert found[0] != found[3]
    assert idf1([s.identity for s in seen[:4]], found[:4], [40] * 4) == 0.5


def test_a_link_that_never_happens_is_not_made() -> None:
    seen = stream(3, 300.0)
    model = LinkModel(seen)
    assert model.link_cost(seen[0], passage("z", "C", 20.0)) == float("inf")
    assert model.link_cost(seen[0], passage("z", "B", 20.0)) < float("inf")
