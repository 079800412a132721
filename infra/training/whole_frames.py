# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whole validation frames at input scale with their full truth, kept so that a threshold can be chosen on them.

Run: python -m infra.training.whole_frames --out build/training/validation
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from infra.rehearsal.world import Weather
from infra.training.pictures import Labelled, to_input_scale
from infra.training.town_frames import PLANS, draw_frames, read_town

EVERY_S = 9.0


def write_frames(
    plan: Path,
    folder: Path,
    seconds: float,
    cameras: int,
    weather: Weather | None = None,
    large: bool = False,
    rare: bool = False,
) -> None:
    """Draw frames of a plan's first cameras, one file a camera (`LIGHT-TOWN-CAMERA.npz`); resumes by camera.

    `large` keeps all at 720p, to compare input sizes; `rare` drives `town_frames.RARE_KINDS`.
    """
    town, traffic = read_town(plan, seconds, rare)
    folder.mkdir(parents=True, exist_ok=True)
    weather = weather or town.weather
    group = "rain" if weather.rain > 0 else weather.light
    for position, camera in enumerate(town.cameras[:cameras]):
        path = folder / f"{group}-{town.name}{'-rare' if rare else ''}-{camera.name}.npz"
        if path.is_file():
            continue
        times = [float(t) for t in np.arange(8.0, seconds - 1, EVERY_S)]
        rng = np.random.default_rng(len(path.name))
        scenes = [
            s if large else to_input_scale(s)
            for s in draw_frames(town, traffic, camera, weather, times, rng, small=position % 2 == 1 and not large)
        ]
        half = path.with_suffix(".half")
        with half.open("wb") as handle:
            np.savez(
                handle,
                pictures=np.stack([s.picture for s in scenes]),
                counts=np.array([len(s.classes) for s in scenes]),
                classes=np.concatenate([s.classes for s in scenes]),
                boxes=np.concatenate([s.boxes for s in scenes]),
                hidden=np.concatenate([s.hidden for s in scenes]),
            )
        half.replace(path)
        print(path.name, len(scenes), "frames", flush=True)


def read_frames(folder: Path) -> dict[str, list[Labelled]]:
    """Frames by light (`day`, `night`, `rain`…), those of the rare traffic apart (`day_rare`…).

    Raises:
        FileNotFoundError: the folder has none.
    """
    groups: dict[str, list[Labelled]] = {}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as data:
            ends = np.cumsum(data["counts"])
            for picture, start, end in zip(data["pictures"], [0, *ends[:-1]], ends, strict=True):
                part = slice(int(start), int(end))
                group = path.name.split("-")[0] + ("_rare" if "-rare-" in path.name else "")
                groups.setdefault(group, []).append(
                    Labelled(picture, data["classes"][part], data["boxes"][part], data["hidden"][part])
                )
    if not groups:
        raise FileNotFoundError(f"no validation frames in {folder}: run python -m infra.training.whole_frames first")
    return groups


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plans", nargs="+", default=["validation-1", "validation-2", "validation-3"])
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--cameras", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="keep 720p instead of the input's scale")
    parser.add_argument("--rare", action="store_true", help="a traffic of trucks, buses and two-wheelers")
    parser.add_argument("--light", help="another light than the plan's own")
    a = parser.parse_args()
    cv2.setNumThreads(1)
    for name in a.plans:
        path = PLANS / f"{name}.toml"
        weather = None
        if a.light:
            town, _ = read_town(path, 1.0)
            weather = replace(town.weather, light=a.light, rain=0.0)
        write_frames(path, a.out, a.seconds, a.cameras, weather, a.large, a.rare)


if __name__ == "__main__":
    main()
