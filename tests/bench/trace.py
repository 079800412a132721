# SPDX-License-Identifier: AGPL-3.0-or-later
"""Traces of a rendered town from every passage of every vehicle, against the truth: build/bench/trace.json.

The town's videos go through capture and index over a broker in memory, once for each detector (kept in build/bench);
what comes out is asked for with positions and headings of the cameras, with positions alone, and with neither. Beside
them stand made-up towns of random seeds, and how often steps of each probability are right (`reid.calibration`).

Run: python tests/bench/trace.py [TOWN_DIR] [--found FILE of a `passage score`] [--steps]
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from connectors.memory_broker import MemoryBroker  # noqa: E402
from connectors.site import load_site  # noqa: E402
from flows.capture import capture  # noqa: E402
from flows.drain import Drain  # noqa: E402
from flows.index import index, site_detector  # noqa: E402
from flows.share import Share  # noqa: E402
from infra.demo_town import render_demo  # noqa: E402
from infra.rehearsal import town_site  # noqa: E402
from infra.rehearsal.score import tracking  # noqa: E402
from infra.rehearsal.score.found import Found, cameras, load, save  # noqa: E402
from infra.rehearsal.score.run import renamed  # noqa: E402
from infra.rehearsal.score.traces import Traces, follow_all  # noqa: E402
from infra.rehearsal.truth import load_truth  # noqa: E402
from reid.calibration import DEFAULT, Calibration  # noqa: E402
from reid.passage import Passage  # noqa: E402
from reid.trace import Step  # noqa: E402
from tests.bench._recording import BENCH, record  # noqa: E402
from tests.flows.clips import indexed  # noqa: E402
from tests.flows.draining import EndsAtTheEnd  # noqa: E402
from tests.reid.made_town import POSITIONS, made_town  # noqa: E402

MADE_SEEDS = (1, 2, 3, 4, 5, 8)
BINS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0001)
RAW = Calibration(slope=1.0, offset=0.0, id="raw")
"""Leaves the model's chances as they are."""


def figures_of(traces: Traces, prefix: str) -> dict[str, float]:
    """Flat."""
    return {
        f"{prefix}_queries": traces.queries,
        f"{prefix}_precision": round(traces.precision, 3),
        f"{prefix}_recall": round(traces.recall, 3),
        f"{prefix}_exact": round(traces.exact / max(1, traces.queries), 3),
    }


@dataclass(frozen=True, slots=True)
class Shown:
    """Prints a trace: who it was, each camera with its probability, `*` where it was asked, `!` where it is wrong."""

    vehicle: Mapping[str, int]
    names: Mapping[int, str]

    def __call__(self, query: Passage, theirs: Sequence[Passage], steps: Sequence[Step]) -> None:
        asked = self.vehicle[query.id]
        way = " ".join(
            ("*" if s.passage.id == query.id else "")
            + s.passage.camera
            + ("" if self.vehicle.get(s.passage.id) == asked else "!")
            + f"({DEFAULT.probability(s.probability):.2f})"
            for s in steps
        )
        print(f"  {self.names[asked]:14} {way}   truth: {' '.join(p.camera for p in theirs)}")


def found_in(town: Path) -> Found:
    """Capture and index every camera in this process; kept for the next time."""
    start = datetime(2026, 6, 12, 12, tzinfo=UTC)
    names = [c["name"] for c in town_site.described(town)["cameras"]]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "site.toml"
        file.write_text(town_site.site_toml(town, start, Path(folder) / "data", continuous=names), encoding="utf-8")
        site = load_site(file)
        one_partition = site.kafka.model_copy(update={"partitions": 1})  # all that is there is read when that one ends
        site = site.model_copy(update={"sealing": False, "kafka": one_partition})
        detector = site_detector(site)
        kept = BENCH / f"trace-{town.resolve().name}-{detector[0].model_id}.msgpack"
        if kept.exists():
            return load(kept)
        broker, drain = MemoryBroker(), Drain()
        capture(site, Share(), Drain(), broker)
        index(site, Share(), drain, broker=EndsAtTheEnd(broker, drain), detector=detector)
    told = indexed(broker)
    spelt = {town_site.site_name(n): n for n in names}
    found = Found(
        passages=tuple(renamed(p, spelt) for p in told.passages),
        tracks=tuple(renamed(t, spelt) for t in told.tracks.values()),
        vehicles={p.id: p.id for p in told.passages},
        coverage=tuple(renamed(c, spelt) for c in told.coverage),
        camera_starts=town_site.camera_starts(town, start),
        seconds_of_video=float(town_site.described(town)["seconds"]) * len(names),
        seconds_taken=0.0,
    )
    save(found, kept)
    return found


def reliability(steps: Sequence[tuple[float, bool]], name: str) -> dict[str, float]:
    """How often steps of each shipped probability are right; prints the correction that would fit these steps best."""
    out: dict[str, float] = {}
    if not steps:
        return out
    chances, right = np.array([s[0] for s in steps]), np.array([s[1] for s in steps])
    said = np.array([DEFAULT.probability(c) for c in chances])
    for low, high in pairwise(BINS):
        inside = (said >= low) & (said < high)
        if inside.any():
            print(
                f"  {name}: said {low:.2f} to {min(high, 1.0):.2f}: {int(inside.sum())} steps, "
                f"mean {said[inside].mean():.2f}, right {right[inside].mean():.2f}"
            )
            out[f"{name}_right_of_{low:.2f}"] = round(float(right[inside].mean()), 3)
    if 0 < right.sum() < len(right):
        odds = [[math.log(c / (1 - c))] for c in np.clip(chances, 1e-4, 1 - 1e-4)]
        fitted = LogisticRegression(C=10.0).fit(odds, right)
        print(f"  {name}: best would be slope {fitted.coef_[0][0]:.2f}, offset {fitted.intercept_[0]:.2f}")
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("town", type=Path, nargs="?", help="a rendered town; the demonstration's where none is named")
    parser.add_argument("--found", type=Path, help="found.msgpack of a `passage score`, instead of indexing here")
    parser.add_argument("--steps", action="store_true", help="print every trace")
    given = parser.parse_args()
    folder = given.town or render_demo(6, 45, None)
    truth = load_truth(folder)
    found = load(given.found) if given.found else found_in(folder)
    vehicle: dict[str, int] = {}
    for camera in cameras(truth, found):
        vehicle |= {found.passages[p].id: v for p, v in tracking.match(camera).owner.items()}
    table = truth.table("cameras").to_pylist()
    positions = {c["name"]: (float(c["x"]), float(c["y"])) for c in table}
    headings = {c["name"]: float(c["heading_deg"]) for c in table}
    identities = dict(enumerate(truth.table("vehicles").column("identity").to_pylist()))
    tell = Shown(vehicle, identities) if given.steps else None
    town = follow_all(found.passages, vehicle, positions, headings, RAW, tell)
    figures: dict[str, Any] = {"town": truth.summary["town"], "detector": found.passages[0].detector}
    figures |= figures_of(town, "trace")
    figures |= figures_of(follow_all(found.passages, vehicle, positions, None, RAW), "trace_positions_alone")
    figures |= figures_of(follow_all(found.passages, vehicle, None, None, RAW), "trace_no_places")
    made = Traces()
    for seed in MADE_SEEDS:
        one = made_town(seed, vehicles=24, seconds=300.0)
        made.add(follow_all(one.passages, one.vehicle, POSITIONS, None, RAW))
    figures |= figures_of(made, "made")
    figures |= reliability(town.steps, "town")
    figures |= reliability(made.steps, "made")
    record("trace", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
