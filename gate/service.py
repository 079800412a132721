# SPDX-License-Identifier: AGPL-3.0-or-later
"""The gate as a process of its own: `python -m gate.service --site SITE`. HTTP on loopback; every route ends in a rule.

JSON in and out as in `messages.py`. A session comes as the cookie that sign-in set (browser; HttpOnly, SameSite=Strict)
or as `Authorization: Bearer` (command line). Errors are `Fault` with the status of `errors.py`.
"""

from __future__ import annotations

import argparse
import base64
import hmac
import logging
import re
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qsl

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from connectors.bounds import Interval
from connectors.clickhouse import open_reader
from connectors.errors import ConnectorError, SiteError, StoreError
from connectors.site import load_site
from gate import messages as m
from gate.acts import Acts
from gate.bilan import bilan_pdf
from gate.component import data_keys
from gate.errors import GateError, Invalid, NotFound, OriginRefused, SignedOut, SignInRefused, Unavailable
from gate.evidence import Evidence
from gate.exhibit_routes import ExhibitRoutes
from gate.exhibit_tickets import Tickets
from gate.exhibits import Exhibits
from gate.gate import Gate
from gate.journal import Because
from gate.office import Office
from gate.rounds import Rounds
from gate.secrets import made_once
from gate.sessions import LONGEST, Live
from gate.setup import set_up
from gate.sign_in_page import page as sign_in_page
from gate.streets import streets
from gate.witness import witnesses

