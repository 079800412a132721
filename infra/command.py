# SPDX-License-Identifier: AGPL-3.0-or-later
"""The command `passage`. Every error is a clear message on stderr; PASSAGE_DEBUG=1 shows where it came from."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from connectors.errors import ConnectorError
from connectors.site import IndexSite, load_site
from infra.errors import InfraError, NotRunning
from infra.site_template import SITE_TEMPLATE

SiteFile = Annotated[Path, typer.Option("--site", envvar="PASSAGE_SITE", help="The town's site file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

app = typer.Typer(
    name="passage",
    help="A town's recorded cameras, searched only on a requisition.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_MOUNTED = (
    # (module, its typer app, name under which it appears; empty: its commands stand beside ours)
    ("infra.rehearsal.town_commands", "town_app", "town"),
    ("infra.rehearsal.score.command", "score_app", ""),
    ("infra.training.commands", "train_app", ""),
    ("gate.commands", "app", ""),
)


@app.command()
def up(
    site: SiteFile = Path("site.toml"),
    detach: Annotated[
        bool, typer.Option("--detach", help="Return once everything runs, and leave it running.")
    ] = False,
) -> None:
    """Start broker, store, gate, flows and application, watch them, restart what dies; Ctrl-C ends them."""
    from infra import stack
    from infra.stack_table import stack_table

    console = Console()
    if not detach:
        raise typer.Exit(stack.up(site, console))
    with console.status("starting …") as status:
        state = stack.up_detached(
            site,
            lambda s: status.update(
                "starting … waiting for "
                + ", ".join(x.name for x in s.services if x.state not in ("running", "finished"))
            ),
        )
    console.print(stack_table(state))


@app.command()
def down(site: SiteFile = Path("site.toml"), as_json: AsJson = False) -> None:
    """End what `passage up` started, in order."""
    from infra import stack

    town = load_site(site)
    stack.down(town)
    _say({"site": town.name, "running": False}, f"{town.name} has ended; nothing is left running", as_json)


@app.command()
def reload(site: SiteFile = Path("site.toml"), as_json: AsJson = False) -> None:
    """Have a running stack read its site file again: what the change touches starts anew, the rest goes on."""
    from infra import stack

    stack.reload(load_site(site))
    _say({"reloaded": str(site)}, "site file read again", as_json)


@app.command()
def status(site: SiteFile = Path("site.toml"), as_json: AsJson = False) -> None:
    """Health of every part, frames a second, lag, camera-hours per hour, room on the disk."""
    from infra.status import status_of, status_tables

    town = load_site(site)
    found = status_of(town)
    if as_json:
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        console = Console()
        for table in status_tables(found):
            console.print(table)
    if not found["running"]:
        raise NotRunning(f"{town.name} is not running; `passage up --site {site}` starts it")
    if not found["healthy"]:
        raise typer.Exit(1)


@app.command("new-site")
def new_site(
    file: Annotated[Path | None, typer.Argument(help="Where to write it; without, it is printed.")] = None,
) -> None:
    """Write a commented site file to fill in."""
    if file is None:
        typer.echo(SITE_TEMPLATE, nl=False)
        return
    try:
        with open(file, "x", encoding="utf-8") as out:
            out.write(SITE_TEMPLATE)
    except FileExistsError:
        raise InfraError(f"{file} exists already; name another, or edit it") from None
    typer.echo(f"{file}: fill in name, authorisation and cameras, then `passage up --site {file}`")


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where the demonstration lives.")] = Path("build/demo"),
    stop: Annotated[
        bool, typer.Option("--stop", help="End the stack at the end instead of leaving it running.")
    ] = False,
    cameras: Annotated[int, typer.Option("--cameras", min=3, max=13, help="How many cameras of the town.")] = 6,
    seconds: Annotated[int, typer.Option("--seconds", min=30, max=600, help="How many seconds of each.")] = 45,
    detector: Annotated[str, typer.Option("--detector", help="Another detector than the shipped one.")] = "",
    year: Annotated[
        bool, typer.Option("--year", help="The town has a year of nine requests behind it, for the yearly report.")
    ] = False,
) -> None:
    """A small town from its cameras to a trace: recorded, requisitioned, indexed, rewound, searched, followed."""
    from infra.demo import run_demo

    model = detector or IndexSite().detector
    run_demo(folder, cameras=cameras, seconds=seconds, stop=stop, detector=model, console=Console(), year=year)


@app.command("demo-year")
def demo_year(
    folder: Annotated[Path, typer.Option("--folder", help="Where it lives.")] = Path("build/demo-year"),
) -> None:
    """A year of a small town: nine requests through the gate's own services, and their yearly report."""
    from infra.demo_year import run_year

    report = run_year(folder.resolve())
    typer.echo(f"{report}: the yearly report of nine requests")
    typer.echo(
        f"as a page: passage up --site {folder / 'site.toml'}   (codes: passage demo-code LOGIN --folder {folder})"
    )


@app.command("demo-code")
def demo_code(
    login: Annotated[str, typer.Argument(help="Whose one-time code.")],
    folder: Annotated[Path, typer.Option("--folder", help="Where the demonstration lives.")] = Path("build/demo"),
    as_json: AsJson = False,
) -> None:
    """Print the one-time code with which one of the demonstration's people signs in now."""
    from infra.demo_people import read_credentials

    people = {person.login: person for person in read_credentials(folder)}
    if login not in people:
        raise InfraError(f"nobody is called {login!r} there; people are {', '.join(people)}")
    _say({"login": login, "code": people[login].code()}, people[login].code(), as_json)


def _say(answer: dict[str, object], words: str, as_json: bool) -> None:
    typer.echo(json.dumps(answer, indent=1, ensure_ascii=False) if as_json else words)


def mount(into: typer.Typer) -> None:
    """Add the commands of the other rooms."""
    for module, attribute, name in _MOUNTED:
        if importlib.util.find_spec(module.rpartition(".")[0]) is None or importlib.util.find_spec(module) is None:
            continue
        found: typer.Typer = getattr(importlib.import_module(module), attribute)
        if name:
            into.add_typer(found, name=name)
        else:
            into.add_typer(found)


def main() -> None:
    """Entry point: run the command; errors become one clear message and an exit status (1 refused, 2 misused)."""
    mount(app)
    try:
        app(prog_name="passage")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as fault:
        if os.environ.get("PASSAGE_DEBUG"):
            traceback.print_exc()
        sys.stderr.write(f"passage: {explain(fault)}\n")
        sys.exit(1)


def explain(fault: Exception) -> str:
    """What a person should read: our own errors say what to do; of any other, what it is and how to see more."""
    if isinstance(fault, ConnectorError | InfraError):
        return str(fault)
    if type(fault).__module__.split(".")[0] in ("gate", "reid", "flows", "infra", "connectors"):
        return str(fault)
    kind = type(fault).__name__
    return f"unexpected {kind}: {fault} (set PASSAGE_DEBUG=1 to see where; please report it)"


if __name__ == "__main__":
    main()
