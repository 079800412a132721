# SPDX-License-Identifier: AGPL-3.0-or-later
"""One contract for the broker's twin in memory and for Apache Kafka itself."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator

import pytest

from connectors.broker import Broker, Message, Outgoing, Reader, TopicSettings
from connectors.errors import BrokerError, BrokerUnavailable, OffsetGone
from connectors.kafka import Kafka
from connectors.memory_broker import MemoryBroker

LIMIT = 200_000


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> Broker:
    if request.param == "memory":
        return MemoryBroker()
    return request.getfixturevalue("kafka_broker").client(record_limit_bytes=LIMIT)


@pytest.fixture
def topic(broker: Broker) -> Iterator[str]:
    name = f"contract.{uuid.uuid4().hex[:8]}"
    broker.ensure_topic(name, TopicSettings(partitions=3, record_limit_bytes=LIMIT))
    yield name
    broker.delete_topic(name)


def send(broker: Broker, topic: str, *messages: Outgoing) -> None:
    writer = broker.writer()
    writer.write(topic, messages)
    writer.close()


def read(reader: Reader, count: int, most: int = 100) -> list[Message]:
    """Poll until so many came; a broker may take a few polls."""
    found: list[Message] = []
    deadline = time.monotonic() + 15
    while len(found) < count and time.monotonic() < deadline:
        found.extend(reader.poll(most))
    return found


def test_what_is_acknowledged_is_read_in_order_within_its_partition(broker: Broker, topic: str) -> None:
    send(broker, topic, *(Outgoing(n % 3, f"k{n % 3}", b"%d" % n) for n in range(30)))
    reader = broker.reader(topic, {0: None, 1: None, 2: None})
    found = read(reader, 30)
    reader.close()
    for p in range(3):
        mine = [m for m in found if m.partition == p]
        assert [m.value for m in mine] == [b"%d" % n for n in range(p, 30, 3)]
        assert [m.offset for m in mine] == list(range(10))
        assert {m.key for m in mine} == {f"k{p}"}


def test_a_reader_begins_where_it_is_told(broker: Broker, topic: str) -> None:
    send(broker, topic, *(Outgoing(1, "k", b"%d" % n) for n in range(10)))
    reader = broker.reader(topic, {1: 7})
    assert [m.value for m in read(reader, 3)] == [b"7", b"8", b"9"]
    send(broker, topic, Outgoing(1, "k", b"later"), Outgoing(0, "k", b"not mine"))
    assert [m.value for m in read(reader, 1)] == [b"later"]
    reader.close()


def test_a_poll_gives_no_more_than_asked(broker: Broker, topic: str) -> None:
    send(broker, topic, *(Outgoing(0, "k", b"%d" % n) for n in range(10)))
    reader = broker.reader(topic, {0: None})
    sizes = []
    while sum(sizes) < 10:
        sizes.append(len(reader.poll(4)))
    reader.close()
    assert max(sizes) <= 4


def test_a_finished_partition_gives_nothing_more(broker: Broker, topic: str) -> None:
    reader = broker.reader(topic, {0: None, 1: None})
    reader.finish(0)
    send(broker, topic, Outgoing(0, "k", b"no"), Outgoing(1, "k", b"yes"))
    assert [m.value for m in read(reader, 1)] == [b"yes"]
    reader.close()


def test_extent_tells_first_and_next_offset(broker: Broker, topic: str) -> None:
    send(broker, topic, Outgoing(2, "k", b"a"), Outgoing(2, "k", b"b"))
    assert broker.extent(topic) == {0: (0, 0), 1: (0, 0), 2: (0, 2)}
    assert broker.extent("contract.nowhere") == {}


def test_it_tells_the_room_on_its_disk(broker: Broker, request: pytest.FixtureRequest) -> None:
    free = broker.free_bytes()
    assert free is not None and free > 0
    if isinstance(broker, Kafka):
        folder = request.getfixturevalue("kafka_broker").settings.folder
        assert abs(free - shutil.disk_usage(folder).free) < 2**30


def test_a_record_near_the_limit_passes_and_one_far_over_is_refused_with_the_setting_to_change(
    broker: Broker, topic: str
) -> None:
    send(broker, topic, Outgoing(0, "k", bytes(LIMIT)))
    with pytest.raises(BrokerError, match=r"record_limit_bytes"):
        send(broker, topic, Outgoing(0, "k", bytes(2 * LIMIT)))


def test_topics_can_be_made_twice_grown_listed_and_deleted_twice(broker: Broker, topic: str) -> None:
    broker.ensure_topic(topic, TopicSettings(partitions=3, record_limit_bytes=LIMIT))
    broker.ensure_topic(topic, TopicSettings(partitions=5, record_limit_bytes=LIMIT))
    assert topic in broker.topics()
    assert len(broker.extent(topic)) == 5
    broker.delete_topic(topic)
    assert topic not in broker.topics()
    broker.delete_topic(topic)


def test_a_present_topic_takes_new_settings(broker: Broker, topic: str, request: pytest.FixtureRequest) -> None:
    broker.ensure_topic(topic, TopicSettings(partitions=3, record_limit_bytes=4 * LIMIT, retention_hours=5))
    send(
        request.getfixturevalue("kafka_broker").client(record_limit_bytes=4 * LIMIT)
        if isinstance(broker, Kafka)
        else broker,
        topic,
        Outgoing(0, "k", bytes(3 * LIMIT)),
    )


def test_reading_a_partition_that_is_not_there_is_an_error(broker: Broker, topic: str) -> None:
    with pytest.raises(BrokerError, match="no partition"):
        broker.reader(topic, {7: None})


def test_an_offset_that_retention_took_is_told_and_reading_goes_on(
    broker: Broker, topic: str, request: pytest.FixtureRequest
) -> None:
    send(broker, topic, *(Outgoing(0, "k", b"%d" % n) for n in range(5)))
    reader = broker.reader(topic, {0: 0})
    erase(broker, topic, 3, request)
    with pytest.raises(OffsetGone) as gone:
        read(reader, 1)
    assert (gone.value.asked, gone.value.earliest) == (0, 3)
    assert [m.value for m in read(reader, 2)] == [b"3", b"4"]
    reader.close()


def test_a_position_past_the_end_is_told_and_reading_begins_at_the_earliest(broker: Broker, topic: str) -> None:
    send(broker, topic, Outgoing(0, "k", b"a"), Outgoing(0, "k", b"b"))
    reader = broker.reader(topic, {0: 1000})
    with pytest.raises(OffsetGone) as gone:
        read(reader, 1)
    assert (gone.value.asked, gone.value.earliest) == (1000, 0)
    assert [m.value for m in read(reader, 2)] == [b"a", b"b"]
    reader.close()


def erase(broker: Broker, topic: str, before: int, request: pytest.FixtureRequest) -> None:
    if isinstance(broker, MemoryBroker):
        broker.erase(topic, 0, before)
        return
    from kafka import KafkaAdminClient, TopicPartition

    login = request.getfixturevalue("kafka_broker").login()
    admin = KafkaAdminClient(bootstrap_servers=broker.address, **login.options())
    admin.delete_records({TopicPartition(topic, 0): before})
    admin.close()


def test_a_broker_that_is_away_is_said_so_at_once() -> None:
    memory = MemoryBroker()
    memory.ensure_topic("t", TopicSettings(partitions=1))
    memory.down = True
    for act in (memory.topics, lambda: memory.extent("t"), lambda: send(memory, "t", Outgoing(0, "k", b""))):
        with pytest.raises(BrokerUnavailable):
            act()


@pytest.mark.slow
def test_a_kafka_that_is_away_is_said_so_with_its_address() -> None:
    away = Kafka("127.0.0.1:9")
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:9"):
        away.topics()
