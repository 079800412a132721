# SPDX-License-Identifier: AGPL-3.0-or-later
"""Encodes frames as a street camera would: H.264 or H.265, closed GOPs, no B-frames, times by its own clock."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from infra.rehearsal.errors import RenderError
from infra.rehearsal.world import Camera

TIME_BASE = Fraction(1, 90_000)


class Encoder:
    """One video file; frames are planar YUV 4:2:0 as OpenCV's I420 (height·3/2, width)."""

    def __init__(self, path: Path, camera: Camera, fps: int, preset: str = "superfast") -> None:
        self.path, self.camera, self.fps = path, camera, fps
        try:
            self._box = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        except (OSError, av.FFmpegError) as error:
            raise RenderError(
                f"{path}: cannot be opened for writing: {error}; check the folder and free space"
            ) from error
        gop = max(1, round(camera.gop_s * fps))
        name = "libx264" if camera.codec == "h264" else "libx265"
        stream = self._box.add_stream(name, rate=fps)
        stream.width, stream.height, stream.pix_fmt = camera.width_px, camera.height_px, "yuv420p"
        stream.bit_rate = camera.bitrate_kbps * 1000
        stream.gop_size = gop
        stream.time_base = TIME_BASE
        stream.codec_context.time_base = TIME_BASE
        stream.codec_context.thread_count = 1
        limit = f":vbv-maxrate={camera.bitrate_kbps}:vbv-bufsize={2 * camera.bitrate_kbps}"
        if camera.codec == "h264":
            stream.options = {
                "preset": preset,
                "tune": "zerolatency",
                "sc_threshold": "0",
                "bf": "0",
                "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0:open-gop=0:threads=1{limit}",
            }
        else:
            stream.options = {
                "preset": "ultrafast",
                # Searches that a camera's chip does not make either; without them a frame takes half the time.
                "x265-params": f"keyint={gop}:min-keyint={gop}:scenecut=0:open-gop=0:bframes=0:pools=none"
                f":frame-threads=1:log-level=error:rc-lookahead=0:cutree=0:rd=1:ctu=16:max-merge=1{limit}",
            }
            stream.codec_context.codec_tag = "hvc1"
        self._stream = stream

    def pts_of(self, number: int) -> int:
        """Presentation time of frame `number` on the camera's clock, in `TIME_BASE` since its frame 0."""
        seconds = Fraction(number, self.fps) * (
            1 + Fraction(self.camera.clock_drift_ppm).limit_denominator(10**6) / 10**6
        )
        return round(seconds / TIME_BASE)

    def add(self, yuv: NDArray[np.uint8], number: int) -> None:
        """Encode one frame; `number` counts from the start of the town, also through outages."""
        frame = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
        frame.pts = self.pts_of(number)
        frame.time_base = TIME_BASE
        try:
            self._box.mux(self._stream.encode(frame))
        except (OSError, av.FFmpegError) as error:
            raise RenderError(
                f"{self.path}: frame {number} could not be written: {error}; free some space and run it again"
            ) from error

    def close(self) -> None:
        """Flush and finish the file."""
        try:
            self._box.mux(self._stream.encode(None))
            self._box.close()
        except (OSError, av.FFmpegError) as error:
            raise RenderError(
                f"{self.path}: could not be finished: {error}; free some space and run it again"
            ) from error


def join(parts: list[Path], target: Path) -> None:
    """Put encoded parts one behind the other without decoding; their times already fit."""
    try:
        with av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as out:
            stream = None
            for part in parts:
                with av.open(str(part)) as source:
                    video = source.streams.video[0]
                    if stream is None:
                        stream = out.add_stream_from_template(video)
                    for packet in source.demux(video):
                        if packet.dts is None:
                            continue
                        packet.stream = stream
                        out.mux(packet)
    except (OSError, av.FFmpegError) as error:
        target.unlink(missing_ok=True)
        raise RenderError(
            f"{target}: the parts could not be joined: {error}; free some space and run it again"
        ) from error
