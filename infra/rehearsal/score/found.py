# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the pipeline found in a rendered town, and the truth it is held against, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from infra.rehearsal.passages import SEEN_HEIGHT_PX, SEEN_SHARE
from infra.rehearsal.truth import Truth
from reid.passage import VEHICLE_CLASSES, Coverage, Passage, Track
from reid.suppression import iou_matrix


@dataclass(frozen=True, slots=True)
class Judged:
    """Which frames of a vehicle count; in the others finding it is neither right nor wrong."""

    height_px: float
    """Least height of its visible box."""
    share: float
    """Least share of it that shows."""


AS_DETECTED = Judged(24.0, 0.5)
"""What the detector is judged by, too."""
EVERY_ONE = Judged(SEEN_HEIGHT_PX, SEEN_SHARE)
"""Every frame that makes a passage in the truth: far and half hidden vehicles as well."""
LONGEST_FILL_S = 1.5
"""A predicted path is drawn straight between two sightings no farther apart than this."""


class Found(msgspec.Struct, frozen=True):
    """Everything one run wrote to the store."""

    passages: tuple[Passage, ...]
    tracks: tuple[Track, ...]
    vehicles: dict[str, str]
    """Passage id → vehicle id of `flows.link`."""
    coverage: tuple[Coverage, ...]
    camera_starts: dict[str, datetime]
    """What each camera's clock said at its first frame."""
    seconds_of_video: float
    seconds_taken: float


def save(found: Found, file: Path) -> None:
    """Keep a run, so that it can be scored again without running again."""
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(".half")
    half.write_bytes(msgspec.msgpack.encode(found))
    half.replace(file)


def load(file: Path) -> Found:
    """Read a kept run."""
    return msgspec.msgpack.decode(file.read_bytes(), type=Found)


IOU = 0.5
"""From here a found box and a true one are of the same vehicle."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """One frame's true and found boxes held against each other."""

    iou: NDArray[np.float32]
    """(true, found)."""
    counts: NDArray[np.bool_]
    """(found,): False for what lies on an ignored vehicle and on no other."""


@dataclass(frozen=True)
class CameraFrames:
    """One camera: true and predicted boxes of every frame. Lists have one entry a frame."""

    name: str
    fps: float
    frames: int
    truth_ids: list[NDArray[np.int64]]
    """Rows of the vehicle table, of those that count."""
    truth_boxes: list[NDArray[np.float32]]
    ignore_boxes: list[NDArray[np.float32]]
    """Vehicles too small, too hidden or parked: finding them is neither right nor wrong."""
    found_ids: list[NDArray[np.int64]]
    """Index into `Found.passages`."""
    found_boxes: list[NDArray[np.float32]]

    @cached_property
    def overlaps(self) -> list[Overlap]:
        """Of every frame; worked out once, since every figure needs them."""
        return [_overlap(*boxes) for boxes in zip(self.truth_boxes, self.found_boxes, self.ignore_boxes, strict=True)]


def _overlap(truth: NDArray[np.float32], found: NDArray[np.float32], ignored: NDArray[np.float32]) -> Overlap:
    iou = iou_matrix(truth, found)
    excused = iou_matrix(ignored, found).max(axis=0, initial=0.0) >= IOU
    return Overlap(iou, ~excused | (iou.max(axis=0, initial=0.0) >= IOU))


def cameras(truth: Truth, found: Found, judged: Judged = EVERY_ONE) -> Iterator[CameraFrames]:
    """Every camera of the town with its frames laid side by side."""
    table = truth.table("cameras").to_pylist()
    kinds = truth.table("vehicles").column("kind").to_pylist()
    is_vehicle = np.array([k in VEHICLE_CLASSES for k in kinds])
    by_camera: dict[str, list[int]] = {}
    for index, passage in enumerate(found.passages):
        by_camera.setdefault(passage.camera, []).append(index)
    tracks = {t.passage_id: t for t in found.tracks}
    for row in table:
        name, fps = row["name"], float(row["fps"])
        if name not in truth.summary["frames"]:
            continue
        frames = int(truth.summary["frames"][name])
        ids, boxes, ignored = _truth_frames(truth, name, frames, is_vehicle, judged)
        found_ids: list[list[int]] = [[] for _ in range(frames)]
        found_boxes: list[list[NDArray[np.float32]]] = [[] for _ in range(frames)]
        start = found.camera_starts[name]
        for index in by_camera.get(name, []):
            track = tracks.get(found.passages[index].id)
            if track is None:
                continue
            for frame, box in _path(track, start, fps, frames):
                found_ids[frame].append(index)
                found_boxes[frame].append(box)
        yield CameraFrames(
            name=name,
            fps=fps,
            frames=frames,
            truth_ids=ids,
            truth_boxes=boxes,
            ignore_boxes=ignored,
            found_ids=[np.array(i, np.int64) for i in found_ids],
            found_boxes=[np.array(b, np.float32).reshape(-1, 4) for b in found_boxes],
        )


def _truth_frames(
    truth: Truth, camera: str, frames: int, is_vehicle: NDArray[np.bool_], judged: Judged
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    boxes = truth.boxes(camera)
    column: dict[str, NDArray[Any]] = {n: boxes.column(n).to_numpy() for n in boxes.column_names}
    xyxy = np.stack([column[k] for k in ("x1", "y1", "x2", "y2")], axis=1).astype(np.float32)
    vehicle = is_vehicle[column["vehicle"]]
    counts = (
        vehicle
        & (column["visible_share"] >= judged.share)
        & (xyxy[:, 3] - xyxy[:, 1] >= judged.height_px)
        & ~column["parked"].astype(bool)
    )
    frame = column["frame"]
    ids, kept, ignored = [], [], []
    starts = np.searchsorted(frame, np.arange(frames + 1))
    for n in range(frames):
        part = slice(starts[n], starts[n + 1])
        yes = counts[part]
        no = vehicle[part] & ~yes
        ids.append(column["vehicle"][part][yes].astype(np.int64))
        kept.append(xyxy[part][yes])
        ignored.append(xyxy[part][no])
    return ids, kept, ignored


def _path(track: Track, start: datetime, fps: float, frames: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Frame numbers and boxes of a predicted path, straight between its sightings."""
    times = np.array([(s.at - start).total_seconds() for s in track.sightings])
    boxes = np.array([s.box for s in track.sightings], np.float64)
    if not len(times):
        return
    first, last = max(0, round(times[0] * fps)), min(frames - 1, round(times[-1] * fps))
    for frame in range(first, last + 1):
        at = min(max(frame / fps, times[0]), times[-1])
        after = int(np.searchsorted(times, at))
        low, high = max(0, after - 1), min(len(times) - 1, after)
        if times[high] - times[low] > LONGEST_FILL_S:
            continue
        share = 0.0 if high == low else (at - times[low]) / max(times[high] - times[low], 1e-9)
        yield frame, (boxes[low] + share * (boxes[high] - boxes[low])).astype(np.float32)
