# SPDX-License-Identifier: AGPL-3.0-or-later
"""The detector as a setting, on tiny models made here: what it lets out, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from reid.classes import MODEL_CLASSES, VEHICLE_CLASSES, map_classes
from reid.detector import DetectorSettings, load_detector
from reid.errors import ModelClassesUnknown, ModelHashMismatch, ModelNotFound, ModelUnreadable

SIZE = (64, 96)
ANCHORS = sum((SIZE[0] // s) * (SIZE[1] // s) for s in (8, 16, 32))


def rows(*found: tuple[float, float, float, float, int, float], classes: int = 7) -> np.ndarray:
    """A raw head output (1, 4 + classes, anchors) holding boxes (cx, cy, w, h, class, score) in input pixels."""
    output = np.zeros((1, 4 + classes, ANCHORS), dtype=np.float32)
    for anchor, (cx, cy, w, h, number, score) in enumerate(found):
        output[0, :4, anchor] = cx, cy, w, h
        output[0, 4 + number, anchor] = score
    return output


def write_model(folder: Path, output: np.ndarray, *, classes: list[str] | None = None, **metadata: object) -> Path:
    """An IR with a backbone-like downsampling and upsampling whose head always says `output`."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = ops.parameter([1, 3, *SIZE], np.float32, name="images")
    kernel = (
        np.ones((16, 3, 16, 16), dtype=np.float32) / 768 * np.linspace(1, 2, 16, dtype=np.float32)[:, None, None, None]
    )
    down = ops.relu(ops.convolution(picture, kernel, [16, 16], [0, 0], [0, 0], [1, 1]))
    up = ops.interpolate(down, np.array([8, 12]), "nearest", "sizes", axes=np.array([2, 3]))
    nothing = ops.multiply(ops.reduce_mean(up, np.array([0, 1, 2, 3]), keep_dims=False), np.float32(0))
    model = ov.Model([ops.add(ops.constant(output), nothing)], [picture])
    ov.save_model(model, folder / "detector.xml", compress_to_fp16=False)
    listed = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("detector.xml", "detector.bin")
    }
    data = {"classes": classes or list(MODEL_CLASSES), "sha256": listed, **metadata}
    (folder / "metadata.json").write_text(json.dumps(data))
    return folder


def settings(model: Path, **changes: object) -> DetectorSettings:
    return DetectorSettings(model=str(model), threads=1, **changes)  # type: ignore[arg-type]


def test_persons_and_bicycles_never_leave(tmp_path: Path) -> None:
    every_class = rows(*((8.0 + 12 * n, 30.0, 10.0, 20.0, n, 0.9) for n in range(7)))
    detector = load_detector(settings(write_model(tmp_path / "m", every_class)))
    found = detector.detect([np.zeros((64, 96, 3), np.uint8)])[0]
    assert sorted(found.classes) == sorted(VEHICLE_CLASSES)
    # The model did see them: it is the detector that keeps them in.
    raw = detector.detect_every_class([np.zeros((64, 96, 3), np.uint8)], 0.25)[0]  # type: ignore[attr-defined]
    assert len(raw[0]) == 7


def test_a_box_that_is_rather_a_person_is_dropped_even_when_a_vehicle_is_second_best(tmp_path: Path) -> None:
    output = rows((40, 30, 10, 20, 6, 0.8))
    output[0, 4, 0] = 0.7
    assert (
        len(load_detector(settings(write_model(tmp_path / "m", output))).detect([np.zeros((64, 96, 3), np.uint8)])[0])
        == 0
    )


def test_boxes_come_back_in_pixels_of_each_frame(tmp_path: Path) -> None:
    detector = load_detector(settings(write_model(tmp_path / "m", rows((48, 32, 20, 10, 0, 0.9)))))
    wide, tall, small = detector.detect([np.zeros(s, np.uint8) for s in ((128, 192, 3), (640, 96, 3), (32, 48, 3))])
    assert wide.boxes[0] == pytest.approx([76, 54, 116, 74])
    # 640 high into 64: scale 0.1, a strip 10 wide in the middle of 96.
    assert tall.boxes[0] == pytest.approx([0, 270, 96, 370])
    assert small.boxes[0] == pytest.approx([19, 13.5, 29, 18.5])


