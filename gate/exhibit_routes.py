# SPDX-License-Identifier: AGPL-3.0-or-later
"""The ways by which packages leave: straight to a program, or asked for on a page and downloaded by its browser."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gate.door import Door
from gate.exhibit_tickets import Tickets
from gate.exhibits import Exhibits
from gate.messages import ExhibitRequest
from gate.wire import HEADERS, MakeRoute, answered, read


class ExhibitRoutes:
    """Every one ends in a rule of `access.py`, by way of the grant."""

    def __init__(self, exhibits: Exhibits, tickets: Tickets, door: Door) -> None:
        self._exhibits = exhibits
        self.tickets = tickets
        self._door = door

    def routes(self, route: MakeRoute) -> list[Route]:
        """Every way of these."""
        return [
            route("/grants/{grant}/export", "POST", self.export),
            route("/grants/{grant}/exports", "POST", self.ask),
            route("/grants/{grant}/exports/{ticket}", "GET", self.status),
            route("/grants/{grant}/exports/{ticket}/package", "GET", self.package),
        ]

    def export(self, request: Request, body: bytes) -> Response:
        """An exhibit package, at once."""
        live = self._door.live(request)
        return _zip(*self._exhibits.export(live, request.path_params["grant"], read(body, ExhibitRequest)))

    def ask(self, request: Request, body: bytes) -> Response:
        """Ask for a package; its browser downloads it afterwards."""
        live = self._door.live(request)
        return answered(self.tickets.ask(live, request.path_params["grant"], read(body, ExhibitRequest)))

    def status(self, request: Request, body: bytes) -> Response:
        """How far it has come; pages ask again and again, whether or not somebody sits there."""
        live, path = self._door.live(request, active=False), request.path_params
        return answered(self.tickets.status(live, path["grant"], path["ticket"]))

    def package(self, request: Request, body: bytes) -> Response:
        """The package itself, made while it is sent."""
        if request.method == "HEAD":
            return Response(headers=HEADERS)  # a look at the address hands nothing over
        live, path = self._door.live(request), request.path_params
        return _zip(*self.tickets.download(live, path["grant"], path["ticket"]))


def _zip(name: str, pieces: Iterator[bytes]) -> Response:
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(pieces, media_type="application/zip", headers=headers)
