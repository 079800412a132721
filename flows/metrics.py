# SPDX-License-Identifier: AGPL-3.0-or-later
"""What flows count, by name, and the page on 127.0.0.1 where Prometheus and `passage status` read it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from flows.errors import FlowError

log = logging.getLogger(__name__)

CounterName = Literal[
    # records that a flow took in; labels flow, camera
    "passage_records_total",
    # bytes of payload in them
    "passage_bytes_total",
    # frames in them
    "passage_frames_total",
    # seconds of a camera's time in them: camera-hours per hour are made of this
    "passage_camera_seconds_total",
    # records that could not be used and went to the dead-letter topic; label error
    "passage_dead_records_total",
    # records that the broker erased before they were read
    "passage_erased_records_total",
    # seconds of a camera's time for which there is no video
    "passage_gap_seconds_total",
    # times that a camera's connection was lost
    "passage_camera_failures_total",
    # GOPs that capture had to drop because nobody took them
    "passage_dropped_gops_total",
    # packets that came damaged from a camera and were left out
    "passage_damaged_packets_total",
    # seconds of work, by stage (decode, motion, detect, track, describe, seal, write, …)
    "passage_stage_seconds_total",
    # passages written
    "passage_passages_total",
]
GaugeName = Literal[
    # 1 while a camera gives video, 0 while it does not; label camera
    "passage_camera_up",
    # seconds between the capture of the last record taken and now; labels flow, camera
    "passage_lag_seconds",
    # bytes free where the archive lies, told by the flow that records
    "passage_archive_free_bytes",
]

REGISTRY = CollectorRegistry()
_LABELS: dict[str, tuple[str, ...]] = {
    "passage_dead_records_total": ("flow", "error"),
    "passage_erased_records_total": ("flow",),
    "passage_stage_seconds_total": ("flow", "stage"),
    # A gauge without labels shows 0 from the start, in every flow: a full archive where there is none.
    "passage_archive_free_bytes": ("flow",),
}
_CAMERA = ("flow", "camera")
_counters: dict[str, Counter] = {
    name: Counter(name.removesuffix("_total"), name.replace("_", " "), _LABELS.get(name, _CAMERA), registry=REGISTRY)
    for name in get_args(CounterName)
}
_gauges: dict[str, Gauge] = {
    name: Gauge(name, name.replace("_", " "), _LABELS.get(name, _CAMERA), registry=REGISTRY)
    for name in get_args(GaugeName)
}


def count(name: CounterName, amount: float = 1.0, **labels: str) -> None:
    """Add to a counter."""
    counter = _counters[name]
    (counter.labels(**labels) if labels else counter).inc(amount)


def show(name: GaugeName, value: float, **labels: str) -> None:
    """Set a gauge."""
    gauge = _gauges[name]
    (gauge.labels(**labels) if labels else gauge).set(value)


@contextmanager
def stage(flow: str, name: str) -> Iterator[None]:
    """Count the seconds of a piece of work."""
    began = time.perf_counter()
    try:
        yield
    finally:
        count("passage_stage_seconds_total", time.perf_counter() - began, flow=flow, stage=name)


def serve(port: int, registry: CollectorRegistry = REGISTRY) -> None:
    """Show the metrics on 127.0.0.1. Raises FlowError when the port is taken."""
    try:
        start_http_server(port, addr="127.0.0.1", registry=registry)
    except OSError as fault:
        raise FlowError(
            f"port {port} for metrics cannot be opened ({fault.strerror}): another Passage runs, or set metrics_port"
        ) from None
