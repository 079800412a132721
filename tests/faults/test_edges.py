# SPDX-License-Identifier: AGPL-3.0-or-later
"""kill -9 at the edges, with the real broker: what was acknowledged is there, what comes twice counts once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from connectors import topics
from connectors.archive import ArchiveReader
from connectors.bounds import Interval
from connectors.gop import EndOfInterval, FrameRecord, Gap, Gop
from connectors.kafka import Kafka
from connectors.records import decode_frame
from connectors.site import Site, load_site
from infra.kafka_broker import KafkaBroker
from infra.kafka_users import main as kafka_users
from tests.connectors.gops import START
from tests.connectors.videos import make_video
from tests.fixtures.kafka import on
from tests.flows.sites import write_order

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120
CAMERAS = ("c0", "c1", "c2")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes of small video."""
    return make_video(tmp_path_factory.mktemp("video") / "a.mp4", frames=SECONDS * 25, size=(64, 48))


def site_file(folder: Path, broker: KafkaBroker, video: Path, pace: str = "fast") -> Path:
    lines = ['name = "Faults"', "sealing = false", *on(broker, folder / "var"), "partitions = 2"]
    for name in CAMERAS:
        lines += ["[[camera]]", f'name = "{name}"', f'label = "{name}"', f'url = "{video}"', f'pace = "{pace}"']
        lines += [f"start_utc = {START.isoformat()}", "masks_dwellings = true"]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "site.toml"
    file.write_text("\n".join(lines))
    assert kafka_users(["--site", str(file)]) == 0
    return file


