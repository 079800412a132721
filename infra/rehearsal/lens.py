# SPDX-License-Identifier: AGPL-3.0-or-later
"""How a camera spoils the picture: exposure, white balance, vignette, tone curve, softness, dirt, noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from infra.rehearsal.light import Light
from infra.rehearsal.world import Camera

F32 = NDArray[np.float32]
TONE_STEPS = 4096
TONE_TOP = 8.0
NOISE_FRAMES = 12


@dataclass(frozen=True, slots=True)
class Sensor:
    """From radiance to levels: `gain` (h, w, 3) times radiance, through the tone curve `tone`."""

    gain: F32
    tone: NDArray[np.uint8]
    """Levels for 0..`TONE_TOP` in `TONE_STEPS` steps."""

    def develop(self, radiance: F32) -> NDArray[np.uint8]:
        """A whole picture (h, w, 3) RGB to 8-bit BGR."""
        index = np.clip(radiance * self.gain * (TONE_STEPS / TONE_TOP), 0, TONE_STEPS - 1).astype(np.int32)
        return np.ascontiguousarray(self.tone[index][..., ::-1])


def tone_curve() -> NDArray[np.uint8]:
    """A gentle shoulder, then the display's gamma."""
    x = np.linspace(0, TONE_TOP, TONE_STEPS, dtype=np.float64)
    y = 1.0 - np.exp(-x * 1.05 - 0.25 * x * x * np.exp(-x))
    return np.clip(np.round(255.0 * np.power(y, 1 / 2.2)), 0, 255).astype(np.uint8)


def white_balance(kelvin: float) -> F32:
    """Channel gains of a camera set to a colour temperature (6500 leaves colours as they are)."""
    t = (kelvin - 6500.0) / 6500.0
    return np.array([1.0 + 0.30 * t, 1.0, 1.0 - 0.34 * t], dtype=np.float32)


def sensor_of(camera: Camera, light: Light, radiance: F32) -> Sensor:
    """Automatic exposure on the empty picture, then the camera's own settings."""
    h, w = radiance.shape[:2]
    level = radiance[h // 4 :].mean(-1)
    middle = float(np.exp(np.mean(np.log(np.maximum(level, 1e-4)))))
    wanted = -np.log(max(1e-3, 1.0 - light.target_level**2.2)) / 1.05
    gain = wanted / max(middle, 1e-4) * 2.0**camera.exposure_ev
    yy, xx = np.mgrid[0:h, 0:w].astype(np.float32)
    r2 = ((xx - w / 2) / (w / 2)) ** 2 + ((yy - h / 2) / (w / 2)) ** 2
    shade = 1.0 - camera.vignette * np.clip(r2 / 1.3, 0, 1) ** 1.3
    if camera.dirt > 0:
        rng = np.random.default_rng(int(camera.at[0] * 1000) & 0xFFFF)
        spots = np.zeros((h, w), np.float32)
        for _ in range(int(14 * camera.dirt) + 3):
            cv2.circle(
                spots,
                (int(rng.integers(w)), int(rng.integers(h))),
                int(rng.uniform(0.004, 0.02) * w),
                float(rng.uniform(0.3, 1)),
                -1,
            )
        spots = cv2.GaussianBlur(spots, (0, 0), w * 0.007)
        shade = shade * (1.0 - 0.35 * camera.dirt * np.clip(spots, 0, 1))
    full = shade[..., None] * (gain * white_balance(camera.white_balance_k))[None, None]
    return Sensor(full.astype(np.float32), tone_curve())


def soften(picture: NDArray[np.uint8], camera: Camera) -> NDArray[np.uint8]:
    """The lens's own softness on a finished picture."""
    if camera.blur_px < 0.3:
        return picture
    soft: NDArray[np.uint8] = cv2.GaussianBlur(picture, (0, 0), camera.blur_px)
    return soft


def noise_bank(camera: Camera, light: Light, seed: int) -> NDArray[np.int8]:
    """Frames of luminance noise (and rain streaks) to add, (NOISE_FRAMES, h, w)."""
    rng = np.random.default_rng(seed)
    h, w = camera.height_px, camera.width_px
    sigma = camera.noise * light.noise_gain
    bank = np.empty((NOISE_FRAMES, h, w), np.int8)
    for k in range(NOISE_FRAMES):
        grain = rng.standard_normal((h, w), dtype=np.float32)
        coarse = cv2.resize(
            rng.standard_normal((h // 2, w // 2), dtype=np.float32), (w, h), interpolation=cv2.INTER_LINEAR
        )
        field = (grain * 0.8 + coarse * 0.7) * sigma
        if light.rain > 0:
            field += _streaks(h, w, light.rain, rng)
        bank[k] = np.clip(field, -120, 120).astype(np.int8)
    return bank


def _streaks(h: int, w: int, rain: float, rng: np.random.Generator) -> F32:
    """Falling drops as short bright lines."""
    canvas = np.zeros((h, w), np.float32)
    for _ in range(int(420 * rain * w / 1280)):
        x, y = int(rng.integers(w)), int(rng.integers(-40, h))
        near = float(rng.uniform(0.3, 1.0))
        length = int((10 + 34 * near) * h / 720)
        lean = int(length * 0.12)
        cv2.line(canvas, (x, y), (x + lean, y + length), 9.0 + 13.0 * near, 1, cv2.LINE_AA)
    soft: F32 = cv2.GaussianBlur(canvas, (0, 0), 0.7)
    return soft


@njit(cache=True)
def _add(levels: NDArray[np.uint8], grain: NDArray[np.int8], halves: int) -> None:
    for i in range(levels.size):
        v = np.int32(levels[i])
        v += (np.int32(grain[i]) * (np.int32(288) - v)) >> halves
        levels[i] = np.uint8(min(max(v, np.int32(0)), np.int32(255)))


def add_noise(plane: NDArray[np.uint8], noise: NDArray[np.int8], shift: int, weak: bool = False) -> None:
    """Add a noise frame, rolled by `shift`, to a plane in place; dark parts get more of it, burnt parts little."""
    flat, grain = plane.reshape(-1), noise.reshape(-1)[: plane.size]
    rest = flat.size - shift
    _add(flat[:rest], grain[shift:], 9 if weak else 8)
    _add(flat[rest:], grain[:shift], 9 if weak else 8)
