# SPDX-License-Identifier: AGPL-3.0-or-later
"""How much something that two passages show speaks for their being one vehicle, learnt from few pairs with care."""

from __future__ import annotations

from typing import Final

import numpy as np

_LIMITS: Final = (0.04, 5.0)
"""Whatever was counted, it never says more."""


def likelier(found: float, usual: float, expected: float, worth: float) -> float:
    """How many times likelier one vehicle is for it.

    Args:
        found: pairs of one vehicle that show it, by how surely they are of one.
        usual: how many of as many pairs of any two would.
        expected: the answer before any pair was seen.
        worth: pairs that must agree before they say much against it.
    """
    return float(np.clip((found + worth * expected) / (usual + worth), *_LIMITS))
