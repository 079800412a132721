# SPDX-License-Identifier: AGPL-3.0-or-later
"""`passage journal …`: reading it. Auditor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from connectors.site import load_site, utc_now
from gate.command_line import SITE, AsJson, SiteFile, client, local, requisition, show, tabled
from gate.journal_check import read_anchor, read_public_key
from gate.journal_check import verify as check

journal_app = typer.Typer(help="The journal: who did what, when and why. Auditor.", no_args_is_help=True)


@journal_app.command("show")
def show_journal(
    of: Annotated[str, typer.Option("--requisition", "-r", help="Only of this one, by id or reference.")] = "",
    person: Annotated[str, typer.Option(help="Only of this person, by name.")] = "",
    limit: Annotated[int, typer.Option(help="How many, 500 at most.")] = 50,
    before: Annotated[int, typer.Option(min=0, help="Only entries older than the one of this number.")] = 0,
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """The newest entries; the older ones with --before and the last number shown."""
    gate = client(site)
    identifier = requisition(gate, of).id if of else ""
    found = gate.journal(requisition=identifier, person=person, limit=limit, before=before)
    rows = [
        (
            e.n,
            local(e.at, site),
            e.phase,
            e.act,
            e.person,
            e.requisition,
            json.dumps(e.details, ensure_ascii=False)[:90] if e.details else "",
        )
        for e in found
    ]
    show(found, as_json, tabled("Journal", ["n", "time", "phase", "act", "person", "requisition", "details"], rows))


@journal_app.command()
def verify(
    folder: Annotated[
        Path | None, typer.Argument(help="The journal's folder, or a copy; the site's when left out.")
    ] = None,
    anchor: Annotated[
        list[str] | None, typer.Option(help="COUNT:HASH from a paper, or a witness's file; may be repeated.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="The journal's public key, journal.pub.")] = None,
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """Verify a journal offline: chain, signed heads, and a rollback by an anchor. Ends with 1 when it is bad."""
    if folder is None:
        data = load_site(site).data
        folder, key = data / "gate" / "journal", key or data / "keys" / "public" / "journal.pub"
    anchors = [a for text in anchor or () for a in read_anchor(text)]
    verdict = check(folder, None if key is None else read_public_key(key), anchors, utc_now())
    state = "good" if verdict.good else "BAD"
    title = f"{state}: {verdict.entries} entries, {verdict.heads_signed} signed heads, {verdict.anchors} anchors"
    show(verdict, as_json, tabled(title, ["fault"], [[f] for f in verdict.faults]))
    if not as_json:
        typer.echo(f"head {verdict.head}")
        typer.echo(f"truncation that cannot be excluded: {verdict.window}")
        if key is None:
            typer.echo("signatures were not checked: give --key journal.pub")
    if not verdict.good:
        raise typer.Exit(1)


@journal_app.command()
def room(
    reason: str,
    present: Annotated[list[str], typer.Option("--present", help="Who was there; may be repeated.")],
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """Write down that somebody entered the locked room."""
    client(site).room_entry(present, reason)
    show({"present": present, "reason": reason}, as_json, tabled("written", [], []))
