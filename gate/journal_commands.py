# SPDX-License-Identifier: AGPL-3.0-or-later
"""`passage journal …`: reading it. Auditor."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from gate.command_line import SITE, AsJson, SiteFile, client, local, requisition, show, tabled

journal_app = typer.Typer(help="The journal: who did what, when and why. Auditor.", no_args_is_help=True)


@journal_app.command("show")
def show_journal(
    of: Annotated[str, typer.Option("--requisition", "-r", help="Only of this one, by id or reference.")] = "",
    person: Annotated[str, typer.Option(help="Only of this person, by name.")] = "",
    limit: int = 50,
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """The newest entries."""
    gate = client(site)
    identifier = requisition(gate, of).id if of else ""
    found = gate.journal(requisition=identifier, person=person, limit=limit)
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
def room(
    reason: str,
    present: Annotated[list[str], typer.Option("--present", help="Who was there; may be repeated.")],
    site: SiteFile = SITE,
) -> None:
    """Write down that somebody entered the locked room."""
    client(site).room_entry(present, reason)
    typer.echo("written")
