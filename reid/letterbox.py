# SPDX-License-Identifier: AGPL-3.0-or-later
"""Fitting a picture of any size into a model's input without bending it, and taking boxes back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

PAD_VALUE = 114
"""Grey of the borders: what YOLO models are trained with."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How one picture was laid into the input: `input = picture * scale + (left, top)`, in pixels."""

    scale: float
    left: int
    top: int
    width: int
    height: int
    """Size of the picture itself."""


def plan_fit(height: int, width: int, input_hw: tuple[int, int]) -> Fit:
    """Centre a `height × width` picture in an `input_hw` input at the largest scale that fits."""
    scale = min(input_hw[0] / height, input_hw[1] / width)
    inner_w, inner_h = round(width * scale), round(height * scale)
    # The -0.1 puts the odd pixel of border below and to the right, as the models were trained.
    left = round((input_hw[1] - inner_w) / 2 - 0.1)
    top = round((input_hw[0] - inner_h) / 2 - 0.1)
    return Fit(scale=scale, left=left, top=top, width=width, height=height)


def lay_into(frame: NDArray[np.uint8], fit: Fit, into: NDArray[np.uint8]) -> None:
    """Resize `frame` (h, w, 3) into `into` (input h, input w, 3) in place, borders grey."""
    inner_w, inner_h = round(fit.width * fit.scale), round(fit.height * fit.scale)
    bottom, right = fit.top + inner_h, fit.left + inner_w
    into[: fit.top] = PAD_VALUE
    into[bottom:] = PAD_VALUE
    into[fit.top : bottom, : fit.left] = PAD_VALUE
    into[fit.top : bottom, right:] = PAD_VALUE
    inner = into[fit.top : bottom, fit.left : right]
    if (inner_h, inner_w) == frame.shape[:2]:
        inner[:] = frame
    else:
        cv2.resize(frame, (inner_w, inner_h), dst=inner, interpolation=cv2.INTER_LINEAR)


def boxes_to_picture(boxes: NDArray[np.float32], fit: Fit) -> NDArray[np.float32]:
    """Take (n, 4) xyxy boxes from input pixels to picture pixels, clipped to the picture."""
    out = (boxes - np.array([fit.left, fit.top] * 2, dtype=np.float32)) / np.float32(fit.scale)
    np.clip(out[:, 0::2], 0, fit.width, out=out[:, 0::2])
    np.clip(out[:, 1::2], 0, fit.height, out=out[:, 1::2])
    return out.astype(np.float32, copy=False)
