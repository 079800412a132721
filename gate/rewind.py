# SPDX-License-Identifier: AGPL-3.0-or-later
"""Going back to a place and a time: recorded video as MP4 without re-encoding, and single stills.

What leaves lies inside the grant to the last picture. A group of pictures that began before the grant's first second is
left out, since its earlier pictures could not be taken away without re-encoding; one that goes on after its last second
is cut there. Inside the grant, a request goes outward to keyframes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from connectors.bounds import Interval
from connectors.decode import frames
from connectors.errors import VideoError
from connectors.gop import Gop
from connectors.remux import same_parameters, to_mp4
from gate.errors import Invalid, NotFound
from gate.footage import Footage
from gate.grants import Permit
from gate.requisitions import merged

Picture = NDArray[np.uint8]
LONGEST_CLIP = timedelta(minutes=15)
"""One player's worth; a longer stretch is asked for piece by piece."""
LARGEST_CLIP = 400_000_000
NEAREST = timedelta(seconds=2)
"""A still shows a moment at most this far from the one asked for."""


def clip(footage: Footage, permit: Permit, still: Callable[[Permit], None]) -> bytes:
    """One camera's interval as MP4. NotFound when nothing of it is held; every rule is read again as it goes."""
    camera, interval = one_camera(permit)
    if interval.end - interval.start > LONGEST_CLIP:
        raise Invalid(f"{interval.end - interval.start} is too long for one clip: at most {LONGEST_CLIP}")
    kept: list[Gop] = []
    size = 0
    for gop in footage.opened(permit.bounds, camera, partial(still, permit)):
        clear = inside(gop, merged(permit.grant.intervals))
        if clear is None:
            continue
        size += len(clear.payload)
        if size > LARGEST_CLIP:
            raise Invalid(f"more than {LARGEST_CLIP // 1_000_000} MB: ask for a shorter stretch")
        kept.append(clear)
    if not kept:
        raise NotFound(f"{camera} holds no recording from {interval.start} to {interval.end} that may be shown")
    return mp4(kept)


def mp4(gops: Sequence[Gop]) -> bytes:
    """Clear groups of pictures of one set of codec parameters as MP4, made in memory: nothing clear touches a disk."""
    changes = [run[0].first_at for run in same_parameters(gops)][1:]
    if changes:
        raise Invalid(
            f"the camera's video changes its kind at {changes[0].isoformat()}: ask until there, or from there"
        )
    descriptor = os.memfd_create("clip")
    try:
        to_mp4(gops, Path(f"/proc/self/fd/{descriptor}"))
        with os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(0)
            return file.read()
    except OSError as fault:
        raise VideoError(f"the clip cannot be made: {fault.strerror}") from fault
    finally:
        os.close(descriptor)


def still(footage: Footage, permit: Permit, at: datetime) -> tuple[datetime, bytes]:
    """The picture nearest to a moment, as JPEG, with its capture time; NotFound when there is none near."""
    camera, _ = one_camera(permit)
    best: tuple[timedelta, datetime, Picture] | None = None
    shown = merged(permit.grant.intervals)
    for gop in footage.opened(permit.bounds, camera):
        for moment, picture in _readable(gop):
            if not any(i.holds(moment) for i in shown):
                continue
            away = abs(moment - at)
            if best is None or away < best[0]:
                best = (away, moment, picture)
    if best is None or best[0] > NEAREST:
        raise NotFound(f"{camera} holds no picture near {at} that may be shown")
    return best[1], jpeg(best[2])


def jpeg(picture: Picture, quality: int = 90) -> bytes:
    """A BGR picture as JPEG."""
    good, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not good:
        raise VideoError("a picture could not be written as JPEG")
    return bytes(data.tobytes())


def inside(gop: Gop, intervals: tuple[Interval, ...]) -> Gop | None:
    """The group of pictures cut to what may be shown; None when it began before, or cannot be cut."""
    for interval in intervals:
        if not interval.holds(gop.first_at):
            continue
        if gop.last_at < interval.end:
            return gop
        # Cut after the last picture inside, if what goes is the tail of the decoding order as well.
        moments = [gop.first_at + timedelta(microseconds=p.pts_us) for p in gop.packets]
        kept = [at < interval.end for at in moments]
        count = sum(kept)
        if count and all(kept[:count]):
            size = sum(p.size for p in gop.packets[:count])
            return msgspec.structs.replace(
                gop,
                packets=gop.packets[:count],
                payload=gop.payload[:size],
                frames=count,
                last_at=max(moments[:count]),
            )
    return None


def one_camera(permit: Permit) -> tuple[str, Interval]:
    """The one camera and interval that an act on video names."""
    if len(permit.cameras) != 1 or permit.interval is None:
        raise Invalid("name one camera and one interval")
    return next(iter(permit.cameras)), permit.interval


def _readable(gop: Gop) -> Iterator[tuple[datetime, Picture]]:
    try:
        yield from frames(gop)
    except VideoError:
        return
