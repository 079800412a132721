# SPDX-License-Identifier: AGPL-3.0-or-later
"""What each camera would see, worked out from geometry alone, without drawing a picture.

Houses hide, vehicles and trees do not: good enough to judge a plan's traffic in seconds, not a truth for scoring.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from shapely.geometry import LineString, Polygon
from shapely.strtree import STRtree

from infra.rehearsal.passages import SEEN_HEIGHT_PX, passages_of
from infra.rehearsal.truth import BOXES
from infra.rehearsal.view import view_of
from infra.rehearsal.world import Camera, Town, Traffic

SAMPLES_PER_S = 5
REACH_M = 130.0
CELL_M = 2.0


def passages_by_geometry(town: Town, traffic: Traffic) -> pa.Table:
    """The passages of every camera, as in `passages.PASSAGES`, good to 0.2 s; frames count fifths of a second."""
    every = max(1, round(1.0 / SAMPLES_PER_S / traffic.step_s))
    frames = traffic.frames[::every]
    number = np.concatenate([np.full(len(f.index), k, np.int32) for k, f in enumerate(frames)])
    columns = {
        name: np.concatenate([getattr(f, name) for f in frames])
        for name in ("index", "x", "y", "heading_deg", "speed_mps", "signals")
    }
    columns["frame"] = number
    sizes = np.array([(v.length_m, v.width_m, v.height_m) for v in traffic.vehicles], np.float64).reshape(-1, 3)
    tables = []
    for camera in town.cameras:
        slow = replace(camera, fps=SAMPLES_PER_S)
        boxes = _boxes(slow, town, columns, sizes)
        tables.append(passages_of(boxes, slow, town, traffic, len(frames)))
    return pa.concat_tables(tables)


def _boxes(camera: Camera, town: Town, columns: dict[str, NDArray[np.generic]], sizes: NDArray[np.float64]) -> pa.Table:
    x, y = columns["x"].astype(np.float64), columns["y"].astype(np.float64)
    away = np.hypot(x - camera.at[0], y - camera.at[1])
    near = np.flatnonzero(away < REACH_M)
    near = near[_open(camera, town, x[near], y[near])]
    times = columns["frame"][near].astype(np.float64) / SAMPLES_PER_S
    for outage in camera.outages:
        keep = (times < outage.from_s) | (times >= outage.to_s)
        near, times = near[keep], times[keep]
    index = columns["index"][near].astype(np.int32)
    angle = np.radians(columns["heading_deg"][near].astype(np.float64))
    length, width, height = sizes[index].T
    view = view_of(camera)
    low = np.full((2, len(near)), np.inf)
    high = np.full((2, len(near)), -np.inf)
    ahead = np.ones(len(near), bool)
    for a, b, c in ((a, b, c) for a in (-0.5, 0.5) for b in (-0.5, 0.5) for c in (0.0, 1.0)):
        corner = np.stack(
            [
                x[near] + a * length * np.sin(angle) + b * width * np.cos(angle),
                y[near] + a * length * np.cos(angle) - b * width * np.sin(angle),
                c * height,
            ],
            axis=1,
        )
        px, py, depth = view.project(corner)
        ahead &= depth > 0
        low = np.minimum(low, np.stack([px, py]))
        high = np.maximum(high, np.stack([px, py]))
    limit = np.array([[camera.width_px], [camera.height_px]], np.float64)
    full = np.concatenate([low, high]).T
    cut_low, cut_high = np.clip(low, 0, limit), np.clip(high, 0, limit)
    area = np.prod(np.maximum(high - low, 1e-6), axis=0)
    share = np.prod(np.maximum(cut_high - cut_low, 0), axis=0) / area
    good = np.flatnonzero(ahead & (share > 0.05) & (cut_high[1] - cut_low[1] >= SEEN_HEIGHT_PX))
    values = [
        columns["frame"][near][good],
        times[good],
        index[good],
        *cut_low[:, good],
        *cut_high[:, good],
        *full[good].T,
        share[good],
        (area * share)[good].astype(np.int32),
        away[near][good],
        columns["speed_mps"][near][good],
        columns["heading_deg"][near][good],
        (columns["signals"][near][good].astype(int) & 8) > 0,
    ]
    arrays = [
        pa.array(np.ascontiguousarray(v).astype(f.type.to_pandas_dtype()), type=f.type)
        for v, f in zip(values, BOXES, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=BOXES)


def _open(camera: Camera, town: Town, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points no house stands before, looked up in a grid of two metres."""
    size = math.ceil(2 * REACH_M / CELL_M)
    column = np.clip(((x - camera.at[0] + REACH_M) / CELL_M).astype(int), 0, size - 1)
    row = np.clip(((y - camera.at[1] + REACH_M) / CELL_M).astype(int), 0, size - 1)
    cells, which = np.unique(row * size + column, return_inverse=True)
    houses = [Polygon(b.footprint) for b in town.ground.buildings]
    tree = STRtree(houses)
    spots = [
        (
            camera.at[0] - REACH_M + (cell % size + 0.5) * CELL_M,
            camera.at[1] - REACH_M + (cell // size + 0.5) * CELL_M,
        )
        for cell in cells
    ]
    rays = [LineString([camera.at, spot]) for spot in spots]
    free = np.ones(len(cells), bool)
    if rays and houses:
        hit, _ = tree.query(rays, predicate="intersects")
        free[np.unique(hit)] = False
    return free[which]
