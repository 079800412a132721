# SPDX-License-Identifier: AGPL-3.0-or-later
"""One vehicle on its way through the picture, while it is still being followed; small, plain, and kept in snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from reid.boxes import side
from reid.describe import Description
from reid.finding import Finding
from reid.kept import Kept
from reid.parked import PARKED_AFTER_S, Stance, travel
from reid.passage import Box, Passage, Side, Sighting, Track, View, passage_id
from reid.views import keep_best
from reid.waits import waited_s

_SPACING_S = 0.08
"""Sightings of a moving vehicle closer in time than this are not all kept: twelve a second draw any path."""
_STANDING_SPACING_S = 1.0
_STANDS_AFTER_S = 1.5
_VIEWS_HELD = 8
_LEAST_SIGHTINGS = 4
_LEAST_LAST_S = 0.15
_LEAST_SCORE = 0.35
"""Mean of the better half of its scores."""
_LEAST_MOVING = 0.15
"""Share of its box that changes, in the mean while it does not stand: less is a parked car that trembles."""
LEAST_SIZE_PX = 21.0
"""Root of its area in the recorded picture over its larger looks: below it neither make nor colour can be told."""
_LEAST_TWO_WHEELER_PX = 15.0
"""The same of a two-wheeler, which is a third as wide as it is high."""
_MOMENT_S = 0.75
"""What is followed for a shorter time must be larger, since what is far away takes long to pass: a box around two far
vehicles at once is as large as one that is nearer."""
_LARGER = 1.25
"""By so much."""
_LEAST_TRAVEL = 0.6
"""Over the whole passage, in its own smaller side."""
_FAR = 1.5
"""From here no parked car has come by trembling, however little of its box changes: slow, dark, and of one colour."""
_FAR_STANDING = 2.5
"""The same of what mostly stood: a parked car that others pass before comes as far, piece by piece."""
_MOSTLY = 0.85
"""Share of the time for which something was followed that it must have stood for that."""
_LONG_S = 10.0
"""And seconds."""


def least_size_px(vehicle_class: str) -> float:
    """Root of a box's area below which what is taken for that class is followed by nobody and makes no passage."""
    return _LEAST_TWO_WHEELER_PX if vehicle_class == "motorcycle" else LEAST_SIZE_PX


