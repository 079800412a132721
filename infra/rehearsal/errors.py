# SPDX-License-Identifier: AGPL-3.0-or-later
"""What can go wrong in the rehearsal town.

RehearsalError
├── PlanError       the TOML plan is unsound; carries every problem found
├── NetworkError    SUMO's tools refused the plan's streets
├── TrafficError    the simulation could not be run
├── RenderError     pictures could not be drawn or written
└── TruthError      truth tables are missing, half-written or do not fit
"""

from __future__ import annotations

from collections.abc import Sequence


class RehearsalError(Exception):
    """Anything that the rehearsal town reports to a person."""


class PlanError(RehearsalError):
    """A plan with problems; all of them are in `problems`, one sentence each."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        count = len(self.problems)
        super().__init__(f"{source}: {count} problem{'s' if count != 1 else ''} in the plan\n{lines}")


class NetworkError(RehearsalError):
    """SUMO's netconvert could not build the streets."""


class TrafficError(RehearsalError):
    """SUMO could not run the traffic."""


class RenderError(RehearsalError):
    """Pictures could not be drawn, encoded or written."""


class TruthError(RehearsalError):
    """Truth tables are missing, incomplete or contradict each other."""
