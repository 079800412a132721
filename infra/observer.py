# SPDX-License-Identifier: AGPL-3.0-or-later
"""What operations sees of a running stack: read from every process's metrics, written to `state/status.json`."""

from __future__ import annotations

import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from connectors.site import METRICS, Site
from flows.camera_faults import CameraFault, read_faults
from flows.progress import StatusFile
from gate.messages import OperationsStatus, ProcessStatus
from infra.health import Metrics, read_metrics
from infra.stack_state import StackState

WINDOW_S = 120.0
"""Rates are over at most this long."""

_STATES: dict[str, Literal["running", "starting", "down", "finished"]] = {
    "running": "running",
    "finished": "finished",
    "starting": "starting",
    "waiting": "starting",
    "restarting": "starting",
}


def status_file(site: Site) -> Path:
    """Where the gate finds it."""
    return site.data / "state" / "status.json"


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything read at one moment of a monotonic clock, seconds."""

    at: float
    metrics: dict[str, Metrics] = field(default_factory=dict)
    """By name of the service."""
    order_seconds: dict[str, float] = field(default_factory=dict)
    """Camera-seconds indexed so far, by order."""
    faults: dict[str, CameraFault] = field(default_factory=dict)
    """By camera, of those that capture cannot read."""


def metrics_port(site: Site, service: str) -> int | None:
    """Where a service shows its metrics; None when it shows none."""
    name, _, share = service.partition("-")
    return site.metrics_port + METRICS[name] + int(share or 0) if name in METRICS else None


def read(site: Site, state: StackState, clock: Callable[[], float] = time.monotonic) -> Reading:
    """Ask every running process that shows metrics, and the orders' progress files."""
    found = {}
    for service in state.services:
        port = metrics_port(site, service.name)
        if port is not None and service.state in ("running", "unhealthy"):
            metrics = read_metrics(port)
            if metrics is not None:
                found[service.name] = metrics
    return Reading(clock(), found, _order_seconds(site), read_faults(site))


class Observer:
    """Keeps the last readings and makes a status of them."""

    def __init__(self, site: Site) -> None:
        self.site = site
        """As its file says now: it may be read again."""
        self._readings: deque[Reading] = deque()
        self._last_rate: float | None = None

    def status(self, state: StackState, reading: Reading) -> OperationsStatus:
        """The status now; rates are over the readings of the last `WINDOW_S`."""
        self._readings.append(reading)
        while reading.at - self._readings[0].at > WINDOW_S:
            self._readings.popleft()
        rate = self._indexed_per_second()
        if rate:
            self._last_rate = rate
        cameras = self._cameras(state, reading)
        return OperationsStatus(
            at=datetime.now(UTC),
            processes=tuple(
                ProcessStatus(
                    name=s.name,
                    state=_STATES.get(s.state, "down"),
                    frames_per_s=self._frames_per_s(s.name),
                    lag_s=self._lag_s(reading.metrics.get(s.name)),
                    detail=s.message or _asked(reading.metrics.get(s.name)),
                )
                for s in state.services
            )
            + _orders(self.site),
            camera_hours_per_hour=self._last_rate,
            stage_seconds=_stages(reading),
            cameras=cameras,
            camera_reasons={n: f.reason for n, f in reading.faults.items() if cameras.get(n) == f.state},
            disk_free_bytes=_free(self.site),
        )

    def _frames_per_s(self, service: str) -> float | None:
        own = [r for r in self._readings if service in r.metrics]
        if len(own) < 2 or own[-1].at <= own[0].at:
            return None
        counts = [r.metrics[service].total("passage_frames_total") for r in own]
        if counts[-1] < counts[0]:  # it was started anew in between
            return None
        return round((counts[-1] - counts[0]) / (own[-1].at - own[0].at), 2)

    def _indexed_per_second(self) -> float | None:
        """Camera-seconds indexed per second over those pairs of readings in which anything was."""
        done, took = 0.0, 0.0
        pairs = zip(list(self._readings)[:-1], list(self._readings)[1:], strict=True)
        for before, after in pairs:
            gained = sum(max(0.0, s - before.order_seconds.get(o, 0.0)) for o, s in after.order_seconds.items())
            for name in after.metrics.keys() & before.metrics.keys():
                if name.split("-")[0] == "index":
                    a, b = (r.metrics[name].total("passage_camera_seconds_total") for r in (after, before))
                    gained += max(0.0, a - b)
            if gained > 0:
                done += gained
                took += after.at - before.at
        return round(done / took, 2) if took > 0 else None

    def _lag_s(self, metrics: Metrics | None) -> float | None:
        """How far behind the slowest camera of a flow is; files were recorded at any time and have no lag."""
        lags = {} if metrics is None else metrics.by("passage_lag_seconds", "camera")
        live = [lag for name, lag in lags.items() if any(c.name == name and not c.is_file for c in self.site.cameras)]
        return round(max(live), 1) if live else None

    def _cameras(self, state: StackState, reading: Reading) -> dict[str, str]:
        capture = next((s for s in state.services if s.name == "capture"), None)
        metrics = reading.metrics.get("capture")
        if metrics is None and (capture is None or capture.state != "finished"):
            return {c.name: "capture is down" for c in self.site.cameras}
        up = {} if metrics is None else metrics.by("passage_camera_up", "camera")
        found = {}
        for camera in self.site.cameras:
            fault = reading.faults.get(camera.name)
            if up.get(camera.name, 0.0) > 0:
                found[camera.name] = "recording"
            elif fault is not None:
                found[camera.name] = fault.state
            else:
                found[camera.name] = "at its end" if camera.is_file else "no video"
        return found


