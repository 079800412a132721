# SPDX-License-Identifier: AGPL-3.0-or-later
"""The camera-link model: which camera can follow which, how likely, and after how long, per ordered pair of cameras.

Travel time is measured two ways, from leaving one view and from entering it, to entering the next; each pair of
cameras is modelled by the one that is steadier: where views overlap, only the second is. Both are log-normals. Where
cameras' positions are known, distance and a town's speeds give the prior; what passages show corrects it, each pair of
passages counting by how surely it is one vehicle (expectation-maximisation, one successor each).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from reid.looks import Looks, compare_looks
from reid.passage import Passage

Since = Literal["exit", "entry"]

LONGEST_GAP_S: Final = 300.0
LONGEST_OVERLAP_S: Final = 120.0
"""A vehicle may stand in two views at once for this long."""
_SHIFT_S: Final = {"exit": 6.0, "entry": 1.5}
"""Added to a time before its logarithm: a vehicle may enter the next view a little before it leaves the last."""
_IN_VIEW_S: Final = 5.0
"""What crossing a view takes, before anything is seen."""
_SPEED_MPS: Final = 8.0
_DETOUR: Final = 1.25
_VIEW_M: Final = 25.0
"""Of the way between two cameras, what lies in their views."""
_PRIOR_SPREAD: Final = 0.45
_BLIND_MEDIAN_S: Final = 15.0
_BLIND_SPREAD: Final = 0.9
_PRIOR_PAIRS: Final = 3.0
"""Pairs of passages that the prior is worth."""
_SAME_CAMERA: Final = 0.03
"""Chance, before anything is seen, that the next camera is the same one again."""
_VANISHES: Final = 0.25
"""Chance, before anything is seen, that no camera follows."""
_LATE: Final = 0.08
"""Share of vehicles that take any time at all."""
_ROUNDS: Final = 6
_LEAST_SPREAD: Final = 0.12


@dataclass(frozen=True, slots=True)
class CameraLink:
    """One ordered pair of cameras."""

    chance: float
    """That a vehicle which leaves the first is next seen by the second."""
    median: float
    """Of log(time + shift)."""
    spread: float
    pairs: float
    """How many pairs of passages, by their weight, this was learnt from."""
    since: Since = "exit"
    """From what the time is measured."""

    @property
    def shift_s(self) -> float:
        """Of the logarithm."""
        return _SHIFT_S[self.since]

    def time_s(self, a: Passage, b: Passage) -> float:
        """The time that this link measures, seconds."""
        return gap_s(a, b) if self.since == "exit" else (b.started_at - a.started_at).total_seconds()

    def density(self, time_s: float) -> float:
        """Probability density of a time, per second; 0 outside what can be."""
        if not -self.shift_s < time_s <= LONGEST_GAP_S:
            return 0.0
        shifted = time_s + self.shift_s
        z = (math.log(shifted) - self.median) / self.spread
        bell = math.exp(-0.5 * z * z) / (shifted * self.spread * math.sqrt(2 * math.pi))
        # A red light, a delivery: some take much longer than any bell allows.
        late = _LATE / LONGEST_GAP_S if shifted > math.exp(self.median) else 0.0
        return (1 - _LATE) * bell + late

    def densities(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same for many."""
        shifted = np.maximum(times + self.shift_s, 1e-3)
        z = (np.log(shifted) - self.median) / self.spread
        bell = np.exp(-0.5 * z * z) / (shifted * self.spread * math.sqrt(2 * math.pi))
        late = np.where(shifted > math.exp(self.median), _LATE / LONGEST_GAP_S, 0.0)
        return np.where((times > -self.shift_s) & (times <= LONGEST_GAP_S), (1 - _LATE) * bell + late, 0.0)

    def quantile(self, z: float) -> float:
        """Time in seconds at so many deviations from the median."""
        return math.exp(self.median + z * self.spread) - self.shift_s


