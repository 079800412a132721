# SPDX-License-Identifier: AGPL-3.0-or-later
"""Streets of many random training towns, each seen for a moment: what a street without a vehicle looks like.

A model that saw the same few streets a thousand times takes the markings of another one for a vehicle. Here every
town is a new one, with its own cameras, lights, weather, traffic and share of parking places taken, and every
two-wheeler with a motor is of a shape of its own.

Run: python -m infra.training.streets --out build/training/streets --towns 60
     python -m infra.training.streets --out build/training/riders --first 1500 --towns 60 --by-day --traffic riders \
         --pictures 6
     python -m infra.training.streets --out build/training/rare-streets --first 1700 --towns 24 --by-day \
         --traffic rare --pictures 6                         (and so with `dense`, `cyclists`, `far` and `crossing`)
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from infra.rehearsal.bodies_two_wheelers import ANY_TWO_WHEELER
from infra.rehearsal.demand import draw_vehicle
from infra.rehearsal.fleet import BODY_SIZES
from infra.rehearsal.newtown import NewTown, new_plan
from infra.rehearsal.plan import PlanFile, parse_plan
from infra.rehearsal.traffic import simulate
from infra.rehearsal.world import Kind, Vehicle
from infra.training.pictures import to_input_scale, write_picture
from infra.training.strewn import strewn
from infra.training.town_frames import FIRST_S, RARE_KINDS, any_weather, draw_frames

FIRST_SEED = 1100
"""Of the training family; below are the shipped plans'."""
CAMERAS = 8
PICTURES = 3
"""Of each camera: drawing what stands still takes fifty times as long as one picture more."""
APART_S = 9.0
RARE_SHARE = 0.35
"""Of the towns: a traffic of what is rare in a street."""


@dataclass(frozen=True, slots=True)
class StreetTraffic:
    """What drives in a random street."""

    kinds: dict[str, float] | None
    """Shares of kinds of vehicle; None: those of the training family, or in some towns of `RARE_KINDS`."""
    dense: bool = False
    """Whether so much drives that vehicles hide each other, and little is parked."""
    strewn: int = 0
    """Vehicles of `kinds` more in every picture, far away (`infra.training.strewn`)."""
    across: float = 0.0
    """Share of these that show their side."""


TRAFFICS = {
    "usual": StreetTraffic(None),
    # One vehicle in three is a scooter or a motorcycle.
    "riders": StreetTraffic({"car": 0.4, "van": 0.08, "truck": 0.06, "bus": 0.04, "motorcycle": 0.36, "bicycle": 0.06}),
    # A model else sees a few of these, and hardly ever far away or half hidden.
    "rare": StreetTraffic({"car": 0.12, "van": 0.12, "truck": 0.2, "bus": 0.12, "motorcycle": 0.44}, dense=True),
    "dense": StreetTraffic({"car": 0.45, "van": 0.22, "truck": 0.1, "bus": 0.08, "motorcycle": 0.15}, dense=True),
    # More bicycles than motorcycles: what looks like the one and is the other.
    "cyclists": StreetTraffic(
        {"car": 0.3, "van": 0.08, "truck": 0.04, "bus": 0.02, "motorcycle": 0.24, "bicycle": 0.32}
    ),
    # Of what is far away a picture else has too little: a motorcycle in one of four. Nearly as many bicycles: far away
    # the one is easily taken for the other.
    "far": StreetTraffic(
        {"car": 0.28, "van": 0.08, "truck": 0.06, "bus": 0.05, "motorcycle": 0.3, "bicycle": 0.23},
        dense=True,
        strewn=11,
    ),
    # What crosses a street at its far end shows its side; what drives along it, hardly ever.
    "crossing": StreetTraffic(
        {"car": 0.45, "van": 0.1, "truck": 0.08, "bus": 0.05, "motorcycle": 0.22, "bicycle": 0.1},
        dense=True,
        strewn=11,
        across=0.75,
    ),
}
BY_DAY = ("day", "low_sun", "overcast")


