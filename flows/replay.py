# SPDX-License-Identifier: AGPL-3.0-or-later
"""The archive back to Kafka, for one signed order: its cameras and hours, in its scope's own topic.

archive ─▶ GOPs as they were recorded, gaps, end of each interval ─▶ split, encode ─▶ frames.replay.<scope>

Ciphertext passes through closed. While the broker's disk is nearly full it waits. Running it again writes records
again, which readers know by camera and time.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors import topics
from connectors.archive import ArchiveReader
from connectors.bounds import Interval
from connectors.broker import Broker, Outgoing
from connectors.errors import ArchiveCorrupt
from connectors.gop import EndOfInterval, FrameRecord, Gap, Gop
from connectors.kafka import site_broker
from connectors.orders import ReplayOrder, load_orders_key, read_order
from connectors.partitions import PartitionMap, site_partitions
from connectors.records import encode, headers, split
from connectors.site import Site, load_site, utc_now
from connectors.topic_sink import TopicSink
from flows import metrics
from flows.broker_room import BrokerRoom
from flows.dead_letters import ensure_topics
from flows.drain import Drain
from flows.errors import FlowError
from flows.program import arguments, run_program
from flows.progress import Progress
from flows.recovery import recovery_dir, run_flow

log = logging.getLogger(__name__)

FLOW = "replay"
BATCH_RECORDS, BATCH_BYTES = 64, 8_000_000
HOLE = timedelta(milliseconds=500)
"""A stretch without video longer than this is told as a gap."""
NO_ROOM = timedelta(milliseconds=500)
"""How soon a replay that waits for room looks again whether there is some, or whether it is to stop."""

State = tuple[int, str | None]
"""Number of the (camera, interval) under way, and the time up to which it was read (ISO)."""


def archive_of(site: Site, order: ReplayOrder) -> Path:
    """The archive itself, or what was secured for the requisition, laid out alike."""
    return site.archive_dir if order.source == "archive" else site.data / "exhibits" / order.scope


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySource(FixedPartitionedSource[FrameRecord, State]):
    """An order's records, by Kafka partition of their cameras, in the order of its stretches."""

    order: ReplayOrder
    archive: ArchiveReader
    places: PartitionMap
    stop: Callable[[], bool]
    room: Callable[[], bool] = lambda: True
    """Whether the broker has room for more."""
    now: Callable[[], datetime] = utc_now

    def list_parts(self) -> list[str]:
        """The partitions that have a camera of the order."""
        return [str(p) for p in sorted({self.places.of(c) for c in self.order.cameras})]

    def build_part(self, step_id: str, for_part: str, resume_state: State | None) -> _ReplayPartition:
        """One partition, from where it was."""
        stretches = [(c, i) for c, i in self.order.stretches() if self.places.of(c) == int(for_part)]
        return _ReplayPartition(self, stretches, resume_state or (0, None))


class _ReplayPartition(StatefulSourcePartition[FrameRecord, State]):
    def __init__(self, source: ReplaySource, stretches: list[tuple[str, Interval]], state: State) -> None:
        self._source = source
        self._stretches = stretches
        self._at, after = state
        self._after = None if after is None else datetime.fromisoformat(after)
        self._records: Iterator[FrameRecord] | None = None
        self._waits = False

    def next_batch(self) -> Iterable[FrameRecord]:
        if self._source.stop() or self._at >= len(self._stretches):
            raise StopIteration
        self._waits = not self._source.room()
        if self._waits:
            return []
        batch: list[FrameRecord] = []
        size = 0
        while self._at < len(self._stretches) and len(batch) < BATCH_RECORDS and size < BATCH_BYTES:
            if self._records is None:
                camera, interval = self._stretches[self._at]
                self._records = replayed(self._source.archive, self._source.order, camera, interval, self._after)
            record = next(self._records)
            batch.append(record)
            if isinstance(record, EndOfInterval):
                self._at, self._after, self._records = self._at + 1, None, None
            elif isinstance(record, Gop):
                self._after = record.first_at
                size += len(record.payload)
            else:
                self._after = record.started_at
        return batch

    def next_awake(self) -> datetime | None:
        return self._source.now() + NO_ROOM if self._waits else None

    def snapshot(self) -> State:
        return (self._at, None if self._after is None else self._after.isoformat())


