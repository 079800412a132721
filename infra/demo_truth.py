# SPDX-License-Identifier: AGPL-3.0-or-later
"""What truly happened in the demonstration's town, to check a trace against; the stack itself never sees it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from gate.messages import PassageInfo
from infra.demo_town import DemoCamera, DemoTown
from infra.rehearsal.truth import load_truth
from reid.passage import Box

LEAST_OVERLAP = 0.3
"""Mean overlap (IoU) of a passage's first and last box with a vehicle's true boxes from which it is that vehicle's."""


@dataclass(frozen=True, slots=True)
class TruePassage:
    """One vehicle in one camera, by frame numbers."""

    camera: str
    vehicle: int
    identity: str
    colour: str
    body: str
    kind: str
    entry_frame: int
    exit_frame: int
    seen_frames: int


class DemoTruth:
    """The true passages and boxes of a rendered town."""

    def __init__(self, town: DemoTown) -> None:
        self._town = town
        self._truth = load_truth(town.folder)
        names = {c.town_name: c.name for c in town.cameras}
        keep = (
            "vehicle", "identity", "colour", "body", "kind", "entry_frame", "exit_frame", "seen_frames",
        )  # fmt: skip
        self.passages = tuple(
            TruePassage(camera=names[row["camera"]], **{k: row[k] for k in keep})
            for row in self._truth.table("passages").to_pylist()
            if row["camera"] in names
        )
        self._boxes: dict[str, dict[str, NDArray[np.float64]]] = {}

    @property
    def target(self) -> tuple[TruePassage, ...]:
        """Every passage of the vehicle to be found, in time order."""
        own = [p for p in self.passages if p.identity == self._town.target]
        return tuple(sorted(own, key=lambda p: self._at(p.camera, p.entry_frame)))

    def rivals(self) -> set[str]:
        """Identities of the other vehicles of the target's body and colour name that these cameras saw."""
        target = self.target[0]
        alike = {p.identity for p in self.passages if (p.body, p.colour) == (target.body, target.colour)}
        return alike - {target.identity}

    def whose(self, found: PassageInfo) -> TruePassage | None:
        """The true passage that a found one is of; None when it is nobody's."""
        camera = self._town.camera(found.camera)
        boxes = self._boxes_of(camera)
        votes: dict[int, float] = {}
        for at, box in ((found.started_at, found.first_box), (found.ended_at, found.last_box)):
            for vehicle, overlap in _overlaps(boxes, round(_frame(camera, at)), box):
                votes[vehicle] = votes.get(vehicle, 0.0) + overlap
        if not votes:
            return None
        vehicle, overlap = max(votes.items(), key=lambda vote: vote[1])
        if overlap / 2 < LEAST_OVERLAP:
            return None
        middle = (_frame(camera, found.started_at) + _frame(camera, found.ended_at)) / 2
        own = [p for p in self.passages if p.camera == found.camera and p.vehicle == vehicle]
        return min(own, key=lambda p: abs((p.entry_frame + p.exit_frame) / 2 - middle), default=None)

    def compare(self, found: Iterable[PassageInfo]) -> tuple[list[TruePassage], list[TruePassage], list[PassageInfo]]:
        """Of a trace: true passages found, true passages missed, found passages that are not the target's."""
        steps = [(step, self.whose(step)) for step in found]
        right = [truth for _, truth in steps if truth is not None and truth.identity == self._town.target]
        wrong = [step for step, truth in steps if truth is None or truth.identity != self._town.target]
        missed = [p for p in self.target if p not in right]
        return right, missed, wrong

    def _at(self, camera: str, frame: int) -> float:
        own = self._town.camera(camera)
        return own.starts_at.timestamp() + frame / own.fps

    def _boxes_of(self, camera: DemoCamera) -> dict[str, NDArray[np.float64]]:
        if camera.name not in self._boxes:
            table = self._truth.boxes(camera.town_name)
            columns = ("frame", "vehicle", "x1", "y1", "x2", "y2")
            self._boxes[camera.name] = {c: table.column(c).to_numpy().astype(np.float64) for c in columns}
        return self._boxes[camera.name]


def _frame(camera: DemoCamera, at: datetime) -> float:
    return (at - camera.starts_at).total_seconds() * camera.fps


def _overlaps(boxes: dict[str, NDArray[np.float64]], frame: int, box: Box) -> list[tuple[int, float]]:
    """IoU of a box with every true box of the frame that it meets, with the vehicle's number."""
    rows = np.flatnonzero(boxes["frame"] == frame)
    if not len(rows):
        return []
    x1, y1, x2, y2 = (boxes[k][rows] for k in ("x1", "y1", "x2", "y2"))
    width = np.clip(np.minimum(x2, box[2]) - np.maximum(x1, box[0]), 0, None)
    height = np.clip(np.minimum(y2, box[3]) - np.maximum(y1, box[1]), 0, None)
    inter = width * height
    union = (x2 - x1) * (y2 - y1) + (box[2] - box[0]) * (box[3] - box[1]) - inter
    share = inter / np.maximum(union, 1e-9)
    return [(int(v), float(s)) for v, s in zip(boxes["vehicle"][rows], share, strict=True) if s > 0]
