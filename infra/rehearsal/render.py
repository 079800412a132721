# SPDX-License-Identifier: AGPL-3.0-or-later
"""Renders a whole town: traffic, pictures, video and truth, over several processes, resumable, cached by content.

Layout: `OUT/town.json`, `OUT/plan.toml`, `OUT/CAMERA/video.mp4`, `OUT/truth/…` (schema in docs/town.md). While a camera
is under way its finished minutes lie in `OUT/.parts/`; a part is written under another name and renamed when whole.
"""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import pickle
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from functools import lru_cache
from multiprocessing.queues import SimpleQueue
from pathlib import Path

from connectors.whole_file import write_whole
from infra.process import die_with_parent
from infra.rehearsal.errors import RenderError, TruthError
from infra.rehearsal.world import Camera, Town, Traffic

PART_S = 60.0
Progress = Callable[[int, int, str], None]
"""Called with frames done, frames in all, and the camera that moved on."""


@dataclass(frozen=True, slots=True)
class Job:
    """One camera to draw."""

    out: Path
    town_file: Path
    camera: str
    fps: int
    seconds: float
    key: str


@lru_cache(maxsize=1)
def code_version() -> str:
    """Digest of the renderer's own sources: pictures of other code are not taken for ours."""
    here = Path(__file__).parent
    names = (
        "bake.py", "bake_shading.py", "bodies.py", "bodies_cars.py", "bodies_heavy.py", "bodies_people.py",
        "camera_job.py",
        "drawing.py", "encode.py", "facade.py", "ground.py", "lens.py", "light.py", "mesh.py", "paint.py", "painter.py",
        "raster.py", "scene.py", "view.py", "world.py",
    )  # fmt: skip
    digest = hashlib.sha256()
    for name in names:
        digest.update((here / name).read_bytes())
    return digest.hexdigest()


def camera_key(town: Town, camera: Camera, fps: int, seconds: float) -> str:
    """What a camera's video depends on."""
    text = "|".join(
        [town.digest, str(town.seed), code_version(), repr(camera), repr(town.weather), str(fps), f"{seconds:.3f}"]
    )
    return hashlib.sha256(text.encode()).hexdigest()


def render_town(
    plan_path: Path | str,
    seed: int | None,
    seconds: float,
    out_dir: Path | str,
    cameras: tuple[str, ...] | None = None,
    fps: int | None = None,
    workers: int = 2,
    progress: Progress | None = None,
) -> Path:
    """Build the plan's town, drive it and draw it into `out_dir`; returns `out_dir`.

    Run again with the same arguments after an interruption it goes on; when all is there it does nothing. `fps`
    replaces every camera's own frame rate.

    Raises PlanError, NetworkError, TrafficError, RenderError (disk full, unknown camera) or TruthError.
    """
    from infra.rehearsal import plan as plans  # these start SUMO: only where a town is built
    from infra.rehearsal import traffic

    file, out = plans.find_plan(plan_path), Path(out_dir)
    plan = plans.load_plan(file, seed)
    _known(plan.name, [c.name for c in plan.cameras], cameras or ())  # before minutes of traffic are driven
    _folder(out)
    asked = _asked(file, plan.seed, seconds, cameras, fps)
    if (frames := _there(out, asked)) is not None:
        if progress is not None:
            progress(frames, frames, "")
        return out
    town, moves = traffic.simulate(plan, seconds=seconds)
    write_whole(out / "plan.toml", file.read_bytes())
    return render_traffic(town, moves, seconds, out, cameras, fps, workers, progress, asked)


def _asked(file: Path, seed: int, seconds: float, cameras: tuple[str, ...] | None, fps: int | None) -> str:
    """Digest of a whole render's arguments and of every source of the rehearsal."""
    digest = hashlib.sha256(file.read_bytes())
    digest.update(repr((seed, float(seconds), cameras, fps)).encode())
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _there(out: Path, asked: str) -> int | None:
    """Frames of the town in `out` if it is the one asked for and whole: then no traffic need be driven again."""
    try:
        said = json.loads((out / "town.json").read_text(encoding="utf-8"))
        whole = said["asked"] == asked and all((out / row["file"]).is_file() for row in said["cameras"])
        return sum(int(row["frames"]) for row in said["cameras"]) if whole else None
    except (OSError, ValueError, KeyError):
        return None


def render_traffic(
    town: Town,
    traffic: Traffic,
    seconds: float,
    out: Path,
    cameras: tuple[str, ...] | None = None,
    fps: int | None = None,
    workers: int = 2,
    progress: Progress | None = None,
    asked: str = "",
) -> Path:
    """Draw a town whose traffic is known already (see `render_town`); `asked` is kept for the next one who asks."""
    from infra.rehearsal.truth import finish_truth, write_town

    chosen = _chosen(town, cameras)
    if seconds <= 0:
        raise RenderError(f"asked for {seconds} s of video; the length must be positive")
    _check_space(out, chosen, seconds)
    parts = out / ".parts"
    parts.mkdir(parents=True, exist_ok=True)
    rates = {c.name: fps or c.fps for c in chosen}
    keys = {c.name: camera_key(town, c, rates[c.name], seconds) for c in chosen}
    try:
        (out / "town.json").unlink(missing_ok=True)  # it says that all is there
        write_town(out, town, traffic)
        town_file = parts / "town.pickle"
        write_whole(town_file, pickle.dumps((town, traffic), protocol=5))
        # The longest first: none is left for the end.
        by_cost = sorted(chosen, key=lambda c: _cost(c) * rates[c.name], reverse=True)
        jobs = [Job(out, town_file, c.name, rates[c.name], seconds, keys[c.name]) for c in by_cost]
        todo = [job for job in jobs if not is_done(out, job)]
        total = sum(round(job.seconds * job.fps) for job in jobs)
        done = {job.camera: round(job.seconds * job.fps) for job in jobs if job not in todo}
        _run(todo, workers, total, done, progress)
        finish_truth(out, town, traffic, tuple(c.name for c in chosen))
        write_whole(out / "town.json", _description(town, chosen, rates, seconds, keys, asked).encode())
    except OSError as error:
        raise _plain(error, out) from error
    town_file.unlink(missing_ok=True)
    if not any(parts.iterdir()):
        parts.rmdir()
    return out