@dataclass(frozen=True, slots=True)
class LinkModel:
    """All ordered pairs of the cameras known."""

    links: Mapping[tuple[str, str], CameraLink]
    rates: Mapping[str, float] = field(default_factory=dict)
    """Vehicles a second that a camera sees."""
    by_exit: Mapping[tuple[str, str, str], float] = field(default_factory=dict)
    """(camera, side of exit, next camera) → how many times likelier that camera is next, for that side."""

    def evidence(self, a: Passage, b: Passage) -> float:
        """Log-likelihood ratio of `b` coming next after `a` against `b` being another vehicle that came by.

        Minus infinity where it cannot be.
        """
        link = self.links.get((a.camera, b.camera))
        if link is None or not possible(a, b):
            return -math.inf
        side = self.by_exit.get((a.camera, a.exit, b.camera), 1.0)
        rate = max(self.rates.get(b.camera, 0.01), 1 / LONGEST_GAP_S)
        return math.log(max(link.chance * side * link.density(link.time_s(a, b)), 1e-9) / rate)

    def typical_s(self, a: str, b: str) -> tuple[float, float] | None:
        """Tenth and ninetieth percentile of the gap between two cameras.

        None where hardly any pair was seen, or where their views overlap and the gap says nothing.
        """
        link = self.links.get((a, b))
        if link is None or link.pairs < 2.0 or link.since == "entry":
            return None
        return max(0.0, link.quantile(-1.2816)), max(0.0, link.quantile(1.2816))


def gap_s(a: Passage, b: Passage) -> float:
    """Seconds from leaving the one view to entering the other."""
    return (b.started_at - a.ended_at).total_seconds()


def possible(a: Passage, b: Passage) -> bool:
    """Whether one vehicle can have made `a` and then `b`."""
    if b.started_at <= a.started_at:
        return False
    gap = gap_s(a, b)
    return (gap > 0 if a.camera == b.camera else gap > -LONGEST_OVERLAP_S) and gap <= LONGEST_GAP_S


def learn_links(
    passages: Sequence[Passage],
    positions_m: Mapping[str, tuple[float, float]] | None = None,
    looks: Looks | None = None,
) -> LinkModel:
    """Learn from passages, whose vehicles are not known.

    Args:
        passages: of one scope, any order.
        positions_m: camera → east and north in metres, where known.
        looks: of `compare_looks` for the same passages, where it was made already.
    """
    ordered = list(passages)
    looks = looks or compare_looks(ordered)
    cameras = sorted({p.camera for p in ordered} | set(positions_m or ()))
    rows = {c: np.array([i for i, p in enumerate(ordered) if p.camera == c], dtype=int) for c in cameras}
    starts = np.array([p.started_at.timestamp() for p in ordered])
    ends = np.array([p.ended_at.timestamp() for p in ordered])
    span = max(float(np.ptp(np.concatenate([starts, ends]))), 10.0) if ordered else 10.0
    rates = {c: max(len(rows[c]), 1) / span for c in cameras}
    priors = _priors(cameras, positions_m or {})
    links = dict(priors)
    total = looks.total if ordered else np.zeros((0, 0))
    exits = [p.exit for p in ordered]
    counts: dict[tuple[str, str, str], float] = {}
    for _ in range(_ROUNDS if len(ordered) > 1 else 0):
        weights = _weights(ordered, rows, starts, ends, total, links, rates)
        links, counts = _refit(rows, starts, ends, weights, priors, exits, len(ordered))
    return LinkModel(links, rates, _side_factors(links, counts))


def _priors(cameras: Sequence[str], positions: Mapping[str, tuple[float, float]]) -> dict[tuple[str, str], CameraLink]:
    priors = {}
    for a in cameras:
        pulls = {}
        for b in cameras:
            if b == a:
                continue
            median, spread, pull = _BLIND_MEDIAN_S, _BLIND_SPREAD, 1.0
            if a in positions and b in positions:
                metres = math.dist(positions[a], positions[b])
                median = max(0.0, metres * _DETOUR - _VIEW_M) / _SPEED_MPS
                spread = _PRIOR_SPREAD
                pull = 1 / (1 + (metres / 120.0) ** 2)
            pulls[b] = (median, spread, pull)
        whole = sum(p for _, _, p in pulls.values()) or 1.0
        for b, (median, spread, pull) in pulls.items():
            chance = (1 - _VANISHES - _SAME_CAMERA) * pull / whole
            priors[a, b] = CameraLink(chance, math.log(median + _SHIFT_S["exit"]), spread, 0.0)
        priors[a, a] = CameraLink(_SAME_CAMERA, math.log(20.0 + _SHIFT_S["exit"]), 1.0, 0.0)
    return priors


