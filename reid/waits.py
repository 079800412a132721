# SPDX-License-Identifier: AGPL-3.0-or-later
"""How long a vehicle waited in view, told from all of its passage once that is over.

While a vehicle is followed, standing is asked generously: nothing may be lost because a box trembles. Far away that
calls much a wait that is none: what drives straight away from a camera hardly moves in the picture, it only shrinks.
A wait is time spent at one place, and how large a vehicle is seen says how far away that place is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from reid.passage import Sighting

_AROUND: Final = 5
"""Sightings whose median says where a vehicle is: one box trembles."""
_NEAR: Final = 0.1
"""Way in the picture, in units of the vehicle's smaller side, within which it is at one place."""
_NEAR_UNSEEN: Final = 0.35
"""The same where it was not looked at meanwhile: it had set off before it was again."""
_AS_LARGE: Final = 0.08
"""Change of its size within which it is, as a share: how far it went towards the camera or away."""
_LEAST_S: Final = 1.5
"""No shorter stay is a wait, and nothing that moves goes unseen for longer without being hidden."""


def waited_s(sightings: Sequence[Sighting]) -> float:
    """Seconds for which it stood, summed over its waits; of sightings in order of time."""
    if len(sightings) < 2:
        return 0.0
    times = np.array([s.at.timestamp() for s in sightings])
    boxes = np.array([s.box for s in sightings], dtype=np.float64)
    steps = np.diff(times)
    # Pictures in which nothing moves are not looked at: what stands alone in a street is unseen until it sets off.
    unseen = np.flatnonzero(steps > _LEAST_S)
    raw = _places(boxes)
    stood = np.zeros(len(steps), dtype=bool)
    stood[[i for i in unseen if _away(raw[i], raw[i + 1 : i + 2], _NEAR_UNSEEN)[0] <= 1]] = True
    steady = np.concatenate([_places(_steadied(piece)) for piece in np.split(boxes, unseen + 1)])
    begin = 0
    while begin < len(steps):
        # Where it is before and after, it was in between, whatever passed in front of it or hid it.
        end = begin + int(np.flatnonzero(_away(steady[begin], steady[begin:], _NEAR) <= 1)[-1])
        if times[end] - times[begin] >= _LEAST_S:
            stood[begin:end] = True
            begin = end
        begin += 1
    return float(steps[stood].sum())


def _steadied(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each box as the median of those around it, (n, 4)."""
    aside = _AROUND // 2
    padded = np.pad(boxes, ((aside, aside), (0, 0)), constant_values=np.nan)
    return np.asarray(np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, _AROUND, axis=0), axis=-1))


def _places(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Middle, smaller side and logarithm of the size of each, (n, 4)."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    return np.column_stack((boxes[:, :2] + sides / 2, sides.min(axis=1), np.log(sides).mean(axis=1)))


def _away(place: NDArray[np.float64], places: NDArray[np.float64], near: float) -> NDArray[np.float64]:
    """How far places are from one, (n,): up to 1 they are the same."""
    way = np.hypot(*(places[:, :2] - place[:2]).T) / place[2]
    return np.asarray(np.maximum(way / near, abs(places[:, 3] - place[3]) / _AS_LARGE))
