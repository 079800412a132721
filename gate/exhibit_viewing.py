# SPDX-License-Identifier: AGPL-3.0-or-later
"""Viewing copies: the same pictures as H.264 with date, time, place and requisition in a band under each picture.

The band is added below the picture, so that it hides nothing of it. On demand everything outside the chosen vehicles is
made coarse: at each instant only their boxes, with a margin, stay as they were. Originals are never touched.
"""

from __future__ import annotations

import importlib.util
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from connectors.decode import frames
from connectors.errors import VideoError
from connectors.gop import Gop
from gate.rewind import jpeg
from reid.passage import Box, Track

Picture = NDArray[np.uint8]
MARGIN = 0.15
"""Of a box's width and height, kept clear on each side of it."""
MARGIN_LEAST_PX = 8
BLOCKS = 32
"""A masked picture keeps so many blocks across its longer side: neither a face nor a plate can be told from them."""
SMALLEST_FONT_PX, LARGEST_FONT_PX = 10, 26
CRF = 20
_INK, _GROUND = 235, 20


@dataclass(frozen=True, slots=True)
class Caption:
    """What the band says besides the moment."""

    place: str
    reference: str
    zone: ZoneInfo

    def lines(self, masked: bool) -> tuple[str, str]:
        """The lines that do not change from picture to picture."""
        note = "copie de visionnage, seul l'original fait foi"
        return f"{self.place} - réquisition {self.reference}", f"{note} ; masquée hors du véhicule" if masked else note

    def moment(self, at: datetime) -> str:
        """Local and universal time, to the millisecond."""
        local = at.astimezone(self.zone)
        return (
            f"{local:%d/%m/%Y %H:%M:%S}.{local.microsecond // 1000:03d} ({self.zone.key})  "
            f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} UTC"
        )


def viewing_copy(
    group: Sequence[Gop],
    caption: Caption,
    kept: Sequence[Track] | None = None,
    still: Callable[[], None] = lambda: None,
) -> bytes:
    """Clear groups of pictures of one size as an H.264 MP4, made in memory; times are kept to the millisecond.

    `kept`: paths of the chosen vehicles in this camera's picture; None: nothing is masked. `still` is called at each
    group and raises when the rules forbid going on.
    """
    codec = group[0].codec
    band = Band(codec.width_px, caption, masked=kept is not None)
    descriptor = os.memfd_create("viewing")
    try:
        with av.open(str(Path(f"/proc/self/fd/{descriptor}")), "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": str(CRF)})
            stream.width, stream.height = _even(codec.width_px), _even(codec.height_px + band.height_px)
            stream.pix_fmt = "yuv420p"
            stream.thread_count = 1
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
            start, last = group[0].first_at, -1
            for gop in group:
                still()
                try:
                    for at, picture in frames(gop):
                        if kept is not None:
                            picture = masked(picture, boxes_at(kept, at))
                        shown = np.zeros((stream.height, stream.width, 3), np.uint8)
                        height, width = min(picture.shape[0], codec.height_px), min(picture.shape[1], stream.width)
                        shown[:height, :width] = picture[:height, :width]
                        shown[codec.height_px : codec.height_px + band.height_px] = band.draw(at)[:, :, None]
                        frame = av.VideoFrame.from_ndarray(shown, format="bgr24")
                        last = max(last + 1, round((at - start).total_seconds() * 1000))
                        frame.pts, frame.time_base = last, Fraction(1, 1000)
                        container.mux(stream.encode(frame))
                except VideoError:
                    continue  # what does not decode is missing from the copy, never from the original
            container.mux(stream.encode(None))
        with os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(0)
            return file.read()
    finally:
        os.close(descriptor)


def masked_still(data: bytes, at: datetime, caption: Caption, kept: Sequence[Track]) -> bytes:
    """A still (JPEG) as it is shown where bystanders are not to be: coarse outside the vehicles, the band below.

    Raises VideoError when the still cannot be read or written.
    """
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise VideoError("a still could not be read back for its masked copy")
    picture = masked(np.asarray(picture, np.uint8), boxes_at(kept, at))
    band = Band(picture.shape[1], caption, masked=True).draw(at)[:, : picture.shape[1]]
    return jpeg(np.concatenate([picture, np.repeat(band[:, :, None], 3, axis=2)]))