@dataclass(slots=True)
class Tracklet(Kept):
    """What is known so far of one vehicle."""

    serials: set[int]
    """The tracker's numbers for it: more than one once broken pieces were joined."""
    born_at: datetime
    """Its first detection; with `ordinal`, what its id is made of."""
    ordinal: int
    first_at: datetime
    """Where its passage begins: the first detection, or of what was parked the moment it moved off."""
    stance: Stance
    there_since: datetime | None = None
    """Since when something stood where it was first followed: what stands is followed by nobody until it stirs."""
    cut_start: bool = False
    """Whether indexing began while it was in view."""
    sightings: list[Sighting] = field(default_factory=list)
    count: int = 0
    last_at: datetime = field(init=False)
    last_box: Box = field(init=False)
    description: Description = field(default_factory=Description)
    views: tuple[View, ...] = ()
    scores: list[float] = field(default_factory=list)
    moving_sum: float = 0.0
    """By how much more of its box changed than `_LEAST_MOVING`, over the sightings in which it did not stand."""
    faint_before: Sequence[Sighting] | None = None
    """Where it was before its first sighting, as far as can be told; None until that was looked for."""
    faint_after: Sequence[Sighting] | None = None
    """The same after its last."""

    def __post_init__(self) -> None:
        self.last_at, self.last_box = self.born_at, self.stance.anchor

    def add(self, at: datetime, finding: Finding) -> None:
        """Take its next sighting."""
        moved_before = self.stance.moved
        stood = self.stance.standing_s(at)
        advanced = self.stance.feed(at, finding.box)
        if advanced and not moved_before and self._was_parked(at):
            self._begin_now(at)
        self.count += 1
        if advanced or stood < _STANDS_AFTER_S:
            self.moving_sum += finding.moving - _LEAST_MOVING
        self.scores.append(finding.score)
        if len(self.scores) > 64:
            self.scores = sorted(self.scores)[-48:]
        self.last_at, self.last_box = at, finding.box
        self.description.add(finding)
        if finding.view is not None:
            self.views = keep_best((*self.views, finding.view), _VIEWS_HELD)
        spacing = _SPACING_S if stood < _STANDS_AFTER_S or advanced else _STANDING_SPACING_S
        if not self.sightings or (at - self.sightings[-1].at).total_seconds() >= spacing - 1e-3:
            self.sightings.append(_sighting(at, finding.box, finding.score))

    def _was_parked(self, at: datetime) -> bool:
        """Whether it had stood by then, followed or not, longer than any light lasts."""
        return (at - (self.there_since or self.born_at)).total_seconds() >= PARKED_AFTER_S

    def _begin_now(self, at: datetime) -> None:
        """It was parked and has moved off: its passage begins when it last stood still."""
        box = self.stance.anchor
        still = [s for s in self.sightings if travel(self.sightings[0].box, s.box) < 0.1]
        start = max((still[-1].at if still else at), at - timedelta(seconds=2 * _STANDS_AFTER_S))
        self.sightings = [s for s in self.sightings if s.at >= start]
        self.first_at = self.sightings[0].at if self.sightings else at
        self.stance.anchor = box
        self.cut_start = False

    def join(self, later: Tracklet) -> None:
        """Take a later piece of the same vehicle's way."""
        stood = self.stance.standing_s(self.last_at) >= _STANDS_AFTER_S
        self.serials |= later.serials
        # Where both were followed at once the later piece is of the whole vehicle.
        self.sightings = [s for s in self.sightings if s.at < later.born_at] + later.sightings
        self.faint_after = later.faint_after
        self.count += later.count
        self.last_at, self.last_box = later.last_at, later.last_box
        self.description.join(later.description)
        self.views = keep_best((*self.views, *later.views), _VIEWS_HELD)
        self.scores = sorted(self.scores + later.scores)[-48:]
        self.moving_sum += later.moving_sum
        if stood and not later.stance.moved:
            return  # it stands where it stood, and has for all the time that it was hidden
        moved = self.stance.moved or later.stance.moved
        self.stance = Stance(later.stance.anchor, later.stance.anchored_at, moved)

    def edge_speeds(self, ending: bool) -> NDArray[np.float64]:
        """Of the box's edges, pixels per second (4,), over its last or first half second of sightings."""
        if len(self.sightings) < 2:
            return np.zeros(4)
        if ending:
            some = [s for s in self.sightings if (self.sightings[-1].at - s.at).total_seconds() <= 0.6]
        else:
            some = [s for s in self.sightings if (s.at - self.sightings[0].at).total_seconds() <= 0.6]
        if len(some) < 2:
            some = self.sightings[-2:] if ending else self.sightings[:2]
        seconds = (some[-1].at - some[0].at).total_seconds()
        return np.asarray((np.array(some[-1].box) - np.array(some[0].box)) / max(seconds, 1e-3))

    def velocity(self, ending: bool) -> NDArray[np.float64]:
        """Of the box's middle, pixels per second (2,), over the same time."""
        return centre(self.edge_speeds(ending))

    def is_passage(self) -> bool:
        """Whether it is a vehicle that passed, rather than one parked or a flicker of the detector."""
        if not self.stance.moved or self.count < _LEAST_SIGHTINGS or not self.sightings:
            return False
        lasted = (self.last_at - self.first_at).total_seconds()
        if lasted < _LEAST_LAST_S:
            return False
        better = sorted(self.scores)[len(self.scores) // 2 :]
        if sum(better) / len(better) < _LEAST_SCORE:
            return False
        sizes = sorted(side(s.box) for s in self.sightings)
        size = sizes[int(0.8 * (len(sizes) - 1))]
        least = least_size_px(self.description.vehicle_class()[0])
        if size < (_LARGER * least if lasted < _MOMENT_S else least):
            return False
        went = max(travel(self.sightings[0].box, s.box) for s in self.sightings[:: max(1, len(self.sightings) // 40)])
        went = max(went, travel(self.sightings[0].box, self.last_box))
        if went < (_LEAST_TRAVEL if self.moving_sum >= 0 else _FAR):
            return False
        return went >= _FAR_STANDING or not self._mostly_stood()

    def _mostly_stood(self) -> bool:
        """Whether it stood for nearly all the time until it last moved; that it came to stand then says nothing."""
        until = self.stance.anchored_at
        followed_s = (until - self.first_at).total_seconds()
        return waited_s([s for s in self.sightings if s.at <= until]) >= max(_LONG_S, _MOSTLY * followed_s)

    def close(
        self,
        scope: str,
        camera: str,
        detector: str,
        width_px: int,
        height_px: int,
        *,
        parked: bool = False,
        cut_end: bool = False,
    ) -> tuple[Passage, Track]:
        """Make its passage and its track.

        Args:
            scope: of the passage.
            camera: of the passage.
            detector: id of the model.
            width_px: of the picture.
            height_px: of the picture.
            parked: it has stood so long that it is parked: its passage ended when it stopped.
            cut_end: indexing ended while it was in view.
        """
        sightings = self.sightings
        if parked:
            sightings = [s for s in sightings if s.at <= self.stance.anchored_at] or sightings[:1]
        elif self.last_at > sightings[-1].at:
            sightings = [*sightings, _sighting(self.last_at, self.last_box, self.scores[-1])]
        if self.first_at == self.born_at:
            sightings = [*_spaced(self.faint_before or ()), *sightings]
        if not parked:
            sightings = [*sightings, *_spaced(self.faint_after or ())]
        name, share = self.description.vehicle_class()
        ident = passage_id(scope, camera, self.born_at, self.ordinal)
        passage = Passage(
            id=ident,
            scope=scope,
            camera=camera,
            started_at=sightings[0].at,
            ended_at=sightings[-1].at,
            vehicle_class=name,
            class_score=round(share, 4),
            colours=tuple(round(x, 5) for x in self.description.colour_distribution()),
            entry=_side(sightings[:6], width_px, height_px, self.velocity(False), leaving=False),
            exit="inside" if parked else _side(sightings[-6:], width_px, height_px, self.velocity(True), leaving=True),
            speed_px_s=round(_median_speed(sightings), 2),
            first_box=sightings[0].box,
            last_box=sightings[-1].box,
            sightings=self.count,
            waited_s=round(waited_s(sightings), 2),
            truncated=self.cut_start or cut_end,
            embedding=self.description.embedding(detector),
            views=keep_best(self.views),
            detector=detector,
        )
        return passage, Track(passage_id=ident, scope=scope, camera=camera, sightings=tuple(sightings))


def centre(box: Box | NDArray[np.float64]) -> NDArray[np.float64]:
    """Middle of a box, (2,) pixels; of its edges' speeds (4,), the middle's."""
    return np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])


def _spaced(sightings: Sequence[Sighting]) -> list[Sighting]:
    """Those that are kept of a path."""
    kept: list[Sighting] = []
    for sighting in sightings:
        if not kept or (sighting.at - kept[-1].at).total_seconds() >= _SPACING_S - 1e-3:
            kept.append(_sighting(sighting.at, sighting.box, sighting.score))
    return kept


def _sighting(at: datetime, box: Box, score: float) -> Sighting:
    """As it is kept: a tenth of a pixel is finer than any box."""
    x1, y1, x2, y2 = box
    return Sighting(at, (round(x1, 1), round(y1, 1), round(x2, 1), round(y2, 1)), round(score, 3))


def _median_speed(sightings: list[Sighting]) -> float:
    """Of the centre, pixels per second, over steps of about a quarter second; standing left out."""
    speeds = []
    start = sightings[0]
    for sighting in sightings[1:]:
        seconds = (sighting.at - start.at).total_seconds()
        if seconds >= 0.24:
            speed = float(np.linalg.norm(centre(sighting.box) - centre(start.box))) / seconds
            side = min(start.box[2] - start.box[0], start.box[3] - start.box[1])
            if speed > 0.1 * side:
                speeds.append(speed)
            start = sighting
    return float(np.median(speeds)) if speeds else 0.0


def _side(
    sightings: list[Sighting], width_px: int, height_px: int, velocity: NDArray[np.float64], *, leaving: bool
) -> Side:
    """The edge of the picture by which it came or went: one that its box touches, or would have with the next frame."""
    outward = velocity if leaving else -velocity
    box = sightings[-1].box if leaving else sightings[0].box
    steps = np.diff([s.at.timestamp() for s in sightings]) if len(sightings) > 1 else np.array([0.1])
    ahead = 1.5 * float(np.median(steps))
    room: dict[Side, float] = {
        "left": box[0] / width_px,
        "right": (width_px - box[2]) / width_px,
        "top": box[1] / height_px,
        "bottom": (height_px - box[3]) / height_px,
    }
    towards: dict[Side, float] = {
        "left": -outward[0] / width_px,
        "right": outward[0] / width_px,
        "top": -outward[1] / height_px,
        "bottom": outward[1] / height_px,
    }
    touched = [side for side in room if room[side] - max(0.0, ahead * towards[side]) <= 0.015]
    # A large vehicle may touch an edge that it does not cross: of those touched, the one it heads for.
    heading = [side for side in touched if towards[side] > 0]
    if heading:
        return max(heading, key=lambda side: towards[side])
    return max(touched, key=lambda side: -room[side]) if touched else "inside"
