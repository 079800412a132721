# SPDX-License-Identifier: AGPL-3.0-or-later
"""Made-up pictures: plain boxes that drive over a textured ground, and a detector that finds them by their colour."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from reid.detector import Detections
from reid.passage import Box

START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
WIDTH, HEIGHT, FPS = 320, 180, 10
PAINTS = {"red": (30, 30, 200), "blue": (190, 60, 20), "yellow": (30, 200, 220)}
"""BGR."""

Way = Callable[[float], Box | None]
"""Seconds → where the vehicle is; None while it is away."""


def drives(y: float, speed: float, begins: float = 0.0, width: float = 60, height: float = 36) -> Way:
    """From the left edge to the right at `speed` pixels a second, from second `begins` on."""

    def at(second: float) -> Box | None:
        x = -width + speed * (second - begins)
        return (x, y, x + width, y + height) if second >= begins and x < WIDTH else None

    return at


_GROUND = np.ascontiguousarray(
    np.repeat(
        cv2.GaussianBlur(np.random.default_rng(7).integers(95, 125, (HEIGHT, WIDTH), dtype=np.uint8), (5, 5), 0)[
            ..., None
        ],
        3,
        axis=2,
    )
)


def picture(second: float, vehicles: Sequence[tuple[str, Way]]) -> NDArray[np.uint8]:
    """One picture (HEIGHT, WIDTH, 3) BGR."""
    frame = _GROUND.copy()
    for paint, way in vehicles:
        box = way(second)
        if box is not None:
            left, top, right, bottom = (round(v) for v in box)
            cv2.rectangle(frame, (left, top), (right, bottom), PAINTS[paint], -1)
            cv2.rectangle(frame, (left + 12, top + 4), (right - 12, top + 12), (40, 40, 40), -1)
    return frame


def pictures(seconds: float, vehicles: Sequence[tuple[str, Way]]) -> list[tuple[datetime, NDArray[np.uint8]]]:
    """Capture times and pictures."""
    return [(START + timedelta(seconds=n / FPS), picture(n / FPS, vehicles)) for n in range(round(seconds * FPS))]


class PaintDetector:
    """Finds the boxes by their paint. Not a stand-in for a detector's errors: for what comes after it."""

    model_id = "paint-1"

    def __init__(self) -> None:
        self.frames = 0

    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Detect in frames."""
        self.frames += len(frames)
        return [self._one(frame) for frame in frames]

    def _one(self, frame: NDArray[np.uint8]) -> Detections:
        boxes, features = [], []
        for number, paint in enumerate(PAINTS.values()):
            near = cv2.inRange(frame, *(np.clip(np.array(paint) + d, 0, 255) for d in (-60, 60)))
            count, _, stats, _ = cv2.connectedComponentsWithStats(near)
            for x, y, w, h, area in stats[1:count]:
                if area >= 200:
                    boxes.append((x, y, x + w, y + h))
                    features.append(np.eye(8)[number] + 0.05)
        return Detections(
            boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4),
            scores=np.full(len(boxes), 0.9, dtype=np.float32),
            classes=("car",) * len(boxes),
            features=np.array([f / np.linalg.norm(f) for f in features], dtype=np.float32).reshape(-1, 8),
        )


def video(seconds: float, vehicles: Sequence[tuple[str, Way]], gop: int = 10) -> bytes:
    """The pictures as an H.264 MP4 with closed GOPs of `gop` frames."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        stream.options = {
            "g": str(gop),
            "keyint_min": str(gop),
            "sc_threshold": "0",
            "crf": "18",
            "preset": "ultrafast",
            "bf": "0",
        }
        for number, (_, frame) in enumerate(pictures(seconds, vehicles)):
            shown = av.VideoFrame.from_ndarray(frame, format="bgr24")
            shown.pts = number
            container.mux(stream.encode(shown))
        container.mux(stream.encode(None))
    return out.getvalue()
