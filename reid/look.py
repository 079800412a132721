# SPDX-License-Identifier: AGPL-3.0-or-later
"""Looking at one GOP: where it moves, what is there, what that looks like. Keeps nothing from one GOP to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from reid.boxes import area, as_boxes, common, side
from reid.closer_look import look_closer
from reid.colour import body_colours, white_gains
from reid.detector import Detections, Detector
from reid.finding import Finding, FrameFindings, pack
from reid.motion import SHARP, STEADY, Motion, Watch
from reid.passage import Box
from reid.tracker import MOVING_SHARE
from reid.travellers import travel_seconds
from reid.views import choose_candidates, cut_view, quality

Frame = tuple[datetime, NDArray[np.uint8]]

LEAST_SIDE_PX = 7.0
"""Boxes smaller than this follow nothing but noise."""
_HARDLY_SEEN = 5.0
"""Root of a box's area, in pixels of the steady eye, up to which that says too little of what is in it."""
_CHUNK = 16
"""Sampled frames held at a time: enough for the detector to stay busy, few enough for any size of picture."""


@dataclass(slots=True)
class Look:
    """What looking at one GOP gave."""

    sampled: list[FrameFindings] = field(default_factory=list)
    travel_explained_s: float = 0.0
    travel_unexplained_s: float = 0.0
    frames: int = 0
    frames_detected: int = 0
    width_px: int = 0
    height_px: int = 0
    """Of the pictures; 0 when there was none."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall seconds by stage: decode (waiting for frames), motion, detect, describe."""


@dataclass(slots=True)
class _Held:
    at: list[datetime] = field(default_factory=list)
    frames: list[NDArray[np.uint8]] = field(default_factory=list)


def look_at(frames: Iterable[Frame], detector: Detector, inside: Callable[[datetime], bool]) -> Look:
    """Look at the frames of one GOP.

    Args:
        frames: (capture time, picture (h, w, 3) BGR) in order, all of one size.
        detector: finds vehicles.
        inside: says whether a capture time is inside what may be indexed; other frames are not looked at.
    """
    look = Look(seconds=dict.fromkeys(("decode", "motion", "detect", "describe"), 0.0))
    steady, sharp = Watch(STEADY), Watch(SHARP)
    seconds: list[float] = []
    boxes: list[NDArray[np.float32]] = []
    motions: list[Motion] = []
    held = _Held()
    gains: NDArray[np.float32] | None = None
    for at, frame in _timed(frames, look):
        if not inside(at):
            continue
        look.frames += 1
        began = perf_counter()
        if gains is None:
            gains = white_gains(frame)
            look.height_px, look.width_px = frame.shape[:2]
        steady.see(frame)
        sharp.see(frame)
        seconds.append(at.timestamp())
        held.at.append(at)
        held.frames.append(frame)
        look.seconds["motion"] += perf_counter() - began
        if len(held.at) >= _CHUNK:
            _chunk(look, detector, held, (steady, sharp), seconds, gains, motions, boxes)
    if held.at and gains is not None:
        _chunk(look, detector, held, (steady, sharp), seconds, gains, motions, boxes)
    if motions:
        began = perf_counter()
        motion = Motion(np.concatenate([m.masks for m in motions]), motions[0].scale)
        look.travel_explained_s, look.travel_unexplained_s = travel_seconds(motion, seconds, boxes)
        look.seconds["motion"] += perf_counter() - began
    return look


def _timed(frames: Iterable[Frame], look: Look) -> Iterator[Frame]:
    source = iter(frames)
    while True:
        began = perf_counter()
        frame = next(source, None)
        look.seconds["decode"] += perf_counter() - began
        if frame is None:
            return
        yield frame


