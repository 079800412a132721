# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from pydantic import SecretStr

from connectors import topics
from connectors.broker import Outgoing, TopicSettings, back_off
from connectors.errors import BrokerUnavailable
from connectors.gop import EndOfInterval, FrameRecord, Gap, Gop
from connectors.keys import HeldKeys
from connectors.memory_broker import MemoryBroker
from connectors.records import Joiner, decode_frame
from connectors.sealing import open_gop
from connectors.site import CameraSite, Site, utc_now
from flows import metrics
from flows.camera_faults import read_faults
from flows.capture import capture, last_written
from flows.drain import Drain
from flows.recovery import forget_recovery, recovery_dir
from flows.share import Share
from tests.connectors.videos import START, file_camera, make_video, with_damaged_packets, with_wrong_length
from tests.flows.silent_rtsp import silent_server
from tests.flows.sites import site_of, write_public_key


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("videos")
    return [make_video(folder / f"{n}.mp4", frames=100 + 25 * n) for n in range(3)]


def run(site: Site, broker: MemoryBroker, share: str = "0/1") -> None:
    capture(site, Share.parse(share), Drain(), broker)


def records(broker: MemoryBroker) -> list[FrameRecord]:
    """All records, parts joined."""
    joiner, found = Joiner(), []
    for message in broker.messages(topics.FRAMES_LIVE):
        record = decode_frame(message.value)
        assert message.key == record.camera
        if isinstance(record, Gop):
            whole, lost = joiner.add(record, message.offset)
            assert lost is None
            if whole is None:
                continue
            record = whole
        found.append(record)
    return found


def of(found: list[FrameRecord], camera: str) -> list[FrameRecord]:
    return [r for r in found if r.camera == camera]


def test_files_go_whole_and_in_order_to_their_partition_with_their_end_marked(
    tmp_path: Path, videos: list[Path]
) -> None:
    broker = MemoryBroker()
    run(site_of(tmp_path, [file_camera(v, f"c{n}") for n, v in enumerate(videos)]), broker)
    found = records(broker)
    for n in range(3):
        mine = of(found, f"c{n}")
        assert [type(r) for r in mine] == [Gop] * (4 + n) + [EndOfInterval]
        assert sum(r.frames for r in mine if isinstance(r, Gop)) == 100 + 25 * n
        assert [r.sequence for r in mine] == list(range(5 + n))
        assert mine[-1].ended_at == mine[-2].last_at  # type: ignore[union-attr]
    assert {m.partition for m in broker.messages(topics.FRAMES_LIVE)} == {0, 1}


def test_damage_is_told_in_the_metrics_and_the_rest_of_the_file_is_captured(tmp_path: Path) -> None:
    broken = with_wrong_length(make_video(tmp_path / "a.mp4", frames=100), 31)
    noisy = with_damaged_packets(make_video(tmp_path / "b.ts"))
    broker = MemoryBroker()
    run(site_of(tmp_path, [file_camera(broken, "broken"), file_camera(noisy, "noisy")]), broker)
    assert [type(r) for r in of(records(broker), "broken")] == [Gop, Gap, Gop, Gop, EndOfInterval]

    def counted(name: str, camera: str) -> float | None:
        return metrics.REGISTRY.get_sample_value(name, {"flow": "capture", "camera": camera})

    assert counted("passage_gap_seconds_total", "broken") == pytest.approx(0.96, abs=0.001)
    frames = counted("passage_frames_total", "noisy")
    damaged = counted("passage_damaged_packets_total", "noisy")
    assert damaged and frames == 75 - damaged


def test_what_was_captured_is_not_captured_again(tmp_path: Path, videos: list[Path]) -> None:
    broker = MemoryBroker()
    site = site_of(tmp_path, [file_camera(videos[0])])
    run(site, broker)
    before = broker.messages(topics.FRAMES_LIVE)
    run(site, broker)
    assert broker.messages(topics.FRAMES_LIVE) == before


