# SPDX-License-Identifier: AGPL-3.0-or-later
"""Vehicles strewn over the far end of a street, where it is driven at other moments.

A passage may be no more than two seconds at thirty pixels of height, and even in dense traffic one picture in four has
a motorcycle as small as that. Here every picture has a dozen of what is far away, each at a place and in a direction
in which the town's traffic goes through this camera's picture at some moment or other; or across that direction, as
what crosses the street at its far end shows its side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from infra.rehearsal.view import view_of
from infra.rehearsal.world import Camera, Frame, Traffic, Vehicle
from infra.training.pictures import CAMERA_WH

RIDER_M = 1.7
"""Height of a rider on a two-wheeler."""
RIDER_PX = (15.0, 64.0)
"""How high a rider stands in pictures of the input's scale, where one is strewn: from hardly seen to easily."""
GAP_M = 1.5
"""Kept clear between two bodies."""
ASIDE_M = 0.9
"""How far beside the way that is driven, at most."""
ACROSS_DEG = (50.0, 130.0)
"""By how much what stands across is turned."""
_EVERY = 3
"""Of the traffic's samples, one in so many is looked at for places."""
_BINS = 8
_TRIES = 12


def strewn(
    traffic: Traffic,
    camera: Camera,
    times: Sequence[float],
    count: int,
    draw: Callable[[str], Vehicle],
    rng: np.random.Generator,
    across: float = 0.0,
) -> Traffic:
    """A traffic with up to `count` vehicles more at each of some moments, far from one camera.

    Args:
        traffic: what drives there.
        camera: whose pictures will be drawn.
        times: when, seconds of town time.
        count: vehicles for each; fewer where no place is free.
        draw: makes a vehicle of an identity.
        rng: source of chance.
        across: share of them that stand across the way that is driven there.
    """
    places, weights = _places(traffic, camera)
    if len(places) == 0:
        return traffic
    vehicles, frames = list(traffic.vehicles), list(traffic.frames)
    for number, time_s in enumerate(times):
        low = int(np.floor(time_s / traffic.step_s + 1e-9))
        here = frames[low]
        there = zip(here.index.tolist(), here.x.tolist(), here.y.tolist(), strict=True)
        taken = [(x, y, vehicles[i].length_m / 2) for i, x, y in there]
        rows: list[tuple[int, float, float, float]] = []
        for one in range(count):
            vehicle = draw(f"strewn-{number}-{one}")
            spot = _free(places, weights, vehicle, taken, rng)
            if spot is not None:
                if across and rng.random() < across:
                    turn = float(rng.uniform(*ACROSS_DEG)) * (1 if rng.random() < 0.5 else -1)
                    spot = (spot[0], spot[1], (spot[2] + turn) % 360.0)
                taken.append((spot[0], spot[1], vehicle.length_m / 2))
                rows.append((len(vehicles), *spot))
                vehicles.append(vehicle)
        # The moment lies between two samples: what is strewn stands at the same place in both.
        for k in (low, low + 1):
            if k < len(frames):
                frames[k] = _with(frames[k], rows, rng)
    return replace(traffic, vehicles=tuple(vehicles), frames=tuple(frames))


def _places(traffic: Traffic, camera: Camera) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the traffic drives far away: (n, 3) x, y, heading; and how often each is chosen, even over heights."""
    riding = np.array([v.kind not in ("pedestrian", "bicycle") for v in traffic.vehicles], bool)
    some = traffic.frames[::_EVERY]
    if not some or not len(traffic.vehicles):
        return np.zeros((0, 3)), np.zeros(0)
    columns = [np.concatenate([getattr(f, name) for f in some]) for name in ("x", "y", "heading_deg", "speed_mps")]
    index = np.concatenate([f.index for f in some])
    table = np.stack(columns, axis=1).astype(np.float64)[riding[index]]
    table = table[table[:, 3] > 0.5]
    view = view_of(camera)
    x, y, inverse = view.project(np.column_stack([table[:, :2], np.full(len(table), RIDER_M / 2)]))
    height = inverse * view.focal_px * RIDER_M * CAMERA_WH[0] / camera.width_px
    shown = (x > 0) & (x < camera.width_px) & (y > 0) & (y < camera.height_px)
    shown &= (height > RIDER_PX[0]) & (height < RIDER_PX[1])
    table, height = table[shown], height[shown]
    share = np.log(height / RIDER_PX[0]) / np.log(RIDER_PX[1] / RIDER_PX[0])
    bins = np.minimum((share * _BINS).astype(int), _BINS - 1)
    weights = 1.0 / np.bincount(bins, minlength=_BINS)[bins] if len(bins) else np.zeros(0)
    return table[:, :3], weights / max(weights.sum(), 1e-12)


def _free(
    places: NDArray[np.float64],
    weights: NDArray[np.float64],
    vehicle: Vehicle,
    taken: list[tuple[float, float, float]],
    rng: np.random.Generator,
) -> tuple[float, float, float] | None:
    """A place where the vehicle stands in no other, a little beside the way; None after some tries."""
    for _ in range(_TRIES):
        x, y, heading = places[int(rng.choice(len(places), p=weights))]
        aside = float(rng.uniform(-ASIDE_M, ASIDE_M))
        turn = np.radians(heading)
        x, y = x + aside * np.cos(turn), y - aside * np.sin(turn)
        if all(np.hypot(x - a, y - b) > vehicle.length_m / 2 + half + GAP_M for a, b, half in taken):
            return float(x), float(y), float(heading + rng.normal(0, 4.0)) % 360.0
    return None


def _with(frame: Frame, rows: list[tuple[int, float, float, float]], rng: np.random.Generator) -> Frame:
    """A frame with some vehicles more: number, x, y, heading."""
    count = len(rows)
    table = np.array(rows, np.float64).reshape(-1, 4)
    signals = np.where(rng.random(count) < 0.3, rng.integers(0, 8, count), 0)
    return Frame(
        time_s=frame.time_s,
        index=np.concatenate([frame.index, table[:, 0].astype(np.int32)]),
        x=np.concatenate([frame.x, table[:, 1].astype(np.float32)]),
        y=np.concatenate([frame.y, table[:, 2].astype(np.float32)]),
        heading_deg=np.concatenate([frame.heading_deg, table[:, 3].astype(np.float32)]),
        speed_mps=np.concatenate([frame.speed_mps, np.full(count, 8.0, np.float32)]),
        signals=np.concatenate([frame.signals, signals.astype(np.uint8)]),
    )
