# SPDX-License-Identifier: AGPL-3.0-or-later
"""From boxes to true passages: when each vehicle came into a camera's view and when it left.

A frame counts as seen when at least a quarter of the vehicle shows, at least 16 pixels high, and it is not parked.
A passage holds every seen frame with gaps of at most two seconds, or longer ones in which the vehicle never left
the picture nor parked (it stood behind a bus). It needs three seen frames and four metres of way. Pedestrians and
cyclists make no passages.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from infra.rehearsal.world import Camera, Town, Traffic

SEEN_SHARE = 0.25
SEEN_HEIGHT_PX = 16.0
GAP_S = 2.0
LEAST_FRAMES = 3
LEAST_WAY_M = 4.0
NO_PASSAGES = ("pedestrian", "bicycle")

PASSAGES = pa.schema(
    [
        pa.field("camera", pa.string()),
        pa.field("vehicle", pa.int32()),
        pa.field("identity", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("body", pa.string()),
        pa.field("colour", pa.string()),
        pa.field("entry_frame", pa.int32()),
        pa.field("exit_frame", pa.int32()),
        pa.field("entered_at", pa.timestamp("us", "UTC")),
        pa.field("left_at", pa.timestamp("us", "UTC")),
        pa.field("entered_s", pa.float64()),
        pa.field("left_s", pa.float64()),
        pa.field("seen_frames", pa.int32()),
        pa.field("max_height_px", pa.float32()),
        pa.field("mean_visible_share", pa.float32()),
        pa.field("entry_side", pa.string()),
        pa.field("exit_side", pa.string()),
        pa.field("cut", pa.bool_()),
    ]
)
"""`cut`: the recording began, ended or had an outage while the vehicle was in view."""


def passages_of(boxes: pa.Table, camera: Camera, town: Town, traffic: Traffic, frames: int) -> pa.Table:
    """The true passages of one camera, by entry; `boxes` as in `truth.BOXES`, by frame."""
    columns = {name: boxes.column(name).to_numpy() for name in boxes.column_names}
    rows: list[dict[str, Any]] = []
    gap = round(GAP_S * camera.fps)
    start = datetime.fromisoformat(town.start_utc).timestamp()
    order = np.lexsort((columns["frame"], columns["vehicle"]))
    owners = columns["vehicle"][order]
    for part in np.split(order, np.flatnonzero(np.diff(owners)) + 1):
        if not len(part):
            continue
        vehicle = traffic.vehicles[int(columns["vehicle"][part[0]])]
        if vehicle.kind in NO_PASSAGES:
            continue
        for piece in _pieces({k: v[part] for k, v in columns.items()}, gap):
            if len(piece["frame"]) < LEAST_FRAMES or not _moves(piece, camera):
                continue
            first, last = int(piece["frame"][0]), int(piece["frame"][-1])
            entered, left = float(piece["time_s"][0]), float(piece["time_s"][-1])
            rows.append(
                {
                    "camera": camera.name,
                    "vehicle": int(piece["vehicle"][0]),
                    "identity": vehicle.identity,
                    "kind": vehicle.kind,
                    "body": vehicle.body,
                    "colour": vehicle.colour,
                    "entry_frame": first,
                    "exit_frame": last,
                    "entered_at": datetime.fromtimestamp(start + entered, UTC),
                    "left_at": datetime.fromtimestamp(start + left, UTC),
                    "entered_s": entered,
                    "left_s": left,
                    "seen_frames": len(piece["frame"]),
                    "max_height_px": float((piece["y2"] - piece["y1"]).max()),
                    "mean_visible_share": float(piece["visible_share"].mean()),
                    "entry_side": _side(piece, 0, camera),
                    "exit_side": _side(piece, -1, camera),
                    "cut": _cut(first, last, entered, left, camera, frames),
                }
            )
    rows.sort(key=lambda r: (r["entry_frame"], r["vehicle"]))
    return pa.Table.from_pylist(rows, PASSAGES)


def _pieces(columns: dict[str, NDArray[Any]], gap: int) -> list[dict[str, NDArray[Any]]]:
    """One vehicle's rows cut into passages; only seen rows are returned."""
    seen = (
        (columns["visible_share"] >= SEEN_SHARE)
        & (columns["y2"] - columns["y1"] >= SEEN_HEIGHT_PX)
        & ~columns["parked"]
    )
    rows = np.flatnonzero(seen)
    if not len(rows):
        return []
    cuts = []
    for k in range(1, len(rows)):
        a, b = rows[k - 1], rows[k]
        if columns["frame"][b] - columns["frame"][a] <= gap:
            continue
        between = slice(a, b + 1)
        present = np.diff(columns["frame"][between]).max() <= gap
        if not present or columns["parked"][between].any():
            cuts.append(k)
    return [{name: c[part] for name, c in columns.items()} for part in np.split(rows, cuts)]


def _moves(piece: dict[str, NDArray[Any]], camera: Camera) -> bool:
    way = float(np.sum(piece["speed_mps"][:-1] * np.minimum(np.diff(piece["time_s"]), GAP_S)))
    return way >= LEAST_WAY_M


def _side(piece: dict[str, NDArray[Any]], at: int, camera: Camera) -> str:
    """The edge of the picture that the box is nearest to, or `inside` when it is far from all."""
    distances = {
        "left": float(piece["x1"][at]),
        "right": camera.width_px - float(piece["x2"][at]),
        "bottom": camera.height_px - float(piece["y2"][at]),
        "top": float(piece["y1"][at]),
    }
    side = min(distances, key=lambda name: distances[name])
    return side if distances[side] < 0.12 * camera.width_px else "inside"


def _cut(first: int, last: int, entered: float, left: float, camera: Camera, frames: int) -> bool:
    edge = 1.0 / camera.fps + 1e-6
    near_outage = any(abs(entered - o.to_s) <= edge or abs(left - o.from_s) <= edge for o in camera.outages)
    return first == 0 or last == frames - 1 or near_outage