COOKIE = "passage_session"
BODY_LARGEST = 40_000_000
log = logging.getLogger("gate")
T = TypeVar("T")
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # "same-site" knows no addresses in numbers: Chromium would show no picture. Requests of other sites' pages are
    # refused by what they say of themselves (`_check_sender`), and come without the cookie.
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Service:
    """The routes over one gate."""

    def __init__(self, gate: Gate, rounds: Rounds | None = None) -> None:
        self.gate = gate
        self.acts = Acts(gate)
        self.exhibits = Exhibits(gate, self.acts)
        self.packages = ExhibitRoutes(self.exhibits, Tickets(gate, self.exhibits), self._live, _read, _HEADERS)
        evidence = rounds.evidence if rounds is not None else Evidence(gate)
        # Without rounds, as in tests, evidence is secured before the opening answers.
        begin = rounds.wake if rounds is not None else evidence.secure_pending
        self.office = Office(gate, evidence, begin=begin, on_closure=self.acts.clips.forget)
        self._component_token = made_once(gate.site.secrets_dir / "indexer" / "gate-token")
        ports = (gate.site.gate.port, gate.site.dashboard.port)
        self._hosts = {f"{host}:{gate.site.gate.port}" for host in ("127.0.0.1", "localhost")}
        self.origins = {f"http://{host}:{port}" for host in ("127.0.0.1", "localhost") for port in ports}

    def routes(self) -> list[Route]:
        """Every way in."""
        return [
            self._route("/health", "GET", self.health),
            self._route("/sign-in", "GET", self.sign_in_page),
            self._route("/sign-in", "POST", self.sign_in_form),
            self._route("/session", "POST", self.sign_in),
            self._route("/session", "DELETE", self.sign_out),
            self._route("/whoami", "GET", self.whoami),
            self._route("/cameras", "GET", self.cameras),
            self._route("/streets", "GET", self.streets),
            self._route("/operations", "GET", self.operations),
            self._route("/people", "GET", self.people),
            self._route("/people", "POST", self.make_person),
            self._route("/people/{person}/credentials", "POST", self.add_credential),
            self._route("/people/{person}/credentials", "DELETE", self.withdraw_credential),
            self._route("/people/{person}/roles", "PUT", self.set_roles),
            self._route("/people/{person}", "DELETE", self.leave),
            self._route("/requisitions", "GET", self.requisitions),
            self._route("/requisitions", "POST", self.draft),
            self._route("/requisitions/{requisition}", "GET", self.requisition),
            self._route("/requisitions/{requisition}/document", "PUT", self.attach),
            self._route("/requisitions/{requisition}/open", "POST", self.open),
            self._route("/requisitions/{requisition}/amend", "POST", self.amend),
            self._route("/requisitions/{requisition}/close", "POST", self.close),
            self._route("/requisitions/{requisition}/review", "POST", self.review),
            self._route("/requisitions/{requisition}/progress", "GET", self.progress),
            self._route("/grants", "POST", self.grant),
            self._route("/grants/{grant}/search", "POST", self.search),
            self._route("/grants/{grant}/passages/{passage}", "GET", self.passage),
            self._route("/grants/{grant}/pictures/{passage}/{number:int}", "GET", self.picture),
            self._route("/grants/{grant}/still", "GET", self.still),
            self._route("/grants/{grant}/video", "GET", self.video),
            self._route("/grants/{grant}/rewind", "GET", self.video),
            self._route("/grants/{grant}/coverage", "GET", self.coverage),
            self._route("/grants/{grant}/trace", "POST", self.trace),
            self._route("/grants/{grant}/decisions", "POST", self.decide),
            *self.packages.routes(self._route),
            self._route("/bilan", "GET", self.bilan),
            self._route("/self-check", "GET", self.self_check),
            self._route("/journal", "GET", self.journal),
            self._route("/room", "POST", self.room),
            self._route("/clock/confirm", "POST", self.confirm_clock),
            self._route("/component/data-keys", "POST", self.component_keys),
        ]

    # Signing in

    def health(self, request: Request, body: bytes) -> Response:
        """Whether the gate answers, with nothing about anything."""
        return _json({"state": "running"})

    def sign_in_page(self, request: Request, body: bytes) -> Response:
        """The page on which a browser signs in."""
        next_url = self._next(request.query_params.get("next", ""))
        return self._page(next_url, failed=False)

    def sign_in_form(self, request: Request, body: bytes) -> Response:
        """What that page sends."""
        form = _form(body)
        next_url = self._next(form.get("next", ""))
        wanted = m.SignIn(
            login=form.get("login", ""), password=form.get("password", ""), code=form.get("code", ""), kind="browser"
        )
        try:
            token, _, _ = self.office.sign_in(wanted)
        except SignInRefused:
            return self._page(next_url, failed=True)
        return self._with_cookie(RedirectResponse(next_url or "/whoami", status_code=303, headers=_HEADERS), token)

    def _page(self, next_url: str, *, failed: bool) -> Response:
        # A browser holds the redirection that follows a form to the form's own policy.
        allowed = " ".join(sorted(self.origins))
        policy = f"default-src 'none'; style-src 'unsafe-inline'; form-action {allowed}; frame-ancestors 'none'"
        # Under no-referrer a browser posts the form with `Origin: null`, which is refused.
        headers = {**_HEADERS, "Content-Security-Policy": policy, "Referrer-Policy": "same-origin"}
        text = sign_in_page(next_url, failed=failed)
        return Response(text, 401 if failed else 200, headers, media_type="text/html; charset=utf-8")

    def sign_in(self, request: Request, body: bytes) -> Response:
        """The same for a program."""
        wanted = _read(body, m.SignIn)
        token, _, who = self.office.sign_in(wanted)
        if wanted.kind == "browser":
            return self._with_cookie(_json(m.SignedIn(who=who)), token)
        return _json(m.SignedIn(who=who, token=token))

    def sign_out(self, request: Request, body: bytes) -> Response:
        """End the session."""
        self.office.sign_out(self._live(request))
        answer = _json({})
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer

    def whoami(self, request: Request, body: bytes) -> Response:
        """The signed-in person."""
        return _json(self.office.whoami(self._live(request)))

    def cameras(self, request: Request, body: bytes) -> Response:
        """Where the cameras stand."""
        self._live(request)
        return _json(self.office.cameras())

    def streets(self, request: Request, body: bytes) -> Response:
        """The town's plan for maps."""
        self._live(request)
        return _json(streets(self.gate.site))

    def operations(self, request: Request, body: bytes) -> Response:
        """Processes, rates, lag."""
        self._live(request)
        try:
            data = (self.gate.site.data / "state" / "status.json").read_bytes()
            return _json(msgspec.json.decode(data, type=m.OperationsStatus))
        except (FileNotFoundError, msgspec.MsgspecError):
            return _json(m.OperationsStatus())

    # People

    def people(self, request: Request, body: bytes) -> Response:
        """Every account."""
        return _json(self.office.people(self._live(request)))

    def make_person(self, request: Request, body: bytes) -> Response:
        """Give a person an account."""
        return _json(self.office.make_person(self._live(request), _read(body, m.PersonDraft)))

    def add_credential(self, request: Request, body: bytes) -> Response:
        """Register a habilitation or an agrément."""
        live = self._live(request)
        return _json(self.office.add_credential(live, request.path_params["person"], _read(body, m.CredentialDraft)))

    def withdraw_credential(self, request: Request, body: bytes) -> Response:
        """End one now."""
        live, query = self._live(request), request.query_params
        kind: Literal["agrement", "habilitation"] = "agrement" if query.get("kind") == "agrement" else "habilitation"
        return _json(
            self.office.withdraw_credential(live, request.path_params["person"], kind, query.get("reference", ""))
        )

    def set_roles(self, request: Request, body: bytes) -> Response:
        """Change what a person does."""
        live = self._live(request)
        return _json(self.office.set_roles(live, request.path_params["person"], _read(body, tuple[m.Role, ...])))

    def leave(self, request: Request, body: bytes) -> Response:
        """Close an account."""
        return _json(self.office.leave(self._live(request), request.path_params["person"]))

    # Requisitions

    def requisitions(self, request: Request, body: bytes) -> Response:
        """The register."""
        return _json(self.office.requisitions(self._live(request)))

    def requisition(self, request: Request, body: bytes) -> Response:
        """One line of it."""
        return _json(self.office.requisition(self._live(request), request.path_params["requisition"]))

    def draft(self, request: Request, body: bytes) -> Response:
        """Register a draft."""
        sent = _read(body, m.DraftSent)
        document = None if sent.document is None else sent.document
        return _json(self.office.draft(self._live(request), sent.draft, document))

    def attach(self, request: Request, body: bytes) -> Response:
        """Attach the scanned document."""
        return _json(self.office.attach(self._live(request), request.path_params["requisition"], body))

    def open(self, request: Request, body: bytes) -> Response:
        """Put it in force."""
        return _json(self.office.open(self._live(request), request.path_params["requisition"]))

    def amend(self, request: Request, body: bytes) -> Response:
        """Widen it."""
        sent = _read(body, m.AmendmentSent)
        identifier = request.path_params["requisition"]
        return _json(self.office.amend(self._live(request), identifier, sent.amendment, sent.document))

    def close(self, request: Request, body: bytes) -> Response:
        """End it."""
        return _json(self.office.close(self._live(request), request.path_params["requisition"]))

    def review(self, request: Request, body: bytes) -> Response:
        """The auditor has looked."""
        return _json(self.office.review(self._live(request), request.path_params["requisition"]))

    def progress(self, request: Request, body: bytes) -> Response:
        """How far its work has come."""
        return _json(self.office.progress(self._live(request), request.path_params["requisition"]))

    # Acts under a grant

    def grant(self, request: Request, body: bytes) -> Response:
        """Give a grant."""
        return _json(self.acts.grant(self._live(request), _read(body, m.GrantRequest)))

    def search(self, request: Request, body: bytes) -> Response:
        """Passages that fit a description."""
        live = self._live(request)
        return _json(self.acts.search(live, request.path_params["grant"], _read(body, m.SearchRequest)))

    def passage(self, request: Request, body: bytes) -> Response:
        """One passage."""
        live, path = self._live(request), request.path_params
        return _json(self.acts.passage(live, path["grant"], path["passage"]))

    def picture(self, request: Request, body: bytes) -> Response:
        """One of its pictures."""
        live, path = self._live(request), request.path_params
        data = self.acts.picture(live, path["grant"], path["passage"], path["number"])
        return Response(data, media_type="image/jpeg", headers=_HEADERS)

    def still(self, request: Request, body: bytes) -> Response:
        """One recorded picture."""
        live, query = self._live(request), request.query_params
        at = _moment(query.get("at", ""), "at")
        moment, data = self.acts.still(live, request.path_params["grant"], query.get("camera", ""), at)
        headers = {**_HEADERS, "X-Captured-At": moment.isoformat()}
        return Response(data, media_type="image/jpeg", headers=headers)

    def video(self, request: Request, body: bytes) -> Response:
        """Recorded video as MP4, whole or in ranges."""
        live, query = self._live(request), request.query_params
        act = "rewind" if request.url.path.endswith("/rewind") else "video"
        interval = _interval(query)
        camera = query.get("camera", "")
        permit, data = self.acts.video(live, request.path_params["grant"], act, camera, interval)
        headers = {**_HEADERS, "Accept-Ranges": "bytes"}
        if query.get("download"):
            name = f"{camera}-{interval.start:%Y%m%dT%H%M%SZ}.mp4"
            headers["Content-Disposition"] = f'attachment; filename="{name}"'
        start, end, status = 0, len(data), 200
        wanted = request.headers.get("range", "")
        if wanted:
            found = byte_range(wanted, len(data))
            if found is None:
                return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{len(data)}"})
            (start, end), status = found, 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        headers["Content-Length"] = str(end - start)
        stream = self.acts.stream(permit, data, start, end)
        return StreamingResponse(stream, status_code=status, media_type="video/mp4", headers=headers)

    def coverage(self, request: Request, body: bytes) -> Response:
        """What is recorded and indexed."""
        live, query = self._live(request), request.query_params
        interval = _interval(query) if "start" in query else None
        cameras = tuple(query.getlist("camera"))
        return _json(self.acts.coverage(live, request.path_params["grant"], interval, cameras))

    def trace(self, request: Request, body: bytes) -> Response:
        """Follow one vehicle."""
        live = self._live(request)
        return _json(self.acts.trace(live, request.path_params["grant"], _read(body, m.TraceRequest)))

    def decide(self, request: Request, body: bytes) -> Response:
        """A person's word on a candidate."""
        self.acts.decide(self._live(request), request.path_params["grant"], _read(body, m.DecisionRequest))
        return _json({})

    # The journal and the clock

    def journal(self, request: Request, body: bytes) -> Response:
        """The newest entries."""
        live, query = self._live(request), request.query_params
        limit = query.get("limit", "100")
        if not limit.isdigit():
            raise Invalid(f"limit {limit!r}: a number")
        return _json(self.office.journal(live, query.get("requisition", ""), query.get("person", ""), int(limit)))

    def bilan(self, request: Request, body: bytes) -> Response:
        """The yearly report, or one month's list, as JSON or PDF."""
        live, query = self._live(request), request.query_params
        year, month = query.get("year", ""), query.get("month", "0")
        if not (year.isdigit() and month.isdigit() and len(year) == 4 and len(month) <= 2):
            raise Invalid(f"year {year!r}, month {month!r}: numbers such as 2026 and 3")
        found = self.office.bilan(live, int(year), int(month) or None)
        if query.get("format") == "pdf":
            return Response(bilan_pdf(found), media_type="application/pdf", headers=_HEADERS)
        return _json(found)

    def self_check(self, request: Request, body: bytes) -> Response:
        """What the site says of itself."""
        return _json(self.office.self_check(self._live(request), [route.path for route in self.routes()]))

    def room(self, request: Request, body: bytes) -> Response:
        """Entry of the locked room."""
        sent = _read(body, m.RoomEntry)
        self.office.room_entry(self._live(request), sent.present, sent.reason)
        return _json({})

    def confirm_clock(self, request: Request, body: bytes) -> Response:
        """The clock is right."""
        self.office.confirm_clock(self._live(request))
        return _json({})

    def component_keys(self, request: Request, body: bytes) -> Response:
        """Data keys for the indexer, of open requisitions only."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(token.encode(), self._component_token.encode()):
            self.gate.journal.append("refusal", "data_keys", Because(), {"why": "not the indexer's token"})
            raise SignedOut("this is for the indexer, with its own token")
        keys = data_keys(self.gate, _read(body, m.KeyRequest))
        return _json({"keys": [base64.b64encode(k).decode() for k in keys]})

    # How a request is met

    def _route(self, path: str, method: str, answer: Callable[[Request, bytes], Response]) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                self._check_sender(request)
                body = await _body(request)
                return await run_in_threadpool(answer, request, body)
            except GateError as fault:
                return _fault(fault)
            except StoreError as fault:
                log.warning("store: %s", fault)
                return _fault(Unavailable("the store does not answer: see `passage status`"))
            except ConnectorError as fault:
                log.warning("%s: %s", type(fault).__name__, fault)
                return _fault(Unavailable(f"the recording cannot be read now ({type(fault).__name__})"))

        return Route(path, endpoint, methods=[method], name=f"{method} {path}")

    def _live(self, request: Request) -> Live:
        header = request.headers.get("authorization", "")
        token = header.removeprefix("Bearer ") if header.startswith("Bearer ") else request.cookies.get(COOKIE, "")
        try:
            return self.gate.sessions.check(token)
        except SignedOut as fault:
            if token:
                details = {"path": request.url.path[:80].split("/")[1], "why": str(fault)}
                self.gate.journal.append("refusal", "session", Because(), details)
            raise

    def _check_sender(self, request: Request) -> None:
        """Refuse other sites' pages, and names that only look like this machine's."""
        host = request.headers.get("host", "")
        if host not in self._hosts:
            raise OriginRefused(f"the gate answers as {', '.join(sorted(self._hosts))}, not as {host[:80]!r}")
        origin = request.headers.get("origin")
        if origin is not None and origin not in self.origins:
            raise OriginRefused("this page may not ask the gate for anything")
        if request.headers.get("sec-fetch-site") == "cross-site":
            raise OriginRefused("a page of another site may not ask the gate for anything")
        by_cookie = COOKIE in request.cookies and "authorization" not in request.headers
        if by_cookie and request.method not in ("GET", "HEAD") and origin is None:
            raise OriginRefused("a browser's request that changes something names its origin")

    def _next(self, wanted: str) -> str:
        """Only our own pages are gone to after signing in."""
        own = any(wanted == origin or wanted.startswith(origin + "/") for origin in self.origins)
        return wanted if own else ""

    @staticmethod
    def _with_cookie(response: Response, token: str) -> Response:
        response.set_cookie(
            COOKIE, token, max_age=int(LONGEST.total_seconds()), path="/", httponly=True, samesite="strict"
        )
        return response


def make_app(gate: Gate, *, rounds: bool = False) -> Starlette:
    """The application over one gate; with `rounds`, what it does by itself runs beside it."""
    walk = Rounds(gate) if rounds else None
    service = Service(gate, walk)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        if walk is not None:
            walk.start()
        gate.journal.append("event", "service.start")
        yield
        gate.journal.append("event", "service.stop")
        gate.journal.sign_head()
        if walk is not None:
            walk.stop()
        gate.close()

    app = Starlette(routes=service.routes(), lifespan=lifespan)
    app.add_exception_handler(404, _unknown)
    app.add_exception_handler(405, _unknown)
    app.state.service = service
    return app


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """`[start, end)` of a single-range header; None when it cannot be met."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if found is None or found.groups() == ("", "") or size == 0:
        return None
    first, last = found.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) > 0 else None
    start, end = int(first), int(last) + 1 if last else size
    return (start, min(end, size)) if start < size and start < end else None


