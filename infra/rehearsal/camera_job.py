# SPDX-License-Identifier: AGPL-3.0-or-later
"""Draws one camera of a town from its first frame to its last, part by part, so that it can go on where it stopped."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from infra.rehearsal.bake import bake, lamps_near
from infra.rehearsal.encode import Encoder, join
from infra.rehearsal.lens import NOISE_FRAMES, add_noise, noise_bank
from infra.rehearsal.light import light_of
from infra.rehearsal.painter import Painter, Placed, Seen
from infra.rehearsal.scene import Scene, build_scene, seed_of
from infra.rehearsal.truth import CameraTruth, is_out, pose_at
from infra.rehearsal.world import Camera, Frame, Town, Traffic

if TYPE_CHECKING:
    from infra.rehearsal.render import Job

PART_S = 60.0
Row = tuple[int, Seen]


class CameraRun:
    """Everything that draws one camera: background, painter, noise."""

    def __init__(self, town: Town, traffic: Traffic, camera: Camera, scene: Scene) -> None:
        cv2.setNumThreads(1)  # one worker, one core
        self.town, self.traffic, self.camera = town, traffic, camera
        self.light = light_of(town.weather)
        background = bake(town, camera, scene, self.light)
        self.painter = Painter(camera, background, self.light, lamps_near(scene.lamps, np.array(camera.at), 120.0))
        self.seed = seed_of(town.digest, town.seed, camera.name, "noise")
        self.bank = noise_bank(camera, self.light, self.seed)

    def picture(self, time_s: float) -> tuple[NDArray[np.uint8], list[Seen], Frame]:
        """The picture (BGR, no noise), the truth and the poses at one moment."""
        pose = pose_at(self.traffic, time_s)
        picture, seen = self.painter.frame(placed_at(self.traffic, pose, self.painter.near(pose)), time_s)
        return picture, seen, pose

    def spoilt(self, picture: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
        """A picture as planar YUV with this frame's noise."""
        yuv: NDArray[np.uint8] = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420), np.uint8)
        h, w = self.camera.height_px, self.camera.width_px
        rng = np.random.default_rng((self.seed, number))
        add_noise(yuv[:h], self.bank[int(rng.integers(NOISE_FRAMES))], int(rng.integers(h * w)))
        colour = yuv[h:]
        add_noise(colour, self.bank[int(rng.integers(NOISE_FRAMES))], int(rng.integers(colour.size)), weak=True)
        return yuv


def placed_at(traffic: Traffic, pose: Frame, rows_of: NDArray[np.intp]) -> list[Placed]:
    """The things of some rows of a pose, one by one."""
    columns = (pose.index, pose.x, pose.y, pose.heading_deg, pose.speed_mps, pose.signals)
    rows = zip(*(c[rows_of].tolist() for c in columns), strict=True)
    return [Placed(i, traffic.vehicles[i], x, y, h, v, s, v * pose.time_s) for i, x, y, h, v, s in rows]


@lru_cache(maxsize=1)
def _town(path: Path) -> tuple[Town, Traffic, Scene]:
    town, traffic = pickle.loads(path.read_bytes())  # noqa: S301 - written by our own parent process
    return town, traffic, build_scene(town)


def draw_camera(job: Job, tell: Callable[[int], None]) -> None:
    """Draw, encode and record one camera; `tell` gets the frames done so far."""
    town, traffic, scene = _town(job.town_file)
    camera = replace(next(c for c in town.cameras if c.name == job.camera), fps=job.fps)
    folder = job.out / ".parts" / f"{camera.name}-{job.key[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    frames = round(job.seconds * job.fps)
    gop = max(1, round(camera.gop_s * job.fps))
    step = max(gop, int(PART_S * job.fps) // gop * gop)
    run: CameraRun | None = None
    for first in range(0, frames, step):
        last = min(frames, first + step)
        note = folder / f"{first:08d}.pickle"
        if note.exists():
            tell(last)
            continue
        if run is None:
            run = CameraRun(town, traffic, camera, scene)
        _draw_part(run, folder, first, last, tell)
    _finish(job, town, traffic, camera, folder, frames)


def _draw_part(run: CameraRun, folder: Path, first: int, last: int, tell: Callable[[int], None]) -> None:
    """One part: the video first, then (renamed last) the note that says it is whole."""
    camera, fps = run.camera, run.camera.fps
    video = folder / f"{first:08d}.mp4"
    half = video.with_suffix(".half")
    encoder: Encoder | None = None
    rows: list[tuple[int, Frame, list[Seen]]] = []
    for number in range(first, last):
        time_s = number / fps
        if is_out(camera, time_s):
            continue
        picture, seen, pose = run.picture(time_s)
        if encoder is None:
            encoder = Encoder(half, camera, fps)
        encoder.add(run.spoilt(picture, number), number)
        rows.append((number, pose, seen))
        if number % 8 == 7:
            tell(number + 1)
    if encoder is not None:
        encoder.close()
        half.replace(video)
    note = folder / f"{first:08d}.pickle"
    draft = note.with_suffix(".draft")
    draft.write_bytes(pickle.dumps(rows, protocol=5))
    draft.replace(note)
    tell(last)


def _finish(job: Job, town: Town, traffic: Traffic, camera: Camera, folder: Path, frames: int) -> None:
    """Join the parts, write the boxes, and last the note that says the camera is done."""
    target = job.out / camera.name / "video.mp4"
    target.parent.mkdir(parents=True, exist_ok=True)
    notes = sorted(folder.glob("*.pickle"))
    videos = [v for n in notes if (v := n.with_suffix(".mp4")).exists()]
    half = target.with_suffix(".half")
    join(videos, half)
    half.replace(target)
    truth = CameraTruth(job.out, town, traffic, camera)
    for note in notes:
        for number, pose, seen in pickle.loads(note.read_bytes()):  # noqa: S301 - our own file
            _record(truth, number, pose, seen)
    truth.close(frames)
    draft = target.with_name("render.json.half")
    draft.write_text(json.dumps({"key": job.key, "frames": frames, "fps": job.fps}) + "\n", encoding="utf-8")
    draft.replace(target.with_name("render.json"))
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def _record(truth: CameraTruth, number: int, pose: Frame, seen: list[Seen]) -> None:
    def boxes(which: str) -> NDArray[np.float32]:
        return np.array([getattr(s, which) for s in seen], np.float32).reshape(-1, 4)

    truth.add(
        number, pose, np.array([s.number for s in seen], np.int32), boxes("visible_box"), boxes("full_box"),
        np.array([s.visible_px for s in seen], np.int32), np.array([s.full_px for s in seen], np.int32),
        np.array([s.distance_m for s in seen], np.float32),
    )  # fmt: skip
