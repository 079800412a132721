# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from pydantic import SecretStr

from connectors.camera import CameraReader, shown
from connectors.decode import frames
from connectors.errors import CameraError, CameraUnreachable, CameraUnreadable, CodecUnsupported
from connectors.gop import Gap, Gop
from connectors.site import CameraSite
from tests.connectors.videos import (
    CLOSED_HEVC,
    H264,
    H264_B,
    OPEN_HEVC,
    START,
    file_camera,
    make_video,
    with_damaged_packets,
    with_wrong_length,
)


def read(camera: CameraSite, **more: Any) -> list[Gop]:
    return list(CameraReader(camera, run="r", **more).gops())


@pytest.mark.parametrize(
    ("name", "codec", "options", "framing"),
    [
        ("a.mp4", "libx264", None, "length"),
        ("a.ts", "libx264", None, "annexb"),
        ("b.mp4", "libx264", H264_B, "length"),
        ("a.h264", "libx264", None, "annexb"),
        ("c.mp4", "libx265", CLOSED_HEVC, "length"),
        ("c.ts", "libx265", CLOSED_HEVC, "annexb"),
        ("m.avi", "mjpeg", {}, "jpeg"),
    ],
)
def test_a_file_becomes_gops_that_decode_alone(
    tmp_path: Path, name: str, codec: str, options: dict[str, str] | None, framing: str
) -> None:
    gops = read(file_camera(make_video(tmp_path / name, codec, options)))
    assert sum(g.frames for g in gops) == 75
    assert len(gops) >= 3
    assert [g.sequence for g in gops] == list(range(len(gops)))
    assert {(g.codec.framing, g.codec.width_px, g.codec.height_px, g.clock) for g in gops} == {
        (framing, 160, 120, "file")
    }
    assert not any(g.open_gop for g in gops)
    times = [at for g in gops for at, _ in frames(g)]
    assert len(times) == 75
    assert times == sorted(times)
    assert times[0] == START
    assert abs(times[-1] - START - timedelta(seconds=74 / 25)) < timedelta(milliseconds=2)
    for g in gops:
        assert g.packets[0].keyframe
        assert min(p.pts_us for p in g.packets) == 0
        assert sum(p.size for p in g.packets) == len(g.payload)


