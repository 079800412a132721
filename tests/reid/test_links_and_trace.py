# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which camera follows, after how long, and the way of one vehicle through all of them."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import numpy as np
import pytest

from reid.association import associate
from reid.bearings import passing_places
from reid.links import FASTEST_MPS, follows, learn_links
from reid.nearest import nearest, nearest_s, travel_s, waited_s
from reid.overlaps import UNKNOWN
from reid.passage import Box, Embedding, Passage
from reid.trace import trace
from tests.reid.made_town import POSITIONS, START, MadeTown, made_town

SMALL: Box = (600.0, 100.0, 630.0, 120.0)
LARGE: Box = (100.0, 400.0, 400.0, 620.0)


@pytest.fixture(scope="module")
def town() -> MadeTown:
    return made_town(3, vehicles=24, seconds=300.0)


def seen(camera: str, start_s: float, end_s: float, first: Box, last: Box, **changed: object) -> Passage:
    """A passage of the made town, moved to a camera and time, with other boxes."""
    passage = made_town(0, vehicles=1).passages[0]
    fields: dict[str, object] = {
        "id": f"{camera}-{start_s}",
        "camera": camera,
        "started_at": START + timedelta(seconds=start_s),
        "ended_at": START + timedelta(seconds=end_s),
        "first_box": first,
        "last_box": last,
    }
    return msgspec.structs.replace(passage, **(fields | changed))


def possible(a: Passage, b: Passage) -> bool:
    """Whether one vehicle can have made `a` and then `b`, distances aside."""
    return bool(follows([a, b], nearest([a, b]))[0, 1])


def test_a_vehicle_is_nearest_where_it_is_largest() -> None:
    coming = seen("c0", 0, 6, SMALL, LARGE)
    going = seen("c0", 0, 6, LARGE, SMALL)
    across = seen("c0", 0, 6, LARGE, LARGE)
    assert [nearest_s(p) - START.timestamp() for p in (coming, going, across)] == [6.0, 0.0, 3.0]


def test_views_that_overlap_do_not_forbid_a_pair() -> None:
    """It is seen far off by the next camera long before the first has lost it."""
    first = seen("c0", 0, 20, LARGE, SMALL)
    second = seen("c1", 3, 14, SMALL, LARGE)
    assert possible(first, second)
    assert not possible(second, first)


def test_nothing_drives_faster_than_cars_do() -> None:
    positions = {"c0": (0.0, 0.0), "c1": (500.0, 0.0)}
    first = seen("c0", 0, 5, SMALL, LARGE)
    fast, slow = (seen("c1", at, at + 5, LARGE, SMALL) for at in (5 + 500 / FASTEST_MPS - 6, 60))
    model = learn_links([first, fast, slow], positions)
    assert model.evidence(first, fast) == -np.inf
    assert np.isfinite(model.evidence(first, slow))


def test_distance_says_how_long_it_takes_before_anything_is_learnt() -> None:
    positions = {"c0": (0.0, 0.0), "c1": (15.0, 0.0), "c2": (150.0, 0.0)}
    model = learn_links([], positions)
    near, far = (model.links["c0", c].quantile(0.0) for c in ("c1", "c2"))
    assert 1 < near < 6 < 12 < far < 30


def test_the_way_past_both_cameras_counts() -> None:
    """All that come towards the first camera go on to the second and away from it; none goes there that went away."""
    random = np.random.default_rng(8)
    passages = []
    for n in range(8):
        one, other = (Embedding("m", tuple(random.normal(size=16))) for _ in range(2))
        passages.append(seen("c0", 40 * n, 40 * n + 5, SMALL, LARGE, id=f"a{n}", embedding=one))
        passages.append(seen("c1", 40 * n + 20, 40 * n + 25, LARGE, SMALL, id=f"b{n}", embedding=one))
        passages.append(seen("c0", 40 * n + 2, 40 * n + 7, LARGE, SMALL, id=f"z{n}", embedding=other))
    model = learn_links(passages, {"c0": (0.0, 0.0), "c1": (120.0, 0.0)})
    assert model.by_way["c0", "towards", "c1", "away"] > 1.2 * model.by_way["c0", "away", "c1", "away"]


