# SPDX-License-Identifier: AGPL-3.0-or-later
"""Fronts of houses as pictures: storeys of windows, shutters, doors, shop fronts."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

PX_PER_M = 22.0
_SHUTTERS = ((92, 112, 124), (120, 60, 52), (74, 96, 78), (206, 204, 196), (70, 78, 96), (140, 132, 118))
_AWNINGS = ((150, 42, 38), (38, 70, 110), (44, 92, 66), (196, 160, 64), (70, 66, 72), (178, 96, 50))


def _scaled(rgb: tuple[int, int, int], factor: float) -> tuple[float, float, float]:
    """A colour made lighter or darker."""
    return min(255.0, rgb[0] * factor), min(255.0, rgb[1] * factor), min(255.0, rgb[2] * factor)


def facade(
    width_m: float, height_m: float, wall: tuple[int, int, int], rng: np.random.Generator, shop: bool
) -> NDArray[np.uint8]:
    """One wall (h, w, 4): sRGB, and in the fourth plane how strongly it shines at night. Row 0 is the top."""
    w, h = max(4, int(width_m * PX_PER_M)), max(4, int(height_m * PX_PER_M))
    img = np.zeros((h, w, 4), np.float32)
    img[..., :3] = wall
    stain = cv2.resize(
        rng.normal(size=(max(2, h // 24), max(2, w // 24))).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC
    )
    img[..., :3] += stain[..., None] * 4 + rng.normal(size=(h, w, 1)) * 3
    run = np.linspace(0, 1, h, dtype=np.float32)[:, None, None]
    img[..., :3] *= 1.0 - 0.12 * np.clip(run - 0.75, 0, 1) * 4

    def box(x0: float, z0: float, x1: float, z1: float, rgb: tuple[float, float, float], shine: float = 0.0) -> None:
        a, b = int(x0 * PX_PER_M), int(x1 * PX_PER_M)
        c, d = h - int(z1 * PX_PER_M), h - int(z0 * PX_PER_M)
        img[max(0, c) : max(0, d), max(0, a) : max(0, b), :3] = rgb
        img[max(0, c) : max(0, d), max(0, a) : max(0, b), 3] = shine * 255

    box(0, 0, width_m, 0.45, _scaled(wall, 0.72))
    shutter = _SHUTTERS[int(rng.integers(len(_SHUTTERS)))]
    has_shutters = rng.uniform() < 0.55
    storey = 2.9
    levels = max(1, int(height_m / storey))
    bays = max(1, int(width_m / 2.5))
    bay = width_m / bays
    frame = (222, 220, 214) if rng.uniform() < 0.7 else (96, 84, 72)

    def window(cx: float, z0: float, ww: float, hh: float) -> None:
        lit = 0.0
        if rng.uniform() < 0.33:
            lit = float(rng.uniform(0.35, 1.0))
        if has_shutters:
            for side in (-1, 1):
                s0 = cx + side * ww / 2 - (0.42 if side < 0 else 0)
                box(s0 - 0.02 * side, z0, s0 + 0.42, z0 + hh, shutter)
        box(cx - ww / 2 - 0.09, z0 - 0.10, cx + ww / 2 + 0.09, z0 + hh + 0.10, _scaled(wall, 1.08))
        box(cx - ww / 2, z0, cx + ww / 2, z0 + hh, frame)
        tone = float(rng.uniform(26, 62))
        glass = (tone * 0.9, tone, tone * 1.12)
        m = 0.06
        for side in (0, 1):
            a = cx - ww / 2 + m + side * (ww / 2 - m / 2)
            box(a, z0 + m, a + ww / 2 - 1.5 * m, z0 + hh * 0.62, glass, lit)
            box(a, z0 + hh * 0.62 + m, a + ww / 2 - 1.5 * m, z0 + hh - m, glass, lit)
        if rng.uniform() < 0.4 and not lit:
            box(cx - ww / 2 + m, z0 + m, cx - ww / 2 + 0.3, z0 + hh - m, (150, 146, 140))
        box(cx - ww / 2 - 0.12, z0 - 0.16, cx + ww / 2 + 0.12, z0 - 0.06, _scaled(wall, 0.8))

    for level in range(levels):
        base = level * storey
        if base + 2.4 > height_m:
            break
        if level == 0 and shop:
            awning = _AWNINGS[int(rng.integers(len(_AWNINGS)))]
            box(0.25, 0.0, width_m - 0.25, 2.75, _scaled(awning, 0.62))
            panes = max(1, int(width_m / 2.2))
            for k in range(panes):
                a = 0.4 + k * (width_m - 0.8) / panes
                z0 = 0.1 if k == panes // 2 else 0.55
                shine = float(rng.uniform(0.5, 1.1)) if rng.uniform() < 0.6 else 0.1
                box(
                    a + 0.06,
                    z0,
                    a + (width_m - 0.8) / panes - 0.06,
                    2.2,
                    (58, 60, 62) if shine < 0.3 else (150, 132, 104),
                    shine * 0.8,
                )
            box(0.25, 2.3, width_m - 0.25, 2.78, awning, 0.12)
            continue
        door_bay = int(rng.integers(bays)) if level == 0 else -1
        for k in range(bays):
            cx = (k + 0.5) * bay
            if k == door_bay:
                box(cx - 0.62, 0, cx + 0.62, 2.45, _scaled(wall, 0.85))
                box(cx - 0.5, 0, cx + 0.5, 2.2, shutter if rng.uniform() < 0.6 else (86, 58, 40))
            else:
                window(cx, base + (0.95 if level else 0.9), min(1.05, bay * 0.45), 1.35)
    box(0, height_m - 0.22, width_m, height_m - 0.06, _scaled(wall, 1.1))
    rng_pipe = rng.uniform()
    if rng_pipe < 0.7:
        box(0.1, 0, 0.2, height_m, (120, 120, 118))
    return np.clip(img, 0, 255).astype(np.uint8)
