# SPDX-License-Identifier: AGPL-3.0-or-later
"""The colour of a vehicle's body as a distribution over the eleven basic colour terms.

Berlin and Kay's basic terms, found in CIELAB in three steps.

1. Painted in a colour, or white, grey or black? The chroma that the more coloured quarter of the body reaches.
2. Which colour: the hue of its coloured pixels; dull orange is brown, pale red is pink.
3. White, grey or black: how much lighter or darker the body is than the street beside it, which lies in the same light.
   Lightness alone says nothing: a camera's exposure, shade, dusk and street lamps move it more than paint does.

The numbers of steps 1 and 3 were fitted on drawn training towns in five lights, of which neither the demonstration nor
any exam shows a street (`infra/training/fit_colours.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from reid.passage import COLOURS, Box

LEAST_SIDE_PX: Final = 12
"""Below this a crop tells no colour."""

SIDE: Final = 40
_HUES: Final = (
    # name, hue angle of its middle in CIELAB (degrees), half width
    ("red", 24.0, 22.0),
    ("orange", 57.0, 15.0),
    ("yellow", 92.0, 19.0),
    ("green", 140.0, 42.0),
    ("blue", 272.0, 38.0),
    ("purple", 322.0, 14.0),
    ("pink", 353.0, 12.0),
)
_INDEX: Final = {name: i for i, name in enumerate(COLOURS)}
_NEUTRALS: Final = [COLOURS.index(name) for name in ("white", "grey", "black")]

QUANTILES: Final = (0.66, 0.80)
"""Of the body's lightness: below them lies glass, above them the sun's reflection."""
NEUTRAL_WEIGHTS: Final = np.array([[0.0730, 0.0627], [-0.0323, 0.0364], [-0.0407, -0.0991]])
"""White, grey, black: per unit by which those two quantiles are lighter than the street beside the vehicle."""
NEUTRAL_OFFSETS: Final = np.array([-1.133, 0.520, 0.613])
CHROMA_QUANTILE: Final = 0.75
CHROMA_AT: Final = 7.7
"""Chroma at which a body is as likely painted in a colour as not."""
CHROMA_SLOPE: Final = 0.76
_BRIGHTEST_STREET: Final = 58.0
"""Lightness above which a street lies in full sun and is no measure of paint: silver would pass for black beside it."""
_SKY: Final = 6.0
"""Chroma that paint takes from the sky it mirrors."""


def white_gains(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Gains (3,) BGR that take the light of a scene towards white, held back: shades of grey (Finlayson, Trezzi 2004).

    Args:
        frame: (h, w, 3) BGR, of any size; a small one is enough.
    """
    small = cv2.resize(frame, (64, 36), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    mean = np.power(np.power(small.reshape(-1, 3), 6).mean(axis=0), 1 / 6)
    # Foliage and signs fool any estimate of the light: correct by half, and never far.
    gains = np.clip(np.sqrt(mean.mean() / np.maximum(mean, 1e-3)), 0.85, 1.18)
    return np.asarray(gains / gains.mean(), dtype=np.float32)


def body_colours(frame: NDArray[np.uint8], box: Box, gains: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Say the colours of the vehicle in a box.

    Args:
        frame: (h, w, 3) BGR.
        box: where the vehicle is, pixels.
        gains: of `white_gains` for the frame.

    Returns:
        (11,) summing to 1, or None when the vehicle is too small to tell.
    """
    body = measure(frame, box, gains)
    return None if body is None else share_colours(body)


@dataclass(frozen=True, slots=True)
class Body:
    """What speaks for the paint of one vehicle: the pixels of its box at `BODY`, and what lies beside it."""

    light: NDArray[np.float32]
    """(n,) CIELAB lightness."""
    chroma: NDArray[np.float32]
    """(n,), less what the sky gives."""
    hue: NDArray[np.float32]
    """(n,) degrees, 0 to 360."""
    street: float | None
    """Lightness of the street beside it; None where the picture ends there."""

    @property
    def reached_light(self) -> NDArray[np.float64]:
        """`QUANTILES` of its lightness, less the street's."""
        beside = _ORDINARY_STREET if self.street is None else min(self.street, _BRIGHTEST_STREET)
        return quantiles(self.light, QUANTILES) - beside

    @property
    def reached_chroma(self) -> float:
        """`CHROMA_QUANTILE` of its chroma."""
        return float(quantiles(self.chroma, (CHROMA_QUANTILE,))[0])


def measure(frame: NDArray[np.uint8], box: Box, gains: NDArray[np.float32]) -> Body | None:
    """Measure the vehicle in a box (arguments of `body_colours`); None when it is too small to tell."""
    crop = _cut(frame, box[0], box[1], box[2], box[3])
    if min(crop.shape[:2]) < LEAST_SIDE_PX:
        return None
    lab = to_lab(cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA).reshape(-1, 3)[BODY], gains)
    hue = np.degrees(np.arctan2(lab[:, 2], lab[:, 1])) % 360
    bluish = np.exp(-(((hue - 255) / 45) ** 2))
    chroma = np.maximum(np.hypot(lab[:, 1], lab[:, 2]) - _SKY * bluish, 0)
    return Body(lab[:, 0], chroma, hue, street_lightness(frame, box, gains))


def to_lab(bgr: NDArray[np.uint8], gains: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pixels (n, 3) in CIELAB of pixels (…, 3) BGR under the gains of their light."""
    pixels = np.clip(bgr.reshape(1, -1, 3).astype(np.float32) * (gains / np.float32(255.0)), 0, 1)
    return np.asarray(cv2.cvtColor(pixels.astype(np.float32), cv2.COLOR_BGR2LAB)[0], dtype=np.float32)


def street_lightness(frame: NDArray[np.uint8], box: Box, gains: NDArray[np.float32]) -> float | None:
    """Median CIELAB lightness beside a vehicle, left and right of its lower part; None where the picture ends there."""
    width, height = box[2] - box[0], box[3] - box[1]
    top, bottom = box[1] + 0.17 * height, box[3] + 0.23 * height
    strips = (
        _cut(frame, box[0] - 0.3 * width, top, box[0] - 0.03 * width, bottom),
        _cut(frame, box[2] + 0.03 * width, top, box[2] + 0.3 * width, bottom),
    )
    light = [
        to_lab(cv2.resize(strip, (8, 32), interpolation=cv2.INTER_AREA), gains)[:, 0]
        for strip in strips
        if min(strip.shape[:2]) >= 2
    ]
    return float(np.median(np.concatenate(light))) if light else None


def share_colours(body: Body) -> NDArray[np.float32]:
    """Share a body among the eleven terms: (11,) summing to 1, in the order of `COLOURS`."""
    scores = NEUTRAL_WEIGHTS @ body.reached_light + NEUTRAL_OFFSETS
    neutral = np.exp(scores - scores.max())
    coloured = 1 / (1 + np.exp(-CHROMA_SLOPE * (body.reached_chroma - CHROMA_AT)))
    out = coloured * name_hues(body.light, body.chroma, body.hue, PLACE * body.chroma**2)
    out[_NEUTRALS] += (1 - coloured) * neutral / neutral.sum()
    return np.asarray(out / out.sum(), dtype=np.float32)


def quantiles(values: NDArray[np.float32], wanted: tuple[float, ...]) -> NDArray[np.float64]:
    """Of the pixels of a box, weighed by how likely they are body."""
    order = np.argsort(values)
    reached = np.cumsum(PLACE[order])
    at = np.searchsorted(reached, np.array(wanted) * reached[-1]).clip(0, len(values) - 1)
    return np.asarray(values[order][at], dtype=np.float64)


def name_hues(
    light: NDArray[np.float32], chroma: NDArray[np.float32], hue: NDArray[np.float32], weight: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Share coloured pixels among the chromatic terms: (11,) summing to 1, nothing for white, grey and black."""
    near = _NEAR[(hue * _HUE_STEPS).astype(np.int64)] * weight[:, None]
    out = np.zeros(len(COLOURS))
    for column, (name, _, _) in enumerate(_HUES):
        out[_INDEX[name]] = near[:, column].sum()
    of = {name: near[:, column] for column, (name, _, _) in enumerate(_HUES)}
    # Dull orange and yellow are brown; light and faint red is pink, the rest of what looks pink is red in shade.
    dull = _above(-chroma / np.maximum(light, np.float32(15.0)), -0.66, 0.06) * _above(-light, -62.0, 5.0)
    beige = 0.5 * _above(-chroma, -24.0, 3.0)
    pale = _above(light, 62.0, 4.0) * _above(-chroma, -45.0, 5.0)
    for source, target, share in (
        ("orange", "brown", dull),
        ("red", "brown", dull * _above(hue, 33.0, 4.0)),
        ("yellow", "brown", np.maximum(dull * _above(-light, -45.0, 5.0), beige)),
        ("red", "pink", pale),
        ("pink", "red", _above(-light, -52.0, 4.0)),
    ):
        moved = float((of[source] * share).sum())
        out[_INDEX[source]] -= moved
        out[_INDEX[target]] += moved
    out = np.maximum(out, 0)
    total = out.sum()
    return out / total if total > 0 else out


def _above(values: NDArray[np.floating], at: float, width: float) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-np.clip((values - at) / width, -30, 30))), dtype=np.float32)


