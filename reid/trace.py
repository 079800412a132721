# SPDX-License-Identifier: AGPL-3.0-or-later
"""The most probable way of one vehicle through the cameras: the best chain of passages through the one asked for.

1. Every ordered pair of candidates is weighed by the camera-link model (which camera follows, by which way, after how
   long) and by looks. Each passage has one successor at most, so pairs share: what a pair gets is the chance that the
   one comes next after the other, rivals on both sides and "nobody saw it again" taken into account.
2. From the passage asked for the chain goes on, forward and backward, to the likeliest next one that looks like it,
   and ends where that is less than likely: a wrong step is worse than a missing one.
3. Passages that a person accepted are part of it, and between them lies the best way; rejected ones are out.
4. A step's probability is that of its whole way from the nearest passage that is sure, put right by `Calibration`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from reid.calibration import DEFAULT, Calibration
from reid.links import LinkModel
from reid.looks import Looks, compare_looks
from reid.nearest import nearest_s, travel_s, waited_s
from reid.passage import Passage

Verdict = Literal["accepted", "rejected"]

_LEAST_NEXT: Final = 0.3
"""Chance of coming next below which the chain ends."""
_LIKE_QUERY: Final = 0.4
"""How much it counts that a candidate looks less like what is sure than it could, beside looking like its neighbour."""
_ENOUGH_LIKE: Final = 1.5
_MOST_UNLIKE: Final = -4.0
_LEAST_LOOK: Final = -3.2
"""A candidate that looks less like it than this is no step, however well it fits in time."""
_RIVAL_LOOK: Final = 1.0
"""How much less a rival may look like it than the step itself."""
_RIVAL_TIME: Final = 2.0
_HARDLY: Final = 1e-6

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Step:
    """One passage of a trace and why it is believed."""

    passage: Passage
    probability: float
    """That this is the vehicle asked for: `reid.calibration` says what that is worth."""
    look: float
    """Likeness of appearance, 0 to 1."""
    colour: float
    """Likeness of colour, 0 to 1."""
    travel_s: float | None
    """Seconds from being nearest to the camera before to being nearest to this one; None for the first."""
    waited_s: float
    """Of these, how long it is known to have stood in view."""
    typical_s: tuple[float, float] | None
    """Tenth and ninetieth percentile of these two cameras, where known."""
    rivals: int
    """Look-alikes that could be this step as well."""
    decision: Literal["none", "accepted", "rejected", "query"]


def trace(
    query: Passage,
    candidates: Sequence[Passage],
    links: LinkModel,
    decisions: Mapping[str, Verdict] | None = None,
    calibration: Calibration = DEFAULT,
) -> list[Step]:
    """Follow one vehicle.

    Args:
        query: the passage asked for.
        candidates: passages that may be of it, the query among them or not.
        links: of `reid.links.learn_links`.
        decisions: passage id → a person's word on it.
        calibration: from evidence to probability.

    Returns:
        The steps in time order, the query's among them.

    Raises:
        EmbeddingMismatch: the passages carry embeddings of different models.
    """
    said = dict(decisions or {})
    said.pop(query.id, None)
    pool = {p.id: p for p in candidates if said.get(p.id) != "rejected"} | {query.id: query}
    return follow(query, weigh(list(pool.values()), links), said, calibration)


@dataclass(frozen=True, slots=True)
class Weighed:
    """Candidates in order of time and what speaks for each pair of them, whichever is asked for."""

    nodes: tuple[Passage, ...]
    links: LinkModel
    looks: Looks
    times: Floats
    chances: Floats
    """(n, n): that the second comes next after the first."""


def weigh(candidates: Sequence[Passage], links: LinkModel) -> Weighed:
    """Weigh every pair once: what most of a trace's time goes into, and the same for each that asks among them.

    Raises:
        EmbeddingMismatch: the passages carry embeddings of different models.
    """
    nodes = tuple(sorted(candidates, key=lambda p: (nearest_s(p), p.started_at, p.id)))
    looks = compare_looks(nodes)
    times = links.evidences(nodes)
    chances = np.triu(links.next_chances(times, looks), 1)  # nodes are in order of time: nothing is followed back
    return Weighed(nodes, links, looks, times, chances)


def follow(
    query: Passage,
    weighed: Weighed,
    decisions: Mapping[str, Verdict] | None = None,
    calibration: Calibration = DEFAULT,
) -> list[Step]:
    """Follow one vehicle among candidates that are weighed already, itself among them and none of them rejected."""
    said = dict(decisions or {})
    nodes, links, looks, times, chances = weighed.nodes, weighed.links, weighed.looks, weighed.times, weighed.chances
    at = {p.id: i for i, p in enumerate(nodes)}
    origin = at[query.id]
    sure = sorted({origin, *(at[i] for i, word in said.items() if word == "accepted" and i in at)})
    look, colour, total = _likeness(looks, sure)
    fits = total >= _LEAST_LOOK
    fits[sure] = True
    held = np.where(fits, np.exp(_LIKE_QUERY * np.clip(total - _ENOUGH_LIKE, _MOST_UNLIKE, 0.0)), 0.0)
    held[sure] = 1.0
    chain, reached = _chain(chances, held, sure)
    return [
        _step(place, chain, reached, nodes, links, times, looks, look, colour, fits, said, origin, calibration)
        for place in range(len(chain))
    ]


def _likeness(looks: Looks, sure: Sequence[int]) -> tuple[Floats, Floats, Floats]:
    """Evidence of look, of colour and of both for each node: half the mean over what is sure, half the best of it."""
    look, colour, total = (m[:, list(sure)] for m in (looks.look, looks.colour, looks.total))
    look, colour, total = (0.5 * (m.mean(axis=1) + m.max(axis=1)) for m in (look, colour, total))
    return look, colour, total


def _chain(chances: Floats, held: Floats, sure: Sequence[int]) -> tuple[list[int], dict[int, float]]:
    """The chain through all that is sure, in order, and the chance of the way by which each other node was reached."""
    reached = dict.fromkeys(sure, 1.0)
    chain = _onward(chances.T, held, sure[0], reached)[::-1]
    for start, end in pairwise(sure):
        chain += [start, *_between(chances, held, start, end, reached)]
    return [*chain, sure[-1], *_onward(chances, held, sure[-1], reached)], reached


def _onward(chances: Floats, held: Floats, start: int, reached: dict[int, float]) -> list[int]:
    """The nodes that come next after `start`, one after the other, as long as the next one is likely enough."""
    out: list[int] = []
    here = start
    while True:
        likely = chances[here] * held
        following = int(np.argmax(likely))
        if likely[following] < _LEAST_NEXT:
            return out
        reached[following] = reached[here] * float(likely[following])
        out.append(following)
        here = following


def _between(chances: Floats, held: Floats, start: int, end: int, reached: dict[int, float]) -> list[int]:
    """The nodes on the likeliest way from one sure node to the next, the ends left out; none where straight is best."""
    best = np.full(end + 1, -np.inf)
    best[start] = 0.0
    came: dict[int, int] = {}
    for i in range(start + 1, end + 1):
        likely = chances[start:i, i] * held[i]
        if i < end:
            likely = np.where(likely >= _LEAST_NEXT, likely, 0.0)
        gain = best[start:i] + np.log(np.maximum(likely, _HARDLY) / _LEAST_NEXT)
        source = int(np.argmax(gain))
        if i == end or likely[source] > 0:
            best[i], came[i] = gain[source], start + source
    way = [came[end]]
    while way[-1] != start:
        way.append(came[way[-1]])
    way = way[-2::-1]
    for before, here in pairwise([start, *way]):
        reached[here] = reached[before] * float(chances[before, here] * held[here])
    return way


def _step(
    place: int,
    chain: Sequence[int],
    reached: Mapping[int, float],
    nodes: Sequence[Passage],
    links: LinkModel,
    times: NDArray[np.float64],
    looks: Looks,
    look: NDArray[np.float64],
    colour: NDArray[np.float64],
    fits: NDArray[np.bool_],
    said: Mapping[str, Verdict],
    origin: int,
    calibration: Calibration,
) -> Step:
    i = chain[place]
    passage = nodes[i]
    before = chain[place - 1] if place > 0 else None
    # Towards the passage asked for: that is the neighbour from which this step was reached.
    neighbour = None if i == origin else chain[place - 1] if place > chain.index(origin) else chain[place + 1]
    time = None
    rivals = 0
    if neighbour is not None:
        later = place > chain.index(origin)
        near = times[neighbour] if later else times[:, neighbour]
        time = float(near[i]) if np.isfinite(near[i]) else -6.0
        alike = fits & (look + colour >= look[i] + colour[i] - _RIVAL_LOOK) & (near >= time - _RIVAL_TIME)
        alike[chain] = False
        rivals = int(np.count_nonzero(alike))
    if i == origin:
        decision: Literal["none", "accepted", "rejected", "query"] = "query"
        probability = 1.0
    elif said.get(passage.id) == "accepted":
        decision, probability = "accepted", 1.0
    else:
        decision = "none"
        probability = calibration.probability(reached[i])
    return Step(
        passage=passage,
        probability=round(probability, 4),
        look=round(float(looks.likeness[i, origin]) if i != origin else 1.0, 4),
        colour=round(float(looks.colour_likeness[i, origin]), 4),
        travel_s=None if before is None else round(travel_s(nodes[before], passage), 3),
        waited_s=0.0 if before is None else round(waited_s(nodes[before], passage), 3),
        typical_s=None if before is None else links.typical_s(nodes[before].camera, passage.camera),
        rivals=rivals,
        decision=decision,
    )