def test_the_packets_are_those_of_the_file(tmp_path: Path) -> None:
    file = make_video(tmp_path / "a.mp4")
    with av.open(str(file)) as container:
        packets = b"".join(bytes(p) for p in container.demux(video=0) if p.size)
    assert b"".join(g.payload for g in read(file_camera(file))) == packets


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("o.ts", "libx265", OPEN_HEVC),
        ("q.ts", "libx264", {"g": "25", "x264-params": "open-gop=1"}),
    ],
)
def test_open_gops_are_found_and_told_once(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    gops = read(file_camera(make_video(tmp_path / name, codec, options)))
    assert any(g.open_gop for g in gops)
    assert not gops[0].open_gop
    told = [r for r in caplog.records if "open GOPs" in r.message]
    assert len(told) == 1
    decoded = [len(list(frames(g))) for g in gops]
    assert sum(decoded) < 75  # the leading pictures are lost when a GOP is decoded alone
    assert [n for n, g in zip(decoded, gops, strict=True) if not g.open_gop] == [
        g.frames for g in gops if not g.open_gop
    ]


def test_a_file_resumes_after_what_was_handed_on(tmp_path: Path) -> None:
    camera = file_camera(make_video(tmp_path / "a.mp4", frames=1000))
    gops = read(camera)
    for n in (0, 10, 25, len(gops) - 2):
        again = read(camera, resume_after=gops[n].last_at, first_sequence=n + 1)
        assert [(g.first_at, g.sequence, g.sha256) for g in again] == [
            (g.first_at, g.sequence, g.sha256) for g in gops[n + 1 :]
        ]
    assert read(camera, resume_after=gops[-1].last_at) == []


def test_a_truncated_file_gives_what_is_there_and_tells_what_is_not(tmp_path: Path) -> None:
    file = make_video(tmp_path / "a.mp4", frames=250)
    faststart = tmp_path / "f.mp4"
    with av.open(str(file)) as source, av.open(str(faststart), "w", options={"movflags": "+faststart"}) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    data = faststart.read_bytes()
    faststart.write_bytes(data[: len(data) * 6 // 10])
    reader = CameraReader(file_camera(faststart), run="r")
    gops = list(reader.gops())
    assert 2 < len(gops) < 9
    assert reader.shortfall is not None
    start, end = reader.shortfall
    assert abs((start - gops[-1].last_at).total_seconds()) < 0.1
    assert abs((end - START).total_seconds() - 10) < 0.1


def test_a_whole_file_tells_no_shortfall(tmp_path: Path) -> None:
    reader = CameraReader(file_camera(make_video(tmp_path / "a.mp4", options=H264_B)), run="r")
    assert list(reader.gops())
    assert reader.shortfall is None


KEYFRAME, ANOTHER = 25, 31
"""Pictures of the second group of pictures of `make_video`."""


@pytest.mark.parametrize("options", [H264, H264_B])
@pytest.mark.parametrize("picture", [KEYFRAME, ANOTHER])
def test_a_damaged_group_of_pictures_is_a_gap_and_reading_goes_on(
    tmp_path: Path, picture: int, options: dict[str, str]
) -> None:
    file = make_video(tmp_path / "a.mp4", options=options, frames=100)
    before, lost, *after = read(file_camera(file))
    camera = file_camera(with_wrong_length(file, picture))
    first, gap, *rest = list(CameraReader(camera, run="r").records())
    assert [first, *rest] == [before, *after]
    assert isinstance(gap, Gap)
    assert (gap.sequence, gap.started_at) == (lost.sequence, lost.first_at)
    assert lost.last_at < gap.ended_at < after[0].first_at
    assert "25 pictures from 2026-11-20T08:00:01+00:00 on are damaged and left out: a NAL unit of" in gap.reason
    assert read(camera, resume_after=gap.ended_at, first_sequence=gap.sequence + 1) == after


def test_packets_that_come_damaged_are_left_out_and_told(tmp_path: Path) -> None:
    file = make_video(tmp_path / "a.ts")
    told: list[None] = []
    gops = read(file_camera(with_damaged_packets(file)), damaged=lambda: told.append(None))
    assert told and sum(g.frames for g in gops) == 75 - len(told)


def audio_only(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def unfinished(path: Path) -> Path:
    data = make_video(path.with_suffix(".whole.mp4")).read_bytes()
    path.write_bytes(data[: data.index(b"moov")])
    return path


def rubbish(path: Path) -> Path:
    path.write_bytes(np.random.default_rng(1).bytes(200_000))
    return path


@pytest.mark.parametrize(
    ("make", "error", "state", "says"),
    [
        (lambda p: p / "nothing.mp4", CameraUnreachable, "no such file", "no such file"),
        (lambda p: p, CameraUnreachable, "file unreadable", "directory"),
        (
            lambda p: rubbish(p / "rubbish.mp4"),
            CameraUnreadable,
            "file unreadable",
            "damaged, unfinished or no video",
        ),
        (
            lambda p: unfinished(p / "unfinished.mp4"),
            CameraUnreadable,
            "file unreadable",
            "damaged, unfinished or no video",
        ),
        (
            lambda p: make_video(p / "old.avi", "mpeg4", {}),
            CodecUnsupported,
            "unknown codec",
            "mpeg4; set the camera to H.264",
        ),
        (lambda p: audio_only(p / "sound.mp4"), CameraUnreadable, "no video", "no video, only audio"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_reason(
    tmp_path: Path, make: Any, error: type, state: str, says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        read(file_camera(make(tmp_path), name="place-du-marche"))
    assert "place-du-marche" in str(caught.value)
    assert caught.value.state == state


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise av.error.PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("connectors.camera.av.open", refuse)
    with pytest.raises(CameraUnreachable, match="this user may not read it") as caught:
        read(file_camera(tmp_path / "a.mp4"))
    assert caught.value.state == "file not allowed"


def rtsp(port: int, **more: Any) -> CameraSite:
    url = SecretStr(f"rtsp://admin:hunter2secret@127.0.0.1:{port}/live?token=hunter3secret")
    return CameraSite(name="c1", label="c1", url=url, masks_dwellings=True, **more)


@pytest.fixture
def mute_server() -> Iterator[int]:
    """It takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def babbling_server() -> Iterator[int]:
    """It answers every connection with bytes that are no RTSP."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(np.random.default_rng(2).bytes(100_000))

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def assert_no_password(text: str) -> None:
    for secret in ("hunter2secret", "hunter3secret", "admin"):
        assert secret not in text


def test_a_camera_that_never_answers_is_given_up_in_time(
    mute_server: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CameraUnreachable, match=r"127\.0\.0\.1:\d+/live.*no answer within 0\.5 s") as caught:
        read(rtsp(mute_server, open_timeout_s=0.5, read_timeout_s=0.5))
    assert_no_password(str(caught.value) + caplog.text + "".join(capfd.readouterr()))


def test_a_camera_that_refuses_is_told_without_its_password(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CameraUnreachable, match="Connection refused") as caught:
        read(rtsp(9))
    assert_no_password(str(caught.value) + repr(caught.value) + caplog.text + "".join(capfd.readouterr()))


def test_a_camera_that_babbles_is_told_without_its_password(
    babbling_server: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CameraError) as caught:
        read(rtsp(babbling_server, open_timeout_s=2, read_timeout_s=2))
    assert_no_password(str(caught.value) + caplog.text + "".join(capfd.readouterr()))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("rtsp://u:p@10.0.0.1:554/stream?x=1", "rtsp://10.0.0.1:554/stream"),
        ("rtsps://u:p%40@cam.example/s", "rtsps://cam.example/s"),
        ("/data/films/street.mp4", "street.mp4"),
    ],
)
def test_an_address_is_shown_without_user_password_and_query(url: str, says: str) -> None:
    assert shown(url) == says


def test_keyframes_far_apart_are_warned_about_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    far = {"g": "300", "preset": "ultrafast", "sc_threshold": "0"}
    read(file_camera(make_video(tmp_path / "a.mp4", options=far, frames=700)))
    assert len([r for r in caplog.records if "a keyframe only every 12 s" in r.message]) == 1


class Jumping:
    """A file as a stream whose time jumps at its sixtieth packet."""

    def __init__(self, path: Path, jump_s: float) -> None:
        self._file, self._jump_s = av.open(str(path)), jump_s
        self.streams, self.close = self._file.streams, self._file.close

    def demux(self, stream: av.VideoStream) -> Iterator[av.Packet]:
        for number, packet in enumerate(self._file.demux(stream)):
            if number >= 60 and packet.pts is not None and packet.dts is not None and packet.time_base is not None:
                packet.pts += round(self._jump_s / packet.time_base)
                packet.dts += round(self._jump_s / packet.time_base)
            yield packet


@pytest.mark.parametrize("jump_s", [45.0, -45.0])
def test_no_group_is_stamped_over_a_jump_of_the_streams_time(
    tmp_path: Path, jump_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream: Any = Jumping(make_video(tmp_path / "a.ts", options=H264), jump_s)
    monkeypatch.setattr(CameraReader, "_open", lambda reader: stream)
    gops: list[Gop] = []
    with pytest.raises(CameraUnreadable, match="its time jumps by"):
        for gop in CameraReader(rtsp(1), run="r", now=lambda: START).gops():
            gops.append(gop)
    assert gops and gops[-1].last_at - gops[0].first_at < timedelta(seconds=60 / 25)
