# SPDX-License-Identifier: AGPL-3.0-or-later
"""From the chance that the model gives a step to a probability that holds: a correction fitted on a rehearsal.

`python tests/bench/trace.py TOWN` prints, for a town whose truth is known, how often steps of each probability are
right, and the two numbers that would fit best; docs/reid.md has the table for the shipped ones. On streets that
nobody has measured they give the order of steps, and about how sure to be of them: no proof.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Calibration:
    """Log odds of the truth over log odds of the model."""

    slope: float = 1.3
    offset: float = 1.5
    id: str = "rehearsal-1"

    def probability(self, chance: float) -> float:
        """What a chance by the model, 0 to 1, is worth."""
        held = min(max(chance, 1e-6), 1 - 1e-6)
        return 1 / (1 + math.exp(-(self.slope * math.log(held / (1 - held)) + self.offset)))


DEFAULT = Calibration()
