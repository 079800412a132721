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
from rich.progress import Progress, TaskID
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
    night: Annotated[Path | None, typer.Option(help="Also the detector alone on this town, by night.")] = None,
    rain: Annotated[Path | None, typer.Option(help="Also the detector alone on this town, in rain.")] = None,
    coco: Annotated[Path | None, typer.Option(help="Also a COCO detector that never saw the town (path).")] = None,
    render: Annotated[Path, typer.Option(help="Speed of drawing, by `python -m infra.rehearsal.bench_render`.")] = Path(
        "build/bench/render.json"
    ),
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
    with Told(console) as told:
        if again and kept.exists():
            found = load(kept)
        else:
            found = run(town, kept.parent / "run", detector=detector, tell=told)
            save(found, kept)
        told("holding against the truth", 0, 1)
        scored = hold_against_truth(town, found)

        # A run that was kept may be of another detector than the one that is looked at alone.
        scored.figures["passages_detector"] = next((p.detector for p in found.passages), "")

        def alone(folder: Path, model: str, what: str) -> detection.DetectionScore:
            own = load_detector(DetectorSettings(model=model, features=False))
            if model == detector:
                scored.figures["detection_detector"] = own.model_id
            return detection.score(folder, own, every_s=every_s, tell=lambda done, all_: told(what, done, all_))

        _detector_figures(scored, alone(town, detector, "detector alone"))
        for name, folder in (("night", night), ("rain", rain)):
            if folder is not None:
                there = alone(folder, detector, f"detector alone, {name}")
                scored.figures[f"detection_recall_{name}"] = there.recall
                scored.figures[f"detection_precision_{name}"] = there.precision
        told("oracle: driving the town on other days", 0, 1)
        known = oracle.report_of_town(town)
        scored.figures |= {k: v for k, v in known.items() if k not in scored.figures}
        if coco is not None:
            other = alone(town, str(coco), "COCO detector")
            scored.figures["coco_recall_large"] = other.large_recall
            scored.figures["coco_car_as_car"] = other.car_as_car
            scored.figures |= {f"coco {k}": c["hit"] / c["truth"] for k, c in sorted(other.by.items()) if "large" in k}
        scored.figures |= _drawing(render)
        told("pictures of the worst errors", 0, 1)
        videos = {c["name"]: town / c["file"] for c in described(town)["cameras"]}
        page = page or kept.parent / "errors.html"
        report.write(page, town, scored.figures, scored.errors, scored.tables, videos)
    _show(console, scored)
    console.print(f"pictures of the worst errors: {page}")
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(scored.figures | _provenance(), indent=2) + "\n", encoding="utf-8")
        console.print(f"figures: {json_file}")


class Told:
    """Says how far something has come: a bar on a terminal, a line a tenth elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(console=console, transient=True, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}
        self._said = ("", -1)

    def __enter__(self) -> Told:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, what: str, done: float, asked: float) -> None:
        """`done` of `asked`, in any unit."""
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what)
        self._bars.update(self._tasks[what], completed=done, total=asked)
        step = (what, int(10 * done / asked) if asked else 0)
        if not self._console.is_terminal and step != self._said:
            self._said = step
            self._console.print(f"{what}: {done:.0f} of {asked:.0f}", highlight=False)


def _drawing(render: Path) -> dict[str, float]:
    """The speed of drawing that its benchmark recorded; nothing where it was never run."""
    try:
        measured = json.loads(render.read_text(encoding="utf-8"))
        return {"render_fps_720p": float(measured["render_fps_720p"])}
    except (OSError, ValueError, KeyError):
        return {}


def _detector_figures(scored: Scored, own: detection.DetectionScore) -> None:
    scored.figures |= {
        "detection_frames": own.frames,
        "detection_truth": own.truth,
        "detection_recall": own.recall,
        "detection_precision": own.precision,
        **{f"detection_false_{what}": number for what, number in sorted(own.false_by.items())},
        "detection_false_small": own.false_small,
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
