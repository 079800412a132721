# SPDX-License-Identifier: AGPL-3.0-or-later
"""`passage retention …`: how long things are kept, and the clock."""

from __future__ import annotations

import typer

from connectors.site import load_site, utc_now
from gate import retention
from gate.command_line import SITE, AsJson, SiteFile, client, local, show, tabled

retention_app = typer.Typer(help="How long recordings are kept, and that they are gone.", no_args_is_help=True)


@retention_app.command("state")
def state(site: SiteFile = SITE, as_json: AsJson = False) -> None:
    """The moment before which nothing may be kept or shown now."""
    town = load_site(site)
    limit = retention.limit(utc_now(), town.retention_days, town.timezone)
    answer = {"days": town.retention_days, "not_before": limit.isoformat()}
    rows = [(town.retention_days, local(limit, site))]
    show(answer, as_json, tabled("Retention", ["days of the site", "nothing is kept from before"], rows))


@retention_app.command("confirm-clock")
def confirm_clock(site: SiteFile = SITE) -> None:
    """Say that the clock is right after a jump; destruction resumes. Administrator."""
    client(site).confirm_clock()
    typer.echo("confirmed")
