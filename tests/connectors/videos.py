# SPDX-License-Identifier: AGPL-3.0-or-later
"""Small videos encoded for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import numpy as np
from pydantic import SecretStr

from connectors.site import CameraSite

START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
CLOSED_HEVC = {"x265-params": "keyint=25:min-keyint=25:open-gop=0:log-level=none"}
OPEN_HEVC = {"x265-params": "keyint=25:min-keyint=25:open-gop=1:log-level=none"}
H264 = {"g": "25", "preset": "ultrafast"}
H264_B = {"g": "25", "x264-params": "bframes=2:log-level=-1"}
TS_PACKET = 188


def make_video(
    path: Path,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    frames: int = 75,
    fps: int = 25,
    size: tuple[int, int] = (160, 120),
    noise: int = 0,
) -> Path:
    """A bright bar that moves right, with as much noise as asked for; the container is that of the file's ending."""
    width, height = size
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=fps)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.options = H264 if options is None and codec == "libx264" else (options or {})
        for n in range(frames):
            picture = np.full((height, width, 3), 40, np.uint8)
            picture[n % height] = 90
            picture[:, (2 * n) % width : (2 * n) % width + 20] = 220
            if noise:
                picture ^= np.random.default_rng(n).integers(0, noise, picture.shape, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    return path


def with_wrong_length(file: Path, picture: int) -> Path:
    """The MP4 with the length of a picture's first NAL unit beyond the end of its packet, as a bad disk leaves it."""
    with av.open(str(file)) as container:
        at = [p.pos for p in container.demux(video=0) if p.size][picture]
    data = bytearray(file.read_bytes())
    data[at] ^= 0x40
    file.write_bytes(data)
    return file


def with_damaged_packets(file: Path) -> Path:
    """The MPEG transport stream with some of its packets marked as damaged on the way."""
    data = bytearray(file.read_bytes())
    for at in range(20 * TS_PACKET, len(data), 9 * TS_PACKET):
        data[at + 1] |= 0x80
    file.write_bytes(data)
    return file


def file_camera(path: Path | str, name: str = "c1", **more: Any) -> CameraSite:
    """A file camera that starts at START and is read as fast as it goes."""
    return CameraSite(
        name=name,
        label=name,
        url=SecretStr(str(path)),
        **{"start_utc": START, "pace": "fast", "masks_dwellings": True, **more},
    )
