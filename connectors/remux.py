# SPDX-License-Identifier: AGPL-3.0-or-later
"""GOPs to an MP4 file, packets copied: what is shown or handed over is what the camera made."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import msgspec
from av.error import FFmpegError

from connectors.bounds import Interval
from connectors.codec_units import content_hash, header_parameter_sets, pictures, start_coded
from connectors.errors import VideoError
from connectors.gop import CodecParameters, Gop, Packet
from connectors.records import name

TIME_BASE = Fraction(1, 90_000)


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What went into a file."""

    started_at: datetime
    """Capture time of its first frame: time 0 of the file."""
    ended_at: datetime
    frames: int
    gops: int
    sha256: tuple[bytes, ...]
    """Content hash of each GOP as capture wrote it; `content_hashes` of the file gives them again."""


def same_parameters(gops: Iterable[Gop]) -> Iterator[list[Gop]]:
    """The GOPs in runs of one set of codec parameters: an MP4 file holds one."""
    run: list[Gop] = []
    for gop in gops:
        if run and gop.codec != run[0].codec:
            yield run
            run = []
        run.append(gop)
    if run:
        yield run


def to_mp4(
    gops: Iterable[Gop],
    out: Path,
    interval: Interval | None = None,
    edges: Literal["outward", "inward"] = "outward",
) -> Written:
    """Write clear GOPs, in order of time, to an MP4 file that players can begin before it is whole.

    `interval`: only GOPs that touch it (`outward`, for looking) or lie wholly inside (`inward`, for handing over).
    Holes in time stay holes. Raises VideoError when nothing is left, when a GOP is sealed, when parameters change
    (see `same_parameters`) or when FFmpeg refuses.
    """
    chosen = (g for g in gops if interval is None or _inside(g, interval, edges))
    stream: Any = None
    first: Gop | None = None
    last_at, frames, count, last_dts = None, 0, 0, None
    hashes: list[bytes] = []
    try:
        with av.open(str(out), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            for gop in chosen:
                if gop.seal is not None:
                    raise VideoError(f"GOP {name(gop)} is sealed: open it with connectors.sealing.open_gop first")
                if first is None:
                    first = gop
                    stream = _stream(container, gop)
                elif gop.codec != first.codec:
                    raise VideoError(
                        f"the camera's codec parameters change at {gop.first_at.isoformat()}: write one file for each "
                        "run of connectors.remux.same_parameters"
                    )
                # Without a duration the last picture would last no time, and players would leave it out.
                step = max(
                    1, _ticks(round((gop.last_at - gop.first_at).total_seconds() * 1e6)) // max(1, gop.frames - 1)
                )
                base_us = round((gop.first_at - first.first_at).total_seconds() * 1_000_000)
                for entry, data in zip(gop.packets, pictures(gop.payload, gop.packets), strict=True):
                    packet = av.Packet(start_coded(gop.codec, data))
                    packet.stream, packet.time_base = stream, TIME_BASE
                    packet.pts = _ticks(base_us + entry.pts_us)
                    dts = min(packet.pts, _ticks(base_us + entry.dts_us))
                    # Between GOPs of different clocks decoding time may step back a little, which MP4 forbids.
                    packet.dts = dts if last_dts is None or dts > last_dts else last_dts + 1
                    packet.pts = max(packet.pts, packet.dts)
                    last_dts = packet.dts
                    packet.is_keyframe, packet.duration = entry.keyframe, step
                    container.mux(packet)
                frames += gop.frames
                count += 1
                last_at = gop.last_at
                hashes.append(gop.sha256)
            if first is None or last_at is None:
                raise VideoError("no GOP lies there: nothing to write")
    except FFmpegError as fault:
        out.unlink(missing_ok=True)
        raise VideoError(f"{out.name} cannot be written: {fault.strerror}") from None
    except VideoError:
        out.unlink(missing_ok=True)
        raise
    return Written(started_at=first.first_at, ended_at=last_at, frames=frames, gops=count, sha256=tuple(hashes))


def content_hashes(file: Path, frames_per_gop: Iterable[int]) -> list[bytes]:
    """Content hash of each run of so many packets of an MP4 file, to be compared with `Written.sha256`."""
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        codec: Any = stream.codec_context.name
        extradata = bytes(stream.codec_context.extradata or b"")
        data = [bytes(p) for p in container.demux(stream) if p.size]
    parameters = CodecParameters(
        codec=codec,
        width_px=0,
        height_px=0,
        extradata=extradata,
        framing="jpeg" if codec == "mjpeg" else "length",
    )
    hashes, at = [], 0
    for n in frames_per_gop:
        some = data[at : at + n]
        hashes.append(content_hash(parameters, b"".join(some), [Packet(len(d), 0, 0, False) for d in some]))
        at += n
    return hashes


def _inside(gop: Gop, interval: Interval, edges: str) -> bool:
    if edges == "inward":
        return gop.first_at >= interval.start and gop.last_at < interval.end
    return gop.first_at < interval.end and gop.last_at >= interval.start


def _stream(container: Any, gop: Gop) -> Any:
    """A stream of the GOP's parameters, taken from the elementary stream that it is."""
    codec = gop.codec
    keyframe = start_coded(codec, next(pictures(gop.payload, gop.packets)))
    elementary = io.BytesIO(header_parameter_sets(codec) + keyframe)
    with av.open(elementary, "r", format=codec.codec) as source:
        template = source.streams.video[0]
        stream = container.add_stream_from_template(template)
    stream.time_base = TIME_BASE
    return stream


def _ticks(microseconds: int) -> int:
    return round(microseconds * 9 / 100)