@contextmanager
def flow(name: str, site: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A flow as a process, killed at the end if it still runs."""
    command = [sys.executable, "-m", f"flows.{name}", "--site", str(site), *more]
    if name != "replay" and "--metrics-port" not in more:
        command += ["--metrics-port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], bool], what: str, within_s: float = 180) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {within_s} s"
        time.sleep(0.05)


def frames_in(broker: Kafka, topic: str) -> list[FrameRecord]:
    extent = broker.extent(topic)
    want = sum(end - first for first, end in extent.values())
    reader = broker.reader(topic, {p: None for p in extent})
    found: list[FrameRecord] = []
    deadline = time.monotonic() + 30
    while len(found) < want and time.monotonic() < deadline:
        found.extend(decode_frame(m.value) for m in reader.poll(200))
    reader.close()
    return found


def written(broker: Kafka, topic: str) -> int:
    return sum(end - first for first, end in broker.extent(topic).values())


@pytest.fixture
def fresh(kafka_broker: KafkaBroker) -> Iterator[KafkaBroker]:
    """The broker without our topics."""
    client = kafka_broker.client()
    yield kafka_broker
    for topic in client.topics():
        client.delete_topic(topic)


@pytest.mark.parametrize("kills", [3])
def test_capture_killed_again_and_again_loses_and_doubles_nothing_of_files(
    tmp_path: Path, fresh: KafkaBroker, video: Path, kills: int
) -> None:
    """Paced, so that there is something to kill; every file is read to its end in the end."""
    file = site_file(tmp_path, fresh, video)
    paced = site_file(tmp_path / "paced", fresh, video, pace="real")
    os.environ["PASSAGE_DATA"] = str(tmp_path / "var")  # one data folder for both
    try:
        broker = fresh.client()
        seen = 0
        for _ in range(kills):
            with flow("capture", paced) as process:
                wait_for(lambda seen=seen: written(broker, topics.FRAMES_LIVE) > seen + 3, "capture writing")  # type: ignore[misc]
                process.send_signal(signal.SIGKILL)
                process.wait()
            seen = written(broker, topics.FRAMES_LIVE)
        with flow("capture", file) as process:
            assert process.wait(240) == 0
    finally:
        del os.environ["PASSAGE_DATA"]
    records = frames_in(broker, topics.FRAMES_LIVE)
    for camera in CAMERAS:
        gops = [r for r in records if isinstance(r, Gop) and r.camera == camera]
        starts = [g.first_at for g in gops]
        assert starts == sorted(set(starts)), "a GOP came twice or out of turn"
        assert sum(g.frames for g in gops) == SECONDS * 25
        assert len({g.run for g in gops}) > 1
        assert [type(r) for r in records if r.camera == camera][-1] is EndOfInterval


def recorded_frames(site: Site) -> dict[str, int]:
    reader = ArchiveReader(site.archive_dir)
    day = Interval(START, START + timedelta(days=1))
    return {c: sum(row.frames for _, row in reader.entries(c, day)) for c in CAMERAS}


def test_record_killed_at_any_time_loses_nothing_and_holds_nothing_twice(
    tmp_path: Path, fresh: KafkaBroker, video: Path
) -> None:
    file = site_file(tmp_path, fresh, video)
    site = load_site(file)
    with flow("capture", file) as process:
        assert process.wait(240) == 0
    for kill in range(4):
        with flow("record", file) as process:
            before = sum(recorded_frames(site).values())
            whole = before == 3 * SECONDS * 25
            if not whole:
                wait_for(lambda before=before: sum(recorded_frames(site).values()) > before, f"recording {kill}")  # type: ignore[misc]
            process.send_signal(signal.SIGKILL)
            process.wait()
    with flow("record", file) as process:
        wait_for(lambda: recorded_frames(site) == dict.fromkeys(CAMERAS, SECONDS * 25), "recording all")
        process.send_signal(signal.SIGTERM)
        # Where all was recorded before, the signal may come before the program listens to it, and ends it as well.
        assert process.wait(120) in (0, -signal.SIGTERM)
    reader = ArchiveReader(site.archive_dir)
    interval = Interval(START, START + timedelta(days=1))
    for camera in CAMERAS:
        starts = [g.first_at for g in reader.records(camera, interval)]
        assert starts == sorted(set(starts))
        assert len(reader.recorded(camera, interval)) == 1


def test_a_broker_killed_under_capture_and_record_costs_nothing(
    tmp_path: Path, own_kafka_broker: KafkaBroker, video: Path
) -> None:
    file = site_file(tmp_path, own_kafka_broker, video)
    site = load_site(file)
    broker = own_kafka_broker.client()
    with flow("record", file) as recording, flow("capture", file) as capturing:
        wait_for(lambda: written(broker, topics.FRAMES_LIVE) > 10, "capture writing")
        own_kafka_broker.kill()
        time.sleep(1.5)
        assert capturing.poll() in (None, 0)
        assert recording.poll() is None
        own_kafka_broker.start(180)
        assert capturing.wait(240) == 0
        wait_for(lambda: recorded_frames(site) == dict.fromkeys(CAMERAS, SECONDS * 25), "recording all")
        recording.send_signal(signal.SIGTERM)
        assert recording.wait(120) == 0


def test_flows_wait_for_a_broker_that_is_not_there_yet_and_drain_meanwhile(
    tmp_path: Path, own_kafka_broker: KafkaBroker, video: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = site_file(tmp_path, own_kafka_broker, video)
    own_kafka_broker.stop()
    with flow("capture", file) as capturing, flow("record", file) as recording:
        said = ""

        def told() -> bool:
            nonlocal said
            said += capfd.readouterr().err
            return said.count("does not answer") >= 2

        wait_for(told, "both saying that the broker is away")
        assert own_kafka_broker.address in said
        recording.send_signal(signal.SIGTERM)
        assert recording.wait(120) == 0
        own_kafka_broker.start(180)
        assert capturing.wait(240) == 0
    assert written(own_kafka_broker.client(), topics.FRAMES_LIVE) == 3 * (SECONDS + 1)


def test_a_replay_killed_and_run_again_gives_every_record_and_every_end(
    tmp_path: Path, fresh: KafkaBroker, video: Path
) -> None:
    file = site_file(tmp_path, fresh, video)
    site = load_site(file)
    with flow("capture", file) as process:
        assert process.wait(240) == 0
    with flow("record", file) as process:
        wait_for(lambda: recorded_frames(site) == dict.fromkeys(CAMERAS, SECONDS * 25), "recording all")
        process.send_signal(signal.SIGTERM)
        process.wait()
    _, order = write_order(site, CAMERAS, (10, 100))
    broker = fresh.client()
    topic = topics.frames("r-1")
    with flow("replay", file, "--order", str(order)) as process:
        wait_for(lambda: written(broker, topic) > 0, "replay writing")
        process.send_signal(signal.SIGKILL)
        process.wait()
    with flow("replay", file, "--order", str(order)) as process:
        assert process.wait(180) == 0
    records = frames_in(broker, topic)
    for camera in CAMERAS:
        mine = [r for r in records if r.camera == camera]
        once = {r.first_at: r.frames for r in mine if isinstance(r, Gop)}
        assert sum(once.values()) == 90 * 25
        assert isinstance(mine[-1], EndOfInterval)
    assert json.loads((site.data / "orders" / "o-1.replay.json").read_text())["state"] == "done"


def test_a_stream_is_a_gap_while_capture_is_dead(
    tmp_path: Path, fresh: KafkaBroker, capfd: pytest.CaptureFixture[str]
) -> None:
    """An RTSP camera that never answers: two runs of capture, each telling the gap of its own time."""
    file = site_file(tmp_path, fresh, Path("unused.mp4"))
    text = file.read_text().split("[[camera]]")[0]
    text += '[[camera]]\nname = "c0"\nlabel = "c0"\nurl = "rtsp://u:p4ssw0rd@127.0.0.1:9/x"\nmasks_dwellings = true\n'
    file.write_text(text)
    began = datetime.now(UTC)
    for _ in range(2):
        with flow("capture", file) as process:
            wait_for(lambda: "connecting again" in capfd.readouterr().err, "the camera's refusal")
            process.send_signal(signal.SIGTERM)
            assert process.wait(120) == 0
    gaps = [r for r in frames_in(fresh.client(), topics.FRAMES_LIVE) if isinstance(r, Gap)]
    assert len(gaps) >= 2
    assert gaps[0].started_at >= began
    assert all(a.ended_at <= b.started_at for a, b in pairwise(gaps))
    assert all("p4ssw0rd" not in g.reason for g in gaps)
    assert "Connection refused" in gaps[0].reason
    assert gaps[-1].ended_at - gaps[0].started_at < datetime.now(UTC) - began


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--share", "2/2"], "share 2/2 does not exist"),
        (["--share", "x"], "is not i/n"),
        (["--share", "9/10"], "empty"),
    ],
)
def test_a_share_that_makes_no_sense_is_a_bad_configuration(
    tmp_path: Path, fresh: KafkaBroker, video: Path, more: list[str], says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with flow("record", site_file(tmp_path, fresh, video), *more) as process:
        assert process.wait(120) == 2
    assert says in capfd.readouterr().err


def test_a_metrics_port_that_is_taken_is_told(
    tmp_path: Path, fresh: KafkaBroker, video: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    port = int(fresh.address.rsplit(":", 1)[1])
    with flow("record", site_file(tmp_path, fresh, video), "--metrics-port", str(port)) as process:
        assert process.wait(120) == 1
    assert f"port {port} for metrics cannot be opened" in capfd.readouterr().err
