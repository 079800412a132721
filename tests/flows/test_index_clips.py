# SPDX-License-Identifier: AGPL-3.0-or-later
"""The two real clips through capture, the real Kafka and indexing with the COCO model."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from connectors import topics
from connectors.broker import Broker
from flows.capture import capture
from flows.drain import Drain
from flows.index import index
from flows.share import Share
from infra.kafka_broker import KafkaBroker
from tests.flows.clips import Indexed, clip_site, indexed, seconds
from tests.flows.draining import EndsAtTheEnd

pytestmark = [pytest.mark.kafka, pytest.mark.media, pytest.mark.slow, pytest.mark.timeout(900)]

LIST = Path(__file__).parents[1] / "media" / "street_clip.toml"


def run_clip(name: str, shared_data: Path, data: Path, broker: Broker, port: int) -> Indexed:
    """Capture the clip, then index it until the end of its file has been followed."""
    site = clip_site(shared_data / "video" / name, shared_data, data, port=port)
    for topic in (topics.FRAMES_LIVE, topics.passages("live"), topics.dead("live")):
        broker.delete_topic(topic)
    capture(site, Share(), Drain(), broker)
    drain = Drain()
    index(site, Share(), drain, broker=EndsAtTheEnd(broker, drain))
    return indexed(broker)


def test_street_clip_gives_the_vehicles_that_a_person_saw(
    shared_data: Path, tmp_path: Path, kafka_broker: KafkaBroker
) -> None:
    port = int(kafka_broker.address.rsplit(":", 1)[1])
    found = run_clip("street_clip.mp4", shared_data, tmp_path, kafka_broker.client(), port)
    listed = tomllib.loads(LIST.read_text(encoding="utf-8"))["vehicle"]
    seen = [
        (p.vehicle_class, p.colour, p.entry, p.exit, round(seconds(p.started_at), 1), round(seconds(p.ended_at), 1))
        for p in found.passages
    ]
    assert len(seen) == len(listed), seen
    right_colours = 0
    for vehicle, (kind, colour, entry, exit_, start, end) in zip(listed, seen, strict=True):
        what = vehicle["what"]
        assert kind == vehicle["class"], what
        right_colours += colour in (vehicle["colour"], vehicle.get("or", vehicle["colour"]))
        assert (entry, exit_) == (vehicle["entry"], vehicle["exit"]), what
        assert vehicle["seen_from"] - 0.1 <= start <= vehicle["clear_from"] + 1.0, what
        assert vehicle["clear_to"] - 0.3 <= end <= vehicle["seen_to"] + 0.1, what
    assert right_colours == len(listed), [colour for _, colour, *_ in seen]
    assert [p.truncated for p in found.passages] == [True] + [False] * (len(listed) - 1)
    for passage in found.passages:
        assert 3 <= len(passage.views) <= 5
        assert passage.embedding is not None
        times = [s.at for s in found.tracks[passage.id].sightings]
        assert times[0] == passage.started_at and times[-1] == passage.ended_at
    assert {c.status for c in found.coverage} == {"indexed"}
    assert sum(c.frames for c in found.coverage) == 661


def test_road_from_above_ends_with_a_warning_that_vehicles_are_missed(
    shared_data: Path, tmp_path: Path, kafka_broker: KafkaBroker
) -> None:
    port = int(kafka_broker.address.rsplit(":", 1)[1])
    found = run_clip("road_from_above.mp4", shared_data, tmp_path, kafka_broker.client(), port)
    doubtful = [c for c in found.coverage if c.status == "doubtful"]
    assert doubtful and doubtful[-1].ended_at == max(c.ended_at for c in found.coverage)
    assert "vehicles are probably missed" in doubtful[-1].reason
