# SPDX-License-Identifier: AGPL-3.0-or-later
"""The map of a trace: cameras, streets where the site has them, and the passage from camera to camera. No internet."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pydeck

from gate.messages import CameraInfo, TraceStep

_METRES_PER_DEGREE = 111_320.0


def _place(camera: CameraInfo) -> tuple[float, float] | None:
    """Longitude and latitude; a town known only in metres is drawn around (0, 0), where a degree is equal both ways."""
    if camera.position_wgs84 is not None:
        return camera.position_wgs84[1], camera.position_wgs84[0]
    if camera.position_m is not None:
        return camera.position_m[0] / _METRES_PER_DEGREE, camera.position_m[1] / _METRES_PER_DEGREE
    return None


def trace_deck(
    cameras: Sequence[CameraInfo], steps: Sequence[TraceStep], streets: Mapping[str, Any] | None = None
) -> pydeck.Deck | None:
    """The town with the trace drawn on it; None when no camera has a position."""
    places = {c.name: place for c in cameras if (place := _place(c)) is not None}
    if not places:
        return None
    order = [s for s in steps if s.passage.camera in places and s.decision != "rejected"]
    seen = {s.passage.camera for s in order}
    layers = []
    if streets:
        layers.append(
            pydeck.Layer(
                "GeoJsonLayer", data=dict(streets), stroked=True, filled=True, get_line_color=[190, 198, 206],
                get_fill_color=[226, 231, 236], line_width_min_pixels=2,
            )
        )  # fmt: skip
    legs = [
        {"from": places[a.passage.camera], "to": places[b.passage.camera], "p": b.probability}
        for a, b in itertools.pairwise(order)
    ]
    layers.append(
        pydeck.Layer(
            "LineLayer", data=legs, get_source_position="from", get_target_position="to", get_color=[192, 38, 31, 200],
            get_width="2 + 5 * p", width_min_pixels=2,
        )
    )  # fmt: skip
    dots = [
        {
            "at": places[c.name],
            "label": c.label,
            "number": ", ".join(str(n + 1) for n, s in enumerate(order) if s.passage.camera == c.name),
            "fill": [192, 38, 31] if c.name in seen else [120, 130, 140],
        }
        for c in cameras
        if c.name in places
    ]
    layers.append(
        pydeck.Layer(
            "ScatterplotLayer", data=dots, get_position="at", get_fill_color="fill", get_radius=6,
            radius_min_pixels=6, radius_max_pixels=12, pickable=True,
        )
    )  # fmt: skip
    layers.append(
        pydeck.Layer(
            "TextLayer", data=[d for d in dots if d["number"]], get_position="at", get_text="number", get_size=16,
            get_color=[20, 28, 36], get_pixel_offset=[0, -16],
        )
    )  # fmt: skip
    longitudes = [p[0] for p in places.values()]
    latitudes = [p[1] for p in places.values()]
    span = max(max(longitudes) - min(longitudes), max(latitudes) - min(latitudes), 1e-4)
    zoom = _zoom(span)
    view = pydeck.ViewState(
        longitude=(max(longitudes) + min(longitudes)) / 2, latitude=(max(latitudes) + min(latitudes)) / 2, zoom=zoom
    )
    return pydeck.Deck(layers=layers, initial_view_state=view, map_provider=None, tooltip={"text": "{label} {number}"})


def _zoom(span_deg: float) -> float:
    """Web-Mercator zoom that shows `span_deg` in about 420 pixels."""
    import math

    return max(1.0, min(20.0, math.log2(360.0 * 420.0 / (512.0 * span_deg * 1.25))))
