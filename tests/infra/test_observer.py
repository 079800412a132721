# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.errors import CodecUnsupported
from connectors.site import CameraSite, Site
from flows.camera_faults import CameraFaults, faults_file, read_faults
from infra.health import Metrics, parse_metrics
from infra.observer import Observer, Reading, read
from infra.stack_state import ServiceState, StackState

TEXT = """\
# HELP passage_frames_total frames
# TYPE passage_frames_total counter
passage_frames_total{camera="c1",flow="capture"} 100.0
passage_frames_total{camera="c2",flow="capture"} 20.0
# TYPE passage_camera_up gauge
passage_camera_up{camera="c1",flow="capture"} 1.0
passage_camera_up{camera="c2",flow="capture"} 0.0
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    cameras = [
        CameraSite(name=n, label=n, url="x.mp4", start_utc=datetime(2026, 1, 1, tzinfo=UTC), masks_dwellings=True)
        for n in ("c1", "c2")
    ]
    return Site(name="t", data=tmp_path, camera=cameras)


def state(*services: ServiceState) -> StackState:
    return StackState(site="t", supervisor_pid=1, written_at=datetime.now(UTC), services=services)


def metrics(name: str, value: float, **labels: str) -> Metrics:
    return Metrics({(name, tuple(sorted(labels.items()))): value})


CAPTURE = ServiceState(name="capture", group="flows", state="running")


def test_metrics_are_read_and_summed() -> None:
    read = parse_metrics(TEXT)
    assert read.total("passage_frames_total") == 120
    assert read.total("passage_frames_total", camera="c1") == 100
    assert read.by("passage_camera_up", "camera") == {"c1": 1.0, "c2": 0.0}
    assert read.total("nothing") == 0


def test_frames_a_second_over_the_readings(site: Site) -> None:
    observer = Observer(site)
    observer.status(state(CAPTURE), Reading(10.0, {"capture": metrics("passage_frames_total", 100, camera="c1")}))
    status = observer.status(
        state(CAPTURE), Reading(14.0, {"capture": metrics("passage_frames_total", 200, camera="c1")})
    )
    assert status.processes[0].frames_per_s == 25.0


def test_a_counter_that_began_anew_gives_no_rate(site: Site) -> None:
    observer = Observer(site)
    observer.status(state(CAPTURE), Reading(10.0, {"capture": metrics("passage_frames_total", 100, camera="c1")}))
    status = observer.status(
        state(CAPTURE), Reading(14.0, {"capture": metrics("passage_frames_total", 7, camera="c1")})
    )
    assert status.processes[0].frames_per_s is None


def test_camera_hours_per_hour_counts_orders_and_live_indexing_while_they_move(site: Site) -> None:
    observer = Observer(site)
    observer.status(state(), Reading(0.0, order_seconds={"o": 0.0}))
    observer.status(state(), Reading(10.0, order_seconds={"o": 40.0}))
    status = observer.status(state(), Reading(30.0, order_seconds={"o": 40.0}))
    assert status.camera_hours_per_hour == 4.0
    later = observer.status(state(), Reading(500.0, order_seconds={"o": 40.0}))
    assert later.camera_hours_per_hour == 4.0


def test_a_process_is_as_far_behind_as_its_slowest_camera(site: Site) -> None:
    stream = CameraSite(name="s1", label="s1", url="rtsp://127.0.0.1:1/x", masks_dwellings=True)
    slow = stream.model_copy(update={"name": "s2"})
    site = site.model_copy(update={"cameras": [*site.cameras, stream, slow]})
    lags = Metrics({("passage_lag_seconds", (("camera", c),)): s for c, s in (("c1", 9e6), ("s1", 1.0), ("s2", 4.26))})
    files = metrics("passage_lag_seconds", 9e6, camera="c1")
    record, index, gate = (ServiceState(name=n, group="g", state="running") for n in ("record", "index", "gate"))
    status = Observer(site).status(state(record, index, gate), Reading(0.0, {"record": lags, "index": files}))
    assert [p.lag_s for p in status.processes] == [4.3, None, None]
    assert [p.detail for p in status.processes] == ["", "", ""]


def test_cameras_say_what_they_do(site: Site) -> None:
    observer = Observer(site)
    status = observer.status(state(CAPTURE), Reading(0.0, {"capture": parse_metrics(TEXT)}))
    assert status.cameras == {"c1": "recording", "c2": "at its end"}
    down = observer.status(state(ServiceState(name="capture", group="flows", state="failed")), Reading(1.0))
    assert down.cameras == {"c1": "capture is down", "c2": "capture is down"}
    assert down.processes[0].state == "down"


def test_a_camera_that_cannot_be_read_is_not_at_its_end(site: Site) -> None:
    faults = CameraFaults(faults_file(site))
    for name in ("c1", "c2"):
        faults.failed(name, CodecUnsupported(f"camera {name} sends mpeg4"))
    running = Observer(site).status(
        state(CAPTURE), Reading(0.0, {"capture": parse_metrics(TEXT)}, {}, read_faults(site))
    )
    assert running.cameras == {"c1": "recording", "c2": "unknown codec"}
    assert running.camera_reasons == {"c2": "camera c2 sends mpeg4"}
    faults.works("c1")
    ended = read(site, state(ServiceState(name="capture", group="flows", state="finished")))
    status = Observer(site).status(state(ServiceState(name="capture", group="flows", state="finished")), ended)
    assert status.cameras == {"c1": "at its end", "c2": "unknown codec"}
