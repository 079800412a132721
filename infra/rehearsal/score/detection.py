# SPDX-License-Identifier: AGPL-3.0-or-later
"""A detector on frames of a rendered town: recall and precision by size, class and how much is hidden."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from infra.rehearsal.score.found import AS_DETECTED
from infra.rehearsal.town_site import described
from infra.rehearsal.truth import load_truth
from infra.training.matching import match
from reid.detector import Detector
from reid.passage import VEHICLE_CLASSES
from reid.suppression import iou_matrix

LARGE_HEIGHT_PX = 64.0
LARGE_SHARE = 0.75
HEIGHTS = ((AS_DETECTED.height_px, 32.0), (32.0, 64.0), (64.0, 128.0), (128.0, 10_000.0))
SHARES = ((0.5, 0.75), (0.75, 0.95), (0.95, 1.01))
Tell = Callable[[int, int], None]


@dataclass(slots=True)
class DetectionScore:
    """Counts over the sampled frames. Vehicles over 24 px high and less than half hidden count; others are ignored."""

    frames: int = 0
    truth: int = 0
    hit: int = 0
    detections: int = 0
    by: dict[str, Counter[str]] = field(default_factory=dict)
    """`height 32-64`, `visible 0.5-0.75`, `class car`, `body hatch_small` → truth, hit."""
    false_by: Counter[str] = field(default_factory=Counter)
    """False alarms by what is there: `nothing`, a vehicle that the box fits badly (`loose`), or one that is found
    already (`double`)."""
    false_small: int = 0
    """Of them those no higher than a vehicle must be to count."""
    large: int = 0
    large_hit: int = 0
    """Cars, vans, buses, trucks over 64 px high and less than a quarter hidden; found as any vehicle."""
    large_cars: int = 0
    large_cars_as_car: int = 0

    @property
    def false(self) -> int:
        """Detections that are no vehicle and lie in no ignore region."""
        return self.false_by.total()

    @property
    def recall(self) -> float:
        """Share of counted vehicles that were found."""
        return self.hit / self.truth if self.truth else float("nan")

    @property
    def precision(self) -> float:
        """Share of detections (outside ignore regions) that are vehicles."""
        counted = self.hit + self.false
        return self.hit / counted if counted else float("nan")

    @property
    def large_recall(self) -> float:
        """Recall of large, whole vehicles."""
        return self.large_hit / self.large if self.large else float("nan")

    @property
    def car_as_car(self) -> float:
        """Share of the large cars found that are called cars."""
        return self.large_cars_as_car / self.large_cars if self.large_cars else float("nan")


def score(town: Path, detector: Detector, *, every_s: float, tell: Tell) -> DetectionScore:
    """Run `detector` on one frame in `every_s` seconds of every camera. Raises TruthError for no rendered town."""
    truth = load_truth(town)
    vehicles = truth.table("vehicles")
    kinds, bodies = vehicles.column("kind").to_pylist(), vehicles.column("body").to_pylist()
    out = DetectionScore()
    cameras = described(town)["cameras"]
    for number, camera in enumerate(cameras):
        boxes = truth.boxes(camera["name"])
        column: dict[str, NDArray[Any]] = {n: boxes.column(n).to_numpy() for n in boxes.column_names}
        for frame, picture in sampled(town / camera["file"], float(camera["fps"]), every_s):
            part = slice(*np.searchsorted(column["frame"], [frame, frame + 1]))
            score_frame(out, detector, picture, {k: v[part] for k, v in column.items()}, kinds, bodies)
        tell(number + 1, len(cameras))
    return out


def sampled(video: Path, fps: float, every_s: float) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Frame number by presentation time, and picture (BGR): of one group of pictures in `every_s` seconds.

    The picture is its group's second, coded as a difference like most; of the others none is decoded.
    """
    step = max(1, round(fps * every_s))
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        first: float | None = None
        due, in_group, wanted = 0, 0, False
        for packet in container.demux(stream):
            if packet.pts is None or packet.time_base is None:
                continue
            at = float(packet.pts * packet.time_base)
            first = at if first is None else first
            number = round((at - first) * fps)
            if packet.is_keyframe:
                in_group, wanted = 0, number >= due
            in_group += 1
            if not wanted or in_group > 2:
                continue
            pictures = packet.decode()
            if in_group == 2 and pictures:
                due = number - number % step + step
                yield number, pictures[-1].to_ndarray(format="bgr24")


def score_frame(
    out: DetectionScore,
    detector: Detector,
    picture: NDArray[np.uint8],
    rows: dict[str, NDArray[Any]],
    kinds: list[str],
    bodies: list[str],
) -> None:
    """Add one picture and its rows of the truth to the counts; `kinds` and `bodies` by the vehicle's row."""
    xyxy = np.stack([rows[k] for k in ("x1", "y1", "x2", "y2")], axis=1).astype(np.float32).reshape(-1, 4)
    height = xyxy[:, 3] - xyxy[:, 1]
    share = rows["visible_share"]
    of = np.array([kinds[v] in VEHICLE_CLASSES for v in rows["vehicle"]], bool)
    counted = of & (height > AS_DETECTED.height_px) & (share > AS_DETECTED.share)
    found = detector.detect([picture])[0]
    matched = match(xyxy[counted], xyxy[of & ~counted], found.boxes)
    out.frames += 1
    out.truth += int(counted.sum())
    out.hit += int(matched.truth_hit.sum())
    out.detections += len(found)
    false = found.boxes[matched.false_alarm]
    out.false_by.update(_what_is_there(xyxy[of], false))
    out.false_small += int((false[:, 3] - false[:, 1] <= AS_DETECTED.height_px).sum())
    for row, hit in zip(np.flatnonzero(counted), matched.truth_hit, strict=True):
        vehicle = int(rows["vehicle"][row])
        for key in _keys(float(height[row]), float(share[row]), kinds[vehicle], bodies[vehicle]):
            out.by.setdefault(key, Counter()).update(truth=1, hit=int(hit))
    large = counted & (height > LARGE_HEIGHT_PX) & (share > LARGE_SHARE)
    large &= np.array([kinds[v] != "motorcycle" for v in rows["vehicle"]], bool)
    if not large.any():
        return
    overlap = iou_matrix(xyxy[large], found.boxes) if len(found) else np.zeros((int(large.sum()), 0))
    for place, row in enumerate(np.flatnonzero(large)):
        best = int(overlap[place].argmax()) if overlap.shape[1] else -1
        hit = best >= 0 and overlap[place, best] >= 0.5
        out.large += 1
        out.large_hit += int(hit)
        vehicle = int(rows["vehicle"][row])
        out.by.setdefault(f"large {bodies[vehicle]}", Counter()).update(truth=1, hit=int(hit))
        if hit and kinds[vehicle] == "car":
            out.large_cars += 1
            out.large_cars_as_car += int(found.classes[best] == "car")


def _what_is_there(vehicles: NDArray[np.float32], boxes: NDArray[np.float32]) -> list[str]:
    """What each false alarm lies on (see `DetectionScore.false_by`)."""
    if not len(vehicles):
        return ["nothing"] * len(boxes)
    best = iou_matrix(vehicles, boxes).max(axis=0)
    return ["double" if iou >= 0.5 else "loose" if iou >= 0.1 else "nothing" for iou in best]


def _keys(height: float, share: float, kind: str, body: str) -> Iterator[str]:
    yield next(f"height {low:.0f}-{high:.0f}" for low, high in HEIGHTS if low <= height < high)
    yield next(f"visible {low:.2f}-{high:.2f}" for low, high in SHARES if low <= share < high)
    yield f"class {kind}"
    yield f"body {body}"
