# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the store on ClickHouse does beyond the contract: retries, secrets, ageing, the disk."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from connectors.bounds import Bounds, Interval
from connectors.clickhouse import (
    ClickHouseWriter,
    ErasureUnfinished,
    RetentionRefused,
    StoreConnection,
    open_keeper,
    open_reader,
    open_writer,
)
from connectors.clickhouse_keeper import ClickHouseKeeper
from connectors.clickhouse_migrations import FOLDER, read_migrations, ttl
from connectors.errors import StoreError, StoreRefused, StoreUnavailable
from connectors.memory_store import MemoryStore
from connectors.store import PassageQuery
from infra.ports import free_port
from reid.passage import Coverage
from tests.fixtures.engine import EngineProcess, EngineRefused
from tests.fixtures.store import StoreProcess

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def coverage(scope: str, at: datetime, reason: str = "") -> Coverage:
    return Coverage(
        scope=scope, camera="cam", started_at=at, ended_at=at + timedelta(seconds=1), status="gap", reason=reason
    )


def everything(scope: str) -> Bounds:
    return Bounds(scope, frozenset({"cam"}), (Interval(NOW - 400 * DAY, NOW + DAY),), NOW - 400 * DAY)


class Clock:
    """Seconds that pass only by pausing."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.mark.parametrize("days", [0, 31, -1, 365, True, 30.0, "30", None])
def test_an_unlawful_retention_is_refused(days: Any) -> None:
    for refuse in (
        lambda: read_migrations("passage", days),
        lambda: ttl("passage", "tracks", days),
        lambda: MemoryStore(days),
        lambda: ClickHouseKeeper(StoreConnection("http://127.0.0.1:1", "passage", "keeper", "x"), days),
    ):
        with pytest.raises(RetentionRefused, match="1 to 30"):
            refuse()


@pytest.mark.parametrize("days", [1, 30])
def test_a_lawful_retention_is_in_every_table(days: int) -> None:
    migrations = read_migrations("passage", days)
    assert len(migrations) == 4
    for migration in migrations:
        (statement,) = migration.statements
        assert f"toIntervalDay({days})" in statement and "addMonths" in statement and "{{" not in statement


def test_migrations_are_numbered_without_gap(tmp_path: Path) -> None:
    for name in ("001_a.sql", "003_c.sql"):
        (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(StoreError, match="without gap"):
        read_migrations("passage", 30, tmp_path)
    assert [f.name[:3] for f in sorted(FOLDER.glob("0*.sql"))] == ["001", "002", "003", "004"]


@pytest.mark.parametrize("database", ["a b", "x;y", "`", "", "A", "a.b"])
def test_a_database_has_a_plain_name(database: str) -> None:
    with pytest.raises(StoreError, match="database"):
        read_migrations(database, 30)


def test_a_store_that_does_not_answer_is_tried_again_with_growing_pauses() -> None:
    clock = Clock()
    nowhere = StoreConnection(f"http://127.0.0.1:{free_port()}", "passage", "indexer", "secret-text")
    writer = ClickHouseWriter(nowhere, patience_s=30, pause=clock.pause, clock=clock)
    with pytest.raises(StoreUnavailable) as failure:
        writer.insert_coverage([coverage("s", NOW)])
    assert len(clock.pauses) >= 5 and clock.pauses[-1] > clock.pauses[0]
    assert 15 < clock.now <= 30
    assert "secret-text" not in str(failure.value) and "secret-text" not in repr(nowhere)


@pytest.mark.parametrize(
    "fault",
    [
        DatabaseError("Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space.", code=243),
        DatabaseError("Code: 75. DB::ErrnoException: Cannot write: errno: 28, No space left on device.", code=75),
    ],
)
def test_a_store_without_room_is_waited_for(fault: DatabaseError) -> None:
    def full(_: object) -> None:
        raise fault

    store = StoreConnection("http://127.0.0.1:1", "passage", "indexer", "x")
    store._own.client = object()

    with pytest.raises(StoreUnavailable, match=r"free some.*space"):
        store.run(full)


def test_reading_from_a_store_that_is_down_says_so() -> None:
    from connectors.clickhouse_reader import ClickHouseReader

    reader = ClickHouseReader(StoreConnection(f"http://127.0.0.1:{free_port()}", "passage", "gate", "x"))
    with pytest.raises(StoreUnavailable, match="does not answer"):
        reader.count(everything("s"), PassageQuery())


@pytest.mark.engine
def test_a_wrong_secret_is_not_tried_again(store_server: StoreProcess) -> None:
    clock = Clock()
    wrong = StoreConnection(store_server.url, "passage", "indexer", "wrong")
    with pytest.raises(StoreRefused, match="516"):
        ClickHouseWriter(wrong, pause=clock.pause, clock=clock).insert_coverage([coverage("s", NOW)])
    assert clock.pauses == []


@pytest.mark.engine
def test_a_borrowed_secret_is_no_use(store_server: StoreProcess) -> None:
    gate = StoreConnection(store_server.url, "passage", "gate", store_server.secret("gate"))
    with pytest.raises(StoreRefused, match="may not"):
        ClickHouseWriter(gate).insert_coverage([coverage("s", NOW)])


def test_a_missing_secret_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="--init"):
        open_writer(StoreProcess(tmp_path).site)


@pytest.mark.engine
def test_threads_share_a_reader(store_server: StoreProcess) -> None:
    writer, reader = open_writer(store_server.site), open_reader(store_server.site)
    writer.insert_coverage([coverage("threads", NOW - n * timedelta(minutes=1)) for n in range(20)])
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(len(reader.coverage(everything("threads"))))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [20] * 6


@pytest.mark.engine
@pytest.mark.slow
def test_down_at_start_and_going_down_loses_nothing(own_store_server: StoreProcess) -> None:
    own_store_server.start()
    own_store_server.stop()
    writer = open_writer(own_store_server.site)
    rows = [coverage("down", NOW - n * timedelta(minutes=1)) for n in range(50)]
    done = threading.Event()

    def insert() -> None:
        for row in rows:
            writer.insert_coverage([row])
        done.set()

    thread = threading.Thread(target=insert)
    thread.start()
    own_store_server.start()
    for _ in range(2):
        own_store_server.stop(signal.SIGKILL)
        own_store_server.start()
    thread.join(120)
    assert done.is_set()
    assert len(open_reader(own_store_server.site).coverage(everything("down"))) == 50


@pytest.mark.engine
@pytest.mark.slow
def test_the_engine_drops_what_is_past_its_date_by_itself(own_store_server: StoreProcess) -> None:
    own_store_server.start()
    site = own_store_server.site
    month_ago = _month_before(NOW)
    past = {
        "day-31": NOW - 31 * DAY,
        "month": min(month_ago, NOW - 30 * DAY) - timedelta(days=1),
    }
    for name, at in past.items():
        open_writer(site).insert_coverage([coverage("ttl", at, reason=f"canary-{name}")])
    open_writer(site).insert_coverage([coverage("ttl", NOW - 20 * DAY, reason="canary-kept")])
    folder = site.data / "store"
    end = time.monotonic() + 90
    keeper = open_keeper(site)
    while (keeper.oldest() or NOW) < NOW - 25 * DAY and time.monotonic() < end:
        time.sleep(0.2)
    assert [c.reason for c in open_reader(site).coverage(everything("ttl"))] == ["canary-kept"]
    while any(_holds(folder, f"canary-{n}") for n in past) and time.monotonic() < end:
        time.sleep(0.2)
    assert not any(_holds(folder, f"canary-{n}") for n in past)
    assert _holds(folder, "canary-kept")


@pytest.mark.engine
@pytest.mark.parametrize(
    ("captured", "gone"),
    [
        ("2026-02-01 10:00:00", "2026-03-01 10:00:00"),  # 28 days: a calendar month ends first
        ("2026-01-31 10:00:00", "2026-02-28 10:00:00"),
        ("2028-01-31 10:00:00", "2028-02-29 10:00:00"),
        ("2026-03-01 10:00:00", "2026-03-31 10:00:00"),  # 30 days end before the month of 31
        ("2026-04-10 10:00:00", "2026-05-10 10:00:00"),
        ("2026-12-15 10:00:00", "2027-01-14 10:00:00"),
    ],
)
def test_never_longer_than_a_calendar_month(own_engine: EngineProcess, captured: str, gone: str) -> None:
    own_engine.run("SYSTEM STOP TTL MERGES")
    own_engine.run(f"INSERT INTO coverage (scope, started_at) VALUES ('{captured}', '{captured}')")
    rows = own_engine.run(
        "SELECT delete_ttl_info_max FROM system.parts WHERE table = 'coverage' AND active"
        f" AND CAST(partition AS Tuple(String, Date)).1 = '{captured}'"
    )
    assert rows == [(gone,)]


@pytest.fixture(scope="module")
def own_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    engine = EngineProcess(tmp_path_factory.mktemp("engine"))
    yield engine
    engine.close()


@pytest.mark.engine
@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO coverage (scope) VALUES ('x')",
        "ALTER TABLE coverage DELETE WHERE 1",
        "DROP TABLE coverage",
        "CREATE TABLE x (a String) ENGINE = Memory",
        "SET readonly = 0",
        "SET max_execution_time = 0",
        "SELECT 1 SETTINGS max_memory_usage = 0",
    ],
)
def test_the_gates_own_connection_changes_nothing_whatever_comes_through_to_it(
    own_engine: EngineProcess, sql: str
) -> None:
    with pytest.raises(EngineRefused) as refused:
        own_engine.read("gate", sql)
    assert refused.value.code == 164  # ClickHouse's own: not in readonly mode


@pytest.mark.engine
@pytest.mark.slow
def test_a_new_retention_reaches_old_tables_and_an_unlawful_one_none(own_store_server: StoreProcess) -> None:
    own_store_server.start()
    assert open_keeper(own_store_server.site).migrate() == []
    keeper = ClickHouseKeeper(
        StoreConnection(own_store_server.url, "passage", "keeper", own_store_server.secret("keeper")), 7
    )
    assert keeper.migrate() == []
    old, young = coverage("r", NOW - 8 * DAY), coverage("r", NOW - 6 * DAY)
    open_writer(own_store_server.site).insert_coverage([old, young])
    end = time.monotonic() + 60
    while (keeper.oldest() or NOW) < NOW - 7 * DAY and time.monotonic() < end:
        time.sleep(0.2)
    assert open_reader(own_store_server.site).coverage(everything("r")) == [young]
    with pytest.raises(StoreRefused):
        keeper._run(ttl("passage", "coverage", 30).replace("(30)", "(31)"))
    with pytest.raises(StoreRefused):
        keeper._run("ALTER TABLE coverage REMOVE TTL")


@pytest.mark.engine
def test_nothing_of_an_erased_scope_is_on_the_disk(store_server: StoreProcess) -> None:
    site = store_server.site
    writer = open_writer(site)
    for n in range(3):
        writer.insert_coverage([coverage("erase-me", NOW - n * DAY, reason=f"canary-erase-{n}")])
        writer.insert_coverage([coverage("keep-me", NOW - n * DAY, reason=f"canary-keep-{n}")])
    folder = site.data / "store"
    assert _holds(folder, "canary-erase-1")
    open_keeper(site).erase_scope("erase-me")
    assert not _holds(folder, "canary-erase-")
    assert _holds(folder, "canary-keep-1")


@pytest.mark.engine
def test_nothing_before_a_moment_is_on_the_disk(store_server: StoreProcess) -> None:
    site = store_server.site
    start = (NOW - 28 * DAY).replace(hour=12, minute=0, second=0, microsecond=0)
    open_writer(site).insert_coverage(
        [
            coverage("aged", start - DAY, "canary-aged-day"),
            coverage("aged", start - timedelta(microseconds=1), "canary-aged-edge"),
            coverage("aged", start, "canary-aged-kept"),
        ]
    )
    open_keeper(site).erase_before(start)
    folder = site.data / "store"
    assert not _holds(folder, "canary-aged-day") and not _holds(folder, "canary-aged-edge")
    assert _holds(folder, "canary-aged-kept")


def test_an_erasure_that_does_not_finish_says_which_parts() -> None:
    clock = Clock()
    keeper = ClickHouseKeeper(
        StoreConnection("http://127.0.0.1:1", "passage", "keeper", "x"), 30, pause=clock.pause, clock=clock
    )
    keeper._rows = lambda sql, params: [{"table": "tracks", "name": "part-1", "partition_id": "p"}]  # type: ignore[method-assign]
    said: list[str] = []
    keeper._run = lambda sql, params=None: said.append(sql) or []  # type: ignore[method-assign,func-returns-value]
    with pytest.raises(ErasureUnfinished, match="tracks/part-1"):
        keeper.erase_scope("s")
    assert "ALTER TABLE tracks DROP PARTITION ID 'p'" in said


def _holds(folder: Path, canary: str) -> bool:
    """Whether any file below holds the canary, as it is or within a compressed block of a short text."""
    # os.walk goes on where the engine removes a folder meanwhile; Path.rglob does not.
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                if canary.encode() in Path(place, name).read_bytes():
                    return True
            except FileNotFoundError:
                continue
    return False


def _month_before(at: datetime) -> datetime:
    first = at.replace(day=1) - DAY
    day = at.day
    while True:
        try:
            return first.replace(day=day)
        except ValueError:
            day -= 1
