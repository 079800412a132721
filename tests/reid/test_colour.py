# SPDX-License-Identifier: AGPL-3.0-or-later
"""Colours of painted boxes on a street, under lights that a camera makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from reid.colour import body_colours, white_gains
from reid.passage import COLOURS

BOX = (60.0, 40.0, 140.0, 100.0)
STREET = (92, 92, 92)
PAINTS = {
    "white": (232, 232, 230),
    "grey": (112, 110, 108),
    "black": (24, 24, 26),
    "red": (32, 28, 170),
    "blue": (150, 70, 30),
    "green": (60, 110, 30),
    "yellow": (60, 200, 235),
}
"""BGR."""
LIGHTS = {"noon": (1.0, 1.0, 1.0), "shade": (0.62, 0.58, 0.55), "dusk": (0.36, 0.3, 0.3), "lamps": (0.34, 0.4, 0.43)}
"""Gains BGR."""


def scene(paint: tuple[int, int, int], light: tuple[float, float, float]) -> np.ndarray:
    """A car of one paint with dark glass on a street, in a light."""
    random = np.random.default_rng(2)
    picture = np.full((144, 256, 3), STREET, dtype=np.float64)
    picture[40:100, 60:140] = paint
    picture[46:58, 68:132] = (30, 30, 30)
    picture[94:100, 60:140] = (20, 20, 20)
    return np.clip(picture * light + random.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


def told(frame: np.ndarray) -> tuple[str, np.ndarray]:
    shares = body_colours(frame, BOX, white_gains(frame))
    assert shares is not None
    return COLOURS[int(np.argmax(shares))], shares


@pytest.mark.parametrize("light", LIGHTS)
@pytest.mark.parametrize("paint", PAINTS)
def test_a_paint_keeps_its_name_in_every_light(paint: str, light: str) -> None:
    name, shares = told(scene(PAINTS[paint], LIGHTS[light]))
    assert name == paint
    assert shares.sum() == pytest.approx(1.0, abs=1e-5)


def test_the_same_pixels_are_another_paint_in_another_light() -> None:
    """A grey car at noon and a white one in shade look alike; the street beside them does not."""
    grey = scene((120, 120, 120), (1.0, 1.0, 1.0))
    white = grey.copy()
    white[:, :58], white[:, 142:] = (44, 44, 44), (44, 44, 44)
    assert told(grey)[0] == "grey"
    assert told(white)[0] == "white"


def test_too_small_to_tell() -> None:
    frame = scene(PAINTS["red"], LIGHTS["noon"])
    assert body_colours(frame, (60.0, 40.0, 71.0, 100.0), white_gains(frame)) is None


def test_a_box_over_the_whole_picture_has_no_street_beside_it() -> None:
    frame = np.full((64, 96, 3), (30, 30, 180), dtype=np.uint8)
    shares = body_colours(frame, (0.0, 0.0, 96.0, 64.0), white_gains(frame))
    assert shares is not None
    assert COLOURS[int(np.argmax(shares))] == "red"