def replayed(
    archive: ArchiveReader, order: ReplayOrder, camera: str, interval: Interval, after: datetime | None = None
) -> Iterator[FrameRecord]:
    """What the archive has of one interval as records of the order's scope, by time, with its holes and its end.

    `after`: leave out what begins no later than this.
    """
    told = archive.gaps(camera, interval)
    reached, sequence = interval.start, 0

    def hole(start: datetime, end: datetime, reason: str = "") -> Gap:
        known = next((g.reason for g in told if g.started_at < end and g.ended_at > start), "nothing was recorded")
        return Gap(
            camera=camera,
            scope=order.scope,
            run=order.id,
            sequence=sequence,
            started_at=start,
            ended_at=end,
            reason=reason or known,
        )

    for segment, row in archive.entries(camera, interval):
        if row.first_at - reached > max(HOLE, 2 * row.step) and (after is None or reached > after):
            yield hole(reached, row.first_at)
            sequence += 1
        if after is None or row.first_at > after:
            try:
                gop = archive.read(segment, row)
                yield msgspec.structs.replace(gop, scope=order.scope)
            except ArchiveCorrupt as fault:
                log.error("%s", fault)
                start = max(row.first_at, interval.start)
                end = min(row.last_at + row.step, interval.end)
                yield hole(start, end, f"the recording is damaged: {segment.name}, byte {row.offset}")
            sequence += 1
        reached = max(reached, row.last_at + row.step)
    if interval.end - reached > HOLE and (after is None or reached > after):
        yield hole(reached, interval.end)
        sequence += 1
    yield EndOfInterval(
        camera=camera,
        scope=order.scope,
        order=order.id,
        sequence=sequence,
        started_at=interval.start,
        ended_at=interval.end,
    )


@dataclass(slots=True)
class Outgo:
    """From a record to the bytes that go to Kafka."""

    places: PartitionMap
    limit_bytes: int
    progress: Progress
    seconds: float = 0.0

    def __call__(self, record: FrameRecord) -> list[Outgoing]:
        """Split where too large, encoded."""
        metrics.count("passage_records_total", flow=FLOW, camera=record.camera)
        if isinstance(record, Gop):
            self.seconds += (record.last_at - record.first_at).total_seconds()
            metrics.count("passage_bytes_total", len(record.payload), flow=FLOW, camera=record.camera)
            metrics.count("passage_frames_total", record.frames, flow=FLOW, camera=record.camera)
        self.progress.tell(state="running", seconds_done=round(self.seconds, 3))
        parts = split(record, self.limit_bytes) if isinstance(record, Gop) else [record]
        return [
            Outgoing(self.places.of(part.camera), part.camera, encode(part), tuple(headers(part))) for part in parts
        ]


def replay_flow(source: ReplaySource, outgo: Outgo, sink: TopicSink) -> Dataflow:
    """The dataflow."""
    flow = Dataflow("replay")
    records: Any = op.input("archive", flow, source)
    messages = op.flat_map("split_encode", records, outgo)
    op.output("frames_replay", messages, sink)
    return flow


def replay(site: Site, order: ReplayOrder, drain: Drain, broker: Broker | None = None) -> None:
    """Replay an order to its end, or until drained."""
    broker = broker or site_broker(site, "indexer")
    places = site_partitions(site, also=order.cameras)
    topic = topics.frames(order.scope)
    if not ensure_topics(broker, site, order.scope, drain, topic):
        return
    archive = ArchiveReader(archive_of(site, order))
    asked = sum(
        (i.end - i.start).total_seconds()
        for camera, interval in order.stretches()
        for i in archive.recorded(camera, interval)
    )
    orders = site.data / "orders"
    orders.mkdir(parents=True, exist_ok=True)
    progress = Progress(orders / f"{order.id}.{FLOW}.json")
    progress.tell(now=True, state="running", seconds_asked=round(asked, 3), seconds_done=0.0)
    log.info("order %s of %s: %d stretches, %.0f s recorded", order.id, order.scope, len(order.stretches()), asked)

    def tell(why: str) -> None:
        progress.tell(now=True, message=why)

    room = BrokerRoom(broker, tell)
    source = ReplaySource(order=order, archive=archive, places=places, stop=drain, room=room)
    sink = TopicSink(broker=broker, topic=topic, stop=drain, tell=tell)
    outgo = Outgo(places, site.kafka.record_limit_bytes, progress)
    run_flow(replay_flow(source, outgo, sink), recovery_dir(site, FLOW, order.scope))
    if drain():
        progress.tell(now=True, state="waiting")
    else:
        progress.tell(now=True, state="done", seconds_done=round(asked, 3))
    log.info("order %s: %s", order.id, "drained" if drain() else "replayed to its end")


def load_order(site: Site, file: Path, now: datetime) -> ReplayOrder:
    """The order in a file, if the gate signed it and it holds now. Raises OrderError and its kinds."""
    try:
        data = file.read_bytes()
    except OSError as fault:
        raise FlowError(f"the order {file} cannot be read: {fault.strerror}") from None
    return read_order(data, load_orders_key(site.data / "keys" / "public"), now)


def main() -> int:
    """`python -m flows.replay --site site.toml --order FILE`."""
    parser = arguments("flows.replay", "The archive back to Kafka for one signed order.")
    parser.add_argument("--order", type=Path, required=True, help="a file that the gate signed")
    given = parser.parse_args()
    drain = Drain()

    def action() -> None:
        site = load_site(given.site)
        replay(site, load_order(site, given.order, utc_now()), drain.on_signals())

    return run_program(action)


if __name__ == "__main__":
    sys.exit(main())
