# SPDX-License-Identifier: AGPL-3.0-or-later
"""Measure the detector on real street frames with the COCO model, beside ultralytics itself: build/bench/detector.json.

Run: python tests/bench/detector.py
"""

from __future__ import annotations

import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from infra.training.matching import match  # noqa: E402
from reid.detector import DetectorSettings, load_detector  # noqa: E402
from tests.bench._recording import DATA, record  # noqa: E402

COCO_MODEL = DATA / "models" / "yolo11n_int8_openvino_model"
FOUR_WHEELS = ("car", "truck", "bus")


def read_frames(folder: Path) -> list[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """Frames of a Pascal VOC folder with their car, truck and bus boxes."""
    frames = []
    for path in sorted(folder.glob("*.xml")):
        boxes = [
            [float(item.findtext(f"bndbox/{side}", "nan")) for side in ("xmin", "ymin", "xmax", "ymax")]
            for item in ET.parse(path).iter("object")  # noqa: S314 - our own test data
            if item.findtext("name") in FOUR_WHEELS
        ]
        frames.append((cv2.imread(str(path.with_suffix(".jpg"))), np.array(boxes, np.float32).reshape(-1, 4)))
    return frames


def measure_real_frames() -> dict[str, float]:
    """Recall and detections per image of our code and of ultralytics, same model and threshold."""
    from ultralytics import YOLO

    frames = read_frames(DATA / "frames")
    detector = load_detector(DetectorSettings(model=str(COCO_MODEL), confidence=0.25))
    pictures = [picture for picture, _ in frames]
    detector.detect(pictures[:4])
    started = time.perf_counter()
    found = detector.detect(pictures)
    ours_s = time.perf_counter() - started
    hits = total = 0
    for (_, truth), seen in zip(frames, found, strict=True):
        boxes = seen.boxes[np.isin(seen.classes, FOUR_WHEELS)] if len(seen) else seen.boxes
        hits += int(match(truth, truth[:0], boxes).truth_hit.sum())
        total += len(truth)
    plain = YOLO(str(COCO_MODEL), task="detect")
    wanted = [number for number, name in plain.names.items() if name in (*FOUR_WHEELS, "motorcycle")]
    plain.predict(pictures[0], verbose=False)
    started = time.perf_counter()
    theirs = [plain.predict(p, conf=0.25, imgsz=640, classes=wanted, verbose=False)[0].boxes for p in pictures]
    theirs_s = time.perf_counter() - started
    plain_features = load_detector(DetectorSettings(model=str(COCO_MODEL), confidence=0.25, features=False))
    plain_features.detect(pictures[:4])
    started = time.perf_counter()
    plain_features.detect(pictures)
    bare_s = time.perf_counter() - started
    return {
        "frames": len(frames),
        "truth_boxes": total,
        "frames_detector_recall": hits / total,
        "detections_per_image": sum(map(len, found)) / len(frames),
        "detections_per_image_ultralytics": sum(map(len, theirs)) / len(frames),
        "ms_per_frame": 1e3 * ours_s / len(frames),
        "ms_per_frame_without_features": 1e3 * bare_s / len(frames),
        "ms_per_frame_ultralytics": 1e3 * theirs_s / len(frames),
    }


if __name__ == "__main__":
    if not COCO_MODEL.is_dir():
        sys.exit(f"no model at {COCO_MODEL}: the real test data are not beside the checkout")
    record("detector", measure_real_frames())