def _cut(frame: NDArray[np.uint8], left: float, top: float, right: float, bottom: float) -> NDArray[np.uint8]:
    return frame[max(0, int(top)) : max(0, int(np.ceil(bottom))), max(0, int(left)) : max(0, int(np.ceil(right)))]


def _place() -> NDArray[np.float32]:
    """Weight of each pixel of the crop, (`SIDE` ** 2,): most below the middle, where doors and bonnets are."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / (SIDE - 1)
    weight = np.exp(-(((x - 0.5) / 0.36) ** 4)) * np.exp(-(((y - 0.6) / 0.3) ** 4))
    return np.asarray(weight.reshape(-1), dtype=np.float32)


def _near() -> NDArray[np.float32]:
    """How a hue is shared among `_HUES`, a row for each of its steps: a table, as every pixel of every look asks."""
    hue = np.arange(360 * _HUE_STEPS + 1) / _HUE_STEPS
    near = np.stack([np.exp(-((((hue - mid + 180) % 360 - 180) / half) ** 2)) for _, mid, half in _HUES], axis=1) + 1e-6
    return np.asarray(near / near.sum(axis=1, keepdims=True), dtype=np.float32)


_HUE_STEPS: Final = 4
"""A degree."""
_NEAR: Final = _near()
_WEIGHTS: Final = _place()
BODY: Final = np.flatnonzero(_WEIGHTS > 0.05)
"""Pixels of the crop that weigh anything: the others are street and glass, and would only take time."""
PLACE: Final = _WEIGHTS[BODY]
"""Weight of each of them."""
_ORDINARY_STREET: Final = 45.0
