# SPDX-License-Identifier: AGPL-3.0-or-later
"""`passage town`: render a plan, write a new one, check it, draw it, and look at what was rendered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from infra.rehearsal.errors import RehearsalError

town_app = typer.Typer(help="The rehearsal town: plans, pictures and truth.", no_args_is_help=True)

PlanOption = Annotated[str, typer.Option("--plan", help="A plan's TOML file, or the name of a shipped plan.")]
SeedOption = Annotated[int | None, typer.Option("--seed", min=0, help="Takes the place of the plan's own seed.")]


@contextmanager
def _clear_errors() -> Iterator[None]:
    """An error of the town is a message and exit status 1, never a stack of calls."""
    try:
        yield
    except RehearsalError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


@town_app.command()
def render(
    plan: PlanOption,
    out: Annotated[Path, typer.Option("--out", help="Folder for videos and truth.")],
    seed: SeedOption = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", min=0.01, help="Length; the plan's own if not given.")
    ] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", min=0.5, help="Length in seconds instead.")] = None,
    cameras: Annotated[
        str | None, typer.Option("--cameras", help="Only these, comma-separated; `demo` for the plan's demonstration.")
    ] = None,
    fps: Annotated[
        int | None, typer.Option("--fps", min=1, max=60, help="Takes the place of the cameras' own.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=0, help="Processes; 0 is one a core.")] = 0,
) -> None:
    """Make a town of a plan: traffic, videos and truth. Run again after an interruption it goes on."""
    import os

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from infra.rehearsal.plan import find_plan, load_plan
    from infra.rehearsal.render import render_town

    with _clear_errors():
        read = load_plan(plan, seed)
        length = seconds if seconds is not None else 60.0 * (minutes if minutes is not None else read.minutes)
        names = _camera_names(cameras, read.demo_cameras)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} frames"))
        console = Console(stderr=True)
        with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bar:
            task = bar.add_task("driving the traffic", total=None)
            folder = render_town(
                find_plan(plan),
                read.seed,
                length,
                out,
                names,
                fps,
                workers or os.cpu_count() or 1,
                lambda done, total, camera: bar.update(
                    task, completed=done, total=total, description=f"drawing {camera}" if camera else "drawn"
                ),
            )
    from infra.rehearsal.truth import load_truth

    summary = load_truth(folder).summary
    typer.echo(
        f"{folder}: {len(summary['cameras'])} cameras, {sum(summary['frames'].values())} frames, "
        f"{summary['vehicles']} vehicles, {summary['passages']} passages"
    )


def _camera_names(text: str | None, demo: tuple[str, ...]) -> tuple[str, ...] | None:
    if text is None:
        return None
    if text == "demo":
        if not demo:
            raise RehearsalError("this plan names no cameras for a demonstration; add [demo] cameras = [...]")
        return demo
    return tuple(name.strip() for name in text.split(",") if name.strip())


@town_app.command()
def new(
    seed: Annotated[int, typer.Option("--seed", min=0, help="Equal seeds give equal plans.")],
    out: Annotated[Path, typer.Option("--out", help="The TOML file to write.")],
    family: Annotated[str, typer.Option("--family", help="training, validation, exam, demo or test.")] = "test",
    cameras: Annotated[int, typer.Option("--cameras", min=1, max=60)] = 4,
    light: Annotated[str, typer.Option("--light", help="day, overcast, low_sun, dusk or night.")] = "day",
    rain: Annotated[float, typer.Option("--rain", min=0.0, max=1.0)] = 0.0,
    minutes: Annotated[float, typer.Option("--minutes", min=0.1)] = 5.0,
    vehicles: Annotated[float, typer.Option("--vehicles-per-hour", min=1.0)] = 1200.0,
    resolution: Annotated[str, typer.Option("--resolution")] = "1280x720",
    fps: Annotated[int, typer.Option("--fps", min=1, max=60)] = 12,
) -> None:
    """Write a random sound plan."""
    from infra.rehearsal.newtown import NewTown, new_plan, plan_text

    with _clear_errors():
        wanted = NewTown(
            out.stem, seed, family, cameras, light, rain, minutes, vehicles, resolution, fps
        )  # fmt: skip
        text = plan_text(new_plan(wanted))
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(text, encoding="utf-8")
        except OSError as error:
            raise RehearsalError(f"{out}: cannot be written: {error}") from error
    typer.echo(f"{out}: {cameras} cameras, light {light}, seed {seed}")


@town_app.command()
def check(plan: PlanOption, seed: SeedOption = None) -> None:
    """Say everything that is wrong with a plan, or what it holds."""
    from infra.rehearsal.network import build_town
    from infra.rehearsal.plan import load_plan

    with _clear_errors():
        read = load_plan(plan, seed)
        town = build_town(read)
    typer.echo(
        f"{read.name}: sound. {len(read.streets)} streets, {len(read.junctions)} junctions, "
        f"{len(town.cameras)} cameras, {len(town.ground.buildings)} houses; {read.light}, "
        f"sun at {read.sun_elevation_deg:.0f}°, rain {read.rain:g}; "
        f"{read.demand.vehicles_per_hour * read.demand.by_hour[read.start.hour] / 100:.0f} vehicles an hour"
    )


@town_app.command()
def show(
    out: Annotated[Path, typer.Option("--out", help="PNG or SVG for a plan; PNG, SVG or MP4 for a rendered town.")],
    plan: Annotated[str | None, typer.Option("--plan", help="A plan to draw.")] = None,
    town: Annotated[Path | None, typer.Option("--town", help="A rendered town, for paths and boxes.")] = None,
    vehicle: Annotated[str | None, typer.Option("--vehicle", help="Identity whose true path is drawn.")] = None,
    camera: Annotated[
        str | None, typer.Option("--camera", help="Draw the true boxes over this camera's video.")
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, help="How much of the video.")] = 20.0,
) -> None:
    """Draw a plan with its cameras, a vehicle's true path, or the true boxes over a video."""
    from infra.rehearsal.network import build_town
    from infra.rehearsal.plan import load_plan
    from infra.rehearsal.show import draw_plan, path_of, video_with_boxes

    with _clear_errors():
        if camera is not None:
            if town is None:
                raise RehearsalError("--camera needs --town, the folder of a rendered town")
            frames = video_with_boxes(town, camera, out, seconds, vehicle)
            typer.echo(f"{out}: {frames} frames of {camera} with boxes")
            return
        if plan is None:
            raise RehearsalError("give --plan, the plan to draw (with --town for a vehicle's path)")
        built = build_town(load_plan(plan))
        if vehicle is None:
            draw_plan(built, out)
        else:
            if town is None:
                raise RehearsalError("--vehicle needs --town, the folder of a rendered town")
            path, passed = path_of(town, vehicle)
            draw_plan(built, out, {vehicle: path}, passed)
            typer.echo(f"{vehicle} passes {', '.join(passed) or 'no camera'}")
    typer.echo(str(out))


def _tell_drives(done: int, of: int) -> None:
    """On the error output, so that JSON stays clean."""
    typer.echo(f"other days in this town, driven once and kept: {done} of {of}", err=True)


@town_app.command()
def oracle(
    plan: Annotated[str | None, typer.Option("--plan", help="A plan; its traffic is driven, nothing is drawn.")] = None,
    town: Annotated[Path | None, typer.Option("--town", help="A rendered town instead.")] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", min=0.1)] = None,
    seed: SeedOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print how alike the vehicles are and how far knowledge of looks and travel times goes."""
    import json

    from infra.rehearsal.oracle import report_of_plan, report_of_town

    with _clear_errors():
        if (plan is None) == (town is None):
            raise RehearsalError("give either --plan or --town")
        if town is not None:
            report = report_of_town(town, _tell_drives)
        else:
            report = report_of_plan(plan or "", seed, minutes, _tell_drives)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    for key, value in report.items():
        typer.echo(f"{key:28} {value}")
