# SPDX-License-Identifier: AGPL-3.0-or-later
"""The score from which a detector's finding counts: the site's, the model's own, or the usual one."""

from __future__ import annotations

from reid.detector import find_openvino_ir
from reid.model_hash import read_metadata
from reid.tracker import CONFIDENCE


def working_confidence(model: str, asked: float | None) -> float:
    """`asked` where it is given, else the threshold that the model publishes beside it, else 0.25.

    Raises:
        ModelNotFound: `model` names a folder or file that is no model.
        ModelUnreadable: what it publishes cannot be read.
    """
    if asked is not None:
        return asked
    ir = find_openvino_ir(model)
    metadata = None if ir is None else read_metadata(ir.parent)
    published = (metadata or {}).get("confidence")
    return float(published) if isinstance(published, int | float) else CONFIDENCE
