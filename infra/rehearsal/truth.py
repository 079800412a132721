# SPDX-License-Identifier: AGPL-3.0-or-later
"""The truth of a rendered town, as Parquet files beside its videos. Schema: `docs/town.md`.

Order of writing: `write_town` once, one `CameraTruth` per camera (in any process, in any order), `finish_truth`
once. Every file appears whole or not at all, carries the town's digest, and `truth.json` comes last: a folder
without it is an interrupted render and `load_truth` says so.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from infra.rehearsal.errors import TruthError
from infra.rehearsal.passages import passages_of
from infra.rehearsal.world import Camera, Frame, Town, Traffic

POSES_EVERY_S = 0.2
PARKED_POSES_EVERY_S = 10.0

BOXES = pa.schema(
    [
        pa.field("frame", pa.int32()),
        pa.field("time_s", pa.float64()),
        pa.field("vehicle", pa.int32()),
        pa.field("x1", pa.float32()),
        pa.field("y1", pa.float32()),
        pa.field("x2", pa.float32()),
        pa.field("y2", pa.float32()),
        pa.field("full_x1", pa.float32()),
        pa.field("full_y1", pa.float32()),
        pa.field("full_x2", pa.float32()),
        pa.field("full_y2", pa.float32()),
        pa.field("visible_share", pa.float32()),
        pa.field("visible_px", pa.int32()),
        pa.field("distance_m", pa.float32()),
        pa.field("speed_mps", pa.float32()),
        pa.field("heading_deg", pa.float32()),
        pa.field("parked", pa.bool_()),
    ]
)
"""One row per frame and vehicle of which at least one pixel is seen. Boxes in pixels of the encoded picture."""


def true_utc(town: Town, time_s: float) -> datetime:
    """Aware UTC of a town time."""
    return datetime.fromisoformat(town.start_utc) + timedelta(seconds=time_s)


def clock_utc(town: Town, camera: Camera, time_s: float) -> datetime:
    """What the camera's own clock shows at a town time: offset and drift included."""
    wrong = camera.clock_offset_s + camera.clock_drift_ppm * 1e-6 * time_s
    return true_utc(town, time_s + wrong)


