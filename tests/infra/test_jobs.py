# SPDX-License-Identifier: AGPL-3.0-or-later
"""Orders and closures as the jobs obey them, with runs, clock and broker of the test's own."""

from __future__ import annotations

import errno
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from connectors import topics
from connectors.archive import LEAST_FREE_BYTES
from connectors.bounds import Interval
from connectors.broker import TopicSettings
from connectors.errors import BrokerError, BrokerUnavailable
from connectors.orders import CloseOrder, ReplayOrder, sign_close, sign_order
from connectors.site import CameraSite, IndexSite, Site
from connectors.whole_file import write_whole
from flows.share import Share
from infra.jobs import AT_ONCE, DEATHS, Jobs, delete_topics
from infra.kafka_broker import KafkaBroker
from infra.order_metrics import OrderMetrics

START = datetime(2026, 5, 4, 10, tzinfo=UTC)
RUNS = ["replay", "index-0-of-2", "index-1-of-2", "link"]


@dataclass
class Run:
    status: int | None = None

    def poll(self) -> int | None:
        return self.status


@dataclass
class Town:
    """A site folder, a gate that signs, and everything the jobs touch."""

    site: Site
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    now: datetime = START
    seconds: float = 0.0
    started: list[tuple[str, str]] = field(default_factory=list)
    runs: dict[tuple[str, str], Run] = field(default_factory=dict)
    ended: list[Run] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    broker_down: bool = False
    free: int = 10 * LEAST_FREE_BYTES
    metrics: OrderMetrics = field(default_factory=OrderMetrics)

    def start(self, flow: str, share: Share, order_file: Path, log: Path) -> Run:
        name = f"{flow}{share.suffix}"
        self.started.append((order_file.stem, name))
        self.runs[order_file.stem, name] = Run()
        return self.runs[order_file.stem, name]

    def end(self, run: Run) -> None:
        self.ended.append(run)
        run.status = -15

    def delete(self, names: Iterable[str]) -> None:
        if self.broker_down:
            raise BrokerUnavailable("down")
        self.deleted += names

    def jobs(self) -> Jobs:
        return Jobs(
            self.site,
            self,
            self.delete,
            clock=lambda: self.seconds,
            now=lambda: self.now,
            free=lambda _: self.free,
            metrics=self.metrics,
        )

    def figure(self, name: str, **labels: str) -> float:
        value = self.metrics.registry.get_sample_value(name, labels)
        assert value is not None, name
        return value

    @property
    def orders(self) -> Path:
        return self.site.data / "orders"

    def order(
        self, name: str, scope: str = "R1", key: Ed25519PrivateKey | None = None, file: str = "", days: int = 1
    ) -> None:
        order = ReplayOrder(
            id=name,
            scope=scope,
            cameras=("c1", "c2"),
            intervals=(Interval(START - timedelta(hours=2), START - timedelta(hours=1)),),
            issued_at=START,
            expires_at=START + timedelta(days=days),
        )
        (self.orders / f"{file or name}.order").write_bytes(sign_order(order, key or self.key))

    def close(self, name: str, scope: str = "R1", key: Ed25519PrivateKey | None = None) -> None:
        closure = CloseOrder(id=name, scope=scope, issued_at=START)
        (self.orders / f"{name}.close").write_bytes(sign_close(closure, key or self.key))

    def progress(self, name: str) -> dict[str, object]:
        return json.loads((self.orders / f"{name}.progress.json").read_text())  # type: ignore[no-any-return]


@pytest.fixture
def town(tmp_path: Path) -> Town:
    camera = CameraSite(name="c1", label="c1", url="x.mp4", start_utc=START, masks_dwellings=True)
    town = Town(Site(name="t", data=tmp_path, camera=[camera], index={"processes": 2}))
    public = tmp_path / "keys" / "public"
    public.mkdir(parents=True)
    town.orders.mkdir()
    pem = town.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (public / "orders.pub").write_bytes(pem)
    return town


def test_an_order_runs_replay_index_and_link_until_all_have_finished(town: Town) -> None:
    jobs = town.jobs()
    town.order("o1")
    jobs.tick()
    assert town.started == [("o1", name) for name in RUNS]
    (town.orders / "o1.index.json").write_text('{"seconds_asked": 7200, "seconds_done": 1800.5, "passages": 12}')
    jobs.tick()
    assert town.progress("o1") | {"message": ""} == {
        "state": "running",
        "seconds_asked": 7200.0,
        "seconds_done": 1800.5,
        "passages": 12,
        "message": "",
    }
    for name in RUNS:
        town.runs["o1", name].status = 0
        jobs.tick()
    assert town.progress("o1")["state"] == "done"
    jobs.tick()
    assert len(town.started) == 4 and not jobs.working


