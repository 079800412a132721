# SPDX-License-Identifier: AGPL-3.0-or-later
"""A Bytewax source over a topic of records: decoded, split GOPs joined, what cannot be used as a value with its reason.

Partition keys are Kafka partition numbers. The snapshot is the offset to read next; with a GOP half read, that of its
first part, so that a restart reads it whole. Records may thus come twice, never not at all.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypedDict

import msgspec
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors.broker import Broker, Message, Reader, until_available
from connectors.errors import BrokerUnavailable, OffsetGone, RecordError
from connectors.gop import EndOfInterval, Gop
from connectors.records import DeadRecord, Joiner, decode_frame
from connectors.site import utc_now

log = logging.getLogger(__name__)

IDLE = (timedelta(milliseconds=50), timedelta(milliseconds=250))
"""How soon a partition that had nothing is asked again: at first, and once it had nothing for `LONG_IDLE_S`."""
LONG_IDLE_S = 2.0
QUIET_S = 0.025
"""After a poll that found nothing the broker is left alone so long, however many partitions ask."""
BATCH_BYTES = 8_000_000

Ended = tuple[str, str, str]
"""Camera, start and end (ISO) of an interval whose EndOfInterval was read."""


class Arrived(msgspec.Struct, frozen=True):
    """A record and where it lay."""

    record: Any
    """FrameRecord or IndexRecord, as the source's decoder makes them."""
    partition: int
    offset: int


class Erased(msgspec.Struct, frozen=True):
    """Records that the broker erased before they were read."""

    topic: str
    partition: int
    first_offset: int
    end_offset: int


Item = Arrived | DeadRecord | Erased


class Position(TypedDict):
    """What a partition's snapshot holds."""

    next: int | None
    ended: list[Ended]


def end_key(record: EndOfInterval) -> Ended:
    """How `until` names an EndOfInterval."""
    return (record.camera, record.started_at.isoformat(), record.ended_at.isoformat())


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSource(FixedPartitionedSource[Item, Position]):
    """Reads `partitions` of `topic`.

    `until`: partition → the intervals whose EndOfInterval ends it; a partition that is not named there ends at once.
    None reads on until `stop` says so, which then ends every partition with its position snapshotted.
    `starts`: partition → offset at which it begins without a snapshot; one that is not named there begins at the
    earliest record.
    """

    broker: Broker
    topic: str
    partitions: Collection[int]
    stop: Callable[[], bool] = lambda: False
    decode: Callable[[bytes], Any] = decode_frame
    until: Mapping[int, Collection[Ended]] | None = None
    starts: Mapping[int, int] = field(default_factory=dict)
    batch: int = 32
    now: Callable[[], datetime] = utc_now
    clock: Callable[[], float] = time.monotonic
    _fetchers: list[_Fetcher] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        """Refuse an empty share, with which Bytewax would end in silence."""
        if not self.partitions:
            raise ValueError(f"no partition of {self.topic} to read: check --share and kafka.partitions")
        object.__setattr__(self, "_fetchers", [])

    def list_parts(self) -> list[str]:
        """The partitions' numbers."""
        return [str(p) for p in sorted(self.partitions)]

    def build_part(self, step_id: str, for_part: str, resume_state: Position | None) -> _TopicPartition:
        """One partition, from its snapshot or where it begins."""
        if not self._fetchers:
            self._fetchers.append(_Fetcher(self))
        state = resume_state or Position(next=None, ended=[])
        return _TopicPartition(self, self._fetchers[0], int(for_part), state)


