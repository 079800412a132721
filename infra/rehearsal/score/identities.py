# SPDX-License-Identifier: AGPL-3.0-or-later
"""Across cameras: vehicle ids, traces, and the baseline that knows appearance only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering

from infra.rehearsal.score import tracking
from infra.rehearsal.score.found import CameraFrames, Found

BASELINE_THRESHOLDS = (0.05, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5)
MOST_CLUSTERED = 6000
"""Average linkage needs a square matrix; a larger town is scored on this many passages at most, in time order."""


def cross_camera_idf1(cameras: Sequence[CameraFrames], found: Found) -> float:
    """IDF1 of `flows.link`'s vehicle ids over all cameras."""
    names = sorted({found.vehicles[p.id] for p in found.passages})
    number = {name: n for n, name in enumerate(names)}
    return tracking.idf1(tracking.across_cameras(cameras, [number[found.vehicles[p.id]] for p in found.passages]))


def baseline_idf1(cameras: Sequence[CameraFrames], found: Found) -> tuple[float, float]:
    """The same with ids from appearance alone: average linkage of embeddings, no time, no streets.

    Returns the best IDF1 over a range of thresholds, and that threshold (cosine distance): the baseline is flattered.
    """
    vectors = embeddings(found)
    if len(vectors) < 2 or len(vectors) > MOST_CLUSTERED:
        return float("nan"), float("nan")
    scores = []
    for threshold in BASELINE_THRESHOLDS:
        labels = AgglomerativeClustering(
            n_clusters=None, metric="cosine", linkage="average", distance_threshold=threshold
        ).fit_predict(vectors)
        scores.append((tracking.idf1(tracking.across_cameras(cameras, list(labels))), threshold))
    return max(scores)


def embeddings(found: Found) -> NDArray[np.float32]:
    """(passages, d); a passage without a vector has zeros but for one place of its own, like nothing else."""
    width = max((len(p.embedding.vector) for p in found.passages if p.embedding), default=0)
    out = np.zeros((len(found.passages), width + 1), np.float32)
    for row, passage in enumerate(found.passages):
        if passage.embedding is None:
            out[row, width] = 1.0
        else:
            out[row, :width] = passage.embedding.vector
    return out
