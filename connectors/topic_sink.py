# SPDX-License-Identifier: AGPL-3.0-or-later
"""A Bytewax sink that returns only when the broker has acknowledged every record, however long it is away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bytewax.outputs import DynamicSink, StatelessSinkPartition

from connectors.broker import Broker, NotAcknowledged, Outgoing, Writer, back_off
from connectors.errors import BrokerUnavailable

log = logging.getLogger(__name__)

STOPPING_S = 10.0
"""How long a sink still tries after the flow was asked to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSink(DynamicSink[Outgoing]):
    """Writes to `topic`. While the broker is away it tries again, and the flow waits: nothing is dropped.

    After `stop` it gives up within `STOPPING_S` seconds by raising BrokerUnavailable, so that no position is
    snapshotted past what was not written. `tell` is given the reason while it waits, and an empty text once it goes on.
    """

    broker: Broker
    topic: str
    stop: Callable[[], bool] = lambda: False
    tell: Callable[[str], object] = lambda _: None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSinkPartition[Outgoing]:
        """One writer a worker."""
        return _TopicSinkPartition(self)


class _TopicSinkPartition(StatelessSinkPartition[Outgoing]):
    def __init__(self, sink: TopicSink) -> None:
        self._sink = sink
        self._writer: Writer = sink.broker.writer()

    def write_batch(self, items: list[Outgoing]) -> None:
        left: Sequence[Outgoing] = items
        stopping_since: float | None = None
        waited = False
        for wait_s in back_off():
            try:
                self._writer.write(self._sink.topic, left)
                if waited:
                    self._sink.tell("")
                return
            except NotAcknowledged as fault:
                left = fault.messages
                if self._sink.stop():
                    stopping_since = stopping_since or self._sink.clock()
                    if self._sink.clock() - stopping_since > STOPPING_S:
                        raise BrokerUnavailable(
                            f"{fault}; {len(left)} records of {self._sink.topic} stay unwritten at the stop"
                        ) from fault
                    wait_s = min(wait_s, 1.0)
                self._sink.tell(str(fault))
                waited = True
                log.warning("%s; writing %d records of %s again in %.1f s", fault, len(left), self._sink.topic, wait_s)
                self._sink.sleep(wait_s)

    def close(self) -> None:
        self._writer.close()
