# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where a point of the town falls in a camera's picture, lens distortion included, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infra.rehearsal.world import Camera

NEAR_M = 0.5


@dataclass(frozen=True, slots=True)
class View:
    """The pinhole and its one-parameter radial distortion. Rows of `axes`: right, down, forward (unit, world)."""

    eye: NDArray[np.float64]
    axes: NDArray[np.float64]
    focal_px: float
    k1: float
    width_px: int
    height_px: int

    def project(self, points: NDArray[np.float64], scale: float = 1.0) -> tuple[NDArray[np.float32], ...]:
        """World points (n, 3) to x, y (pixels times `scale`) and 1/depth (0 where behind the near plane)."""
        cam = (points - self.eye) @ self.axes.T
        z = cam[:, 2]
        ahead = z > NEAR_M
        safe = np.where(ahead, z, 1.0)
        xn = cam[:, 0] / safe
        yn = cam[:, 1] / safe
        if self.k1:
            r2 = np.minimum(xn * xn + yn * yn, 4.0)
            bend = 1.0 + self.k1 * r2
            xn = xn * bend
            yn = yn * bend
        x = (xn * self.focal_px + self.width_px / 2) * scale
        y = (yn * self.focal_px + self.height_px / 2) * scale
        return (
            x.astype(np.float32),
            y.astype(np.float32),
            np.where(ahead, 1.0 / safe, 0.0).astype(np.float32),
        )

    def rays(self, scale: int = 1) -> NDArray[np.float32]:
        """World direction of every pixel (h, w, 3), scaled so that its component along the axis is 1."""
        h, w = self.height_px * scale, self.width_px * scale
        xd = ((np.arange(w) + 0.5) / scale - self.width_px / 2) / self.focal_px
        yd = ((np.arange(h) + 0.5) / scale - self.height_px / 2) / self.focal_px
        gx, gy = np.meshgrid(xd, yd)
        ux, uy = gx.copy(), gy.copy()
        if self.k1:
            for _ in range(12):  # fixed point: the inverse of the distortion has no short formula
                bend = 1.0 + self.k1 * np.minimum(ux * ux + uy * uy, 4.0)
                ux, uy = gx / bend, gy / bend
        local = np.stack([ux, uy, np.ones_like(ux)], axis=-1).astype(np.float32)
        return local @ self.axes.astype(np.float32)


def view_of(camera: Camera) -> View:
    """The view of one camera at its own resolution."""
    heading = math.radians(camera.heading_deg)
    tilt = math.radians(camera.tilt_deg)
    forward = np.array([math.sin(heading) * math.cos(tilt), math.cos(heading) * math.cos(tilt), -math.sin(tilt)])
    right = np.array([math.cos(heading), -math.sin(heading), 0.0])
    down = np.cross(forward, right)
    focal = camera.width_px / 2 / math.tan(math.radians(camera.hfov_deg) / 2)
    return View(
        eye=np.array([camera.at[0], camera.at[1], camera.height_m]),
        axes=np.stack([right, down, forward]),
        focal_px=focal,
        k1=camera.distortion_k1,
        width_px=camera.width_px,
        height_px=camera.height_px,
    )
