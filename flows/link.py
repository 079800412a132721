# SPDX-License-Identifier: AGPL-3.0-or-later
"""Passages to the store, and vehicle ids across cameras: continuous, or for one signed order.

passages.<scope> ─┬▶ views to the archive ─▶ passages, tracks, coverage to the store
                  └▶ link (state of one scope, snapshotted) ─▶ vehicle ids to the store
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from connectors import topics
from connectors.archive_views import ArchiveViews
from connectors.broker import Broker, back_off
from connectors.clickhouse import open_writer
from connectors.errors import ArchiveFull, StoreUnavailable
from connectors.gop import EndOfInterval
from connectors.kafka import site_broker
from connectors.orders import ReplayOrder
from connectors.partitions import site_partitions
from connectors.records import IndexRecord, decode_index
from connectors.site import METRICS, Site, load_site, utc_now
from connectors.store import StoreWriter
from connectors.topic_sink import STOPPING_S
from connectors.topic_source import Arrived, TopicSource
from flows import metrics
from flows.dead_letters import ensure_topics, read_topic
from flows.drain import Drain
from flows.intervals import awaited
from flows.program import arguments, run_program, serve_metrics
from flows.progress import Progress
from flows.recovery import recovery_dir, run_flow
from flows.replay import load_order
from reid.linking import Linking
from reid.passage import LIVE, Coverage, Passage, Track, VehicleLink

Given = TypeVar("Given")
Made = TypeVar("Made")

log = logging.getLogger(__name__)

FLOW = "link"

Row = Passage | Track | Coverage | VehicleLink


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The stateful step: passages and ends of intervals in, vehicle links out."""

    positions_m: Mapping[str, tuple[float, float]]
    headings_deg: Mapping[str, float]
    expected: frozenset[tuple[str, datetime]] | None
    """(camera, start) of the intervals after whose ends an order is linked; None in continuous indexing."""

    def __call__(self, state: Linking | None, record: Passage | EndOfInterval) -> tuple[Linking, list[VehicleLink]]:
        """State and links."""
        with metrics.stage(FLOW, "associate"):
            linking = state or Linking(record.scope)
            if isinstance(record, Passage):
                continuous = self.expected is None
                links = linking.take(record, self.positions_m, self.headings_deg, continuous=continuous)
            elif self.expected is not None:
                links = linking.end(
                    record.camera, record.started_at, self.expected, self.positions_m, self.headings_deg
                )
            else:
                links = []
        return linking, links


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSink(DynamicSink[Row]):
    """Inserts rows, views first. While the store is away or the disk full it tries again; Kafka keeps the rest."""

    store: Callable[[], StoreWriter]
    views: ArchiveViews
    stop: Callable[[], bool]
    sleep: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSinkPartition[Row]:
        """One writer a worker."""
        return _StoreSinkPartition(self)


class _StoreSinkPartition(StatelessSinkPartition[Row]):
    def __init__(self, sink: StoreSink) -> None:
        self._sink = sink
        self._store = sink.store()

    def write_batch(self, items: list[Row]) -> None:
        passages = [self._patiently(self._without_pictures, i) for i in items if isinstance(i, Passage)]
        tracks = [i for i in items if isinstance(i, Track)]
        coverage = [i for i in items if isinstance(i, Coverage)]
        links = [i for i in items if isinstance(i, VehicleLink)]
        with metrics.stage(FLOW, "write"):
            # A passage is found only once its track and coverage can be shown with it.
            self._patiently(self._store.insert_tracks, tracks)
            self._patiently(self._store.insert_coverage, coverage)
            self._patiently(self._store.insert_passages, passages)
            self._patiently(self._store.insert_links, links)
        for passage in passages:
            metrics.count("passage_passages_total", flow=FLOW, camera=passage.camera)

    def _without_pictures(self, passage: Passage) -> Passage:
        """Move the pictures into the archive; the row keeps where they lie."""
        views = []
        for number, view in enumerate(passage.views):
            if view.jpeg:
                reference = self._sink.views.put(passage.scope, passage.camera, view.at, passage.id, number, view.jpeg)
                view = msgspec.structs.replace(view, jpeg=b"", reference=reference)
            views.append(view)
        return msgspec.structs.replace(passage, views=tuple(views))

    def _patiently(self, act: Callable[[Given], Made], given: Given) -> Made:
        stopping_since: float | None = None
        waits = back_off()
        while True:
            try:
                return act(given)
            except (StoreUnavailable, ArchiveFull) as fault:
                wait_s = next(waits)
                if self._sink.stop():
                    stopping_since = stopping_since or self._sink.clock()
                    if self._sink.clock() - stopping_since > STOPPING_S:
                        raise
                    wait_s = min(wait_s, 1.0)
                log.warning("%s (trying again in %.1f s)", fault, wait_s)
                self._sink.sleep(wait_s)


