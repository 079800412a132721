# SPDX-License-Identifier: AGPL-3.0-or-later
"""What looking at one GOP gives: small, stateless, and all that leaves the worker that decodes pictures.

Vectors travel as little-endian float16 bytes: a GOP's findings stay within some tens of kilobytes.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
import numpy as np
from numpy.typing import NDArray

from reid.passage import Box, View


class Finding(msgspec.Struct, frozen=True, array_like=True):
    """One vehicle found in one frame."""

    box: Box
    score: float
    vehicle_class: str
    moving: float
    """Share of the box in which the picture changes, 0 to 1."""
    quality: float
    """How much this look is worth for describing the vehicle: size, sharpness, wholeness, certainty; 0 to 1."""
    features: bytes = b""
    """Backbone features, unit length, packed; empty where there are none that compare."""
    colours: bytes = b""
    """Distribution over the eleven colour terms, packed; empty where the vehicle is too small to tell."""
    view: View | None = None
    """A JPEG crop, for the few looks that may become a best view."""


class FrameFindings(msgspec.Struct, frozen=True, array_like=True):
    """One sampled frame."""

    at: datetime
    looked: bool
    """False when nothing moved and the detector was not asked."""
    motion: bytes
    """Which cells of `motion.GRID` change, packed bits, row by row."""
    findings: tuple[Finding, ...] = ()


class GopFindings(msgspec.Struct, frozen=True, kw_only=True):
    """What looking at one GOP gave."""

    scope: str
    camera: str
    run: str
    sequence: int
    first_at: datetime
    last_at: datetime
    """Of the frames inside the interval asked for."""
    interval: tuple[datetime, datetime] | None = None
    """Start and end of the interval asked for; None in continuous indexing, which has none."""
    width_px: int
    height_px: int
    frames: int
    frames_decoded: int
    sampled: tuple[FrameFindings, ...]
    travel_explained_s: float = 0.0
    """Seconds of vehicle-sized things seen travelling that the detector found too."""
    travel_unexplained_s: float = 0.0
    """Seconds of vehicle-sized things seen travelling that the detector did not find."""
    detector: str = ""


class LookedInVain(msgspec.Struct, frozen=True, kw_only=True):
    """A GOP that could not be looked at; its time must not pass for quiet."""

    scope: str
    camera: str
    run: str
    sequence: int
    first_at: datetime
    last_at: datetime
    interval: tuple[datetime, datetime] | None = None
    frames: int
    reason: str


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of capture time without video."""

    scope: str
    camera: str
    started_at: datetime
    ended_at: datetime
    interval: tuple[datetime, datetime] | None = None
    reason: str


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """The end of an interval asked for, or of a camera that is a file."""

    scope: str
    camera: str
    started_at: datetime
    ended_at: datetime
    interval: tuple[datetime, datetime] | None = None


Seen = GopFindings | LookedInVain | Missing | Ended
"""What becomes of one record of a camera."""


def pack(vector: NDArray[np.floating]) -> bytes:
    """Write a vector as float16 bytes."""
    return np.asarray(vector, dtype="<f2").tobytes()


def unpack(data: bytes) -> NDArray[np.float64]:
    """Read what `pack` wrote; an empty array for empty bytes."""
    return np.frombuffer(data, dtype="<f2").astype(np.float64)
