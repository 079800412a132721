# SPDX-License-Identifier: AGPL-3.0-or-later
"""ByteTrack (Zhang et al. 2022, ultralytics' implementation) for one camera, made to be kept.

What differs from the original: frames are counted in milliseconds, so that patience is a time whatever the frame rate;
a lost track whose place has shown no motion since is frozen, neither aged nor moved on, because what it followed stands
there; only what moves starts a track; and the whole state is small, plain, pickles, and belongs to one camera alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ultralytics.trackers.basetrack import TrackState
from ultralytics.trackers.byte_tracker import BYTETracker, STrack
from ultralytics.trackers.utils import matching
from ultralytics.utils import IterableSimpleNamespace

from reid.boxes import area, at_edge, intersection, side
from reid.describe import LEAST_COLOURS
from reid.finding import Finding, unpack
from reid.leaving import come_back, edges_crossed
from reid.passage import Box
from reid.standing import Place, Standing
from reid.suppression import iou_matrix

PATIENCE_S = 1.5
"""How long a track that moves may go unseen before it ends."""
CONFIDENCE = 0.25
"""Score from which what a detector finds in one picture counts, where nothing else is said."""
BEGIN_SHARE = 0.95
"""Of that score: from here a finding is matched first and may begin a track, which the next picture has to confirm."""
CARRY_SHARE = 0.5
"""Of that score: findings down to it carry a track on and begin none."""
MOVING_SHARE = 0.04
"""Share of a box that must change for what is in it to be moving."""
FROZEN_SHARE = 0.03
"""Share of a lost track's place below which nothing happens there."""
DISTURBED_SHARE = 0.12
"""Share from which something goes on at a lost track's place: what stood there may have left, or is hidden."""

_DRIVES = 0.35
"""Speed from which a track drives, in roots of its box's area a second."""
_COLOURS_APART = 0.45
"""Bhattacharyya coefficient of colours below which a finding is hardly what a track followed."""
_LOST_SIZE = 0.8
"""Least ratio of sides (roots of areas) at which a finding may be what was lost: what comes out from behind something
bit by bit begins a track of its own, and `reid.joining`, which sees more of both, puts the two together."""
_NEAR = 0.5
"""What the distance of boxes that do not overlap is worth at most, beside an overlap of the same number."""
_THERE = 0.7
"""Overlap with a place from which a track is at it."""
_MOVES = 0.4
"""Share of a box that must change for it to be of what drives rather than of what it drives past."""
_STEPS = 16
"""Over how many frames the time from one to the next is averaged."""
_COLOURS_KEPT = 0.8
"""Share of a track's colours that one more finding leaves."""

_FIRST_MS = 1
"""The first frame's time: 0 is none yet, and the library, which adds one, trusts its frame 1 without a second look."""

_FIELDS = (
    "track_id",
    "mean",
    "covariance",
    "state",
    "frame_id",
    "start_frame",
    "is_activated",
    "score",
    "tracklet_len",
)


