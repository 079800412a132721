# SPDX-License-Identifier: AGPL-3.0-or-later
"""The most probable way of one vehicle through the cameras: the best chain of passages through the one asked for.

1. Every candidate is weighed by its looks against the passage asked for and those a person has accepted.
2. Every ordered pair is weighed by the camera-link model: which camera follows, after how long; and held back where
   another pair explains either of the two better.
3. Dynamic programming finds the chain of greatest total weight, forward in time from the passage asked for, and
   backward; a chain ends where going on would cost more than it brings.
4. Each step gets a probability and its arguments. Rejected passages are out, accepted ones are in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from reid.calibration import DEFAULT, Calibration
from reid.links import LinkModel, share_out, travel_s
from reid.looks import Looks, compare_looks
from reid.nearest import nearest_s
from reid.passage import Passage

Verdict = Literal["accepted", "rejected"]

_FORCED: Final = 1e4
_QUIET_HZ: Final = 0.05
"""Vehicles a second at a camera up to which going on must bring something; measured on made-up and drawn towns."""
_DENSE: Final = -0.9
"""Per e-fold of traffic above that: each pair says less of itself, and the vehicle goes on all the same."""
_LOWEST_COST: Final = -1.5
_TO_QUERY: Final = 0.7
_TO_NEIGHBOUR: Final = 0.4
"""How much looks count, towards the passage asked for and towards the step before: they are not independent."""
_RIVALRY: Final = 1.0
"""How much of what rival pairs take away counts."""
_LEAST_SHARE: Final = 0.02
"""However strong its rivals, a pair keeps this."""
_TURNS: Final = 4.0
"""Cost of coming straight back to the camera before the last: few turn round between two cameras."""
_LEAST_LOOK: Final = -3.2
"""A candidate that looks less like it than this is no step, however well it fits in time."""
_RIVAL_LOOK: Final = 1.0
"""How much less a rival may look like it than the step itself."""
_RIVAL_TIME: Final = 2.0


@dataclass(frozen=True, slots=True)
class Step:
    """One passage of a trace and why it is believed."""

    passage: Passage
    probability: float
    """Calibrated, that this is the vehicle asked for."""
    look: float
    """Likeness of appearance, 0 to 1."""
    colour: float
    """Likeness of colour, 0 to 1."""
    travel_s: float | None
    """Seconds from being nearest to the camera before to being nearest to this one; None for the first."""
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
    nodes = sorted(pool.values(), key=lambda p: (nearest_s(p), p.started_at, p.id))
    looks = compare_looks(nodes)
    at = {p.id: i for i, p in enumerate(nodes)}
    origin = at[query.id]
    sure = [origin, *(at[i] for i, word in said.items() if word == "accepted" and i in at)]
    look, colour, worth = _node_worth(looks, sure)
    fits = worth >= _LEAST_LOOK
    fits[sure] = True
    worth = _TO_QUERY * worth - _step_cost(links)
    worth[sure] = _FORCED

    time = links.evidences(nodes)
    value = _held_back(time, looks)
    cameras = np.array([p.camera for p in nodes])
    chain = _best(cameras, value, worth, fits, origin, forward=False)[::-1][:-1]
    chain += _best(cameras, value, worth, fits, origin, forward=True)
    return [
        _step(place, chain, nodes, links, time, looks, look, colour, fits, said, origin, calibration)
        for place in range(len(chain))
    ]


def _step_cost(links: LinkModel) -> float:
    """What going on must bring; below nothing in dense traffic."""
    usual = float(np.mean(list(links.rates.values()))) if links.rates else _QUIET_HZ
    return float(np.clip(_DENSE * np.log(usual / _QUIET_HZ), _LOWEST_COST, 0.0))


def _node_worth(
    looks: Looks, sure: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Evidence of look, of colour and of both for each node: the mean over what is sure to be it and the best of it."""
    look, colour, total = (m[:, list(sure)] for m in (looks.look, looks.colour, looks.total))
    look, colour, total = (0.5 * (m.mean(axis=1) + m.max(axis=1)) for m in (look, colour, total))
    return look, colour, total


def _held_back(time: NDArray[np.float64], looks: Looks) -> NDArray[np.float64]:
    """Evidence of each pair following each other, less where a rival pair takes one of the two: (n, n)."""
    odds = np.exp(np.minimum(time + looks.total, 20.0))
    alone = odds / (1 + odds)
    rivalry = np.log((share_out(odds) + _LEAST_SHARE) / (alone + _LEAST_SHARE))
    return np.asarray(time + _TO_NEIGHBOUR * looks.total + _RIVALRY * rivalry)


def _best(
    cameras: NDArray[np.str_],
    value: NDArray[np.float64],
    worth: NDArray[np.float64],
    fits: NDArray[np.bool_],
    origin: int,
    *,
    forward: bool,
) -> list[int]:
    """The chain of greatest weight that begins at `origin`, in the direction's order."""
    order = range(origin + 1, len(worth)) if forward else range(origin - 1, -1, -1)
    score = np.full(len(worth), -np.inf)
    score[origin] = 0.0
    came: dict[int, int] = {}
    before = np.full(len(worth), "", dtype=cameras.dtype)
    """The camera that each node was reached from."""
    for i in order:
        if not fits[i]:
            continue
        reached = score + (value[:, i] if forward else value[i])
        reached = reached - _TURNS * (before == cameras[i])
        source = int(np.argmax(reached))
        best = float(reached[source])
        if not np.isfinite(best) and worth[i] >= _FORCED:
            # Accepted, and no chain reaches it in time: it joins after what is reached, whatever the model thinks.
            source = int(np.argmax(score))
            best = float(score[source]) - 10.0
        if np.isfinite(best):
            score[i] = best + worth[i]
            came[i] = source
            before[i] = cameras[source]
    end = max(np.flatnonzero(np.isfinite(score)).tolist(), key=lambda i: (score[i], -abs(i - origin)))
    chain = [int(end)]
    while chain[-1] != origin:
        chain.append(came[chain[-1]])
    return chain[::-1]


def _step(
    place: int,
    chain: Sequence[int],
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
        probability = calibration.probability(float(look[i]), float(colour[i]), time, rivals)
    return Step(
        passage=passage,
        probability=round(probability, 4),
        look=round(float(looks.likeness[i, origin]) if i != origin else 1.0, 4),
        colour=round(float(looks.colour_likeness[i, origin]), 4),
        travel_s=None if before is None else round(travel_s(nodes[before], passage), 3),
        typical_s=None if before is None else links.typical_s(nodes[before].camera, passage.camera),
        rivals=rivals,
        decision=decision,
    )