async def _unknown(request: Request, _fault_: Exception) -> Response:
    return _fault(NotFound("no such page"))


async def _body(request: Request) -> bytes:
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > BODY_LARGEST:
            raise Invalid(f"more than {BODY_LARGEST // 1_000_000} MB were sent")
    return bytes(data)


def _json(answer: object) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json", headers=_HEADERS)


def _fault(fault: GateError) -> Response:
    faults = fault.faults if isinstance(fault, Invalid) else ()
    body = msgspec.json.encode(m.Fault(code=fault.code, message=str(fault), faults=faults))
    return Response(body, status_code=fault.status, media_type="application/json", headers=_HEADERS)


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, ValueError) as fault:
        raise Invalid(f"the request cannot be read: {fault}") from None


def _form(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=10))


def _moment(written: str, name: str) -> datetime:
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        raise Invalid(f"{name} {written[:40]!r}: a time such as 2026-03-01T14:05:00+01:00") from None
    if at.tzinfo is None:
        raise Invalid(f"{name} {written[:40]!r} needs a time zone, such as Z or +01:00")
    return at


def _interval(query: Any) -> Interval:
    start, end = _moment(query.get("start", ""), "start"), _moment(query.get("end", ""), "end")
    if end <= start:
        raise Invalid("the interval ends before it starts")
    return Interval(start, end)


def main(arguments: list[str] | None = None) -> int:
    """Run the service until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m gate.service", description="The gate's service, on loopback.")
    parser.add_argument("--site", type=Path, required=True, help="the town's site.toml")
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        site = load_site(options.site)
    except SiteError as fault:
        print(fault, file=sys.stderr)
        return 2
    set_up(site)
    try:
        gate = Gate(site, open_reader(site), witnesses=witnesses(site))
    except StoreError as fault:
        print(f"{fault}", file=sys.stderr)
        return 2
    gate.keys.publish(gate.not_before())
    # Addresses and query strings name cameras and times: they go to the journal, not to a log.
    uvicorn.run(
        make_app(gate, rounds=True),
        host="127.0.0.1",
        port=site.gate.port,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
