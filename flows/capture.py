# SPDX-License-Identifier: AGPL-3.0-or-later
"""Cameras to Kafka: one thread a camera, packets copied, sealed from here on.

cameras ─▶ GOPs, gaps, ends of files ─▶ seal ─▶ split, encode ─▶ frames.live
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors import topics
from connectors.broker import Broker, Outgoing, until_available
from connectors.camera_feed import CameraFeed, CameraPosition
from connectors.errors import CameraError, KeyUnavailable, RecordError
from connectors.gop import EndOfInterval, FrameRecord, Gap, Gop
from connectors.kafka import site_broker
from connectors.partitions import PartitionMap, site_partitions
from connectors.records import decode_frame, encode, headers, split
from connectors.sealing import PublicKeys, Sealer, day_of
from connectors.site import METRICS, CameraSite, Site, load_site, utc_now
from connectors.topic_sink import TopicSink
from flows import metrics
from flows.camera_faults import CameraFaults, faults_file
from flows.drain import Drain
from flows.program import arguments, run_program, serve_metrics
from flows.recovery import recovery_dir, run_flow
from flows.share import Share
from reid.passage import LIVE

log = logging.getLogger(__name__)

FLOW = "capture"
BATCH_RECORDS, BATCH_BYTES = 32, 8_000_000
IDLE = timedelta(milliseconds=50)
STOP_WITHIN_S = 3.0
"""How long a drain waits for camera threads that sit in a read."""
KEYS_WITHIN_S = 60.0
"""How long capture waits at its start for the gate's public keys."""

State = dict[str, tuple[str | None, bool, str]]
"""Camera → end of what was handed on (ISO), whether its file ended, what it was read from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSource(FixedPartitionedSource[FrameRecord, State]):
    """The cameras of a site, by Kafka partition; one ends when all its cameras are files at their end."""

    site: Site
    places: PartitionMap
    partitions: list[int]
    broker: Broker
    run: str
    stop: Callable[[], bool]
    faults: CameraFaults
    now: Callable[[], datetime] = utc_now

    def list_parts(self) -> list[str]:
        """Numbers of all partitions of the share, with or without cameras: a partition may lose its last one."""
        return [str(p) for p in self.partitions]

    def build_part(self, step_id: str, for_part: str, resume_state: State | None) -> _CameraPartition:
        """The cameras of one partition, each from where it was."""
        partition = int(for_part)
        present = [c for c in self.site.cameras if self.places.of(c.name) == partition]
        written: dict[str, CameraPosition] = {}
        if present:
            written = until_available(lambda: last_written(self.broker, partition), stop=self.stop) or {}
        feeds = [
            CameraFeed(
                camera,
                run=self.run,
                position=_position(camera, resume_state or {}, written),
                record_limit_bytes=self.site.kafka.record_limit_bytes,
                report=_Report(self.faults),
                now=self.now,
            )
            for camera in present
        ]
        for feed in feeds:
            feed.start()
        return _CameraPartition(feeds, self.stop, self.now)


class _CameraPartition(StatefulSourcePartition[FrameRecord, State]):
    def __init__(self, feeds: list[CameraFeed], stop: Callable[[], bool], now: Callable[[], datetime]) -> None:
        self._feeds = feeds
        self._stop = stop
        self._now = now
        self._stopped_at: float | None = None
        self._idle = False

    def next_batch(self) -> Iterable[FrameRecord]:
        if self._stop() and self._stopped_at is None:
            self._stopped_at = time.monotonic()
            for feed in self._feeds:
                feed.stop()
        records = self._take()
        if not records and (
            all(feed.finished for feed in self._feeds)
            or (self._stopped_at is not None and time.monotonic() - self._stopped_at > STOP_WITHIN_S)
        ):
            raise StopIteration
        self._idle = not records
        return records

    def _take(self) -> list[FrameRecord]:
        """A record of each camera in turn, until none has any or the batch is full."""
        records: list[FrameRecord] = []
        size, found = 0, True
        while found:
            found = False
            for feed in self._feeds:
                if len(records) >= BATCH_RECORDS or size >= BATCH_BYTES:
                    return records
                record = feed.take()
                if record is not None:
                    found = True
                    records.append(record)
                    size += len(record.payload) if isinstance(record, Gop) else 0
        return records

    def next_awake(self) -> datetime | None:
        return self._now() + IDLE if self._idle else None

    def snapshot(self) -> State:
        return {
            feed.camera.name: (
                None if feed.position.last_at is None else feed.position.last_at.isoformat(),
                feed.position.ended,
                _origin(feed.camera),
            )
            for feed in self._feeds
        }

    def close(self) -> None:
        for feed in self._feeds:
            feed.stop()


def _origin(camera: CameraSite) -> str:
    """Fingerprint of where a camera's video comes from: another file begins anew."""
    text = f"{camera.url.get_secret_value()}\n{camera.start_utc}"
    return hashlib.sha256(text.encode()).hexdigest()[:16] if camera.is_file else ""


