# SPDX-License-Identifier: AGPL-3.0-or-later
"""A town's plan: the TOML file as frozen types, read and checked with every problem at once.

`load_plan` checks what the file alone can tell. What needs the built streets (a camera inside a house,
a camera that sees no road) is checked by `network.build_town`. The format is described in `docs/town.md`.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from infra.rehearsal.errors import PlanError
from infra.rehearsal.fleet import BODY_SIZES
from infra.rehearsal.toml_reader import Point, TableReader
from infra.rehearsal.world import COLOURS, FLEET_COLOURS, Outage

FAMILIES = ("training", "validation", "exam", "demo", "test")
LIGHTS = ("day", "dusk", "night", "low_sun", "overcast")
CONTROLS = ("priority", "lights", "right_before_left", "stop")
STREET_CLASSES = ("main", "street", "lane")
MASTS = ("wall", "kerb")
PARKING = ("none", "left", "right", "both")
FRONTAGES = ("dense", "loose", "none")
KIND_SHARES = {
    "car": 0.80,
    "van": 0.085,
    "truck": 0.025,
    "bus": 0.015,
    "motorcycle": 0.035,
    "bicycle": 0.04,
}
HOURS = (2, 1, 1, 1, 2, 6, 18, 60, 90, 75, 70, 75, 85, 80, 75, 75, 85, 100, 95, 65, 40, 25, 14, 6)
"""Default demand by hour of the day, in per cent of `vehicles_per_hour`."""


@dataclass(frozen=True, slots=True)
class JunctionPlan:
    """A named point where streets meet or end."""

    name: str
    at: Point
    control: Literal["priority", "lights", "right_before_left", "stop"]
    entrance: bool
    """Traffic comes into the town and leaves it here."""


@dataclass(frozen=True, slots=True)
class StreetPlan:
    """A street through two junctions or more."""

    name: str
    through: tuple[str, ...]
    street_class: Literal["main", "street", "lane"]
    lanes: int
    """Per direction."""
    one_way: bool
    speed_kmh: float
    parking: Literal["none", "left", "right", "both"]
    """Kerbside places, seen along `through`."""
    sidewalk_m: float
    cycle_lane: bool
    frontage: Literal["dense", "loose", "none"]
    trees: float
    """Share of the possible tree places that have a tree."""
    bends: tuple[Point, ...]
    """Points between the first two junctions, for a street that is not straight."""


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """A camera as written: either at a point with a heading, or at a junction looking towards another."""

    name: str
    place: str
    at: Point | None
    heading_deg: float | None
    junction: str
    towards: str
    side: Literal["left", "right"]
    mast: Literal["wall", "kerb"]
    """Where on the pavement it stands; at the kerb façades fill less of the picture."""
    back_m: float
    """How far behind the junction the mast stands, seen in the direction of view."""
    pan_deg: float
    """Turned away from the axis of the street, clockwise."""
    height_m: float
    tilt_deg: float
    hfov_deg: float
    width_px: int
    height_px: int
    fps: int
    codec: Literal["h264", "h265"]
    bitrate_kbps: int
    gop_s: float
    exposure_ev: float
    white_balance_k: float
    vignette: float
    distortion_k1: float
    noise: float
    blur_px: float
    dirt: float
    clock_offset_s: float
    clock_drift_ppm: float
    outages: tuple[Outage, ...]


@dataclass(frozen=True, slots=True)
class FlowPlan:
    """Extra demand between two entrances."""

    start: str
    end: str
    vehicles_per_hour: float


@dataclass(frozen=True, slots=True)
class DemandPlan:
    """Who drives and walks."""

    vehicles_per_hour: float
    by_hour: tuple[float, ...]
    """Per cent of `vehicles_per_hour` for each hour of the day."""
    pedestrians_per_hour: float
    parks: float
    """Share of drivers from outside who park in the town (and stay, or leave again)."""
    leaves_parking: float
    """Share of trips that begin at a kerbside place."""
    circulates: float
    """Share of drivers who turn back at the edge of the town and stay in it."""
    uturn: float
    """Share of drivers who turn round in a street on their way."""
    delivers: float
    """Share of vans and trucks that stop on the road for a moment."""
    parked: float
    """Share of kerbside places taken at the start."""
    kinds: dict[str, float]
    entrances: dict[str, float]
    """Weight of each entrance."""
    flows: tuple[FlowPlan, ...]


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """What the vehicles look like."""

    bodies: dict[str, float]
    """Weight of each body shape; shapes of one kind share that kind's demand."""
    colours: dict[str, float]
    marks: float
    """Share of vehicles with one mark or more."""


