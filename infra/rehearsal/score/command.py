# SPDX-License-Identifier: AGPL-3.0-or-later
"""`passage score TOWN_DIR`: a rendered town through the real pipeline, held against its truth."""

from __future__ import annotations

import json
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from connectors.site import IndexSite

if TYPE_CHECKING:
    from infra.rehearsal.score import detection
    from infra.rehearsal.score.figures import Scored

LIBRARIES = ("bytewax", "kafka-python", "clickhouse-connect", "chdb", "ultralytics", "openvino", "av", "scikit-learn")

score_app = typer.Typer()


@score_app.command()
def score(
    town: Annotated[Path, typer.Argument(help="Folder of a rendered town (`passage town render`).")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure here.")] = None,
    page: Annotated[Path | None, typer.Option(help="Page of the worst errors (default: beside the run).")] = None,
    work: Annotated[Path, typer.Option(help="Where the run's site and stores go.")] = Path("build/score"),
    again: Annotated[bool, typer.Option(help="Score the run kept from last time instead of running anew.")] = False,
    detector: Annotated[str, typer.Option(help="Shipped model, ultralytics name, or path.")] = IndexSite().detector,
    every_s: Annotated[float, typer.Option(help="Detector alone: look at one frame in so many seconds.")] = 2.0,
    coco: Annotated[Path | None, typer.Option(help="Also a COCO detector that never saw the town (path).")] = None,
) -> None:
    """Run a rendered town through Kafka, Bytewax and the store, and hold what was found against the truth."""
    # Vision and evaluation libraries take seconds to import: not for other commands.
    from infra.rehearsal import oracle
    from infra.rehearsal.score import detection, report
    from infra.rehearsal.score.figures import hold_against_truth
    from infra.rehearsal.score.found import load, save
    from infra.rehearsal.score.run import run
    from infra.rehearsal.town_site import described
    from reid.detector import DetectorSettings, load_detector

    console = Console()
    kept = work / town.resolve().name / "found.msgpack"
    with Progress(console=console, transient=True) as bars:
        if again and kept.exists():
            found = load(kept)
        else:
            bar = bars.add_task("recording and indexing", total=None)
            found = run(
                town,
                kept.parent / "run",
                detector=detector,
                tell=lambda done, asked: bars.update(bar, completed=done, total=asked),
            )
            save(found, kept)
        scored = hold_against_truth(town, found)
        bar = bars.add_task("detector alone", total=None)
        settings = DetectorSettings(model=detector, features=False)
        own = detection.score(
            town,
            load_detector(settings),
            every_s=every_s,
            tell=lambda done, asked: bars.update(bar, completed=done, total=asked),
        )
        _detector_figures(scored, own)
        known = oracle.report_of_town(town)
        scored.figures |= {k: v for k, v in known.items() if k not in scored.figures}
        if coco is not None:
            bar = bars.add_task("COCO detector", total=None)
            other = detection.score(
                town,
                load_detector(DetectorSettings(model=str(coco), features=False)),
                every_s=every_s,
                tell=lambda done, asked: bars.update(bar, completed=done, total=asked),
            )
            scored.figures["coco_recall_large"] = other.large_recall
            scored.figures["coco_car_as_car"] = other.car_as_car
    videos = {c["name"]: town / c["file"] for c in described(town)["cameras"]}
    page = page or kept.parent / "errors.html"
    report.write(page, town, scored.figures, scored.errors, scored.tables, videos)
    _show(console, scored)
    console.print(f"pictures of the worst errors: {page}")
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(scored.figures | _provenance(), indent=2) + "\n", encoding="utf-8")
        console.print(f"figures: {json_file}")


def _detector_figures(scored: Scored, own: detection.DetectionScore) -> None:
    scored.figures |= {
        "detection_frames": own.frames,
        "detection_truth": own.truth,
        "detection_recall": own.recall,
        "detection_precision": own.precision,
    }
    for key, counts in sorted(own.by.items()):
        if not key.startswith("large"):
            scored.figures[f"recall {key}"] = counts["hit"] / counts["truth"]


def _show(console: Console, scored: Scored) -> None:
    table = Table(show_header=False)
    for key, value in scored.figures.items():
        table.add_row(key, f"{value:.3f}" if isinstance(value, float) else str(value))
    console.print(table)
    for title, confusion in scored.tables.items():
        shown = Table(title=f"{title}: rows are the truth, columns what was said")
        shown.add_column("")
        for name in confusion.names:
            shown.add_column(name, justify="right")
        for name, row in zip(confusion.names, confusion.confusion, strict=True):
            if row.sum():
                shown.add_row(name, *(str(n) if n else "" for n in row))
        console.print(shown)


def _provenance() -> dict[str, Any]:
    return {
        "command": shlex.join(["passage", *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
        **{f"version_{name}": version(name) for name in LIBRARIES},
    }