def _position(camera: CameraSite, state: State, written: dict[str, CameraPosition]) -> CameraPosition:
    """The later of what was snapshotted and what the topic already holds."""
    last, ended, origin = state.get(camera.name, (None, False, _origin(camera)))
    if origin != _origin(camera):
        return CameraPosition()
    snapshotted = CameraPosition(None if last is None else datetime.fromisoformat(last), ended)
    found = written.get(camera.name, CameraPosition())
    ends = [p.last_at for p in (snapshotted, found) if p.last_at is not None]
    return CameraPosition(max(ends, default=None), snapshotted.ended or found.ended)


def last_written(broker: Broker, partition: int, depth: int = 256) -> dict[str, CameraPosition]:
    """How far the newest records of a partition of `frames.live` go, by camera.

    A snapshot may be a second older than the last record that was acknowledged before a crash; the topic itself is not.
    """
    first, end = broker.extent(topics.FRAMES_LIVE).get(partition, (0, 0))
    start = max(first, end - depth)
    found: dict[str, CameraPosition] = {}
    offset, deadline = start, time.monotonic() + 10
    with closing(broker.reader(topics.FRAMES_LIVE, {partition: start})) as reader:
        while offset < end and time.monotonic() < deadline:
            for message in reader.poll(64):
                offset = message.offset + 1
                try:
                    record = decode_frame(message.value)
                except RecordError:
                    continue
                if isinstance(record, Gop):
                    if record.part == record.parts - 1:
                        found[record.camera] = CameraPosition(record.last_at)
                else:
                    found[record.camera] = CameraPosition(record.ended_at, isinstance(record, EndOfInterval))
    return found


@dataclass(frozen=True, slots=True)
class _Report:
    faults: CameraFaults

    def up(self, camera: str, is_up: bool) -> None:
        metrics.show("passage_camera_up", float(is_up), flow=FLOW, camera=camera)
        if is_up:
            self.faults.works(camera)

    def failed(self, camera: str, fault: CameraError) -> None:
        metrics.count("passage_camera_failures_total", flow=FLOW, camera=camera)
        self.faults.failed(camera, fault)

    def dropped(self, camera: str) -> None:
        metrics.count("passage_dropped_gops_total", flow=FLOW, camera=camera)

    def damaged(self, camera: str) -> None:
        metrics.count("passage_damaged_packets_total", flow=FLOW, camera=camera)


