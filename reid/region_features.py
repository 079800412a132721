# SPDX-License-Identifier: AGPL-3.0-or-later
"""A vector per box for nothing: the detector's own backbone features, averaged over the box."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FEATURE_STRIDE = 16
"""Input pixels per cell of the layer we read: finer layers know edges only, coarser ones blur neighbours together."""

_ACTIVATIONS = frozenset({"Swish", "Relu", "HSwish", "Gelu", "Clamp", "PRelu", "Convolution", "Add"})


def find_feature_node(model: Any, stride: int = FEATURE_STRIDE) -> Any | None:
    """Find the output of the last backbone layer at `stride` in an `openvino.Model`, or None.

    YOLO graphs go down through a backbone and up again through `Interpolate` nodes. All that feeds the first
    upsampling is the backbone; of that we take, at the wanted stride, the layer nearest to the upsampling. Names
    are not looked at, so it works for graphs from any exporter.
    """
    order = model.get_ordered_ops()
    upsample = next((op for op in order if op.get_type_name() in {"Interpolate", "Resize"}), None)
    input_shape = model.input(0).get_partial_shape()
    if upsample is None or input_shape.rank.is_dynamic or input_shape.rank.get_length() != 4:
        return None
    ancestors: set[str] = set()
    pending = [upsample]
    while pending:
        for source in pending.pop().input_values():
            node = source.get_node()
            if node.get_friendly_name() not in ancestors:
                ancestors.add(node.get_friendly_name())
                pending.append(node)
    dims = [d.get_length() if d.is_static else 0 for d in input_shape]
    height, width = (dims[2], dims[3]) if dims[1] == 3 else (dims[1], dims[2])
    if not height or not width:
        return None
    found = None
    for op in order:
        if op.get_friendly_name() not in ancestors or op.get_type_name() not in _ACTIVATIONS:
            continue
        shape = op.get_output_partial_shape(0)
        if shape.rank.is_dynamic or shape.rank.get_length() != 4 or shape.is_dynamic:
            continue
        _, channels, rows, columns = (d.get_length() for d in shape)
        if channels >= 16 and rows * stride == height and columns * stride == width:
            found = op
    return found.output(0) if found is not None else None


def pool_regions(features: NDArray[np.float32], boxes: NDArray[np.float32], stride: float) -> NDArray[np.float32]:
    """Average a feature map over boxes, exactly (cells count by the share of them inside), to unit length.

    Args:
        features: (channels, rows, columns).
        boxes: (n, 4) xyxy in input pixels.
        stride: input pixels per cell.

    Returns:
        (n, channels) float32; a box without area on the map takes its nearest cell.
    """
    channels, rows, columns = features.shape
    if not len(boxes):
        return np.zeros((0, channels), dtype=np.float32)
    across = _shares(boxes[:, 0] / stride, boxes[:, 2] / stride, columns)
    down = _shares(boxes[:, 1] / stride, boxes[:, 3] / stride, rows)
    pooled = np.empty((len(boxes), channels), dtype=np.float32)
    # Slice by slice: a box covers few cells, and a matrix product's threads would fight with those of inference.
    for i in range(len(boxes)):
        ys, xs = np.flatnonzero(down[i]), np.flatnonzero(across[i])
        part = features[:, ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
        weights = down[i, ys[0] : ys[-1] + 1, None] * across[i, None, xs[0] : xs[-1] + 1]
        pooled[i] = (part * weights).sum(axis=(1, 2))
    norms = np.linalg.norm(pooled, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (pooled / np.maximum(norms, 1e-12)).astype(np.float32)
    return unit


def _shares(low: NDArray[np.float32], high: NDArray[np.float32], cells: int) -> NDArray[np.float32]:
    """Share of each cell [i, i+1] that lies in [low, high], summing to one: (n, cells)."""
    low = np.clip(low, 0, cells - 1e-3)
    high = np.clip(np.maximum(high, low + 1e-3), None, cells)
    edge = np.arange(cells, dtype=np.float32)
    inside = np.minimum(high[:, None], edge + 1) - np.maximum(low[:, None], edge)
    inside = np.clip(inside, 0, None)
    shares: NDArray[np.float32] = (inside / np.maximum(inside.sum(axis=1, keepdims=True), 1e-9)).astype(np.float32)
    return shares
