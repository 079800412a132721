# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs a rendered town through the real stack (Kafka, Bytewax, ClickHouse engine, gate) and reads it all back."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec

from connectors.bounds import Bounds, Interval
from connectors.clickhouse import open_reader
from connectors.errors import StoreUnavailable
from connectors.site import Site, load_site
from connectors.store import PassageQuery
from infra.errors import StackError
from infra.rehearsal import town_site
from infra.rehearsal.score.found import Found
from infra.stack import down, up_detached
from reid.passage import LIVE, Coverage, Passage, Track

T = TypeVar("T", Passage, Track, Coverage)

Tell = Callable[[float, float], None]
"""Called with the camera-seconds indexed and those there are."""
STALLED_S = 300.0
SETTLED_S = 6.0


def run(town: Path, work: Path, *, detector: str, tell: Tell) -> Found:
    """Record and index every camera of the town in continuous mode; what the store then holds.

    `work` is emptied first. Raises StackError when indexing stands still for five minutes.
    """
    about = town_site.described(town)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    start = (datetime.now(UTC) - timedelta(seconds=float(about["seconds"]) + 3600)).replace(microsecond=0)
    names = [c["name"] for c in about["cameras"]]
    file = work / "site.toml"
    text = town_site.site_toml(town, start, (work / "data").resolve(), continuous=names, detector=detector)
    file.write_text(text, encoding="utf-8")
    site = load_site(file)
    began = time.monotonic()
    up_detached(file, lambda _: None)
    try:
        seconds = float(about["seconds"])
        outages = sum(o["to_s"] - o["from_s"] for c in about["cameras"] for o in c["outages"])
        _wait(site, start, seconds, len(names) * seconds - outages, tell)
        taken = time.monotonic() - began
        return _read(site, town, start, seconds, names, taken)
    finally:
        down(site)


def _bounds(site: Site, start: datetime, seconds: float) -> Bounds:
    margin = timedelta(minutes=5)
    whole = Interval(start - margin, start + timedelta(seconds=seconds) + margin)
    return Bounds(LIVE, frozenset(c.name for c in site.cameras), (whole,), whole.start)


def _wait(site: Site, start: datetime, seconds: float, asked: float, tell: Tell) -> None:
    """Until coverage reaches the end of every video and links have settled."""
    reader = open_reader(site)
    bounds = _bounds(site, start, seconds)
    done, moved = -1.0, time.monotonic()
    try:
        while True:
            try:
                rows = reader.coverage(bounds)
                passages = reader.count(bounds, PassageQuery())
            except StoreUnavailable:
                rows, passages = [], 0
            now = sum((r.ended_at - r.started_at).total_seconds() for r in rows if r.status != "gap")
            mark = now + passages / 1e6
            if mark > done:
                done, moved = mark, time.monotonic()
                tell(min(now, asked), asked)
            still = time.monotonic() - moved
            if now >= asked * 0.995 and still > SETTLED_S:
                return
            if now >= asked * 0.98 and still > 60.0:
                return
            if still > STALLED_S:
                raise StackError(
                    f"indexing stands still at {now:.0f} of {asked:.0f} camera-seconds; see {site.data / 'logs'}"
                )
            time.sleep(1.0)
    finally:
        reader.close()


def _read(site: Site, town: Path, start: datetime, seconds: float, names: list[str], taken: float) -> Found:
    reader = open_reader(site)
    bounds = _bounds(site, start, seconds)
    spelt = {town_site.site_name(n): n for n in names}
    try:
        rows, page = [], 0
        while True:
            part = reader.passages(bounds, PassageQuery(limit=500, offset=page * 500))
            rows += part
            page += 1
            if len(part) < 500:
                break
        passages, vehicles = [], {}
        for row in rows:
            whole = reader.passage(bounds, row.passage.id) or row
            passages.append(_renamed(whole.passage, spelt))
            vehicles[row.passage.id] = row.vehicle_id or row.passage.id
        tracks = []
        ids = [p.id for p in passages]
        for at in range(0, len(ids), 200):
            tracks += reader.tracks(bounds, ids[at : at + 200])
        coverage = reader.coverage(bounds)
    finally:
        reader.close()
    return Found(
        passages=tuple(passages),
        tracks=tuple(_renamed(t, spelt) for t in tracks),
        vehicles=vehicles,
        coverage=tuple(_renamed(c, spelt) for c in coverage),
        camera_starts=town_site.camera_starts(town, start),
        seconds_of_video=seconds * len(names),
        seconds_taken=taken,
    )


def _renamed(record: T, spelt: dict[str, str]) -> T:

    return msgspec.structs.replace(record, camera=spelt[record.camera])
