# SPDX-License-Identifier: AGPL-3.0-or-later
"""From trained weights to the shipped folder: OpenVINO, int8, its threshold chosen on validation towns, its digests.

Run: python -m infra.training.export_detector build/training/towns/weights/last.pt --name passage-detector-v1
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from infra.training.evaluate import Figures, Raw, best_threshold, score
from infra.training.pictures import INPUT_HW, Labelled
from infra.training.whole_frames import read_frames
from reid.classes import MODEL_CLASSES
from reid.detector import MODELS_DIR, DetectorSettings
from reid.letterbox import lay_into, plan_fit
from reid.model_hash import file_sha256
from reid.openvino_detector import OpenVinoDetector

IOU = 0.5
"""Overlap above which the weaker box goes; of 0.4 to 0.7 the best on validation frames."""
CALIBRATION_PICTURES = 128


def to_openvino(weights: Path, folder: Path, input_hw: tuple[int, int] = INPUT_HW) -> Path:
    """Write the float IR of trained weights; returns its .xml."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from ultralytics import YOLO

    copy = folder / "detector.pt"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(weights, copy)
    made = Path(YOLO(str(copy)).export(format="openvino", imgsz=list(input_hw), dynamic=False, device="cpu"))
    return next(made.glob("*.xml"))


def quantize(ir: Path, pictures: list[NDArray[np.uint8]], out: Path, input_hw: tuple[int, int] = INPUT_HW) -> Path:
    """Write the int8 IR, its ranges measured on `pictures` (BGR, any size).

    Processors without VNNI add pairs of products in 16 bits, which eight bits of weight can overflow. They do in the
    first layer, whose input is bright as well as dark: its weights keep to seven. Seven everywhere would cost more than
    it saves (docs/models.md).
    """
    import nncf
    import openvino as ov
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

    def tensor(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        laid = np.empty((*input_hw, 3), np.uint8)
        lay_into(picture, plan_fit(picture.shape[0], picture.shape[1], input_hw), laid)
        return (laid[..., ::-1].transpose(2, 0, 1)[None] / np.float32(255)).astype(np.float32)

    model = ov.Core().read_model(ir)
    # The head's last arithmetic turns maps to boxes in pixels: too wide a range for eight bits.
    head = max(
        int(name.split(".")[1])
        for op in model.get_ops()
        if (name := op.get_friendly_name().removeprefix("__module.")).startswith("model.")
        and name.split(".")[1].isdigit()
    )
    quantized = nncf.quantize(
        model,
        nncf.Dataset(pictures, tensor),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(pictures),
        ignored_scope=nncf.IgnoredScope(patterns=[rf".*model\.{head}\.dfl.*", rf".*model\.{head}/.*"], validate=False),
        advanced_parameters=AdvancedQuantizationParameters(overflow_fix=OverflowFix.FIRST_LAYER),
    )
    ov.save_model(quantized, out)
    return out


def open_exported(ir: Path, threads: int = 1) -> OpenVinoDetector:
    """An exported model as it will be run, with the suppression that is published beside it."""
    settings = DetectorSettings(model=str(ir), iou=IOU, class_agnostic=True, threads=threads, features=False)
    return OpenVinoDetector(settings, ir)


def measure(ir: Path, scenes: list[Labelled], threads: int = 1) -> tuple[list[Raw], float]:
    """Every class's detections in pictures, and milliseconds a picture."""
    detector = open_exported(ir, threads)
    pictures = [scene.picture for scene in scenes]
    detector.detect_every_class(pictures[:3], 0.05)
    started = time.process_time()
    answers = detector.detect_every_class(pictures, 0.05)
    spent = time.process_time() - started
    return answers, 1e3 * spent / max(len(pictures), 1)


def publish(ir: Path, name: str, threshold: float, notes: dict[str, Any], input_hw: tuple[int, int] = INPUT_HW) -> Path:
    """Put an IR into the shipped folder with the metadata that the detector reads."""
    folder = MODELS_DIR / name
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in (".xml", ".bin"):
        shutil.copyfile(ir.with_suffix(suffix), folder / f"detector{suffix}")
    metadata = {
        "name": name,
        "classes": list(MODEL_CLASSES),
        "input_hw": list(input_hw),
        "confidence": threshold,
        "iou": IOU,
        "class_agnostic": True,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "sha256": {f"detector{suffix}": file_sha256(folder / f"detector{suffix}") for suffix in (".xml", ".bin")},
        **notes,
    }
    (folder / "metadata.json").write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
    return folder


def flat(figures: Figures, prefix: str) -> dict[str, float]:
    """Figures under flat keys."""
    return {
        f"{prefix}_recall": round(figures.recall, 4),
        f"{prefix}_precision": round(figures.precision, 4),
        f"{prefix}_class_accuracy": round(figures.class_accuracy, 4),
        f"{prefix}_truth": figures.truth,
    } | {f"{prefix}_recall_{name}": round(hit / n, 4) for name, (n, hit) in figures.by_class.items() if n}


def export(
    weights: Path,
    name: str,
    validation: Path,
    calibration: list[Path],
    keep_float: bool = False,
    input_hw: tuple[int, int] = INPUT_HW,
    confidence: float | None = None,
) -> Path:
    """Export, measure float beside int8 on validation frames, choose the threshold, publish; returns the folder.

    Args:
        weights: a checkpoint of training.
        name: folder under `reid/models`.
        validation: frames of validation towns (see `whole_frames`).
        calibration: folders of training pictures that the ranges of int8 are measured on.
        keep_float: ship the float model instead.
        input_hw: another input size; larger finds smaller vehicles, and takes longer.
        confidence: the threshold, where following on validation towns has chosen one; else of the best F1.
    """
    cv2.setNumThreads(1)
    groups = read_frames(validation)
    scenes = [scene for group in groups.values() for scene in group]
    paths = sorted(p for folder in calibration for p in folder.glob("*.jpg"))
    if not paths:
        raise FileNotFoundError(f"no pictures to calibrate on in {', '.join(map(str, calibration))}")
    chosen = [paths[i] for i in np.random.default_rng(3).permutation(len(paths))[:CALIBRATION_PICTURES]]
    pictures = [np.asarray(cv2.imread(str(p)), np.uint8) for p in chosen]
    notes: dict[str, Any] = {}
    thresholds: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="passage-export-") as scratch:
        full = to_openvino(weights, Path(scratch), input_hw)
        small = Path(scratch) / "int8" / "detector.xml"
        small.parent.mkdir()
        for folder in (full.parent, small.parent):
            (folder / "metadata.json").write_text(json.dumps({"classes": list(MODEL_CLASSES)}), encoding="utf-8")
        quantize(full, pictures, small, input_hw)
        for label, ir in (("float", full), ("int8", small)):
            answers, spent = measure(ir, scenes)
            thresholds[label], figures = (
                best_threshold(scenes, answers)
                if confidence is None
                else (confidence, score(scenes, answers, confidence))
            )
            notes |= flat(figures, f"validation_{label}")
            notes[f"cpu_ms_{label}"] = round(spent, 2)
            start = 0
            for group, members in groups.items():
                part = score(members, answers[start : start + len(members)], thresholds[label])
                start += len(members)
                notes |= {
                    f"validation_{label}_{group}_recall": round(part.recall, 4),
                    f"validation_{label}_{group}_precision": round(part.precision, 4),
                }
        kind = "float" if keep_float else "int8"
        return publish(full if keep_float else small, name, thresholds[kind], notes | {"weights": kind}, input_hw)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--name", default="passage-detector-v1")
    parser.add_argument("--validation", type=Path, default=Path("build/training/validation"))
    parser.add_argument("--calibration", type=Path, nargs="+", default=[Path("build/training/towns")])
    parser.add_argument("--float", action="store_true", help="ship the float model (for comparison)")
    parser.add_argument("--input", type=int, nargs=2, default=list(INPUT_HW), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--confidence", type=float, help="threshold; of the best F1 on validation frames if not given")
    a = parser.parse_args()
    size = (a.input[0], a.input[1])
    folder = export(a.weights, a.name, a.validation, a.calibration, a.float, size, a.confidence)
    print((folder / "metadata.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
