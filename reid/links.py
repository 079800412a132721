# SPDX-License-Identifier: AGPL-3.0-or-later
"""The camera-link model: which camera can follow which, how likely, and after how long, per ordered pair of cameras.

Time runs from being nearest to the one camera to being nearest to the other (`reid.nearest`), which distance and
speed explain even where views overlap. It is log-normal, with a tail for those that waited. Where cameras' positions
are known, distance and a town's speeds give the prior; where it is known too which way they look, what drives away from
a camera drives to what lies ahead of it, and what comes towards it to what lies behind (`reid.bearings`). What passages
show corrects both, each pair of passages counting by how surely it is one vehicle (expectation-maximisation, one
successor each).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from reid.bearings import expected_ways, passing_places
from reid.likelier import likelier
from reid.looks import Looks, compare_looks
from reid.nearest import Nearest, Way, nearest
from reid.overlaps import UNKNOWN, Overlap, learn_overlaps, seen_at_once
from reid.passage import Passage

LONGEST_GAP_S: Final = 300.0
FASTEST_MPS: Final = 25.0
CLOCKS_S: Final = 4.0
"""By so much a time may be too short, for cameras' clocks and for where exactly a vehicle was nearest."""
_SPEED_MPS: Final = 10.0
_DETOUR: Final = 1.1
_BESIDE_S: Final = 1.2
"""Driving past, beside what distance asks for."""
_PRIOR_SPREAD: Final = 0.35
_BLIND_MEDIAN_S: Final = 15.0
_BLIND_SPREAD: Final = 0.9
_PRIOR_PAIRS: Final = 5.0
"""Pairs of passages that the prior is worth."""
_PRIOR_WAYS: Final = 0.7
"""Pairs of passages that must agree on the ways before these say much."""
_SAME_CAMERA: Final = 0.03
"""Chance, before anything is seen, that the next camera is the same one again."""
_VANISHES: Final = 0.25
"""Chance, before anything is seen, that no camera follows."""
_LATE: Final = 0.15
"""Share of vehicles that wait on the way: at a light, for a delivery."""
_LATE_S: Final = 40.0
"""Mean of that wait."""
_HALF_KNOWN: Final = 0.5
"""Of the best density that an open-ended time allows, what it is worth."""
_SHARPNESS: Final = 1.6
_SEEN_AGAIN: Final = 0.7
"""Evidence is held back where it is made; by so much more it says in the end (made-up and drawn towns)."""
_MOST_EVIDENCE: Final = 30.0
_ROUNDS: Final = 6
_BALANCING: Final = 12
_LEAST_SPREAD: Final = 0.12

