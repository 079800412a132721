# SPDX-License-Identifier: AGPL-3.0-or-later
"""Records of made-up video, as a replay would have put them on the broker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec

from connectors import topics
from connectors.broker import Broker, Outgoing
from connectors.gop import EndOfInterval, FrameRecord, Gop
from connectors.memory_broker import MemoryBroker
from connectors.orders import ReplayOrder
from connectors.partitions import site_partitions
from connectors.records import decode_frame, decode_index, encode
from connectors.site import CameraSite, Site
from flows.capture import capture
from flows.drain import Drain
from flows.share import Share
from reid.passage import Coverage, Passage, Track
from tests.flows.sites import site_of
from tests.reid.made_video import START, Way, drives, video

Vehicles = Sequence[tuple[str, Way]]


def made_site(folder: Path, cameras: Mapping[str, Vehicles], seconds: float, **more: object) -> Site:
    """A site whose cameras are made-up videos."""
    sites = []
    for name, vehicles in cameras.items():
        file = folder / f"{name}.mp4"
        if not file.exists():
            file.write_bytes(video(seconds, vehicles))
        sites.append(
            CameraSite.model_validate(
                {
                    "name": name,
                    "label": name,
                    "url": str(file),
                    "start_utc": START,
                    "pace": "fast",
                    "masks_dwellings": True,
                }
            )
        )
    return site_of(folder, sites, **more)


def captured(site: Site) -> dict[str, list[Gop]]:
    """The site's GOPs, by camera."""
    broker = MemoryBroker()
    capture(site, Share(), Drain(), broker)
    found: dict[str, list[Gop]] = {c.name: [] for c in site.cameras}
    for message in broker.messages(topics.FRAMES_LIVE):
        record = decode_frame(message.value)
        if isinstance(record, Gop):
            found[record.camera].append(record)
    return found


def replayed(order: ReplayOrder, gops: Mapping[str, Sequence[Gop]]) -> list[FrameRecord]:
    """What a replay of the order puts on the broker."""
    records: list[FrameRecord] = []
    for number, (camera, interval) in enumerate(order.stretches()):
        records += [
            msgspec.structs.replace(g, scope=order.scope)
            for g in gops[camera]
            if g.first_at < interval.end and interval.start <= g.last_at
        ]
        records.append(
            EndOfInterval(
                camera=camera,
                scope=order.scope,
                order=order.id,
                sequence=number,
                started_at=interval.start,
                ended_at=interval.end,
            )
        )
    return records


def publish(broker: Broker, site: Site, scope: str, records: Sequence[FrameRecord]) -> None:
    """Put records on the scope's topic of frames."""
    places = site_partitions(site)
    broker.ensure_topic(topics.frames(scope), topics.settings(site, scope))
    writer = broker.writer()
    writer.write(topics.frames(scope), [Outgoing(places.of(r.camera), r.camera, encode(r)) for r in records])
    writer.close()


class Found:
    """What a topic of passages holds: the newest word of each row, and how often each passage was said."""

    def __init__(self, broker: Broker, scope: str) -> None:
        self.passages: dict[str, Passage] = {}
        self.tracks: dict[str, Track] = {}
        self.coverage: dict[tuple[str, object], Coverage] = {}
        self.ends: list[EndOfInterval] = []
        extent = broker.extent(topics.passages(scope))
        reader = broker.reader(topics.passages(scope), dict.fromkeys(extent))
        left = {p: end for p, (first, end) in extent.items() if end > first}
        while left:
            for message in reader.poll(500):
                self._take(decode_index(message.value))
                if message.offset + 1 >= left.get(message.partition, 0):
                    left.pop(message.partition, None)
        reader.close()

    def _take(self, record: object) -> None:
        if isinstance(record, Passage):
            self.passages[record.id] = record
        elif isinstance(record, Track):
            self.tracks[record.passage_id] = record
        elif isinstance(record, Coverage):
            self.coverage[record.camera, record.started_at] = record
        elif isinstance(record, EndOfInterval):
            self.ends.append(record)


def traffic(seed: int, seconds: float) -> Vehicles:
    """A vehicle every few seconds on two lanes, and one that waits."""
    paints = ("red", "blue", "yellow")
    return [
        (paints[(n + seed) % 3], drives(30 if n % 2 else 105, 70 + 10 * ((n * 7 + seed) % 4), begins=1.5 + 5 * n))
        for n in range(int(seconds / 5) - 1)
    ]


def second(at: object) -> float:
    """Seconds after START."""
    return (at - START) / timedelta(seconds=1)  # type: ignore[operator, no-any-return]