def _chunk(
    look: Look,
    detector: Detector,
    held: _Held,
    watches: tuple[Watch, Watch],
    seconds: list[float],
    gains: NDArray[np.float32],
    motions: list[Motion],
    boxes: list[NDArray[np.float32]],
) -> None:
    """Look at the frames held, and let go of them."""
    began = perf_counter()
    steady, sharp = watches
    first = len(seconds) - len(held.at)
    motion = steady.motion(seconds, range(first, len(seconds)))
    motions.append(motion)
    fine = sharp.motion(seconds, range(first, len(seconds)))
    moving = [i for i in range(len(held.at)) if fine.any(i) or motion.any(i)]
    look.seconds["motion"] += perf_counter() - began

    began = perf_counter()
    answers: dict[int, Detections] = {}
    if moving:
        frames = [held.frames[i] for i in moving]
        where = [Motion(seen.masks[moving], seen.scale) for seen in (motion, fine)]
        answers = dict(zip(moving, look_closer(frames, detector.detect(frames), where, detector), strict=True))
    look.frames_detected += len(moving)
    look.seconds["detect"] += perf_counter() - began

    began = perf_counter()
    found = [
        _describe(held.frames[i], answers[i], (motion, fine), i, gains) if i in answers else []
        for i in range(len(held.at))
    ]
    wanted = choose_candidates(
        [[f.box for f in frame] for frame in found],
        [[f.quality if f.moving >= MOVING_SHARE else 0.0 for f in frame] for frame in found],
        per_vehicle=2,
    )
    for i, at in enumerate(held.at):
        findings = tuple(
            Finding(
                f.box,
                f.score,
                f.vehicle_class,
                f.moving,
                f.quality,
                f.features,
                f.colours,
                cut_view(held.frames[i], at, f.box, f.quality),
            )
            if (i, n) in wanted
            else f
            for n, f in enumerate(found[i])
        )
        look.sampled.append(FrameFindings(at, i in answers, motion.grid(i) if i in answers else b"", findings))
        boxes.append(np.array([f.box for f in findings], dtype=np.float32).reshape(-1, 4))
    look.seconds["describe"] += perf_counter() - began
    held.at.clear()
    held.frames.clear()


def _describe(
    frame: NDArray[np.uint8],
    detections: Detections,
    motions: tuple[Motion, Motion],
    index: int,
    gains: NDArray[np.float32],
) -> list[Finding]:
    """Turn a frame's detections into findings; motion is that of the steady eye and of the sharp one."""
    height, width = frame.shape[:2]
    boxes = as_boxes(detections.boxes)
    whole = drop_fragments(boxes, detections.scores.tolist())
    findings = []
    for row in whole:
        box = boxes[row]
        if min(box[3] - box[1], box[2] - box[0]) < LEAST_SIDE_PX:
            continue
        moving = _moving(motions, index, box)
        score = float(detections.scores[row])
        worth = 0.0
        features = colours = b""
        # Parked cars are in every frame: they are followed by nobody, and described for nobody.
        if moving >= MOVING_SHARE / 2:
            crop = frame[int(box[1]) : int(np.ceil(box[3])), int(box[0]) : int(np.ceil(box[2]))]
            worth = quality(crop, box, score, width, height, [b for i, b in enumerate(boxes) if i != row])
            shares = body_colours(frame, box, gains)
            colours = b"" if shares is None else pack(shares)
            if detections.features is not None and detections.features[row].any():
                features = pack(detections.features[row])
        findings.append(
            Finding(box, score, detections.classes[row], round(moving, 4), round(worth, 5), features, colours)
        )
    return findings


def _moving(motions: tuple[Motion, Motion], index: int, box: Box) -> float:
    """Which share of a box changes, 0 to 1; of one that the steady eye hardly makes out, as the sharp one sees it."""
    steady, sharp = motions
    share = steady.share(index, box)
    return max(share, sharp.share(index, box)) if side(box) * steady.scale <= _HARDLY_SEEN else share


def drop_fragments(boxes: Sequence[Box], scores: Sequence[float]) -> list[int]:
    """Rows of the boxes that are vehicles rather than pieces of one: cab and trailer, or a car cut by a post.

    A weaker box that lies almost wholly in a stronger one, or the other way about, is the same vehicle unless it is far
    smaller: a car in front of a bus.
    """
    kept: list[int] = []
    for row in sorted(range(len(boxes)), key=lambda r: -scores[r]):
        if not any(_same(boxes[row], boxes[other]) for other in kept):
            kept.append(row)
    return sorted(kept)


def _same(a: Box, b: Box) -> bool:
    small, large = sorted((area(a), area(b)))
    return common(a, b) >= 0.75 and large <= 4 * small
