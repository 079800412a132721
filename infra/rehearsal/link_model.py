# SPDX-License-Identifier: AGPL-3.0-or-later
"""What follows a passage in a town: which camera next, in which direction, after how long; where ways begin and end.

Learnt from drives of the same town on other days, never from the passages that are then linked with it. All costs are
negative logarithms of densities per second, so that they may be added and compared: a link says "this vehicle comes
next here, now", a start says "a new vehicle of this look comes here, now".
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

LONGEST_LINK_S = 300.0
SETTLED_S = 120.0
"""So near to the beginning or end of a drive, what came before or after may be missing: not counted."""
SPREAD = 0.10
"""Width of the kernel over travel time, as a share of it."""
LEAST_SPREAD_S = 0.4
ANY_TIME = 0.02
"""Share of links that may come at any time at all: rare delays stay possible."""
CAMERA_WEIGHT = 1.0
"""What the cameras alone say counts as much as so many passages of the very way: rare ways borrow from it."""

Way = tuple[str, str]
"""Camera, and the sides of the picture by which a vehicle came in and left."""
Gaps = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Seen:
    """One passage as the oracle gets it."""

    look: tuple[str, ...]
    """Body shape, colour name, marks."""
    way: Way
    entered_s: float
    left_s: float
    frames: int
    identity: str
    """For learning from other drives and for scoring; linking does not read it."""


@dataclass(frozen=True, slots=True)
class Drive:
    """The passages of one drive, in order of entry."""

    seen: tuple[Seen, ...]
    seconds: float


class LinkModel:
    """Probabilities learnt from `drives`; `seconds` is how long the recording lasts that is to be linked."""

    def __init__(self, drives: Sequence[Drive], seconds: float) -> None:
        self.seconds = seconds
        self._gaps: dict[tuple[Way | str, Way | str], list[float]] = defaultdict(list)
        self._after: dict[str, list[float]] = defaultdict(list)
        self._before: dict[str, list[float]] = defaultdict(list)
        self._passages: Counter[Way | str] = Counter()
        self._ends: Counter[Way | str] = Counter()
        self._starts: Counter[Way | str] = Counter()
        self._looks: Counter[tuple[str, ...]] = Counter()
        self._observed_s = 0.0
        for drive in drives:
            self._learn(drive)
        self._vehicles = sum(self._looks.values())
        self._known = {pair: np.array(found) for pair, found in self._gaps.items()}
        self._later = {camera: np.array(found) for camera, found in self._after.items()}
        self._earlier = {camera: np.array(found) for camera, found in self._before.items()}

    def _learn(self, drive: Drive) -> None:
        settled = min(SETTLED_S, drive.seconds / 3)  # of a short drive the middle third counts
        until = drive.seconds - settled
        self._observed_s += drive.seconds - settled
        chains: dict[str, list[Seen]] = defaultdict(list)
        for passage in drive.seen:
            chains[passage.identity].append(passage)
            if passage.left_s <= until:
                self._passages.update(_levels(passage.way))
        for chain in chains.values():
            self._looks[chain[0].look] += 1
            self._begins(chain[0], settled)
            for a, b in pairwise(chain):
                if gap_s(a, b) > LONGEST_LINK_S:  # it stood parked meanwhile: one way ends, another begins
                    self._stops(a, until)
                    self._begins(b, settled)
                    continue
                if b.entered_s >= settled:
                    self._before[b.way[0]].append(gap_s(a, b))
                if a.left_s <= until:
                    self._after[a.way[0]].append(gap_s(a, b))
                    self._gaps[a.way, b.way].append(gap_s(a, b))
                    self._gaps[a.way[0], b.way[0]].append(gap_s(a, b))
            self._stops(chain[-1], until)

    def _begins(self, passage: Seen, settled: float) -> None:
        if passage.entered_s >= settled:
            self._starts.update(_levels(passage.way))

    def _stops(self, passage: Seen, until: float) -> None:
        if passage.left_s <= until:
            self._ends.update(_levels(passage.way))

    def end_cost(self, passage: Seen) -> float:
        """Of being the last of a chain: it leaves the town or parks, or the recording ends before it comes again."""
        way, camera = _levels(passage.way)
        usual = (self._ends[camera] + 0.5) / (self._passages[camera] + 1.0)
        chance = (self._ends[way] + CAMERA_WEIGHT * usual) / (self._passages[way] + CAMERA_WEIGHT)
        left = self.seconds - passage.left_s
        return -math.log(chance + (1.0 - chance) * _longer(self._later.get(passage.way[0]), left))

    def start_cost(self, passage: Seen) -> float:
        """Of being the first of a chain: a new vehicle of this look, or one that the recording began too late for."""
        way, camera = _levels(passage.way)
        share = (self._passages[way] + 0.5) / (self._passages[camera] + 1.0)
        starts = (self._starts[way] + CAMERA_WEIGHT * share) / max(self._observed_s, 1.0)
        others = max(self._passages[way] - self._starts[way], 0) / max(self._observed_s, 1.0)
        starts += others * _longer(self._earlier.get(passage.way[0]), passage.entered_s)
        return -math.log(starts * (self._looks[passage.look] + 0.5) / (self._vehicles + 1.0))

    def link_cost(self, a: Seen, b: Seen) -> float:
        """Of `b` coming next after `a`; infinite where no vehicle ever went from the one camera to the other."""
        gap = gap_s(a, b)
        (way, camera), (next_way, next_camera) = _levels(a.way), _levels(b.way)
        known = self._known.get((camera, next_camera))
        if known is None or gap > LONGEST_LINK_S or b.left_s <= a.entered_s:
            return math.inf
        share = (self._passages[next_way] + 0.5) / (self._passages[next_camera] + 1.0)
        usual = len(known) / (self._passages[camera] + 1.0) * share * _density(known, gap)
        times = self._known.get((way, next_way))
        own = len(times) * _density(times, gap) if times is not None else 0.0
        return -math.log((own + CAMERA_WEIGHT * usual) / (self._passages[way] + CAMERA_WEIGHT))


def gap_s(a: Seen, b: Seen) -> float:
    """From leaving one picture to entering the next; negative where cameras see the same piece of road."""
    return b.entered_s - a.left_s


def _levels(way: Way) -> tuple[Way, str]:
    return way, way[0]


def _density(times: Gaps, gap: float) -> float:
    """Per second, of a travel time."""
    width = np.maximum(SPREAD * np.abs(times), LEAST_SPREAD_S)
    kernels = np.exp(-0.5 * ((gap - times) / width) ** 2) / (width * math.sqrt(2 * math.pi))
    return (1.0 - ANY_TIME) * float(kernels.mean()) + ANY_TIME / LONGEST_LINK_S


def _longer(gaps: Gaps | None, than_s: float) -> float:
    """Share of travel times that are longer."""
    return 0.0 if gaps is None or not len(gaps) else float((gaps > than_s).mean())
