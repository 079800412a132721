# SPDX-License-Identifier: AGPL-3.0-or-later
"""One connection to one camera, stream or file: compressed packets in, GOPs out. Nothing is decoded or re-encoded."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

import av
import msgspec
from av.error import FFmpegError

from connectors.camera_clock import CameraClock
from connectors.codec_units import content_hash, framing_of, in_band_parameter_sets, is_open, length_size
from connectors.decode import picture_size
from connectors.errors import CameraUnreachable, CameraUnreadable, CodecUnsupported, VideoError
from connectors.gop import Codec, CodecParameters, Gap, Gop
from connectors.gop_cutter import GopCutter, Picture
from connectors.site import CameraSite, utc_now

log = logging.getLogger(__name__)

CODECS: dict[str, Codec] = {"h264": "h264", "hevc": "hevc", "mjpeg": "mjpeg"}
FAR_APART_S = 10.0
"""Keyframes further apart than this are warned about: every look into the past decodes from the one before."""
NO_KEYFRAME_S = 30.0
"""A stream that has run so long without a keyframe cannot be used."""
DAMAGED_BEFORE_GIVING_UP = 100
"""Damaged packets in a row after which a stream counts as rubbish."""
SEEK_MARGIN_S = 12.0
"""A file is sought to this much before the place to resume, because containers seek coarsely."""


def shown(url: str) -> str:
    """The address without user, password and query, for logs and errors."""
    if "://" not in url:
        return Path(url).name
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


class CameraReader:
    """Reads one connection; `records()` ends when a file ends and raises a CameraError when the camera fails.

    `run` and the sequence numbers from `first_sequence` on name the records. `resume_after`: of a file, leave out what
    is not later than this. `stop` is asked between packets, `damaged` told of each packet that came damaged and was
    left out. After the end of a file, `shortfall` tells the stretch that its header promises and that is not there.
    """

    def __init__(
        self,
        camera: CameraSite,
        *,
        run: str,
        first_sequence: int = 0,
        resume_after: datetime | None = None,
        record_limit_bytes: int = 4_000_000,
        stop: Callable[[], bool] = lambda: False,
        damaged: Callable[[], None] = lambda: None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._camera = camera
        self._run = run
        self._sequence = first_sequence
        self._resume_after = resume_after
        self._stop = stop
        self._damaged = damaged
        self._now = now
        self._cutter = GopCutter(soft_bytes=record_limit_bytes // 2)
        self._address = shown(camera.url.get_secret_value())
        self._parameters: CodecParameters | None = None
        self._in_band = b""
        self._warned_open = self._warned_far = False
        self.shortfall: tuple[datetime, datetime] | None = None

    def gops(self) -> Iterator[Gop]:
        """The groups of pictures among the records."""
        return (record for record in self.records() if isinstance(record, Gop))

    def records(self) -> Iterator[Gop | Gap]:
        """Open the camera and read it to its end; a damaged group of pictures is a gap with its reason.

        Raises CameraUnreachable, CameraUnreadable, CodecUnsupported.
        """
        container = self._open()
        try:
            stream = self._video(container)
            yield from self._read(container, stream)
        finally:
            container.close()

    def _open(self) -> av.container.InputContainer:
        camera = self._camera
        options = {"fflags": "+genpts"}
        if not camera.is_file:
            options = {
                "rtsp_transport": camera.transport,
                "allowed_media_types": "video",
                "max_delay": "500000",
                "buffer_size": "4194304",
            }
        began = time.monotonic()
        try:
            return av.open(
                camera.url.get_secret_value(),
                mode="r",
                options=options,
                timeout=(camera.open_timeout_s, camera.read_timeout_s),
            )
        except FFmpegError as fault:
            silent = time.monotonic() - began >= 0.95 * camera.open_timeout_s  # FFmpeg calls that invalid data
            raise self._failure("cannot be opened", fault, silent) from None

    def _failure(self, what: str, fault: FFmpegError, silent: bool = False) -> CameraUnreachable | CameraUnreadable:
        """Our error for FFmpeg's, without its text: that would show the address with the password."""
        who = f"camera {self._camera.name} ({self._address}) {what}: "
        is_file = self._camera.is_file
        if silent:
            return CameraUnreachable(who + f"no answer within {self._camera.open_timeout_s:g} s")
        if isinstance(fault, av.error.InvalidDataError):
            if is_file:
                return CameraUnreadable(who + "the file is damaged, unfinished or no video", "file unreadable")
            return CameraUnreadable(who + "it sends no video")
        if isinstance(fault, av.error.ExitError | av.error.TimeoutError):
            return CameraUnreachable(who + f"nothing came for {self._camera.read_timeout_s:g} s", "silent")
        if isinstance(fault, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
            return CameraUnreachable(who + "it refuses the user or password in the site file", "login refused")
        if isinstance(fault, av.error.FileNotFoundError):
            return CameraUnreachable(who + "no such file", "no such file")
        if isinstance(fault, av.error.PermissionError):
            return CameraUnreachable(who + "this user may not read it", "file not allowed" if is_file else "no answer")
        said = fault.strerror or type(fault).__name__
        return CameraUnreachable(who + said, "file unreadable" if is_file else "no answer")

    def _video(self, container: av.container.InputContainer) -> av.VideoStream:
        who = f"camera {self._camera.name} ({self._address})"
        if not container.streams.video:
            kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise CameraUnreadable(f"{who} carries no video, only {kinds}")
        stream = container.streams.video[0]
        codec = getattr(stream.codec_context, "name", None) if stream.codec_context is not None else None
        if codec not in CODECS:
            raise CodecUnsupported(
                f"{who} sends {codec or 'an unknown codec'}; set the camera to H.264, H.265 or Motion-JPEG"
            )
        return cast(av.VideoStream, stream)

    def _read(self, container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[Gop | Gap]:
        camera = self._camera
        base = stream.time_base or Fraction(1, 90000)
        clock = CameraClock(
            start_utc=camera.start_utc, first_pts_us=_microseconds(stream.start_time, base), camera=camera.name
        )
        skip = self._resume_after is not None and camera.is_file
        if skip:
            self._seek(container, clock)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        step_us = max(1, int(1_000_000 / rate))
        began, last_dts, bad_in_a_row, read = self._now(), None, 0, 0
        packets = iter(container.demux(stream))
        while not self._stop():
            try:
                packet = next(packets)
            except StopIteration:
                break
            except FFmpegError as fault:
                if camera.is_file:
                    break  # what follows is measured against what the header promised
                raise self._failure("stopped answering", fault) from None
            if packet.size == 0:
                continue
            if packet.is_corrupt and not packet.is_keyframe:
                self._damaged()
                bad_in_a_row += 1
                if bad_in_a_row >= DAMAGED_BEFORE_GIVING_UP:
                    rubbish = f"sends rubbish: {bad_in_a_row} damaged packets in a row"
                    raise CameraUnreadable(f"camera {camera.name} ({self._address}) {rubbish}", "damaged video")
                continue
            bad_in_a_row = 0
            read += 1
            dts = _microseconds(packet.dts, base)
            pts = _microseconds(packet.pts, base)
            if dts is None:
                dts = pts if pts is not None else (0 if last_dts is None else last_dts + step_us)
            if pts is None:
                pts = dts
            last_dts = dts
            clock.saw(pts, packet, self._now)
            keyframe = (
                packet.is_keyframe or _is_intra(stream) or (camera.is_file and _is_damaged_keyframe(packet, stream))
            )
            picture = Picture(bytes(packet), pts, dts, keyframe)
            if skip:
                if not picture.keyframe or not self._resume_after or clock.at(pts) <= self._resume_after:
                    continue
                skip = False
            try:
                group = self._cutter.add(picture)
            except CameraUnreadable as fault:
                raise CameraUnreadable(f"camera {camera.name} ({self._address}): {fault}", fault.state) from None
            if group is not None:
                yield self._record(group, stream, clock)
                began = self._now()
            elif not self._cutter.started and (self._now() - began).total_seconds() > NO_KEYFRAME_S:
                raise CameraUnreadable(
                    f"camera {camera.name} ({self._address}) sent no keyframe in {NO_KEYFRAME_S:g} s; "
                    "set a keyframe every 1 to 2 s in the camera",
                    "no keyframe",
                )
        group = self._cutter.flush()
        # A file that is left halfway resumes at its next keyframe: a part of a group would cost the rest of it.
        if group is not None and not (camera.is_file and self._stop()):
            yield self._record(group, stream, clock)
        if camera.is_file and not self._stop():
            self._measure_end(container, stream, clock, last_dts, read)
        elif not camera.is_file and not self._stop():
            raise CameraUnreachable(f"camera {camera.name} ({self._address}) ended its stream", "stream ended")

    def _seek(self, container: av.container.InputContainer, clock: CameraClock) -> None:
        assert self._resume_after is not None and self._camera.start_utc is not None  # noqa: S101
        into_s = (self._resume_after - self._camera.start_utc).total_seconds() - SEEK_MARGIN_S
        if into_s > 0:
            try:
                container.seek(int(into_s * av.time_base) + (container.start_time or 0), backward=True)
            except FFmpegError:
                log.info("camera %s: its file cannot be sought, reading it from the start", self._camera.name)

    def _measure_end(
        self,
        container: av.container.InputContainer,
        stream: av.VideoStream,
        clock: CameraClock,
        last_dts: int | None,
        read: int,
    ) -> None:
        """Note when the file ends before its header says, which is how a truncated file shows."""
        if last_dts is None and self._resume_after is None:
            raise CameraUnreadable(f"camera {self._camera.name} ({self._address}): the file holds no picture")
        duration = _microseconds(stream.duration, stream.time_base or Fraction(1)) if stream.duration else None
        if duration is None or self._camera.start_utc is None:
            return
        promised = self._camera.start_utc + timedelta(microseconds=duration)
        reached = clock.at(last_dts) if last_dts is not None else promised
        if (promised - reached).total_seconds() > max(1.0, 0.02 * duration / 1e6):
            self.shortfall = (reached, promised)

    def _record(self, group: list[Picture], stream: av.VideoStream, clock: CameraClock) -> Gop | Gap:
        first_pts = min(p.pts_us for p in group)
        last_pts = max(p.pts_us for p in group)
        first_at = clock.settle(first_pts, last_pts)
        last_at = first_at + timedelta(microseconds=last_pts - first_pts)
        sequence, self._sequence = self._sequence, self._sequence + 1
        packets = tuple(p.entry(first_pts) for p in group)
        payload = b"".join(p.data for p in group)
        try:
            parameters = self._parameters_of(group[0], stream)
            sha256 = content_hash(parameters, payload, packets)
            open_gop = is_open(parameters, payload, packets)
        except VideoError as fault:
            return Gap(
                camera=self._camera.name,
                scope="live",
                run=self._run,
                sequence=sequence,
                started_at=first_at,
                # Short of the next group's start: a file resumes after what was handed on.
                ended_at=last_at + timedelta(microseconds=1),
                reason=f"{len(group)} pictures from {first_at.isoformat()} on are damaged and left out: {fault}",
            )
        if open_gop and not self._warned_open:
            self._warned_open = True
            log.warning(
                "camera %s makes open GOPs: the first pictures of each need the one before and are lost when video is "
                "read from the middle; switch to closed GOPs in the camera",
                self._camera.name,
            )
        if last_pts - first_pts > FAR_APART_S * 1e6 and not self._warned_far:
            self._warned_far = True
            log.warning(
                "camera %s sends a keyframe only every %.0f s: set one every 1 to 2 s in the camera",
                self._camera.name,
                (last_pts - first_pts) / 1e6,
            )
        return Gop(
            camera=self._camera.name,
            scope="live",
            run=self._run,
            sequence=sequence,
            codec=parameters,
            first_at=first_at,
            last_at=last_at,
            clock=clock.source,
            frames=len(group),
            packets=packets,
            sha256=sha256,
            payload=payload,
            open_gop=open_gop,
        )

    def _parameters_of(self, keyframe: Picture, stream: av.VideoStream) -> CodecParameters:
        """The parameters that hold for a group; those inside the stream win over those of its header.

        Raises VideoError when the keyframe is damaged.
        """
        context = stream.codec_context
        codec = CODECS[context.name]
        known = self._parameters
        if known is None:
            extradata = bytes(context.extradata or b"") if codec != "mjpeg" else b""
            framing = framing_of(codec, extradata)
            known = CodecParameters(
                codec=codec,
                width_px=context.width,
                height_px=context.height,
                extradata=extradata,
                framing=cast(Literal["annexb", "length", "jpeg"], framing),
                time_base=((stream.time_base or Fraction(1, 90000)).as_integer_ratio()),
            )
            self._parameters = known
        if codec == "mjpeg":
            return self._sized(known, keyframe, known.width_px == 0)
        size = length_size(codec, known.extradata) if known.framing == "length" else 4
        in_band = in_band_parameter_sets(codec, keyframe.data, known.framing, size)
        if in_band and in_band != self._in_band and known.framing == "annexb":
            changed = self._in_band != b"" or known.width_px == 0
            known = self._sized(msgspec.structs.replace(known, extradata=in_band), keyframe, changed)
            self._in_band = in_band
        elif known.width_px == 0:
            known = self._sized(known, keyframe, True)
        self._parameters = known
        return known

    def _sized(self, parameters: CodecParameters, keyframe: Picture, look: bool) -> CodecParameters:
        if not look:
            return parameters
        width, height = picture_size(parameters, keyframe.data)
        return msgspec.structs.replace(parameters, width_px=width, height_px=height)


def _is_intra(stream: av.VideoStream) -> bool:
    """Whether every packet of the codec is a keyframe, whatever its flags say."""
    return bool(stream.codec_context.name == "mjpeg")


def _is_damaged_keyframe(packet: av.Packet, stream: av.VideoStream) -> bool:
    """Whether a file's index calls it a keyframe and its units cannot be read.

    FFmpeg no longer flags such a one; the sound group before it would go on into it, and be lost with it. The index
    alone is not believed: many files call every picture a keyframe there.
    """
    entries = stream.index_entries
    at = -1 if packet.dts is None else entries.search_timestamp(packet.dts, any_frame=True)
    if at < 0 or entries[at].timestamp != packet.dts or not entries[at].is_keyframe:
        return False
    codec, extradata = CODECS[stream.codec_context.name], bytes(stream.codec_context.extradata or b"")
    if framing_of(codec, extradata) != "length":
        return False
    try:
        in_band_parameter_sets(codec, bytes(packet), "length", length_size(codec, extradata))
    except VideoError:
        return True
    return False


def _microseconds(value: int | None, base: Fraction) -> int | None:
    return None if value is None else round(value * base * 1_000_000)
