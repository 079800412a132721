# SPDX-License-Identifier: AGPL-3.0-or-later
"""Kafka to the archive: every GOP and gap of the share, on the disk before its offset counts as read.

frames.live ─▶ join ─▶ archive (append, fsync);  what cannot be used ─▶ dead.live
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from connectors import topics
from connectors.archive import ArchiveWriter
from connectors.broker import Broker, back_off
from connectors.errors import ArchiveFull
from connectors.gop import FrameRecord, Gap, Gop
from connectors.kafka import site_broker
from connectors.site import METRICS, Site, load_site, utc_now
from connectors.topic_source import Arrived, TopicSource
from flows import metrics
from flows.dead_letters import ensure_topics, read_topic
from flows.drain import Drain
from flows.program import arguments, run_program, serve_metrics
from flows.recovery import recovery_dir, run_flow
from flows.share import Share
from reid.passage import LIVE

log = logging.getLogger(__name__)

FLOW = "record"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSink(DynamicSink[FrameRecord]):
    """Appends and syncs before it returns. While the disk is full it waits; Kafka keeps the rest meanwhile."""

    archive: Callable[[], ArchiveWriter]
    stop: Callable[[], bool]
    sleep: Callable[[float], None] = time.sleep

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSinkPartition[FrameRecord]:
        """One writer a worker."""
        return _ArchiveSinkPartition(self)


class _ArchiveSinkPartition(StatelessSinkPartition[FrameRecord]):
    def __init__(self, sink: ArchiveSink) -> None:
        self._sink = sink
        self._archive = sink.archive()
        self._show_room()

    def write_batch(self, items: list[FrameRecord]) -> None:
        left = list(items)
        with metrics.stage(FLOW, "write"):
            for wait_s in back_off(1.0, 30.0):
                try:
                    while left:
                        self._archive.append(left[0])
                        del left[0]
                    self._archive.sync()
                    self._show_room()
                    return
                except ArchiveFull as fault:
                    self._show_room()
                    if self._sink.stop():
                        raise
                    log.error("%s (trying again in %.0f s)", fault, wait_s)
                    self._sink.sleep(wait_s)

    def _show_room(self) -> None:
        metrics.show("passage_archive_free_bytes", float(self._archive.free_bytes()), flow=FLOW)

    def close(self) -> None:
        self._archive.close()


def record_flow(
    source: TopicSource, sink: ArchiveSink, drain: Drain, now: Callable[[], datetime] = utc_now
) -> Dataflow:
    """The dataflow."""
    flow = Dataflow("record")
    arrived = read_topic(flow, FLOW, source, LIVE, drain)
    records = op.map("count", arrived, lambda item: _counted(item, now()))
    op.output("archive", records, sink)
    return flow


def _counted(item: Arrived, now: datetime) -> FrameRecord:
    record: FrameRecord = item.record
    camera = record.camera
    metrics.count("passage_records_total", flow=FLOW, camera=camera)
    if isinstance(record, Gop):
        seconds = (record.last_at - record.first_at).total_seconds()
        metrics.count("passage_bytes_total", len(record.payload), flow=FLOW, camera=camera)
        metrics.count("passage_frames_total", record.frames, flow=FLOW, camera=camera)
        metrics.count("passage_camera_seconds_total", seconds, flow=FLOW, camera=camera)
        metrics.show("passage_lag_seconds", (now - record.last_at).total_seconds(), flow=FLOW, camera=camera)
    elif isinstance(record, Gap):
        seconds = (record.ended_at - record.started_at).total_seconds()
        metrics.count("passage_gap_seconds_total", seconds, flow=FLOW, camera=camera)
    return record


def record(
    site: Site, share: Share, drain: Drain, broker: Broker | None = None, archive: ArchiveWriter | None = None
) -> None:
    """Run until drained."""
    broker = broker or site_broker(site, "record")
    partitions = share.of(site.kafka.partitions)
    if not ensure_topics(broker, site, LIVE, drain, topics.FRAMES_LIVE):
        return
    site.archive_dir.mkdir(parents=True, exist_ok=True)
    log.info("share %s: partitions %s, archive %s", share, partitions, site.archive_dir)
    source = TopicSource(broker=broker, topic=topics.FRAMES_LIVE, partitions=partitions, stop=drain)
    sink = ArchiveSink(archive=lambda: archive or ArchiveWriter(site.archive_dir), stop=drain)
    run_flow(record_flow(source, sink, drain), recovery_dir(site, FLOW, share=share))
    log.info("drained")


def main() -> int:
    """`python -m flows.record --site site.toml`."""
    given = arguments(
        "flows.record", "Kafka to the archive.", share=True, metrics_port="from the site file"
    ).parse_args()
    drain = Drain()

    def action() -> None:
        site = load_site(given.site)
        serve_metrics(given, site.metrics_port + METRICS["record"])
        record(site, Share.parse(given.share), drain.on_signals())

    return run_program(action)


if __name__ == "__main__":
    sys.exit(main())
