# SPDX-License-Identifier: AGPL-3.0-or-later
"""The gate's parts, wired once from a site: what the service calls and tests call without one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from argon2 import PasswordHasher

from connectors.archive import ArchiveReader
from connectors.site import Site, utc_now
from connectors.store import StoreReader
from gate import retention
from gate.clips import Clips
from gate.clock import ClockGuard, clock_source
from gate.database import Database
from gate.documents import Documents
from gate.errors import NotFound
from gate.footage import Footage
from gate.grants import Grants
from gate.journal import Because, Journal, Witness
from gate.keystore import Keystore
from gate.orders import Orders
from gate.people import People
from gate.requisitions import Requisitions
from gate.retries import Retries
from gate.secrets import Vault, signing_key
from gate.sessions import Live, Sessions

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the gate keeps its own, inside a site's data folder."""

    data: Path

    @property
    def database(self) -> Path:
        """The transactional database."""
        return self.data / "gate" / "gate.sqlite3"

    @property
    def journal(self) -> Path:
        """Yearly volumes and signed heads."""
        return self.data / "gate" / "journal"

    @property
    def documents(self) -> Path:
        """Scanned requisitions, sealed."""
        return self.data / "gate" / "documents"

    @property
    def secrets(self) -> Path:
        """The gate's own secrets."""
        return self.data / "secrets" / "gate"

    @property
    def public(self) -> Path:
        """Public keys, readable by all components."""
        return self.data / "keys" / "public"

    @property
    def orders(self) -> Path:
        """Signed replay orders and their progress."""
        return self.data / "orders"

    @property
    def exhibits(self) -> Path:
        """Evidence secured at opening, one sealed archive a requisition."""
        return self.data / "exhibits"


class Gate:
    """Everything the gate does, behind one object."""

    def __init__(
        self,
        site: Site,
        store: StoreReader,
        *,
        clock: Callable[[], datetime] = utc_now,
        hasher: PasswordHasher | None = None,
        witnesses: tuple[Witness, ...] = (),
    ) -> None:
        self.site = site
        self.store = store
        self.folders = folders = Folders(site.data)
        self.database = Database(folders.database)
        self.clock_guard = ClockGuard(self.database, clock)
        self.clock = clock
        self.vault = Vault(folders.secrets / "vault")
        self.signing: Ed25519PrivateKey = signing_key(folders.secrets / "journal.key")
        self.order_key: Ed25519PrivateKey = signing_key(folders.secrets / "orders.key")
        self.journal = Journal(folders.journal, self.signing, clock, clock_source=clock_source, witnesses=witnesses)
        self.keys = Keystore(folders.secrets / "days", folders.public, clock)
        self.archive = ArchiveReader(site.archive_dir)
        self.footage = Footage(site.archive_dir, folders.exhibits, self.keys)
        self.orders = Orders(folders.orders, self.order_key, clock)
        self.people = People(self.database, self.vault, clock, hasher)
        self.sessions = Sessions(self.database, self.now, timedelta(minutes=site.gate.idle_lock_minutes))
        documents = Documents(folders.documents, self.vault)
        self.requisitions = Requisitions(self.database, site, self.now, self.not_before, documents)
        self.evidence_lock = threading.Lock()
        """Held while evidence is written and while it is erased: nothing is written after a closure."""
        self.retries = Retries(clock)
        self.clips = Clips(clock)
        self.grants = Grants(self.database, self.sessions, self.now, self.not_before)

    def now(self) -> datetime:
        """What is now for the rules: a clock set back revives nothing that has lapsed. The journal keeps `clock`."""
        return self.clock_guard.latest()

    def not_before(self) -> datetime:
        """The retention limit now; a clock set back does not move it back."""
        return retention.limit(self.now(), self.site.retention_days, self.site.timezone)

    def because(self, live: Live, *, requisition: str = "", purpose: str = "", directed_by: str = "") -> Because:
        """Who acts and why, for the journal, where there is no grant."""
        reference = ""
        if requisition:
            try:
                found = self.requisitions.info(requisition)
            except NotFound:
                requisition = requisition[:80]
            else:
                reference, purpose = found.reference, purpose or found.purpose
        return Because(
            live.person.name, live.person.id, live.id[:12], requisition, reference, purpose, directed_by.strip()[:200]
        )

    def close(self) -> None:
        """Let go of the database, and of the witnesses once they have what was signed, or after a few seconds."""
        self.journal.wait_for_witnesses(5.0)
        self.database.close()
