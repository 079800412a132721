# SPDX-License-Identifier: AGPL-3.0-or-later
"""Contact sheets: six cameras by day, at dusk, by night and in the rain, for a person to look at.

`python -m infra.rehearsal.sheets PLAN.toml OUT_DIR [CAMERA…]` writes `sheet-day.jpg`, `sheet-dusk.jpg`,
`sheet-night.jpg` and `sheet-rain.jpg`.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from infra.rehearsal.camera_job import CameraRun
from infra.rehearsal.painter import Seen
from infra.rehearsal.scene import build_scene
from infra.rehearsal.world import Camera, Town, Traffic, Weather

LIGHTS = ("day", "dusk", "night", "rain")
TILE = (640, 360)
DRAWN = (960, 540)
TRIED = 4
"""Moments looked at per camera; the one with most in it is shown."""


def weather_of(weather: Weather, light: str) -> Weather:
    """The plan's weather changed to one of `LIGHTS`."""
    if light == "rain":
        return replace(weather, light="overcast", rain=0.7)
    return replace(weather, light=light, rain=0.0)  # type: ignore[arg-type]


def sheet(town: Town, traffic: Traffic, light: str, cameras: tuple[Camera, ...]) -> NDArray[np.uint8]:
    """One sheet (BGR), three cameras across."""
    lit = replace(town, weather=weather_of(town.weather, light))
    scene = build_scene(lit)
    tiles = []
    for camera in cameras:
        run = CameraRun(lit, traffic, replace(camera, width_px=DRAWN[0], height_px=DRAWN[1]), scene)
        end = len(traffic.frames) * traffic.step_s
        moments = [end * (k + 0.5) / TRIED for k in range(TRIED)]
        best = max(moments, key=lambda t: _fullness(run.picture(t)[1]))
        picture, _, _ = run.picture(best)
        spoilt = cv2.cvtColor(run.spoilt(picture, 0), cv2.COLOR_YUV2BGR_I420)
        tile = cv2.resize(spoilt, TILE, interpolation=cv2.INTER_AREA)
        name = f"{camera.name} {camera.place}"[:48]
        for grey, at in ((0, (11, 351)), (255, (10, 350))):  # a thicker stroke is also a wider one: shadow it instead
            cv2.putText(tile, name, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (grey, grey, grey), 1, cv2.LINE_AA)
        tiles.append(tile)
    while len(tiles) % 3:
        tiles.append(np.zeros((TILE[1], TILE[0], 3), np.uint8))
    return np.vstack([np.hstack(tiles[k : k + 3]) for k in range(0, len(tiles), 3)])


def _fullness(seen: list[Seen]) -> float:
    """How much there is to see: boxes, with moderate weight on their size."""
    return sum(min(1.0, (s.full_box[3] - s.full_box[1]) / 60.0) * s.visible_share for s in seen)


def main(arguments: list[str]) -> int:
    """Write the four sheets."""
    from infra.rehearsal.plan import load_plan
    from infra.rehearsal.traffic import simulate

    if len(arguments) < 2:
        print(__doc__)
        return 2
    plan, out = load_plan(Path(arguments[0])), Path(arguments[1])
    out.mkdir(parents=True, exist_ok=True)
    town, traffic = simulate(plan, seconds=60.0)
    wanted = arguments[2:] or [c.name for c in town.cameras[:6]]
    cameras = tuple(c for c in town.cameras if c.name in wanted)
    for light in LIGHTS:
        target = out / f"sheet-{light}.jpg"
        cv2.imwrite(str(target), sheet(town, traffic, light, cameras), [cv2.IMWRITE_JPEG_QUALITY, 84])
        print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
