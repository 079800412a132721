# SPDX-License-Identifier: AGPL-3.0-or-later
"""All figures of one town: what `passage score` prints and writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from infra.rehearsal.score import attributes, identities, report, tracking
from infra.rehearsal.score.attributes import AttributeScore
from infra.rehearsal.score.found import AS_DETECTED, EVERY_ONE, CameraFrames, Found, cameras
from infra.rehearsal.score.traces import follow_all
from infra.rehearsal.truth import load_truth


@dataclass(slots=True)
class Scored:
    """Flat figures, and what the page of errors shows."""

    figures: dict[str, Any] = field(default_factory=dict)
    errors: list[report.Mistake] = field(default_factory=list)
    tables: dict[str, AttributeScore] = field(default_factory=dict)


def hold_against_truth(town: Path, found: Found) -> Scored:
    """Passages, tracks, vehicles, traces and attributes of one run against the truth of its town."""
    truth = load_truth(town)
    passages = truth.table("passages")
    out = Scored()
    owner: dict[int, int] = {}
    wide = _held(list(cameras(truth, found, EVERY_ONE)), passages, owner, None)
    laid: list[CameraFrames] = list(cameras(truth, found, AS_DETECTED))
    judged = _held(laid, passages, {}, out)
    vehicles = truth.table("vehicles")
    colours, kinds = vehicles.column("colour").to_pylist(), vehicles.column("kind").to_pylist()
    out.tables["colour"] = attributes.colours(found, owner, colours)
    out.tables["class"] = attributes.classes(found, owner, kinds)
    baseline, threshold = identities.baseline_idf1(laid, found)
    places = {c["name"]: (float(c["x"]), float(c["y"])) for c in truth.table("cameras").to_pylist()}
    headings = {c["name"]: float(c["heading_deg"]) for c in truth.table("cameras").to_pylist()}
    of = {found.passages[passage].id: vehicle for passage, vehicle in owner.items()}
    traces = follow_all(found.passages, of, places, headings)
    out.figures |= {
        "town": truth.summary["town"],
        "light": truth.summary["light"],
        "cameras": len(laid),
        "seconds_of_video": found.seconds_of_video,
        "seconds_taken": found.seconds_taken,
        **judged,
        **{f"{name}_far_and_hidden_too": value for name, value in wide.items()},
        "idf1_cross": identities.cross_camera_idf1(laid, found),
        "idf1_cross_baseline": baseline,
        "baseline_threshold": threshold,
        "trace_recall": traces.recall,
        "trace_precision": traces.precision,
        "traces": traces.queries,
        "traces_exact": traces.exact / max(1, traces.queries),
        "colour_accuracy": out.tables["colour"].accuracy,
        "class_accuracy": out.tables["class"].accuracy,
        "coverage_doubtful": float(np.mean([c.status == "doubtful" for c in found.coverage] or [False])),
    }
    return out


def _held(
    laid: list[CameraFrames], passages: pa.Table, owner: dict[int, int], shown: Scored | None
) -> dict[str, float]:
    """Passages and tracks of all cameras against the truth; fills `owner`, and the errors of `shown`."""
    total = dict.fromkeys(("truth", "found", "doubled", "broken", "predicted", "false"), 0)
    for camera in laid:
        matching = tracking.match(camera)
        owner |= matching.owner
        score = tracking.passages(camera, matching, passages)
        for key in total:
            total[key] += int(getattr(score, key))
        if shown is not None:
            shown.errors += report.mistakes(camera, "missed", score.missed_rows)
            shown.errors += report.mistakes(camera, "doubled", score.doubled_rows)
            shown.errors += report.mistakes(camera, "broken", score.broken_rows)
            shown.errors += report.false_ones(camera, score.false_indices)
    single = tracking.single_camera(laid, passages)
    least = max(1, total["truth"])
    return {
        "passages_truth": total["truth"],
        "passages_predicted": total["predicted"],
        "passages_found": total["found"] / least,
        "passages_doubled": total["doubled"] / least,
        "passages_broken": total["broken"] / least,
        "passages_false": total["false"] / max(1, total["predicted"]),
        "idf1_single": tracking.idf1(single),
        "hota_single": tracking.hota(single),
    }