def pose_at(traffic: Traffic, time_s: float) -> Frame:
    """Where everything is at any moment: straight between two samples, over the shorter way round in angle."""
    place = time_s / traffic.step_s
    low = min(max(int(np.floor(place + 1e-9)), 0), len(traffic.frames) - 1)
    before = traffic.frames[low]
    share = place - low
    if share < 1e-6 or low + 1 >= len(traffic.frames):
        return before
    after = traffic.frames[low + 1]
    _, a, b = np.intersect1d(before.index, after.index, assume_unique=True, return_indices=True)
    turn = (after.heading_deg[b] - before.heading_deg[a] + 180.0) % 360.0 - 180.0

    def between(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
        return (x[a] + (y[b] - x[a]) * np.float32(share)).astype(np.float32)

    return Frame(
        time_s=time_s,
        index=before.index[a],
        x=between(before.x, after.x),
        y=between(before.y, after.y),
        heading_deg=((before.heading_deg[a] + turn * np.float32(share)) % 360.0).astype(np.float32),
        speed_mps=between(before.speed_mps, after.speed_mps),
        signals=before.signals[a],
    )


def is_out(camera: Camera, time_s: float) -> bool:
    """Whether the camera gives nothing at a town time."""
    return any(outage.from_s <= time_s < outage.to_s for outage in camera.outages)


class CameraTruth:
    """Collects what one camera truly saw, frame by frame, and writes it at the end."""

    def __init__(self, folder: Path, town: Town, traffic: Traffic, camera: Camera) -> None:
        self.file = boxes_file(folder, camera.name)
        self._town, self._traffic, self._camera = town, traffic, camera
        self._parts: list[pa.RecordBatch] = []
        self._frames = 0

    def add(
        self,
        frame: int,
        pose: Frame,
        vehicle: NDArray[np.int32],
        visible_xyxy: NDArray[np.float32],
        full_xyxy: NDArray[np.float32],
        visible_px: NDArray[np.int32],
        full_px: NDArray[np.int32],
        distance_m: NDArray[np.float32],
    ) -> None:
        """One frame. All arrays have one row per vehicle seen (n; boxes n×4).

        `vehicle` are rows of `Traffic.vehicles`; `visible_px` counts the pixels that show it, `full_px` those it
        would have with nothing before it and an unbounded picture; `pose` is where everything stood.
        """
        self._frames = max(self._frames, frame + 1)
        keep = np.flatnonzero(visible_px > 0)
        if not len(keep):
            return
        keep = keep[np.argsort(vehicle[keep], kind="stable")]
        order = np.argsort(pose.index, kind="stable")
        rows = order[np.searchsorted(pose.index, vehicle[keep], sorter=order)]
        share = np.minimum(1.0, visible_px[keep] / np.maximum(full_px[keep], 1))
        seen, full = visible_xyxy[keep].astype(np.float32), full_xyxy[keep].astype(np.float32)
        columns: list[Any] = [
            np.full(len(keep), frame, np.int32),
            np.full(len(keep), pose.time_s, np.float64),
            vehicle[keep].astype(np.int32),
            *seen.T,
            *full.T,
            share.astype(np.float32),
            visible_px[keep].astype(np.int32),
            distance_m[keep].astype(np.float32),
            pose.speed_mps[rows].astype(np.float32),
            pose.heading_deg[rows].astype(np.float32),
            (pose.signals[rows] & 8) > 0,
        ]
        arrays = [pa.array(np.ascontiguousarray(c), type=f.type) for c, f in zip(columns, BOXES, strict=True)]
        self._parts.append(pa.RecordBatch.from_arrays(arrays, schema=BOXES))

    def close(self, frames: int) -> None:
        """Writes the file; `frames` is the number of frames of the video, empty ones included."""
        table = pa.Table.from_batches(self._parts, schema=BOXES)
        _write(table, self.file, self._town, {"camera": self._camera.name, "frames": str(frames)})


def boxes_file(folder: Path, camera: str) -> Path:
    """Where one camera's boxes lie."""
    return folder / "truth" / "boxes" / f"{camera}.parquet"


def _write(table: pa.Table, file: Path, town: Town, more: dict[str, str] | None = None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    notes = {"town": town.name, "digest": town.digest, "start_utc": town.start_utc, **(more or {})}
    table = table.replace_schema_metadata(notes)
    half = file.with_name(f".{file.name}.{os.getpid()}.half")
    try:
        pq.write_table(table, half, compression="zstd")
        half.replace(file)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise TruthError(f"{file}: cannot be written: {error}; free some space and run it again") from error


def write_town(folder: Path, town: Town, traffic: Traffic) -> None:
    """Writes who was there (`vehicles`), where they were (`poses`) and the cameras (`cameras`)."""
    truth = folder / "truth"
    _write(_vehicles(traffic), truth / "vehicles.parquet", town)
    _write(_poses(traffic), truth / "poses.parquet", town)
    _write(_cameras(town), truth / "cameras.parquet", town)


def _vehicles(traffic: Traffic) -> pa.Table:
    rows = traffic.vehicles
    return pa.table(
        {
            "vehicle": pa.array(range(len(rows)), pa.int32()),
            "identity": [v.identity for v in rows],
            "kind": [v.kind for v in rows],
            "body": [v.body for v in rows],
            "colour": [v.colour for v in rows],
            "red": pa.array([v.rgb[0] for v in rows], pa.uint8()),
            "green": pa.array([v.rgb[1] for v in rows], pa.uint8()),
            "blue": pa.array([v.rgb[2] for v in rows], pa.uint8()),
            "marks": pa.array([list(v.marks) for v in rows], pa.list_(pa.string())),
            "mark_seed": pa.array([v.mark_seed for v in rows], pa.int64()),
            "length_m": pa.array([v.length_m for v in rows], pa.float32()),
            "width_m": pa.array([v.width_m for v in rows], pa.float32()),
            "height_m": pa.array([v.height_m for v in rows], pa.float32()),
        }
    )


def _poses(traffic: Traffic) -> pa.Table:
    every = max(1, round(POSES_EVERY_S / traffic.step_s))
    parked_every = max(1, round(PARKED_POSES_EVERY_S / traffic.step_s))
    parts: dict[str, list[NDArray[Any]]] = {k: [] for k in ("t", "v", "x", "y", "h", "s", "g")}
    for number in range(0, len(traffic.frames), every):
        frame = traffic.frames[number]
        keep = (frame.signals & 8) == 0
        if number % parked_every == 0:
            keep[:] = True
        parts["t"].append(np.full(int(keep.sum()), frame.time_s))
        for key, column in zip(
            "vxyhsg",
            (frame.index, frame.x, frame.y, frame.heading_deg, frame.speed_mps, frame.signals),
            strict=True,
        ):
            parts[key].append(np.asarray(column)[keep])
    joined: dict[str, NDArray[Any]] = {k: np.concatenate(v) for k, v in parts.items()}
    names = ("time_s", "vehicle", "x", "y", "heading_deg", "speed_mps", "signals")
    return pa.table(dict(zip(names, joined.values(), strict=True)))


def _cameras(town: Town) -> pa.Table:
    plain = (
        "name", "place", "height_m", "heading_deg", "tilt_deg", "hfov_deg", "width_px", "height_px", "fps", "codec",
        "distortion_k1", "clock_offset_s", "clock_drift_ppm",
    )  # fmt: skip
    table: dict[str, Any] = {key: [getattr(c, key) for c in town.cameras] for key in plain}
    table["x"] = [c.at[0] for c in town.cameras]
    table["y"] = [c.at[1] for c in town.cameras]
    spans = [[[o.from_s, o.to_s] for o in c.outages] for c in town.cameras]
    table["outages"] = pa.array(spans, pa.list_(pa.list_(pa.float64())))
    return pa.table(table)


def finish_truth(folder: Path, town: Town, traffic: Traffic, cameras: tuple[str, ...] | None = None) -> None:
    """Works out the passages of the rendered cameras and marks the folder as whole.

    Raises TruthError when a camera's boxes are missing or belong to another town.
    """
    names = cameras or tuple(c.name for c in town.cameras)
    by_name = {c.name: c for c in town.cameras}
    tables, frames, boxes = [], {}, 0
    for name in names:
        file = boxes_file(folder, name)
        if not file.exists():
            raise TruthError(f"{file} is missing: camera {name} was not rendered to its end; run the render again")
        table = pq.read_table(file)
        notes = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
        if notes.get("digest") != town.digest:
            raise TruthError(f"{file} belongs to another plan or seed; render into an empty folder")
        frames[name] = int(notes["frames"])
        boxes += table.num_rows
        tables.append(passages_of(table, by_name[name], town, traffic, frames[name]))
    passages = pa.concat_tables(tables)
    _write(passages, folder / "truth" / "passages.parquet", town)
    summary = {
        "town": town.name,
        "family": town.family,
        "seed": town.seed,
        "digest": town.digest,
        "start_utc": town.start_utc,
        "light": town.weather.light,
        "rain": town.weather.rain,
        "cameras": list(names),
        "frames": frames,
        "vehicles": len(traffic.vehicles),
        "boxes": boxes,
        "passages": passages.num_rows,
        "notes": town.notes,
    }
    half = folder / "truth" / ".truth.json.half"
    half.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    half.replace(folder / "truth" / "truth.json")


@dataclass(frozen=True, slots=True)
class Truth:
    """A finished truth folder; tables are read when asked for."""

    folder: Path
    summary: dict[str, Any]

    def table(self, name: str) -> pa.Table:
        """`vehicles`, `poses`, `cameras` or `passages`."""
        return pq.read_table(self.folder / "truth" / f"{name}.parquet")

    def boxes(self, camera: str) -> pa.Table:
        """The boxes of one camera."""
        return pq.read_table(boxes_file(self.folder, camera))


def load_truth(folder: Path) -> Truth:
    """Opens the truth of a rendered town; raises TruthError for an interrupted render."""
    file = folder / "truth" / "truth.json"
    if not file.exists():
        raise TruthError(f"{folder} holds no finished town: truth/truth.json is missing; run the render again")
    return Truth(folder, json.loads(file.read_text(encoding="utf-8")))
