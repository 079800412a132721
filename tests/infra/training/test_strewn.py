# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is strewn far away: where others drive, in nobody's place, at the moments asked for and no other."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from infra.rehearsal.truth import pose_at
from infra.rehearsal.view import view_of
from infra.rehearsal.world import Camera, Frame, Traffic, Vehicle
from infra.training.pictures import CAMERA_WH
from infra.training.strewn import ACROSS_DEG, ASIDE_M, GAP_M, RIDER_M, RIDER_PX, strewn

CAMERA = Camera(
    name="c1", place="", at=(0.0, 0.0), height_m=6.0, heading_deg=0.0, tilt_deg=10.0, hfov_deg=70.0, width_px=1280,
    height_px=720, fps=12, codec="h264", bitrate_kbps=0, gop_s=1.0,
)  # fmt: skip
STEP_S = 0.1
TIMES = (2.05, 7.0)


def driven(kind: str = "car", speed: float = 12.0) -> Traffic:
    """One vehicle that drives straight away from under the camera, 120 m in ten seconds."""
    vehicle = Vehicle("v", kind, "sedan", "red", (150, 20, 20))  # type: ignore[arg-type]
    frames = []
    for k in range(101):
        one = np.ones(1, np.float32)
        frames.append(
            Frame(
                k * STEP_S, np.zeros(1, np.int32), 2 * one, speed * k * STEP_S * one, 0 * one, speed * one,
                np.zeros(1, np.uint8),
            )
        )  # fmt: skip
    return Traffic((vehicle,), tuple(frames), STEP_S)


def motorcycle(identity: str) -> Vehicle:
    return Vehicle(
        identity, "motorcycle", "scooter", "blue", (20, 20, 150), length_m=2.0, width_m=0.8, height_m=RIDER_M
    )


def strew(traffic: Traffic, seed: int = 1, count: int = 8) -> Traffic:
    return strewn(traffic, CAMERA, TIMES, count, motorcycle, np.random.default_rng(seed))


@pytest.mark.parametrize("time_s", TIMES)
def test_so_many_more_stand_far_away_where_the_traffic_drives_and_none_in_another(time_s: float) -> None:
    pose = pose_at(strew(driven()), time_s)
    more = pose.index > 0
    assert 5 <= more.sum() <= 8
    assert (np.abs(pose.x[more] - 2.0) <= ASIDE_M + 1e-3).all()
    _, _, inverse = view_of(CAMERA).project(
        np.column_stack([pose.x, pose.y, np.full(len(pose.x), RIDER_M / 2)]).astype(float)
    )
    height = inverse[more] * view_of(CAMERA).focal_px * RIDER_M * CAMERA_WH[0] / CAMERA.width_px
    assert (height > 0.95 * RIDER_PX[0]).all() and (height < 1.05 * RIDER_PX[1]).all()
    spots = np.column_stack([pose.x[more], pose.y[more]])
    assert min(float(np.hypot(*(a - b))) for a, b in combinations(spots, 2)) > 2.0 + GAP_M - 1e-3
    car = pose.y[~more][0]
    assert (np.hypot(pose.x[more] - 2.0, pose.y[more] - car) > 2.0).all()


def test_what_crosses_the_street_shows_its_side() -> None:
    def angles(traffic: Traffic) -> list[float]:
        return [abs((h + 180) % 360 - 180) for f in traffic.frames for h in f.heading_deg[1:].tolist()]

    across = strewn(driven(), CAMERA, TIMES, 8, motorcycle, np.random.default_rng(1), across=0.75)
    low, high = ACROSS_DEG
    assert max(angles(strew(driven()))) < 20
    assert 0.5 < np.mean([low - 20 < angle < high + 20 for angle in angles(across)]) < 1


def test_between_the_moments_nothing_is_strewn_and_equal_chance_gives_equal_traffic() -> None:
    plain, first, again, other = driven(), strew(driven()), strew(driven()), strew(driven(), seed=2)
    assert len(pose_at(first, 5.0).index) == 1
    assert first.vehicles == again.vehicles
    assert all((a.y == b.y).all() for a, b in zip(first.frames, again.frames, strict=True))
    assert not np.array_equal(pose_at(first, TIMES[0]).y, pose_at(other, TIMES[0]).y)
    assert plain.frames[0] is not None and len(plain.vehicles) == 1


@pytest.mark.parametrize("traffic", [driven("pedestrian"), driven(speed=0.2), Traffic((), (), STEP_S)])
def test_where_nothing_drives_nothing_is_strewn(traffic: Traffic) -> None:
    assert strew(traffic) is traffic
