# SPDX-License-Identifier: AGPL-3.0-or-later
"""What no track took, remembered for some seconds: once a vehicle's way is known, its faint ends are found in it.

A detector is unsure of what is far away. What comes from there is seen for seconds before one finding is sure enough to
begin a track; what drives away is missed in one picture and then never sure enough to be taken up again. Where the way
that is known leads, an unsure finding is the same vehicle still; and where it is first seen to set off, what was found
at that place before is the same vehicle, which waited.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from reid.boxes import area, side
from reid.finding import Finding
from reid.kept import Kept
from reid.passage import Sighting
from reid.suppression import iou_matrix
from reid.tracker import MOVING_SHARE
from reid.tracklet import LEAST_SIZE_PX

REMEMBERED_S = 5.0
"""How long what no track took is remembered."""
_HOLE_S = 0.4
"""Longest time in which nothing fits before the way is lost."""
_STILL_HOLE_S = 1.4
"""The same while it stands and waits."""
_LEAST_WAY = 3
"""Sightings that a way must have for it to lead anywhere."""
_ENOUGH = 12
"""Sightings that say all that is asked of a way."""
_SMALL_PX = 48.0
"""Root of a box's area up to which what stands is remembered: what is larger is seen when it comes."""
_SAME_PLACE = 0.5
"""Overlap from which what stood was where a vehicle is first seen."""
_TAKEN = 0.4
"""Overlap from which a finding is of a vehicle that a track has in the same picture."""
_SPEED_S = 0.6
"""Over how much of the way its speed is taken."""
_LEAST_OVERLAP = 0.35
_ALIKE = 0.7
"""Least ratio of sides (roots of areas) from one sighting to the next."""


@dataclass(slots=True)
class Faint(Kept):
    """The findings of one camera that no track took. Plain values: it pickles."""

    frames: deque[tuple[datetime, list[Sighting]]] = field(default_factory=deque)
    """Those in which something moves."""
    still: deque[tuple[datetime, list[Sighting]]] = field(default_factory=deque)
    """Small ones in which nothing does."""

    def keep(self, at: datetime, findings: Sequence[Finding], taken: Iterable[int]) -> None:
        """Remember a frame's findings, less those that tracks took (indices) and what overlaps them."""
        owned = sorted(set(taken))
        left = [i for i, f in enumerate(findings) if i not in owned and (_moves(f) or side(f.box) <= _SMALL_PX)]
        if left and owned:
            boxes = np.array([f.box for f in findings], dtype=np.float32)
            free = iou_matrix(boxes[left], boxes[owned]).max(axis=1) < _TAKEN
            left = [i for i, is_free in zip(left, free, strict=True) if is_free]
        for memory, moving in ((self.frames, True), (self.still, False)):
            while memory and (at - memory[0][0]).total_seconds() > REMEMBERED_S:
                memory.popleft()
            some = [Sighting(at, f.box, f.score) for f in (findings[i] for i in left) if _moves(f) is moving]
            if some:
                memory.append((at, some))

    def before(self, way: Sequence[Sighting]) -> Sequence[Sighting]:
        """Take what precedes a vehicle's way (its sightings in order of time), in order of time."""
        if len(way) < _LEAST_WAY:
            return ()
        earlier = (frame for frame in reversed(self.frames) if frame[0] < way[0].at)
        found = self._along(way[:_ENOUGH][::-1], earlier)[::-1]
        return [*self._stood(found[0] if found else way[0]), *found]

    def _stood(self, first: Sighting) -> list[Sighting]:
        """Where it stood before it set off, in order of time: what is found at the place where it is first seen."""
        place = np.array([first.box], np.float32)
        found: list[Sighting] = []
        last = first.at
        for at, there in reversed(self.still):
            if at >= first.at:
                continue
            if (last - at).total_seconds() > _STILL_HOLE_S:
                break
            overlap = iou_matrix(place, np.array([s.box for s in there], np.float32))[0]
            best = int(np.argmax(overlap))
            if overlap[best] >= _SAME_PLACE:
                last = at
                found.append(there[best])
        return found[::-1]

    def after(self, way: Sequence[Sighting]) -> Sequence[Sighting]:
        """Take what follows it."""
        if len(way) < _LEAST_WAY:
            return ()
        return self._along(way[-_ENOUGH:], (frame for frame in self.frames if frame[0] > way[-1].at))

    def _along(self, way: Sequence[Sighting], frames: Iterable[tuple[datetime, list[Sighting]]]) -> list[Sighting]:
        """Go on from the end of `way`, frame by frame; what is found is remembered no longer."""
        chain = list(way)
        found: list[Sighting] = []
        for at, there in frames:
            if abs((at - chain[-1].at).total_seconds()) > _HOLE_S:
                break
            best = _fitting(chain, at, there)
            if best is not None:
                there.remove(best)
                found.append(best)
                chain.append(best)
        return found


def _moves(finding: Finding) -> bool:
    return finding.moving >= MOVING_SHARE


def _fitting(chain: Sequence[Sighting], at: datetime, there: Sequence[Sighting]) -> Sighting | None:
    """The sighting that lies where the chain leads at that moment, if one does."""
    if not there:
        return None
    last = chain[-1]
    expected = np.array([*last.box]) + _speed(chain) * (at - last.at).total_seconds()
    overlap = iou_matrix(expected[None].astype(np.float32), np.array([s.box for s in there], dtype=np.float32))[0]
    best = int(np.argmax(overlap))
    sides = sorted(side(s.box) for s in (last, there[best]))
    fits = overlap[best] >= _LEAST_OVERLAP and sides[0] >= _ALIKE * sides[1]
    # What is smaller makes no passage by itself either, unless it is a two-wheeler: a sighting does not say.
    return there[best] if fits and area(there[best].box) >= LEAST_SIZE_PX**2 else None


def _speed(chain: Sequence[Sighting]) -> NDArray[np.float64]:
    """Of the box's edges, pixels per second (4,), over the last of the chain: the middle's, and how it grows."""
    some = [s for s in chain if abs((s.at - chain[-1].at).total_seconds()) <= _SPEED_S]
    if len(some) < 2:
        some = list(chain[-2:])
    times = np.array([s.at.timestamp() for s in some])
    boxes = np.array([s.box for s in some])
    times = times - times.mean()
    return np.asarray((times[:, None] * (boxes - boxes.mean(axis=0))).sum(axis=0) / max(float((times**2).sum()), 1e-9))