def link_flow(source: TopicSource, link: Link, sink: StoreSink, scope: str, drain: Drain) -> Dataflow:
    """The dataflow."""
    flow = Dataflow("link")
    arrived: Any = read_topic(flow, FLOW, source, scope, drain)
    records = op.map("count", arrived, _counted)
    rows = op.filter("rows", records, lambda r: isinstance(r, Passage | Track | Coverage))
    op.output("store", rows, sink)
    linked = op.filter("linked", records, lambda r: isinstance(r, Passage | EndOfInterval))
    keyed = op.key_on("by_scope", linked, lambda r: r.scope)
    links = op.stateful_flat_map("link", keyed, link)
    op.output("links", op.map("bare", links, lambda pair: pair[1]), sink)
    return flow


def _counted(item: Arrived) -> IndexRecord:
    record: IndexRecord = item.record
    camera = record.camera
    metrics.count("passage_records_total", flow=FLOW, camera=camera)
    if isinstance(record, Passage | Coverage):
        lag = (utc_now() - record.ended_at).total_seconds()
        metrics.show("passage_lag_seconds", lag, flow=FLOW, camera=camera)
    return record


def link(
    site: Site,
    drain: Drain,
    *,
    order: ReplayOrder | None = None,
    broker: Broker | None = None,
    store: StoreWriter | None = None,
) -> None:
    """Store and link until drained, or to the end of an order."""
    broker = broker or site_broker(site, "indexer")
    scope = LIVE if order is None else order.scope
    places = site_partitions(site, also=() if order is None else order.cameras)
    partitions = sorted({places.of(c) for c in order.cameras}) if order is not None else list(range(places.partitions))
    if not ensure_topics(broker, site, scope, drain, topics.passages(scope)):
        return
    source = TopicSource(
        broker=broker,
        topic=topics.passages(scope),
        partitions=partitions,
        stop=drain,
        decode=decode_index,
        until=None if order is None else awaited(order, places, partitions),
        batch=256,
    )
    expected = None if order is None else frozenset((c, i.start) for c, i in order.stretches())
    step = Link(positions_m=site.positions_m, headings_deg=site.headings_deg, expected=expected)
    sink = StoreSink(store=lambda: store or open_writer(site), views=ArchiveViews(site.archive_dir), stop=drain)
    run_flow(link_flow(source, step, sink, scope, drain), recovery_dir(site, FLOW, scope))
    if order is not None:
        orders = site.data / "orders"
        orders.mkdir(parents=True, exist_ok=True)
        Progress(orders / f"{order.id}.{FLOW}.json").tell(now=True, state="waiting" if drain() else "done")
    log.info("drained" if drain() else "linked to its end")


def main() -> int:
    """`python -m flows.link --site site.toml (--live | --order FILE)`."""
    given = arguments(
        "flows.link",
        "Passages to the store, and vehicle ids.",
        live="what continuous indexing finds, until stopped",
        metrics_port="from the site file, live",
    ).parse_args()
    drain = Drain()

    def action() -> None:
        site = load_site(given.site)
        order = None if given.live else load_order(site, given.order, utc_now())
        serve_metrics(given, site.metrics_port + METRICS["link"] if given.live else 0)
        link(site, drain.on_signals(), order=order)

    return run_program(action)


if __name__ == "__main__":
    sys.exit(main())
