# SPDX-License-Identifier: AGPL-3.0-or-later
"""A detector run by the OpenVINO runtime directly, several frames under way at once within one call."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino.preprocess import PrePostProcessor

from reid.classes import map_classes
from reid.detector import Detections, DetectorSettings
from reid.errors import ModelUnreadable
from reid.letterbox import Fit, boxes_to_picture, lay_into, plan_fit
from reid.model_hash import check_listed, read_metadata, weights_digest
from reid.region_features import find_feature_node, pool_regions
from reid.suppression import decode

DEFAULT_CONFIDENCE = 0.25
DEFAULT_IOU = 0.7

_HEADS = ((8, 16, 32), (8, 16), (16, 32), (4, 8, 16), (4, 8, 16, 32), (8, 16, 32, 64))
"""Strides that YOLO heads predict at; their number of anchors tells a detector's output from any other."""


class OpenVinoDetector:
    """Letterbox, inference and suppression over an OpenVINO IR of the YOLO family."""

    def __init__(self, spec: DetectorSettings, ir: Path) -> None:
        """Load the IR at `ir`; see `reid.detector.load_detector` for what can be raised."""
        folder = ir.parent
        metadata = read_metadata(folder) or {}
        listed = metadata.get("sha256")
        if isinstance(listed, dict):
            check_listed(folder, {str(name): str(digest) for name, digest in listed.items()})
        if spec.sha256 is not None:
            check_listed(folder, {ir.with_suffix(".bin").name: spec.sha256})
        digest = weights_digest({"xml": ir, "bin": ir.with_suffix(".bin")})
        name = folder.name.removesuffix("_openvino_model") if ir.stem in {"model", "detector"} else ir.stem
        names = _read_names(folder, metadata)
        model = _read_model(ir)
        names = names or _names_in_graph(model)
        self.class_names = names
        self._ours = map_classes(names, spec.class_map)
        self._confidence = spec.confidence or _published(metadata, "confidence", DEFAULT_CONFIDENCE)
        self._iou = spec.iou or _published(metadata, "iou", DEFAULT_IOU)
        self._agnostic = metadata.get("class_agnostic") is True if spec.class_agnostic is None else spec.class_agnostic
        self._kin = tuple(self._ours) if self._agnostic else ()
        self.input_hw = _set_input_size(model, spec.input_hw, ir, len(names))
        feature = find_feature_node(model) if spec.features else None
        if feature is not None:
            model.add_outputs(feature)
        self._with_features = feature is not None
        self.model_id = f"{name}-{self.input_hw[0]}x{self.input_hw[1]}-{digest[:12]}"
        self._requests = _compile(model, spec, ir)

    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Detect in frames (h, w, 3) BGR, whose sizes may differ; one answer per frame, in order."""
        answers = []
        for fit, boxes, scores, numbers, features in self._infer(frames, self._confidence):
            keep = np.flatnonzero(np.isin(numbers, list(self._ours)))
            answers.append(
                Detections(
                    boxes=boxes_to_picture(boxes[keep], fit),
                    scores=scores[keep],
                    classes=tuple(self._ours[int(n)] for n in numbers[keep]),
                    features=None if features is None else features[keep],
                )
            )
        return answers

    def detect_every_class(
        self, frames: Sequence[NDArray[np.uint8]], confidence: float
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]]:
        """Boxes, scores and the model's own class numbers, persons among them. For measuring a model only."""
        return [
            (boxes_to_picture(boxes, fit), scores, numbers)
            for fit, boxes, scores, numbers, _ in self._infer(frames, confidence)
        ]

    def _infer(
        self, frames: Sequence[NDArray[np.uint8]], confidence: float
    ) -> list[tuple[Fit, NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], NDArray[np.float32] | None]]:
        """Run all frames, at most one per request under way; nothing is under way on return."""
        results: list[Any] = [None] * len(frames)
        under_way: dict[int, tuple[int, Fit]] = {}

        def finish(slot: int) -> None:
            position, fit = under_way.pop(slot)
            request = self._requests[slot]
            request.wait()
            output = request.get_output_tensor(0).data[0]
            boxes, scores, numbers = decode(output, confidence, self._iou, self._agnostic, self._kin)
            # Pooled here: the slot's next frame writes over the tensor.
            features = None
            if self._with_features:
                layer = request.get_output_tensor(1).data[0]
                features = pool_regions(layer, boxes, self.input_hw[0] / layer.shape[1])
            results[position] = (fit, boxes, scores, numbers, features)

        try:
            for position, frame in enumerate(frames):
                slot = position % len(self._requests)
                if slot in under_way:
                    finish(slot)
                fit = plan_fit(frame.shape[0], frame.shape[1], self.input_hw)
                request = self._requests[slot]
                lay_into(frame, fit, request.get_input_tensor(0).data[0])
                request.start_async()
                under_way[slot] = (position, fit)
            for slot in sorted(under_way, key=lambda s: under_way[s][0]):
                finish(slot)
        finally:
            for slot in under_way:
                self._requests[slot].wait()
        return results


def _published(metadata: dict[str, object], key: str, otherwise: float) -> float:
    """A number between 0 and 1 from the model's own metadata."""
    value = metadata.get(key, otherwise)
    if not isinstance(value, int | float) or not 0 < value <= 1:
        raise ModelUnreadable(f"the model's metadata.json has {key} = {value!r}; it must be a number between 0 and 1")
    return float(value)


