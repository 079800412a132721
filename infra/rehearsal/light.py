# SPDX-License-Identifier: AGPL-3.0-or-later
"""The light of a plan: sun, sky, street lamps, headlamps, wetness, as numbers the shading uses.

Radiance is in arbitrary linear units (a white wall in full day is about 4); the camera's exposure makes them levels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infra.rehearsal.world import Weather

Rgb = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Light:
    """Everything that shines. Colours are linear RGB."""

    sun: NDArray[np.float32]
    """Unit vector towards the sun."""
    sun_rgb: NDArray[np.float32]
    zenith_rgb: NDArray[np.float32]
    horizon_rgb: NDArray[np.float32]
    ground_rgb: NDArray[np.float32]
    """Light that the ground throws back up."""
    street_lamps: float
    """Strength of street lamps and lit windows (0 by day)."""
    headlamps: float
    """Strength of dipped beams as seen on the road (0 by day)."""
    lamp_glow: float
    """How much lit lamps glare in the picture."""
    wet: float
    rain: float
    haze_per_m: float
    target_level: float
    """Mean display level (0..1) that the camera's automatic exposure aims at."""
    noise_gain: float
    shutter_s: float


def _rgb(r: float, g: float, b: float, scale: float = 1.0) -> NDArray[np.float32]:
    return np.array([r * scale, g * scale, b * scale], dtype=np.float32)


def light_of(weather: Weather) -> Light:
    """The light of a weather."""
    elevation = max(weather.sun_elevation_deg, 4.0)
    kind = weather.light
    if kind == "low_sun":
        elevation = min(elevation, 14.0)
    azimuth, high = math.radians(weather.sun_azimuth_deg), math.radians(elevation)
    sun = np.array(
        [math.sin(azimuth) * math.cos(high), math.cos(azimuth) * math.cos(high), math.sin(high)], dtype=np.float32
    )
    rain = float(np.clip(weather.rain, 0.0, 1.0))
    warm = float(np.clip((40.0 - elevation) / 36.0, 0.0, 1.0))
    sun_rgb = _rgb(1.0, 0.95 - 0.22 * warm, 0.88 - 0.42 * warm, 3.4 - 0.9 * warm)
    zenith, horizon = _rgb(0.50, 0.70, 1.05, 1.0), _rgb(0.95, 1.05, 1.18, 1.05)
    lamps = heads = glow = 0.0
    haze, target, noise, shutter = 0.0012, 0.42, 1.0, 1 / 500
    if kind == "low_sun":
        zenith, horizon = _rgb(0.42, 0.55, 0.80, 0.8), _rgb(1.25, 1.0, 0.78, 0.9)
        haze, target = 0.0030, 0.40
    elif kind == "overcast":
        sun_rgb = sun_rgb * 0.06
        zenith, horizon = _rgb(1.0, 1.02, 1.06, 1.15), _rgb(0.92, 0.95, 1.0, 0.95)
        haze, shutter = 0.0022, 1 / 200
    elif kind == "dusk":
        sun_rgb = sun_rgb * 0.0
        zenith, horizon = _rgb(0.26, 0.36, 0.62, 0.22), _rgb(0.85, 0.62, 0.52, 0.22)
        lamps, heads, glow, haze, target, noise, shutter = 0.55, 0.35, 0.7, 0.0025, 0.31, 2.0, 1 / 60
    elif kind == "night":
        sun_rgb = sun_rgb * 0.0
        zenith, horizon = _rgb(0.16, 0.18, 0.26, 0.045), _rgb(0.30, 0.26, 0.24, 0.05)
        lamps, heads, glow, haze, target, noise, shutter = 1.0, 1.0, 1.0, 0.0015, 0.235, 3.0, 1 / 40
    if rain > 0:
        sun_rgb = sun_rgb * (1 - min(1.0, rain * 1.6)) ** 2
        dull = min(1.0, rain * 1.5)
        grey = zenith.mean() * _rgb(0.98, 1.0, 1.04)
        zenith = (zenith * (1 - dull) + grey * dull * 0.85).astype(np.float32)
        horizon = (horizon * (1 - dull) + horizon.mean() * dull * 0.9).astype(np.float32)
        haze += 0.004 * rain
        heads, glow = max(heads, 0.12), max(glow, 0.35)
        shutter = max(shutter, 1 / 120)
    ambient = zenith * 0.6 + horizon * 0.4
    ground = (0.22 * (sun_rgb * sun[2] * 0.7 + ambient)).astype(np.float32)
    return Light(
        sun,
        sun_rgb.astype(np.float32),
        zenith,
        horizon,
        ground,
        lamps,
        heads,
        glow,
        rain,
        rain,
        haze,
        target,
        noise,
        shutter,
    )


def linear(rgb: tuple[float, ...] | NDArray[np.float64] | NDArray[np.uint8]) -> NDArray[np.float32]:
    """8-bit sRGB to linear reflectance."""
    c = np.asarray(rgb, dtype=np.float32) / 255.0
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4).astype(np.float32)
