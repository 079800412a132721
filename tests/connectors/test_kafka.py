# SPDX-License-Identifier: AGPL-3.0-or-later
"""What Kafka's answers mean, with a client of the test's own; the contract tries the real one."""

from __future__ import annotations

import gc
import os
import socket
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaError, KafkaStorageError, KafkaTimeoutError, OffsetOutOfRangeError, UnknownError

from connectors.broker import NotAcknowledged, Outgoing
from connectors.errors import BrokerUnavailable, OffsetGone
from connectors.kafka import Kafka

AWAY = "127.0.0.1:9"


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of one that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server:
        yield "127.0.0.1:%d" % server.getsockname()[1]


class Future:
    """A send that the broker answered with this."""

    is_done = True

    def __init__(self, exception: Exception | None) -> None:
        self.exception = exception

    def succeeded(self) -> bool:
        return self.exception is None


def test_a_broker_whose_disk_is_full_is_said_so_and_what_it_refused_is_to_be_written_again(
    monkeypatch: pytest.MonkeyPatch, silent: str
) -> None:
    answers = iter([None, KafkaStorageError("56"), None])
    producer: Any = SimpleNamespace(
        send=lambda *_, **__: Future(next(answers)), flush=lambda timeout: None, close=lambda timeout: None
    )
    monkeypatch.setattr("connectors.kafka.KafkaProducer", lambda **_: producer)
    sent = [Outgoing(0, "c1", b"%d" % n) for n in range(3)]
    with pytest.raises(NotAcknowledged, match=r"its disk is full or fails: make room .*log\.dirs") as refused:
        Kafka(silent).writer().write("t", sent)
    assert refused.value.messages == [sent[1]]


@pytest.mark.parametrize(
    ("folders", "free"),
    [
        ([{"error_code": 0, "usable_bytes": 5}, {"error_code": 0, "usable_bytes": 3}], 3),
        ([{"error_code": 56, "usable_bytes": -1}, {"error_code": 0, "usable_bytes": 3}], 0),
        ([{"error_code": 0, "usable_bytes": -1}], None),
        ([{"error_code": 0}], None),
        ([], None),
    ],
)
def test_the_room_is_that_of_the_fullest_disk(
    monkeypatch: pytest.MonkeyPatch, silent: str, folders: list[dict[str, int]], free: int | None
) -> None:
    admin: Any = SimpleNamespace(
        describe_log_dirs=lambda topic_partitions: [{"broker": 1, "log_dirs": folders}], close=lambda: None
    )
    monkeypatch.setattr("connectors.kafka.KafkaAdminClient", lambda **_: admin)
    assert Kafka(silent).free_bytes() == free


def held() -> tuple[int, int]:
    """Descriptors and threads of this process, without what earlier tests left to the garbage collector."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")), threading.active_count()


ATTEMPTS: list[Callable[[Kafka], object]] = [
    lambda kafka: kafka.topics(),
    lambda kafka: kafka.extent("t"),
    lambda kafka: kafka.reader("t", {0: None}),
    lambda kafka: kafka.writer().write("t", [Outgoing(0, "c1", b"")]),
]


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=["admin", "consumer", "reader", "writer"])
@pytest.mark.parametrize("is_away", [True, False], ids=["away", "silent"])
def test_attempts_on_a_broker_that_gives_no_session_leave_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, silent: str, attempt: Callable[[Kafka], object], is_away: bool
) -> None:
    monkeypatch.setattr("connectors.kafka.CONNECT_MS", 100)
    kafka = Kafka(AWAY if is_away else silent)
    before = held()
    for _ in range(10):
        with pytest.raises(BrokerUnavailable, match="does not a" if is_away else "opens no session"):
            attempt(kafka)
    assert held() == before


def test_one_broker_of_several_that_takes_connections_is_enough(monkeypatch: pytest.MonkeyPatch, silent: str) -> None:
    admin: Any = SimpleNamespace(list_topics=lambda: ["t"], close=lambda: None)
    monkeypatch.setattr("connectors.kafka.KafkaAdminClient", lambda **_: admin)
    assert Kafka(f"{AWAY},{silent}").topics() == {"t"}


class Overtaken:
    """A consumer whose position retention overtook, of a broker that goes away before it says where records begin."""

    fault: KafkaError | None = KafkaTimeoutError("nobody answers")

    def assign(self, parts: list[TopicPartition]) -> None:
        self.parts, self.position = parts, 0

    def seek(self, part: TopicPartition, offset: int) -> None:
        self.position = offset

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {0}

    def poll(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        if self.position < 7:
            raise OffsetOutOfRangeError({self.parts[0]: self.position})
        return {}

    def beginning_offsets(self, parts: list[TopicPartition]) -> dict[TopicPartition, int]:
        if self.fault is not None and hasattr(self, "parts"):
            raise self.fault
        return dict.fromkeys(parts, 7)

    def end_offsets(self, parts: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(parts, 9)

    def close(self) -> None:
        return


def test_a_broker_that_goes_away_while_erased_records_are_looked_for_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, silent: str
) -> None:
    made: list[Overtaken] = []

    def consumer(**_: Any) -> Overtaken:
        made.append(Overtaken())
        return made[-1]

    monkeypatch.setattr("connectors.kafka.KafkaConsumer", consumer)
    reader = Kafka(silent).reader("t", {0: 2})
    assert reader.poll(4) == []
    made[-1].fault = UnknownError("lost for good")
    with pytest.raises(BrokerUnavailable, match="reading t failed"):
        reader.poll(4)
    made[-1].fault = None
    with pytest.raises(OffsetGone) as gone:
        reader.poll(4)
    assert (gone.value.asked, gone.value.earliest) == (2, 7)
    assert reader.poll(4) == []