@cache
def _core() -> ov.Core:
    """The runtime, one for as long as the process lives.

    Its CPU plug-in lays the thread's signal stack aside for one of its own, and on its end unmaps that and puts back
    what it found. Two that end in the order they began leave the first one's unmapped stack in place, and the next
    signal (a flow's SIGTERM) kills the process without a word.
    """
    return ov.Core()


def _read_model(ir: Path) -> ov.Model:
    """Read an IR, naming the file in the error."""
    try:
        model = _core().read_model(ir, ir.with_suffix(".bin"))
    except RuntimeError as error:
        raise ModelUnreadable(f"OpenVINO cannot read {ir}: {str(error).strip().splitlines()[-1]}") from error
    shape = model.input(0).get_partial_shape()
    if len(model.inputs) != 1 or shape.rank.is_dynamic or shape.rank.get_length() != 4:
        raise ModelUnreadable(f"{ir} takes {len(model.inputs)} inputs, the first {shape}; a detector takes one picture")
    return model


def _set_input_size(model: ov.Model, wanted: tuple[int, int] | None, ir: Path, classes: int) -> tuple[int, int]:
    """Fix the input's height and width, reshaping the graph where asked; check that the output is one we can read."""
    dims = list(model.input(0).get_partial_shape())
    own = (dims[2].get_length(), dims[3].get_length()) if dims[2].is_static and dims[3].is_static else None
    size = wanted or own or (640, 640)
    if own != size or dims[0].is_dynamic or dims[0].get_length() != 1:
        try:
            model.reshape([1, 3, size[0], size[1]])
            model.validate_nodes_and_infer_types()
        except RuntimeError as error:
            raise ModelUnreadable(
                f"{ir} cannot take an input of {size[0]}x{size[1]} (its own is {own}): export it again at that size, "
                "or leave the detector's input size unset"
            ) from error
    shape = model.output(0).get_partial_shape()
    channels, rows = (d.get_length() if d.is_static else -1 for d in list(shape)[-2:])
    cells = {stride: (size[0] // stride) * (size[1] // stride) for stride in (4, 8, 16, 32, 64)}
    anchors = {sum(cells[stride] for stride in strides) for strides in _HEADS}
    if not (rows == 6 or (channels == 4 + classes and rows in anchors)):
        raise ModelUnreadable(
            f"{ir} gives {shape} for {size[0]}x{size[1]} and {classes} classes; expected (1, {4 + classes}, anchors) "
            "or (1, n, 6): is it a YOLO detector?"
        )
    return size


def _compile(model: ov.Model, spec: DetectorSettings, ir: Path) -> list[ov.InferRequest]:
    """Put colour order and scaling into the graph, compile it, and make one request per stream."""
    steps = PrePostProcessor(model)
    entry = steps.input(0)
    entry.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC")).set_color_format(
        ov.preprocess.ColorFormat.BGR
    )
    entry.model().set_layout(ov.Layout("NCHW"))
    entry.preprocess().convert_color(ov.preprocess.ColorFormat.RGB).convert_element_type(ov.Type.f32).scale(255.0)
    for index in range(len(model.outputs)):
        steps.output(index).tensor().set_element_type(ov.Type.f32)
    config: dict[str, Any] = {"PERFORMANCE_HINT": "THROUGHPUT" if spec.threads > 1 else "LATENCY"}
    if spec.device.upper() == "CPU":
        # Pinned processes of one thread each end up on the same core; streams of one thread each serve a CPU best.
        config |= {
            "NUM_STREAMS": spec.threads,
            "INFERENCE_NUM_THREADS": spec.threads,
            "ENABLE_CPU_PINNING": False,
        }
    try:
        compiled = _core().compile_model(steps.build(), spec.device.upper(), config)
    except RuntimeError as error:
        raise ModelUnreadable(
            f"OpenVINO cannot run {ir} on {spec.device}: {str(error).strip().splitlines()[-1]}"
        ) from error
    # One more than the streams: the next frame is resized while they work.
    return [compiled.create_infer_request() for _ in range(spec.threads + 1)]


def _read_names(folder: Path, metadata: dict[str, object]) -> dict[int, str]:
    """Class names from our `metadata.json` (`classes`, a list) or ultralytics' `metadata.yaml` (`names`)."""
    classes = metadata.get("classes")
    if isinstance(classes, list):
        return {number: str(name) for number, name in enumerate(classes)}
    path = folder / "metadata.yaml"
    if path.is_file():
        import yaml  # type: ignore[import-untyped]

        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
            return {int(number): str(name) for number, name in data["names"].items()}
        except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelUnreadable(f"{path} lists no class names that can be read: {error!r}") from error
    return {}


def _names_in_graph(model: ov.Model) -> dict[int, str]:
    """Class names that some exporters write into the IR itself (`rt_info/model_info/labels`)."""
    if model.has_rt_info(["model_info", "labels"]):
        text = str(model.get_rt_info(["model_info", "labels"]).astype(str))
        separator = r"\s+" if "{" not in text else None
        words = re.split(separator, text.strip()) if separator else list(json.loads(text).values())
        return dict(enumerate(words))
    raise ModelUnreadable("the OpenVINO model has no metadata.json or metadata.yaml with its class names beside it")