def _asked(metrics: Metrics | None) -> str:
    """How much the gate has been asked for since it started; empty for every other process."""
    requests = 0.0 if metrics is None else metrics.total("passage_gate_requests_total")
    if metrics is None or not requests:
        return ""
    refused, sent = metrics.total("passage_gate_refusals_total"), metrics.total("passage_gate_bytes_total")
    return f"{requests:.0f} requests, {refused:.0f} refused, {sent / 1e6:.1f} MB sent"


class StatusWriter:
    """A thread that writes the status every few seconds, so that a slow process never holds up the supervisor."""

    def __init__(self, site: Site, state: Callable[[], StackState | None], every_s: float = 3.0) -> None:
        self.site = site
        """As its file says now: it may be read again."""
        self._state = state
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="status", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        observer = Observer(self.site)
        # A full disk is told by the supervisor's own file.
        shown = StatusFile(status_file(self.site), tell=lambda _: None)
        while not self._stop.wait(self._every_s):
            state = self._state()
            if state is None:
                continue
            observer.site = self.site
            status = observer.status(state, read(observer.site, state))
            shown.write(msgspec.json.encode(status))


def _order_seconds(site: Site) -> dict[str, float]:
    found = {}
    for file in (site.data / "orders").glob("*.progress.json"):
        try:
            found[file.name.removesuffix(".progress.json")] = float(
                msgspec.json.decode(file.read_bytes())["seconds_done"]
            )
        except (OSError, ValueError, KeyError, TypeError, msgspec.MsgspecError):
            continue
    return found


def _orders(site: Site) -> tuple[ProcessStatus, ...]:
    """The orders at work: how much of what a requisition names is indexed."""
    found = []
    for file in sorted((site.data / "orders").glob("*.progress.json")):
        try:
            progress = msgspec.json.decode(file.read_bytes())
            if progress["state"] == "running":
                detail = f"{progress['seconds_done']:.0f} of {progress['seconds_asked']:.0f} camera-seconds"
                name = f"order {file.name.removesuffix('.progress.json')}"
                found.append(ProcessStatus(name=name, state="running", detail=detail))
        except (OSError, ValueError, KeyError, TypeError, msgspec.MsgspecError):
            continue
    return tuple(found)


def _stages(reading: Reading) -> dict[str, float]:
    sums: dict[str, float] = {}
    for metrics in reading.metrics.values():
        for stage, seconds in metrics.by("passage_stage_seconds_total", "stage").items():
            sums[stage] = round(sums.get(stage, 0.0) + seconds, 3)
    return sums


def _free(site: Site) -> int | None:
    try:
        return shutil.disk_usage(site.archive_dir if site.archive_dir.exists() else site.data).free
    except OSError:
        return None
