# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest

from connectors.bounds import Interval
from connectors.camera import CameraReader
from connectors.decode import frames
from connectors.errors import VideoError
from connectors.gop import Gop, Seal
from connectors.remux import content_hashes, same_parameters, to_mp4
from tests.connectors.videos import CLOSED_HEVC, H264_B, START, file_camera, make_video

KINDS = [
    ("a.mp4", "libx264", H264_B),
    ("a.ts", "libx264", H264_B),
    ("c.mp4", "libx265", CLOSED_HEVC),
    ("c.ts", "libx265", CLOSED_HEVC),
    ("m.avi", "mjpeg", {}),
]


def gops_of(path: Path, codec: str = "libx264", options: dict[str, str] | None = None, **more: int) -> list[Gop]:
    return list(CameraReader(file_camera(make_video(path, codec, options, **more)), run="r").gops())


def pictures(file: Path) -> list[np.ndarray]:
    with av.open(str(file)) as container:
        return [f.to_ndarray(format="bgr24") for f in container.decode(video=0)]


@pytest.mark.parametrize(("name", "codec", "options"), KINDS)
def test_frames_are_those_of_the_file(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    gops = gops_of(tmp_path / name, codec, options)
    mine = [picture for g in gops for _, picture in frames(g)]
    theirs = pictures(tmp_path / name)
    assert len(mine) == len(theirs) == 75
    assert mine[0].shape == (120, 160, 3) and mine[0].dtype == np.uint8
    assert all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "codec", "options"), KINDS)
def test_an_mp4_holds_the_same_pictures_and_the_same_hashes(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    gops = gops_of(tmp_path / name, codec, options)
    out = tmp_path / "out.mp4"
    written = to_mp4(gops, out)
    assert (written.frames, written.gops, written.started_at) == (75, len(gops), START)
    assert written.ended_at == gops[-1].last_at
    assert content_hashes(out, [g.frames for g in gops]) == [g.sha256 for g in gops] == list(written.sha256)
    theirs = pictures(tmp_path / name)
    mine = pictures(out)
    assert len(mine) == 75
    assert all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))
    with av.open(str(out)) as container:
        times = [float(f.pts * f.time_base) for f in container.decode(video=0)]
    assert times == pytest.approx([n / 25 for n in range(75)], abs=0.002)


def test_a_changed_picture_changes_the_hash(tmp_path: Path) -> None:
    gops = gops_of(tmp_path / "a.mp4")
    out = tmp_path / "out.mp4"
    to_mp4(gops, out)
    data = bytearray(out.read_bytes())
    at = data.index(gops[1].payload[200:260])
    data[at + 30] ^= 1
    out.write_bytes(data)
    assert [a == b.sha256 for a, b in zip(content_hashes(out, [g.frames for g in gops]), gops, strict=True)] == [
        True,
        False,
        True,
    ]


def test_edges_are_outward_for_looking_and_inward_for_handing_over(tmp_path: Path) -> None:
    gops = gops_of(tmp_path / "a.mp4")
    interval = Interval(START + timedelta(seconds=0.5), START + timedelta(seconds=2.5))
    assert to_mp4(gops, tmp_path / "o.mp4", interval).frames == 75
    inward = to_mp4(gops, tmp_path / "i.mp4", interval, "inward")
    assert (inward.frames, inward.started_at) == (25, START + timedelta(seconds=1))


def test_a_hole_in_time_stays_a_hole(tmp_path: Path) -> None:
    gops = gops_of(tmp_path / "a.mp4", frames=100)
    to_mp4([gops[0], gops[3]], tmp_path / "o.mp4")
    with av.open(str(tmp_path / "o.mp4")) as container:
        times = [float(f.pts * f.time_base) for f in container.decode(video=0)]
    assert times[24] == pytest.approx(0.96, abs=0.01) and times[25] == pytest.approx(3.0, abs=0.01)


def test_parameters_that_change_are_refused_and_can_be_told_apart(tmp_path: Path) -> None:
    small = gops_of(tmp_path / "a.mp4")
    large = list(
        CameraReader(file_camera(make_video(tmp_path / "b.mp4", size=(320, 240))), run="r").gops(),
    )
    with pytest.raises(VideoError, match="same_parameters"):
        to_mp4([*small, *large], tmp_path / "o.mp4")
    assert not (tmp_path / "o.mp4").exists()
    assert list(same_parameters([*small, *large, *small])) == [small, large, small]


def test_nothing_to_write_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="nothing to write"):
        to_mp4([], tmp_path / "o.mp4")


def test_a_sealed_gop_is_neither_decoded_nor_written(tmp_path: Path) -> None:
    seal = Seal(key_id="k", day="2026-11-20", sealed_key=b"", nonce=b"")
    sealed = msgspec.structs.replace(gops_of(tmp_path / "a.mp4")[0], seal=seal)
    with pytest.raises(VideoError, match="is sealed"):
        list(frames(sealed))
    with pytest.raises(VideoError, match="is sealed"):
        to_mp4([sealed], tmp_path / "o.mp4")


def test_frames_can_be_fewer_on_a_grid_that_gops_do_not_move(tmp_path: Path) -> None:
    gops = gops_of(tmp_path / "a.mp4", frames=100)
    times = [at for g in gops for at, _ in frames(g, fps=5)]
    assert times == [START + timedelta(seconds=n / 5) for n in range(20)]
    assert [at for g in gops for at, _ in frames(g, keyframes_only=True)] == [g.first_at for g in gops]
    assert {picture.shape for _, picture in frames(gops[0], size=(80, 60))} == {(60, 80, 3)}
    fewer = sum(1 for g in gops_of(tmp_path / "b.mp4", options=H264_B) for _ in frames(g, skip_non_reference=True))
    assert 25 < fewer < 75


def test_a_payload_that_does_not_decode_is_an_error_after_the_frames_that_do(tmp_path: Path) -> None:
    gop = gops_of(tmp_path / "m.avi", "mjpeg", {})[0]
    sizes = [p.size for p in gop.packets]
    start = sum(sizes[:5])
    payload = gop.payload[:start] + bytes(sizes[5]) + gop.payload[start + sizes[5] :]
    found = []
    with pytest.raises(VideoError, match=rf"1 of {len(sizes)} packets did not decode"):
        for at, _ in frames(msgspec.structs.replace(gop, payload=payload)):
            found.append(at)
    assert len(found) == len(sizes) - 1


def test_a_table_that_does_not_fit_the_payload_is_an_error(tmp_path: Path) -> None:
    gop = gops_of(tmp_path / "a.mp4")[0]
    with pytest.raises(VideoError, match="the packet table says"):
        list(frames(msgspec.structs.replace(gop, payload=gop.payload[:-1])))
