# SPDX-License-Identifier: AGPL-3.0-or-later
"""The dataflow of linking over twins in memory: rows to the store, views to the archive, vehicle ids."""

from __future__ import annotations

import pickle
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors import topics
from connectors.archive_views import ArchiveViews
from connectors.bounds import Bounds, Interval
from connectors.broker import Outgoing
from connectors.errors import ArchiveFull, StoreUnavailable
from connectors.gop import EndOfInterval
from connectors.memory_broker import MemoryBroker
from connectors.memory_store import MemoryStore
from connectors.partitions import site_partitions
from connectors.records import encode
from connectors.site import CameraSite, Site
from connectors.store import PassageQuery
from connectors.topic_sink import STOPPING_S
from flows.drain import Drain
from flows.link import StoreSink, link
from reid.linking import Linking
from reid.passage import Coverage, Passage, Sighting, Track, View
from tests.flows.sites import site_of, write_order
from tests.reid.made_town import CAMERAS, POSITIONS, START, MadeTown, made_town

HOUR = Interval(START, START + timedelta(hours=1))
ONE = made_town(3, vehicles=1, seconds=10).passages[0]
BOUNDS = Bounds("r-1", frozenset(CAMERAS), (HOUR,), datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def town() -> MadeTown:
    return made_town(3, vehicles=16, seconds=400)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    cameras = [
        CameraSite.model_validate(
            {
                "name": name,
                "label": name,
                "url": "rtsp://127.0.0.1:1/none",
                "position_m": POSITIONS[name],
                "masks_dwellings": True,
            }
        )
        for name in CAMERAS
    ]
    return site_of(tmp_path, cameras)


def scoped(passage: Passage) -> Passage:
    view = View(
        at=passage.started_at,
        box=(0, 0, 50, 30),
        width_px=50,
        height_px=30,
        quality=0.5,
        jpeg=b"\xff\xd8" + passage.id.encode(),
        reference="",
    )
    return msgspec.structs.replace(passage, scope="r-1", views=(view,))


def publish(broker: MemoryBroker, site: Site, records: list[Passage | Track | Coverage | EndOfInterval]) -> None:
    places = site_partitions(site)
    broker.ensure_topic(topics.passages("r-1"), topics.settings(site, "r-1"))
    broker.writer().write(topics.passages("r-1"), [Outgoing(places.of(r.camera), r.camera, encode(r)) for r in records])


def everything(town: MadeTown) -> list[Passage | Track | Coverage | EndOfInterval]:
    records: list[Passage | Track | Coverage | EndOfInterval] = [scoped(p) for p in town.passages]
    records += [
        Track(
            passage_id=p.id,
            scope="r-1",
            camera=p.camera,
            sightings=(Sighting(p.started_at, p.first_box, 0.9), Sighting(p.ended_at, p.last_box, 0.9)),
        )
        for p in town.passages
    ]
    for camera in CAMERAS:
        records.append(
            Coverage(scope="r-1", camera=camera, started_at=HOUR.start, ended_at=HOUR.end, status="indexed", frames=9)
        )
        records.append(
            EndOfInterval(camera=camera, scope="r-1", order="o-1", sequence=0, started_at=HOUR.start, ended_at=HOUR.end)
        )
    return records


def test_an_order_is_stored_and_linked_to_its_end(site: Site, town: MadeTown) -> None:
    broker, store = MemoryBroker(), MemoryStore()
    order, _ = write_order(site, CAMERAS, (0, 3600))
    publish(broker, site, everything(town))
    link(site, Drain(), order=order, broker=broker, store=store)
    rows = store.passages(BOUNDS, PassageQuery(limit=1000))
    assert {r.passage.id for r in rows} == {p.id for p in town.passages}
    assert len(store.tracks(BOUNDS, [p.id for p in town.passages])) == len(town.passages)
    assert len(store.coverage(BOUNDS)) == len(CAMERAS)
    views = ArchiveViews(site.archive_dir)
    for row in rows:
        (view,) = row.passage.views
        assert view.jpeg == b"" and views.get(view.reference) == b"\xff\xd8" + row.passage.id.encode()
    groups: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        assert row.vehicle_id
        groups[row.vehicle_id].append(town.vehicle[row.passage.id])
    pure = sum(len(g) for g in groups.values() if len(set(g)) == 1)
    assert pure >= 0.8 * len(rows)
    assert len(groups) <= 1.6 * len(set(town.vehicle.values()))


def test_reading_again_changes_nothing(site: Site, town: MadeTown, tmp_path: Path) -> None:
    order, _ = write_order(site, CAMERAS, (0, 3600))
    answers = []
    for times in (1, 2):
        broker, store = MemoryBroker(), MemoryStore()
        publish(broker, site, everything(town) * times)
        own = site.model_copy(update={"data": tmp_path / str(times)})
        link(own, Drain(), order=order, broker=broker, store=store)
        answers.append({r.passage.id: r.vehicle_id for r in store.passages(BOUNDS, PassageQuery(limit=1000))})
    assert answers[0] == answers[1]


class AwayAtFirst(MemoryStore):
    refusals = 3

    def insert_tracks(self, tracks):  # type: ignore[no-untyped-def]
        if self.refusals:
            self.refusals -= 1
            raise StoreUnavailable("the store does not answer")
        super().insert_tracks(tracks)


def test_a_store_that_is_away_is_waited_for(site: Site, town: MadeTown) -> None:
    store = AwayAtFirst()
    waits: list[float] = []
    sink = StoreSink(
        store=lambda: store, views=ArchiveViews(site.archive_dir), stop=lambda: False, sleep=waits.append
    ).build("s", 0, 1)
    sink.write_batch([r for r in everything(town) if isinstance(r, Passage | Track)])
    assert len(waits) == 3 and waits == sorted(waits)
    assert store.count(BOUNDS, PassageQuery()) == len(town.passages)


class FullAtFirst(ArchiveViews):
    refusals = 3

    def put(self, *view: Any) -> str:
        if self.refusals:
            self.refusals -= 1
            raise ArchiveFull("no room left")
        return super().put(*view)


def test_room_for_views_is_waited_for_and_nothing_is_lost(site: Site, town: MadeTown) -> None:
    store, views = MemoryStore(), FullAtFirst(site.archive_dir)
    waits: list[float] = []
    sink = StoreSink(store=lambda: store, views=views, stop=lambda: False, sleep=waits.append).build("s", 0, 1)
    passages = [r for r in everything(town) if isinstance(r, Passage)]
    sink.write_batch(passages)
    assert waits == [0.5, 1.0, 2.0]
    rows = store.passages(BOUNDS, PassageQuery(limit=1000))
    assert len(rows) == len(passages)
    assert all(views.get(row.passage.views[0].reference).endswith(row.passage.id.encode()) for row in rows)


def test_a_stopping_run_waits_for_room_only_so_long(site: Site, town: MadeTown) -> None:
    now = [0.0]
    views = FullAtFirst(site.archive_dir)
    views.refusals = 1000

    def sleep(seconds: float) -> None:
        now[0] += seconds

    sink = StoreSink(store=MemoryStore, views=views, stop=lambda: True, sleep=sleep, clock=lambda: now[0])
    with pytest.raises(ArchiveFull):
        sink.build("s", 0, 1).write_batch([scoped(town.passages[0])])
    assert STOPPING_S < now[0] <= STOPPING_S + 2


@pytest.mark.slow
def test_continuous_linking_gives_every_passage_a_vehicle_as_time_goes_on(town: MadeTown) -> None:
    linking = Linking("live")
    words: dict[str, str] = {}
    for passage in sorted(town.passages, key=lambda p: p.ended_at):
        for word in linking.take(passage, POSITIONS, continuous=True):
            assert word.decided_at <= passage.ended_at
            words[word.passage_id] = word.vehicle_id
    assert len(words) >= 0.9 * len(town.passages)
    assert len(set(words.values())) < len(words)


def drives(vehicle: str, camera: str, at_s: float) -> Passage:
    started = START + timedelta(seconds=at_s)
    return msgspec.structs.replace(
        ONE,
        id=f"{vehicle}@{camera}",
        scope="live",
        camera=camera,
        started_at=started,
        ended_at=started + timedelta(seconds=4),
    )


def in_order_of_coming(until_s: int, lag_s: float) -> list[Passage]:
    """A vehicle every minute from camera a to camera b, whose passages come `lag_s` seconds late."""
    coming = []
    for s in range(0, until_s, 60):
        coming += [(s, drives(str(s), "a", s)), (s + lag_s, drives(str(s), "b", s + 15))]
    return [passage for at, passage in sorted(coming, key=lambda c: c[0]) if at < until_s]


@pytest.mark.parametrize("lag_s", [0, 1200, 5000])
def test_passages_that_come_late_are_given_vehicles_too(lag_s: float) -> None:
    """Each index process has its share of the cameras, and may be behind by as long as it was away."""
    linking, positions, words = Linking("live"), {"a": (0.0, 0.0), "b": (150.0, 0.0)}, dict[str, str]()
    coming, held = in_order_of_coming(6600, lag_s), 0
    for passage in coming:
        words |= {w.passage_id: w.vehicle_id for w in linking.take(passage, positions, continuous=True)}
        held = max(held, len(linking.passages))
    # Only what came since the last decision may be without one.
    assert len({p.id for p in coming} - words.keys()) <= 4
    # Two passages a minute, held for a window, and for as long as b is behind, an hour at most.
    assert held <= (900 + (lag_s if lag_s <= 3600 else 0)) / 30 + 5
    if lag_s <= 3600:
        late = [p.id.removesuffix("@b") for p in coming if p.camera == "b"][-20:-5]
        assert sum(words[f"{v}@a"] == words[f"{v}@b"] for v in late) >= 14


def test_a_camera_that_was_late_and_gives_nothing_more_holds_nothing_back() -> None:
    linking, positions = Linking("live"), {"a": (0.0, 0.0), "b": (150.0, 0.0)}
    for passage in in_order_of_coming(3600, 1200):
        linking.take(passage, positions, continuous=True)
    assert len(linking.passages) > 2 * 900 / 60
    newest = linking.newest
    assert newest is not None
    for s in range(60, 2400, 60):
        linking.take(drives(f"later {s}", "a", (newest - START).total_seconds() + s), positions, continuous=True)
    assert len(linking.passages) <= 900 / 60 + 2
    assert not linking.vehicles.keys() - linking.passages.keys() and "b" not in linking.late


def test_a_snapshot_of_before_a_field_was_there_is_taken_up(town: MadeTown) -> None:
    before = Linking("live")
    for passage in town.passages[:5]:
        before.take(passage, {}, {}, continuous=True)
    _, fields = before.__reduce_ex__(4)[2]  # type: ignore[misc,index]
    after = Linking.__new__(Linking)
    after.__setstate__((None, {name: value for name, value in fields.items() if name not in ("fresh", "late")}))
    assert after.passages == before.passages and not after.fresh
    after.take(town.passages[5], {}, {}, continuous=True)
    assert pickle.loads(pickle.dumps(before)).passages == before.passages  # noqa: S301
