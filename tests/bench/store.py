# SPDX-License-Identifier: AGPL-3.0-or-later
"""Measure the embedded store through its HTTP server: inserts, bounded search, erasure.

Run: python tests/bench/store.py [--passages 1000000]      writes build/bench/store.json
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from connectors.bounds import Bounds, Interval  # noqa: E402
from connectors.clickhouse import open_keeper, open_reader, open_writer  # noqa: E402
from connectors.clickhouse_rows import PASSAGE_SCHEMA, passage_columns  # noqa: E402
from connectors.store import PassageQuery  # noqa: E402
from reid.passage import COLOURS, Embedding, Passage, Sighting, Track, VehicleLink, View  # noqa: E402
from tests.bench._recording import record  # noqa: E402
from tests.fixtures.store import StoreProcess  # noqa: E402

DIMENSIONS = 256
CAMERAS = 42
DAYS = 7
SCOPE = "bench"
END = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
START = END - timedelta(days=DAYS)
TIMES = 11
CLASSES = ("car", "car", "car", "van", "truck", "bus", "motorcycle")


def passages(count: int, seed: int) -> list[Passage]:
    """Random passages as the index makes them."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, DIMENSIONS)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    colours = rng.dirichlet(np.full(len(COLOURS), 0.25), count)
    made = []
    for n in range(count):
        at = START + timedelta(seconds=float(rng.uniform(0, DAYS * 86400)))
        made.append(
            Passage(
                id=str(uuid.UUID(bytes=rng.bytes(16))),
                scope=SCOPE,
                camera=f"cam-{rng.integers(CAMERAS)}",
                started_at=at,
                ended_at=at + timedelta(seconds=5),
                vehicle_class=CLASSES[int(rng.integers(len(CLASSES)))],
                class_score=0.8,
                colours=tuple(colours[n].tolist()),
                entry="left",
                exit="right",
                speed_px_s=120.0,
                first_box=(0.0, 10.0, 60.0, 50.0),
                last_box=(500.0, 10.0, 560.0, 50.0),
                sightings=100,
                embedding=Embedding("m", tuple(vectors[n].tolist())),
                views=tuple(
                    View(
                        at=at,
                        box=(1, 2, 3, 4),
                        width_px=60,
                        height_px=40,
                        quality=0.5,
                        reference=f"{SCOPE}/cam/{n}-{v}",
                    )
                    for v in range(3)
                ),
                detector="d",
            )
        )
    return made


def tracks(of: list[Passage]) -> list[Track]:
    """A hundred sightings each."""
    return [
        Track(
            passage_id=p.id,
            scope=p.scope,
            camera=p.camera,
            sightings=tuple(
                Sighting(
                    p.started_at + timedelta(milliseconds=40 * k),
                    (5.0 * k, 10 + random.random(), 60 + 5.0 * k, 50 + random.random()),
                    0.8,
                )
                for k in range(100)
            ),
        )
        for p in of
    ]


def scattered(template: pa.Table, seed: int) -> pa.Table:
    """The same passages at other times, cameras and ids, made in columns: for filling."""
    rng = np.random.default_rng(seed)
    count = template.num_rows
    start = np.int64(START.timestamp() * 1e6) + rng.integers(0, DAYS * 86_400_000_000, count)
    changed = {
        "started_at": pa.array(start, pa.timestamp("us", "UTC")),
        "ended_at": pa.array(start + 5_000_000, pa.timestamp("us", "UTC")),
        "camera": pa.array([f"cam-{c}" for c in rng.integers(0, CAMERAS, count)]),
        "id": pa.array([str(uuid.UUID(bytes=rng.bytes(16))) for _ in range(count)]),
    }
    return pa.Table.from_arrays([changed.get(n, template[n]) for n in PASSAGE_SCHEMA.names], schema=PASSAGE_SCHEMA)