def street_plan(seed: int, cameras: int = CAMERAS, traffic: str = "usual") -> PlanFile:
    """A random town of the training family; equal seeds give equal towns.

    Args:
        seed: of the training family.
        cameras: how many.
        traffic: of `TRAFFICS`; the usual one is of rare kinds in some towns.

    Raises:
        PlanError: the seed is none of the training family.
    """
    rng = np.random.default_rng([seed, 7])
    wanted = NewTown(
        f"street-{seed}", seed, "training", cameras, vehicles_per_hour=float(rng.uniform(200, 1500)), minutes=2.0
    )
    plan = parse_plan(new_plan(wanted), wanted.name)
    demand = replace(plan.demand, parked=float(rng.uniform(0.05, 0.8)))
    wish = TRAFFICS[traffic]
    if wish.kinds is not None:
        demand = replace(demand, kinds=wish.kinds)
        if wish.dense:
            demand = replace(demand, vehicles_per_hour=float(rng.uniform(1800, 3600)), parked=0.3 * demand.parked)
    elif rng.random() < RARE_SHARE:
        demand = replace(demand, kinds=RARE_KINDS)
    bodies = {name: weight for name, weight in plan.fleet.bodies.items() if BODY_SIZES[name].kind != "motorcycle"}
    fleet = replace(plan.fleet, bodies=bodies | {ANY_TWO_WHEELER: 1.0})
    return replace(plan, demand=demand, fleet=fleet)


def write_streets(
    folder: Path,
    first: int,
    towns: int,
    cameras: int = CAMERAS,
    pictures: int = PICTURES,
    traffic: str = "usual",
    by_day: bool = False,
) -> int:
    """Write pictures of so many towns at input scale; resumes by town; returns how many pictures there are new.

    Args:
        folder: where they go.
        first: the first town's seed.
        towns: how many.
        cameras: of each town.
        pictures: of each camera.
        traffic: see `street_plan`.
        by_day: no dusk and no night.
    """
    written, wish = 0, TRAFFICS[traffic]
    for seed in range(first, first + towns):
        done = folder / "done" / str(seed)
        if done.is_file():
            continue
        plan = street_plan(seed, cameras, traffic)
        town, moves = simulate(plan, seconds=FIRST_S + pictures * APART_S + 1)
        for position, camera in enumerate(town.cameras):
            rng = np.random.default_rng([seed, position])
            times = [FIRST_S + number * APART_S + float(rng.uniform(0, APART_S / 2)) for number in range(pictures)]
            weather = any_weather(rng)
            while by_day and weather.light not in BY_DAY:
                weather = any_weather(rng)
            here = moves
            if wish.strewn:
                here = strewn(moves, camera, times, wish.strewn, _far_vehicles(plan, rng), rng, wish.across)
            frames = draw_frames(town, here, camera, weather, times, rng, small=True)
            for number, frame in enumerate(frames):
                write_picture(folder, f"{town.name}-{camera.name}-{number}", to_input_scale(frame))
                written += 1
        done.parent.mkdir(parents=True, exist_ok=True)
        done.touch()
        print(f"{town.name}: {written} pictures", flush=True)
    return written


def _far_vehicles(plan: PlanFile, rng: np.random.Generator) -> Callable[[str], Vehicle]:
    """Draws vehicles of a plan's fleet and shares of kinds."""
    chance = random.Random(int(rng.integers(1 << 62)))  # noqa: S311 - of pictures, not of secrets
    kinds = list(plan.demand.kinds)
    return lambda identity: draw_vehicle(
        plan, chance, identity, cast(Kind, chance.choices(kinds, [plan.demand.kinds[k] for k in kinds])[0])
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--first", type=int, default=FIRST_SEED)
    parser.add_argument("--towns", type=int, default=60)
    parser.add_argument("--pictures", type=int, default=PICTURES, help="of each camera")
    parser.add_argument("--traffic", choices=TRAFFICS, default="usual", help="what drives there")
    parser.add_argument("--by-day", action="store_true", help="no dusk and no night")
    a = parser.parse_args()
    cv2.setNumThreads(1)
    written = write_streets(a.out, a.first, a.towns, pictures=a.pictures, traffic=a.traffic, by_day=a.by_day)
    print(written, "pictures written")


if __name__ == "__main__":
    main()
