# SPDX-License-Identifier: AGPL-3.0-or-later
"""Passages and tracks against the truth: found, missed, doubled, broken; HOTA and IDF1 by TrackEval."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from trackeval.metrics import HOTA, Identity

from infra.rehearsal.passages import LEAST_FRAMES
from infra.rehearsal.score.found import IOU, CameraFrames

COVERED = 0.5
"""Share of a true passage's seen frames that one predicted passage must cover."""


@dataclass(slots=True)
class Matching:
    """Which predicted passage follows which vehicle, per camera."""

    owner: dict[int, int] = field(default_factory=dict)
    """Predicted passage (index) → vehicle row it follows in most of its frames; absent: none."""
    pairs: dict[tuple[int, int], set[int]] = field(default_factory=lambda: defaultdict(set))
    """(predicted passage, vehicle row) → frames in which they overlap by `IOU`."""
    lengths: Counter[int] = field(default_factory=Counter)
    """Predicted passage → frames it has outside ignore regions."""


@dataclass(frozen=True, slots=True)
class PassageScore:
    """Counts of true and predicted passages."""

    truth: int
    found: int
    doubled: int
    broken: int
    predicted: int
    false: int
    """Predicted passages that follow no vehicle."""
    missed_rows: tuple[dict[str, Any], ...]
    doubled_rows: tuple[dict[str, Any], ...]
    broken_rows: tuple[dict[str, Any], ...]
    false_indices: tuple[int, ...]


def match(camera: CameraFrames) -> Matching:
    """Overlap of every predicted passage with every vehicle, frame by frame."""
    out = Matching()
    for frame, overlap in enumerate(camera.overlaps):
        for t, f in zip(*np.nonzero(overlap.iou >= IOU), strict=True):
            out.pairs[int(camera.found_ids[frame][f]), int(camera.truth_ids[frame][t])].add(frame)
        out.lengths.update(int(p) for p in camera.found_ids[frame][overlap.counts])
    best: dict[int, tuple[int, int]] = {}
    for (predicted, vehicle), frames in out.pairs.items():
        if len(frames) > best.get(predicted, (0, 0))[0]:
            best[predicted] = (len(frames), vehicle)
    out.owner = {p: v for p, (n, v) in best.items() if n >= 0.3 * max(1, out.lengths[p])}
    return out


def passages(camera: CameraFrames, matching: Matching, truth: pa.Table) -> PassageScore:
    """Hold predicted passages against the true passages of one camera (rows of `truth/passages.parquet`).

    A true passage counts when at least three of its frames do.
    """
    rows = truth.filter(pc.field("camera") == camera.name).to_pylist()
    seen: dict[int, set[int]] = defaultdict(set)
    for frame, ids in enumerate(camera.truth_ids):
        for vehicle in ids:
            seen[int(vehicle)].add(frame)
    counted = found = doubled = broken = 0
    missed, doubles, breaks = [], [], []
    for row in rows:
        frames = {f for f in seen[row["vehicle"]] if row["entry_frame"] <= f <= row["exit_frame"]}
        if len(frames) < LEAST_FRAMES:
            continue
        counted += 1
        covers = {
            p: over & frames
            for (p, v), over in matching.pairs.items()
            if v == row["vehicle"] and matching.owner.get(p) == v and over & frames
        }
        if not covers:
            missed.append(row)
            continue
        main = max(covers, key=lambda p: len(covers[p]))
        if len(covers[main]) >= COVERED * len(frames):
            found += 1
        else:
            missed.append(row)
        others = [p for p in covers if p != main]
        if any(len(covers[p] & covers[main]) > 0.5 * len(covers[p]) for p in others):
            doubled += 1
            doubles.append(row)
        elif others:
            broken += 1
            breaks.append(row)
    own = sorted({int(i) for ids in camera.found_ids for i in ids})
    false = tuple(p for p in own if p not in matching.owner and matching.lengths[p] >= 3)
    return PassageScore(
        truth=counted,
        found=found,
        doubled=doubled,
        broken=broken,
        predicted=len(own),
        false=len(false),
        missed_rows=tuple(missed),
        doubled_rows=tuple(doubles),
        broken_rows=tuple(breaks),
        false_indices=false,
    )


