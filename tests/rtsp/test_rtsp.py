# SPDX-License-Identifier: AGPL-3.0-or-later
"""Cameras against a real RTSP server: GStreamer's, run by Debian's own Python."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from connectors.camera import CameraReader
from connectors.camera_feed import CameraFeed, CameraPosition
from connectors.decode import frames
from connectors.errors import CameraError, CameraUnreachable
from connectors.gop import FrameRecord, Gap, Gop
from connectors.site import CameraSite
from infra.ports import free_port
from tests.connectors.videos import CLOSED_HEVC, make_video

pytestmark = [pytest.mark.rtsp, pytest.mark.slow]

PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).with_name("serve.py")
SECRET = "s3cr3t-of-the-camera"


@contextmanager
def serving(port: int, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([PYTHON, str(SERVER), str(port), *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    check = [PYTHON, "-c", "import gi; gi.require_version('GstRtspServer', '1.0')"]
    if not Path(PYTHON).exists() or subprocess.run(check, capture_output=True).returncode != 0:
        pytest.skip("needs Debian's gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-{base,good,bad} and python3-gi")
    folder = tmp_path_factory.mktemp("rtsp")
    return {
        "h264": f"/h264={make_video(folder / 'a.mp4', options={'g': '25', 'bf': '2'}, frames=120)}:h264",
        "hevc": f"/hevc={make_video(folder / 'b.mp4', 'libx265', CLOSED_HEVC, frames=120)}:h265",
        "mjpeg": f"/mjpeg={make_video(folder / 'c.avi', 'mjpeg', {}, frames=120)}:mjpeg",
    }


@pytest.fixture(scope="module")
def server(media: dict[str, str]) -> Iterator[int]:
    port = free_port()
    with serving(port, "--user", "admin", "--password", SECRET, *media.values()):
        yield port


def camera(port: int, path: str, transport: str = "tcp", login: str = f"admin:{SECRET}@", **more: Any) -> CameraSite:
    return CameraSite(
        name="place",
        label="place",
        url=SecretStr(f"rtsp://{login}127.0.0.1:{port}/{path}"),
        transport=transport,  # type: ignore[arg-type]
        masks_dwellings=True,
        **{"open_timeout_s": 10, "read_timeout_s": 5, **more},
    )


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", ["h264", "hevc", "mjpeg"])
def test_a_stream_becomes_gops_with_the_senders_time(server: int, codec: str, transport: str) -> None:
    began = datetime.now(UTC)
    gops: list[Gop] = []
    with pytest.raises(CameraUnreachable, match=f"127.0.0.1:{server}/{codec}.*ended its stream"):
        for gop in CameraReader(camera(server, codec, transport), run="r").gops():
            gops.append(gop)
    assert 110 <= sum(g.frames for g in gops) <= 120
    assert {(g.codec.codec, g.codec.width_px, g.codec.height_px) for g in gops} == {(codec, 160, 120)}
    assert all(len(list(frames(g))) == g.frames for g in gops[:-1])
    # FFmpeg hands out what it has of the picture that was on its way when a UDP stream ended: it may be cut short.
    assert len(list(frames(gops[-1]))) >= gops[-1].frames - (transport == "udp")
    assert all(a.last_at < b.first_at for a, b in pairwise(gops))
    assert gops[-1].clock == "stream"  # reports come after a second or two; until then arrival counts
    span = gops[-1].last_at - gops[0].first_at
    assert abs(span - timedelta(seconds=119 / 25)) < timedelta(seconds=0.4)
    assert began - timedelta(seconds=1) < gops[0].first_at < datetime.now(UTC)


def test_a_wrong_password_is_said_so_and_not_shown(
    server: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = camera(server, "h264", login="admin:wrong-s3cr3t@")
    with pytest.raises(CameraUnreachable, match="refuses the user or password") as caught:
        next(CameraReader(wrong, run="r").gops())
    shown = str(caught.value) + caplog.text + "".join(capfd.readouterr())
    assert "wrong-s3cr3t" not in shown
    assert "admin" not in shown


def test_a_path_that_is_not_there_is_said_so(server: int) -> None:
    with pytest.raises(CameraUnreachable, match="camera place"):
        next(CameraReader(camera(server, "nothing"), run="r").gops())


def _take(feed: CameraFeed, until_gops: int, within_s: float = 30) -> list[FrameRecord]:
    found: list[FrameRecord] = []
    deadline = time.monotonic() + within_s
    while sum(isinstance(r, Gop) for r in found) < until_gops and time.monotonic() < deadline:
        record = feed.take()
        if record is not None:
            found.append(record)
        else:
            time.sleep(0.02)
    return found


class _Told:
    """What a feed reports."""

    def __init__(self) -> None:
        self.faults: list[CameraError] = []
        self.is_up = False

    def up(self, camera: str, is_up: bool) -> None:
        self.is_up = is_up

    def failed(self, camera: str, fault: CameraError) -> None:
        self.faults.append(fault)

    def dropped(self, camera: str) -> None:
        raise AssertionError("nothing need be dropped")

    damaged = dropped


def test_a_camera_that_falls_silent_while_connected_is_told_and_disturbs_no_other(
    media: dict[str, str], server: int
) -> None:
    """Its connection stays: only that nothing comes shows it, and a new connection is answered by nobody."""
    port, told = free_port(), _Told()
    login = {"login": f"admin:{SECRET}@", "open_timeout_s": 2, "read_timeout_s": 1}
    feed = CameraFeed(camera(port, "h264", **login), run="r", position=CameraPosition(), report=told)  # type: ignore[arg-type]
    other = CameraFeed(camera(server, "mjpeg"), run="r", position=CameraPosition())
    with serving(port, media["h264"]) as process:
        feed.start()
        records = _take(feed, 2)
        assert told.is_up
        process.send_signal(signal.SIGSTOP)
        try:
            other.start()
            undisturbed = _take(other, 2)
            deadline = time.monotonic() + 20
            while len(told.faults) < 2 and time.monotonic() < deadline:
                time.sleep(0.05)
            assert not told.is_up
        finally:
            process.send_signal(signal.SIGCONT)
        records += _take(feed, 2)
    feed.stop()
    other.stop()
    assert [f.state for f in told.faults[:2]] == ["silent", "no answer"]
    assert "nothing came for 1 s" in str(told.faults[0])
    assert sum(isinstance(r, Gop) for r in undisturbed) == 2
    (gap,) = [r for r in records if isinstance(r, Gap)]
    at = records.index(gap)
    earlier, later = records[at - 1], records[at + 1]
    assert isinstance(earlier, Gop) and isinstance(later, Gop)
    assert (gap.started_at, gap.ended_at) == (earlier.last_at, later.first_at)
    assert "nothing came" in gap.reason and SECRET not in gap.reason


def test_a_server_that_dies_and_returns_leaves_a_gap_with_its_reason(
    media: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    feed = CameraFeed(
        camera(port, "h264", login=f"admin:{SECRET}@", read_timeout_s=1), run="r", position=CameraPosition()
    )

    with serving(port, media["h264"]):
        feed.start()
        before = _take(feed, 2)
    with serving(port, media["h264"]):
        after = _take(feed, 2)
    feed.stop()
    records = [*before, *after]
    assert sum(isinstance(r, Gop) for r in records) == 4
    (gap,) = [r for r in records if isinstance(r, Gap)]
    assert "camera place" in gap.reason
    at = records.index(gap)
    earlier, later = records[at - 1], records[at + 1]
    assert isinstance(earlier, Gop) and isinstance(later, Gop)
    assert (gap.started_at, gap.ended_at) == (earlier.last_at, later.first_at)
    assert [r.sequence for r in records] == list(range(len(records)))
    assert SECRET not in caplog.text
    assert SECRET not in gap.reason
