# SPDX-License-Identifier: AGPL-3.0-or-later
"""The ways of the office: people, requisitions, reports, the journal, the clock. No picture passes here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gate import messages as m
from gate.bilan import bilan_pdf
from gate.documents import kind_of
from gate.door import Door
from gate.errors import Invalid
from gate.office import Office
from gate.wire import HEADERS, MakeRoute, answered, interval_of, read


class OfficeRoutes:
    """Every one ends in a duty of `access.py`, by way of the office."""

    def __init__(self, office: Office, door: Door) -> None:
        self.office = office
        self._door = door
        self._paths: Sequence[str] = ()

    def routes(self, route: MakeRoute) -> list[Route]:
        """Every way of these."""
        return [
            route("/people", "GET", self.people),
            route("/people", "POST", self.make_person),
            route("/people/{person}/credentials", "POST", self.add_credential),
            route("/people/{person}/credentials", "DELETE", self.withdraw_credential),
            route("/people/{person}/roles", "PUT", self.set_roles),
            route("/people/{person}/sign-in", "PUT", self.reissue),
            route("/people/{person}", "DELETE", self.leave),
            route("/requisitions", "GET", self.requisitions),
            route("/requisitions", "POST", self.draft),
            route("/requisitions/{requisition}", "GET", self.requisition),
            route("/requisitions/{requisition}/document", "PUT", self.attach),
            route("/requisitions/{requisition}/document", "GET", self.document),
            route("/requisitions/{requisition}/open", "POST", self.open),
            route("/requisitions/{requisition}/amend", "POST", self.amend),
            route("/requisitions/{requisition}/close", "POST", self.close),
            route("/requisitions/{requisition}/review", "POST", self.review),
            route("/requisitions/{requisition}/progress", "GET", self.progress),
            route("/bilan", "GET", self.bilan),
            route("/register", "GET", self.register),
            route("/self-check", "GET", self.self_check),
            route("/journal", "GET", self.journal),
            route("/room", "POST", self.room),
            route("/clock/confirm", "POST", self.confirm_clock),
        ]

    def attest(self, paths: Sequence[str]) -> None:
        """All ways of the service, so that the self-check can say that none is a live view."""
        self._paths = paths

    def people(self, request: Request, body: bytes) -> Response:
        """Every account."""
        return answered(self.office.people(self._door.live(request)))

    def make_person(self, request: Request, body: bytes) -> Response:
        """Give a person an account."""
        return answered(self.office.make_person(self._door.live(request), read(body, m.PersonDraft)))

    def add_credential(self, request: Request, body: bytes) -> Response:
        """Register a habilitation or an agrément."""
        live = self._door.live(request)
        return answered(self.office.add_credential(live, request.path_params["person"], read(body, m.CredentialDraft)))

    def withdraw_credential(self, request: Request, body: bytes) -> Response:
        """End one now."""
        live, query = self._door.live(request), request.query_params
        kind: Literal["agrement", "habilitation"] = "agrement" if query.get("kind") == "agrement" else "habilitation"
        return answered(
            self.office.withdraw_credential(live, request.path_params["person"], kind, query.get("reference", ""))
        )

    def set_roles(self, request: Request, body: bytes) -> Response:
        """Change what a person does."""
        live = self._door.live(request)
        return answered(self.office.set_roles(live, request.path_params["person"], read(body, tuple[m.Role, ...])))

    def reissue(self, request: Request, body: bytes) -> Response:
        """Give somebody new things to sign in with."""
        sent = read(body, m.Reissue)
        return answered(self.office.reissue(self._door.live(request), request.path_params["person"], sent.password))

    def leave(self, request: Request, body: bytes) -> Response:
        """Close an account."""
        return answered(self.office.leave(self._door.live(request), request.path_params["person"]))

    def requisitions(self, request: Request, body: bytes) -> Response:
        """The register."""
        return answered(self.office.requisitions(self._door.live(request)))

    def requisition(self, request: Request, body: bytes) -> Response:
        """One line of it."""
        return answered(self.office.requisition(self._door.live(request), request.path_params["requisition"]))

    def draft(self, request: Request, body: bytes) -> Response:
        """Register a draft."""
        sent = read(body, m.DraftSent)
        return answered(self.office.draft(self._door.live(request), sent.draft, sent.document))

    def attach(self, request: Request, body: bytes) -> Response:
        """Attach the scanned document."""
        return answered(self.office.attach(self._door.live(request), request.path_params["requisition"], body))

    def document(self, request: Request, body: bytes) -> Response:
        """A scan as it was handed in: saved, never shown by the browser as a page of ours."""
        live, wanted = self._door.live(request), request.query_params.get("sha256", "")
        name, data = self.office.document(live, request.path_params["requisition"], wanted)
        media, ending = kind_of(data) or ("application/octet-stream", "bin")
        headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}.{ending}"'}
        return Response(data, media_type=media, headers=headers)

    def open(self, request: Request, body: bytes) -> Response:
        """Put it in force."""
        return answered(self.office.open(self._door.live(request), request.path_params["requisition"]))

    def amend(self, request: Request, body: bytes) -> Response:
        """Widen it."""
        sent = read(body, m.AmendmentSent)
        identifier = request.path_params["requisition"]
        return answered(self.office.amend(self._door.live(request), identifier, sent.amendment, sent.document))

    def close(self, request: Request, body: bytes) -> Response:
        """End it."""
        return answered(self.office.close(self._door.live(request), request.path_params["requisition"]))

    def review(self, request: Request, body: bytes) -> Response:
        """The auditor has looked."""
        return answered(self.office.review(self._door.live(request), request.path_params["requisition"]))

    def progress(self, request: Request, body: bytes) -> Response:
        """How far its work has come."""
        return answered(self.office.progress(self._door.live(request), request.path_params["requisition"]))

    def journal(self, request: Request, body: bytes) -> Response:
        """The newest entries, or those before one of them."""
        live, query = self._door.live(request), request.query_params
        limit, before = query.get("limit", "100"), query.get("before", "0")
        if not (limit.isdecimal() and before.isdecimal()):
            raise Invalid(f"limit {limit!r}, before {before!r}: numbers")
        requisition, person = query.get("requisition", ""), query.get("person", "")
        return answered(self.office.journal(live, requisition, person, int(limit), int(before)))

    def bilan(self, request: Request, body: bytes) -> Response:
        """The yearly report, or one month's list, as JSON or PDF."""
        live, query = self._door.live(request), request.query_params
        year, month = query.get("year", ""), query.get("month", "0")
        if not (year.isdigit() and month.isdigit() and len(year) == 4 and len(month) <= 2):
            raise Invalid(f"year {year!r}, month {month!r}: numbers such as 2026 and 3")
        found = self.office.bilan(live, int(year), int(month) or None)
        if query.get("format") == "pdf":
            return Response(bilan_pdf(found), media_type="application/pdf", headers=HEADERS)
        return answered(found)

    def register(self, request: Request, body: bytes) -> Response:
        """The register of recordings, of an interval or of the last month."""
        live, query = self._door.live(request), request.query_params
        asked = interval_of(query) if "start" in query or "end" in query else None
        return answered(self.office.register(live, asked))

    def self_check(self, request: Request, body: bytes) -> Response:
        """What the site says of itself."""
        return answered(self.office.self_check(self._door.live(request), self._paths))

    def room(self, request: Request, body: bytes) -> Response:
        """Entry of the locked room."""
        sent = read(body, m.RoomEntry)
        self.office.room_entry(self._door.live(request), sent.present, sent.reason)
        return answered({})

    def confirm_clock(self, request: Request, body: bytes) -> Response:
        """The clock is right."""
        self.office.confirm_clock(self._door.live(request))
        return answered({})
