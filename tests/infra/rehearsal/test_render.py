# SPDX-License-Identifier: AGPL-3.0-or-later
"""A whole render: the same twice, other with another seed, resumed after an interruption, refused on a full disk."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import av
import psutil
import pyarrow.parquet as pq
import pytest

from infra.rehearsal import camera_job, render, traffic
from infra.rehearsal.errors import RenderError
from tests.infra.rehearsal import small_town

pytestmark = pytest.mark.slow


def _render(out: Path, seed: int = 1, **more: object) -> Path:
    return render.render_traffic(small_town.town(seed), small_town.traffic(seed=seed), 3.0, out, workers=1, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _render(tmp_path_factory.mktemp("whole") / "town")


def _boxes(out: Path, camera: str = "A1") -> list[dict[str, object]]:
    return list(pq.read_table(out / "truth" / "boxes" / f"{camera}.parquet").to_pylist())


def test_layout_and_description(whole: Path) -> None:
    said = json.loads((whole / "town.json").read_text())
    assert said["cameras"][0]["file"] == "A1/video.mp4"
    assert said["seconds"] == 3.0
    assert not (whole / ".parts").exists()
    with av.open(str(whole / "A1" / "video.mp4")) as box:
        frames = list(box.decode(video=0))
    assert len(frames) == 12
    assert [f.key_frame for f in frames] == [k % 4 == 0 for k in range(12)]
    assert float(frames[5].pts * frames[5].time_base) == pytest.approx(5 / 4)
    assert {row["vehicle"] for row in _boxes(whole)} >= {0, 1}


def test_same_seed_same_render_and_other_seed_another(whole: Path, tmp_path: Path) -> None:
    again, other = _render(tmp_path / "again"), _render(tmp_path / "other", seed=2)
    assert _boxes(again) == _boxes(whole)
    assert (again / "A1" / "video.mp4").read_bytes() == (whole / "A1" / "video.mp4").read_bytes()
    assert _boxes(other) != _boxes(whole)
    assert (other / "A1" / "video.mp4").read_bytes() != (whole / "A1" / "video.mp4").read_bytes()


def test_second_call_draws_nothing(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_job, "CameraRun", None)
    assert _render(whole) == whole


def test_a_whole_town_drives_no_traffic_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driven: list[float] = []

    def simulate(plan: object, seconds: float) -> object:
        driven.append(seconds)
        return small_town.town(), small_town.traffic()

    monkeypatch.setattr(traffic, "simulate", simulate)

    def town(seconds: float = 3.0) -> None:
        render.render_town("test-2", None, seconds, tmp_path, workers=1)

    town()
    town()
    assert driven == [3.0]
    town(2.0)
    (tmp_path / "A1" / "video.mp4").unlink()
    town(2.0)
    assert driven == [3.0, 2.0, 2.0]
    assert (tmp_path / "A1" / "video.mp4").is_file()


def test_interrupted_render_is_not_taken_for_whole_and_goes_on(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "town"
    monkeypatch.setattr(camera_job, "PART_S", 1.0)
    drawn: list[float] = []
    picture = camera_job.CameraRun.picture

    def stop_at_two(self: camera_job.CameraRun, time_s: float) -> object:
        if time_s >= 2.25 and len(drawn) < 10:
            raise KeyboardInterrupt
        drawn.append(time_s)
        return picture(self, time_s)

    monkeypatch.setattr(camera_job.CameraRun, "picture", stop_at_two)
    with pytest.raises(KeyboardInterrupt):
        _render(out)
    assert not (out / "town.json").exists()
    assert not (out / "A1" / "video.mp4").exists()
    drawn.extend([0.0] * 10)
    count = len(drawn)
    _render(out)
    assert len(drawn) - count == 4, "only the last second was drawn again"
    assert _boxes(out) == _boxes(whole)
    with av.open(str(out / "A1" / "video.mp4")) as box:
        assert len(list(box.decode(video=0))) == 12


def test_a_killed_render_leaves_no_process_and_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "town"
    command = [sys.executable, "-m", "infra.command", "town", "render", "--plan", "test-2", "--workers", "2"]
    command += ["--seconds", "3", "--out", str(out)]
    render = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(out.glob(".parts/*/*.half")):
        assert render.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    workers = psutil.Process(render.pid).children(recursive=True)
    assert len(workers) >= 2
    render.kill()
    render.wait()
    _, left = psutil.wait_procs(workers, timeout=30)
    assert not left
    assert not (out / "town.json").exists()
    assert subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0
    assert len(json.loads((out / "town.json").read_text())["cameras"]) == 2


def test_full_disk_is_said_before_and_during(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1))
        with pytest.raises(RenderError, match="MB are needed"):
            _render(tmp_path / "before")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(camera_job, "join", full)
    with pytest.raises(RenderError, match=r"disk is full.*goes on where it stopped"):
        _render(tmp_path / "during")
    assert not (tmp_path / "during" / "town.json").exists()


def test_outage_leaves_a_gap_in_time(tmp_path: Path) -> None:
    out = render.render_traffic(
        small_town.town(cameras=(small_town.with_outage(),)), small_town.traffic(), 3.0, tmp_path, workers=1
    )
    with av.open(str(out / "B2" / "video.mp4")) as box:
        times = [float(f.pts * f.time_base) for f in box.decode(video=0)]
    assert times == pytest.approx([0, 0.25, 0.5, 0.75, 2.0, 2.25, 2.5, 2.75])


def test_unknown_camera_is_named(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="no camera Z9; it has A1"):
        _render(tmp_path, cameras=("Z9",))
