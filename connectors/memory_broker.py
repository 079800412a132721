# SPDX-License-Identifier: AGPL-3.0-or-later
"""The broker's twin in memory: same contract, for tests and for flows that run within one process."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from connectors.broker import Message, NotAcknowledged, Outgoing, TopicSettings
from connectors.errors import BrokerError, BrokerUnavailable, OffsetGone


@dataclass(slots=True)
class _Partition:
    earliest: int = 0
    records: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.earliest + len(self.records)


class MemoryBroker:
    """Topics as lists. `down` makes it unreachable; `erase` is retention at work; `free` is the room that it tells."""

    def __init__(self) -> None:
        self._topics: dict[str, tuple[TopicSettings, list[_Partition]]] = {}
        self._lock = threading.Lock()
        self.down = False
        self.free = 2**40

    @property
    def address(self) -> str:
        """It has none."""
        return "memory"

    def ensure_topic(self, topic: str, settings: TopicSettings) -> None:
        """Make it, or give it more partitions."""
        with self._lock:
            self._answer()
            _, parts = self._topics.get(topic, (settings, []))
            parts.extend(_Partition() for _ in range(settings.partitions - len(parts)))
            self._topics[topic] = (settings, parts)

    def delete_topic(self, topic: str) -> None:
        """Forget it."""
        with self._lock:
            self._answer()
            self._topics.pop(topic, None)

    def topics(self) -> frozenset[str]:
        """Names of all topics."""
        with self._lock:
            self._answer()
            return frozenset(self._topics)

    def extent(self, topic: str) -> dict[int, tuple[int, int]]:
        """Earliest and next offset of each partition."""
        with self._lock:
            self._answer()
            _, parts = self._topics.get(topic, (None, []))
            return {n: (p.earliest, p.end) for n, p in enumerate(parts)}

    def free_bytes(self) -> int | None:
        """What it was told to tell."""
        self._answer()
        return self.free

    def reader(self, topic: str, starts: Mapping[int, int | None]) -> _MemoryReader:
        """A reader from these offsets."""
        known = self.extent(topic)
        missing = sorted(set(starts) - set(known))
        if missing:
            raise BrokerError(f"topic {topic} has no partition {missing}; it has {len(known)}")
        return _MemoryReader(self, topic, {p: known[p][0] if o is None else o for p, o in starts.items()})

    def writer(self) -> _MemoryWriter:
        """A writer."""
        return _MemoryWriter(self)

    def erase(self, topic: str, partition: int, before: int) -> None:
        """Drop records with offsets under `before`, as retention does."""
        with self._lock:
            part = self._topics[topic][1][partition]
            del part.records[: max(0, before - part.earliest)]
            part.earliest = max(part.earliest, before)

    def messages(self, topic: str) -> list[Message]:
        """Everything a topic holds, partition by partition."""
        with self._lock:
            return [
                Message(n, p.earliest + i, key, value)
                for n, p in enumerate(self._topics[topic][1])
                for i, (key, value) in enumerate(p.records)
            ]

    def _answer(self) -> None:
        if self.down:
            raise BrokerUnavailable("the broker in memory is down")

    def _append(self, topic: str, messages: Sequence[Outgoing]) -> None:
        with self._lock:
            if self.down:
                raise NotAcknowledged("the broker in memory is down", messages)
            if topic not in self._topics:
                raise BrokerError(f"topic {topic} does not exist")
            settings, parts = self._topics[topic]
            for message in messages:
                if not 0 <= message.partition < len(parts):
                    raise BrokerError(f"topic {topic} has no partition {message.partition}; it has {len(parts)}")
                if len(message.value) > settings.record_limit_bytes:
                    raise BrokerError(
                        f"a record of {len(message.value)} bytes is over the limit of {settings.record_limit_bytes} "
                        f"of topic {topic}: raise kafka.record_limit_bytes"
                    )
                parts[message.partition].records.append((message.key, message.value))


class _MemoryReader:
    def __init__(self, broker: MemoryBroker, topic: str, positions: dict[int, int]) -> None:
        self._broker = broker
        self._topic = topic
        self._positions = positions

    def poll(self, most: int) -> list[Message]:
        found: list[Message] = []
        with self._broker._lock:
            if self._broker.down:
                return []
            parts = self._broker._topics[self._topic][1]
            for n, position in list(self._positions.items()):
                part = parts[n]
                if not part.earliest <= position <= part.end:
                    self._positions[n] = part.earliest
                    raise OffsetGone(self._topic, n, position, part.earliest)
                for key, value in part.records[position - part.earliest :][: most - len(found)]:
                    found.append(Message(n, self._positions[n], key, value))
                    # Put last, so that as with Kafka each partition has its turn.
                    self._positions[n] = self._positions.pop(n) + 1
        return found

    def finish(self, partition: int) -> None:
        self._positions.pop(partition, None)

    def close(self) -> None:
        self._positions.clear()


class _MemoryWriter:
    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def write(self, topic: str, messages: Sequence[Outgoing]) -> None:
        self._broker._append(topic, messages)

    def close(self) -> None:
        return