class _Fetcher:
    """One reader for all partitions of a process, handing each its own records; no more than a batch waits in memory.

    Whatever partition asks, the broker may answer with another's records: where one has a backlog and fifteen have
    nothing, those fifteen would read its backlog in faster than it is worked off.
    """

    def __init__(self, source: TopicSource) -> None:
        self._source = source
        self._reader: Reader | None = None
        self._starts: dict[int, int | None] = {}
        self._buffers: dict[int, deque[Message | OffsetGone]] = {}
        self._held = 0
        self._open = 0
        self._quiet_until = float("-inf")

    def add(self, partition: int, start: int | None) -> None:
        self._starts[partition] = start
        self._buffers[partition] = deque()
        self._open += 1

    def take(self, partition: int) -> Message | OffsetGone | None:
        buffer = self._buffers[partition]
        if not buffer:
            self._poll()
        if not buffer:
            return None
        self._held -= 1
        return buffer.popleft()

    def _poll(self) -> None:
        if self._reader is None:
            self._reader = until_available(self._connect, stop=self._source.stop)
            if self._reader is None:
                return
        room = self._source.batch - self._held
        if room <= 0 or self._source.clock() < self._quiet_until:
            return
        try:
            messages = self._reader.poll(room)
            for message in messages:
                self._hold(message)
            if not messages:
                self._quiet_until = self._source.clock() + QUIET_S
        except OffsetGone as gone:
            self._hold(gone)
        except BrokerUnavailable as fault:
            log.warning("%s; connecting again", fault)
            self._disconnect()
            for partition in self._buffers:
                self._let_go(partition)

    def _hold(self, message: Message | OffsetGone) -> None:
        self._buffers[message.partition].append(message)
        self._held += 1

    def _let_go(self, partition: int) -> None:
        self._held -= len(self._buffers[partition])
        self._buffers[partition].clear()

    def _connect(self) -> Reader:
        return self._source.broker.reader(self._source.topic, dict(self._starts))

    def reached(self, partition: int, next_offset: int) -> None:
        """A reconnection goes on at this offset."""
        self._starts[partition] = next_offset

    def finish(self, partition: int) -> None:
        self._starts.pop(partition, None)
        self._let_go(partition)  # what it left, nobody takes any more
        if self._reader is not None:
            self._reader.finish(partition)
        self._open -= 1
        if self._open == 0:
            self._disconnect()

    def _disconnect(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()


class _TopicPartition(StatefulSourcePartition[Item, Position]):
    def __init__(self, source: TopicSource, fetcher: _Fetcher, partition: int, state: Position) -> None:
        self._source = source
        self._fetcher = fetcher
        self._partition = partition
        self._next = source.starts.get(partition) if state["next"] is None else state["next"]
        self._ended = {tuple(e) for e in state["ended"]}
        self._awaited = None if source.until is None else set(source.until.get(partition, ()))
        self._joiner = Joiner()
        self._erased_before = 0
        self._idle_since: float | None = None
        self._finished = False
        fetcher.add(partition, self._next)

    def next_batch(self) -> Iterable[Item]:
        if self._finished or self._source.stop() or (self._awaited is not None and self._awaited <= self._ended):
            if not self._finished:
                self._finished = True
                self._fetcher.finish(self._partition)
            raise StopIteration
        items: list[Item] = []
        size = 0
        while len(items) < self._source.batch and size < BATCH_BYTES:
            message = self._fetcher.take(self._partition)
            if message is None:
                break
            if isinstance(message, OffsetGone):
                items.append(Erased(message.topic, message.partition, message.asked, message.earliest))
                self._next = self._erased_before = message.earliest
                self._fetcher.reached(self._partition, self._next)
                continue
            size += len(message.value)
            items.extend(self._items(message))
            self._next = message.offset + 1
            self._fetcher.reached(self._partition, self._next)
            if self._awaited is not None and self._awaited <= self._ended:
                break
        if items or size:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = self._source.clock()
        return items

    def _items(self, message: Message) -> list[Item]:
        try:
            record = self._source.decode(message.value)
        except RecordError as fault:
            return [self._dead(message, fault)]
        if isinstance(record, Gop):
            whole, lost = self._joiner.add(record, message.offset)
            items: list[Item] = []
            if lost is not None:
                items.append(self._dead(message, RecordError(lost)))
            if whole is not None:
                items.append(Arrived(whole, message.partition, message.offset))
            return items
        if isinstance(record, EndOfInterval):
            self._ended.add(end_key(record))
        return [Arrived(record, message.partition, message.offset)]

    def _dead(self, message: Message, fault: RecordError) -> DeadRecord:
        return DeadRecord(
            topic=self._source.topic,
            partition=message.partition,
            offset=message.offset,
            key=message.key,
            error=type(fault).__name__,
            reason=str(fault),
            data=message.value,
            found_at=self._source.now(),
        )

    def next_awake(self) -> datetime | None:
        if self._idle_since is None:
            return None
        # Many partitions that are asked in vain twenty times a second take a tenth of a core for nothing.
        return self._source.now() + IDLE[self._source.clock() - self._idle_since > LONG_IDLE_S]

    def snapshot(self) -> Position:
        oldest = self._joiner.oldest_offset
        ended: list[Ended] = sorted(self._ended) if self._awaited is not None else []  # type: ignore[arg-type]
        # What is erased was told: a restart behind it would tell it again, and read nothing more of it.
        resume = self._next if oldest is None else max(oldest, self._erased_before)
        return Position(next=resume, ended=ended)

    def close(self) -> None:
        if not self._finished:
            self._finished = True
            self._fetcher.finish(self._partition)
