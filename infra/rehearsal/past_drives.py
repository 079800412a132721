# SPDX-License-Identifier: AGPL-3.0-or-later
"""Other days in a town: its traffic driven under other seeds, streets, houses and cameras being the same.

From these the oracle knows what usually follows what. Nothing is drawn; passages come from geometry. A drive is kept
in the cache under a name that says everything it depends on, so that a town is driven once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from infra.rehearsal.errors import RehearsalError
from infra.rehearsal.plan import PlanFile

DRIVES = 4
DRIVE_S = 600.0
Progress = Callable[[int, int], None]
"""Called with drives done and drives in all."""


def past_drives(plan: PlanFile, progress: Progress | None = None) -> list[pa.Table]:
    """One table of passages a drive (`passages.PASSAGES` with `marks`); from the cache where it has them.

    Raises NetworkError, PlanError or TrafficError, or RehearsalError when the cache cannot be written.
    """
    found = []
    for number in range(DRIVES):
        if progress is not None:
            progress(number, DRIVES)
        found.append(_kept(plan, traffic_seed(plan, number)))
    if progress is not None:
        progress(DRIVES, DRIVES)
    return found


def traffic_seed(plan: PlanFile, number: int) -> int:
    """The seed of one drive; never the plan's own, under which the town is judged."""
    from infra.rehearsal.network import stable_seed

    # Seeds of plans are far below, so that no drive repeats the traffic of any plan.
    return 2**20 + stable_seed(plan.name, plan.seed, "past drive", number) % 2**30


def with_marks(passages: pa.Table, marks: dict[str, tuple[str, ...]]) -> pa.Table:
    """`passages` with a column of each vehicle's marks."""
    rows = [list(marks.get(name, ())) for name in passages["identity"].to_pylist()]
    return passages.append_column("marks", pa.array(rows, pa.list_(pa.string())))


def _kept(plan: PlanFile, seed: int) -> pa.Table:
    from infra.kafka_jars import cache_dir

    text = f"{plan.digest}|{seed}|{DRIVE_S}|{_code()}"
    file = cache_dir() / "drives" / f"{plan.name}-{hashlib.sha256(text.encode()).hexdigest()[:20]}.parquet"
    if file.exists():
        return pq.read_table(file)
    table = _drive(plan, seed)
    half = file.with_suffix(".half")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, half, compression="zstd")
        half.replace(file)
    except OSError as error:
        raise RehearsalError(f"{file}: cannot be written: {error}; free some space or set PASSAGE_CACHE") from error
    return table


def _drive(plan: PlanFile, seed: int) -> pa.Table:
    from infra.rehearsal.sightlines import passages_by_geometry
    from infra.rehearsal.traffic import simulate

    town, traffic = simulate(plan, seconds=DRIVE_S, traffic_seed=seed, sparse=True)
    return with_marks(passages_by_geometry(town, traffic), {v.identity: v.marks for v in traffic.vehicles})


@lru_cache(maxsize=1)
def _code() -> str:
    """Digest of what makes traffic and passages."""
    names = (
        "camera_sites.py", "demand.py", "fleet.py", "houses.py", "lens.py", "moves.py", "network.py", "passages.py",
        "routing.py", "sightlines.py", "traffic.py", "view.py", "world.py",
    )  # fmt: skip
    digest = hashlib.sha256(version("eclipse-sumo").encode())
    for name in names:
        digest.update((Path(__file__).parent / name).read_bytes())
    return digest.hexdigest()
