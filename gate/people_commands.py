# SPDX-License-Identifier: AGPL-3.0-or-later
"""`passage people …`: accounts, roles, habilitations, agréments."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any

import segno
import typer

from connectors.site import load_site, utc_now
from gate.client import GateClient
from gate.command_line import SITE, AsJson, SiteFile, client, ending, local, moment, show, tabled
from gate.errors import NotFound
from gate.messages import CredentialDraft, PersonInfo, PersonMade

people_app = typer.Typer(help="Accounts, roles, habilitations, agréments. Administrator.", no_args_is_help=True)


@people_app.command("first-admin")
def first_admin(login: str, name: str, site: SiteFile = SITE, as_json: AsJson = False) -> None:
    """Make the first administrator of a site, on the gate's own machine; refused once anybody has an account."""
    # The database is the service's: only this command, on the gate's own machine, opens it.
    from gate.setup import first_administrator, set_up

    town = load_site(site)
    set_up(town)
    _made(first_administrator(town, login, name, new_password("PASSAGE_PASSWORD")), as_json)


@people_app.command()
def add(
    login: str,
    name: str,
    role: Annotated[list[str], typer.Option("--role", help="administrator, registrar, technician, auditor.")],
    municipal: Annotated[bool, typer.Option(help="A municipal operator, who needs the prefect's agrément.")] = True,
    habilitation: Annotated[
        str, typer.Option(help="REFERENCE, in force from now for a year; more by `habilitate`.")
    ] = "",
    agrement: Annotated[str, typer.Option(help="REFERENCE, in force from now for five years.")] = "",
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """Give a person an account; what they sign in with is printed this once.

    The password is asked for, or read from PASSAGE_NEW_PASSWORD.
    """
    now = utc_now()
    held = []
    if habilitation:
        end = now + timedelta(days=365)
        held.append(CredentialDraft(kind="habilitation", reference=habilitation, starts_at=now, ends_at=end))
    if agrement:
        end = now + timedelta(days=5 * 365)
        held.append(CredentialDraft(kind="agrement", reference=agrement, starts_at=now, ends_at=end))
    roles: Any = role
    made = client(site).make_person(login, name, roles, new_password(), municipal=municipal, credentials=held)
    _made(made, as_json)


@people_app.command("list")
def list_people(site: SiteFile = SITE, as_json: AsJson = False) -> None:
    """Everybody, with what they hold."""
    found = client(site).people()
    rows = [
        (
            p.login,
            p.name,
            ", ".join(p.roles),
            "; ".join(f"{c.kind} {c.reference} until {local(c.ends_at, site)[:10]}" for c in p.credentials),
            "left" if p.left else "locked" if p.locked else "",
        )
        for p in found
    ]
    show(found, as_json, tabled("People", ["login", "name", "roles", "holds", ""], rows))


@people_app.command()
def habilitate(
    login: str,
    reference: str,
    until: Annotated[str, typer.Option(help="Its last day, such as 31/01/2027, or a time.")],
    since: Annotated[str, typer.Option(help="Its start; now when not given.")] = "",
    agrement: Annotated[bool, typer.Option("--agrement", help="The prefect's agrément instead.")] = False,
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """Register a habilitation, or the prefect's agrément."""
    gate = client(site)
    credential = CredentialDraft(
        kind="agrement" if agrement else "habilitation",
        reference=reference,
        starts_at=moment(since, site) if since else utc_now(),
        ends_at=ending(until, site),
    )
    show(gate.add_credential(_person(gate, login).id, credential), as_json)


@people_app.command()
def withdraw(
    login: str,
    reference: str,
    agrement: Annotated[bool, typer.Option("--agrement", help="The prefect's agrément instead.")] = False,
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """End a habilitation or an agrément now; what the person is doing stops."""
    gate = client(site)
    kind = "agrement" if agrement else "habilitation"
    show(gate.withdraw_credential(_person(gate, login).id, kind, reference), as_json)


@people_app.command()
def roles(
    login: str,
    role: Annotated[list[str], typer.Option("--role", help="The roles from now on.")],
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """Change what a person does."""
    gate = client(site)
    wanted: Any = role
    show(gate.set_roles(_person(gate, login).id, wanted), as_json)


@people_app.command()
def reissue(login: str, site: SiteFile = SITE, as_json: AsJson = False) -> None:
    """Give somebody who has lost what they sign in with new ones, printed this once; their sessions end.

    The password is asked for, or read from PASSAGE_NEW_PASSWORD; they choose their own with `passage renew`.
    """
    gate = client(site)
    _made(gate.reissue(_person(gate, login).id, new_password()), as_json)


@people_app.command()
def leave(login: str, site: SiteFile = SITE, as_json: AsJson = False) -> None:
    """Close an account; what the person did stays on record."""
    gate = client(site)
    show(gate.leave(_person(gate, login).id), as_json)


def _person(gate: GateClient, login: str) -> PersonInfo:
    for person in gate.people():
        if login in (person.login, person.id):
            return person
    raise NotFound(f"nobody has the login {login!r}: `passage people list` shows everybody")


def new_password(variable: str = "PASSAGE_NEW_PASSWORD") -> str:
    """A password to be, from the environment or asked for twice."""
    password: str = os.environ.get(variable) or typer.prompt(
        "New password (12 characters or more)", hide_input=True, confirmation_prompt=True
    )
    return password


def _made(made: PersonMade, as_json: bool) -> None:
    if as_json:
        show(made, True)
        return
    typer.echo(f"{made.person.name} ({made.person.login}): {', '.join(made.person.roles)}")
    shown_once(made.totp_uri, made.recovery_codes)


def shown_once(totp_uri: str, recovery_codes: Iterable[str]) -> None:
    """Print what a person signs in with, the secret as a picture that an authenticator reads from the screen."""
    typer.echo("For the authenticator (shown once):")
    if sys.stdout.isatty():
        segno.make(totp_uri, error="m").terminal(compact=True)
    typer.echo(f"  {totp_uri}")
    typer.echo("Recovery codes, each works once; print them and hand them over sealed:")
    for code in recovery_codes:
        typer.echo(f"  {code}")
