# SPDX-License-Identifier: AGPL-3.0-or-later
"""`passage train …`: the one command that remakes a shipped model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reid.detector import MODELS_DIR

train_app = typer.Typer()
_train = typer.Typer(help="Remake the shipped models, from rehearsal towns alone.", no_args_is_help=True)
train_app.add_typer(_train, name="train")

TRAINING_PLANS = tuple(f"training-{n}" for n in range(1, 9))
VALIDATION_PLANS = tuple(f"validation-{n}" for n in range(1, 4))


@_train.command()
def detector(
    minutes: Annotated[float, typer.Option(help="Time to learn, after the pictures are drawn.")] = 120.0,
    scenes: Annotated[int, typer.Option(help="Scattered scenes to draw, and as many of rare kinds.")] = 600,
    streets: Annotated[int, typer.Option(help="Random towns, each seen for a moment by eight cameras.")] = 60,
    passes: Annotated[int, typer.Option(help="Passes over the training towns, each with other lights.")] = 2,
    device: Annotated[str, typer.Option(help="`cpu`, or `cuda:0` where there is one.")] = "cpu",
    weights: Annotated[Path | None, typer.Option(help="Start from this checkpoint instead of from nothing.")] = None,
    keep_features: Annotated[bool, typer.Option(help="With --weights: leave alone what embeddings come from.")] = True,
    mean: Annotated[bool, typer.Option(help="With --weights: ship the mean of the weights before and after.")] = False,
    confidence: Annotated[
        float | None, typer.Option(help="Threshold; of the best F1 on validation frames where none is given.")
    ] = None,
    name: Annotated[str, typer.Option(help="Folder under reid/models that is written.")] = "passage-detector-v1",
) -> None:
    """Draw the pictures, train, choose the threshold on validation towns, export to int8 and ship.

    Run again after an interruption it goes on: pictures that are there are not drawn again, and training goes on
    from its last checkpoint.
    """
    # torch takes seconds to import: not for other commands.
    from infra.training.export_detector import export
    from infra.training.mean_weights import mean_of
    from infra.training.mistakes import find_mistakes
    from infra.training.scatter_dataset import write_scattered
    from infra.training.streets import FIRST_SEED, PICTURES, write_streets
    from infra.training.town_frames import PLANS, write_town
    from infra.training.train_detector import ROOT, train, weights_alone
    from infra.training.whole_frames import write_frames

    towns, rare, validation = ROOT / "towns", ROOT / "rare", ROOT / "validation"
    scattered, scattered_rare = ROOT / "scatter", ROOT / "scatter-rare"
    moments, riders, busy, dense, far, crossing = (
        ROOT / name
        for name in ("streets", "riders", "rare-streets", "dense-streets", "far-streets", "crossing-streets")
    )
    typer.echo(f"{write_scattered(scattered, 0, scenes)} scattered scenes drawn")
    typer.echo(f"{write_scattered(scattered_rare, 50_000, scenes, rare=True)} scenes of rare kinds drawn")
    for folder, seed, share, pictures, traffic, by_day in (
        (moments, 0, 1.0, PICTURES, "usual", False),
        (moments, 500, 1.0, 4, "usual", True),
        (riders, 400, 0.8, 6, "riders", True),
        (busy, 600, 0.4, 6, "rare", True),
        (busy, 730, 0.27, 6, "rare", True),
        (dense, 700, 0.27, 6, "dense", True),
        (dense, 750, 0.14, 6, "cyclists", True),
        (far, 760, 0.24, 8, "far", True),
        (crossing, 850, 0.47, 8, "crossing", True),
    ):
        count = round(share * streets)
        drawn = write_streets(folder, FIRST_SEED + seed, count, pictures=pictures, traffic=traffic, by_day=by_day)
        typer.echo(f"{drawn} pictures of {count} random streets drawn, traffic {traffic}{', by day' if by_day else ''}")
    for number in range(passes):
        for plan in TRAINING_PLANS:
            write_town(PLANS / f"{plan}.toml", towns, 100.0, 5 + number)
    for plan in TRAINING_PLANS:
        write_town(PLANS / f"{plan}.toml", rare, 80.0, 31, rare=True)
    for plan in VALIDATION_PLANS:
        write_frames(PLANS / f"{plan}.toml", validation, 110.0, 3)
        write_frames(PLANS / f"{plan}.toml", validation, 110.0, 4, rare=True)
    seen_through_cameras = [towns, moments, riders, busy, dense, far, crossing]
    if weights is not None and (MODELS_DIR / name / "detector.xml").is_file():
        mistakes = sum(count for _, count in find_mistakes(MODELS_DIR / name, seen_through_cameras))
        typer.echo(f"{mistakes} places where {name} sees a vehicle and none is: looked at more often")
    last = train(
        {
            towns: 1.1,
            moments: 3.3,
            riders: 1.2,
            busy: 4.0,
            dense: 2.0,
            far: 4.0,
            crossing: 5.0,
            rare: 0.4,
            scattered_rare: 0.7,
            scattered: 0.4,
        },
        "detector",
        minutes=minutes,
        weights=weights,
        keep_features=keep_features and weights is not None,
        device=device,
        resume=True,
    )
    if mean and weights is not None:
        last = mean_of([weights, last], last.with_name("mean.pt"))
    typer.echo(f"weights to go on from: {weights_alone(last, last.with_name('weights.pt'))}")
    typer.echo(str(export(last, name, validation, seen_through_cameras, confidence=confidence)))
