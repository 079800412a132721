# SPDX-License-Identifier: AGPL-3.0-or-later
"""The colour of a vehicle's body as a distribution over the eleven basic colour terms.

Berlin and Kay's basic terms, found in CIELAB by rule: a pixel is chromatic or not by its chroma (the darker, the less
it takes), chromatic pixels are named by hue and lightness, the others by lightness. Each pixel counts by where it lies:
the middle of the box, below the roof line and above the wheels, is body; the rest is glass, shadow and street.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from reid.passage import COLOURS

LEAST_SIDE_PX: Final = 12
"""Below this a crop tells no colour."""

_SIDE = 40
_HUES: Final = (
    # name, hue angle of its middle in CIELAB (degrees), half width
    ("red", 27.0, 24.0),
    ("orange", 62.0, 15.0),
    ("yellow", 92.0, 19.0),
    ("green", 145.0, 40.0),
    ("blue", 262.0, 50.0),
    ("purple", 320.0, 18.0),
    ("pink", 353.0, 18.0),
)
_INDEX: Final = {name: i for i, name in enumerate(COLOURS)}
_NEUTRALS: Final = [COLOURS.index(name) for name in ("white", "grey", "black")]


def white_gains(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Gains (3,) BGR that take the light of a scene towards white, held back: shades of grey (Finlayson, Trezzi 2004).

    Args:
        frame: (h, w, 3) BGR, of any size; a small one is enough.
    """
    small = cv2.resize(frame, (64, 36), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    mean = np.power(np.power(small.reshape(-1, 3), 6).mean(axis=0), 1 / 6)
    gains = mean.mean() / np.maximum(mean, 1e-3)
    bright = float(np.percentile(small.max(axis=2), 97))
    # Foliage and signs fool any estimate of the light: correct by half, and never far.
    balance = np.clip(np.sqrt(gains), 0.85, 1.18)
    exposure = float(np.clip(0.92 / max(bright, 0.05), 0.95, 1.8))
    return np.asarray(balance * exposure, dtype=np.float32)


def name_pixels(bgr: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share each pixel among the eleven terms.

    Args:
        bgr: (n, 3) in 0 to 1.

    Returns:
        (n, 11) summing to 1, in the order of `COLOURS`.
    """
    lab = cv2.cvtColor(np.ascontiguousarray(bgr[None]), cv2.COLOR_BGR2LAB)[0]
    light, a, b = lab[:, 0], lab[:, 1], lab[:, 2]
    chroma = np.hypot(a, b)
    hue = np.degrees(np.arctan2(b, a)) % 360
    # Paint reflects the sky, so bluish greys are grey unless they are decidedly blue; dark paint shows little chroma.
    bluish = np.exp(-(((hue - 255) / 45) ** 2))
    threshold = 11.0 + 0.10 * np.clip(light - 20, 0, 60) + 7.0 * bluish
    chromatic = 1 / (1 + np.exp(-(chroma - threshold) / 2.2))

    out = np.zeros((len(bgr), len(COLOURS)), dtype=np.float32)
    weights = np.stack(
        [np.exp(-((((hue - mid + 180) % 360 - 180) / half) ** 2)) for _, mid, half in _HUES], axis=1
    ) + np.float32(1e-6)
    weights /= weights.sum(axis=1, keepdims=True)
    for column, (name, _, _) in enumerate(_HUES):
        out[:, _INDEX[name]] = chromatic * weights[:, column]
    # Dark or dull orange is brown; light and faint red is pink.
    dull = 1 / (1 + np.exp((light - 48) / 5)) * (1 / (1 + np.exp((chroma - 48) / 6)))
    moved = out[:, _INDEX["orange"]] * dull
    out[:, _INDEX["orange"]] -= moved
    out[:, _INDEX["brown"]] += moved
    dull_yellow = out[:, _INDEX["yellow"]] / (1 + np.exp((light - 42) / 5)) / (1 + np.exp((chroma - 40) / 6))
    out[:, _INDEX["yellow"]] -= dull_yellow
    out[:, _INDEX["brown"]] += dull_yellow
    beige = out[:, _INDEX["yellow"]] * (1 / (1 + np.exp((chroma - 24) / 3))) * 0.5
    out[:, _INDEX["yellow"]] -= beige
    out[:, _INDEX["brown"]] += beige
    pale = out[:, _INDEX["red"]] / (1 + np.exp(-(light - 66) / 4)) / (1 + np.exp((chroma - 45) / 5))
    out[:, _INDEX["red"]] -= pale
    out[:, _INDEX["pink"]] += pale

    neutral = 1 - chromatic
    white = 1 / (1 + np.exp(-(light - 76) / 3.5))
    black = 1 / (1 + np.exp((light - 27) / 3.5))
    out[:, _INDEX["white"]] += neutral * white
    out[:, _INDEX["black"]] += neutral * black
    out[:, _INDEX["grey"]] += neutral * np.clip(1 - white - black, 0, 1)
    return np.asarray(out / out.sum(axis=1, keepdims=True), dtype=np.float32)


def body_colours(crop: NDArray[np.uint8], gains: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Say the colours of the vehicle in a crop.

    Args:
        crop: (h, w, 3) BGR, the vehicle's box.
        gains: of `white_gains` for the frame.

    Returns:
        (11,) summing to 1, or None when the crop is too small to tell.
    """
    if min(crop.shape[:2]) < LEAST_SIDE_PX:
        return None
    small = cv2.resize(crop, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    pixels = np.clip(small * gains, 0, 1).reshape(-1, 3)
    shares = name_pixels(pixels)
    place = _PLACE.reshape(-1)
    neutral = shares[:, _NEUTRALS].sum(axis=1)
    # Glass, tyres, shadow and reflections are neutral on every vehicle; only paint shows colour, which counts double.
    total = (shares * (place * (2 - neutral))[:, None]).sum(axis=0)
    light = cv2.cvtColor(np.ascontiguousarray(pixels[None]), cv2.COLOR_BGR2LAB)[0, :, 0]
    total[_NEUTRALS] = total[_NEUTRALS].sum() * _neutral_paint(light, place * neutral)
    # The body is one colour; minor shares are mostly what is reflected in it.
    total = np.power(total / total.sum(), 1.6)
    return np.asarray(total / total.sum(), dtype=np.float32)


def _neutral_paint(light: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share white, grey and black (3,) for a body without colour, from the spread of its lightness.

    Every vehicle has dark glass and bright reflections, so single pixels mislead: a white body is light at its upper
    quantiles whatever its glass, a black one is dark at its lower half whatever it mirrors.
    """
    order = np.argsort(light)
    reached = np.cumsum(weight[order])
    if reached[-1] <= 0:
        return np.array([0.0, 1.0, 0.0], dtype=np.float32)
    low, high = (float(light[order][np.searchsorted(reached, q * reached[-1])]) for q in (0.42, 0.66))
    white = 1 / (1 + np.exp(-(high - 85) / 4))
    black = (1 - white) / (1 + np.exp((low - 31) / 3.5))
    return np.array([white, 1 - white - black, black], dtype=np.float32)


def _place() -> NDArray[np.float32]:
    """Weight of each pixel of the 40 × 40 crop: most below the middle, where doors and bonnets are."""
    y, x = np.mgrid[0:_SIDE, 0:_SIDE].astype(np.float32) / (_SIDE - 1)
    weight = np.exp(-(((x - 0.5) / 0.33) ** 4)) * np.exp(-(((y - 0.56) / 0.27) ** 4))
    return np.asarray(weight, dtype=np.float32)


_PLACE: Final = _place()
