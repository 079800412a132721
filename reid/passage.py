# SPDX-License-Identifier: AGPL-3.0-or-later
"""The words of the field as types: sighting, track, passage, link, trace.

Every instant is an aware UTC `datetime`; every box is `(x1, y1, x2, y2)` in pixels of the recorded picture.
"""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime
from typing import Literal

import msgspec

COLOURS = (
    "white",
    "grey",
    "black",
    "blue",
    "red",
    "green",
    "brown",
    "yellow",
    "orange",
    "purple",
    "pink",
)
"""The eleven basic colour terms, in the order of every colour distribution."""

VEHICLE_CLASSES = ("car", "van", "truck", "bus", "motorcycle")
"""What is tracked, described and stored. Pedestrians and cyclists never are."""

LIVE = "live"
"""The scope of continuous indexing; every other scope is the id of a requisition."""

Side = Literal["left", "right", "top", "bottom", "inside"]
"""Where a vehicle entered or left the picture; `inside` when it appeared or vanished away from any edge."""

Box = tuple[float, float, float, float]


class Sighting(msgspec.Struct, frozen=True, array_like=True):
    """One vehicle in one frame."""

    at: datetime
    box: Box
    score: float
    """The detector's confidence, 0 to 1; 0 where the tracker filled a frame it did not see."""


class Track(msgspec.Struct, frozen=True, tag="track", kw_only=True):
    """The path of one passage in the picture, at least four sightings a second of movement."""

    passage_id: str
    scope: str
    camera: str
    sightings: tuple[Sighting, ...]


class Embedding(msgspec.Struct, frozen=True):
    """A unit vector and the model that made it; vectors of different models never compare."""

    model: str
    vector: tuple[float, ...]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """One of a passage's best views: a JPEG crop, in clear or sealed like its GOP."""

    at: datetime
    box: Box
    width_px: int
    height_px: int
    quality: float
    """Larger is better: size, sharpness, wholeness."""
    jpeg: bytes = b""
    """The picture or its ciphertext; empty once it lies in the archive."""
    reference: str = ""
    """Where the archive keeps it: `scope/camera/day/passage_id-n`."""
    sealed: bytes = b""
    """Encoded `connectors.sealing.Seal` when `jpeg` is ciphertext, else empty."""


class Passage(msgspec.Struct, frozen=True, tag="passage", kw_only=True):
    """One vehicle seen by one camera from entry to exit."""

    id: str
    scope: str
    camera: str
    started_at: datetime
    ended_at: datetime
    vehicle_class: str
    class_score: float
    colours: tuple[float, ...]
    """A distribution over `COLOURS`, summing to 1."""
    entry: Side
    exit: Side
    speed_px_s: float
    """Median speed of the box centre, pixels of the picture per second."""
    first_box: Box
    last_box: Box
    sightings: int
    """Frames in which the detector saw it."""
    waited_s: float = 0.0
    """Seconds it stood still in view."""
    truncated: bool = False
    """True when the interval indexed began or ended while it was in view."""
    embedding: Embedding | None = None
    views: tuple[View, ...] = ()
    """The best first."""
    detector: str = ""
    """Id of the model that detected it."""

    @property
    def colour(self) -> str:
        """Name of the likeliest colour."""
        return COLOURS[max(range(len(COLOURS)), key=lambda i: self.colours[i])]


class Coverage(msgspec.Struct, frozen=True, tag="coverage", kw_only=True):
    """What became of one stretch of one camera's time in one scope."""

    scope: str
    camera: str
    started_at: datetime
    ended_at: datetime
    status: Literal["indexed", "gap", "unreadable", "doubtful"]
    """`doubtful`: it was looked at, and something says that vehicles were missed."""
    reason: str = ""
    """For a person: why it is a gap, unreadable or doubtful."""
    frames: int = 0
    frames_decoded: int = 0
    detector: str = ""


class VehicleLink(msgspec.Struct, frozen=True, tag="link", kw_only=True):
    """`flows.link`'s word on which vehicle made a passage."""

    scope: str
    passage_id: str
    vehicle_id: str
    started_at: datetime
    """Of the passage, so that the row ages with it."""
    probability: float
    model: str
    decided_at: datetime
    """Capture time up to which passages were known when this was decided; the newest word wins."""


def passage_id(scope: str, camera: str, first_detection: datetime, ordinal: int) -> str:
    """The deterministic id of a passage, equal whenever the same records are indexed again.

    `ordinal` is the tracker's count of tracks begun at that instant, from its snapshotted state.
    """
    if first_detection.tzinfo is None:
        raise ValueError("first_detection must be aware")
    text = f"{scope}\n{camera}\n{first_detection.astimezone(UTC).isoformat(timespec='microseconds')}\n{ordinal}"
    return str(uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=5))
