# SPDX-License-Identifier: AGPL-3.0-or-later
"""From one camera's findings to its passages: the whole state of one (scope, camera), kept in snapshots.

1. Records that are not newer than the last one are dropped: delivery is at least once.
2. The tracker says which finding belongs to which track.
3. Pieces of one vehicle's way, broken by a tree or a truck, are joined.
4. What has left, or has parked, becomes a passage; what never moved becomes nothing.
5. What became of the time itself is told as coverage.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reid.coverage import CoverageLog
from reid.finding import Finding, GopFindings, LookedInVain
from reid.joining import JOIN_S, may_join
from reid.motion import cells_share
from reid.parked import PARKED_AFTER_S, Stance
from reid.passage import Box, Coverage, Passage, Track
from reid.tracker import CameraTracker
from reid.tracklet import Tracklet

Outcome = Passage | Track | Coverage

LARGEST_HOLE_S = 2.0
"""A hole between two records above this is a gap, even where no gap record says so."""
_EDGE_S = 0.4
"""A vehicle first seen within this of the beginning of indexing was there before."""


@dataclass(slots=True)
class Crossings:
    """Everything remembered of one camera in one scope. Plain values throughout: it pickles."""

    scope: str
    camera: str
    tracker: CameraTracker = field(default_factory=CameraTracker)
    tracklets: list[Tracklet] = field(default_factory=list)
    coverage: CoverageLog = field(init=False)
    seen_until: datetime | None = None
    """Capture time of the last frame taken."""
    told_until: datetime | None = None
    """Capture time up to which gaps and ends of intervals were told."""
    began_at: datetime | None = None
    """First frame of the present unbroken stretch."""
    begun: tuple[datetime, int] | None = None
    """Last instant at which tracks began, and how many did: the ordinals of their ids."""
    detector: str = ""
    size_px: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self.coverage = CoverageLog(self.scope, self.camera)

    def take(self, gop: GopFindings) -> list[Outcome]:
        """Take what was found in the next GOP; passages that ended, their tracks, and coverage come back."""
        frames = [f for f in gop.sampled if self.seen_until is None or f.at > self.seen_until]
        if self.seen_until is not None and gop.last_at <= self.seen_until:
            return []
        out: list[Outcome] = []
        if self.seen_until is not None and (gop.first_at - self.seen_until).total_seconds() > LARGEST_HOLE_S:
            out += self.gap(self.seen_until, gop.first_at, "no recording")
        if self.detector and (self.detector != gop.detector or self.size_px != (gop.width_px, gop.height_px)):
            out += self._flush(cut=True)
        self.detector, self.size_px = gop.detector, (gop.width_px, gop.height_px)
        if self.began_at is None:
            self.began_at = gop.first_at
        for frame in frames:
            if frame.looked:
                self._frame(frame.at, frame.findings, frame.motion)
            else:
                self.tracker.rest(frame.at)
        self.seen_until = max(gop.last_at, self.seen_until or gop.last_at)
        self._join()
        out += self._finish()
        out += self.coverage.looked(gop)
        return out

    def in_vain(self, lost: LookedInVain) -> list[Outcome]:
        """Take a GOP that could not be looked at."""
        if self.seen_until is not None and lost.last_at <= self.seen_until:
            return []
        out: list[Outcome] = []
        if (lost.last_at - lost.first_at).total_seconds() > LARGEST_HOLE_S:
            out += self._flush(cut=True)
        self.seen_until = lost.last_at
        return [*out, *self.coverage.unreadable(lost)]

    def gap(self, started_at: datetime, ended_at: datetime, reason: str) -> list[Outcome]:
        """Take a stretch for which there is no video: every track ends where it was."""
        if self.told_until is not None and ended_at <= self.told_until:
            return []
        self.told_until = ended_at
        out = self._flush(cut=True)
        self.seen_until = max(ended_at, self.seen_until or ended_at)
        # The next frame may come at the very end of the gap.
        self.seen_until -= timedelta(microseconds=1)
        return [*out, *self.coverage.gap(started_at, ended_at, reason)]

    def end(self, started_at: datetime, ended_at: datetime) -> list[Outcome]:
        """Take the end of an interval: every track ends, and what was not covered is said to be missing."""
        if self.told_until is not None and ended_at <= self.told_until:
            return []
        self.told_until = ended_at
        out = self._flush(cut=True)
        last = self.seen_until
        self.seen_until = max(ended_at - timedelta(microseconds=1), last or ended_at)
        return [*out, *self.coverage.end(started_at, ended_at)]

    def _frame(self, at: datetime, findings: tuple[Finding, ...], motion: bytes) -> None:
        width, height = self.size_px

        def moving_at(box: Box) -> float:
            return cells_share(motion, box, width, height)

        by_serial = {serial: t for t in self.tracklets for serial in t.serials}
        for serial, index in self.tracker.update(at, findings, moving_at):
            tracklet = by_serial.get(serial)
            if tracklet is None:
                tracklet = self._begin(serial, at, findings[index].box)
                self.tracklets.append(tracklet)
            tracklet.add(at, findings[index])

    def _begin(self, serial: int, at: datetime, box: Box) -> Tracklet:
        ordinal = self.begun[1] + 1 if self.begun is not None and self.begun[0] == at else 0
        self.begun = (at, ordinal)
        early = self.began_at is not None and (at - self.began_at).total_seconds() < _EDGE_S
        return Tracklet({serial}, at, ordinal, at, Stance(box, at), cut_start=early)

    def _join(self) -> None:
        """Join pieces, the surest pair first, until no pair is left that may belong together."""
        while True:
            pairs = [
                (cost, i, j)
                for i, earlier in enumerate(self.tracklets)
                for j, later in enumerate(self.tracklets)
                if i != j and (cost := may_join(earlier, later, self.detector)) is not None
            ]
            if not pairs:
                return
            _, i, j = min(pairs)
            earlier, later = self.tracklets[i], self.tracklets[j]
            for serial in earlier.serials:
                self.tracker.drop(serial)
            earlier.join(later)
            del self.tracklets[j]

    def _finish(self) -> list[Outcome]:
        """Close what has ended by now."""
        out: list[Outcome] = []
        now = self.seen_until
        assert now is not None  # noqa: S101 - set by every caller
        alive = self.tracker.alive()
        kept = []
        for tracklet in self.tracklets:
            followed = bool(tracklet.serials & alive)
            unseen = (now - tracklet.last_at).total_seconds()
            if followed and tracklet.stance.parked(now):
                out += self._close(tracklet, parked=True)
                for serial in tracklet.serials:
                    self.tracker.drop(serial)
            elif not followed and (tracklet.count < 2 or unseen > JOIN_S):
                out += self._close(tracklet)
            else:
                if not tracklet.stance.moved and len(tracklet.sightings) > 40:
                    # What stands from the start needs no long memory: its passage begins when it moves off.
                    tracklet.sightings = [tracklet.sightings[0], *tracklet.sightings[-24:]]
                kept.append(tracklet)
        self.tracklets = kept
        return out

    def _flush(self, *, cut: bool) -> list[Outcome]:
        """Close everything: nothing can be followed over what comes now."""
        out: list[Outcome] = []
        end = self.seen_until
        for tracklet in self.tracklets:
            at_end = cut and end is not None and (end - tracklet.last_at).total_seconds() < _EDGE_S
            standing = end is not None and tracklet.stance.standing_s(end) >= PARKED_AFTER_S / 2
            out += self._close(tracklet, parked=standing and tracklet.stance.moved and not at_end, cut=at_end)
        self.tracklets = []
        self.tracker = CameraTracker()
        self.began_at = None
        return out

    def _close(self, tracklet: Tracklet, *, parked: bool = False, cut: bool = False) -> list[Outcome]:
        if not tracklet.is_passage():
            return []
        return list(
            tracklet.close(self.scope, self.camera, self.detector, *self.size_px, parked=parked, cut_end=cut)
        )


