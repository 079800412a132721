# SPDX-License-Identifier: AGPL-3.0-or-later
"""Measures drawing and encoding together, in frames per second, at three sizes on two processes.

`python -m infra.rehearsal.bench_render [--plan FILE] [--seconds S] [--workers N]` writes `build/bench/render.json`.
The town's own traffic is used; baking the backgrounds is measured apart (`bake_cpu_s`), since it is paid once a camera.
Processor time is given beside the wall clock: on a machine that is busy otherwise only the former is comparable.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

from infra.rehearsal.camera_job import CameraRun
from infra.rehearsal.encode import Encoder
from infra.rehearsal.scene import build_scene
from infra.rehearsal.world import Town, Traffic

SIZES = {"540p": (960, 540), "720p": (1280, 720), "1080p": (1920, 1080)}
PLAN = Path(__file__).parent / "plans" / "coutances-13.toml"


def measure(
    town: Town, traffic: Traffic, number: int, size: tuple[int, int], frames: int
) -> tuple[int, float, float, float, float]:
    """Frames, wall seconds, processor seconds of drawing and encoding; wall and processor seconds of baking."""
    camera = replace(town.cameras[number % len(town.cameras)], width_px=size[0], height_px=size[1], codec="h264")
    scene = build_scene(town)
    CameraRun(town, traffic, replace(camera, width_px=64, height_px=36), scene).picture(0.0)  # loads the compiled code
    wall, cpu = time.perf_counter(), time.process_time()
    run = CameraRun(town, traffic, camera, scene)
    run.picture(0.0)
    bake = time.perf_counter() - wall, time.process_time() - cpu
    fps = camera.fps
    with tempfile.TemporaryDirectory(prefix="passage-bench-") as folder:
        encoder = Encoder(Path(folder) / "video.mp4", camera, fps)
        wall, cpu = time.perf_counter(), time.process_time()
        for k in range(frames):
            picture, _, _ = run.picture(1.0 + k / fps)
            encoder.add(run.spoilt(picture, k), k)
        encoder.close()
        spent = time.perf_counter() - wall, time.process_time() - cpu
    return frames, *spent, *bake


def main(arguments: list[str]) -> int:
    """Run the measurement and write it."""
    from infra.rehearsal.plan import load_plan
    from infra.rehearsal.traffic import simulate

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=Path, default=PLAN)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("build/bench/render.json"))
    options = parser.parse_args(arguments)
    town, traffic = simulate(load_plan(options.plan), seconds=options.seconds + 2.0)
    result: dict[str, object] = {
        "command": "python -m infra.rehearsal.bench_render " + " ".join(arguments),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "versions": {n: version(n) for n in ("numpy", "numba", "opencv-python", "av")},
        "plan": options.plan.name,
        "workers": options.workers,
    }
    for name, size in SIZES.items():
        frames = int(options.seconds * town.cameras[0].fps)
        with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
            jobs = [pool.submit(measure, town, traffic, k, size, frames) for k in range(options.workers)]
            rows = [job.result() for job in jobs]
        result[f"render_fps_{name}"] = round(sum(r[0] / r[1] for r in rows), 1)
        result[f"render_fps_{name}_cpu"] = round(sum(r[0] / max(r[2], 1e-6) for r in rows), 1)
        result[f"bake_cpu_s_{name}"] = round(max(r[4] for r in rows), 1)
        print(
            f"{name}: {result[f'render_fps_{name}']} frames/s, {result[f'render_fps_{name}_cpu']} by processor time",
            flush=True,
        )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
