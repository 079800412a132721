# SPDX-License-Identifier: AGPL-3.0-or-later
"""From evidence to a probability: a logistic function of a step's arguments.

The weights here are set by hand on made-up towns; `Calibration` is the place of trained ones, fitted on towns whose
truth is known and checked for calibration on others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Calibration:
    """Weights of a step's arguments, all log-likelihood ratios but the last."""

    offset: float = 0.4
    look: float = 0.7
    colour: float = 0.6
    time: float = 0.5
    rivals: float = -0.75
    """Per doubling of the candidates that would fit as well."""
    id: str = "hand-1"

    def probability(self, look: float, colour: float, time: float | None, rivals: int) -> float:
        """That a step is the vehicle asked for, 0 to 1; `time` None where nothing links it in time."""
        sum_ = self.offset + self.look * look + self.colour * colour
        sum_ += self.time * max(-6.0, min(6.0, time)) if time is not None else 0.0
        sum_ += self.rivals * math.log2(1 + rivals)
        return 1 / (1 + math.exp(-max(-12.0, min(12.0, sum_))))


DEFAULT = Calibration()