def test_what_orders_have_done_is_counted_for_prometheus(town: Town) -> None:
    jobs = town.jobs()
    town.order("o1")
    jobs.tick()
    report = town.orders / "o1.index.json"
    for done, passages in ((600.0, 3), (1800.0, 12)):
        report.write_text(json.dumps({"seconds_asked": 7200, "seconds_done": done, "passages": passages}))
        jobs.tick()
    assert town.figure("passage_order_camera_seconds_total") == 1800 and town.figure("passage_orders_at_work") == 1
    town.runs["o1", "index-1-of-2"].status = 1
    jobs.tick()
    assert town.figure("passage_order_run_deaths_total", flow="index") == 1
    # Whoever takes the order up again did not do what was done before.
    town.metrics = OrderMetrics()
    jobs = town.jobs()
    jobs.tick()
    for name in RUNS:
        town.runs["o1", name].status = 0
    report.write_text('{"seconds_asked": 7200, "seconds_done": 2000, "passages": 14}')
    jobs.tick()
    assert town.figure("passage_order_camera_seconds_total") == 200 and town.figure("passage_order_passages_total") == 2
    assert town.figure("passage_orders_ended_total", state="done") == 1
    assert town.figure("passage_orders_ended_total", state="failed") == 0
    assert town.figure("passage_orders_at_work") == 0


def test_a_finished_order_is_not_run_again_by_the_next_jobs(town: Town) -> None:
    town.order("o1")
    jobs = town.jobs()
    jobs.tick()
    for name in RUNS:
        town.runs["o1", name].status = 0
    jobs.tick()
    town.started.clear()
    town.jobs().tick()
    assert not town.started


def test_after_a_crash_only_what_had_not_finished_is_run_again(town: Town) -> None:
    town.order("o1")
    jobs = town.jobs()
    jobs.tick()
    town.runs["o1", "replay"].status = 0
    jobs.tick()
    town.started.clear()
    town.jobs().tick()
    assert town.started == [("o1", "index-0-of-2"), ("o1", "index-1-of-2"), ("o1", "link")]


def test_with_another_number_of_processes_no_camera_counts_as_indexed(town: Town) -> None:
    town.order("o1")
    jobs = town.jobs()
    jobs.tick()
    town.runs["o1", "index-0-of-2"].status = 0
    jobs.tick()
    town.started.clear()
    town.site = town.site.model_copy(update={"index": IndexSite(processes=1)})
    town.jobs().tick()
    assert ("o1", "index") in town.started


def test_a_run_that_dies_is_started_again_after_a_pause(town: Town) -> None:
    town.order("o1")
    jobs = town.jobs()
    jobs.tick()
    town.runs["o1", "index-0-of-2"].status = -9
    jobs.tick()
    jobs.tick()
    assert len(town.started) == 4
    town.seconds += 2
    jobs.tick()
    assert town.started[4:] == [("o1", "index-0-of-2")]


def test_a_run_that_keeps_dying_fails_its_order_and_no_other(town: Town) -> None:
    town.order("o1")
    town.order("o2", scope="R2")
    jobs = town.jobs()
    for _ in range(3 * (DEATHS + 1)):
        jobs.tick()
        town.seconds += 31
        if town.runs["o1", "link"].status is None:
            town.runs["o1", "link"].status = 1
    assert town.progress("o1")["state"] == "failed"
    assert "link ended with status 1" in str(town.progress("o1")["message"])
    assert jobs.working == ("o2",)


def test_runs_that_die_of_a_full_disk_fail_no_order(town: Town) -> None:
    town.order("o1")
    jobs = town.jobs()
    town.free = LEAST_FREE_BYTES - 1
    for _ in range(3 * (DEATHS + 1)):
        jobs.tick()
        town.seconds += 31
        town.runs["o1", "link"].status = 1
    assert town.progress("o1")["state"] == "running"
    town.free = LEAST_FREE_BYTES
    for name in RUNS:
        jobs.tick()
        town.seconds += 31
        town.runs["o1", name].status = 0
    jobs.tick()
    jobs.tick()
    assert town.progress("o1")["state"] == "done"


