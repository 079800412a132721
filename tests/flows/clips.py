# SPDX-License-Identifier: AGPL-3.0-or-later
"""A site whose one camera is a real clip, and what indexing it gave."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connectors import topics
from connectors.broker import Broker
from connectors.records import decode_index
from connectors.site import Site
from reid.passage import Coverage, Passage, Track

START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
COCO = "models/yolo11n_int8_openvino_model"


def clip_site(clip: Path, shared_data: Path, data: Path, *, port: int = 19092, fps: float | None = None) -> Site:
    """One file camera, `street`, indexed continuously with the COCO model; nothing is sealed."""
    return Site.model_validate(
        {
            "name": "Essai",
            "data": data,
            "sealing": False,
            "indexing": "continuous",
            "continuous": {"legal_basis": "essai", "impact_assessment": "essai"},
            "camera": [
                {
                    "name": "street",
                    "label": "Rue",
                    "url": str(clip),
                    "start_utc": START,
                    "pace": "fast",
                    "masks_dwellings": True,
                }
            ],
            "kafka": {"port": port, "partitions": 2},
            "index": {"detector": str(shared_data / COCO), "fps": fps},
        }
    )


@dataclass(frozen=True, slots=True)
class Indexed:
    """What a topic of passages held, the newest word of each row."""

    passages: list[Passage]
    tracks: dict[str, Track]
    coverage: list[Coverage]


def indexed(broker: Broker, scope: str = "live") -> Indexed:
    """Read a topic of passages to its end."""
    topic = topics.passages(scope)
    extent = broker.extent(topic)
    reader = broker.reader(topic, dict.fromkeys(extent))
    left = {p: end for p, (_, end) in extent.items() if end}
    passages: dict[str, Passage] = {}
    tracks: dict[str, Track] = {}
    coverage: dict[tuple[str, datetime], Coverage] = {}
    while left:
        for message in reader.poll(500):
            record = decode_index(message.value)
            if isinstance(record, Passage):
                passages[record.id] = record
            elif isinstance(record, Track):
                tracks[record.passage_id] = record
            elif isinstance(record, Coverage):
                coverage[(record.camera, record.started_at)] = record
            if message.offset + 1 >= left.get(message.partition, 0):
                left.pop(message.partition, None)
    reader.close()
    return Indexed(
        sorted(passages.values(), key=lambda p: (p.started_at, p.id)),
        tracks,
        sorted(coverage.values(), key=lambda c: c.started_at),
    )


def seconds(at: datetime) -> float:
    """Seconds of the clip."""
    return (at - START) / timedelta(seconds=1)
