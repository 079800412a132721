# SPDX-License-Identifier: AGPL-3.0-or-later
"""Continuous indexing has no end: a broker that asks the flow to drain once all that is there was read."""

from __future__ import annotations

from typing import Any

from connectors.broker import Broker
from flows.drain import Drain


class EndsAtTheEnd:
    """A broker that asks the flow to drain once all that is there was read: continuous indexing has no end."""

    def __init__(self, broker: Broker, drain: Drain) -> None:
        self._broker = broker
        self._drain = drain

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    def reader(self, topic: str, starts: Any) -> Any:
        reader = self._broker.reader(topic, starts)
        ends = {p: end for p, (_, end) in self._broker.extent(topic).items()}
        poll = reader.poll
        read = {p: 0 for p in starts}

        def counted(most: int) -> list[Any]:
            if all(read[p] >= ends[p] for p in starts):
                self._drain.ask()
            messages = poll(most)
            for message in messages:
                read[message.partition] = message.offset + 1
            return messages

        reader.poll = counted
        return reader