def _cost(camera: Camera) -> float:
    """Of one frame, beside those of other cameras."""
    return camera.width_px * camera.height_px * (1.5 if camera.codec == "h265" else 1.0)


def is_done(out: Path, job: Job) -> bool:
    """Whether a camera's video and boxes are there, whole, from this plan, seed and code."""
    note = out / job.camera / "render.json"
    try:
        said = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return (
        said.get("key") == job.key
        and (out / job.camera / "video.mp4").exists()
        and (out / "truth" / "boxes" / f"{job.camera}.parquet").exists()
    )


def _chosen(town: Town, names: tuple[str, ...] | None) -> tuple[Camera, ...]:
    by_name = {c.name: c for c in town.cameras}
    if names is None:
        return town.cameras
    _known(town.name, list(by_name), names)
    return tuple(by_name[n] for n in names)


def _known(town: str, cameras: list[str], names: tuple[str, ...]) -> None:
    unknown = [n for n in names if n not in cameras]
    if unknown:
        raise RenderError(f"{town} has no camera {', '.join(unknown)}; it has {', '.join(cameras)}")


def _folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RenderError(f"{out}: is no folder that can be written to: {error.strerror}; choose another") from error


def _check_space(out: Path, cameras: tuple[Camera, ...], seconds: float) -> None:
    """Refuse early what the disk cannot hold: both the parts and the joined file exist for a moment."""
    _folder(out)
    biggest = max((c.bitrate_kbps for c in cameras), default=0)
    need = int((sum(c.bitrate_kbps for c in cameras) + biggest) * 125 * seconds * 1.2) + 64_000_000
    free = shutil.disk_usage(out).free
    if free < need:
        raise RenderError(
            f"{out}: {need // 1_000_000} MB are needed and {free // 1_000_000} MB are free; "
            "free some space or choose another folder"
        )


def _plain(error: OSError, out: Path) -> RenderError:
    if error.errno == errno.ENOSPC:
        return RenderError(
            f"{out}: the disk is full; free some space and run the same command again, it goes on where it stopped"
        )
    return RenderError(f"{out}: {error}; mend that and run the same command again, it goes on where it stopped")


def _run(todo: list[Job], workers: int, total: int, done: dict[str, int], progress: Progress | None) -> None:
    def tell(camera: str, frames: int) -> None:
        done[camera] = frames
        if progress is not None:
            progress(sum(done.values()), total, camera)

    if not todo:
        if progress is not None:
            progress(total, total, "")
        return
    from infra.rehearsal.camera_job import draw_camera

    if workers <= 1 or len(todo) == 1:
        for job in todo:
            draw_camera(job, lambda frames, name=job.camera: tell(name, frames))  # type: ignore[misc]
        return
    context = multiprocessing.get_context("spawn")
    news: SimpleQueue[tuple[str, int]] = context.SimpleQueue()
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_worker_start, initargs=(news,))
    try:
        waiting = {pool.submit(_worker, job) for job in todo}
        while waiting:
            finished, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
            while not news.empty():
                tell(*news.get())
            for future in finished:
                future.result()
        while not news.empty():
            tell(*news.get())
        pool.shutdown()
    except BaseException:
        _stop(pool)
        raise


def _stop(pool: ProcessPoolExecutor) -> None:
    """End the workers at once; whole parts stay for the next run."""
    processes = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(10)


_NEWS: list[SimpleQueue[tuple[str, int]]] = []
"""In a worker: where it tells how far it is."""


def _worker_start(news: SimpleQueue[tuple[str, int]]) -> None:
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    _NEWS[:] = [news]


def _worker(job: Job) -> None:
    from infra.rehearsal.camera_job import draw_camera

    try:
        draw_camera(job, lambda frames: _NEWS[0].put((job.camera, frames)))
    except (RenderError, TruthError):
        raise
    except OSError as error:
        raise _plain(error, job.out) from error


def _description(
    town: Town, cameras: tuple[Camera, ...], rates: dict[str, int], seconds: float, keys: dict[str, str], asked: str
) -> str:
    """The text of `town.json`."""
    rows = []
    for c in cameras:
        row = asdict(c)
        row.update(
            fps=rates[c.name], file=f"{c.name}/video.mp4", key=keys[c.name], frames=round(seconds * rates[c.name])
        )
        rows.append(row)
    text = {
        "name": town.name, "family": town.family, "seed": town.seed, "digest": town.digest, "code": code_version(),
        "asked": asked, "start_utc": town.start_utc, "seconds": seconds, "weather": asdict(town.weather),
        "cameras": rows, "notes": town.notes,
    }  # fmt: skip
    return json.dumps(text, indent=2, ensure_ascii=False) + "\n"
