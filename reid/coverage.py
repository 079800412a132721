# SPDX-License-Identifier: AGPL-3.0-or-later
"""What became of one camera's time: looked at, missing, unreadable, or looked at with reason to doubt.

Rows are cells of five minutes by the clock, cut where the status changes. A growing cell is told again under the same
start, so that the newest row is always the whole truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from reid.finding import GopFindings, LookedInVain
from reid.passage import Coverage

CELL_S: Final = 300
_TELL_EVERY_S: Final = 30.0
"""Capture time after which a growing cell is told again."""
_DOUBT_S: Final = 1.0
"""Unexplained travel from which a cell is doubtful…"""
_DOUBT_SHARE: Final = 0.5
"""…when it is at least this share of all travel seen."""
DOUBT: Final = (
    "vehicles are probably missed: for %.0f s of the %.0f s in which something the size of a vehicle travelled through "
    "the picture, the detector %s saw no vehicle there; look at the video itself, or use a model made for this view"
)


@dataclass(slots=True)
class _Cell:
    started_at: datetime
    ended_at: datetime
    frames: int = 0
    decoded: int = 0
    explained_s: float = 0.0
    unexplained_s: float = 0.0
    detector: str = ""
    told_at: datetime | None = None


@dataclass(slots=True)
class CoverageLog:
    """The growing row of one camera in one scope, and up to when anything was said."""

    scope: str
    camera: str
    cell: _Cell | None = None
    told_to: datetime | None = None
    """End of what is covered by rows, of any status."""

    def looked(self, gop: GopFindings) -> list[Coverage]:
        """Take a GOP that was looked at."""
        out: list[Coverage] = []
        cell = self.cell
        if cell is not None and (_cell_start(gop.first_at) != _cell_start(cell.started_at)):
            out += self.close()
            cell = None
        if cell is None:
            start = gop.first_at
            if self.told_to is not None and timedelta(0) < start - self.told_to < timedelta(seconds=2):
                start = self.told_to
            cell = self.cell = _Cell(start, gop.last_at)
        cell.ended_at = max(cell.ended_at, gop.last_at)
        cell.frames += gop.frames
        cell.decoded += gop.frames_decoded
        cell.explained_s += gop.travel_explained_s
        cell.unexplained_s += gop.travel_unexplained_s
        cell.detector = gop.detector
        self.told_to = cell.ended_at
        if cell.told_at is None or (cell.ended_at - cell.told_at).total_seconds() >= _TELL_EVERY_S:
            cell.told_at = cell.ended_at
            out.append(self._row(cell))
        return out

    def unreadable(self, lost: LookedInVain) -> list[Coverage]:
        """Take a GOP that could not be looked at."""
        return self._apart("unreadable", lost.first_at, lost.last_at, lost.reason, lost.frames)

    def gap(self, started_at: datetime, ended_at: datetime, reason: str) -> list[Coverage]:
        """Take a stretch without video."""
        return self._apart("gap", started_at, ended_at, reason, 0)

    def end(self, started_at: datetime, ended_at: datetime) -> list[Coverage]:
        """Complete the rows of an interval: what none covers up to its end was not recorded."""
        out = self.close()
        covered = self.told_to if self.told_to is not None and self.told_to > started_at else started_at
        if (ended_at - covered).total_seconds() > 2.0:
            out += self._apart("gap", covered, ended_at, "no recording", 0)
        self.told_to = ended_at
        return out

    def _apart(
        self, status: Literal["gap", "unreadable"], started_at: datetime, ended_at: datetime, reason: str, frames: int
    ) -> list[Coverage]:
        out = self.close()
        out.append(
            Coverage(
                scope=self.scope,
                camera=self.camera,
                started_at=started_at,
                ended_at=ended_at,
                status=status,
                reason=reason,
                frames=frames,
            )
        )
        self.told_to = max(ended_at, self.told_to or ended_at)
        return out

    def close(self) -> list[Coverage]:
        """Tell the growing row for the last time."""
        cell, self.cell = self.cell, None
        return [] if cell is None else [self._row(cell)]

    def _row(self, cell: _Cell) -> Coverage:
        travel = cell.explained_s + cell.unexplained_s
        doubtful = cell.unexplained_s >= _DOUBT_S and cell.unexplained_s >= _DOUBT_SHARE * travel
        return Coverage(
            scope=self.scope,
            camera=self.camera,
            started_at=cell.started_at,
            ended_at=cell.ended_at,
            status="doubtful" if doubtful else "indexed",
            reason=DOUBT % (cell.unexplained_s, travel, cell.detector) if doubtful else "",
            frames=cell.frames,
            frames_decoded=cell.decoded,
            detector=cell.detector,
        )


def _cell_start(at: datetime) -> datetime:
    seconds = int(at.timestamp())
    return datetime.fromtimestamp(seconds - seconds % CELL_S, UTC)
