# SPDX-License-Identifier: AGPL-3.0-or-later
"""Traces against the truth: ask for each vehicle by each of its passages, and see which of its others come back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from reid.calibration import DEFAULT, Calibration
from reid.links import learn_links
from reid.passage import Passage
from reid.trace import Step, Weighed, follow, weigh

AROUND = timedelta(minutes=30)
"""Candidates this far from the passage asked for, as the gate takes them."""


@dataclass(slots=True)
class Traces:
    """Counts over every passage of every vehicle that was found at two cameras or more."""

    queries: int = 0
    exact: int = 0
    """Traces that name all of its passages that were found, and no other."""
    wanted: int = 0
    """Its other passages that were found."""
    named: int = 0
    """Steps that traces name, the one asked for left out."""
    right: int = 0
    """Of those, the ones that are of the vehicle."""
    steps: list[tuple[float, bool]] = field(default_factory=list)
    """Each step's probability, and whether it is right."""

    @property
    def precision(self) -> float:
        """Of the steps named, the share that is of the vehicle."""
        return self.right / self.named if self.named else float("nan")

    @property
    def recall(self) -> float:
        """Of its other passages that were found, the share that is named."""
        return self.right / self.wanted if self.wanted else float("nan")

    def add(self, other: Traces) -> None:
        """Take another town's counts."""
        self.queries += other.queries
        self.exact += other.exact
        self.wanted += other.wanted
        self.named += other.named
        self.right += other.right
        self.steps += other.steps


def follow_all(
    passages: Sequence[Passage],
    vehicle: Mapping[str, int],
    positions: Mapping[str, tuple[float, float]] | None,
    headings: Mapping[str, float] | None,
    calibration: Calibration = DEFAULT,
    tell: Callable[[Passage, Sequence[Passage], Sequence[Step]], None] | None = None,
) -> Traces:
    """Ask by every passage of every vehicle that was found at two cameras; nobody accepts or rejects anything.

    Args:
        passages: of one run.
        vehicle: passage id → vehicle, of those that follow one.
        positions: camera → metres east, north.
        headings: camera → degrees clockwise from north.
        calibration: of the steps' probabilities.
        tell: called with each passage asked for, all of its vehicle, and its trace.
    """
    described = [p for p in passages if p.embedding is not None]
    links = learn_links(described, positions, headings_deg=headings)
    own: dict[int, list[Passage]] = defaultdict(list)
    for passage in sorted(described, key=lambda p: p.started_at):
        if passage.id in vehicle:
            own[vehicle[passage.id]].append(passage)
    out = Traces()
    weighed: Weighed | None = None
    for name, theirs in sorted(own.items()):
        if len({p.camera for p in theirs}) < 2:
            continue
        for query in theirs:
            near = [p for p in described if abs(p.started_at - query.started_at) <= AROUND]
            if weighed is None or {p.id for p in near} != {p.id for p in weighed.nodes}:
                weighed = weigh(near, links)  # in a short town the same for every passage asked by
            steps = follow(query, weighed, calibration=calibration)
            if tell is not None:
                tell(query, theirs, steps)
            others = [s for s in steps if s.passage.id != query.id]
            right = [vehicle.get(s.passage.id) == name for s in others]
            out.queries += 1
            out.wanted += len(theirs) - 1
            out.named += len(others)
            out.right += sum(right)
            out.exact += sum(right) == len(others) == len(theirs) - 1
            out.steps += [(s.probability, ok) for s, ok in zip(others, right, strict=True)]
    return out