def test_what_is_still_far_off_may_yet_take_its_time() -> None:
    """The recording ends while it stands in a queue: when it would have passed the camera is not known."""
    first = seen("c0", 0, 5, SMALL, LARGE)
    queue = seen("c1", 3, 9, SMALL, LARGE, exit="inside", truncated=True)
    gone = seen("c1", 3, 9, SMALL, LARGE, exit="left")
    positions = {"c0": (0.0, 0.0), "c1": (200.0, 0.0)}
    model = learn_links([], positions)
    assert model.evidence(first, queue) > model.evidence(first, gone)


def test_links_are_learnt_from_passages_alone(town: MadeTown) -> None:
    """Without positions: neighbours on the ring follow each other, after some twenty seconds."""
    model = learn_links(town.passages)
    for n in range(6):
        after = {b: link.chance for (a, b), link in model.links.items() if a == f"c{n}" and b != a}
        assert set(sorted(after, key=lambda b: after[b])[-2:]) == {f"c{(n + 1) % 6}", f"c{(n - 1) % 6}"}
    assert 14 < np.median([model.links[f"c{n}", f"c{(n + 1) % 6}"].quantile(0.0) for n in range(6)]) < 27


def test_traces_are_mostly_right_and_mostly_whole(town: MadeTown) -> None:
    links = learn_links(town.passages, POSITIONS)
    right = wrong = missed = 0
    for vehicle in range(0, 24, 2):
        own = set(town.of(vehicle))
        query = next(p for p in town.passages if p.id in own)
        found = {s.passage.id for s in trace(query, town.passages, links)}
        right += len(found & own)
        wrong += len(found - own)
        missed += len(own - found)
    assert right / (right + wrong) > 0.9
    assert right / (right + missed) > 0.9


