# SPDX-License-Identifier: AGPL-3.0-or-later
"""The COCO model through our detector, on real street frames, beside ultralytics itself."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

_PATH = Path(__file__).resolve().parents[1] / "bench" / "detector.py"


@pytest.fixture(scope="module")
def figures() -> dict[str, float]:
    spec = importlib.util.spec_from_file_location("bench_detector", _PATH)
    assert spec is not None and spec.loader is not None
    bench: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    if not bench.COCO_MODEL.is_dir():
        pytest.skip(f"real frames and COCO model are not there ({bench.DATA})")
    return dict(bench.measure_real_frames())


@pytest.mark.media
@pytest.mark.slow
def test_recall_of_cars_trucks_and_buses(figures: dict[str, float]) -> None:
    assert figures["truth_boxes"] > 150
    assert figures["frames_detector_recall"] >= 0.98


@pytest.mark.media
@pytest.mark.slow
def test_as_many_detections_as_ultralytics(figures: dict[str, float]) -> None:
    ratio = figures["detections_per_image"] / figures["detections_per_image_ultralytics"]
    assert 0.95 <= ratio <= 1.05