def test_more_frames_than_requests_keep_their_order(tmp_path: Path) -> None:
    detector = load_detector(settings(write_model(tmp_path / "m", rows((48, 32, 20, 10, 0, 0.9)))))
    sizes = [(64 * n, 96 * n, 3) for n in range(1, 10)]
    found = detector.detect([np.zeros(size, np.uint8) for size in sizes])
    assert [round(float(f.boxes[0][0])) for f in found] == [38 * n for n in range(1, 10)]
    assert detector.detect([]) == []


def test_features_are_the_backbone_under_the_box(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m", rows((24, 32, 32, 32, 0, 0.9), (72, 32, 32, 32, 1, 0.8)))
    frame = np.zeros((*SIZE, 3), np.uint8)
    frame[:, :48] = 200
    found = load_detector(settings(model)).detect([frame])[0]
    assert found.features is not None and found.features.shape == (2, 16)
    assert np.linalg.norm(found.features[0]) == pytest.approx(1, abs=1e-3)
    assert found.features[0] == pytest.approx(np.linspace(1, 2, 16) / np.linalg.norm(np.linspace(1, 2, 16)), abs=1e-2)
    assert load_detector(settings(model, features=False)).detect([frame])[0].features is None


def test_one_vehicle_seen_as_two_classes(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m", rows((40, 30, 20, 20, 0, 0.9), (40, 30, 20, 20, 1, 0.6)))
    frame = np.zeros((64, 96, 3), np.uint8)
    assert load_detector(settings(model)).detect([frame])[0].classes == ("car", "van")
    assert load_detector(settings(model, class_agnostic=True)).detect([frame])[0].classes == ("car",)


def test_threshold_is_the_models_own_unless_set(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m", rows((20, 30, 20, 20, 0, 0.5), (70, 30, 20, 20, 0, 0.35)), confidence=0.4)
    frame = np.zeros((64, 96, 3), np.uint8)
    assert len(load_detector(settings(model)).detect([frame])[0]) == 1
    assert len(load_detector(settings(model, confidence=0.3)).detect([frame])[0]) == 2


def test_model_id_changes_with_the_weights(tmp_path: Path) -> None:
    one = load_detector(settings(write_model(tmp_path / "m", rows((48, 32, 20, 10, 0, 0.9)))))
    same = load_detector(settings(tmp_path / "m", confidence=0.5))
    other = load_detector(settings(write_model(tmp_path / "n" / "m", rows((48, 32, 20, 10, 0, 0.8)))))
    assert one.model_id == same.model_id != other.model_id
    assert one.model_id.startswith("m-")


def test_own_class_names_through_a_class_map(tmp_path: Path) -> None:
    names = ["voiture", "piéton"]
    model = write_model(tmp_path / "m", rows((48, 32, 20, 10, 0, 0.9), classes=2), classes=names)
    with pytest.raises(ModelClassesUnknown, match="voiture"):
        load_detector(settings(model))
    mapped = load_detector(settings(model, class_map={"Voiture": "car"}))
    assert mapped.detect([np.zeros((64, 96, 3), np.uint8)])[0].classes == ("car",)
    with pytest.raises(ModelClassesUnknown, match="'auto', which is not one of"):
        load_detector(settings(model, class_map={"voiture": "auto"}))
    with pytest.raises(ModelClassesUnknown, match="does not have"):
        load_detector(settings(model, class_map={"camion": "truck"}))


def test_coco_names_map() -> None:
    coco = {0: "person", 1: "bicycle", 2: "car", 3: "motorcycle", 5: "bus", 6: "train", 7: "truck"}
    assert map_classes(coco) == {2: "car", 3: "motorcycle", 5: "bus", 7: "truck"}


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m", rows((48, 32, 20, 10, 0, 0.9)))
    digest = hashlib.sha256((model / "detector.bin").read_bytes()).hexdigest()
    load_detector(settings(model, sha256=digest))
    with pytest.raises(ModelHashMismatch, match=digest):
        load_detector(settings(model, sha256="0" * 64))
    with (model / "detector.bin").open("ab") as handle:
        handle.write(b"\0")
    with pytest.raises(ModelHashMismatch, match=r"detector\.bin"):
        load_detector(settings(model))


@pytest.mark.parametrize("name", ["passage-detector-v0", "/nowhere/model", "/nowhere/model.xml", "/nowhere/model.pt"])
def test_a_missing_model_is_named(name: str) -> None:
    with pytest.raises(ModelNotFound, match=name):
        load_detector(DetectorSettings(model=name))


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="holds 0 OpenVINO models"):
        load_detector(settings(tmp_path))


def test_rubbish_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.xml").write_text("<net>")
    (tmp_path / "bad.bin").write_bytes(b"123")
    with pytest.raises(ModelUnreadable, match=r"bad\.xml"):
        load_detector(settings(tmp_path / "bad.xml"))
    model = write_model(tmp_path / "m", rows((48, 32, 20, 10, 0, 0.9)))
    (model / "metadata.json").write_text("[1")
    with pytest.raises(ModelUnreadable, match=r"metadata\.json"):
        load_detector(settings(model))
    (model / "metadata.json").unlink()
    with pytest.raises(ModelUnreadable, match="class names"):
        load_detector(settings(model))


def test_a_model_that_is_no_detector_is_refused(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m", np.zeros((1, 1000, 1), np.float32))
    with pytest.raises(ModelUnreadable, match="is it a YOLO detector"):
        load_detector(settings(model))


def test_a_graph_of_fixed_size_refuses_another(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m", rows((48, 32, 20, 10, 0, 0.9)))
    with pytest.raises(ModelUnreadable, match="128x128"):
        load_detector(settings(model, input_hw=(128, 128)))


@pytest.mark.parametrize(
    "change", [{"confidence": 0.0}, {"iou": 1.5}, {"threads": 0}, {"input_hw": (100, 64)}], ids=lambda c: next(iter(c))
)
def test_settings_out_of_range(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"detector {next(iter(change))} is"):
        load_detector(DetectorSettings(**change))  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_signal_after_detectors_have_come_and_gone_is_taken(tmp_path: Path) -> None:
    # A runtime of its own for each detector left the thread a signal stack that was gone (seen where there is AVX-512).
    write_model(tmp_path / "m", rows((48, 32, 20, 10, 0, 0.9)))
    script = f"""
        import os, signal
        from reid.detector import DetectorSettings, load_detector

        signal.signal(signal.SIGTERM, lambda *_: print("taken"))
        spec = DetectorSettings(model={str(tmp_path / "m")!r}, threads=1)
        first, second = load_detector(spec), load_detector(spec)
        del first
        del second
        os.kill(os.getpid(), signal.SIGTERM)
    """
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(script)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "taken\n"), done.stderr


@pytest.mark.slow
def test_an_ultralytics_file_by_path(tmp_path: Path) -> None:
    from ultralytics import YOLO

    fresh = YOLO("yolo11n.yaml")
    fresh.model.names = dict(enumerate(["person", "bicycle", "car", *(str(n) for n in range(3, 80))]))
    fresh.save(tmp_path / "fresh.pt")
    detector = load_detector(settings(tmp_path / "fresh.pt", confidence=1e-6, input_hw=(96, 128)))
    found = detector.detect([np.full((72, 128, 3), 90, np.uint8)])[0]
    assert detector.model_id.startswith("fresh-")
    assert set(found.classes) <= set(VEHICLE_CLASSES)
    assert found.features is not None and found.features.shape == (len(found), 128)
    with pytest.raises(ModelHashMismatch):
        load_detector(settings(tmp_path / "fresh.pt", sha256="0" * 64))
    (tmp_path / "broken.pt").write_bytes(b"not a model")
    with pytest.raises(ModelUnreadable, match=r"broken\.pt"):
        load_detector(settings(tmp_path / "broken.pt"))
