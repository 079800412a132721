# SPDX-License-Identifier: AGPL-3.0-or-later
"""The dataflow of indexing over a broker in memory: orders, sealing, bad records, progress."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest

from connectors import topics
from connectors.broker import Outgoing
from connectors.errors import GateSilent, KeyUnavailable, SiteError
from connectors.gop import Gap, Gop, Seal
from connectors.keys import HeldKeys
from connectors.memory_broker import MemoryBroker
from connectors.partitions import site_partitions
from connectors.records import DeadRecord, decode_dead
from connectors.sealing import PublicKeys, Sealer, open_view
from connectors.site import Site
from connectors.topic_source import Arrived
from flows.drain import Drain
from flows.errors import MostlyBad
from flows.index import index
from flows.looking import Keys, Looker
from flows.share import Share
from reid.finding import GopFindings, LookedInVain
from reid.passage import Passage
from tests.flows.draining import EndsAtTheEnd
from tests.flows.failing import run_apart
from tests.flows.made_records import Found, captured, made_site, publish, replayed, second
from tests.flows.sites import write_order, write_public_key
from tests.reid.made_video import START, PaintDetector, drives

pytestmark = pytest.mark.slow

DETECTOR = (PaintDetector(), 0.25)
VEHICLES = [("red", drives(60, 80, begins=1)), ("blue", drives(105, 100, begins=5))]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, dict[str, list[Gop]]]:
    site = made_site(tmp_path_factory.mktemp("made"), {"c1": VEHICLES, "c2": []}, 11)
    return site, captured(site)


@pytest.fixture
def site(made: tuple[Site, dict[str, list[Gop]]], tmp_path: Path) -> Site:
    return made[0].model_copy(update={"data": tmp_path / "var"})


@pytest.fixture
def gops(made: tuple[Site, dict[str, list[Gop]]]) -> dict[str, list[Gop]]:
    return made[1]


def dead(broker: MemoryBroker, scope: str = "r-1") -> list[tuple[str, str]]:
    return [((d := decode_dead(m.value)).error, d.reason) for m in broker.messages(topics.dead(scope))]


def test_an_order_is_indexed_to_its_end_and_says_how_far_it_came(site: Site, gops: dict[str, list[Gop]]) -> None:
    broker = MemoryBroker()
    order, _ = write_order(site, ("c1", "c2"), (0, 11))
    publish(broker, site, "r-1", replayed(order, gops))
    index(site, Share(), Drain(), order=order, broker=broker, detector=DETECTOR)
    found = Found(broker, "r-1")
    assert sorted((p.camera, p.colour) for p in found.passages.values()) == [("c1", "blue"), ("c1", "red")]
    assert set(found.tracks) == set(found.passages)
    assert sorted((e.camera, e.order) for e in found.ends) == [("c1", "o-1"), ("c2", "o-1")]
    assert {(c.camera, c.status) for c in found.coverage.values()} == {("c1", "indexed"), ("c2", "indexed")}
    said = json.loads((site.data / "orders" / "o-1.index.json").read_text(encoding="utf-8"))
    assert said["state"] == "done" and said["passages"] == 2
    assert 21 <= said["seconds_done"] <= 22
    assert dead(broker) == []


def test_only_what_lies_inside_the_interval_is_indexed(site: Site, gops: dict[str, list[Gop]]) -> None:
    broker = MemoryBroker()
    order, _ = write_order(site, ("c1",), (2.35, 4.05))
    publish(broker, site, "r-1", replayed(order, gops))
    index(site, Share(), Drain(), order=order, broker=broker, detector=DETECTOR)
    found = Found(broker, "r-1")
    (passage,) = found.passages.values()
    assert passage.truncated
    assert min(second(s.at) for t in found.tracks.values() for s in t.sightings) >= 2.35
    assert max(second(s.at) for t in found.tracks.values() for s in t.sightings) < 4.05
    assert all(2.35 <= second(v.at) < 4.05 for v in passage.views)
    assert all(c.started_at >= START + timedelta(seconds=2.35) for c in found.coverage.values())


def test_records_that_come_twice_change_nothing(site: Site, gops: dict[str, list[Gop]], tmp_path: Path) -> None:
    order, _ = write_order(site, ("c1",), (0, 7), (8, 11))
    results = []
    for times in (1, 2):
        broker = MemoryBroker()
        records = replayed(order, gops)
        publish(broker, site, "r-1", [*records[:3], *records * times])
        own = site.model_copy(update={"data": tmp_path / f"{times}"})
        index(own, Share(), Drain(), order=order, broker=broker, detector=DETECTOR)
        results.append(Found(broker, "r-1").passages)
    assert results[0] == results[1]
    assert sorted((p.colour, p.truncated) for p in results[0].values()) == [
        ("blue", True),
        ("blue", True),
        ("red", False),
    ]


def test_sealed_video_is_opened_and_its_views_are_sealed_again(site: Site, gops: dict[str, list[Gop]]) -> None:
    private = write_public_key(site)
    sealer = Sealer(PublicKeys(site.data / "keys" / "public"))
    sealed = {camera: [sealer.seal(g) for g in of] for camera, of in gops.items()}
    keys = HeldKeys({"2026-11-20": private})
    broker = MemoryBroker()
    order, _ = write_order(site, ("c1",), (0, 11))
    publish(broker, site, "r-1", replayed(order, sealed))
    index(site, Share(), Drain(), order=order, broker=broker, keys=keys, detector=DETECTOR)
    passages = Found(broker, "r-1").passages.values()
    assert len(passages) == 2
    for passage in passages:
        for number, view in enumerate(passage.views):
            assert view.reference == f"r-1/c1/2026-11-20T08/{passage.id}-{number}"
            assert view.jpeg[:2] != b"\xff\xd8"
            seal = msgspec.msgpack.decode(view.sealed, type=Seal)
            clear = open_view(view.jpeg, seal, keys.data_key(seal, "r-1"), view.reference)
            assert clear[:2] == b"\xff\xd8"
    assert not [f for f in (site.data / "recovery").rglob("*") if f.is_file() and b"JFIF" in f.read_bytes()]


class Refuses:
    def data_key(self, seal: Seal, scope: str) -> bytes:
        raise KeyUnavailable("the key of 2026-11-20 is destroyed")


class SilentAtFirst:
    def __init__(self, keys: HeldKeys) -> None:
        self.keys, self.asked = keys, 0

    def data_key(self, seal: Seal, scope: str) -> bytes:
        self.asked += 1
        if self.asked <= 3:
            raise GateSilent("the gate does not answer")
        return self.keys.data_key(seal, scope)


def test_video_whose_key_is_refused_is_covered_as_unreadable(site: Site, gops: dict[str, list[Gop]]) -> None:
    write_public_key(site)
    sealer = Sealer(PublicKeys(site.data / "keys" / "public"))
    broker = MemoryBroker()
    order, _ = write_order(site, ("c1",), (0, 11))
    publish(broker, site, "r-1", replayed(order, {"c1": [sealer.seal(g) for g in gops["c1"]]}))
    index(site, Share(), Drain(), order=order, broker=broker, keys=Refuses(), detector=DETECTOR)
    found = Found(broker, "r-1")
    assert not found.passages
    assert {(c.status, c.reason) for c in found.coverage.values()} == {
        ("unreadable", "the key of 2026-11-20 is destroyed")
    }
    assert {error for error, _ in dead(broker)} == {"KeyUnavailable"}


def test_a_silent_gate_is_waited_for(site: Site, gops: dict[str, list[Gop]]) -> None:
    private = write_public_key(site)
    sealer = Sealer(PublicKeys(site.data / "keys" / "public"))
    broker = MemoryBroker()
    order, _ = write_order(site, ("c1",), (0, 11))
    publish(broker, site, "r-1", replayed(order, {"c1": [sealer.seal(g) for g in gops["c1"]]}))
    waits: list[float] = []
    keys = SilentAtFirst(HeldKeys({"2026-11-20": private}))
    index(site, Share(), Drain(), order=order, broker=broker, keys=keys, detector=DETECTOR, sleep=waits.append)
    assert len(waits) == 3 and waits == sorted(waits)
    assert len(Found(broker, "r-1").passages) == 2 and dead(broker) == []


def broken(gop: Gop) -> Gop:
    return msgspec.structs.replace(gop, payload=bytes(len(gop.payload)))


def test_packets_that_do_not_decode_are_told_and_stop_nothing(site: Site, gops: dict[str, list[Gop]]) -> None:
    broker = MemoryBroker()
    order, _ = write_order(site, ("c1",), (0, 11))
    records = replayed(order, {"c1": [*gops["c1"][:8], broken(gops["c1"][8]), *gops["c1"][9:]]})
    publish(broker, site, "r-1", records)
    index(site, Share(), Drain(), order=order, broker=broker, detector=DETECTOR)
    found = Found(broker, "r-1")
    assert len(found.passages) == 2
    assert [c.status for c in sorted(found.coverage.values(), key=lambda c: c.started_at)] == [
        "indexed",
        "unreadable",
        "indexed",
    ]
    assert [error for error, _ in dead(broker)] == ["VideoError"]


def many_broken(gop: Gop, count: int) -> list[Gop]:
    return [
        msgspec.structs.replace(
            broken(gop),
            sequence=n,
            first_at=START + timedelta(seconds=n),
            last_at=START + timedelta(seconds=n + 0.9),
        )
        for n in range(count)
    ]


def test_a_flow_of_which_most_records_cannot_be_read_stops(site: Site) -> None:
    broker = MemoryBroker()
    order, _ = write_order(site, ("c1",), (0, 200))
    broker.ensure_topic(topics.frames("r-1"), topics.settings(site, "r-1"))
    place = site_partitions(site).of("c1")
    broker.writer().write(topics.frames("r-1"), [Outgoing(place, "c1", b"rubbish %d" % n) for n in range(80)])
    with pytest.raises(MostlyBad, match="cannot be used"):
        run_apart(lambda: index(site, Share(), Drain(), order=order, broker=broker, detector=DETECTOR))


def test_a_camera_whose_video_never_decodes_stops_no_other(site: Site, gops: dict[str, list[Gop]]) -> None:
    broker = MemoryBroker()
    order, _ = write_order(site, ("c1", "c2"), (0, 80))
    publish(broker, site, "r-1", replayed(order, {"c1": gops["c1"], "c2": many_broken(gops["c2"][0], 80)}))
    index(site, Share(), Drain(), order=order, broker=broker, detector=DETECTOR)
    found = Found(broker, "r-1")
    assert [p.camera for p in found.passages.values()] == ["c1", "c1"]
    assert {(c.camera, c.status) for c in found.coverage.values()} >= {("c1", "indexed"), ("c2", "unreadable")}
    assert [error for error, _ in dead(broker)] == ["VideoError"] * 80


def test_a_camera_whose_video_never_decodes_is_told_once_a_minute(
    gops: dict[str, list[Gop]], caplog: pytest.LogCaptureFixture
) -> None:
    now = START
    looker = Looker(
        detector=DETECTOR[0],
        keys=Keys(None, lambda: False, lambda _: None),
        fps=None,
        cameras=frozenset({"c1", "c2"}),
        intervals=None,
        topic="frames.live",
        now=lambda: now,
    )
    for bad in many_broken(gops["c2"][0], 150):
        now = bad.last_at
        assert [type(seen) for seen in looker(Arrived(bad, 0, bad.sequence))] == [LookedInVain, DeadRecord]
    assert [type(seen) for seen in looker(Arrived(gops["c1"][0], 1, 0))] == [GopFindings]
    told = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert [t.split(" cannot")[0] for t in told] == ["camera c2: 1 GOPs", "camera c2: 60 GOPs", "camera c2: 60 GOPs"]


def test_gaps_are_covered_as_gaps_inside_the_interval(site: Site, gops: dict[str, list[Gop]]) -> None:
    broker = MemoryBroker()
    order, _ = write_order(site, ("c2",), (0, 60))
    records = replayed(order, {"c2": gops["c2"]})
    gap = Gap(
        camera="c2",
        scope="r-1",
        run="r",
        sequence=99,
        started_at=START + timedelta(seconds=11),
        ended_at=START + timedelta(seconds=90),
        reason="camera away",
    )
    publish(broker, site, "r-1", [*records[:-1], gap, records[-1]])
    index(site, Share(), Drain(), order=order, broker=broker, detector=DETECTOR)
    rows = sorted(Found(broker, "r-1").coverage.values(), key=lambda c: c.started_at)
    assert [(r.status, r.reason, second(r.ended_at)) for r in rows][-1] == ("gap", "camera away", 60.0)


def test_an_order_that_names_another_camera_looks_at_no_other(site: Site, gops: dict[str, list[Gop]]) -> None:
    broker = MemoryBroker()
    everything, _ = write_order(site, ("c1", "c2"), (0, 11))
    order, _ = write_order(site, ("c2",), (0, 11))
    publish(broker, site, "r-1", replayed(everything, gops))
    detector = PaintDetector()
    index(site, Share(), Drain(), order=order, broker=broker, detector=(detector, 0.25))
    assert detector.frames == 0 and not Found(broker, "r-1").passages


def test_continuous_indexing_without_a_camera_for_it_is_refused(site: Site) -> None:
    with pytest.raises(SiteError, match="no camera is in continuous mode"):
        index(site, Share(), Drain(), broker=MemoryBroker(), detector=DETECTOR)


@pytest.mark.slow
def test_continuous_indexing_looks_only_at_cameras_in_that_mode(site: Site, gops: dict[str, list[Gop]]) -> None:
    cameras = tuple(
        c.model_copy(update={"indexing": "continuous" if c.name == "c2" else "on_requisition"}) for c in site.cameras
    )
    own = site.model_copy(update={"cameras": cameras})
    broker, drain, detector = MemoryBroker(), Drain(), PaintDetector()
    publish(broker, own, "live", [g for of in gops.values() for g in of])

    def once_all_is_read() -> Iterator[bool]:
        for _ in range(400):
            yield False
        while True:
            yield True

    asked = once_all_is_read()
    drain.__class__ = type("Counting", (Drain,), {"__call__": lambda self: next(asked)})
    index(own, Share(), drain, broker=broker, detector=(detector, 0.25))
    found = Found(broker, "live")
    assert detector.frames == 0 and {c.camera for c in found.coverage.values()} == {"c2"}


class Dies(MemoryBroker):
    """The process dies as it begins to read."""

    def reader(self, topic: str, starts: object) -> NoReturn:
        raise RuntimeError("killed")


def test_what_is_captured_after_a_kill_before_the_first_snapshot_is_indexed(
    site: Site, gops: dict[str, list[Gop]]
) -> None:
    own = site.model_copy(
        update={"cameras": tuple(c.model_copy(update={"indexing": "continuous"}) for c in site.cameras)}
    )
    broker, dies, drain = MemoryBroker(), Dies(), Drain()
    for each in (broker, dies):
        publish(each, own, "live", [g for of in gops.values() for g in of[:6]])
    with pytest.raises(RuntimeError, match="killed"):
        run_apart(lambda: index(own, Share(), Drain(), broker=dies, detector=DETECTOR, from_end=True))
    publish(broker, own, "live", [g for of in gops.values() for g in of[6:]])
    index(own, Share(), drain, broker=EndsAtTheEnd(broker, drain), detector=DETECTOR, from_end=True)
    found = Found(broker, "live")
    assert {c.camera for c in found.coverage.values()} == {"c1", "c2"}
    assert min(c.started_at for c in found.coverage.values()) == gops["c1"][6].first_at


def test_two_scopes_of_one_hour_are_two_rows(site: Site, gops: dict[str, list[Gop]]) -> None:
    ids: list[set[str]] = []
    kept: list[Passage] = []
    for scope in ("r-1", "r-2"):
        broker = MemoryBroker()
        order, _ = write_order(site, ("c1",), (0, 11), scope=scope, id=f"o-{scope}")
        publish(broker, site, scope, replayed(order, gops))
        index(site, Share(), Drain(), order=order, broker=broker, detector=DETECTOR)
        kept += Found(broker, scope).passages.values()
        ids.append(set(Found(broker, scope).passages))
    assert not ids[0] & ids[1]
    assert sorted(p.started_at for p in kept[:2]) == sorted(p.started_at for p in kept[2:])
