# SPDX-License-Identifier: AGPL-3.0-or-later
"""kill -9 of indexing at moments of its work, with the real broker: the same passages as an undisturbed run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from connectors import topics
from connectors.kafka import Kafka
from connectors.memory_broker import MemoryBroker
from connectors.site import Site
from flows.drain import Drain
from flows.index import index
from flows.share import Share
from infra.kafka_broker import KafkaBroker
from tests.fixtures.kafka import on
from tests.flows.made_records import Found, captured, made_site, publish, replayed, traffic
from tests.flows.sites import write_order
from tests.reid.made_video import START, PaintDetector

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60
KILLS = 4


def site_file(folder: Path, site: Site, broker: KafkaBroker) -> Path:
    """The same site as a file, on the real broker."""
    lines = ['name = "Faults"', "sealing = false", f'data = "{site.data}"']
    lines += [*on(broker, site.data), f"partitions = {site.kafka.partitions}"]
    for camera in site.cameras:
        lines += ["[[camera]]", f'name = "{camera.name}"', f'label = "{camera.name}"', "masks_dwellings = true"]
        lines += [f'url = "{camera.url.get_secret_value()}"', f"start_utc = {START.isoformat()}"]
    file = folder / "site.toml"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def written(broker: Kafka, topic: str) -> int:
    return sum(end - first for first, end in broker.extent(topic).values())


def test_killed_again_and_again_gives_the_passages_of_an_undisturbed_run(
    tmp_path: Path, kafka_broker: KafkaBroker
) -> None:
    cameras = {"c1": traffic(1, SECONDS), "c2": traffic(2, SECONDS)}
    site = made_site(tmp_path, cameras, SECONDS)
    order, file = write_order(site, tuple(cameras), (0, SECONDS))
    records = replayed(order, captured(site))

    calm = MemoryBroker()
    publish(calm, site, "r-1", records)
    undisturbed_site = site.model_copy(update={"data": tmp_path / "calm"})
    index(undisturbed_site, Share(), Drain(), order=order, broker=calm, detector=(PaintDetector(), 0.25))
    undisturbed = Found(calm, "r-1")
    assert len(undisturbed.passages) >= 18

    broker = kafka_broker.client()
    for topic in (topics.frames("r-1"), topics.passages("r-1"), topics.dead("r-1")):
        broker.delete_topic(topic)
    publish(broker, site, "r-1", records)
    path = site_file(tmp_path, site, kafka_broker)
    command = [sys.executable, "-m", "tests.faults.index_process", str(path), str(file)]
    chance = random.Random(20261120)
    killed = 0
    for _ in range(40):
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        try:
            if killed < KILLS:
                before = written(broker, topics.passages("r-1"))
                more = chance.randint(2, 12)
                while process.poll() is None and written(broker, topics.passages("r-1")) < before + more:
                    time.sleep(0.02)
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    killed += 1
            if process.wait(600) == 0:
                break
        finally:
            process.kill()
            process.wait()
    assert killed >= 2, "it was never killed at work"
    found = Found(broker, "r-1")
    assert found.passages == undisturbed.passages
    assert found.tracks == undisturbed.tracks
    assert found.coverage == undisturbed.coverage
    assert {(e.camera, e.ended_at) for e in found.ends} == {(e.camera, e.ended_at) for e in undisturbed.ends}