class CameraTracker:
    """The tracker of one camera: `update` with one frame's findings says which track each belongs to."""

    def __init__(self, confidence: float = CONFIDENCE) -> None:
        """`confidence`: score from which what the detector finds in one picture counts."""
        self._confidence = confidence
        self._byte = _TimedByteTracker(confidence)
        self._origin: datetime | None = None

    def update(
        self,
        at: datetime,
        findings: Sequence[Finding],
        moving_at: Callable[[Box], float],
        size_px: tuple[int, int] = (0, 0),
    ) -> list[tuple[int, int]]:
        """Take one frame that the detector looked at.

        Args:
            at: its capture time; never earlier than that of the frame before.
            findings: what was found.
            moving_at: says which share of a box changes in this frame.
            size_px: width and height of the picture; (0, 0) knows no edge by which a vehicle leaves.

        Returns:
            Pairs (track number, index in `findings`), for every track seen in this frame. A track's number first
            appears with its first finding; tracks that a second frame does not confirm never appear again.
        """
        if self._origin is None:
            self._origin = at
        now = self._ms(at, self._origin)
        self._byte.size_px = size_px
        self._byte.freeze(now, moving_at)
        return self._byte.take(now, findings)

    def rest(self, at: datetime) -> None:
        """Take one frame in which nothing moved: every track stays where it was."""
        if self._origin is not None:
            self._byte.rest(self._ms(at, self._origin))

    @staticmethod
    def _ms(at: datetime, origin: datetime) -> int:
        """A capture time as the tracker counts it."""
        return round((at - origin).total_seconds() * 1000) + _FIRST_MS

    def stood_since(self, box: Box) -> datetime | None:
        """Since when something has stood at a box's place, which no track was of at first; None where nothing has."""
        since = self._byte.stood_since(box)
        if since is None or self._origin is None:
            return None
        return self._origin + timedelta(milliseconds=since - _FIRST_MS)

    def alive(self) -> set[int]:
        """Numbers of the tracks that may still be seen again."""
        return {t.track_id for t in self._byte.tracked_stracks} | {t.track_id for t in self._byte.lost_stracks}

    def drop(self, track: int) -> None:
        """Forget a track."""
        self._byte.tracked_stracks = [t for t in self._byte.tracked_stracks if t.track_id != track]
        self._byte.lost_stracks = [t for t in self._byte.lost_stracks if t.track_id != track]

    def __getstate__(self) -> dict[str, Any]:
        return {"origin": self._origin, "confidence": self._confidence, **self._byte.dump()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._confidence = state["confidence"]
        self._byte = _TimedByteTracker(self._confidence)
        self._origin = state["origin"]
        self._byte.load(state)


class _Numbers:
    """Track numbers of one camera, with a state that can be read."""

    def __init__(self, last: int = 0) -> None:
        self.last = last

    def __next__(self) -> int:
        self.last += 1
        return self.last


class _Boxes:
    """Findings in the shape that the library's trackers read."""

    def __init__(self, xyxy: NDArray[np.float32], conf: NDArray[np.float32]) -> None:
        self.xyxy = xyxy
        self.conf = conf
        self.cls = np.zeros(len(conf), dtype=np.float32)

    @property
    def xywh(self) -> NDArray[np.float32]:
        size = self.xyxy[:, 2:] - self.xyxy[:, :2]
        return np.concatenate([self.xyxy[:, :2] + size / 2, size], axis=1)

    def __getitem__(self, mask: NDArray[np.bool_]) -> _Boxes:
        return _Boxes(self.xyxy[mask], self.conf[mask])

    def __len__(self) -> int:
        return len(self.conf)


class _TimedByteTracker(BYTETracker):  # type: ignore[misc]  # the library has no types
    frame_id: int
    tracked_stracks: list[STrack]
    lost_stracks: list[STrack]
    removed_stracks: list[STrack]

    def __init__(self, confidence: float) -> None:
        super().__init__(
            IterableSimpleNamespace(
                track_high_thresh=confidence * BEGIN_SHARE,
                track_low_thresh=confidence * CARRY_SHARE,
                new_track_thresh=confidence * BEGIN_SHARE,
                track_buffer=round(PATIENCE_S * 1000),
                match_thresh=0.85,
                fuse_score=True,
            )
        )
        self._moving: NDArray[np.bool_] = np.zeros(0, dtype=bool)
        self._colours: dict[int, NDArray[np.float64]] = {}
        """Track number → running colours."""
        self._findings: Sequence[Finding] = ()
        self.size_px = (0, 0)
        self._disturbed: set[int] = set()
        """Lost tracks at whose place something has gone on since: they are frozen no longer."""
        self._drove: set[int] = set()
        """Lost tracks that drove when they were lost: what they followed does not stand where they are."""
        self._standing = Standing()
        self._clock = 0
        """When the last frame was, looked at or not."""
        self._step = 0.0
        """Milliseconds from one frame to the next, in the mean; speeds are by frame."""
        self._places: Sequence[Box | None] = ()
        """Of this frame's findings: where each has long stood."""

    def reset_id(self) -> None:
        """Start numbering at 1."""
        self._ids = _Numbers()

    def take(self, now: int, findings: Sequence[Finding]) -> list[tuple[int, int]]:
        """One frame, `now` milliseconds after the first."""
        self._findings = findings
        self._moving = np.array([f.moving >= MOVING_SHARE for f in findings], dtype=bool)
        xyxy = np.array([f.box for f in findings], dtype=np.float32).reshape(-1, 4)
        self._places = self._standing.at(now, xyxy)
        self._tick(now)
        # `update` adds one before anything else. Frame 1 alone is trusted without a second look, and here never comes.
        self.frame_id = now
        begun = {t.track_id: t.mean[:4].copy() for t in self.tracked_stracks if not t.is_activated}
        self.update(_Boxes(xyxy, np.array([f.score for f in findings], dtype=np.float32)))
        for track in self.tracked_stracks:
            if track.is_activated and track.track_id in begun:
                self._set_off(track, begun[track.track_id])
        # The library keeps a thousand removed tracks for its own drawing; kept state is paid for at every snapshot.
        self.lost_stracks = [t for t in self.lost_stracks if t.state == TrackState.Lost]
        self.removed_stracks = []
        self._disturbed &= {t.track_id for t in self.lost_stracks}
        self._drove &= {t.track_id for t in self.lost_stracks}
        seen = sorted((t.track_id, int(t.idx)) for t in self.tracked_stracks if t.frame_id == self.frame_id)
        self._remember_colours(seen)
        self._standing.keep(now, xyxy, (index for _, index in seen))
        return seen

    def _tick(self, now: int) -> None:
        """Take the time of a frame. A gap counts as one frame missed, so that none makes everything slow."""
        if self._clock:
            since = now - self._clock
            self._step += (min(since, 2 * self._step) - self._step) / _STEPS if self._step else since
        self._clock = now

    def _set_off(self, track: STrack, began: NDArray[np.float32]) -> None:
        """Give a track that its second finding confirms the speed of that step.

        The filter would take a second to learn it, and what is narrow and fast would be lost by then.
        """
        x1, y1, x2, y2 = self._findings[int(track.idx)].box
        track.mean[4] = (x1 + x2) / 2 - began[0]
        track.mean[5] = (y1 + y2) / 2 - began[1]
        track.mean[7] = y2 - y1 - began[3]

    def _remember_colours(self, seen: Sequence[tuple[int, int]]) -> None:
        kept = {t.track_id for t in self.tracked_stracks} | {t.track_id for t in self.lost_stracks}
        self._colours = {number: c for number, c in self._colours.items() if number in kept}
        for number, index in seen:
            if self._findings[index].colours:
                now = unpack(self._findings[index].colours)
                before = self._colours.get(number)
                self._colours[number] = now if before is None else _COLOURS_KEPT * before + (1 - _COLOURS_KEPT) * now

    def _apart(self, tracks: list[STrack], detections: list[STrack]) -> NDArray[np.float32]:
        """How much colours speak against each pair: 0 where they say nothing, 1 where a lost track is another one."""
        apart = np.zeros((len(tracks), len(detections)), dtype=np.float32)
        for column, detection in enumerate(detections):
            packed = self._findings[int(detection.idx)].colours
            if not packed:
                continue
            now = np.sqrt(unpack(packed))
            for row, track in enumerate(tracks):
                before = self._colours.get(track.track_id)
                if before is not None:
                    alike = float(np.sqrt(before) @ now)
                    if track.state == TrackState.Lost and alike < LEAST_COLOURS:
                        apart[row, column] = 1.0
                    else:
                        apart[row, column] = max(0.0, _COLOURS_APART - alike) / _COLOURS_APART
        return apart

    def stood_since(self, box: Box) -> int | None:
        """When what stands at a box's place began to, in milliseconds; None where nothing is known to."""
        return self._standing.since(box)

    def freeze(self, now: int, moving_at: Callable[[Box], float]) -> None:
        """Hold the tracks whose place is still: what they followed stands there, unless it drove out of the picture."""
        # The library forgets a track only after it was offered what is found now, and nobody may have looked for long.
        self.lost_stracks = [t for t in self.lost_stracks if now - t.frame_id <= PATIENCE_S * 1000]
        self._note_what_drove()
        for track in self.tracked_stracks + self.lost_stracks:
            moving = moving_at(_box_of(track))
            if track.state == TrackState.Lost and moving >= DISTURBED_SHARE:
                self._disturbed.add(track.track_id)
            if track.track_id not in self._disturbed and moving < FROZEN_SHARE and self._stands(track):
                track.frame_id = now
                if track.state == TrackState.Lost:
                    track.mean[4:] = 0

    def rest(self, now: int) -> None:
        """Hold every track that may stand: nothing moved anywhere."""
        self._tick(now)
        self._note_what_drove()
        self._standing.rest(now)
        for track in self.tracked_stracks + self.lost_stracks:
            if self._stands(track):
                track.frame_id = now
                track.mean[4:] = 0

    def _note_what_drove(self) -> None:
        self._drove |= {t.track_id for t in self.lost_stracks if self._drives(t)}

    def _stands(self, track: STrack) -> bool:
        """Whether what it follows may stand where nothing moves: not what drove when it was lost, nor what left."""
        return track.track_id not in self._drove and not self._left(track)

    def _drives(self, track: STrack) -> bool:
        """Whether it is faster than what stands and trembles."""
        return float(np.hypot(*track.mean[4:6])) * 1000 > _DRIVES * side(_box_of(track)) * max(1, self._step)

    def _left(self, track: STrack) -> bool:
        """Whether it was lost at the edge of the picture."""
        if track.state != TrackState.Lost or self.size_px == (0, 0):
            return False
        return at_edge(_box_of(track), self.size_px)

    def _out_by(self, track: STrack) -> list[int]:
        """The edges over which it drives out of the picture."""
        return edges_crossed(_box_of(track), track.mean[4:6], self.size_px)

    def _leaves(self, track: STrack) -> bool:
        """Whether it drove out of the picture: what comes in by the same edge is another vehicle."""
        return track.track_id in self._drove and bool(self._out_by(track))

    def _comes_back(self, track: STrack, boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which boxes (n, 4) are of what comes in by the edge over which it drives."""
        return come_back(boxes, _box_of(track), self._out_by(track) if self._drives(track) else ())

    def get_dists(self, tracks: list[STrack], detections: list[STrack]) -> NDArray[np.float32]:
        """How unlikely each pair is: by place, by the score, and by colours where those speak against it."""
        places = self._places_apart(tracks, detections)
        if not places.size:
            return places
        fused = np.asarray(matching.fuse_score(places, detections), dtype=np.float32)
        # What was seen once is followed by the place alone: a low score would have to lie where no speed is known yet.
        once = np.array([not t.is_activated for t in tracks])
        fused[once] = places[once]
        # Within a queue places are taken over: where overlap is small, another colour is another vehicle.
        return fused + self._apart(tracks, detections)

    def _places_apart(self, tracks: list[STrack], detections: list[STrack]) -> NDArray[np.float32]:
        """1 less overlap, and for boxes that just miss each other by distance: fast vehicles at few frames a second."""
        dists = np.asarray(matching.iou_distance(tracks, detections), dtype=np.float32)
        if dists.size:
            a = np.array([t.xyxy for t in tracks], dtype=np.float32)
            b = np.array([d.xyxy for d in detections], dtype=np.float32)
            gap = np.linalg.norm((a[:, None, :2] + a[:, None, 2:] - b[None, :, :2] - b[None, :, 2:]) / 2, axis=2)
            size_a, size_b = (np.sqrt(np.prod(x[:, 2:] - x[:, :2], axis=1)) for x in (a, b))
            reach = (size_a[:, None] + size_b[None]) / 2
            alike = np.minimum(size_a[:, None], size_b[None]) / np.maximum(size_a[:, None], size_b[None])
            near = _NEAR * np.clip(1 - gap / (1.2 * reach), 0, 1) * (alike > 0.6)
            dists = np.minimum(dists, 1 - near).astype(np.float32)
            lost = np.array([t.state == TrackState.Lost for t in tracks])
            dists[lost[:, None] & (alike < _LOST_SIZE)] = 1.0
            dists[np.array([self._leaves(t) for t in tracks])] = 1.0
            dists[np.array([self._comes_back(t, b) for t in tracks])] = 1.0
            dists[self._elsewhere(tracks, a, detections)] = 1.0
        return dists

    def _elsewhere(
        self, tracks: list[STrack], boxes: NDArray[np.float32], detections: list[STrack]
    ) -> NDArray[np.bool_]:
        """Which pairs are of what has long stood somewhere and of a track (its box) that is not there."""
        elsewhere = np.zeros((len(tracks), len(detections)), dtype=bool)
        stood = {
            column: place
            for column, found in enumerate(int(d.idx) for d in detections)
            if (place := self._places[found]) is not None and self._findings[found].moving < _MOVES
        }
        if not stood:
            return elsewhere
        places = list(stood.values())
        overlap = iou_matrix(boxes, np.array(places, dtype=np.float32))
        away = overlap < _THERE
        # What stands there and is hidden bit by bit has a smaller box, which lies within.
        for row, number in np.argwhere(away & (overlap > 0)):
            box = _box_of(tracks[row])
            within = intersection(box, places[number]) >= _THERE * area(box)
            away[row, number] = not within or self._drives(tracks[row])
        elsewhere[:, list(stood)] = away
        return elsewhere

    def _init_new_tracks(
        self,
        u_detection: list[int],
        detections: list[STrack],
        activated: list[STrack],
        refind: list[STrack] | None = None,
    ) -> None:
        """Only what moves starts a track: parked cars never do."""
        moving = [i for i in u_detection if self._moving[int(detections[i].idx)]]
        super()._init_new_tracks(moving, detections, activated, refind)

    def dump(self) -> dict[str, Any]:
        """Plain values that `load` takes back."""
        return {
            "frame": self.frame_id,
            "clock": self._clock,
            "step": self._step,
            "numbers": self._ids.last,
            "size_px": self.size_px,
            "disturbed": sorted(self._disturbed),
            "drove": sorted(self._drove),
            "colours": dict(self._colours),
            "standing": [(p.box, p.since, p.seen) for p in self._standing.places],
            "tracked": [_dump_track(t) for t in self.tracked_stracks],
            "lost": [_dump_track(t) for t in self.lost_stracks],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what `dump` gave."""
        self.frame_id = state["frame"]
        self._clock = state.get("clock", 0)
        self._step = state.get("step", 0.0)
        self._ids = _Numbers(state["numbers"])
        self.size_px = state["size_px"]
        self._disturbed = set(state["disturbed"])
        self._drove = set(state.get("drove", ()))
        self._colours = dict(state["colours"])
        self._standing = Standing([Place(*values) for values in state.get("standing", ())])
        self.tracked_stracks = [self._load_track(t) for t in state["tracked"]]
        self.lost_stracks = [self._load_track(t) for t in state["lost"]]

    def _load_track(self, fields: dict[str, Any]) -> STrack:
        track = STrack(np.array([0, 0, 1, 1, 0], dtype=np.float32), 0.0, 0.0)
        for name, value in fields.items():
            setattr(track, name, value.copy() if isinstance(value, np.ndarray) else value)
        track.kalman_filter = self.kalman_filter
        return track


def _box_of(track: STrack) -> Box:
    x1, y1, x2, y2 = (float(v) for v in track.xyxy)
    return x1, y1, x2, y2


def _dump_track(track: STrack) -> dict[str, Any]:
    return {name: getattr(track, name) for name in _FIELDS}
