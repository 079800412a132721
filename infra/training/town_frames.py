# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sparse frames of training and validation towns: many cameras, lights and weathers, few frames of each.

Video would show the same cars a dozen times a second; here each camera is baked once per weather and drawn every few
seconds, compressed as its video would be.

Run: python -m infra.training.town_frames --out build/training/towns --plans training-1 training-2
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from infra.rehearsal.camera_job import CameraRun
from infra.rehearsal.plan import load_plan
from infra.rehearsal.scene import build_scene
from infra.rehearsal.traffic import simulate
from infra.rehearsal.world import Camera, Town, Traffic, Weather
from infra.training.pictures import CAMERA_WH, Labelled, to_input_scale, write_picture
from reid.classes import MODEL_CLASSES

PLANS = Path(__file__).parents[1] / "rehearsal" / "plans"
FIRST_S = 10.0
EVERY_S = 4.0
SMALL_SHARE = 0.85
"""Share of cameras drawn at the input scale instead of 720p."""
FORBIDDEN = "exam"
RARE_KINDS = {"car": 0.2, "van": 0.2, "truck": 0.25, "bus": 0.15, "motorcycle": 0.15, "bicycle": 0.05}
"""Shares of a traffic of what is rare in a street: of a real one's a model sees too few."""


class ExamPlanError(ValueError):
    """An exam plan was asked for where models are made."""


def read_town(plan: Path, seconds: float, rare: bool = False) -> tuple[Town, Traffic]:
    """Build a plan's town and drive it; with `rare`, by a traffic of `RARE_KINDS`.

    Raises:
        ExamPlanError: the plan is of the exam family, which nothing may be trained or chosen on.
    """
    file = load_plan(plan)
    if file.family == FORBIDDEN:
        raise ExamPlanError(f"{plan} is an exam plan; train and choose on training and validation plans only")
    if rare:
        file = replace(file, demand=replace(file.demand, kinds=RARE_KINDS))
    return simulate(file, seconds=seconds)


def any_weather(rng: np.random.Generator) -> Weather:
    """A light and weather for one camera: day half of the time, rain a quarter."""
    light = str(rng.choice(["day", "low_sun", "overcast", "dusk", "night"], p=[0.34, 0.12, 0.18, 0.13, 0.23]))
    rain = float(rng.uniform(0.3, 1.0)) if light != "low_sun" and rng.random() < 0.25 else 0.0
    elevation = {"low_sun": rng.uniform(5, 13), "day": rng.uniform(22, 62), "overcast": rng.uniform(20, 60)}.get(
        light, -6.0
    )
    return Weather(light, rain, float(rng.uniform(0, 360)), float(elevation))  # type: ignore[arg-type]


def chosen_moments(
    town: Town, position: int, seed: int, seconds: float, own_weather: bool = False
) -> tuple[Weather, list[float], np.random.Generator]:
    """The light in which a town's camera is drawn, the seconds at which, and the source of further chance."""
    rng = np.random.default_rng([seed, zlib.crc32(town.name.encode()), position])
    weather = town.weather if own_weather else any_weather(rng)
    start = FIRST_S + float(rng.uniform(0, EVERY_S))
    return weather, [float(t) for t in np.arange(start, seconds - 1, EVERY_S)], rng


def draw_frames(
    town: Town,
    traffic: Traffic,
    camera: Camera,
    weather: Weather,
    times: list[float],
    rng: np.random.Generator,
    small: bool = False,
) -> Iterator[Labelled]:
    """Draw a camera's picture at the given times, compressed as its video would be."""
    # Drawn at the detector's own scale: three quarters of the work, and hardly another picture once 720p has been
    # shrunk, noise apart, of which shrinking takes a part.
    if small:
        width, height = CAMERA_WH
        camera = replace(
            camera,
            width_px=width,
            height_px=height,
            noise=camera.noise * 0.9,
            blur_px=float(rng.uniform(0, 0.8)),
        )
    else:
        camera = replace(camera, width_px=1280, height_px=720)
    here = replace(town, weather=weather)
    run = CameraRun(here, traffic, camera, _scene(here))
    for number, time_s in enumerate(times):
        picture, seen, _ = run.picture(time_s)
        spoilt = compressed(run.spoilt(picture, number), int(rng.integers(19, 30) if small else rng.integers(22, 33)))
        boxes = np.array([s.visible_box for s in seen], np.float32).reshape(-1, 4)
        hidden = np.array([1.0 - s.visible_share * s.in_frame_share for s in seen], np.float32)
        kinds = [MODEL_CLASSES.index(traffic.vehicles[s.number].kind) for s in seen]
        yield Labelled(spoilt, np.array(kinds, np.int64), boxes, hidden)


_SCENES: dict[str, object] = {}


def _scene(town: Town):  # type: ignore[no-untyped-def]
    """What stands in a town, built once."""
    if town.digest not in _SCENES:
        _SCENES.clear()
        _SCENES[town.digest] = build_scene(town)
    return _SCENES[town.digest]


def compressed(yuv: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """One planar YUV picture through H.264 at a constant rate factor, to BGR."""
    height, width = yuv.shape[0] * 2 // 3, yuv.shape[1]
    store = BytesIO()
    with av.open(store, "w", format="h264") as out:
        stream = out.add_stream("libx264", rate=Fraction(12))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "veryfast", "tune": "zerolatency", "crf": str(quality)}
        stream.codec_context.thread_count = 1
        frame = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
        # Twice: the second copy is coded as a difference, as most frames of a video are.
        for stamp in (0, 1):
            frame.pts = stamp
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    store.seek(0)
    with av.open(store, "r", format="h264") as back:
        decoded = list(back.decode(video=0))
    return np.asarray(decoded[-1].to_ndarray(format="bgr24"), np.uint8)


def write_town(
    plan: Path, folder: Path, seconds: float, seed: int, own_weather: bool = False, rare: bool = False
) -> int:
    """Write sparse frames of one plan's cameras at input scale; resumes by camera; returns how many."""
    town, traffic = read_town(plan, seconds, rare)
    written = 0
    for position, camera in enumerate(town.cameras):
        done = folder / "done" / f"{town.name}-{seed}-{camera.name}"
        if done.is_file():
            continue
        weather, times, rng = chosen_moments(town, position, seed, seconds, own_weather)
        small = rng.random() < SMALL_SHARE
        for number, frame in enumerate(draw_frames(town, traffic, camera, weather, times, rng, small)):
            write_picture(folder, f"{town.name}-{seed}-{camera.name}-{number:03d}", to_input_scale(frame))
            written += 1
        done.parent.mkdir(parents=True, exist_ok=True)
        done.write_text(f"{weather}\n", encoding="utf-8")
        print(f"{town.name} {camera.name} {weather.light} rain {weather.rain:.1f}: {written} pictures", flush=True)
    return written


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plans", nargs="+", required=True, help="names of shipped plans, or paths")
    parser.add_argument("--seconds", type=float, default=130.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--own-weather", action="store_true", help="each plan's own weather instead of any")
    parser.add_argument("--rare", action="store_true", help="a traffic of trucks, buses and two-wheelers")
    a = parser.parse_args()
    cv2.setNumThreads(1)
    for name in a.plans:
        path = Path(name) if name.endswith(".toml") else PLANS / f"{name}.toml"
        write_town(path, a.out, a.seconds, a.seed, a.own_weather, a.rare)


if __name__ == "__main__":
    main()
