# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a rehearsal town is made of once its plan is built: ground, cameras, vehicles and where they are.

`plan.py` reads the TOML, `traffic.py` fills `Traffic`, `render.py` draws it. Nothing here computes.

Frame of reference: x east, y north, z up, in metres; headings in degrees clockwise from north (as SUMO);
times in seconds of town time since the plan's `start_utc`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reid.passage import COLOURS as COLOURS

Kind = Literal["car", "van", "truck", "bus", "motorcycle", "bicycle", "pedestrian"]
"""What moves. `motorcycle` covers every powered two-wheeler."""

FLEET_COLOURS = {
    "white": 0.26,
    "grey": 0.26,
    "black": 0.19,
    "blue": 0.12,
    "red": 0.08,
    "green": 0.03,
    "brown": 0.03,
    "orange": 0.015,
    "yellow": 0.01,
    "purple": 0.005,
    "pink": 0.0,
}
"""Shares of the French fleet by colour name (rounded from public registration figures)."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane: its centre line and width."""

    points: tuple[Point, ...]
    width_m: float
    kind: Literal["road", "sidewalk", "cycle", "parking"]
    street: str


@dataclass(frozen=True, slots=True)
class Building:
    """A block with a flat or pitched roof; `footprint` counter-clockwise."""

    footprint: tuple[Point, ...]
    height_m: float
    wall_rgb: tuple[int, int, int]
    roof_rgb: tuple[int, int, int]
    pitched: bool


@dataclass(frozen=True, slots=True)
class Furniture:
    """Something that stands on the ground and may hide part of the road."""

    kind: Literal["tree", "lamp", "sign", "bin", "bollard", "hedge", "shelter", "bench", "traffic_light"]
    at: Point
    heading_deg: float
    height_m: float


@dataclass(frozen=True, slots=True)
class Ground:
    """Everything that never moves."""

    lanes: tuple[Lane, ...]
    junctions: tuple[tuple[Point, ...], ...]
    crossings: tuple[tuple[Point, ...], ...]
    stop_lines: tuple[tuple[Point, Point], ...]
    buildings: tuple[Building, ...]
    furniture: tuple[Furniture, ...]
    bounds: tuple[float, float, float, float]
    """x_min, y_min, x_max, y_max of the drawn ground."""
    walking_areas: tuple[tuple[Point, ...], ...] = ()
    """Pavement corners that lie inside the junction polygons; drawn above them, at kerb height."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A stretch of town time in which a camera gives nothing."""

    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera: where it stands, what it sees, how it spoils the picture, how it encodes."""

    name: str
    place: str
    at: Point
    height_m: float
    heading_deg: float
    tilt_deg: float
    """Degrees below the horizon."""
    hfov_deg: float
    width_px: int
    height_px: int
    fps: int
    codec: Literal["h264", "h265"]
    bitrate_kbps: int
    gop_s: float
    exposure_ev: float = 0.0
    white_balance_k: float = 6500.0
    vignette: float = 0.15
    distortion_k1: float = 0.0
    noise: float = 2.0
    """Standard deviation of the sensor noise by day, in 8-bit levels."""
    blur_px: float = 0.4
    dirt: float = 0.0
    clock_offset_s: float = 0.0
    """What the camera's clock says minus the truth."""
    clock_drift_ppm: float = 0.0
    outages: tuple[Outage, ...] = ()


@dataclass(frozen=True, slots=True)
class Weather:
    """Light and weather of a whole plan."""

    light: Literal["day", "dusk", "night", "low_sun", "overcast"]
    rain: float
    """0 dry to 1 heavy."""
    sun_azimuth_deg: float
    sun_elevation_deg: float


@dataclass(frozen=True, slots=True)
class Vehicle:
    """One thing that moves, as it looks. Two vehicles of equal `body` and `colour` are look-alikes."""

    identity: str
    kind: Kind
    body: str
    """Name of one of the shapes in `bodies.py`."""
    colour: str
    """One of `COLOURS`."""
    rgb: tuple[int, int, int]
    """The paint itself: shades differ a little inside one colour name."""
    marks: tuple[str, ...] = ()
    """Details that tell it from its like: roof_rack, dent_left, sticker_rear, two_tone, dirt, roof_box, stripe, …"""
    mark_seed: int = 0
    length_m: float = 4.2
    width_m: float = 1.8
    height_m: float = 1.5


@dataclass(frozen=True, slots=True)
class Frame:
    """Where everything is at one moment. Arrays have one row per vehicle present."""

    time_s: float
    index: NDArray[np.int32]
    """Row of each one in `Traffic.vehicles`."""
    x: NDArray[np.float32]
    """Centre of the body, metres."""
    y: NDArray[np.float32]
    heading_deg: NDArray[np.float32]
    speed_mps: NDArray[np.float32]
    signals: NDArray[np.uint8]
    """Bits: 1 brake, 2 left indicator, 4 right indicator, 8 parked (lights off)."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Every vehicle of a run and its moves, sampled every `step_s` seconds from town time 0."""

    vehicles: tuple[Vehicle, ...]
    frames: tuple[Frame, ...]
    step_s: float


@dataclass(frozen=True, slots=True)
class Town:
    """A plan that has been read, checked and given its geometry; what the renderer takes."""

    name: str
    family: Literal["training", "validation", "exam", "demo", "test"]
    seed: int
    start_utc: str
    """ISO 8601 with Z."""
    ground: Ground
    cameras: tuple[Camera, ...]
    weather: Weather
    bodies: tuple[str, ...]
    """Body shapes this town's fleet may use."""
    digest: str = ""
    """SHA-256 of the plan's canonical content and the seed."""
    notes: dict[str, str] = field(default_factory=dict)