@dataclass(slots=True)
class Outgo:
    """From a record to the bytes that go to Kafka: sealed if the site seals, split where too large."""

    places: PartitionMap
    limit_bytes: int
    sealer: Sealer | None
    now: Callable[[], datetime] = utc_now
    _refused: dict[str, str] = field(default_factory=dict)

    def __call__(self, record: FrameRecord) -> list[Outgoing]:
        """A GOP that cannot be sealed becomes a gap with the reason: nothing leaves in clear."""
        if isinstance(record, Gop) and self.sealer is not None:
            try:
                with metrics.stage(FLOW, "seal"):
                    record = self.sealer.seal(record)
            except KeyUnavailable as fault:
                if self._refused.get(record.camera) != str(fault):
                    self._refused[record.camera] = str(fault)
                    log.error("camera %s is not recorded: %s", record.camera, fault)
                record = Gap(
                    camera=record.camera, scope=record.scope, run=record.run, sequence=record.sequence,
                    started_at=record.first_at, ended_at=record.last_at + timedelta(microseconds=1),
                    reason=f"not sealed, so not recorded: {fault}",
                )  # fmt: skip
        _count(record, self.now())
        parts = split(record, self.limit_bytes) if isinstance(record, Gop) else [record]
        return [
            Outgoing(self.places.of(part.camera), part.camera, encode(part), tuple(headers(part))) for part in parts
        ]


def _count(record: FrameRecord, now: datetime) -> None:
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


def capture_flow(source: CameraSource, outgo: Outgo, sink: TopicSink) -> Dataflow:
    """The dataflow."""
    flow = Dataflow("capture")
    records: Any = op.input("cameras", flow, source)
    messages = op.flat_map("seal_split_encode", records, outgo)
    op.output("frames_live", messages, sink)
    return flow


def new_run(now: datetime) -> str:
    """An id for this run of capture, unique for good."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def _await_keys(site: Site, keys: PublicKeys, drain: Drain) -> None:
    """Give the gate a while to write its public keys at the first start of all, so that nothing is refused for it."""
    days = sorted({day_of(c.start_utc.astimezone(UTC) if c.start_utc else utc_now()) for c in site.cameras})
    deadline = time.monotonic() + KEYS_WITHIN_S
    for day in days:
        said = False
        while not drain():
            try:
                keys.of(day)
                break
            except KeyUnavailable as fault:
                if time.monotonic() > deadline:
                    break
                if not said:
                    log.warning("%s; waiting for it up to %.0f s", fault, KEYS_WITHIN_S)
                    said = True
                drain.wait(0.5)


def capture(site: Site, share: Share, drain: Drain, broker: Broker | None = None) -> None:
    """Run until drained, or until every camera is a file at its end."""
    broker = broker or site_broker(site, "capture")
    places = site_partitions(site)
    wanted = topics.settings(site, LIVE)
    until_available(lambda: broker.ensure_topic(topics.FRAMES_LIVE, wanted), stop=drain)
    if drain():
        return
    keys = PublicKeys(site.data / "keys" / "public")
    if site.sealing:
        _await_keys(site, keys, drain)
    run = new_run(utc_now())
    faults = CameraFaults(faults_file(site, share))
    log.info("run %s: %d cameras, share %s, broker %s", run, len(site.cameras), share, broker.address)
    source = CameraSource(
        site=site,
        places=places,
        partitions=share.of(places.partitions),
        broker=broker,
        run=run,
        stop=drain,
        faults=faults,
    )
    outgo = Outgo(places, site.kafka.record_limit_bytes, Sealer(keys) if site.sealing else None)
    sink = TopicSink(broker=broker, topic=topics.FRAMES_LIVE, stop=drain)
    run_flow(capture_flow(source, outgo, sink), recovery_dir(site, FLOW, share=share))
    log.info("run %s: %s", run, "drained" if drain() else "every camera is a file at its end")


def main() -> int:
    """`python -m flows.capture --site site.toml`."""
    given = arguments("flows.capture", "Cameras to Kafka.", share=True, metrics_port="from the site file").parse_args()
    drain = Drain()

    def action() -> None:
        site = load_site(given.site)
        serve_metrics(given, site.metrics_port + METRICS["capture"])
        capture(site, Share.parse(given.share), drain.on_signals())

    return run_program(action)


if __name__ == "__main__":
    sys.exit(main())
