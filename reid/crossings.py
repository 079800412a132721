# SPDX-License-Identifier: AGPL-3.0-or-later
"""From one camera's findings to its passages: the whole state of one (scope, camera), kept in snapshots.

1. What is no newer than the last frame, or lies in an interval that has ended, is dropped: records may come twice.
2. The tracker says which finding belongs to which track.
3. Its faint beginning and end, that no track takes, are looked for where its way leads.
4. Pieces of one vehicle's way, broken by a tree or a truck, are joined.
5. What has left, or has parked, becomes a passage; what never moved becomes nothing.
6. What became of the time itself is told as coverage.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from reid.boxes import side
from reid.coverage import CoverageLog
from reid.faint import Faint
from reid.finding import Ended, Finding, GopFindings, LookedInVain, Missing, Seen
from reid.joining import longest_hidden_s, may_join
from reid.kept import Kept
from reid.motion import cells_share
from reid.parked import Stance
from reid.passage import Box, Coverage, Passage, Track
from reid.tracker import CameraTracker
from reid.tracklet import Tracklet, least_size_px

Outcome = Passage | Track | Coverage
Span = tuple[datetime, datetime]

LARGEST_HOLE_S = 2.0
"""A hole between two records above this is a gap, even where no gap record says so."""
_EDGE_S = 0.4
"""A vehicle seen within this of where indexing begins or breaks off was in view there."""
_KNOWN_S = 0.5
"""How long a vehicle must have been followed for its way to be known."""


@dataclass(slots=True)
class Crossings(Kept):
    """Everything remembered of one camera in one scope. Plain values throughout: it pickles."""

    scope: str
    camera: str
    confidence: float = 0.25
    """Score from which what the detector finds in one picture counts."""
    tracker: CameraTracker = field(init=False)
    tracklets: list[Tracklet] = field(default_factory=list)
    faint: Faint = field(default_factory=Faint)
    coverage: CoverageLog = field(init=False)
    seen_until: datetime | None = None
    """Capture time up to which records were taken, in the present interval."""
    began_at: datetime | None = None
    """First frame of the present unbroken stretch."""
    begun: tuple[datetime, int] | None = None
    """Last instant at which tracks began, and how many did: the ordinals of their ids."""
    interval: Span | None = None
    done: list[Span] = field(default_factory=list)
    """Intervals that have ended."""
    detector: str = ""
    size_px: tuple[int, int] = (0, 0)
    covered_s: float = 0.0
    """Of the present interval, for progress."""
    passages: int = 0
    """Made in the present interval, for progress."""

    def __post_init__(self) -> None:
        self.tracker = CameraTracker(self.confidence)
        self.coverage = CoverageLog(self.scope, self.camera)

    def take(self, seen: Seen) -> list[Outcome]:
        """Take what became of the camera's next record; passages that ended, their tracks, and coverage come back."""
        if seen.interval is not None and seen.interval in self.done:
            return []
        out = self._enter(seen.interval) if seen.interval != self.interval and not isinstance(seen, Ended) else []
        if isinstance(seen, GopFindings):
            out += self._looked(seen)
        elif isinstance(seen, LookedInVain):
            out += self._in_vain(seen)
        elif isinstance(seen, Missing):
            out += self._missing(seen)
        else:
            out += self._ended(seen)
        self.passages += sum(isinstance(o, Passage) for o in out)
        return out

    def _enter(self, interval: Span | None) -> list[Outcome]:
        """Begin another interval: nothing is followed from one to the next."""
        out = self._flush(cut=True)
        out += self.coverage.close()
        self.coverage = CoverageLog(self.scope, self.camera)
        self.interval, self.seen_until = interval, None
        self.covered_s, self.passages = 0.0, 0
        return out

    def _looked(self, gop: GopFindings) -> list[Outcome]:
        if self.seen_until is not None and gop.last_at <= self.seen_until:
            return []
        out: list[Outcome] = []
        frames = [f for f in gop.sampled if self.seen_until is None or f.at > self.seen_until]
        if self.seen_until is not None and (gop.first_at - self.seen_until).total_seconds() > LARGEST_HOLE_S:
            out += self._missing(
                Missing(
                    scope=self.scope,
                    camera=self.camera,
                    started_at=self.seen_until,
                    ended_at=gop.first_at,
                    interval=gop.interval,
                    reason="nothing was recorded",
                )
            )
        if self.detector and (self.detector, self.size_px) != (gop.detector, (gop.width_px, gop.height_px)):
            out += self._flush(cut=True)
        self.detector, self.size_px = gop.detector, (gop.width_px, gop.height_px)
        if self.began_at is None:
            self.began_at = gop.first_at
        for frame in frames:
            if frame.looked:
                self._frame(frame.at, frame.findings, frame.motion)
            else:
                self.tracker.rest(frame.at)
        self.covered_s += (gop.last_at - self._reached(gop.first_at)).total_seconds()
        self.seen_until = gop.last_at
        self._join()
        out += self._finish(gop.last_at)
        out += self.coverage.looked(gop)
        return out

    def _reached(self, first_at: datetime) -> datetime:
        """Up to where the time before a record is covered: the record before it, where there is no hole between."""
        before = self.seen_until
        whole = before is not None and (first_at - before).total_seconds() <= LARGEST_HOLE_S
        return before if whole and before is not None else first_at

    def _in_vain(self, lost: LookedInVain) -> list[Outcome]:
        if self.seen_until is not None and lost.last_at <= self.seen_until:
            return []
        out: list[Outcome] = []
        if (lost.last_at - lost.first_at).total_seconds() > LARGEST_HOLE_S:
            out += self._flush(cut=True)
        self.seen_until = lost.last_at
        return [*out, *self.coverage.unreadable(lost)]

    def _missing(self, gap: Missing) -> list[Outcome]:
        """A stretch without video: every track ends where it was."""
        if self.seen_until is not None and gap.ended_at <= self.seen_until:
            return []
        out = self._flush(cut=True)
        # The next frame may lie at the very end of the gap: it is newer than what was seen before it.
        self.seen_until = max(gap.started_at, self.seen_until or gap.started_at)
        return [*out, *self.coverage.gap(gap.started_at, gap.ended_at, gap.reason)]

    def _ended(self, end: Ended) -> list[Outcome]:
        """The end of an interval: every track ends, and what was not covered is said to be missing."""
        if end.interval is None:
            if self.seen_until is not None and end.ended_at < self.seen_until:
                return []
            return [*self._flush(cut=True), *self.coverage.end(end.started_at, end.ended_at)]
        self.done.append(end.interval)
        out = [] if self.interval == end.interval else self._enter(end.interval)
        return [*out, *self._flush(cut=True), *self.coverage.end(end.started_at, end.ended_at)]

    def _frame(self, at: datetime, findings: tuple[Finding, ...], motion: bytes) -> None:
        width, height = self.size_px

        def moving_at(box: Box) -> float:
            return cells_share(motion, box, width, height)

        by_serial = {serial: t for t in self.tracklets for serial in t.serials}
        # In a far queue what is smaller than any passage comes and goes, and tracks there would take each other's.
        large = [i for i, f in enumerate(findings) if side(f.box) >= least_size_px(f.vehicle_class)]
        tracked = self.tracker.update(at, [findings[i] for i in large], moving_at, self.size_px)
        seen = [(serial, large[n]) for serial, n in tracked]
        for serial, index in seen:
            tracklet = by_serial.get(serial)
            if tracklet is None:
                tracklet = self._begin(serial, at, findings[index].box)
                self.tracklets.append(tracklet)
            tracklet.add(at, findings[index])
        self.faint.keep(at, findings, [index for _, index in seen])
        for tracklet in self.tracklets:
            if (at - tracklet.born_at).total_seconds() >= _KNOWN_S:
                self._look_back(tracklet)

    def _look_back(self, tracklet: Tracklet) -> None:
        """Find where a vehicle came from, once, when its way is known."""
        if tracklet.faint_before is not None:
            return
        tracklet.faint_before = self.faint.before(tracklet.sightings)
        if tracklet.faint_before and self._just_begun(tracklet.faint_before[0].at):
            tracklet.cut_start = True

    def _just_begun(self, at: datetime) -> bool:
        """Whether a vehicle that is first seen then may have been in view before indexing began."""
        return self.began_at is not None and (at - self.began_at).total_seconds() < _EDGE_S

    def _begin(self, serial: int, at: datetime, box: Box) -> Tracklet:
        ordinal = self.begun[1] + 1 if self.begun is not None and self.begun[0] == at else 0
        self.begun = (at, ordinal)
        since = self.tracker.stood_since(box)
        return Tracklet({serial}, at, ordinal, at, Stance(box, at), there_since=since, cut_start=self._just_begun(at))

    def _join(self) -> None:
        """Join pieces, the surest pair first, until no pair is left that may belong together."""
        while True:
            pairs = [
                (cost, i, j)
                for i, earlier in enumerate(self.tracklets)
                for j, later in enumerate(self.tracklets)
                if i != j and (cost := may_join(earlier, later, self.detector, self.size_px)) is not None
            ]
            if not pairs:
                return
            _, i, j = min(pairs)
            earlier, later = self.tracklets[i], self.tracklets[j]
            for serial in earlier.serials:
                self.tracker.drop(serial)
            earlier.join(later)
            del self.tracklets[j]

    def _finish(self, now: datetime) -> list[Outcome]:
        """Close what has ended by now."""
        out: list[Outcome] = []
        alive = self.tracker.alive()
        kept = []
        for tracklet in self.tracklets:
            followed = bool(tracklet.serials & alive)
            if not followed and tracklet.faint_after is None:
                self._look_back(tracklet)
                tracklet.faint_after = self.faint.after(tracklet.sightings)
            if followed and tracklet.stance.parked(now):
                out += self._close(tracklet, parked=True)
                for serial in tracklet.serials:
                    self.tracker.drop(serial)
            elif not followed and (
                tracklet.count < 2 or (now - tracklet.last_at).total_seconds() > longest_hidden_s(tracklet)
            ):
                out += self._close(tracklet)
            else:
                kept.append(tracklet)
        self.tracklets = kept
        return out

    def _flush(self, *, cut: bool) -> list[Outcome]:
        """Close everything: nothing can be followed over what comes now."""
        out: list[Outcome] = []
        for tracklet in self.tracklets:
            self._look_back(tracklet)
            in_view = self.seen_until is not None and (self.seen_until - tracklet.last_at).total_seconds() < _EDGE_S
            out += self._close(tracklet, cut=cut and in_view)
        self.tracklets = []
        self.faint = Faint()
        self.tracker = CameraTracker(self.confidence)
        self.began_at = None
        return out

    def _close(self, tracklet: Tracklet, *, parked: bool = False, cut: bool = False) -> list[Outcome]:
        if not tracklet.is_passage():
            return []
        return list(tracklet.close(self.scope, self.camera, self.detector, *self.size_px, parked=parked, cut_end=cut))