def test_with_positions_lost_the_topic_itself_tells_where_it_was(tmp_path: Path, videos: list[Path]) -> None:
    """As after a kill -9 before the first snapshot: the newest records say how far the file went."""
    whole = MemoryBroker()
    site = site_of(tmp_path / "a", [file_camera(videos[2])])
    run(site, whole)
    broker = MemoryBroker()
    site = site_of(tmp_path / "b", [file_camera(videos[2])])
    broker.ensure_topic(topics.FRAMES_LIVE, topics.settings(site, "live"))
    from connectors.broker import Outgoing

    some = whole.messages(topics.FRAMES_LIVE)[:3]
    broker.writer().write(topics.FRAMES_LIVE, [Outgoing(m.partition, m.key, m.value) for m in some])
    run(site, broker)
    assert [(r.first_at, r.frames) for r in records(broker) if isinstance(r, Gop)] == [
        (r.first_at, r.frames) for r in records(whole) if isinstance(r, Gop)
    ]


def test_another_file_under_the_same_name_begins_anew(tmp_path: Path, videos: list[Path]) -> None:
    broker = MemoryBroker()
    run(site_of(tmp_path, [file_camera(videos[0])]), broker)
    later = file_camera(videos[1], start_utc=START + timedelta(hours=1))
    run(site_of(tmp_path, [later]), broker)
    gops = [r for r in records(broker) if isinstance(r, Gop)]
    assert sum(g.frames for g in gops) == 225


def test_sealed_capture_leaves_no_clear_video_in_kafka(tmp_path: Path, videos: list[Path]) -> None:
    clear, sealed = MemoryBroker(), MemoryBroker()
    run(site_of(tmp_path / "clear", [file_camera(videos[0])]), clear)
    site = site_of(tmp_path / "sealed", [file_camera(videos[0])], sealing=True)
    keys = HeldKeys({"2026-11-20": write_public_key(site)})
    run(site, sealed)
    open_ones = [r for r in records(clear) if isinstance(r, Gop)]
    closed = [r for r in records(sealed) if isinstance(r, Gop)]
    everything = b"".join(m.value for m in sealed.messages(topics.FRAMES_LIVE))
    for a, b in zip(open_ones, closed, strict=True):
        assert b.seal is not None
        assert a.payload[:64] not in everything
        assert open_gop(b, keys.data_key(b.seal, "live")).payload == a.payload