def _weights(
    ordered: Sequence[Passage],
    rows: Mapping[str, NDArray[np.int_]],
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    total: NDArray[np.float64],
    links: Mapping[tuple[str, str], CameraLink],
    rates: Mapping[str, float],
) -> NDArray[np.float64]:
    """(n, n): how surely column comes next after row, each row and each column having at most one partner."""
    count = len(ordered)
    odds = np.zeros((count, count))
    for (a, b), link in links.items():
        if not len(rows.get(a, ())) or not len(rows.get(b, ())):
            continue
        block = np.ix_(rows[a], rows[b])
        gaps = starts[rows[b]][None] - ends[rows[a]][:, None]
        onsets = starts[rows[b]][None] - starts[rows[a]][:, None]
        follows = (onsets > 0) & (gaps > (0 if a == b else -LONGEST_OVERLAP_S)) & (gaps <= LONGEST_GAP_S)
        density = link.densities(gaps if link.since == "exit" else onsets)
        if link.pairs == 0.0 and a != b:
            # Nothing learnt yet: either way of measuring may turn out to be the steady one.
            density = np.maximum(density, _onset_of(link).densities(onsets))
        odds[block] = np.where(follows, link.chance * density / rates[b], 0.0) * np.exp(total[block])
    # Nobody coming next, and coming from nowhere, are rivals of every pair.
    for _ in range(3):
        odds = odds / (_VANISHES + odds.sum(axis=1, keepdims=True))
        odds = odds / np.maximum(1.0, odds.sum(axis=0, keepdims=True))
    return odds


def _refit(
    rows: Mapping[str, NDArray[np.int_]],
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    weights: NDArray[np.float64],
    priors: Mapping[tuple[str, str], CameraLink],
    exits: Sequence[str],
    count: int,
) -> tuple[dict[tuple[str, str], CameraLink], dict[tuple[str, str, str], float]]:
    links = {}
    sides: dict[tuple[str, str, str], float] = {}
    for (a, b), prior in priors.items():
        mine, theirs = rows.get(a, np.zeros(0, int)), rows.get(b, np.zeros(0, int))
        if not len(mine) or not len(theirs):
            links[a, b] = prior
            continue
        block = weights[np.ix_(mine, theirs)]
        found = float(block.sum())
        chance = (found + _PRIOR_PAIRS * prior.chance) / (len(mine) + _PRIOR_PAIRS)
        gaps = starts[theirs][None] - ends[mine][:, None]
        onsets = starts[theirs][None] - starts[mine][:, None]
        fits = [_fit(prior, chance, block, gaps)]
        if a != b:
            fits.append(_fit(_onset_of(prior), chance, block, onsets))
        links[a, b] = min(fits, key=lambda fit: fit.spread * (math.exp(fit.median) - 0.5 * fit.shift_s))
        for row, i in enumerate(mine):
            key = (a, exits[i], b)
            sides[key] = sides.get(key, 0.0) + float(block[row].sum())
            sides[a, exits[i], ""] = sides.get((a, exits[i], ""), 0.0) + float(block[row].sum())
    return links, sides


def _onset_of(prior: CameraLink) -> CameraLink:
    """The same prior, measured from entering the first view."""
    seconds = math.exp(prior.median) - prior.shift_s + _IN_VIEW_S
    return CameraLink(
        prior.chance, math.log(seconds + _SHIFT_S["entry"]), max(prior.spread, _BLIND_SPREAD), prior.pairs, "entry"
    )


def _fit(prior: CameraLink, chance: float, weights: NDArray[np.float64], times: NDArray[np.float64]) -> CameraLink:
    """One way of measuring, fitted to weighted pairs and held by its prior; far-off pairs count little."""
    logs = np.log(np.maximum(times + prior.shift_s, 1e-3))
    found = float(weights.sum())
    weights = np.where(times > -prior.shift_s, weights, 0.0)
    median, spread = prior.median, prior.spread
    for _ in range(5):
        near = weights / (1 + ((logs - median) / (2 * spread)) ** 2)
        whole = float(near.sum()) + _PRIOR_PAIRS * 0.5
        median = (float((near * logs).sum()) + _PRIOR_PAIRS * 0.5 * prior.median) / whole
        squares = float((near * (logs - median) ** 2).sum()) + _PRIOR_PAIRS * 0.25 * prior.spread**2
        spread = max(_LEAST_SPREAD, math.sqrt(squares / whole))
    return CameraLink(chance, median, spread, found, prior.since)


def _side_factors(
    links: Mapping[tuple[str, str], CameraLink], counts: Mapping[tuple[str, str, str], float]
) -> dict[tuple[str, str, str], float]:
    """How much the side by which a vehicle left speaks for a next camera, held back where few were seen."""
    factors = {}
    for (a, side, b), seen in counts.items():
        if not b:
            continue
        chance = links[a, b].chance
        expected = (seen + 2.0 * chance) / (counts[a, side, ""] + 2.0)
        factors[a, side, b] = float(np.clip(expected / max(chance, 1e-6), 0.2, 5.0))
    return factors
