# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs a rendered town through the real stack (Kafka, Bytewax, ClickHouse engine, gate) and reads it all back.

The way of every day: cameras are recorded, a requisition is opened at the gate, its cameras and hours are replayed,
indexed and linked, and the end of that is told by the flows themselves.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from connectors.bounds import Bounds, Interval
from connectors.clickhouse import open_reader
from connectors.site import Site, load_site
from connectors.store import PassageQuery
from infra import stack
from infra.demo_people import make_administrator, make_people, open_requisition
from infra.errors import NotRunning
from infra.ports import free_port
from infra.rehearsal import town_site
from infra.rehearsal.score.found import Found
from infra.watching import RECORDED_SHARE, indexed_s, recorded_s, wait_until
from reid.passage import Coverage, Passage, Track

T = TypeVar("T", Passage, Track, Coverage)

Tell = Callable[[str, float, float], None]
"""Called with what is being done, and the camera-seconds done and asked for."""
STALLED_S = 300.0
_PORTS = 60


@dataclass(frozen=True, slots=True)
class _Town:
    """The town as its site plays it."""

    folder: Path
    start: datetime
    spelt: dict[str, str]
    """Camera in the site → in the town."""
    starts: dict[str, datetime]
    """Camera in the town → what its clock says at its first frame."""
    seconds: float
    asked: float
    """Camera-seconds of video there are."""

    @property
    def interval(self) -> Interval:
        """From the first to the last picture of any camera."""
        first = min(self.starts.values()).replace(microsecond=0)
        last = max(self.starts.values()) + timedelta(seconds=self.seconds)
        return Interval(first, last.replace(microsecond=0) + timedelta(seconds=1))


def run(town: Path, work: Path, *, detector: str, tell: Tell) -> Found:
    """Record every camera of the town, index it all for one requisition; what the store then holds.

    `work` is emptied first. Raises StackError when something stands still for five minutes, or indexing fails.
    """
    played = _played(town)
    if work.exists():
        _end(work / "site.toml")
        shutil.rmtree(work)
    work.mkdir(parents=True)
    file = work / "site.toml"
    data = (work / "data").resolve()
    text = town_site.site_toml(town, played.start, data, ports_from=free_port(_PORTS), detector=detector)
    file.write_text(text, encoding="utf-8")
    site = load_site(file)
    administrator = make_administrator(site)
    began = time.monotonic()
    tell("starting broker, store, gate and flows", 0.0, played.asked)
    stack.up_detached(file, lambda _: None)
    try:

        def wait(what: str, measure: Callable[[], float], enough: float) -> None:
            def told(now: float) -> None:
                tell(what, min(now, played.asked), played.asked)

            wait_until(measure, enough, STALLED_S, told, f"{what} (its logs are in {site.data / 'logs'})")

        stretches = [(camera, played.interval) for camera in played.spelt]
        wait("recording", lambda: recorded_s(site, stretches), RECORDED_SHARE * played.asked)
        gate = f"http://127.0.0.1:{site.gate.port}"
        people = make_people(gate, administrator, datetime.now(UTC))
        opened = open_requisition(gate, people["registrar"], sorted(played.spelt), played.interval, datetime.now(UTC))
        technician = people["technician"].sign_in(gate)
        wait("indexing", lambda: indexed_s(technician, opened.id, played.asked, site), played.asked)
        taken = time.monotonic() - began
        return _read(site, played, opened.id, taken)
    finally:
        stack.down(site)


def _played(town: Path) -> _Town:
    about = town_site.described(town)
    seconds = float(about["seconds"])
    # Within one hour of the clock few data keys are needed; an hour or more ago nothing is still being written.
    start = (datetime.now(UTC) - timedelta(seconds=seconds + 3600)).replace(minute=5, second=0, microsecond=0)
    cameras: list[dict[str, Any]] = about["cameras"]
    outages = sum(o["to_s"] - o["from_s"] for c in cameras for o in c["outages"])
    return _Town(
        folder=town,
        start=start,
        spelt={town_site.site_name(c["name"]): c["name"] for c in cameras},
        starts=town_site.camera_starts(town, start),
        seconds=seconds,
        asked=len(cameras) * seconds - outages,
    )


def _end(site_file: Path) -> None:
    """End the stack that an interrupted score may have left."""
    if not site_file.exists():
        return
    try:
        stack.down(load_site(site_file))
    except NotRunning:
        pass


def _read(site: Site, played: _Town, scope: str, taken: float) -> Found:
    reader = open_reader(site)
    whole = played.interval
    bounds = Bounds(scope, frozenset(played.spelt), (whole,), whole.start - timedelta(days=1))
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
            found = reader.passage(bounds, row.passage.id) or row
            passages.append(renamed(found.passage, played.spelt))
            vehicles[row.passage.id] = row.vehicle_id or row.passage.id
        tracks: list[Track] = []
        ids = [p.id for p in passages]
        for at in range(0, len(ids), 200):
            tracks += reader.tracks(bounds, ids[at : at + 200])
        coverage = reader.coverage(bounds)
    finally:
        reader.close()
    return Found(
        passages=tuple(passages),
        tracks=tuple(renamed(t, played.spelt) for t in tracks),
        vehicles=vehicles,
        coverage=tuple(renamed(c, played.spelt) for c in coverage),
        camera_starts=played.starts,
        seconds_of_video=played.asked,
        seconds_taken=taken,
    )


def renamed(record: T, spelt: dict[str, str]) -> T:
    """A record under its camera's name in the town."""
    return msgspec.structs.replace(record, camera=spelt[record.camera])