def masked(picture: Picture, boxes: Iterable[Box]) -> Picture:
    """The picture in coarse blocks, except inside the boxes and their margin."""
    height, width = picture.shape[:2]
    scale = BLOCKS / max(height, width)
    few = (max(1, round(width * scale)), max(1, round(height * scale)))
    coarse = cv2.resize(cv2.resize(picture, few, interpolation=cv2.INTER_AREA), (width, height), interpolation=0)
    for x1, y1, x2, y2 in boxes:
        aside, above = max(MARGIN_LEAST_PX, MARGIN * (x2 - x1)), max(MARGIN_LEAST_PX, MARGIN * (y2 - y1))
        left, right = max(0, round(x1 - aside)), min(width, round(x2 + aside))
        top, bottom = max(0, round(y1 - above)), min(height, round(y2 + above))
        coarse[top:bottom, left:right] = picture[top:bottom, left:right]
    return np.asarray(coarse, np.uint8)


def boxes_at(tracks: Iterable[Track], at: datetime) -> list[Box]:
    """Where the vehicles are at one instant, between two sightings on the straight line; nothing before or after."""
    found: list[Box] = []
    for track in tracks:
        seen = track.sightings
        after = bisect_right(seen, at, key=lambda s: s.at)
        if after == 0 or (after == len(seen) and seen[-1].at < at):
            continue
        one, other = seen[after - 1], seen[min(after, len(seen) - 1)]
        span = (other.at - one.at).total_seconds()
        share = (at - one.at).total_seconds() / span if span > 0 else 0.0
        x1, y1, x2, y2 = (a + share * (b - a) for a, b in zip(one.box, other.box, strict=True))
        found.append((x1, y1, x2, y2))
    return found


class Band:
    """The band under the pictures of one video: its fixed lines drawn once, the moment's line for each picture."""

    def __init__(self, width_px: int, caption: Caption, *, masked: bool) -> None:
        self._caption = caption
        self._width = _even(width_px)
        first, last = caption.lines(masked)
        moment = caption.moment(datetime.fromtimestamp(0, caption.zone))
        self._font = _font(min(LARGEST_FONT_PX, max(SMALLEST_FONT_PX, width_px // 40)))
        while self._font.size > SMALLEST_FONT_PX and self._font.getlength(moment) > self._width - 8:
            self._font = _font(int(self._font.size) - 1)
        self._line = int(self._font.size * 1.35)
        heads, tails = self._wrapped(first), self._wrapped(last)
        count = len(self._wrapped(moment))
        self.height_px = _even(self._line * (len(heads) + count + len(tails)) + 8)
        self._ground = Image.new("L", (self._width, self.height_px), _GROUND)
        self._at_line = len(heads)
        self._write(self._ground, heads, 0)
        self._write(self._ground, tails, len(heads) + count)

    def draw(self, at: datetime) -> NDArray[np.uint8]:
        """The band at one moment, `(height, width)` uint8 grey."""
        drawn = self._ground.copy()
        self._write(drawn, self._wrapped(self._caption.moment(at)), self._at_line)
        return np.asarray(drawn, np.uint8)

    def _write(self, image: Image.Image, lines: Sequence[str], first: int) -> None:
        pen = ImageDraw.Draw(image)
        for n, line in enumerate(lines, first):
            pen.text((4, 4 + n * self._line), line, fill=_INK, font=self._font)

    def _wrapped(self, text: str) -> list[str]:
        """The text in lines that fit; a picture narrower than a word gets the word cut."""
        lines = [""]
        for word in text.split():
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and self._font.getlength(longer) > self._width - 8:
                lines.append(word)
            else:
                lines[-1] = longer
        return lines


def _font(size_px: int) -> ImageFont.FreeTypeFont:
    """A font with every letter of French, brought by a package that the project needs anyway."""
    found = importlib.util.find_spec("matplotlib")
    folders = () if found is None else found.submodule_search_locations or ()
    for folder in folders:
        path = Path(folder) / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if path.is_file():
            return ImageFont.truetype(str(path), size_px)
    raise VideoError("the font of the viewing copies is missing: install the requirements again (matplotlib)")


def _even(size: int) -> int:
    return size + size % 2
