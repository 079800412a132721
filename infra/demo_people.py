# SPDX-License-Identifier: AGPL-3.0-or-later
"""The demonstration's people and its requisition: made as a town would make them, with passwords of their own."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pyotp

from connectors.bounds import Interval
from connectors.site import Site
from gate.client import GateClient
from gate.messages import CredentialDraft, RequisitionInfo, Role
from gate.setup import first_administrator, set_up
from infra.errors import DemoError

CREDENTIALS_FILE = "credentials.json"
ROLES: tuple[tuple[str, str, Role], ...] = (
    ("administratrice", "Alice Martin (démonstration)", "administrator"),
    ("greffier", "Bruno Lefèvre (démonstration)", "registrar"),
    ("technicienne", "Chloé Dubois (démonstration)", "technician"),
    ("auditeur", "Denis Moreau (démonstration)", "auditor"),
)


@dataclass(frozen=True, slots=True)
class Person:
    """Who may sign in to the demonstration, and with what."""

    login: str
    name: str
    role: str
    password: str
    totp_secret: str

    def code(self) -> str:
        """The one-time code of these thirty seconds."""
        return pyotp.TOTP(self.totp_secret).now()

    def sign_in(self, gate_url: str) -> GateClient:
        """A signed-in client."""
        client = GateClient(gate_url)
        client.sign_in(self.login, self.password, self.code())
        return client


def make_administrator(site: Site) -> Person:
    """Set the gate up and make its first account; before the gate runs, as its documentation asks."""
    set_up(site)
    login, name, role = ROLES[0]
    password = secrets.token_urlsafe(12)
    made = first_administrator(site, login, name, password)
    return Person(login, name, role, password, secret_of(made.totp_uri))


def make_people(gate_url: str, administrator: Person, now: datetime) -> dict[str, Person]:
    """Registrar, technician and auditor, each habilitated; all people by role."""
    people = {administrator.role: administrator}
    with_gate = administrator.sign_in(gate_url)
    for login, name, role in ROLES[1:]:
        first, password = secrets.token_urlsafe(12), secrets.token_urlsafe(12)
        reference = f"DÉMO-{login.upper()}"
        validity = {"starts_at": now - timedelta(days=1), "ends_at": now + timedelta(days=365)}
        credentials = [
            CredentialDraft(kind="habilitation", reference=f"{reference}-H", **validity),
            CredentialDraft(kind="agrement", reference=f"{reference}-A", **validity),
        ]
        made = with_gate.make_person(login, name, [role], first, credentials=credentials)
        # Their own choice, as anybody's: the administrator has seen the first one.
        GateClient(gate_url).renew(login, first, made.recovery_codes[0], password)
        people[role] = Person(login, name, role, password, secret_of(made.totp_uri))
    with_gate.sign_out()
    return people


def keep_credentials(folder: Path, people: dict[str, Person]) -> Path:
    """Write them to a file that only this user may read: the stack stays, and somebody wants to sign in."""
    file = folder / CREDENTIALS_FILE
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        json.dump([asdict(p) for p in people.values()], out, indent=1, ensure_ascii=False)
    return file


def read_credentials(folder: Path) -> list[Person]:
    """What `keep_credentials` wrote. Raises DemoError when there is no demonstration."""
    try:
        return [Person(**row) for row in json.loads((folder / CREDENTIALS_FILE).read_text(encoding="utf-8"))]
    except FileNotFoundError:
        raise DemoError(f"no demonstration in {folder}: `passage demo` makes one") from None


def open_requisition(
    gate_url: str, registrar: Person, cameras: list[str], interval: Interval, now: datetime
) -> RequisitionInfo:
    """Register and open the demonstration's requisition."""
    client = registrar.sign_in(gate_url)
    draft = client.draft(
        reference="DÉMO-2026-001",
        cameras=cameras,
        intervals=[interval],
        purpose="Démonstration : retrouver le passage d'une voiture rouge (procédure fictive)",
        expires_at=now + timedelta(days=7),
        article="60-1",
        authority="opj",
        authority_name="OPJ fictif (démonstration)",
        inquiry="DÉMO/2026/0001",
        offence="collision avec délit de fuite (fictif)",
        received_at=now - timedelta(minutes=1),
        document=paper("DÉMO-2026-001", "60-1", cameras, interval),
    )
    opened = client.open(draft.id)
    client.sign_out()
    return opened


def paper(reference: str, article: str, cameras: list[str], interval: Interval) -> bytes:
    """A requisition on paper that says what it is."""
    from fpdf import FPDF  # half a second before anything is seen

    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("Helvetica", size=12)
    lines = (
        "RÉQUISITION DE DÉMONSTRATION - SANS VALEUR",
        f"Référence : {reference}",
        f"Article {article} du code de procédure pénale (fictif)",
        f"Caméras : {', '.join(cameras)}",
        f"De {interval.start:%d/%m/%Y %H:%M:%S} à {interval.end:%d/%m/%Y %H:%M:%S} (UTC)",
        "Ce document accompagne une ville imaginaire : aucune personne réelle n'y paraît.",
    )
    for line in lines:
        pdf.multi_cell(0, 8, line, new_x="LMARGIN", new_y="NEXT")
    return bytes(pdf.output())


def secret_of(totp_uri: str) -> str:
    """The base32 secret in an authenticator's address."""
    return parse_qs(urlparse(totp_uri).query)["secret"][0]
