# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the gate's commands share: the client, times and intervals as people type them, tables and JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from connectors.bounds import Interval
from connectors.errors import SiteError
from connectors.site import Site, load_site
from gate.client import DEFAULT_URL, GateClient, kept_session
from gate.errors import Conflict, Invalid, NotFound
from gate.messages import Act, GrantInfo, RequisitionInfo
from gate.town_time import read_end, read_time, told_time

SiteFile = Annotated[Path, typer.Option("--site", envvar="PASSAGE_SITE", help="The town's site file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Wanted = Annotated[
    str,
    typer.Option(
        "--requisition",
        "-r",
        envvar="PASSAGE_REQUISITION",
        help="Its id or its reference; without, the only one that is open.",
    ),
]
Directed = Annotated[str, typer.Option("--directed-by", help="The officer or magistrate who directs this act.")]
SITE = Path("site.toml")


@lru_cache
def _site(path: Path) -> Site | None:
    """The site, where this person may read its file; only its port and time zone are used."""
    try:
        return load_site(path)
    except SiteError:
        return None


def client(site: Path = SITE) -> GateClient:
    """A client with the session kept by `passage sign-in`."""
    url = os.environ.get("PASSAGE_GATE_URL", "")
    if not url:
        town = _site(site)
        url = DEFAULT_URL if town is None else f"http://127.0.0.1:{town.gate.port}"
    return GateClient(url, kept_session())


def zone(site: Path = SITE) -> ZoneInfo:
    """The town's time zone, in which people type and read times."""
    town = _site(site)
    return ZoneInfo(town.timezone if town is not None else "Europe/Paris")


def moment(written: str, site: Path = SITE) -> datetime:
    """A time as people type it: `2026-03-20 14:05`, `20/03/2026 14:05:30`, either with `(UTC+1)`, or ISO 8601."""
    return read_time(written, zone(site))


def ending(written: str, site: Path = SITE) -> datetime:
    """The same for an end: a day alone, `31/01/2027`, is in force until it is over."""
    return read_end(written, zone(site))


def length(written: str) -> timedelta:
    """A length of time: `20` or `20s`, `5m`, `2h`, `30d`."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    text, unit = (written[:-1], written[-1]) if written[-1:] in units else (written, "s")
    try:
        found = timedelta(seconds=float(text) * units[unit])
    except ValueError:
        raise Invalid(f"{written!r} is no length of time: write 20s, 5m, 2h or 30d") from None
    if found <= timedelta():
        raise Invalid(f"{written!r} must be more than nothing")
    return found


def interval(written: str, site: Path = SITE) -> Interval:
    """`START..END`, or `START+LENGTH`."""
    start, dots, end = written.partition("..")
    if dots:
        begin, finish = moment(start, site), moment(end, site)
    else:
        start, plus, span = written.rpartition("+")
        if not plus or ":" in span:
            raise Invalid(f"{written!r} is no interval: write START..END, or START+20m")
        begin = moment(start, site)
        finish = begin + length(span)
    if finish <= begin:
        raise Invalid(f"{written!r} ends before it starts")
    return Interval(begin, finish)


def between(start: str, end: str, site: Path) -> Interval | None:
    """The interval of two options that go together; None when neither is given."""
    if not start and not end:
        return None
    if not start or not end:
        raise Invalid("give both --from and --to")
    return interval(f"{start}..{end}", site)


def requisition(gate: GateClient, wanted: str, *, state: str = "open") -> RequisitionInfo:
    """The requisition of that id or reference; without either, the only one in that state."""
    found = gate.requisitions()
    if wanted:
        named = [r for r in found if wanted in (r.id, r.reference)]
        if not named:
            raise NotFound(f"no requisition {wanted!r}: `passage requisition list` shows them all")
        return named[0]
    fitting = [r for r in found if r.state == state]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise NotFound(f"no requisition is {state}: `passage requisition list` shows them all")
    raise Conflict(f"{len(fitting)} requisitions are {state}: name one by its id or reference")


def granted(
    gate: GateClient, wanted: str, acts: Sequence[Act], directed_by: str = "", cameras: Sequence[str] = ()
) -> GrantInfo:
    """A grant for these acts under the requisition named."""
    return gate.grant(requisition(gate, wanted).id, acts, cameras, directed_by=directed_by)


def show(answer: object, as_json: bool, table: Table | None = None) -> None:
    """Print an answer as JSON or as its table."""
    if as_json or table is None:
        typer.echo(json.dumps(msgspec.to_builtins(answer), indent=1, ensure_ascii=False))
    else:
        if table.title:
            typer.echo(table.title)
            table.title = None
        if table.row_count:
            Console().print(table)


def tabled(title: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """A plain table."""
    table = Table(*heads, title=title, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    return table


def local(at: datetime | None, site: Path = SITE) -> str:
    """A moment as people of the town read it."""
    return "" if at is None else told_time(at, zone(site))


def write_out(data: bytes, out: Path) -> None:
    """Write what left the gate to a file that only this user may read."""
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)  # one that was there keeps its own otherwise
        file.write(data)
