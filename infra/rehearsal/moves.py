# SPDX-License-Identifier: AGPL-3.0-or-later
"""One vehicle's moves: from SUMO's front bumper to the middle of the body, with gentle parking and steady steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from infra.rehearsal.world import Vehicle

MANOEUVRE_M = 11.0
"""Way over which a car swings in to the kerb or out from it."""
STEADY_STEPS = 9
"""Samples over which a pedestrian's way is averaged: SUMO's walkers turn and side-step within one."""
KEEP_RIGHT_M = {"bicycle": 0.85, "motorcycle": 0.3}
"""Two-wheelers ride nearer to the kerb than SUMO's middle of the lane."""


@dataclass(frozen=True, slots=True)
class Moves:
    """Steps (ten a second) with position of the middle (m), heading (degrees), speed (m/s) and signals."""

    step: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    heading_deg: NDArray[np.float64]
    speed_mps: NDArray[np.float64]
    signals: NDArray[np.float64]

    @staticmethod
    def from_sumo(table: NDArray[np.float64], vehicle: Vehicle) -> Moves:
        """Rows of (step, x, y, angle, speed, signals), where x, y is the front bumper's middle."""
        step, x, y, heading, speed, signals = table.T
        angle = np.radians(heading)
        back = 0.0 if vehicle.kind == "pedestrian" else vehicle.length_m / 2
        right = KEEP_RIGHT_M.get(vehicle.kind, 0.0)
        x = x - back * np.sin(angle) + right * np.cos(angle)
        y = y - back * np.cos(angle) - right * np.sin(angle)
        return Moves(step, x, y, heading, speed, signals)

    def table(self) -> NDArray[np.float64]:
        """Rows of (step, x, y, heading, speed, signals)."""
        return np.stack([self.step, self.x, self.y, self.heading_deg, self.speed_mps, self.signals], axis=1)


def smooth_parking(moves: Moves) -> Moves:
    """SUMO puts a car from the lane to its place in one step; here it swings there over a few metres."""
    parked = moves.signals.astype(int) & 8 > 0
    changes = np.flatnonzero(parked[1:] != parked[:-1]) + 1
    if not len(changes):
        return moves
    x, y, heading = moves.x.copy(), moves.y.copy(), moves.heading_deg.copy()
    gone = np.concatenate([[0.0], np.cumsum(moves.speed_mps[1:] * (np.diff(moves.step) * 0.1))])
    for at in changes:
        jump = np.array([moves.x[at] - moves.x[at - 1], moves.y[at] - moves.y[at - 1]])
        if not 0.5 < float(np.hypot(*jump)) < 8.0:
            continue
        if parked[at]:
            rows = np.arange(0, at)
            left = (gone[at - 1] - gone[rows]) / MANOEUVRE_M
            near = (left < 1.0) & ~parked[rows]
            rows, share = rows[near], _ease(1.0 - left[near])
            x[rows] += jump[0] * share
            y[rows] += jump[1] * share
        else:
            rows = np.arange(at, len(x))
            run = (gone[rows] - gone[at]) / MANOEUVRE_M
            near = (run < 1.0) & ~parked[rows]
            rows, share = rows[near], _ease(1.0 - run[near])
            x[rows] -= jump[0] * share
            y[rows] -= jump[1] * share
        heading[rows] += _yaw(x[rows], y[rows], moves.heading_deg[rows])
    return replace(moves, x=x, y=y, heading_deg=heading % 360.0)


def _ease(share: NDArray[np.float64]) -> NDArray[np.float64]:
    return share * share * (3.0 - 2.0 * share)


def _yaw(x: NDArray[np.float64], y: NDArray[np.float64], heading: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the line of travel turns away from the heading, in degrees, within what a car can steer."""
    if len(x) < 3:
        return np.zeros(len(x))
    dx, dy = np.gradient(x), np.gradient(y)
    course = np.degrees(np.arctan2(dx, dy))
    off = (course - heading + 180.0) % 360.0 - 180.0
    off = np.where(np.hypot(dx, dy) > 0.005, off, 0.0)
    return np.clip(off, -30.0, 30.0)


def steady_walk(moves: Moves) -> Moves:
    """A pedestrian's way without sudden side-steps and turns; the heading follows the way."""
    half = STEADY_STEPS // 2
    if len(moves.x) <= STEADY_STEPS:
        return moves
    kernel = np.full(STEADY_STEPS, 1.0 / STEADY_STEPS)
    x = np.convolve(np.pad(moves.x, half, mode="edge"), kernel, mode="valid")
    y = np.convolve(np.pad(moves.y, half, mode="edge"), kernel, mode="valid")
    dx, dy = np.gradient(x), np.gradient(y)
    goes = np.hypot(dx, dy) > 0.02
    if not goes.any():
        return replace(moves, x=x, y=y)
    # Standing still keeps the last heading; before the first step, the first one.
    last = np.maximum.accumulate(np.where(goes, np.arange(len(x)), -1))
    last[last < 0] = int(np.flatnonzero(goes)[0])
    heading = np.degrees(np.arctan2(dx, dy))[last] % 360.0
    return replace(moves, x=x, y=y, heading_deg=heading)
