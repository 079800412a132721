# SPDX-License-Identifier: AGPL-3.0-or-later
"""A detector run by ultralytics: any model file or name it knows (.pt, .onnx, `yolo26n`…)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid.classes import map_classes
from reid.detector import Detections, DetectorSettings
from reid.errors import ModelNotFound, ModelUnreadable
from reid.model_hash import check_listed, file_sha256
from reid.openvino_detector import DEFAULT_CONFIDENCE, DEFAULT_IOU
from reid.region_features import FEATURE_STRIDE, pool_regions


class UltralyticsDetector:
    """Ultralytics' own prediction, brought to our classes and, for torch models, with features per box."""

    def __init__(self, spec: DetectorSettings) -> None:
        """Load by name or path; see `reid.detector.load_detector` for what can be raised."""
        path = Path(spec.model if Path(spec.model).suffix else f"{spec.model}.pt")
        if path.is_file() and spec.sha256 is not None:
            # Before loading: a .pt file is a pickle, and reading it runs what is in it.
            check_listed(path.parent, {path.name: spec.sha256})
        elif not path.is_file() and len(path.parts) > 1:
            raise ModelNotFound(f"detector model {path} is not there")
        self._model = _load(path)
        self._path = path
        if path.is_file():
            digest = file_sha256(path)
        else:
            digest = file_sha256(Path(str(getattr(self._model, "ckpt_path", None) or path)))
        if spec.sha256 is not None and digest != spec.sha256.lower():
            check_listed(Path(str(self._model.ckpt_path)).parent, {Path(str(self._model.ckpt_path)).name: spec.sha256})
        self.class_names: dict[int, str] = {int(k): str(v) for k, v in self._model.names.items()}
        self._ours = map_classes(self.class_names, spec.class_map)
        self._spec = spec
        self._confidence = spec.confidence if spec.confidence is not None else DEFAULT_CONFIDENCE
        self.model_id = f"{path.stem}-{digest[:12]}"
        self._tap = _FeatureTap(self._model) if spec.features and path.suffix == ".pt" else None

    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Detect in frames (h, w, 3) BGR, whose sizes may differ; one answer per frame, in order."""
        answers = []
        for frame in frames:
            result = self._predict(frame, self._confidence)
            boxes = result.boxes.xyxy.cpu().numpy().astype(np.float32)
            scores = result.boxes.conf.cpu().numpy().astype(np.float32)
            numbers = result.boxes.cls.cpu().numpy().astype(np.int64)
            keep = np.flatnonzero(np.isin(numbers, list(self._ours)))
            answers.append(
                Detections(
                    boxes=boxes[keep],
                    scores=scores[keep],
                    classes=tuple(self._ours[int(n)] for n in numbers[keep]),
                    features=None if self._tap is None else self._tap.pool(boxes[keep], frame.shape),
                )
            )
        return answers

    def detect_every_class(
        self, frames: Sequence[NDArray[np.uint8]], confidence: float
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]]:
        """Boxes, scores and the model's own class numbers, persons among them. For measuring a model only."""
        found = [self._predict(frame, confidence).boxes for frame in frames]
        return [
            (
                b.xyxy.cpu().numpy().astype(np.float32),
                b.conf.cpu().numpy().astype(np.float32),
                b.cls.cpu().numpy().astype(np.int64),
            )
            for b in found
        ]

    def _predict(self, frame: NDArray[np.uint8], confidence: float) -> Any:
        device = self._spec.device
        return self._model.predict(
            frame,
            conf=confidence,
            iou=self._spec.iou or DEFAULT_IOU,
            agnostic_nms=bool(self._spec.class_agnostic),
            imgsz=list(self._spec.input_hw) if self._spec.input_hw else 640,
            device=device.lower() if device.upper() == "CPU" else device,
            verbose=False,
        )[0]


class _FeatureTap:
    """Keeps the feature map of the last backbone layer at `FEATURE_STRIDE` of each forward pass."""

    def __init__(self, model: Any) -> None:
        self._map: NDArray[np.float32] | None = None
        self._input_hw = (0, 0)
        layers = list(model.model.model)
        upsample = next((i for i, layer in enumerate(layers) if type(layer).__name__ == "Upsample"), len(layers) - 1)
        # Plain functions: ultralytics predicts with a deep copy of the model, and a copied bound method would
        # note into a copy of this object.
        layers[0].register_forward_pre_hook(lambda layer, inputs: self._note_input(layer, inputs))
        for layer in layers[:upsample]:
            layer.register_forward_hook(lambda layer, inputs, output: self._note_output(layer, inputs, output))

    def _note_input(self, _layer: Any, inputs: Any) -> None:
        self._input_hw = tuple(inputs[0].shape[2:])
        self._map = None

    def _note_output(self, _layer: Any, _inputs: Any, output: Any) -> None:
        if getattr(output, "ndim", 0) == 4 and output.shape[2] * FEATURE_STRIDE == self._input_hw[0]:
            self._map = output[0].detach().float().cpu().numpy()

    def pool(self, boxes: NDArray[np.float32], frame_shape: tuple[int, ...]) -> NDArray[np.float32] | None:
        """Features of boxes given in pixels of a frame of that shape."""
        from reid.letterbox import plan_fit

        if self._map is None:
            return None
        fit = plan_fit(frame_shape[0], frame_shape[1], (self._input_hw[0], self._input_hw[1]))
        inside = boxes * np.float32(fit.scale) + np.array([fit.left, fit.top] * 2, dtype=np.float32)
        return pool_regions(self._map, inside, FEATURE_STRIDE)


def _load(path: Path) -> Any:
    """Load through ultralytics, its many kinds of failure brought to our two."""
    from ultralytics import YOLO

    there = path.is_file()
    try:
        return YOLO(str(path), task="detect")
    except Exception as error:  # ultralytics raises whatever torch, pickle or its downloader raise
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason'}"
        if there or path.is_file():
            raise ModelUnreadable(f"ultralytics cannot read {path}: {reason}") from error
        raise ModelNotFound(
            f"detector model {str(path)!r} is no file, no shipped model, and ultralytics cannot fetch it ({reason}); "
            "give a path, or run once with internet access"
        ) from error