def test_without_the_days_key_nothing_leaves_and_the_gap_says_why(
    tmp_path: Path, videos: list[Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("flows.capture.KEYS_WITHIN_S", -1.0)
    broker = MemoryBroker()
    run(site_of(tmp_path, [file_camera(videos[0])], sealing=True), broker)
    found = records(broker)
    assert [type(r) for r in found] == [Gap] * 4 + [EndOfInterval]
    assert all("no public key of 2026-11-20" in r.reason for r in found if isinstance(r, Gap))
    assert "camera c1 is not recorded" in caplog.text


def test_a_gop_over_the_record_limit_travels_in_parts(tmp_path: Path) -> None:
    video = make_video(tmp_path / "large.mp4", noise=60, size=(320, 240))
    broker = MemoryBroker()
    run(site_of(tmp_path, [file_camera(video)], kafka={"record_limit_bytes": 65536}), broker)
    assert len(broker.messages(topics.FRAMES_LIVE)) > 4
    assert sum(r.frames for r in records(broker) if isinstance(r, Gop)) == 75


def test_a_camera_that_cannot_be_read_disturbs_no_other(
    tmp_path: Path, videos: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "rubbish.mp4").write_bytes(bytes(range(256)) * 100)
    broker = MemoryBroker()
    cameras = [file_camera(tmp_path / "rubbish.mp4", "bad"), file_camera(tmp_path / "no.mp4", "none")]
    run(site_of(tmp_path, [*cameras, file_camera(videos[0], "good")], partitions=1), broker)
    found = records(broker)
    assert {r.camera for r in found} == {"good"}
    assert len(found) == 5
    assert "camera bad (rubbish.mp4) cannot be opened: the file is damaged" in caplog.text
    assert "camera none (no.mp4) cannot be opened: no such file" in caplog.text


def test_why_a_camera_cannot_be_read_is_told_until_it_can(tmp_path: Path, videos: list[Path]) -> None:
    (tmp_path / "rubbish.mp4").write_bytes(bytes(range(256)) * 100)
    site = site_of(tmp_path, [file_camera(tmp_path / "rubbish.mp4", "bad"), file_camera(videos[0], "good")])
    broker = MemoryBroker()
    run(site, broker)
    told = read_faults(site)
    assert {name: fault.state for name, fault in told.items()} == {"bad": "file unreadable"}
    assert told["bad"].reason.startswith("camera bad (rubbish.mp4) cannot be opened: the file is damaged")
    shutil.copy(videos[1], tmp_path / "rubbish.mp4")
    run(site, broker)
    assert read_faults(site) == {}
    assert {r.camera for r in records(broker)} == {"bad", "good"}


@pytest.mark.slow
def test_a_camera_that_is_connected_and_silent_is_told_and_tried_again_and_disturbs_no_other(
    tmp_path: Path, videos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def quicker(first_s: float, most_s: float) -> Iterator[float]:
        for wait_s in back_off(first_s, most_s):
            asked.append(wait_s)
            yield wait_s / 50

    monkeypatch.setattr("connectors.camera_feed.back_off", quicker)
    drain, began, seen = Drain(), utc_now(), []
    with silent_server() as server:
        silent = CameraSite(
            name="silent",
            label="silent",
            url=SecretStr(f"rtsp://127.0.0.1:{server.port}/live"),
            masks_dwellings=True,
            open_timeout_s=0.3,
            read_timeout_s=0.3,
        )
        site = site_of(tmp_path, [silent, file_camera(videos[0], "good")], partitions=1)

        def watch() -> None:
            deadline = time.monotonic() + 60
            while server.played < 4 and time.monotonic() < deadline:
                drain.wait(0.02)
            seen.append(read_faults(site))
            drain.ask()

        watcher = threading.Thread(target=watch)
        watcher.start()
        broker = MemoryBroker()
        capture(site, Share(), drain, broker)
        watcher.join()
    assert server.played >= 4 and asked[:3] == [1.0, 2.0, 4.0]
    assert seen[0]["silent"].state == "silent" and "nothing came for 0.3 s" in seen[0]["silent"].reason
    (gap,) = of(records(broker), "silent")
    assert isinstance(gap, Gap) and "nothing came for 0.3 s" in gap.reason
    assert began <= gap.started_at < gap.ended_at
    assert metrics.REGISTRY.get_sample_value("passage_camera_up", {"flow": "capture", "camera": "silent"}) == 0
    assert [type(r) for r in of(records(broker), "good")] == [Gop] * 4 + [EndOfInterval]


def test_shares_capture_their_own_cameras(tmp_path: Path, videos: list[Path]) -> None:
    broker = MemoryBroker()
    site = site_of(tmp_path, [file_camera(v, f"c{n}") for n, v in enumerate(videos)])
    run(site, broker, "0/2")
    assert {r.camera for r in records(broker)} == {"c0", "c2"}
    run(site, broker, "1/2")
    assert {r.camera for r in records(broker)} == {"c0", "c1", "c2"}
    forget_recovery(recovery_dir(site, "capture", share=Share(0, 2)))
    assert not recovery_dir(site, "capture", share=Share(0, 2)).exists()


def test_a_look_at_what_was_written_closes_its_reader_when_the_broker_goes_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker, closed = MemoryBroker(), []
    broker.ensure_topic(topics.FRAMES_LIVE, TopicSettings(partitions=1))
    broker.writer().write(topics.FRAMES_LIVE, [Outgoing(0, "c1", b"")])
    reader = broker.reader(topics.FRAMES_LIVE, {0: 0})

    def poll(most: int) -> NoReturn:
        raise BrokerUnavailable("it went away")

    monkeypatch.setattr(reader, "poll", poll)
    monkeypatch.setattr(reader, "close", lambda: closed.append(True))
    monkeypatch.setattr(broker, "reader", lambda *_: reader)
    with pytest.raises(BrokerUnavailable):
        last_written(broker, 0)
    assert closed == [True]