def timed(act: Callable[[], Any]) -> float:
    """Seconds."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def median_ms(act: Callable[[int], Any], times: int = TIMES) -> tuple[float, float]:
    """Median and 95th percentile of `act(n)` in milliseconds, after one call to warm up."""
    act(0)
    took = sorted(timed(lambda n=n: act(n)) * 1000 for n in range(times))
    return round(statistics.median(took), 1), round(took[min(times - 1, int(times * 0.95))], 1)


def measure(store: StoreProcess, count: int) -> dict[str, float]:
    """Every figure, one after the other on one store."""
    site = store.site
    writer, reader, keeper = open_writer(site), open_reader(site), open_keeper(site)
    figures: dict[str, float] = {"passages": count, "vector_dimensions": DIMENSIONS, "cameras": CAMERAS, "days": DAYS}
    sample = passages(20_000, 1)
    took = timed(lambda: writer.insert_passages(sample))
    figures["insert_passages_per_s"] = round(len(sample) / took)
    columns = passage_columns(sample)
    took = timed(lambda: writer._connection.run(lambda c: c.insert_arrow("passages", columns)))
    figures["insert_arrow_rows_per_s"] = round(len(sample) / took)
    small = passages(1, 2)
    figures["insert_one_ms"], figures["insert_one_p95_ms"] = median_ms(lambda _: writer.insert_passages(small))
    paths = tracks(sample[:5000])
    took = timed(lambda: writer.insert_tracks(paths))
    figures["insert_tracks_per_s"] = round(len(paths) / took)
    links = [
        VehicleLink(
            scope=SCOPE,
            passage_id=p.id,
            vehicle_id=f"v{n % 4000}",
            started_at=p.started_at,
            probability=0.9,
            model="l",
            decided_at=END,
        )
        for n, p in enumerate(sample)
    ]
    figures["insert_links_per_s"] = round(len(links) / timed(lambda: writer.insert_links(links)))
    for n in range(max(0, count // len(sample) - 1)):
        rows = scattered(columns, 100 + n)
        writer._connection.run(lambda c, rows=rows: c.insert_arrow("passages", rows))
    everywhere = frozenset(f"cam-{c}" for c in range(CAMERAS))
    week = Bounds(SCOPE, everywhere, (Interval(START, END),), START)
    figures["passages_held"] = reader.count(week, PassageQuery())
    red = PassageQuery(colours=frozenset({"red"}), classes=frozenset({"car"}))

    def hours(n: int, length: int, cameras: int) -> Bounds:
        start = START + timedelta(hours=(n * 7) % (DAYS * 24 - length))
        names = frozenset(f"cam-{(n + c) % CAMERAS}" for c in range(cameras))
        return Bounds(SCOPE, names, (Interval(start, start + timedelta(hours=length)),), START)

    for name, act in {
        "search_3_cameras_2_hours": lambda n: reader.passages(hours(n, 2, 3), red),
        "search_3_cameras_24_hours": lambda n: reader.passages(hours(n, 24, 3), red),
        "search_all_cameras_24_hours": lambda n: reader.passages(hours(n, 24, CAMERAS), red),
        "search_all_cameras_week": lambda _: reader.passages(week, red),
        "count_all_cameras_week": lambda _: reader.count(week, red),
        "passage": lambda n: reader.passage(week, sample[n].id),
        "vehicle": lambda n: reader.passages_of_vehicle(week, f"v{n}"),
        "candidates_13_cameras_1_hour": lambda n: reader.candidates(hours(n, 1, 13), "car", 5000),
        "tracks_24": lambda n: reader.tracks(week, [p.id for p in sample[n : n + 24]]),
        "coverage": lambda _: reader.coverage(week),
    }.items():
        before = server_cpu_s(store)
        figures[f"{name}_ms"], figures[f"{name}_p95_ms"] = median_ms(act)
        # What the store itself worked: on a busy machine the only figure that says something of the store.
        figures[f"{name}_server_cpu_ms"] = round((server_cpu_s(store) - before) * 1000 / (TIMES + 1), 1)
    figures |= sizes(store)
    figures["erase_scope_s"] = round(timed(lambda: keeper.erase_scope(SCOPE)), 2)
    assert reader.count(week, PassageQuery()) == 0
    return figures


def server_cpu_s(store: StoreProcess) -> float:
    """Seconds of processor that the store's process has used."""
    assert store.process is not None
    used = psutil.Process(store.process.pid).cpu_times()
    return float(used.user + used.system)


def sizes(store: StoreProcess) -> dict[str, float]:
    """Bytes on disk a row, merged or not."""
    connection = open_keeper(store.site)._connection
    rows = connection.run(
        lambda c: (
            c.query(
                "SELECT table, sum(bytes_on_disk), sum(rows) FROM system.parts WHERE active AND rows > 0 GROUP BY table"
            ).result_rows
        )
    )
    by = {table: size / count for table, size, count in rows}
    return {
        "passage_bytes": round(by["passages"], 1),
        "track_bytes_a_sighting": round(by["tracks"] / 100, 2),
        "link_bytes": round(by["vehicle_links"], 1),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--passages", type=int, default=1_000_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        store = StoreProcess(Path(folder))
        store.start()
        try:
            figures: dict[str, Any] = measure(store, chosen.passages)
        finally:
            store.stop()
    record("store", figures)


if __name__ == "__main__":
    main()
