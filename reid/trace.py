# SPDX-License-Identifier: AGPL-3.0-or-later
"""The most probable way of one vehicle through the cameras: the best chain of passages through the one asked for.

1. Every candidate is weighed by its looks against the passage asked for and those a person has accepted.
2. Every ordered pair is weighed by the camera-link model: which camera follows, after how long.
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
from reid.links import LinkModel, gap_s, possible
from reid.looks import Looks, compare_looks
from reid.passage import Passage

Verdict = Literal["accepted", "rejected"]

_FORCED: Final = 1e4
_STEP_COST: Final = 0.8
"""Going on must bring this much: between two explanations the shorter chain holds."""
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
    """Seconds from leaving the view before; None for the first."""
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
    nodes = sorted(pool.values(), key=lambda p: (p.started_at, p.ended_at, p.id))
    looks = compare_looks(nodes)
    at = {p.id: i for i, p in enumerate(nodes)}
    origin = at[query.id]
    sure = [origin, *(at[i] for i, word in said.items() if word == "accepted" and i in at)]
    look, colour, worth = _node_worth(looks, sure)
    fits = worth >= _LEAST_LOOK
    fits[sure] = True
    worth = worth - _STEP_COST
    worth[sure] = _FORCED

    chain = _best(nodes, links, worth, fits, origin, forward=False)[::-1][:-1]
    chain += _best(nodes, links, worth, fits, origin, forward=True)
    return [
        _step(place, chain, nodes, links, looks, look, colour, worth, fits, said, origin, calibration)
        for place in range(len(chain))
    ]


def _node_worth(
    looks: Looks, sure: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Evidence of look, of colour and of both for each node: the mean over what is sure to be it and the best of it."""
    look, colour, total = (m[:, list(sure)] for m in (looks.look, looks.colour, looks.total))
    look, colour, total = (0.5 * (m.mean(axis=1) + m.max(axis=1)) for m in (look, colour, total))
    return look, colour, total


def _best(
    nodes: Sequence[Passage],
    links: LinkModel,
    worth: NDArray[np.float64],
    fits: NDArray[np.bool_],
    origin: int,
    *,
    forward: bool,
) -> list[int]:
    """The chain of greatest weight that begins at `origin`, in the direction's order."""
    order = range(origin + 1, len(nodes)) if forward else range(origin - 1, -1, -1)
    score = {origin: 0.0}
    came: dict[int, int] = {}
    for i in order:
        if not fits[i]:
            continue
        best, source = -np.inf, -1
        for j, reached in score.items():
            a, b = (nodes[j], nodes[i]) if forward else (nodes[i], nodes[j])
            if not possible(a, b):
                continue
            value = reached + links.evidence(a, b)
            if value > best:
                best, source = value, j
        if source < 0 and worth[i] >= _FORCED:
            # Accepted, and no chain reaches it in time: it joins after what is reached, whatever the model thinks.
            source = max((j for j in score if _before(nodes, j, i, forward)), key=lambda j: score[j], default=-1)
            best = score[source] - 10.0 if source >= 0 else -np.inf
        if source >= 0 and np.isfinite(best):
            score[i] = best + worth[i]
            came[i] = source
    end = max(score, key=lambda i: (score[i], -abs(i - origin)))
    chain = [end]
    while chain[-1] != origin:
        chain.append(came[chain[-1]])
    return chain[::-1]


def _before(nodes: Sequence[Passage], j: int, i: int, forward: bool) -> bool:
    a, b = (nodes[j], nodes[i]) if forward else (nodes[i], nodes[j])
    return a.started_at <= b.started_at


def _step(
    place: int,
    chain: Sequence[int],
    nodes: Sequence[Passage],
    links: LinkModel,
    looks: Looks,
    look: NDArray[np.float64],
    colour: NDArray[np.float64],
    worth: NDArray[np.float64],
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
        time = links.evidence(*((nodes[neighbour], passage) if later else (passage, nodes[neighbour])))
        time = time if np.isfinite(time) else -6.0
        rivals = _rivals(i, neighbour, later, time, nodes, links, look + colour, fits, set(chain))
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
        travel_s=None if before is None else round(gap_s(nodes[before], passage), 3),
        typical_s=None if before is None else links.typical_s(nodes[before].camera, passage.camera),
        rivals=rivals,
        decision=decision,
    )


def _rivals(
    i: int,
    neighbour: int,
    later: bool,
    time: float,
    nodes: Sequence[Passage],
    links: LinkModel,
    evidence: NDArray[np.float64],
    fits: NDArray[np.bool_],
    chain: set[int],
) -> int:
    """Passages outside the chain that look nearly as much like it and fit nearly as well at this place."""
    count = 0
    for k, other in enumerate(nodes):
        if k in chain or not fits[k] or evidence[k] < evidence[i] - _RIVAL_LOOK:
            continue
        value = links.evidence(*((nodes[neighbour], other) if later else (other, nodes[neighbour])))
        count += value >= time - _RIVAL_TIME
    return count