@dataclass(frozen=True, slots=True)
class ScriptedTrip:
    """One vehicle that is surely there, with its looks and way given."""

    identity: str
    body: str
    colour: str
    depart_s: float
    via: tuple[str, ...]
    """Junctions in order; the shortest way between two of them is taken."""
    marks: tuple[str, ...]
    stop_at: str
    """Junction before which it stops on the road for `stop_s`, or empty."""
    stop_s: float


@dataclass(frozen=True, slots=True)
class HousePlan:
    """A building given by hand, beside those that are laid along the streets."""

    footprint: tuple[Point, ...]
    height_m: float


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A whole plan, checked."""

    name: str
    title: str
    note: str
    family: Literal["training", "validation", "exam", "demo", "test"]
    seed: int
    start: datetime
    """Aware UTC: town time 0."""
    minutes: float
    warmup_s: float
    light: Literal["day", "dusk", "night", "low_sun", "overcast"]
    rain: float
    sun_azimuth_deg: float
    sun_elevation_deg: float
    junctions: tuple[JunctionPlan, ...]
    streets: tuple[StreetPlan, ...]
    cameras: tuple[CameraPlan, ...]
    demand: DemandPlan
    fleet: FleetPlan
    scripted: tuple[ScriptedTrip, ...]
    houses: tuple[HousePlan, ...]
    demo_cameras: tuple[str, ...]
    demo_target: str
    source: str = field(default="", compare=False)

    @property
    def start_utc(self) -> str:
        """ISO 8601 with Z."""
        return self.start.astimezone(UTC).isoformat().replace("+00:00", "Z")

    @property
    def digest(self) -> str:
        """SHA-256 of the plan's canonical content, its seed included."""
        content = asdict(replace(self, source=""))
        for camera in content["cameras"]:
            # Plans that say nothing of masts keep the digest, and so the pictures, that they had before the key.
            if camera["mast"] == "wall":
                del camera["mast"]
        text = json.dumps(content, sort_keys=True, default=str, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def load_plan(path: Path | str, seed: int | None = None) -> PlanFile:
    """Reads the plan at `path`, or the shipped plan of that name; `seed` takes the place of the plan's own.

    Raises PlanError with every problem found.
    """
    file = find_plan(path)
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(str(file), [f"cannot be read: {error}"]) from error
    except tomllib.TOMLDecodeError as error:
        raise PlanError(str(file), [f"is not TOML: {error}"]) from error
    return parse_plan(content, str(file), seed)


def find_plan(path: Path | str) -> Path:
    """The file itself, or a shipped plan's file when only its name is given."""
    file = Path(path)
    if not file.exists() and file.parent == Path():
        shipped = Path(__file__).parent / "plans" / f"{file.name.removesuffix('.toml')}.toml"
        if shipped.exists():
            return shipped
    return file


def parse_plan(content: dict[str, Any], source: str = "plan", seed: int | None = None) -> PlanFile:
    """The plan of a parsed TOML document; raises PlanError with every problem found."""
    from infra.rehearsal.plan_checks import check_plan

    problems: list[str] = []
    top = TableReader(content, "", problems)
    light = top.table("light")
    kind_of_light = light.text("light", "day", LIGHTS)
    start = _start(top)
    azimuth, elevation = _sun(light, start, kind_of_light)
    demand = top.table("demand")
    fleet = top.table("fleet")
    demo = top.table("demo")
    camera_defaults = top.table("camera_defaults")
    plan = PlanFile(
        name=top.text("name"),
        title=top.text("title", ""),
        note=top.text("note", ""),
        family=top.text("family", None, FAMILIES),  # type: ignore[arg-type]
        seed=top.whole("seed") if seed is None else _given_seed(top, seed),
        start=start,
        minutes=top.number("minutes", 10.0, 0.05, 24 * 60, " min"),
        warmup_s=top.number("warmup_s", 240.0, 0.0, 3600.0, " s"),
        light=kind_of_light,  # type: ignore[arg-type]
        rain=light.number("rain", 0.0, 0.0, 1.0),
        sun_azimuth_deg=azimuth,
        sun_elevation_deg=elevation,
        junctions=tuple(_junction(t, i, problems) for i, t in enumerate(top.tables("junction"))),
        streets=tuple(_street(t, i, problems) for i, t in enumerate(top.tables("street"))),
        cameras=tuple(_camera(t, i, camera_defaults, problems) for i, t in enumerate(top.tables("camera"))),
        demand=_demand(demand, problems),
        fleet=_fleet(fleet),
        scripted=tuple(_scripted(t, i, problems) for i, t in enumerate(top.tables("scripted"))),
        houses=tuple(_house(t, i, problems) for i, t in enumerate(top.tables("house"))),
        demo_cameras=demo.texts("cameras", ()),
        demo_target=demo.text("target", ""),
        source=source,
    )
    for table in (top, light, demand, fleet, demo):
        table.done()
    problems.extend(check_plan(plan))
    if problems:
        raise PlanError(source, problems)
    return plan


def _given_seed(top: TableReader, seed: int) -> int:
    top.has("seed")
    if seed < 0:
        top.problem(f"the seed is {seed}, must not be negative")
    return seed


def _start(top: TableReader) -> datetime:
    text = top.text("start_utc")
    try:
        start = datetime.fromisoformat(text)
    except ValueError:
        if text:
            top.problem(f"`start_utc` is {text!r}, must be a time such as 2026-06-12T12:00:00Z")
        return datetime(2026, 6, 12, 12, tzinfo=UTC)
    if start.tzinfo is None:
        top.problem(f"`start_utc` is {text!r} and names no time zone; end it with Z")
        return start.replace(tzinfo=UTC)
    return start.astimezone(UTC)


def _sun(light: TableReader, start: datetime, kind: str) -> tuple[float, float]:
    from infra.rehearsal.sun import sun_position

    latitude = light.number("latitude_deg", 49.05, -90.0, 90.0, "°")
    longitude = light.number("longitude_deg", -1.44, -180.0, 180.0, "°")
    azimuth, elevation = sun_position(start, latitude, longitude)
    azimuth = light.number("sun_azimuth_deg", azimuth, 0.0, 360.0, "°")
    elevation = light.number("sun_elevation_deg", elevation, -90.0, 90.0, "°")
    wanted = {"day": (12, 90), "overcast": (3, 90), "low_sun": (2, 15), "dusk": (-9, 3), "night": (-90, -6)}
    low, high = wanted[kind]
    if not low <= elevation <= high:
        light.problem(
            f"`light` is {kind!r} but the sun stands at {elevation:.1f}° then (needs {low} to {high}°); "
            "change start_utc or set sun_elevation_deg"
        )
    return azimuth, elevation


def _junction(table: Any, number: int, problems: list[str]) -> JunctionPlan:
    reader = _named(table, "junction", number, problems)
    junction = JunctionPlan(
        name=reader.text("name"),
        at=reader.point("at"),
        control=reader.text("control", "priority", CONTROLS),  # type: ignore[arg-type]
        entrance=reader.flag("entrance"),
    )
    reader.done()
    return junction


def _street(table: Any, number: int, problems: list[str]) -> StreetPlan:
    reader = _named(table, "street", number, problems)
    kind = reader.text("class", "street", STREET_CLASSES)
    speed, sidewalk = {"main": (40.0, 2.2), "street": (30.0, 1.8), "lane": (20.0, 1.3)}[kind]
    street = StreetPlan(
        name=reader.text("name"),
        through=reader.texts("through"),
        street_class=kind,  # type: ignore[arg-type]
        lanes=reader.whole("lanes", 1, 1, 4),
        one_way=reader.flag("one_way"),
        speed_kmh=reader.number("speed_kmh", speed, 10.0, 110.0, " km/h"),
        parking=reader.text("parking", "none", PARKING),  # type: ignore[arg-type]
        sidewalk_m=reader.number("sidewalk_m", sidewalk, 0.8, 8.0, " m"),
        cycle_lane=reader.flag("cycle_lane"),
        frontage=reader.text("frontage", "dense", FRONTAGES),  # type: ignore[arg-type]
        trees=reader.number("trees", 0.3, 0.0, 1.0),
        bends=reader.points("bends"),
    )
    reader.done()
    return street


def _camera(table: Any, number: int, defaults: TableReader, problems: list[str]) -> CameraPlan:
    base = dict(defaults._table)
    if isinstance(table, dict):
        base.update(table)
        table = base
    reader = _named(table, "camera", number, problems)
    free = reader.has("at")
    width, height = _resolution(reader)
    camera = CameraPlan(
        name=reader.text("name"),
        place=reader.text("place", ""),
        at=reader.point("at") if free else None,
        heading_deg=reader.number("heading_deg", None, 0.0, 360.0, "°") if free else None,
        junction="" if free else reader.text("junction"),
        towards="" if free else reader.text("towards"),
        side=reader.text("side", "right", ("left", "right")),  # type: ignore[arg-type]
        mast=reader.text("mast", "wall", MASTS),  # type: ignore[arg-type]
        back_m=reader.number("back_m", 0.0, -40.0, 40.0, " m"),
        pan_deg=reader.number("pan_deg", 0.0, -90.0, 90.0, "°"),
        height_m=reader.number("height_m", 6.0, 2.0, 20.0, " m"),
        tilt_deg=reader.number("tilt_deg", 20.0, 0.0, 80.0, "°"),
        hfov_deg=reader.number("hfov_deg", 66.0, 15.0, 120.0, "°"),
        width_px=width,
        height_px=height,
        fps=reader.whole("fps", 12, 1, 60),
        codec=reader.text("codec", "h264", ("h264", "h265")),  # type: ignore[arg-type]
        bitrate_kbps=reader.whole("bitrate_kbps", 2500, 100, 20000),
        gop_s=reader.number("gop_s", 1.0, 0.2, 10.0, " s"),
        exposure_ev=reader.number("exposure_ev", 0.0, -3.0, 3.0, " EV"),
        white_balance_k=reader.number("white_balance_k", 6500.0, 2500.0, 12000.0, " K"),
        vignette=reader.number("vignette", 0.15, 0.0, 1.0),
        distortion_k1=reader.number("distortion_k1", 0.0, -0.4, 0.4),
        noise=reader.number("noise", 2.0, 0.0, 30.0),
        blur_px=reader.number("blur_px", 0.4, 0.0, 5.0, " px"),
        dirt=reader.number("dirt", 0.0, 0.0, 1.0),
        clock_offset_s=reader.number("clock_offset_s", 0.0, -60.0, 60.0, " s"),
        clock_drift_ppm=reader.number("clock_drift_ppm", 0.0, -500.0, 500.0, " ppm"),
        outages=_outages(reader),
    )
    reader.done()
    return camera


def _resolution(reader: TableReader) -> tuple[int, int]:
    text = reader.text("resolution", "1280x720")
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) >= 160 and int(height) >= 120):
        reader.problem(f"`resolution` is {text!r}, must be WIDTHxHEIGHT such as 1280x720, at least 160x120")
        return 1280, 720
    if int(width) % 2 or int(height) % 2 or int(width) > 4096 or int(height) > 2304:
        reader.problem(f"`resolution` is {text!r}, both must be even and at most 4096x2304")
        return 1280, 720
    return int(width), int(height)


