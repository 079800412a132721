# SPDX-License-Identifier: AGPL-3.0-or-later
"""Vehicle ids for the passages of a window: what belongs together by looks and by the way through the cameras.

1. Chains: between cameras that follow each other, each passage gets at most one successor, at the greatest total
   evidence of look and travel time (an assignment problem).
2. Groups: chains are clustered by average linkage of their looks; chains that one vehicle cannot have made together
   (it would be in two places, or travel faster than any) are never joined.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import AgglomerativeClustering

from reid.calibration import DEFAULT, Calibration
from reid.links import LinkModel, follows, learn_links
from reid.looks import Looks, compare_looks
from reid.nearest import nearest, nearest_s
from reid.passage import Passage

MODEL: Final = "chains-average-2"
_LEAST_CHAIN: Final = 0.3
"""Chance from which one passage is taken to follow another."""
_NEVER: Final = 1e3
_JOIN: Final = 0.07
"""Average distance (1 - probability) below which groups are one vehicle, from looks alone."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """One passage's vehicle."""

    passage_id: str
    vehicle_id: str
    probability: float
    """That it belongs to the passage before it in its group; 1 for the first."""


def associate(
    passages: Sequence[Passage],
    positions_m: Mapping[str, tuple[float, float]] | None = None,
    known: Mapping[str, str] | None = None,
    links: LinkModel | None = None,
    calibration: Calibration = DEFAULT,
    headings_deg: Mapping[str, float] | None = None,
) -> list[Assigned]:
    """Give every passage a vehicle id.

    Args:
        passages: of one scope and window, any order.
        positions_m: camera → east and north in metres, where known.
        known: passage id → vehicle id given before; a group keeps the id of its earliest passage that has one.
        links: the camera-link model; learnt from these passages when None.
        calibration: from the model's chance to probability.
        headings_deg: camera → where it looks, degrees clockwise from north, where known.

    Returns:
        One row a passage, in the order in which they were nearest to their cameras.
    """
    ordered = sorted(passages, key=lambda p: (nearest_s(p), p.started_at, p.id))
    if not ordered:
        return []
    looks = compare_looks(ordered)
    links = links or learn_links(ordered, positions_m, looks, headings_deg)
    alike = _alike(looks)
    groups, chances = _chains(ordered, looks, links)
    groups = _join_groups(ordered, alike, groups)
    by_group: dict[int, list[int]] = {}
    for row, group in enumerate(groups):
        by_group.setdefault(group, []).append(row)
    taken: set[str] = set()
    out: list[Assigned | None] = [None] * len(ordered)
    for members in sorted(by_group.values()):
        vehicle = next(
            (v for m in members if (v := (known or {}).get(ordered[m].id)) is not None and v not in taken),
            _new_id(ordered[members[0]]),
        )
        taken.add(vehicle)
        for place, row in enumerate(members):
            if place == 0:
                probability = 1.0
            else:
                before = members[place - 1]
                chance = chances.get((before, row))
                probability = calibration.probability(chance) if chance is not None else float(alike[before, row])
            out[row] = Assigned(ordered[row].id, vehicle, round(probability, 4))
    return [a for a in out if a is not None]


def _chains(
    ordered: Sequence[Passage], looks: Looks, links: LinkModel
) -> tuple[list[int], dict[tuple[int, int], float]]:
    """Group number of every passage by its chain, and the chance of each pair chained."""
    count = len(ordered)
    chances = np.triu(links.next_chances(links.evidences(ordered), looks), 1)
    gain = np.where(chances >= _LEAST_CHAIN, chances, 0.0)
    first, second = linear_sum_assignment(gain, maximize=True)
    after = {int(i): int(j) for i, j in zip(first, second, strict=True) if gain[i, j] > 0}
    groups = list(range(count))
    for i in range(count):
        if i in after:
            groups[after[i]] = groups[i]
    return groups, {(i, j): float(chances[i, j]) for i, j in after.items()}


def _alike(looks: Looks) -> NDArray[np.float64]:
    """The chance of being one vehicle by looks alone, which many share."""
    return np.asarray(1 / (1 + np.exp(-(looks.total - 2.0))))


def _join_groups(ordered: Sequence[Passage], alike: NDArray[np.float64], groups: Sequence[int]) -> list[int]:
    """Cluster chains by looks; passages of one chain stay together."""
    numbers = sorted(set(groups))
    if len(numbers) < 2:
        return list(groups)
    members = [[i for i, g in enumerate(groups) if g == n] for n in numbers]
    distance = np.zeros((len(numbers), len(numbers)))
    may = _may_follow(ordered)
    for a in range(len(numbers)):
        for b in range(a + 1, len(numbers)):
            block = np.ix_(members[a], members[b])
            apart = float(1 - alike[block].mean())
            if not all(may[i, j] for i, j in pairwise(sorted([*members[a], *members[b]]))):
                apart = _NEVER
            distance[a, b] = distance[b, a] = apart
    labels: NDArray[np.int_] = AgglomerativeClustering(
        n_clusters=None, metric="precomputed", linkage="average", distance_threshold=_JOIN
    ).fit_predict(distance)
    label_of = dict(zip(numbers, (int(x) for x in labels), strict=True))
    return [label_of[g] for g in groups]


def _may_follow(ordered: Sequence[Passage]) -> NDArray[np.bool_]:
    """(n, n): whether one vehicle can have made the row's passage and, however much later, the column's."""
    starts = np.array([p.started_at.timestamp() for p in ordered])
    ends = np.array([p.ended_at.timestamp() for p in ordered])
    return np.asarray(follows(ordered, nearest(ordered)) | (starts[None] - ends[:, None] > 0))


def _new_id(first: Passage) -> str:
    """A vehicle is named after its first passage, so that the same passages give the same names."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"passage:vehicle:{first.id}"))