def single_camera(cameras: Sequence[CameraFrames], truth: pa.Table) -> dict[str, Any]:
    """TrackEval's input for cameras laid one after another, each for itself (`truth`: see `passages`).

    A true identity is one crossing of a camera: who comes by again minutes later makes another passage, in the truth as
    in what is found (so do MOTChallenge's annotations: who has left and returns is somebody new).
    """
    entries: dict[tuple[str, int], list[int]] = defaultdict(list)
    for row in sorted(truth.select(["camera", "vehicle", "entry_frame"]).to_pylist(), key=itemgetter("entry_frame")):
        entries[row["camera"], row["vehicle"]].append(row["entry_frame"])
    crossings: dict[tuple[str, int, int], int] = {}

    def crossing(camera: CameraFrames, frame: int) -> list[int]:
        keys = [
            (camera.name, int(v), bisect_right(entries[camera.name, int(v)], frame)) for v in camera.truth_ids[frame]
        ]
        return [crossings.setdefault(key, len(crossings)) for key in keys]

    return _sequence(
        cameras,
        [[np.array(crossing(camera, frame), np.int64) for frame in range(len(camera.overlaps))] for camera in cameras],
        [camera.found_ids for camera in cameras],
    )


def across_cameras(cameras: Sequence[CameraFrames], name_of: Sequence[int] | NDArray[np.int64]) -> dict[str, Any]:
    """The same with vehicles as true identities; `name_of[passage index]` is the vehicle a passage was linked to."""
    return _sequence(
        cameras,
        [camera.truth_ids for camera in cameras],
        [[np.array([name_of[int(i)] for i in ids], np.int64) for ids in camera.found_ids] for camera in cameras],
    )


def _sequence(
    cameras: Sequence[CameraFrames],
    truth: Sequence[Sequence[NDArray[np.int64]]],
    found: Sequence[Sequence[NDArray[np.int64]]],
) -> dict[str, Any]:
    """Cameras laid one after another; `truth` and `found`: of each camera and frame, the identities of its boxes."""
    truth_ids: list[NDArray[np.int64]] = []
    found_ids: list[NDArray[np.int64]] = []
    scores: list[NDArray[np.float64]] = []
    for number, camera in enumerate(cameras):
        for frame, overlap in enumerate(camera.overlaps):
            truth_ids.append(truth[number][frame])
            found_ids.append(found[number][frame][overlap.counts])
            scores.append(overlap.iou[:, overlap.counts].astype(float))
    t_names, t_ids_flat = _dense(truth_ids)
    f_names, f_ids_flat = _dense(found_ids)
    return {
        "num_timesteps": len(scores),
        "num_gt_ids": t_names,
        "num_tracker_ids": f_names,
        "num_gt_dets": sum(map(len, truth_ids)),
        "num_tracker_dets": sum(map(len, found_ids)),
        "gt_ids": t_ids_flat,
        "tracker_ids": f_ids_flat,
        "similarity_scores": scores,
    }


def _dense(lists: list[NDArray[np.int64]]) -> tuple[int, list[NDArray[np.int64]]]:
    names = np.unique(np.concatenate([*lists, np.zeros(0, np.int64)]))
    return len(names), [np.searchsorted(names, ids) for ids in lists]


def idf1(data: dict[str, Any]) -> float:
    """IDF1 of one sequence at IoU 0.5."""
    return float(Identity({"THRESHOLD": IOU, "PRINT_CONFIG": False}).eval_sequence(data)["IDF1"])


def hota(data: dict[str, Any]) -> float:
    """HOTA of one sequence, mean over localisation thresholds."""
    return float(np.mean(HOTA().eval_sequence(data)["HOTA"]))
