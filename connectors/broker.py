# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a broker does for us: `kafka.py` is the real one, `memory_broker.py` its twin; one contract tests both."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from connectors.errors import BrokerUnavailable

log = logging.getLogger(__name__)
T = TypeVar("T")


class Message(NamedTuple):
    """One record as a reader gets it."""

    partition: int
    offset: int
    key: str
    value: bytes


class Outgoing(NamedTuple):
    """One record to be written."""

    partition: int
    key: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSettings:
    """How a topic is made; the broker's time is always `LogAppendTime`, capture time travels in the record."""

    partitions: int
    replication: int = 1
    retention_hours: int | None = None
    """None: kept until the topic is deleted."""
    record_limit_bytes: int = 4_000_000


class Reader(Protocol):
    """Reads partitions of one topic from given offsets on. Not thread-safe."""

    def poll(self, most: int) -> list[Message]:
        """What is there now, at most so many records, in order within each partition; never waits.

        Raises OffsetGone when the broker erased what was next; reading that partition goes on at the earliest.
        """

    def finish(self, partition: int) -> None:
        """Read no more of this partition."""

    def close(self) -> None:
        """Free the connection."""


class Writer(Protocol):
    """Writes records. Not thread-safe."""

    def write(self, topic: str, messages: Sequence[Outgoing]) -> None:
        """Write all, and return once every one is acknowledged.

        Raises NotAcknowledged with those that are not, BrokerError when the broker refuses a record for good.
        """

    def close(self) -> None:
        """Free the connection."""


class NotAcknowledged(BrokerUnavailable):
    """Some records were not acknowledged; writing them again, in this order, is safe."""

    def __init__(self, reason: str, messages: Sequence[Outgoing]) -> None:
        super().__init__(reason)
        self.messages = list(messages)


class Broker(Protocol):
    """A broker that readers and writers come from. Methods raise BrokerUnavailable while it does not answer."""

    @property
    def address(self) -> str:
        """How a log line names it."""

    def ensure_topic(self, topic: str, settings: TopicSettings) -> None:
        """Make the topic, or bring partitions (more only), retention and record limit of the present one to these."""

    def delete_topic(self, topic: str) -> None:
        """Delete the topic and its records; nothing happens when there is none."""

    def topics(self) -> frozenset[str]:
        """Names of all topics of ours."""

    def extent(self, topic: str) -> dict[int, tuple[int, int]]:
        """Earliest and next offset of each partition; empty when there is no such topic."""

    def free_bytes(self) -> int | None:
        """Room on the fullest of its disks, 0 on one that fails; None when it does not say."""

    def reader(self, topic: str, starts: Mapping[int, int | None]) -> Reader:
        """A reader of the partitions named, from these offsets (None: the earliest)."""

    def writer(self) -> Writer:
        """A writer."""


def back_off(first_s: float = 0.5, most_s: float = 15.0) -> Iterator[float]:
    """Seconds to wait before each next attempt: doubling up to a ceiling."""
    wait = first_s
    while True:
        yield wait
        wait = min(2 * wait, most_s)


def until_available(
    action: Callable[[], T],
    *,
    stop: Callable[[], bool],
    sleep: Callable[[float], None] = time.sleep,
) -> T | None:
    """Do it, again and again while the broker is away, saying so each time; None when `stop` says so meanwhile."""
    for wait_s in back_off():
        try:
            return action()
        except BrokerUnavailable as fault:
            log.warning("%s; trying again in %.1f s", fault, wait_s)
        while wait_s > 0 and not stop():
            sleep(min(0.1, wait_s))
            wait_s -= 0.1
        if stop():
            break
    return None
