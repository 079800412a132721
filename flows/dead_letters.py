# SPDX-License-Identifier: AGPL-3.0-or-later
"""Records that cannot be used go to `dead.<scope>` with their reason; a flow that can read few of its records stops."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from connectors import topics
from connectors.broker import Broker, Outgoing, until_available
from connectors.records import DeadRecord, encode, headers
from connectors.site import Site
from connectors.topic_sink import TopicSink
from connectors.topic_source import Arrived, Erased, TopicSource
from flows import metrics
from flows.drain import Drain
from flows.errors import MostlyBad

log = logging.getLogger(__name__)

LOOK_BACK = 200
MOST_BAD = 0.5
"""A flow stops when more than this share of its last `LOOK_BACK` records is bad."""


@dataclass(slots=True)
class DeadLetterLimit:
    """Counts records that can be read and that cannot; raises MostlyBad past the limit.

    Fewer than `least` bad ones never stop a flow.
    """

    flow: str
    least: int = 50
    _recent: deque[bool] = field(default_factory=lambda: deque(maxlen=LOOK_BACK))

    def __call__(self, item: Arrived | DeadRecord | Erased) -> bool:
        """Whether the item is good; what is bad is counted and told."""
        bad = isinstance(item, DeadRecord)
        self._recent.append(bad)
        if isinstance(item, DeadRecord):
            metrics.count("passage_dead_records_total", flow=self.flow, error=item.error)
            where = f"{item.topic}/{item.partition}, offset {item.offset}"
            log.error("a record cannot be used (%s): %s", where, item.reason)
            if sum(self._recent) >= max(self.least, MOST_BAD * len(self._recent)):
                raise MostlyBad(
                    f"{sum(self._recent)} of the last {len(self._recent)} records of {item.topic} cannot be used, the "
                    f"last because: {item.reason}. Stopped, so that they stay where they are"
                )
        elif isinstance(item, Erased):
            self._erased(item)
        return isinstance(item, Arrived)

    def _erased(self, item: Erased) -> None:
        missing = item.end_offset - item.first_offset
        metrics.count("passage_erased_records_total", max(0, missing), flow=self.flow)
        if missing < 0:  # how many of those before were not read, nobody can know
            log.error(
                "%s/%d begins anew at offset %d, and %d was to be read next: the broker lost records or the topic was "
                "made again; reading from there on",
                item.topic,
                item.partition,
                item.end_offset,
                item.first_offset,
            )
            return
        log.error(
            "%d records of %s/%d were erased before they were read: raise kafka.live_hours or run more processes",
            missing,
            item.topic,
            item.partition,
        )


def read_topic(flow: Dataflow, name: str, source: TopicSource, scope: str, drain: Drain) -> Any:
    """Stream of `Arrived` from a topic; what cannot be used goes to `dead.<scope>` (make it with `ensure_dead`)."""
    items: Any = op.input("records", flow, source)
    told = op.branch("usable", items, DeadLetterLimit(name))
    dead = op.flat_map("dead", told.falses, _as_message)
    op.output("dead_letters", dead, TopicSink(broker=source.broker, topic=topics.dead(scope), stop=drain))
    return told.trues


def _as_message(item: DeadRecord | Erased) -> list[Outgoing]:
    if isinstance(item, Erased):
        return []
    return [Outgoing(item.partition, item.key, encode(item), tuple(headers(item)))]


def ensure_topics(broker: Broker, site: Site, scope: str, drain: Drain, *names: str) -> bool:
    """Make the topics named and the scope's dead-letter topic, waiting for the broker; False when drained meanwhile."""
    wanted = topics.settings(site, scope)
    for topic in (*names, topics.dead(scope)):
        until_available(lambda topic=topic: broker.ensure_topic(topic, wanted), stop=drain)  # type: ignore[misc]
        if drain():
            return False
    return True
