# SPDX-License-Identifier: AGPL-3.0-or-later
"""From a clear GOP to pictures. One decoding thread; nothing is kept from one GOP to the next."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from fractions import Fraction

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from connectors.codec_units import pictures
from connectors.errors import VideoError
from connectors.gop import CodecParameters, Gop
from connectors.records import name

av.logging.set_level(None)  # its lines would show addresses of cameras; every error comes as an exception anyway

_MICROSECONDS = Fraction(1, 1_000_000)


def frames(
    gop: Gop,
    *,
    fps: float | None = None,
    keyframes_only: bool = False,
    skip_non_reference: bool = False,
    size: tuple[int, int] | None = None,
) -> Iterator[tuple[datetime, NDArray[np.uint8]]]:
    """Capture time and picture `(height, width, 3)` uint8 BGR of each frame, in presentation order.

    `fps`: at most so many a second, on a grid of capture time that does not depend on where GOPs begin.
    `size`: `(width, height)` to scale to while converting. Frames that are damaged or lack their references
    (leading pictures of an open GOP) are left out. Raises VideoError, after the frames that are good, when
    packets did not decode although the GOP is closed.
    """
    if gop.seal is not None:
        raise VideoError(f"GOP {name(gop)} is sealed: open it with connectors.sealing.open_gop first")
    context = _decoder(gop.codec)
    if keyframes_only:
        context.skip_frame = "NONKEY"
    elif skip_non_reference:
        context.skip_frame = "NONREF"
    failed, seen, last_slot = 0, 0, None
    for decoded, bad in _decoded(context, gop):
        failed += bad
        for frame in decoded:
            if frame.is_corrupt or frame.pts is None:
                continue
            seen += 1
            at = gop.first_at + timedelta(microseconds=frame.pts)
            if fps is not None:
                slot = int(at.timestamp() * fps + 1e-6)
                if slot == last_slot:
                    continue
                last_slot = slot
            if size is None:
                yield at, frame.to_ndarray(format="bgr24")
            else:
                yield at, frame.reformat(width=size[0], height=size[1], format="bgr24").to_ndarray()
    if failed and not gop.open_gop:
        raise VideoError(f"GOP {name(gop)}: {failed} of {len(gop.packets)} packets did not decode, {seen} frames did")
    if not seen:
        raise VideoError(f"GOP {name(gop)}: none of its {len(gop.packets)} packets gave a frame")


def picture_size(codec: CodecParameters, keyframe: bytes) -> tuple[int, int]:
    """Width and height in pixels that a keyframe really has. Raises VideoError when it does not decode."""
    context = _decoder(codec)
    try:
        packet = av.Packet(keyframe)
        for frame in (*context.decode(packet), *context.decode(None)):
            return frame.width, frame.height
    except FFmpegError as fault:
        raise VideoError(f"a keyframe of {len(keyframe)} bytes does not decode: {fault.strerror}") from None
    raise VideoError(f"a keyframe of {len(keyframe)} bytes gives no picture")


def _decoder(codec: CodecParameters) -> av.VideoCodecContext:
    context = av.CodecContext.create(codec.codec, "r")
    context.thread_count = 1
    if codec.extradata:
        context.extradata = codec.extradata
    return context


def _decoded(context: av.VideoCodecContext, gop: Gop) -> Iterator[tuple[list[av.VideoFrame], int]]:
    for entry, data in zip(gop.packets, pictures(gop.payload, gop.packets), strict=True):
        packet = av.Packet(bytes(data))
        packet.pts, packet.dts, packet.time_base = entry.pts_us, entry.dts_us, _MICROSECONDS
        packet.is_keyframe = entry.keyframe
        try:
            yield context.decode(packet), 0
        except FFmpegError:
            yield [], 1
    try:
        yield context.decode(None), 0
    except FFmpegError:
        yield [], 1
