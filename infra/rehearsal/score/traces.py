# SPDX-License-Identifier: AGPL-3.0-or-later
"""Traces against the truth: ask for each vehicle by one of its passages, and see which of its others come back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from infra.rehearsal.score.found import Found
from infra.rehearsal.score.identities import vehicles_of
from reid.links import learn_links
from reid.trace import trace

AROUND = timedelta(minutes=30)
"""Candidates this far from the passage asked for, as the gate takes them."""


@dataclass(frozen=True, slots=True)
class TraceScore:
    """Over every passage of every vehicle that was found at two cameras or more."""

    traces: int
    exact: int
    """Traces that name all of its passages that were found, and no other."""
    recall: float
    """Of its other passages, the share that its trace names."""
    precision: float
    """Of the steps that traces name (the one asked for left out), the share that is of the vehicle."""


def trace_score(
    found: Found,
    owner: dict[int, int],
    positions: dict[str, tuple[float, float]],
    headings: dict[str, float],
) -> TraceScore:
    """Ask by every passage of every vehicle that was found at two cameras; nobody accepts or rejects anything.

    Args:
        found: one run.
        owner: predicted passage (index) → vehicle row, of those that follow one.
        positions: camera → metres east, north.
        headings: camera → degrees clockwise from north.
    """
    described = [p for p in found.passages if p.embedding is not None]
    links = learn_links(described, positions, headings_deg=headings)
    of: dict[str, int] = {found.passages[p].id: v for p, v in owner.items()}
    wanted = named = right = traces = exact = 0
    for vehicle, indices in sorted(vehicles_of(owner).items()):
        own = [found.passages[i] for i in indices if found.passages[i].embedding is not None]
        if len({p.camera for p in own}) < 2:
            continue
        for query in own:
            near = [p for p in described if abs(p.started_at - query.started_at) <= AROUND]
            steps = [s.passage for s in trace(query, near, links) if s.passage.id != query.id]
            own_steps = sum(of.get(p.id) == vehicle for p in steps)
            traces += 1
            exact += own_steps == len(steps) == len(own) - 1
            wanted += len(own) - 1
            named += len(steps)
            right += own_steps
    return TraceScore(
        traces=traces,
        exact=exact,
        recall=right / wanted if wanted else float("nan"),
        precision=right / named if named else float("nan"),
    )
