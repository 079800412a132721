# SPDX-License-Identifier: AGPL-3.0-or-later
"""What every store of passages does: the same tests on the twin and on the engine behind its HTTP server."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.bounds import Bounds, Interval
from connectors.clickhouse import RowRefused, open_keeper, open_reader, open_writer
from connectors.memory_store import MemoryStore
from connectors.store import PassageQuery, StoreKeeper, StoreReader, StoreWriter
from reid.passage import COLOURS, Coverage, Embedding, Passage, Sighting, Track, VehicleLink, View

US = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - 2 * DAY
NASTY = (
    "'; DROP TABLE passages; --",
    "\\' OR 1=1 --",
    "{scope:String}",
    "%(scope)s",
    "a\tb\nc\\nd\x00e",
    'é"`$$🚗',
    "' UNION ALL SELECT * FROM passages --",
)


@dataclass
class Store:
    writer: StoreWriter
    reader: StoreReader
    keeper: StoreKeeper
    scope: str


@pytest.fixture(params=["twin", pytest.param("engine", marks=pytest.mark.engine)])
def store(request: pytest.FixtureRequest) -> Store:
    scope = f"scope-{uuid.uuid4()}"
    if request.param == "twin":
        twin = MemoryStore()
        return Store(twin, twin, twin, scope)
    site = request.getfixturevalue("store_server").site
    return Store(open_writer(site), open_reader(site), open_keeper(site), scope)


def passage(store: Store, name: str, **changes: Any) -> Passage:
    shares = tuple(0.6 if c == "red" else 0.04 for c in COLOURS)
    values: dict[str, Any] = {
        "id": name,
        "scope": store.scope,
        "camera": "cam-a",
        "started_at": NOON,
        "ended_at": NOON + 5 * SECOND,
        "vehicle_class": "car",
        "class_score": 0.75,
        "colours": shares,
        "entry": "left",
        "exit": "right",
        "speed_px_s": 120.5,
        "first_box": (0.0, 10.5, 20.25, 30.0),
        "last_box": (600.0, 10.5, 640.0, 30.0),
        "sightings": 125,
        "waited_s": 1.5,
        "embedding": Embedding("model-1", (0.5, -0.25, 0.0, 0.75)),
        "detector": "detector-1",
    }
    return Passage(**values | changes)


def bounds(store: Store, start: datetime = NOON - HOUR, end: datetime = NOON + HOUR, **changes: Any) -> Bounds:
    values: dict[str, Any] = {
        "scope": store.scope,
        "cameras": frozenset({"cam-a"}),
        "intervals": (Interval(start, end),),
        "not_before": NOON - 25 * DAY,
    }
    return Bounds(**values | changes)


def ids(store: Store, inside: Bounds, **query: Any) -> list[str]:
    return [r.passage.id for r in store.reader.passages(inside, PassageQuery(**query))]


def test_a_passage_comes_back_as_it_went_in(store: Store) -> None:
    view = View(
        at=NOON + SECOND,
        box=(1.5, 2.0, 3.0, 4.0),
        width_px=120,
        height_px=80,
        quality=0.9,
        reference="live/cam-a/2026-11-01/x-0",
        sealed=b"\x00\xffseal",
    )
    sent = passage(store, "p1", views=(view,), truncated=True, started_at=NOON + 3 * US)
    store.writer.insert_passages([sent])
    row = store.reader.passage(bounds(store), "p1")
    assert row is not None
    got = row.passage
    assert got.embedding is not None and got.embedding.model == "model-1"
    assert got.embedding.vector == pytest.approx((0.5, -0.25, 0.0, 0.75), rel=0.01)
    assert got.colours == pytest.approx(sent.colours, abs=1e-6)
    for name in (n for n in Passage.__struct_fields__ if n not in ("embedding", "colours")):
        assert getattr(got, name) == getattr(sent, name), name
    assert got.started_at.tzinfo is not None


def test_a_passage_without_embedding_or_view(store: Store) -> None:
    store.writer.insert_passages([passage(store, "p1", embedding=None)])
    row = store.reader.passage(bounds(store), "p1")
    assert row is not None and row.passage.embedding is None and row.passage.views == ()


def test_search_gives_no_embeddings_and_candidates_do(store: Store) -> None:
    store.writer.insert_passages([passage(store, "p1")])
    assert store.reader.passages(bounds(store), PassageQuery())[0].passage.embedding is None
    assert store.reader.candidates(bounds(store), "car", 10)[0].passage.embedding is not None


@pytest.mark.parametrize(
    "change",
    [
        {"camera": "cam-b"},
        {"scope": "another-scope"},
        {"started_at": NOON - HOUR - US},
        {"started_at": NOON + HOUR, "ended_at": NOON + HOUR},
        {"ended_at": NOON + HOUR},
        {"started_at": NOON - HOUR - US, "ended_at": NOON - HOUR},
    ],
    ids=["camera", "scope", "a microsecond early", "at the end", "leaves at the end", "ends at the start"],
)
def test_what_lies_outside_never_comes_back(store: Store, change: dict[str, Any]) -> None:
    outside = passage(store, "outside", **change)
    inside = passage(store, "inside", started_at=NOON - HOUR, ended_at=NOON + HOUR - US)
    store.writer.insert_passages([outside, inside])
    links = [
        VehicleLink(
            scope=p.scope,
            passage_id=p.id,
            vehicle_id="vehicle",
            started_at=p.started_at,
            probability=0.9,
            model="m",
            decided_at=NOON,
        )
        for p in (outside, inside)
    ]
    store.writer.insert_links(links)
    store.writer.insert_tracks(
        [
            Track(
                passage_id=p.id,
                scope=p.scope,
                camera=p.camera,
                sightings=(Sighting(p.started_at, p.first_box, 0.9), Sighting(p.ended_at, p.last_box, 0.9)),
            )
            for p in (outside, inside)
        ]
    )
    within = bounds(store)
    assert ids(store, within) == ["inside"]
    assert store.reader.count(within, PassageQuery()) == 1
    assert store.reader.passage(within, "outside") is None
    assert store.reader.passage(within, "inside") is not None
    assert [r.passage.id for r in store.reader.passages_of_vehicle(within, "vehicle")] == ["inside"]
    assert [r.passage.id for r in store.reader.candidates(within, "car", 10)] == ["inside"]
    assert [t.passage_id for t in store.reader.tracks(within, ["inside", "outside"])] == ["inside"]


def test_what_is_too_old_never_comes_back(store: Store) -> None:
    store.writer.insert_passages([passage(store, "old"), passage(store, "young", started_at=NOON + US)])
    store.writer.insert_coverage([coverage(store, NOON - HOUR, NOON), coverage(store, NOON, NOON + HOUR)])
    aged = bounds(store, not_before=NOON + US)
    assert ids(store, aged) == ["young"]
    assert store.reader.passage(aged, "old") is None
    assert [c.started_at for c in store.reader.coverage(aged)] == [NOON]


def test_empty_bounds_give_nothing(store: Store) -> None:
    store.writer.insert_passages([passage(store, "p1")])
    for empty in (bounds(store, cameras=frozenset()), bounds(store, intervals=())):
        assert ids(store, empty) == []
        assert store.reader.count(empty, PassageQuery()) == 0
        assert store.reader.passage(empty, "p1") is None
        assert store.reader.candidates(empty, "car", 5) == []
        assert store.reader.passages_of_vehicle(empty, "v") == []
        assert store.reader.tracks(empty, ["p1"]) == []
        assert store.reader.coverage(empty) == []


def test_several_intervals(store: Store) -> None:
    early, late = NOON - 3 * HOUR, NOON + 3 * HOUR
    store.writer.insert_passages(
        [
            passage(store, "early", started_at=early, ended_at=early + SECOND),
            passage(store, "noon"),
            passage(store, "late", started_at=late, ended_at=late + SECOND),
            passage(store, "both", started_at=early, ended_at=late),
        ]
    )
    two = bounds(store, intervals=(Interval(early, early + HOUR), Interval(late, late + HOUR)))
    assert ids(store, two) == ["early", "late"]


def test_doubled_inserts_change_nothing(store: Store) -> None:
    many = [passage(store, f"p{n}", started_at=NOON + n * US) for n in range(20)]
    for _ in range(3):
        store.writer.insert_passages(many)
        store.writer.insert_coverage([coverage(store, NOON, NOON + HOUR)])
        store.writer.insert_tracks([track(store, "p1")])
    assert store.reader.count(bounds(store), PassageQuery()) == 20
    assert len(ids(store, bounds(store), limit=100)) == 20
    assert len(store.reader.coverage(bounds(store))) == 1
    assert len(store.reader.tracks(bounds(store), ["p1"])) == 1


def test_the_last_insert_of_a_passage_stands(store: Store) -> None:
    store.writer.insert_passages([passage(store, "p1", vehicle_class="car")])
    store.writer.insert_passages([passage(store, "p1", vehicle_class="van")])
    assert ids(store, bounds(store), classes=frozenset({"car"})) == []
    assert ids(store, bounds(store), classes=frozenset({"van"})) == ["p1"]


def test_the_newest_word_on_a_vehicle_wins_in_any_order(store: Store) -> None:
    store.writer.insert_passages([passage(store, "p1")])
    for vehicle, decided in (("second", NOON + HOUR), ("first", NOON), ("third", NOON + 2 * HOUR)):
        store.writer.insert_links([link(store, "p1", vehicle, decided)])
        expected = "second" if vehicle == "first" else vehicle
        row = store.reader.passage(bounds(store), "p1")
        assert row is not None and row.vehicle_id == expected
    assert store.reader.passages_of_vehicle(bounds(store), "first") == []
    assert len(store.reader.passages_of_vehicle(bounds(store), "third")) == 1


def test_a_vehicle_in_time_order_with_embeddings(store: Store) -> None:
    for name, offset in (("c", 3), ("a", 1), ("b", 2)):
        store.writer.insert_passages([passage(store, name, started_at=NOON + offset * SECOND, camera="cam-a")])
        store.writer.insert_links([link(store, name, "v1", NOON, at=NOON + offset * SECOND)])
    rows = store.reader.passages_of_vehicle(bounds(store), "v1")
    assert [r.passage.id for r in rows] == ["a", "b", "c"]
    assert all(r.passage.embedding is not None and r.vehicle_id == "v1" for r in rows)


def test_colours_sum_and_order(store: Store) -> None:
    def shares(**by: float) -> tuple[float, ...]:
        return tuple(by.get(c, 0.0) for c in COLOURS)

    store.writer.insert_passages(
        [
            passage(store, "half", colours=shares(red=0.5, white=0.5)),
            passage(store, "split", colours=shares(red=0.25, orange=0.5, white=0.25), started_at=NOON + US),
            passage(store, "blue", colours=shares(blue=1.0)),
        ]
    )
    assert ids(store, bounds(store), colours=frozenset({"red"})) == ["half"]
    assert ids(store, bounds(store), colours=frozenset({"red", "orange"})) == ["split", "half"]
    rows = store.reader.passages(bounds(store), PassageQuery(colours=frozenset({"red", "orange"})))
    assert [r.colour_match for r in rows] == pytest.approx([0.75, 0.5])
    assert ids(store, bounds(store), colours=frozenset({"red"}), colour_share=0.2) == ["half", "split"]
    assert store.reader.count(bounds(store), PassageQuery(colours=frozenset({"red"}))) == 1


def test_a_colour_that_does_not_exist_matches_nothing(store: Store) -> None:
    store.writer.insert_passages([passage(store, "p1")])
    assert ids(store, bounds(store), colours=frozenset({"octarine"})) == []


def test_pages_do_not_overlap(store: Store) -> None:
    store.writer.insert_passages([passage(store, f"p{n:02}", started_at=NOON + n * US) for n in range(10)])
    pages = [ids(store, bounds(store), limit=4, offset=o) for o in (0, 4, 8, 12)]
    assert [i for page in pages for i in page] == [f"p{n:02}" for n in range(10)]
    assert [len(p) for p in pages] == [4, 4, 2, 0]


def test_candidates_take_what_the_class_is_confused_with(store: Store) -> None:
    store.writer.insert_passages(
        [passage(store, c, vehicle_class=c) for c in ("car", "van", "truck", "bus", "motorcycle")]
    )

    def found(vehicle_class: str) -> set[str]:
        return {r.passage.id for r in store.reader.candidates(bounds(store), vehicle_class, 10)}

    assert found("car") == {"car", "van"}
    assert found("truck") == {"van", "truck", "bus"}
    assert found("motorcycle") == {"motorcycle"}


def test_a_track_comes_back_to_the_eighth_of_a_pixel(store: Store) -> None:
    sent = track(store, "p1", count=50)
    store.writer.insert_tracks([sent])
    (got,) = store.reader.tracks(bounds(store), ["p1", "unknown"])
    assert [s.at for s in got.sightings] == [s.at for s in sent.sightings]
    for a, b in zip(got.sightings, sent.sightings, strict=True):
        assert a.box == pytest.approx(b.box, abs=1 / 16)
        assert a.score == pytest.approx(b.score, abs=1 / 2000)
    assert got.sightings[-1].score == 0.0


def test_coverage_that_touches(store: Store) -> None:
    rows = [
        coverage(store, NOON - 2 * HOUR, NOON - HOUR),
        coverage(store, NOON - HOUR, NOON, status="gap", reason="caméra muette"),
        coverage(store, NOON + HOUR, NOON + 2 * HOUR),
        coverage(store, NOON, NOON + SECOND, camera="cam-b"),
    ]
    store.writer.insert_coverage(rows)
    (got,) = store.reader.coverage(bounds(store))
    assert got == rows[1]
    both = bounds(store, cameras=frozenset({"cam-a", "cam-b"}), end=NOON + HOUR + US)
    assert [(c.camera, c.started_at) for c in store.reader.coverage(both)] == [
        ("cam-a", NOON - HOUR),
        ("cam-a", NOON + HOUR),
        ("cam-b", NOON),
    ]


@pytest.mark.parametrize("text", NASTY)
def test_no_text_is_ever_sql(store: Store, text: str) -> None:
    scope = store.scope + text
    sent = passage(
        store,
        "id" + text,
        scope=scope,
        camera=text,
        vehicle_class=text,
        detector=text,
        embedding=Embedding(text, (1.0,)),
        views=(View(at=NOON, box=(0, 0, 1, 1), width_px=1, height_px=1, quality=1.0, reference=text),),
    )
    store.writer.insert_passages([sent, passage(store, "other")])
    store.writer.insert_links(
        [
            VehicleLink(
                scope=scope,
                passage_id=sent.id,
                vehicle_id=text,
                started_at=NOON,
                probability=1.0,
                model=text,
                decided_at=NOON,
            )
        ]
    )
    store.writer.insert_coverage(
        [Coverage(scope=scope, camera=text, started_at=NOON, ended_at=NOON + SECOND, status="gap", reason=text)]
    )
    store.writer.insert_tracks(
        [Track(passage_id=sent.id, scope=scope, camera=text, sightings=(Sighting(NOON, (0, 0, 1, 1), 0.5),))]
    )
    within = bounds(store, scope=scope, cameras=frozenset({text, "cam-a"}))
    assert ids(store, within) == [sent.id]
    row = store.reader.passage(within, sent.id)
    assert row is not None
    assert row.vehicle_id == text
    assert row.passage.views == sent.views
    assert row.passage.embedding is not None and row.passage.embedding.model == text
    assert (row.passage.vehicle_class, row.passage.detector) == (text, text)
    assert [c.reason for c in store.reader.coverage(within)] == [text]
    assert len(store.reader.tracks(within, [sent.id, text])) == 1
    assert len(store.reader.passages_of_vehicle(within, text)) == 1
    assert ids(store, within, classes=frozenset({text})) == [sent.id]
    assert ids(store, within, classes=frozenset({"car"})) == []
    assert store.reader.passage(bounds(store, scope=text), "other") is None
    assert len(store.reader.candidates(within, text, 9)) == 1
    store.keeper.erase_scope(scope)
    assert ids(store, within) == []
    assert ids(store, bounds(store)) == ["other"]


def test_erasing_a_scope_leaves_the_others(store: Store) -> None:
    other = store.scope + "-other"
    for scope in (store.scope, other):
        store.writer.insert_passages([passage(store, "p1", scope=scope), passage(store, "p2", scope=scope)])
        store.writer.insert_tracks([track(store, "p1", scope=scope)])
        store.writer.insert_coverage([coverage(store, NOON - 3 * DAY, NOON, scope=scope)])
        store.writer.insert_links([link(store, "p1", "v", NOON, scope=scope)])
    store.keeper.erase_scope(store.scope)
    wide = bounds(store, NOON - 5 * DAY)
    assert ids(store, wide) == [] and store.reader.coverage(wide) == [] and store.reader.tracks(wide, ["p1"]) == []
    kept = bounds(store, NOON - 5 * DAY, scope=other)
    assert ids(store, kept) == ["p1", "p2"]
    assert len(store.reader.coverage(kept)) == len(store.reader.tracks(kept, ["p1"])) == 1
    store.keeper.erase_scope("a scope that never was")
    store.keeper.erase_scope(other)


def test_erasing_by_age_is_exact_to_the_microsecond(store: Store) -> None:
    start = NOON - 12 * DAY
    moments = [start - 2 * DAY, start - US, start, start + US]
    store.writer.insert_passages(
        [passage(store, f"p{n}", started_at=m, ended_at=m + SECOND) for n, m in enumerate(moments)]
    )
    store.keeper.erase_before(start)
    assert ids(store, bounds(store, NOON - 20 * DAY)) == ["p2", "p3"]
    oldest = store.keeper.oldest()
    assert oldest is not None and oldest >= start.replace(microsecond=0) - SECOND
    store.keeper.erase_scope(store.scope)


def test_oldest_is_the_oldest_of_any_table(store: Store) -> None:
    at = NOON - 20 * DAY
    store.writer.insert_coverage([coverage(store, at, at + HOUR)])
    assert store.keeper.oldest() == at
    store.keeper.erase_scope(store.scope)
    assert store.keeper.oldest() != at


def test_the_engine_keeps_no_log_of_queries(store: Store) -> None:
    store.reader.throughput()
    assert store.keeper.engine_logs() == {}


def test_throughput_counts_and_names_nothing(store: Store) -> None:
    before = store.reader.throughput()
    store.writer.insert_passages([passage(store, "p1", ended_at=datetime.now(UTC) - SECOND, started_at=NOON)])
    after = store.reader.throughput()
    assert after["passages"] == before["passages"] + 1
    assert 0 < after["newest_passage_age_s"] < 60
    assert set(after) <= {"passages", "tracks", "coverage", "vehicle_links", "newest_passage_age_s"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"views": (View(at=NOON, box=(0, 0, 1, 1), width_px=1, height_px=1, quality=1, jpeg=b"x"),)}, "archive"),
        ({"colours": (0.5, 0.5)}, "colour"),
        ({"started_at": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001
        ({"ended_at": NOON - SECOND}, "before it starts"),
        ({"entry": "above"}, "no sides"),
        ({"sightings": -1}, "fit"),
    ],
)
def test_what_cannot_lie_in_the_store_is_refused(store: Store, change: dict[str, Any], says: str) -> None:
    with pytest.raises(RowRefused, match=says):
        store.writer.insert_passages([passage(store, "p1", **change)])
    assert store.reader.passage(bounds(store), "p1") is None


def test_nothing_to_insert_is_nothing(store: Store) -> None:
    insertions: list[Callable[[list[Any]], None]] = [
        store.writer.insert_passages,
        store.writer.insert_tracks,
        store.writer.insert_coverage,
        store.writer.insert_links,
    ]
    for insert in insertions:
        insert([])


def test_migrating_again_does_nothing(store: Store) -> None:
    store.keeper.migrate()
    assert store.keeper.migrate() == []


def coverage(store: Store, start: datetime, end: datetime, **changes: Any) -> Coverage:
    values: dict[str, Any] = {
        "scope": store.scope,
        "camera": "cam-a",
        "started_at": start,
        "ended_at": end,
        "status": "indexed",
        "frames": 90_000,
        "frames_decoded": 45_000,
        "detector": "detector-1",
    }
    return Coverage(**values | changes)


def track(store: Store, passage_id: str, count: int = 3, scope: str = "") -> Track:
    return Track(
        passage_id=passage_id,
        scope=scope or store.scope,
        camera="cam-a",
        sightings=tuple(
            Sighting(
                NOON + n * timedelta(microseconds=40_001),
                (n * 3.3, 10.1 - n / 7, n * 3.3 + 55.55, 60.0),
                0.0 if n == count - 1 else 0.123 + n / 1000,
            )
            for n in range(count)
        ),
    )


def link(
    store: Store, passage_id: str, vehicle: str, decided: datetime, at: datetime = NOON, scope: str = ""
) -> VehicleLink:
    return VehicleLink(
        scope=scope or store.scope,
        passage_id=passage_id,
        vehicle_id=vehicle,
        started_at=at,
        probability=0.8,
        model="link-1",
        decided_at=decided,
    )
