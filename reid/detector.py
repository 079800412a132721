# SPDX-License-Identifier: AGPL-3.0-or-later
"""The detector as a setting: which model, and what it answers for a picture.

Whatever the model knows, only vehicles leave a detector: persons and bicycles are dropped before `detect` returns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from reid.errors import ModelNotFound

MODELS_DIR: Final = Path(__file__).parent / "models"
"""Where the models that the project ships lie, one folder each."""

DEFAULT_MODEL: Final = "passage-detector-v1"


@dataclass(frozen=True, slots=True)
class Detections:
    """What was found in one frame; row i of every field is one vehicle, best score first."""

    boxes: NDArray[np.float32]
    """(n, 4) x1, y1, x2, y2 in pixels of the frame given."""
    scores: NDArray[np.float32]
    """(n,) 0 to 1."""
    classes: tuple[str, ...]
    """Of `reid.classes.VEHICLE_CLASSES`."""
    features: NDArray[np.float32] | None
    """(n, d) backbone features averaged over the box, unit length, or zeros where they stand for nothing; None where
    the model gives none."""

    def __len__(self) -> int:
        """How many vehicles."""
        return len(self.classes)


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """Which detector and how it runs. Equal settings over equal weights give equal answers."""

    model: str = DEFAULT_MODEL
    """A shipped model's name, a path (OpenVINO folder or .xml; .pt, .onnx…), or any model name ultralytics knows."""
    confidence: float | None = None
    """Lowest score that counts; None takes the model's own published threshold, else 0.25."""
    iou: float | None = None
    """Overlap above which the weaker of two boxes goes; None takes the model's own published one, else 0.7."""
    class_agnostic: bool | None = None
    """Whether boxes of different classes suppress each other too (one vehicle seen as van and truck becomes one), and a
    box of doubtful class scores as any vehicle does (OpenVINO models); None takes the model's own word, else not."""
    input_hw: tuple[int, int] | None = None
    """Height and width of the model's input in pixels, multiples of 32; None takes the model's own."""
    threads: int = 2
    """Processor threads of inference."""
    device: str = "CPU"
    """OpenVINO device name (`CPU`, `GPU`, `AUTO`…); for ultralytics models `cpu`, `cuda:0`…"""
    features: bool = True
    """Whether to give a feature vector per box."""
    sha256: str | None = None
    """Listed digest of the weights file (.bin of an OpenVINO model); None checks only what the model itself lists."""
    class_map: Mapping[str, str] = field(default_factory=dict)
    """The model's class names → ours, beside the built-in list."""


class Detector(Protocol):
    """Finds the vehicles of pictures. Keeps nothing from one call to the next and has nothing in flight between calls.

    Not thread-safe: one detector belongs to one thread.
    """

    @property
    def model_id(self) -> str:
        """Name and digest prefix of the weights; changes whenever the weights do."""

    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Detect in frames (h, w, 3) BGR, whose sizes may differ; one answer per frame, in order."""


def load_detector(spec: DetectorSettings) -> Detector:
    """Load the detector that the settings name.

    Raises:
        ValueError: a setting is out of its range.
        ModelNotFound: no such file, folder, shipped model or ultralytics model, or it cannot be fetched.
        ModelUnreadable: the model is there and cannot be read or run.
        ModelHashMismatch: the weights are not the listed ones.
        ModelClassesUnknown: none of its classes, or a class of the class map, can be mapped to ours.
    """
    _check(spec)
    # Imported here: each brings a large library that a process using the other does not need.
    ir = find_openvino_ir(spec.model)
    if ir is not None:
        from reid.openvino_detector import OpenVinoDetector

        return OpenVinoDetector(spec, ir)
    path = Path(spec.model)
    if not path.suffix and not path.exists() and (len(path.parts) > 1 or spec.model.startswith("passage-")):
        raise ModelNotFound(
            f"detector model {spec.model!r}: no such folder, and no shipped model of that name "
            f"(shipped: {', '.join(shipped_models()) or 'none'})"
        )
    from reid.ultralytics_detector import UltralyticsDetector

    return UltralyticsDetector(spec)


def shipped_models() -> tuple[str, ...]:
    """Names of the detectors that come with the project."""
    return tuple(sorted(p.parent.name for p in MODELS_DIR.glob("passage-detector-*/*.xml")))


def find_openvino_ir(model: str) -> Path | None:
    """Find the .xml of an OpenVINO model by shipped name, folder or file; None when `model` names something else.

    Raises:
        ModelNotFound: `model` is a folder without an OpenVINO model, or an .xml that is not there.
    """
    for base in (Path(model), MODELS_DIR / model):
        if base.is_dir():
            found = sorted(base.glob("*.xml"))
            if len(found) == 1:
                return found[0]
            raise ModelNotFound(f"folder {base} holds {len(found)} OpenVINO models (.xml); exactly one is needed")
    if Path(model).suffix == ".xml":
        if not Path(model).is_file():
            raise ModelNotFound(f"detector model {model} is not there")
        return Path(model)
    return None


def _check(spec: DetectorSettings) -> None:
    """Refuse settings that cannot be meant."""
    if spec.confidence is not None and not 0 < spec.confidence < 1:
        raise ValueError(f"detector confidence is {spec.confidence}; it must lie between 0 and 1")
    if spec.iou is not None and not 0 < spec.iou <= 1:
        raise ValueError(f"detector iou is {spec.iou}; it must lie between 0 and 1")
    if spec.threads < 1:
        raise ValueError(f"detector threads is {spec.threads}; at least 1 is needed")
    if spec.input_hw is not None and any(side < 32 or side % 32 for side in spec.input_hw):
        raise ValueError(f"detector input_hw is {spec.input_hw}; both sides must be multiples of 32")
