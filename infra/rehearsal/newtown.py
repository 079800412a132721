# SPDX-License-Identifier: AGPL-3.0-or-later
"""Writes a random sound plan from a seed: a bent grid of streets, entrances, lights, cameras, traffic."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import tomli_w

from infra.rehearsal.errors import PlanError
from infra.rehearsal.families import FAMILY_RULES, FamilyRules, rules_of
from infra.rehearsal.network import build_town, stable_seed
from infra.rehearsal.plan import FAMILIES, HOURS, LIGHTS, parse_plan
from infra.rehearsal.sun import sun_position

SUN_RANGES = {"day": (28, 60), "overcast": (15, 55), "low_sun": (4, 11), "dusk": (-6, -1), "night": (-60, -13)}
"""Degrees of elevation that a new town of each light starts at."""
LATITUDE_DEG, LONGITUDE_DEG = 49.05, -1.44
WHITE_BALANCES_K = (5200.0, 5800.0, 6300.0, 6500.0, 6900.0, 7400.0)
TRIES = 40


@dataclass(frozen=True, slots=True)
class NewTown:
    """What a new town should be like."""

    name: str
    seed: int
    family: str = "test"
    cameras: int = 4
    light: str = "day"
    rain: float = 0.0
    minutes: float = 5.0
    vehicles_per_hour: float = 1200.0
    """On the road at the hour of the plan."""
    resolution: str = "1280x720"
    fps: int = 12
    h265_share: float = 0.25
    clock_error_s: float = 2.0
    dropouts: int = 0


def check_wishes(wanted: NewTown) -> None:
    """Raises PlanError with everything that is wrong with what was wished for."""
    problems = []
    if wanted.family not in FAMILIES:
        problems.append(f"the family is {wanted.family!r}, must be one of {', '.join(FAMILIES)}")
    if wanted.light not in LIGHTS:
        problems.append(f"the light is {wanted.light!r}, must be one of {', '.join(LIGHTS)}")
    low, high = rules_of(wanted.family).seeds
    if wanted.family in FAMILY_RULES and not low <= wanted.seed <= high:
        problems.append(f"the seed is {wanted.seed}; seeds of the family {wanted.family} lie from {low} to {high}")
    if problems:
        raise PlanError(f"new town {wanted.name}", problems)


def new_plan(wanted: NewTown) -> dict[str, Any]:
    """The plan as a TOML document that `parse_plan` and `build_town` accept; equal wishes give equal plans.

    Raises PlanError when the wishes themselves are wrong (an unknown family, more cameras than streets).
    """
    check_wishes(wanted)
    problems: list[str] = []
    for attempt in range(TRIES):
        rng = random.Random(stable_seed("new town", wanted.seed, wanted.name, attempt))  # noqa: S311 - scenery
        content = _draw(wanted, rng)
        try:
            build_town(parse_plan(content, wanted.name))
        except PlanError as error:
            problems = list(error.problems)
            continue
        return content
    raise PlanError(f"new town {wanted.name} from seed {wanted.seed}", problems)


def plan_text(content: dict[str, Any]) -> str:
    """The document as TOML with its licence line."""
    head = "# SPDX-License-Identifier: AGPL-3.0-or-later\n"
    body: str = tomli_w.dumps(content)
    return head + body


def _draw(wanted: NewTown, rng: random.Random) -> dict[str, Any]:
    rules = rules_of(wanted.family)
    grid = _Grid(wanted, rng)
    names = _street_names(rules, rng, len(grid.chains))
    start = _start(wanted.light, rng)
    junctions = [
        {"name": name, "at": [round(x, 1), round(y, 1)], **grid.extra.get(name, {})} for name, (x, y) in grid.at.items()
    ]
    streets = [_street(name, chain, grid, rng) for name, chain in zip(names, grid.chains, strict=True)]
    street_of = {frozenset(p): s["name"] for s in streets for p in _pairs(s["through"])}
    weights = {n: round(rng.uniform(0.6, 1.8), 2) for n in grid.entrances}
    share = HOURS[start.hour] / 100.0
    bodies = {name: round(weight * rng.uniform(0.6, 1.5), 2) for name, weight in rules.bodies.items()}
    return {
        "name": wanted.name,
        "title": f"{wanted.name} : {wanted.cameras} caméras",
        "note": "Imaginary streets and names.",
        "family": wanted.family,
        "seed": wanted.seed,
        "start_utc": start.isoformat().replace("+00:00", "Z"),
        "minutes": wanted.minutes,
        "warmup_s": 180,
        "light": {"light": wanted.light, "rain": wanted.rain},
        "demand": {
            "vehicles_per_hour": round(wanted.vehicles_per_hour / share),
            "pedestrians_per_hour": rng.randrange(200, 600, 20),
            "parks": round(rng.uniform(0.04, 0.10), 3),
            "leaves_parking": round(rng.uniform(0.04, 0.10), 3),
            "circulates": round(rng.uniform(0.05, 0.10), 3),
            "uturn": round(rng.uniform(0.01, 0.03), 3),
            "parked": round(rng.uniform(0.45, 0.8), 2),
            "entrances": weights,
        },
        "fleet": {"bodies": bodies, "marks": round(rng.uniform(0.10, 0.2), 2)},
        "junction": junctions,
        "street": streets,
        "camera_defaults": {"resolution": wanted.resolution, "fps": wanted.fps},
        "camera": _cameras(wanted, rules, grid, street_of, rng),
    }


class _Grid:
    """Junctions on a bent grid, chains of junctions that become streets, and entrances around it."""

    def __init__(self, wanted: NewTown, rng: random.Random) -> None:
        size = math.ceil(wanted.cameras * 0.55) + 3
        rows = max(2, min(6, round(math.sqrt(size * rng.uniform(0.55, 0.9)))))
        columns = max(2, math.ceil(size / rows))
        dx, dy = rng.uniform(78.0, 98.0), rng.uniform(78.0, 98.0)
        turn = math.radians(rng.uniform(-35.0, 35.0))
        self.at: dict[str, tuple[float, float]] = {}
        self.extra: dict[str, dict[str, Any]] = {}
        self.entrances: list[str] = []
        for r in range(rows):
            for c in range(columns):
                x = (c - (columns - 1) / 2) * dx + rng.uniform(-9, 9)
                y = (r - (rows - 1) / 2) * dy + rng.uniform(-9, 9)
                self.at[_name(r, c)] = (
                    x * math.cos(turn) - y * math.sin(turn),
                    x * math.sin(turn) + y * math.cos(turn),
                )
        across = [[_name(r, c) for c in range(columns)] for r in range(rows)]
        along = [[_name(r, c) for r in range(rows)] for c in range(columns)]
        self.main = rows // 2
        lines = [*across, *along]
        ends = [(i, side) for i in range(len(lines)) for side in (0, 1)]
        rng.shuffle(ends)
        ends = sorted(ends, key=lambda e: 0 if e[0] == self.main else 1)
        used: set[str] = set()
        for i, side in ends:
            corner = lines[i][0] if side == 0 else lines[i][-1]
            if len(self.entrances) >= max(4, wanted.cameras // 2 + 2) or corner in used:
                continue
            used.add(corner)
            inner = lines[i][1] if side == 0 else lines[i][-2]
            name = f"entry-{len(self.entrances) + 1}"
            self.at[name] = _beyond(self.at[inner], self.at[corner], rng)
            self.extra[name] = {"entrance": True}
            self.entrances.append(name)
            lines[i] = [name, *lines[i]] if side == 0 else [*lines[i], name]
        self.chains = [list(line) for line in lines]
        self._thin_out(rng, rows, columns)
        for name, degree in self.degrees().items():
            if name in self.entrances:
                continue
            if degree >= 4 and rng.random() < 0.22:
                self.extra[name] = {"control": "lights"}
            elif rng.random() < 0.3 and name not in self.chains[self.main]:
                self.extra[name] = {"control": "right_before_left"}

    def degrees(self) -> dict[str, int]:
        """How many stretches meet at each junction."""
        found = dict.fromkeys(self.at, 0)
        for chain in self.chains:
            for a, b in _pairs(chain):
                found[a] += 1
                found[b] += 1
        return found

    def _thin_out(self, rng: random.Random, rows: int, columns: int) -> None:
        """Takes away some last stretches, so that the town is no full grid."""
        if rows * columns < 6:
            return
        for number in rng.sample(range(len(self.chains)), max(1, len(self.chains) // 4)):
            chain = self.chains[number]
            if number == self.main or len(chain) < 3:
                continue
            degree = self.degrees()
            if chain[-1] not in self.entrances and degree[chain[-1]] >= 3 and degree[chain[-2]] >= 3:
                self.chains[number] = chain[:-1]


def _name(row: int, column: int) -> str:
    return f"j{row + 1}{column + 1}"


def _pairs(chain: list[str]) -> list[tuple[str, str]]:
    return list(pairwise(chain))


def _beyond(inner: tuple[float, float], corner: tuple[float, float], rng: random.Random) -> tuple[float, float]:
    angle = math.atan2(corner[1] - inner[1], corner[0] - inner[0]) + rng.uniform(-0.25, 0.25)
    away = rng.uniform(170.0, 210.0)
    return corner[0] + away * math.cos(angle), corner[1] + away * math.sin(angle)


def _street_names(rules: FamilyRules, rng: random.Random, count: int) -> list[str]:
    kinds = ("Rue", "Avenue", "Boulevard", "Allée", "Chemin")
    every = [f"{kind} {word}" for kind in kinds for word in rules.names]
    rng.shuffle(every)
    return every[:count]


def _street(name: str, chain: list[str], grid: _Grid, rng: random.Random) -> dict[str, Any]:
    main = chain == grid.chains[grid.main]
    found: dict[str, Any] = {"name": name, "through": chain}
    found["class"] = "main" if main else rng.choice(("street", "street", "street", "lane"))
    found["parking"] = rng.choice(("none", "left", "right", "both", "right"))
    if found["class"] == "lane":
        found["parking"] = "none"
    found["sidewalk_m"] = round(rng.uniform(1.5, 2.6), 1)
    found["frontage"] = rng.choice(("dense", "dense", "dense", "loose"))
    found["trees"] = round(rng.uniform(0.05, 0.5), 2)
    if main and rng.random() < 0.3:
        found["cycle_lane"] = True
    return found


def _start(light: str, rng: random.Random) -> datetime:
    """A moment of the year at which the sun stands as the light needs and people are about."""
    low, high = SUN_RANGES[light]
    for _ in range(20000):
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(
            days=rng.randrange(365), minutes=rng.randrange(0, 1440, 5)
        )
        _, elevation = sun_position(moment, LATITUDE_DEG, LONGITUDE_DEG)
        if low <= elevation <= high and HOURS[moment.hour] >= 14:
            return moment
    raise PlanError("new town", [f"no moment of the year has the light {light!r}"])


def _cameras(
    wanted: NewTown, rules: FamilyRules, grid: _Grid, street_of: dict[frozenset[str], str], rng: random.Random
) -> list[dict[str, Any]]:
    """One camera a stretch while they last, main street first; then the other ends."""
    stretches = [tuple(sorted(p)) for chain in grid.chains for p in _pairs(chain)]
    main = {tuple(sorted(p)) for p in _pairs(grid.chains[grid.main])}
    rng.shuffle(stretches)
    stretches.sort(key=lambda p: 0 if p in main else 1)
    sites: list[tuple[str, str]] = []
    for a, b in stretches:
        inner = [n for n in (a, b) if n not in grid.entrances]
        junction = rng.choice(inner)
        sites.append((junction, b if junction == a else a))
    others = [(b, a) for a, b in sites if b not in grid.entrances]
    sites = (sites + others)[: wanted.cameras]
    if len(sites) < wanted.cameras:
        raise PlanError(wanted.name, [f"{wanted.cameras} cameras do not fit into {len(sites)} stretches of street"])
    dark = {site for site in rng.sample(range(len(sites)), min(wanted.dropouts, len(sites)))}
    found = []
    for number, (junction, towards) in enumerate(sites):
        camera: dict[str, Any] = {
            "name": f"C{number + 1:02d}",
            "place": street_of[frozenset((junction, towards))],
            "junction": junction,
            "towards": towards,
            "side": rng.choice(("left", "right")),
            "height_m": rng.choice(rules.heights_m),
            "tilt_deg": rng.choice(rules.tilts_deg),
            "hfov_deg": rng.choice(rules.hfovs_deg),
            "distortion_k1": rng.choice(rules.distortions),
            "exposure_ev": round(rng.gauss(0.0, 0.22), 2),
            "white_balance_k": rng.choice(WHITE_BALANCES_K),
            "vignette": round(rng.uniform(0.05, 0.35), 2),
            "noise": round(rng.uniform(1.0, 4.5), 1),
            "blur_px": round(rng.uniform(0.2, 1.0), 2),
            "dirt": round(max(0.0, rng.uniform(-0.3, 0.35)), 2),
            "clock_offset_s": round(rng.uniform(-wanted.clock_error_s, wanted.clock_error_s), 2),
            "clock_drift_ppm": round(rng.uniform(-40.0, 40.0), 1),
        }
        if rng.random() < wanted.h265_share:
            camera |= {"codec": "h265", "gop_s": 2.0}
        wide = wanted.resolution == "1280x720"
        camera["bitrate_kbps"] = rng.randrange(1600, 3600, 100) if wide else rng.randrange(900, 2200, 100)
        if number in dark:
            start = round(rng.uniform(0.3, 0.6) * wanted.minutes * 60.0)
            camera["outages"] = [[float(start), float(start + rng.randint(15, 40))]]
        found.append(camera)
    return found
