# SPDX-License-Identifier: AGPL-3.0-or-later
"""A made-up town of passages whose vehicles are known: a ring of cameras, noisy embeddings, look-alikes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from reid.passage import COLOURS, Embedding, Passage, passage_id

START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
CAMERAS = tuple(f"c{n}" for n in range(6))
POSITIONS = {
    name: (150 * float(np.cos(n * np.pi / 3)), 150 * float(np.sin(n * np.pi / 3))) for n, name in enumerate(CAMERAS)
}
FLEET = ("white", "grey", "black", "grey", "white", "blue", "red")


@dataclass(frozen=True, slots=True)
class MadeTown:
    passages: list[Passage]
    vehicle: dict[str, int]
    """Passage id → which vehicle."""

    def of(self, vehicle: int) -> list[str]:
        return [p.id for p in self.passages if self.vehicle[p.id] == vehicle]


def made_town(seed: int, vehicles: int = 40, seconds: float = 400.0, noise: float = 0.55, models: int = 12) -> MadeTown:
    """Vehicles of few models drive round a ring of six cameras, some one way and some the other."""
    random = np.random.default_rng(seed)
    shapes = random.normal(size=(models, 32)) + 1.5 * random.normal(size=32)
    passages, owner = [], {}
    for vehicle in range(vehicles):
        model = int(random.integers(models))
        colour = FLEET[int(random.integers(len(FLEET)))]
        own = shapes[model] + 0.35 * random.normal(size=32)
        at = START + timedelta(seconds=float(random.uniform(0, seconds)))
        place, way = int(random.integers(6)), int(random.choice([-1, 1]))
        for _ in range(int(random.integers(2, 6))):
            camera = CAMERAS[place]
            lasts = float(random.uniform(3, 6))
            passages.append(_passage(vehicle, camera, at, lasts, own, colour, way, noise, random))
            owner[passages[-1].id] = vehicle
            at += timedelta(seconds=lasts + float(random.lognormal(np.log(16), 0.15)))
            place = (place + way) % 6
    passages.sort(key=lambda p: (p.started_at, p.id))
    return MadeTown(passages, owner)


def _passage(
    vehicle: int,
    camera: str,
    at: datetime,
    lasts: float,
    own: np.ndarray,
    colour: str,
    way: int,
    noise: float,
    random: np.random.Generator,
) -> Passage:
    vector = own + noise * random.normal(size=len(own))
    vector = vector / np.linalg.norm(vector)
    shares = np.full(len(COLOURS), 0.02) + random.uniform(0, 0.06, len(COLOURS))
    shares[COLOURS.index(colour)] += 0.6
    shares /= shares.sum()
    return Passage(
        id=passage_id("r", camera, at, vehicle),
        scope="r",
        camera=camera,
        started_at=at,
        ended_at=at + timedelta(seconds=lasts),
        vehicle_class="car",
        class_score=0.9,
        colours=tuple(float(x) for x in shares),
        entry="left" if way > 0 else "right",
        exit="right" if way > 0 else "left",
        speed_px_s=100.0,
        first_box=(0, 0, 50, 30),
        last_box=(590, 0, 640, 30),
        sightings=40,
        embedding=Embedding("made-1", tuple(float(x) for x in vector)),
        detector="made",
    )