def _outages(reader: TableReader) -> tuple[Outage, ...]:
    found = []
    for start, end in reader.points("outages"):
        if not 0 <= start < end:
            reader.problem(f"`outages` has [{start:g}, {end:g}], must be [from, to] in seconds with from < to")
        else:
            found.append(Outage(start, end))
    return tuple(found)


def _demand(reader: TableReader, problems: list[str]) -> DemandPlan:
    flows = []
    for number, table in enumerate(reader.tables("flow")):
        flow = TableReader(table, f"[[demand.flow]] {number + 1}", problems)
        flows.append(FlowPlan(flow.text("from"), flow.text("to"), flow.number("vehicles_per_hour", None, 0.0, 3000.0)))
        flow.done()
    weights = reader.table("entrances")
    return DemandPlan(
        vehicles_per_hour=reader.number("vehicles_per_hour", None, 0.0, 20000.0),
        by_hour=reader.numbers("by_hour", [float(h) for h in HOURS], 24),
        pedestrians_per_hour=reader.number("pedestrians_per_hour", 200.0, 0.0, 20000.0),
        parks=reader.number("parks", 0.10, 0.0, 1.0),
        leaves_parking=reader.number("leaves_parking", 0.10, 0.0, 1.0),
        circulates=reader.number("circulates", 0.06, 0.0, 1.0),
        uturn=reader.number("uturn", 0.02, 0.0, 1.0),
        delivers=reader.number("delivers", 0.15, 0.0, 1.0),
        parked=reader.number("parked", 0.65, 0.0, 1.0),
        kinds=reader.shares("kinds", KIND_SHARES, KIND_SHARES),
        entrances={name: weights.number(name, None, 0.0, 100.0) for name in weights._table},
        flows=tuple(flows),
    )