def test_a_word_on_a_step_is_obeyed(town: MadeTown) -> None:
    links = learn_links(town.passages, POSITIONS)
    query = town.passages[len(town.passages) // 2]
    steps = trace(query, town.passages, links)
    other = next(s.passage for s in steps if s.passage.id != query.id)
    without = trace(query, town.passages, links, {other.id: "rejected"})
    assert other.id not in {s.passage.id for s in without}
    stranger = next(p for p in town.passages if p.id not in {s.passage.id for s in steps} and possible(query, p))
    told = {s.passage.id: s for s in trace(query, town.passages, links, {stranger.id: "accepted"})}
    assert (told[stranger.id].decision, told[stranger.id].probability) == ("accepted", 1.0)
    assert told[query.id].decision == "query"


def test_steps_are_in_the_order_of_driving_with_times_that_are_not_negative(town: MadeTown) -> None:
    links = learn_links(town.passages, POSITIONS)
    steps = max((trace(p, town.passages, links) for p in town.passages[::9]), key=len)
    assert steps[0].travel_s is None
    assert all(s.travel_s is not None and s.travel_s > 0 for s in steps[1:])


@pytest.mark.parametrize("seed", [1, 5, 8])
def test_vehicle_ids_group_what_belongs_together(seed: int) -> None:
    town = made_town(seed, vehicles=24, seconds=300.0)
    given = {a.passage_id: a.vehicle_id for a in associate(town.passages, POSITIONS)}
    assert set(given) == {p.id for p in town.passages}
    ids = sorted(given)
    together = [
        (given[a] == given[b], town.vehicle[a] == town.vehicle[b]) for i, a in enumerate(ids) for b in ids[i + 1 :]
    ]
    both = sum(g and t for g, t in together)
    assert both / sum(g for g, _ in together) > 0.8
    assert both / sum(t for _, t in together) > 0.85


def test_a_vehicle_drives_to_what_lies_ahead_of_it() -> None:
    """Both cameras look east: what drives away from one comes by the other; what came towards it does not."""
    places, headings = {"c0": (0.0, 0.0), "c1": (150.0, 0.0)}, {"c0": 90.0, "c1": 90.0}
    away, towards = seen("c0", 0, 5, LARGE, SMALL), seen("c0", 0, 5, SMALL, LARGE)
    there, back = seen("c1", 17, 22, LARGE, SMALL), seen("c1", 17, 22, SMALL, LARGE)
    told, untold = learn_links([], places, headings_deg=headings), learn_links([], places)
    assert told.evidence(away, there) > untold.evidence(away, there) + 0.5
    for a, b in ((towards, there), (away, back), (towards, back)):
        assert told.evidence(a, b) < told.evidence(away, there) - 1.0


def test_a_vehicle_is_nearest_ahead_of_the_camera() -> None:
    places = passing_places({"c0": (10.0, 20.0), "c1": (0.0, 0.0)}, {"c0": 90.0})
    assert places["c0"] == pytest.approx((18.0, 20.0))
    assert places["c1"] == (0.0, 0.0)


def test_a_wait_in_view_explains_a_long_time() -> None:
    """Forty seconds from one camera to the other, thirty of them at the light that the second one sees."""
    first = seen("c0", 0, 5, SMALL, LARGE)
    waited = seen("c1", 12, 55, SMALL, LARGE, exit="left", waited_s=32.0)
    dawdled = seen("c1", 12, 55, SMALL, LARGE, exit="left")
    model = learn_links([], {"c0": (0.0, 0.0), "c1": (150.0, 0.0)})
    assert model.evidence(first, waited) > model.evidence(first, dawdled) + 1.0
    assert (travel_s(first, waited), waited_s(first, waited), waited_s(first, dawdled)) == (50.0, 32.0, 0.0)
    assert waited_s(seen("c1", 0, 40, LARGE, SMALL, waited_s=30.0), first) == 30.0, "after it came by the first"


def test_what_was_accepted_is_joined_by_the_likeliest_way(town: MadeTown) -> None:
    """Asked for by its first passage, with its last one accepted: what lies between is found."""
    links = learn_links(town.passages, POSITIONS)
    longest = max(set(town.vehicle.values()), key=lambda v: (len(town.of(v)), v))
    own = sorted((p for p in town.passages if town.vehicle[p.id] == longest), key=nearest_s)
    steps = trace(own[0], town.passages, links, {own[-1].id: "accepted"})
    assert {p.id for p in own} <= {s.passage.id for s in steps}
    assert [nearest_s(s.passage) for s in steps] == sorted(nearest_s(s.passage) for s in steps)


def test_the_further_from_what_is_sure_the_less_sure(town: MadeTown) -> None:
    links = learn_links(town.passages, POSITIONS)
    steps = max((trace(p, town.passages, links) for p in town.passages[::7]), key=len)
    at = next(n for n, s in enumerate(steps) if s.decision == "query")
    forward, backward = [s.probability for s in steps[at:]], [s.probability for s in steps[at::-1]]
    assert forward == sorted(forward, reverse=True)
    assert backward == sorted(backward, reverse=True)
    assert all(0 < s.probability <= 1 for s in steps)


def test_one_vehicle_is_hardly_seen_by_two_cameras_at_once() -> None:
    """It stood before the second camera while it drove by the first: another vehicle."""
    places = {"c0": (0.0, 0.0), "c1": (150.0, 0.0)}
    first = seen("c0", 8, 19, LARGE, SMALL)
    model = learn_links([], places)
    stood = seen("c1", 2, 25, SMALL, LARGE, waited_s=7.0)
    drove = seen("c1", 14, 25, SMALL, LARGE)
    assert model.evidence(first, stood) < model.evidence(first, drove) - 1.5
    still_seen = seen("c0", 8, 29, LARGE, SMALL)
    assert model.evidence(still_seen, drove) < model.evidence(first, drove) - 1.5


def test_views_that_overlap_are_learnt() -> None:
    """Every vehicle is seen by the second camera for as long as by the first: that says nothing against a pair."""
    passages = [
        p
        for n in range(40)
        for p in (seen("c0", 40 * n, 40 * n + 12, LARGE, SMALL), seen("c1", 40 * n - 3, 40 * n + 9, SMALL, LARGE))
    ]
    model = learn_links(passages, {"c0": (0.0, 0.0), "c1": (80.0, 0.0)})
    overlap = model.overlaps["c0", "c1"]
    assert overlap.at_once > 0.8 > UNKNOWN.at_once
    assert learn_links(passages[::2], {"c0": (0.0, 0.0)}).overlaps.get(("c0", "c1"), UNKNOWN) == UNKNOWN
