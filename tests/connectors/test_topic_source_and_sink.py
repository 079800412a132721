# SPDX-License-Identifier: AGPL-3.0-or-later
"""Source and sink by themselves, on the broker's twin."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from connectors.broker import NotAcknowledged, Outgoing, TopicSettings
from connectors.errors import BrokerError, BrokerUnavailable
from connectors.gop import EndOfInterval
from connectors.memory_broker import MemoryBroker
from connectors.records import DeadRecord, encode, split
from connectors.topic_sink import TopicSink
from connectors.topic_source import LONG_IDLE_S, Arrived, Erased, TopicSource, end_key
from tests.connectors.gops import end, gop

TOPIC = "t"


def broker_with(*values: bytes, partitions: int = 1, partition: int = 0) -> MemoryBroker:
    broker = MemoryBroker()
    broker.ensure_topic(TOPIC, TopicSettings(partitions=partitions))
    put(broker, *values, partition=partition)
    return broker


def put(broker: MemoryBroker, *values: bytes, partition: int = 0) -> None:
    broker.writer().write(TOPIC, [Outgoing(partition, "c1", v) for v in values])


def part(broker: MemoryBroker, state: Any = None, **more: Any) -> Any:
    return TopicSource(
        broker=broker, topic=TOPIC, **{"partitions": [0], "clock": itertools.count().__next__, **more}
    ).build_part("s", "0", state)


def drained(partition: Any, batches: int = 10) -> list[Any]:
    items: list[Any] = []
    for _ in range(batches):
        try:
            items.extend(partition.next_batch())
        except StopIteration:
            break
    return items


def test_partition_keys_are_numbers_and_an_empty_share_is_refused() -> None:
    source = TopicSource(broker=MemoryBroker(), topic=TOPIC, partitions=[3, 1])
    assert source.list_parts() == ["1", "3"]
    with pytest.raises(ValueError, match="no partition of t to read"):
        TopicSource(broker=MemoryBroker(), topic=TOPIC, partitions=[])


def test_a_resumed_partition_begins_behind_what_it_gave() -> None:
    broker = broker_with(*(encode(gop(sequence=n)) for n in range(10)))
    first = part(broker, batch=4)
    given = list(first.next_batch())
    assert [i.record.sequence for i in given] == [0, 1, 2, 3]
    state = first.snapshot()
    assert state["next"] == 4
    assert [i.record.sequence for i in drained(part(broker, state))] == list(range(4, 10))


def test_a_partition_long_idle_is_asked_less_often_until_something_comes() -> None:
    broker, now, seconds = broker_with(), datetime(2026, 3, 1, tzinfo=UTC), [0.0]
    source = part(broker, now=lambda: now, clock=lambda: seconds[0])

    def waits_s() -> float | None:
        source.next_batch()
        awake = source.next_awake()
        return None if awake is None else (awake - now).total_seconds()

    first = waits_s()
    assert first is not None and first <= 0.05
    seconds[0] = LONG_IDLE_S + 1
    later = waits_s()
    assert later is not None and first < later <= 0.5
    put(broker, encode(gop(sequence=0)))
    seconds[0] += 1
    assert waits_s() is None, "there may be more"
    seconds[0] += 1
    assert waits_s() == first


def sequences(partition: Any) -> list[int]:
    return [i.record.sequence for i in drained(partition)]


def test_a_partition_told_where_to_begin_sees_only_what_comes_later() -> None:
    broker = broker_with(encode(gop(sequence=0)))
    source = part(broker, starts={0: 1})
    assert drained(source) == []
    put(broker, encode(gop(sequence=1)))
    assert sequences(source) == [1]


@pytest.mark.parametrize("snapshot", [{"next": 1, "ended": []}, {"next": None, "ended": []}, None])
def test_a_resume_before_the_first_record_begins_where_the_first_start_did(snapshot: Any) -> None:
    broker = broker_with(encode(gop(sequence=0)))
    source = part(broker, starts={0: 1})
    assert drained(source) == []
    assert source.snapshot() == {"next": 1, "ended": []}
    put(broker, encode(gop(sequence=1)))
    assert sequences(part(broker, snapshot, starts={0: 1})) == [1]


class LosesConnections(MemoryBroker):
    """Loses the connection at the next poll once `lose` is set."""

    lose = False
    closed = 0

    def reader(self, topic: str, starts: Any) -> Any:
        reader = super().reader(topic, starts)
        poll = reader.poll

        def polled(most: int) -> list[Any]:
            if self.lose:
                self.lose = False
                raise BrokerUnavailable("the connection is lost")
            return poll(most)

        def close() -> None:
            self.closed += 1

        reader.poll = polled  # type: ignore[method-assign]
        reader.close = close  # type: ignore[method-assign]
        return reader


def test_a_reconnection_before_the_first_record_begins_where_the_first_start_did() -> None:
    broker = LosesConnections()
    broker.ensure_topic(TOPIC, TopicSettings(partitions=1))
    put(broker, encode(gop(sequence=0)))
    source = part(broker, starts={0: 1})
    assert drained(source) == []
    put(broker, encode(gop(sequence=1)))
    broker.lose = True
    assert sequences(source) == [1]
    assert not broker.lose
    assert broker.closed == 1, "the connection that was lost"


def test_the_position_stays_at_the_first_part_of_a_gop_half_read() -> None:
    parts = [encode(p) for p in split(gop("a", 1, size=50_000), 20_000)]
    broker = broker_with(encode(gop("b", 0)), *parts[:2], encode(gop("b", 1)))
    source = part(broker)
    assert [i.record.camera for i in drained(source)] == ["b", "b"]
    state = source.snapshot()
    assert state["next"] == 1
    put(broker, *parts[2:])
    again = drained(part(broker, state))
    assert [(i.record.camera, i.record.parts) for i in again] == [("b", 1), ("a", 1)]
    assert again[1].record == gop("a", 1, size=50_000)


def test_what_cannot_be_used_comes_as_a_value_with_its_place_and_bytes() -> None:
    broker = broker_with(encode(gop(sequence=0)), b"rubbish", encode(gop(sequence=2)))
    good, bad, other = drained(part(broker))
    assert isinstance(good, Arrived) and isinstance(other, Arrived)
    assert isinstance(bad, DeadRecord)
    assert (bad.topic, bad.partition, bad.offset, bad.key, bad.data) == (TOPIC, 0, 1, "c1", b"rubbish")


def test_a_gop_whose_part_is_missing_is_told() -> None:
    parts = split(gop(size=50_000), 20_000)
    broker = broker_with(encode(parts[0]), encode(parts[2]), encode(gop(sequence=1)))
    lost, whole = drained(part(broker))
    assert isinstance(lost, DeadRecord) and "part 1 of 4 never came" in lost.reason
    assert whole.record == gop(sequence=1)


def test_erased_records_are_told_and_the_position_moves_on() -> None:
    broker = broker_with(*(encode(gop(sequence=n)) for n in range(6)))
    broker.erase(TOPIC, 0, 4)
    source = part(broker, {"next": 1, "ended": []})
    erased, *rest = drained(source)
    assert erased == Erased(TOPIC, 0, 1, 4)
    assert [i.record.sequence for i in rest] == [4, 5]
    assert source.snapshot()["next"] == 6


def test_a_reconnection_tells_what_was_erased_no_second_time() -> None:
    broker = LosesConnections()
    broker.ensure_topic(TOPIC, TopicSettings(partitions=1))
    put(broker, *(encode(gop(sequence=n)) for n in range(3)))
    source = part(broker)
    assert sequences(source) == [0, 1, 2]
    put(broker, *(encode(gop(sequence=n)) for n in range(3, 6)))
    broker.erase(TOPIC, 0, 6)
    assert drained(source) == [Erased(TOPIC, 0, 3, 6)]
    broker.lose = True
    put(broker, encode(gop(sequence=6)))
    assert sequences(source) == [6]
    assert not broker.lose


def test_a_restart_tells_what_was_erased_within_a_gop_no_second_time() -> None:
    parts = [encode(p) for p in split(gop("a", 1, size=50_000), 20_000)]
    broker = broker_with(encode(gop("b", 0)), *parts[:2])
    source = part(broker)
    assert [i.record.camera for i in drained(source)] == ["b"]
    put(broker, *parts[2:], encode(gop("b", 5)))
    broker.erase(TOPIC, 0, 1 + len(parts))
    assert [type(i) for i in drained(source)] == [Erased, Arrived]
    assert [type(i) for i in drained(part(broker, source.snapshot()))] == [Arrived]


def neighbours(broker: MemoryBroker, partitions: int, **more: Any) -> tuple[TopicSource, list[Any]]:
    """A source of several partitions, and the partitions."""
    source = TopicSource(
        broker=broker, topic=TOPIC, partitions=range(partitions), clock=itertools.count().__next__, **more
    )
    return source, [source.build_part("s", str(p), None) for p in range(partitions)]


def test_the_backlog_of_one_partition_is_not_read_into_memory_by_those_that_have_nothing() -> None:
    broker = broker_with(*(encode(gop(sequence=n)) for n in range(400)), partitions=16)
    source, parts = neighbours(broker, 16, batch=4)
    given: list[int] = []
    while len(given) < 400:
        for each in parts:
            given.extend(i.record.sequence for i in each.next_batch())
            assert sum(map(len, source._fetchers[0]._buffers.values())) <= 4
    assert given == list(range(400))


def test_partitions_with_little_are_read_beside_one_with_a_backlog() -> None:
    broker = broker_with(*(encode(gop(sequence=n)) for n in range(400)), partitions=3)
    put(broker, encode(gop("c2")), partition=2)
    _, parts = neighbours(broker, 3, batch=4)
    rounds = [[len(list(each.next_batch())) for each in parts] for _ in range(5)]
    assert sum(each[2] for each in rounds) == 1
    assert all(each[0] for each in rounds), "the backlog is worked off meanwhile"


def other_end() -> EndOfInterval:
    return msgspec.structs.replace(end(), camera="c2")


def test_a_bounded_read_ends_with_the_last_end_that_is_awaited_also_after_a_restart() -> None:
    broker = broker_with(encode(gop()), encode(end()), encode(gop("c2")), encode(other_end()), encode(gop("c3")))
    until = {0: {end_key(end()), end_key(other_end())}}
    source = part(broker, until=until)
    items = drained(source)
    assert [type(i.record).__name__ for i in items] == ["Gop", "EndOfInterval", "Gop", "EndOfInterval"]
    with pytest.raises(StopIteration):
        source.next_batch()
    one = part(broker, until=until, batch=2)
    list(one.next_batch())
    resumed = part(broker, one.snapshot(), until=until)
    assert len(drained(resumed)) == 2
    finished = part(broker, resumed.snapshot(), until=until)
    assert drained(finished) == []
    with pytest.raises(StopIteration):
        finished.next_batch()


def test_a_partition_without_anything_awaited_ends_at_once() -> None:
    with pytest.raises(StopIteration):
        part(broker_with(encode(gop())), until={1: {end_key(end())}}).next_batch()


def test_asked_to_stop_it_ends_with_its_position() -> None:
    stop = [False]
    source = part(broker_with(*(encode(gop(sequence=n)) for n in range(5))), stop=lambda: stop[0], batch=2)
    list(source.next_batch())
    stop[0] = True
    with pytest.raises(StopIteration):
        source.next_batch()
    assert source.snapshot()["next"] == 2


def test_a_source_reads_on_after_the_broker_was_away() -> None:
    broker = broker_with(encode(gop(sequence=0)))
    source = part(broker)
    assert len(drained(source)) == 1
    broker.down = True
    assert drained(source) == []
    broker.down = False
    put(broker, encode(gop(sequence=1)))
    assert [i.record.sequence for i in drained(source)] == [1]


class Flaky(MemoryBroker):
    """Acknowledges only the first record of each of the next writes."""

    failures = 0

    def _append(self, topic: str, messages: Sequence[Outgoing]) -> None:
        if self.failures:
            self.failures -= 1
            super()._append(topic, messages[:1])
            if messages[1:]:
                raise NotAcknowledged("no answer", messages[1:])
            return
        super()._append(topic, messages)


def flaky(failures: int) -> Flaky:
    broker = Flaky()
    broker.ensure_topic(TOPIC, TopicSettings(partitions=1))
    broker.failures = failures
    return broker


def outgoing(count: int) -> list[Outgoing]:
    return [Outgoing(0, "c1", b"%d" % n) for n in range(count)]


def test_a_sink_writes_again_what_was_not_acknowledged_in_order_and_no_more() -> None:
    broker, waits, told = flaky(3), [], []
    sink = TopicSink(broker=broker, topic=TOPIC, sleep=waits.append, tell=told.append).build("s", 0, 1)
    sink.write_batch(outgoing(6))
    assert [m.value for m in broker.messages(TOPIC)] == [b"%d" % n for n in range(6)]
    assert waits == [0.5, 1.0, 2.0]
    sink.write_batch(outgoing(1))
    assert told == ["no answer", "no answer", "no answer", ""]


def test_a_sink_asked_to_stop_gives_up_in_time_and_says_how_much_is_unwritten() -> None:
    broker = flaky(0)
    broker.down = True
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    sink = TopicSink(broker=broker, topic=TOPIC, stop=lambda: True, sleep=sleep, clock=lambda: now[0])
    with pytest.raises(BrokerUnavailable, match="4 records of t stay unwritten"):
        sink.build("s", 0, 1).write_batch(outgoing(4))
    assert now[0] <= 12


def test_a_record_that_is_refused_for_good_ends_the_flow() -> None:
    broker = MemoryBroker()
    broker.ensure_topic(TOPIC, TopicSettings(partitions=1, record_limit_bytes=10))
    with pytest.raises(BrokerError, match="record_limit_bytes"):
        TopicSink(broker=broker, topic=TOPIC).build("s", 0, 1).write_batch([Outgoing(0, "k", bytes(11))])


def test_an_idle_topic_is_not_asked_again_at_once() -> None:
    broker, now = broker_with(), [0.0]
    source = part(broker, clock=lambda: now[0])
    assert drained(source) == []
    put(broker, encode(gop()))
    assert drained(source) == []
    now[0] = 0.03
    assert len(drained(source)) == 1