def _fleet(reader: TableReader) -> FleetPlan:
    default = {name: size.weight for name, size in BODY_SIZES.items()}
    default.pop("pedestrian")
    names = {name for name in BODY_SIZES if name != "pedestrian"}
    return FleetPlan(
        bodies=reader.shares("bodies", default, names),
        colours=reader.shares("colours", FLEET_COLOURS, COLOURS),
        marks=reader.number("marks", 0.15, 0.0, 1.0),
    )


def _scripted(table: Any, number: int, problems: list[str]) -> ScriptedTrip:
    reader = _named(table, "scripted", number, problems, "identity")
    trip = ScriptedTrip(
        identity=reader.text("identity"),
        body=reader.text("body", None, [name for name in BODY_SIZES if name != "pedestrian"]),
        colour=reader.text("colour", None, COLOURS),
        depart_s=reader.number("depart_s", None, -3600.0, 24 * 3600.0, " s"),
        via=reader.texts("via"),
        marks=reader.texts("marks", ()),
        stop_at=reader.text("stop_at", ""),
        stop_s=reader.number("stop_s", 0.0, 0.0, 3600.0, " s"),
    )
    reader.done()
    return trip


def _house(table: Any, number: int, problems: list[str]) -> HousePlan:
    reader = TableReader(table, f"[[house]] {number + 1}", problems)
    house = HousePlan(footprint=reader.points("footprint"), height_m=reader.number("height_m", 9.0, 2.0, 80.0, " m"))
    if len(house.footprint) < 3:
        reader.problem(f"`footprint` has {len(house.footprint)} corners, needs 3 or more")
    reader.done()
    return house


def _named(table: Any, what: str, number: int, problems: list[str], key: str = "name") -> TableReader:
    name = table.get(key) if isinstance(table, dict) else None
    where = f"[[{what}]] {name}" if isinstance(name, str) and name else f"[[{what}]] {number + 1}"
    return TableReader(table, where, problems)
