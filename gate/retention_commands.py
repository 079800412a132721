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


@retention_app.command()
def prove(site: SiteFile = SITE, as_json: AsJson = False) -> None:
    """Look through every place for what is past its date, and write the register. Ends with 1 when anything is found.

    Run it on the gate's own machine, as the gate's user.
    """
    # The database and the keeper's secret are the gate's own: nothing else opens them.
    from connectors.clickhouse import open_keeper, open_reader
    from connectors.kafka import site_broker
    from gate.gate import Gate
    from gate.proof import prove as look

    town = load_site(site)
    gate = Gate(town, open_reader(town))
    try:
        proof = look(gate, open_keeper(town), site_broker(town, "keeper"))
    finally:
        gate.close()
    title = f"{'proved' if proof.good else 'FAILED'}: nothing captured before {local(proof.before, site)} is left"
    if not proof.good:
        title = f"FAILED: something captured before {local(proof.before, site)} is left, or was not looked at"
    rows = [(p.name, p.looked, "; ".join(p.found[:5])) for p in proof.places]
    show(proof, as_json, tabled(title, ["place", "looked at", "found"], rows))
    if not proof.good:
        raise typer.Exit(1)


@retention_app.command("confirm-clock")
def confirm_clock(site: SiteFile = SITE, as_json: AsJson = False) -> None:
    """Say that the clock is right after a jump; destruction resumes. Administrator."""
    client(site).confirm_clock()
    show({"confirmed": True}, as_json, tabled("confirmed", [], []))
