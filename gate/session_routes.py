# SPDX-License-Identifier: AGPL-3.0-or-later
"""The ways of the signed-in person's own: signing in and out, who one is, and what everybody may know of the town."""

from __future__ import annotations

from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gate import messages as m
from gate.door import COOKIE, Door
from gate.errors import Invalid, SignInRefused
from gate.gate import Gate
from gate.office import Office
from gate.sign_in_page import own_password_page, renewed_page
from gate.sign_in_page import page as sign_in_page
from gate.streets import streets
from gate.wire import HEADERS, MakeRoute, answered, drawn, read


class SessionRoutes:
    """Signing in, and nothing about what cameras saw."""

    def __init__(self, gate: Gate, office: Office, door: Door) -> None:
        self.gate = gate
        self.office = office
        self._door = door

    def routes(self, route: MakeRoute) -> list[Route]:
        """Every way of these."""
        return [
            route("/health", "GET", self.health),
            route("/sign-in", "GET", self.sign_in_page),
            route("/sign-in", "POST", self.sign_in_form),
            route("/own-password", "GET", self.own_password_page),
            route("/own-password", "POST", self.own_password_form),
            route("/renewal", "POST", self.renew),
            route("/session", "POST", self.sign_in),
            route("/session", "DELETE", self.sign_out),
            route("/whoami", "GET", self.whoami),
            route("/cameras", "GET", self.cameras),
            route("/streets", "GET", self.streets),
            route("/operations", "GET", self.operations),
        ]

    def health(self, request: Request, body: bytes) -> Response:
        """Whether the gate answers, with nothing about anything."""
        return answered({"state": "running"})

    def sign_in_page(self, request: Request, body: bytes) -> Response:
        """The page on which a browser signs in."""
        return self._page(sign_in_page(self._door.own_page(request.query_params.get("next", ""))))

    def sign_in_form(self, request: Request, body: bytes) -> Response:
        """What that page sends."""
        form, next_url = self._form(body)
        wanted = m.SignIn(
            login=form.get("login", ""), password=form.get("password", ""), code=form.get("code", ""), kind="browser"
        )
        try:
            token, _, _ = self.office.sign_in(wanted)
        except SignInRefused:
            return self._page(sign_in_page(next_url, "sign_in"), 401)
        return self._door.with_cookie(RedirectResponse(next_url or "/whoami", status_code=303, headers=HEADERS), token)

    def own_password_page(self, request: Request, body: bytes) -> Response:
        """The page on which a person chooses their own password."""
        return self._page(own_password_page(self._door.own_page(request.query_params.get("next", ""))))

    def own_password_form(self, request: Request, body: bytes) -> Response:
        """What that page sends."""
        form, next_url = self._form(body)
        wanted = m.Renewal(
            login=form.get("login", ""),
            password=form.get("password", ""),
            code=form.get("code", ""),
            new_password=form.get("new", ""),
            new_authenticator=form.get("authenticator") == "1",
        )
        if wanted.new_password != form.get("again", ""):
            return self._page(own_password_page(next_url, "again"), 400)
        try:
            renewed = self.office.renew(wanted)
        except SignInRefused:
            return self._page(own_password_page(next_url, "sign_in"), 401)
        except Invalid:
            return self._page(own_password_page(next_url, "new"), 400)
        return self._page(renewed_page(renewed, next_url))

    def renew(self, request: Request, body: bytes) -> Response:
        """The same for a program."""
        return answered(self.office.renew(read(body, m.Renewal)))

    def _form(self, body: bytes) -> tuple[dict[str, str], str]:
        """What a page sent, and where it goes on to."""
        form = dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=10))
        return form, self._door.own_page(form.get("next", ""))

    def _page(self, text: str, status: int = 200) -> Response:
        return drawn(text, status, self._door.origins)

    def sign_in(self, request: Request, body: bytes) -> Response:
        """The same for a program."""
        wanted = read(body, m.SignIn)
        token, _, who = self.office.sign_in(wanted)
        if wanted.kind == "browser":
            return self._door.with_cookie(answered(m.SignedIn(who=who)), token)
        return answered(m.SignedIn(who=who, token=token))

    def sign_out(self, request: Request, body: bytes) -> Response:
        """End the session."""
        self.office.sign_out(self._door.live(request))
        answer = answered({})
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer

    def whoami(self, request: Request, body: bytes) -> Response:
        """The signed-in person."""
        return answered(self.office.whoami(self._door.live(request)))

    def cameras(self, request: Request, body: bytes) -> Response:
        """Where the cameras stand."""
        self._door.live(request)
        return answered(self.office.cameras())

    def streets(self, request: Request, body: bytes) -> Response:
        """The town's plan for maps."""
        self._door.live(request)
        return answered(streets(self.gate.site))

    def operations(self, request: Request, body: bytes) -> Response:
        """Processes, rates, lag."""
        self._door.live(request)
        try:
            data = (self.gate.site.data / "state" / "status.json").read_bytes()
            return answered(msgspec.json.decode(data, type=m.OperationsStatus))
        except (FileNotFoundError, msgspec.MsgspecError):
            return answered(m.OperationsStatus())
