# SPDX-License-Identifier: AGPL-3.0-or-later
"""Videos are coded as a street camera codes them, whichever codec it has; parts join without decoding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from infra.rehearsal.encode import Encoder, join
from infra.rehearsal.score.detection import sampled
from infra.rehearsal.world import Camera
from tests.infra.rehearsal import small_town


def _coded(file: Path, camera: Camera, first: int, frames: int, fps: int = 4) -> Path:
    rng = np.random.default_rng(first)
    encoder = Encoder(file, camera, fps)
    still = rng.integers(16, 235, (camera.height_px * 3 // 2, camera.width_px), dtype=np.uint8)
    for k in range(first, first + frames):
        encoder.add(np.roll(still, k, axis=1), k)
    encoder.close()
    return file


@pytest.mark.parametrize(("codec", "library_name"), [("h264", "h264"), ("h265", "hevc")])
def test_closed_groups_without_frames_from_ahead(tmp_path: Path, codec: str, library_name: str) -> None:
    camera = replace(small_town.town().cameras[0], codec=codec, gop_s=1.0)
    parts = [_coded(tmp_path / f"{n}.mp4", camera, 8 * n, 8) for n in range(2)]
    whole = tmp_path / "whole.mp4"
    join(parts, whole)
    with av.open(str(whole)) as box:
        stream = box.streams.video[0]
        assert stream.codec_context.name == library_name
        packets = [p for p in box.demux(stream) if p.dts is not None]
    assert [p.is_keyframe for p in packets] == [k % 4 == 0 for k in range(16)]
    assert all(p.pts == p.dts for p in packets)
    with av.open(str(whole)) as box:
        box.seek(round(2.0 / box.streams.video[0].time_base), stream=box.streams.video[0])
        second = [float(f.time) for f in box.decode(video=0)]
    assert second == pytest.approx([k / 4 for k in range(8, 16)]), "a group opens without the one before it"


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_pictures_sampled_for_the_detector_are_those_of_their_frame(tmp_path: Path, codec: str) -> None:
    camera = replace(small_town.town().cameras[0], codec=codec, gop_s=1.0)
    encoder = Encoder(tmp_path / "video.mp4", camera, 4)
    frames = [*range(12), *range(20, 32)]  # an outage between
    for k in frames:
        encoder.add(np.full((camera.height_px * 3 // 2, camera.width_px), 40 + 5 * k, np.uint8), k)
    encoder.close()
    seen = dict(sampled(tmp_path / "video.mp4", 4.0, 2.0))
    assert sorted(seen) == [1, 9, 21, 25]
    with av.open(str(tmp_path / "video.mp4")) as box:
        every = {frames[n]: f.to_ndarray(format="bgr24") for n, f in enumerate(box.decode(video=0))}
    assert all((seen[n] == every[n]).all() for n in seen)
