# SPDX-License-Identifier: AGPL-3.0-or-later
"""Packages asked for on a page: held against the rules at once, made while the browser downloads them, once each.

Nothing of a package is kept: a ticket holds what was asked for, in memory, for the session that asked.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from gate.errors import Conflict, GateError, NotFound
from gate.exhibits import Exhibits, Package, Plan, fingerprint
from gate.gate import Gate
from gate.messages import ExhibitRequest, ExportStatus
from gate.sessions import Live

MOST = 200
"""Tickets held; the oldest goes first."""


@dataclass(slots=True)
class _Ticket:
    session: str
    plan: Plan
    package: Package | None = None
    making: bool = False
    message: str = ""


class Tickets:
    """The packages asked for and not yet forgotten."""

    def __init__(self, gate: Gate, exhibits: Exhibits) -> None:
        self._gate = gate
        self._exhibits = exhibits
        self._held: OrderedDict[str, _Ticket] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, live: Live, grant: str, request: ExhibitRequest) -> ExportStatus:
        """Take a request that the rules allow; its package is made when it is downloaded."""
        ticket = _Ticket(live.id, self._exhibits.plan(live, grant, request))
        identifier = secrets.token_urlsafe(24)
        with self._lock:
            self._held[identifier] = ticket
            while len(self._held) > MOST:
                self._held.popitem(last=False)
        return self._status(identifier, ticket)

    def status(self, live: Live, grant: str, identifier: str) -> ExportStatus:
        """How far the download has come."""
        return self._status(identifier, self._of(live, grant, identifier))

    def download(self, live: Live, grant: str, identifier: str) -> tuple[str, Iterator[bytes]]:
        """File name and bytes; Conflict once it was handed over, or while it is."""
        ticket = self._of(live, grant, identifier)
        with self._lock:
            if ticket.making:
                raise Conflict("this package is being downloaded: wait for its end")
            if ticket.package is not None and ticket.package.sums_sha256:
                raise Conflict("this package was downloaded whole: ask for another one, with a number of its own")
            ticket.making, ticket.message = True, ""
        try:
            ticket.package = self._exhibits.package(live, ticket.plan)
        except GateError:
            ticket.making = False
            raise
        return f"{ticket.package.folder}.zip", self._pieces(ticket, ticket.package)

    def _pieces(self, ticket: _Ticket, package: Package) -> Iterator[bytes]:
        try:
            yield from package.stream()
        except GateError as fault:
            ticket.message = str(fault)
            raise
        finally:
            ticket.making = False

    def _of(self, live: Live, grant: str, identifier: str) -> _Ticket:
        ticket = self._held.get(identifier)
        if ticket is None or ticket.session != live.id or ticket.plan.grant != grant:
            if ticket is not None:
                because = self._gate.grants.because(live, grant)
                why = "the package was asked for in another session, or under another grant"
                self._gate.journal.append("refusal", "export", because, {"why": why})
            # From outside, one of another session looks as one that never was.
            raise NotFound("no such package in this session: ask for it again")
        return ticket

    def _status(self, identifier: str, ticket: _Ticket) -> ExportStatus:
        package = ticket.package
        asked = ticket.plan.asked_s
        if package is None:
            return ExportStatus(id=identifier, state="ready", asked_s=asked, fingerprint=fingerprint(self._gate))
        return ExportStatus(
            id=identifier,
            state="done" if package.sums_sha256 else "making" if ticket.making else "broken",
            file=f"{package.folder}.zip",
            asked_s=asked,
            done_s=package.done_s,
            files=package.files,
            bytes=package.size,
            fingerprint=fingerprint(self._gate),
            sums_sha256=package.sums_sha256,
            message=ticket.message,
        )