Meetings = Mapping[tuple[str, str], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Pair of cameras → densities and times (`_densities`) of all their pairs of passages under the links of this round."""


@dataclass(frozen=True, slots=True)
class CameraLink:
    """One ordered pair of cameras."""

    chance: float
    """That a vehicle seen by the first is next seen by the second."""
    median: float
    """Of log(seconds + `CLOCKS_S`)."""
    spread: float
    pairs: float
    """How many pairs of passages, by their weight, this was learnt from."""
    least_s: float = -CLOCKS_S
    """No vehicle takes less."""

    def densities(
        self,
        times: NDArray[np.float64],
        at_least: NDArray[np.bool_] | None = None,
        at_most: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.float64]:
        """Probability densities of times, per second; 0 for what cannot be.

        Args:
            times: seconds, of any shape.
            at_least: where the true time is the given one or longer.
            at_most: where the true time is the given one or shorter.
        """
        likely = max(self.least_s + 1e-3, math.exp(self.median - self.spread**2) - CLOCKS_S)
        worth = np.ones(times.shape)
        if at_least is not None:
            times = np.where(at_least, np.maximum(times, likely), times)
            worth = np.where(at_least, _HALF_KNOWN, worth)
        if at_most is not None:
            # What was still far off when last seen may have stood anywhere for any time.
            times = np.where(at_most & (times > likely), likely + 0.25 * (times - likely), times)
            worth = np.where(at_most, _HALF_KNOWN, worth)
        shifted = np.maximum(times + CLOCKS_S, 1e-3)
        z = (np.log(shifted) - self.median) / self.spread
        bell = np.exp(-0.5 * z * z) / (shifted * self.spread * math.sqrt(2 * math.pi))
        waited = times - self.quantile(0.0)
        late = np.where(waited > 0, np.exp(-np.maximum(waited, 0) / _LATE_S) / _LATE_S, 0.0)
        density = ((1 - _LATE) * bell + _LATE * late) * worth
        return np.where((times > self.least_s) & (times <= LONGEST_GAP_S), density, 0.0)

    def quantile(self, z: float) -> float:
        """Time in seconds at so many deviations from the median."""
        return math.exp(self.median + z * self.spread) - CLOCKS_S


@dataclass(frozen=True, slots=True)
class LinkModel:
    """All ordered pairs of the cameras known."""

    links: Mapping[tuple[str, str], CameraLink]
    rates: Mapping[str, float] = field(default_factory=dict)
    """Vehicles a second that a camera sees."""
    by_way: Mapping[tuple[str, Way, str, Way], float] = field(default_factory=dict)
    """(camera, way there, next camera, way there) → how many times likelier than for any ways."""
    overlaps: Mapping[tuple[str, str], Overlap] = field(default_factory=dict)
    """What being seen by two cameras at once says."""

    def evidence(self, a: Passage, b: Passage) -> float:
        """Log-likelihood ratio of `b` coming next after `a` against `b` being another vehicle that came by.

        Minus infinity where it cannot be.
        """
        return float(self.evidences([a, b])[0, 1])

    def evidences(self, passages: Sequence[Passage]) -> NDArray[np.float64]:
        """The same for all pairs: (n, n), from row to column."""
        count = len(passages)
        near = nearest(passages)
        rows = _rows(passages)
        may = follows(passages, near)
        out = np.full((count, count), -np.inf)
        for (a, b), link in self.links.items():
            if a not in rows or b not in rows:
                continue
            block = np.ix_(rows[a], rows[b])
            rate = max(self.rates.get(b, 0.01), 1 / LONGEST_GAP_S)
            first, second = near.take(rows[a]), near.take(rows[b])
            density, _ = _densities(link, first, second)
            speaks = _beside_times(self.by_way, self.overlaps, (a, b), first, second, seen_at_once(first, second))
            chance = np.maximum(link.chance * speaks * density, 1e-9) / rate
            out[block] = np.where(may[block] & (density > 0), np.log(chance), -np.inf)
        return out

    def next_chances(self, times: NDArray[np.float64], looks: Looks) -> NDArray[np.float64]:
        """(n, n): the chance that column comes next after row, among all pairs and "nobody" (`share_out`).

        Args:
            times: of `evidences`.
            looks: of the same passages.
        """
        total = np.minimum(_SHARPNESS * (times + looks.total) + _SEEN_AGAIN, _MOST_EVIDENCE)
        return share_out(np.where(np.isfinite(times), np.exp(total), 0.0))

    def typical_s(self, a: str, b: str) -> tuple[float, float] | None:
        """Tenth and ninetieth percentile of the time from one camera to another; None where hardly any was seen."""
        link = self.links.get((a, b))
        if link is None or link.pairs < 2.0:
            return None
        return max(0.0, link.quantile(-1.2816)), max(0.0, link.quantile(1.2816))


def gap_s(a: Passage, b: Passage) -> float:
    """Seconds from leaving the one view to entering the other."""
    return (b.started_at - a.ended_at).total_seconds()


def follows(passages: Sequence[Passage], near: Nearest) -> NDArray[np.bool_]:
    """(n, n): whether one vehicle can have made the row's passage and then the column's, distances aside.

    One camera sees it come back only after it left; two cameras may see it at once, each nearest at its own time.
    """
    cameras = np.array([p.camera for p in passages])
    same = cameras[:, None] == cameras[None]
    times = near.came[None] - near.left[:, None]
    back = near.first_seen[None] - near.last_seen[:, None]
    return np.asarray(np.where(same, back > 0, times > 0) & (times <= LONGEST_GAP_S))


def learn_links(
    passages: Sequence[Passage],
    positions_m: Mapping[str, tuple[float, float]] | None = None,
    looks: Looks | None = None,
    headings_deg: Mapping[str, float] | None = None,
) -> LinkModel:
    """Learn from passages, whose vehicles are not known.

    Args:
        passages: of one scope, any order.
        positions_m: camera → east and north in metres, where known.
        looks: of `compare_looks` for the same passages, where it was made already.
        headings_deg: camera → where it looks, degrees clockwise from north, where known.
    """
    ordered = list(passages)
    cameras = sorted({p.camera for p in ordered} | set(positions_m or ()))
    places = passing_places(positions_m or {}, headings_deg or {})
    priors = _priors(cameras, places)
    expected = expected_ways(cameras, places, headings_deg or {})
    rows = _rows(ordered)
    near = nearest(ordered)
    moments = [t.timestamp() for p in ordered for t in (p.started_at, p.ended_at)]
    span = max(float(np.ptp(moments)), 10.0) if moments else 10.0
    rates = {c: max(len(rows.get(c, ())), 1) / span for c in cameras}
    if len(ordered) < 2:
        return LinkModel(priors, rates, expected)
    links = dict(priors)
    looks = looks or compare_looks(ordered)
    may = follows(ordered, near)
    overlaps: Mapping[tuple[str, str], Overlap] = {}
    by_way = dict(expected)
    here = {camera: near.take(some) for camera, some in rows.items()}
    at_once = {(a, b): seen_at_once(here[a], here[b]) for a in rows for b in rows}
    for _ in range(_ROUNDS):
        meetings = {
            (a, b): _densities(link, here[a], here[b]) for (a, b), link in links.items() if a in rows and b in rows
        }
        speaks = {(a, b): _beside_times(by_way, overlaps, (a, b), here[a], here[b], at_once[a, b]) for a, b in meetings}
        weights = _weights(rows, may, looks.total, links, meetings, rates, speaks)
        links = _refit(rows, here, weights, priors, meetings)
        overlaps = learn_overlaps(rows, at_once, weights, {pair: density for pair, (density, _) in meetings.items()})
        by_way = expected | _learn_ways(rows, near, weights, expected)
    return LinkModel(links, rates, by_way, overlaps)


def share_out(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, n): how surely column comes next after row, each row and each column having at most one partner.

    Args:
        odds: of each pair against either of them having none.
    """
    odds = odds / _VANISHES
    after, before = np.ones(len(odds)), np.ones(len(odds))
    # What a passage is left with for nobody, seen from either side, until both sides agree (Sinkhorn, with slack).
    for _ in range(_BALANCING):
        after = 1 / (1 + odds @ before)
        before = 1 / (1 + odds.T @ after)
    return odds * after[:, None] * before[None]


def _rows(passages: Sequence[Passage]) -> dict[str, NDArray[np.int_]]:
    rows: dict[str, list[int]] = {}
    for row, passage in enumerate(passages):
        rows.setdefault(passage.camera, []).append(row)
    return {camera: np.array(some, dtype=int) for camera, some in rows.items()}


def _densities(link: CameraLink, a: Nearest, b: Nearest) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Densities of the times from each of `a` to each of `b`, waits counted or not, whichever fits; and those times."""
    at_least = a.earlier[:, None] | b.later[None]
    at_most = a.later[:, None] | b.earlier[None]
    plain = b.came[None] - a.left[:, None]
    driven = b.came_unhindered[None] - a.left_hindered[:, None]
    first, second = (link.densities(times, at_least, at_most) for times in (plain, driven))
    return np.maximum(first, second), np.where(second > first, driven, plain)


def _priors(cameras: Sequence[str], positions: Mapping[str, tuple[float, float]]) -> dict[tuple[str, str], CameraLink]:
    priors = {}
    for a in cameras:
        pulls = {}
        for b in cameras:
            if b == a:
                continue
            median, spread, pull, least = _BLIND_MEDIAN_S, _BLIND_SPREAD, 1.0, -CLOCKS_S
            if a in positions and b in positions:
                metres = math.dist(positions[a], positions[b])
                median = metres * _DETOUR / _SPEED_MPS + _BESIDE_S
                spread = _PRIOR_SPREAD
                pull = 1 / (1 + (metres / 120.0) ** 2)
                least = metres / FASTEST_MPS - CLOCKS_S
            pulls[b] = (median, spread, pull, least)
        whole = sum(pull for _, _, pull, _ in pulls.values()) or 1.0
        for b, (median, spread, pull, least) in pulls.items():
            chance = (1 - _VANISHES - _SAME_CAMERA) * pull / whole
            priors[a, b] = CameraLink(chance, math.log(median + CLOCKS_S), spread, 0.0, least)
        priors[a, a] = CameraLink(_SAME_CAMERA, math.log(20.0 + CLOCKS_S), 1.0, 0.0, 0.0)
    return priors


def _weights(
    rows: Mapping[str, NDArray[np.int_]],
    may: NDArray[np.bool_],
    total: NDArray[np.float64],
    links: Mapping[tuple[str, str], CameraLink],
    meetings: Meetings,
    rates: Mapping[str, float],
    speaks: Mapping[tuple[str, str], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """(n, n): how surely column comes next after row; `speaks`: of `_beside_times`."""
    odds = np.zeros(may.shape)
    for (a, b), (density, _) in meetings.items():
        block = np.ix_(rows[a], rows[b])
        likely = links[a, b].chance * density * speaks[a, b]
        odds[block] = np.where(may[block], likely / rates[b], 0.0) * np.exp(total[block])
    return share_out(odds)


def _refit(
    rows: Mapping[str, NDArray[np.int_]],
    here: Mapping[str, Nearest],
    weights: NDArray[np.float64],
    priors: Mapping[tuple[str, str], CameraLink],
    meetings: Meetings,
) -> dict[tuple[str, str], CameraLink]:
    links = {}
    for (a, b), prior in priors.items():
        if (a, b) not in meetings:
            links[a, b] = prior
            continue
        mine, theirs = rows[a], rows[b]
        block = weights[np.ix_(mine, theirs)]
        chance = (float(block.sum()) + _PRIOR_PAIRS * prior.chance) / (len(mine) + _PRIOR_PAIRS)
        _, times = meetings[a, b]
        first, second = here[a], here[b]
        open_ended = (first.earlier | first.later)[:, None] | (second.earlier | second.later)[None]
        links[a, b] = _fit(prior, chance, block, np.where(open_ended, 0.0, block), times)
    return links


def _fit(
    prior: CameraLink,
    chance: float,
    weights: NDArray[np.float64],
    timed: NDArray[np.float64],
    times: NDArray[np.float64],
) -> CameraLink:
    """Fit to weighted pairs, those with a known time `timed`, held by the prior; far-off pairs count little."""
    logs = np.log(np.maximum(times + CLOCKS_S, 1e-3))
    median, spread = prior.median, prior.spread
    for _ in range(5):
        close = timed / (1 + ((logs - median) / (2 * spread)) ** 2)
        whole = float(close.sum()) + _PRIOR_PAIRS * 0.5
        median = (float((close * logs).sum()) + _PRIOR_PAIRS * 0.5 * prior.median) / whole
        squares = float((close * (logs - median) ** 2).sum()) + _PRIOR_PAIRS * 0.25 * prior.spread**2
        spread = max(_LEAST_SPREAD, math.sqrt(squares / whole))
    return CameraLink(chance, median, spread, float(weights.sum()), prior.least_s)


def _learn_ways(
    rows: Mapping[str, NDArray[np.int_]],
    near: Nearest,
    weights: NDArray[np.float64],
    expected: Mapping[tuple[str, Way, str, Way], float],
) -> dict[tuple[str, Way, str, Way], float]:
    """How much the ways by which it passed both cameras speak for a pair, as expected where few were seen."""
    factors: dict[tuple[str, Way, str, Way], float] = {}
    for a, mine in rows.items():
        for b, theirs in rows.items():
            block = weights[np.ix_(mine, theirs)]
            found = float(block.sum())
            ways_a, ways_b = near.way[mine], near.way[theirs]
            for way_a in sorted(set(ways_a)):
                of_a = ways_a == way_a
                for way_b in sorted(set(ways_b)):
                    of_b = ways_b == way_b
                    usual = found * float(of_a.mean()) * float(of_b.mean())
                    prior = expected.get((a, way_a, b, way_b), 1.0)
                    of_these = float(block[np.ix_(of_a, of_b)].sum())
                    factors[a, way_a, b, way_b] = likelier(of_these, usual, prior, _PRIOR_WAYS)
    return factors


def _beside_times(
    by_way: Mapping[tuple[str, Way, str, Way], float],
    overlaps: Mapping[tuple[str, str], Overlap],
    pair: tuple[str, str],
    first: Nearest,
    second: Nearest,
    at_once: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """What speaks for each pair of passages of two cameras beside its time: their ways, and being seen at once."""
    a, b = pair
    ways_a, ways_b = first.way.tolist(), second.way.tolist()
    ways = np.array([[by_way.get((a, way_a, b, way_b), 1.0) for way_b in ways_b] for way_a in ways_a], np.float64)
    return ways.reshape(at_once.shape) * overlaps.get(pair, UNKNOWN).factors(at_once)
