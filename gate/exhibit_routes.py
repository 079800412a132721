# SPDX-License-Identifier: AGPL-3.0-or-later
"""The ways by which packages leave: straight to a program, or asked for on a page and downloaded by its browser."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gate.exhibit_tickets import Tickets
from gate.exhibits import Exhibits
from gate.messages import ExhibitRequest
from gate.sessions import Live

Answer = Callable[[Request, bytes], Response]


class ExhibitRoutes:
    """Answers; every one ends in a rule of `access.py` by way of the grant."""

    def __init__(
        self,
        exhibits: Exhibits,
        tickets: Tickets,
        live: Callable[[Request], Live],
        read: Callable[[bytes, type[ExhibitRequest]], ExhibitRequest],
        headers: dict[str, str],
    ) -> None:
        self._exhibits = exhibits
        self._tickets = tickets
        self._live = live
        self._read = read
        self._headers = headers

    def routes(self, route: Callable[[str, str, Answer], Route]) -> list[Route]:
        """Every way, made by the service's own way of making them."""
        return [
            route("/grants/{grant}/export", "POST", self.export),
            route("/grants/{grant}/exports", "POST", self.ask),
            route("/grants/{grant}/exports/{ticket}", "GET", self.status),
            route("/grants/{grant}/exports/{ticket}/package", "GET", self.package),
        ]

    def export(self, request: Request, body: bytes) -> Response:
        """An exhibit package, at once."""
        wanted = self._read(body, ExhibitRequest)
        name, pieces = self._exhibits.export(self._live(request), request.path_params["grant"], wanted)
        return self._zip(name, pieces)

    def ask(self, request: Request, body: bytes) -> Response:
        """Ask for a package; its browser downloads it afterwards."""
        live = self._live(request)
        wanted = self._read(body, ExhibitRequest)
        return self._json(self._tickets.ask(live, request.path_params["grant"], wanted))

    def status(self, request: Request, body: bytes) -> Response:
        """How far it has come."""
        live, path = self._live(request), request.path_params
        return self._json(self._tickets.status(live, path["grant"], path["ticket"]))

    def package(self, request: Request, body: bytes) -> Response:
        """The package itself, made while it is sent."""
        live, path = self._live(request), request.path_params
        name, pieces = self._tickets.download(live, path["grant"], path["ticket"])
        return self._zip(name, pieces)

    def _zip(self, name: str, pieces: object) -> Response:
        headers = {**self._headers, "Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(pieces, media_type="application/zip", headers=headers)  # type: ignore[arg-type]

    def _json(self, answer: object) -> Response:
        return Response(msgspec.json.encode(answer), media_type="application/json", headers=self._headers)