def test_progress_that_finds_no_room_is_told_once_and_holds_up_no_order(
    town: Town, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_room(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("flows.progress.write_whole", no_room)
    town.order("o1")
    town.order("o2", scope="R2")
    jobs = town.jobs()
    jobs.tick()
    for run in town.runs.values():
        run.status = 0
    for _ in range(5):
        jobs.tick()
    assert len(town.started) == 2 * len(RUNS) and jobs.working == ("o1", "o2")
    assert caplog.text.count("o1.progress.json cannot be written (No space left on device)") == 1
    monkeypatch.setattr("flows.progress.write_whole", write_whole)
    jobs.tick()
    assert [town.progress(o)["state"] for o in ("o1", "o2")] == ["done", "done"]
    assert len(town.started) == 2 * len(RUNS) and not jobs.working


def test_more_orders_wait_their_turn(town: Town) -> None:
    for n in range(AT_ONCE + 1):
        town.order(f"o{n}", scope=f"R{n}")
    jobs = town.jobs()
    jobs.tick()
    assert len(jobs.working) == AT_ONCE
    done = jobs.working[0]
    for name in RUNS:
        town.runs[done, name].status = 0
    jobs.tick()
    jobs.tick()
    assert len(jobs.working) == AT_ONCE and done not in jobs.working


def test_orders_of_one_requisition_run_one_after_the_other(town: Town) -> None:
    town.order("o1")
    town.order("o2")
    jobs = town.jobs()
    jobs.tick()
    assert jobs.working == ("o1",)
    for name in RUNS:
        town.runs["o1", name].status = 0
    jobs.tick()
    jobs.tick()
    assert jobs.working == ("o2",)


@pytest.mark.parametrize("forge", ["key", "bytes", "name"])
def test_a_forged_order_is_not_obeyed(town: Town, forge: str) -> None:
    if forge == "key":
        town.order("o1", key=Ed25519PrivateKey.generate())
    elif forge == "name":
        town.order("o1", file="o9")
    else:
        town.order("o1")
        file = town.orders / "o1.order"
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(bytes(data))
    jobs = town.jobs()
    jobs.tick()
    jobs.tick()
    assert not town.started


def test_an_expired_order_is_not_run_and_a_running_one_ends(town: Town) -> None:
    town.order("o1")
    jobs = town.jobs()
    jobs.tick()
    town.now += timedelta(days=2)
    jobs.tick()
    assert len(town.ended) == 4 and town.progress("o1")["state"] == "failed"
    town.order("o2", scope="R2")
    jobs.tick()
    assert len(town.started) == 4 and town.progress("o2")["state"] == "failed"


def test_an_order_that_was_prolonged_goes_on(town: Town) -> None:
    town.order("o1")
    jobs = town.jobs()
    jobs.tick()
    town.order("o1", days=20)
    town.now += timedelta(days=2)
    jobs.tick()
    assert not town.ended and town.progress("o1")["state"] == "running"
    jobs.end()
    after = town.jobs()
    after.tick()
    assert after.working == ("o1",), "taken up again after the old end"
    town.order("o1", key=Ed25519PrivateKey.generate(), days=400)
    town.now += timedelta(days=30)
    after.tick()
    assert town.progress("o1")["state"] == "failed", "prolonged by nobody"


def test_a_closure_ends_the_runs_and_removes_topics_and_positions_of_its_scope_alone(town: Town) -> None:
    recovery = town.site.data / "recovery"
    for name in ("index-R1", "replay-R1", "link-R1-0-of-2", "index-R10", "index", "link"):
        (recovery / name).mkdir(parents=True)
    town.order("o1")
    jobs = town.jobs()
    jobs.tick()
    town.close("o1")
    jobs.tick()
    assert len(town.ended) == 4 and not jobs.working
    assert town.deleted == ["frames.replay.R1", "passages.R1", "dead.R1"]
    assert {f.name for f in recovery.iterdir()} == {"index-R10", "index", "link"}
    assert (town.orders / "o1.closed").exists()
    jobs.tick()
    assert len(town.deleted) == 3 and len(town.started) == 4


def test_a_closure_waits_for_the_broker(town: Town) -> None:
    town.broker_down = True
    town.close("o1")
    jobs = town.jobs()
    jobs.tick()
    assert not (town.orders / "o1.closed").exists()
    town.broker_down = False
    jobs.tick()
    assert (town.orders / "o1.closed").exists()


def test_a_forged_closure_ends_nothing(town: Town) -> None:
    town.order("o1")
    jobs = town.jobs()
    jobs.tick()
    town.close("o1", key=Ed25519PrivateKey.generate())
    jobs.tick()
    assert not town.ended and not town.deleted and jobs.working == ("o1",)


@pytest.mark.kafka
def test_topics_that_a_user_may_not_see_do_not_count_as_deleted(kafka_broker: KafkaBroker) -> None:
    whole = kafka_broker.client()
    name = topics.passages(f"jobs-{uuid.uuid4().hex[:8]}")
    whole.ensure_topic(name, TopicSettings(partitions=1))
    stranger = kafka_broker.client("record")
    assert name not in stranger.topics()
    with pytest.raises(BrokerError, match="refuses"):
        delete_topics(stranger, [name])
    assert name in whole.topics()
    for _ in range(2):  # what is deleted already is no fault
        delete_topics(kafka_broker.client("indexer"), [name])
        assert name not in whole.topics()
