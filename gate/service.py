# SPDX-License-Identifier: AGPL-3.0-or-later
"""The gate as a process of its own: `python -m gate.service --site SITE`. HTTP on loopback; every route ends in a rule.

JSON in and out as in `messages.py`. A session comes as the cookie that sign-in set (browser; HttpOnly, SameSite=Strict)
or as `Authorization: Bearer` (command line). Errors are `Fault` with the status of `errors.py`.
"""

from __future__ import annotations

import argparse
import base64
import gc
import hmac
import logging
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.clickhouse import open_reader
from connectors.errors import ConnectorError, SiteError, StoreError
from connectors.site import METRICS, load_site
from gate.act_routes import ActRoutes
from gate.acts import Acts
from gate.component import data_keys
from gate.configuration import note_changes
from gate.door import Door
from gate.errors import GateError, NotFound, SignedOut, Unavailable
from gate.evidence import Evidence
from gate.exhibit_routes import ExhibitRoutes
from gate.exhibit_tickets import Tickets
from gate.exhibits import Exhibits
from gate.gate import Gate
from gate.journal import Because
from gate.messages import KeyRequest
from gate.metrics import ACT, Counted, Metrics
from gate.office import Office
from gate.office_routes import OfficeRoutes
from gate.rounds import Rounds
from gate.secrets import indexer_token_hash, secret_hash
from gate.session_routes import SessionRoutes
from gate.setup import set_up
from gate.sign_in_page import refusal_page
from gate.wire import Answer, answered, drawn, read, refused, whole_body
from gate.witness import witnesses

log = logging.getLogger("gate")


class Service:
    """The routes over one gate."""

    def __init__(self, gate: Gate, rounds: Rounds | None = None) -> None:
        self.gate = gate
        self.metrics = Metrics()
        self.door = Door(gate)
        self.acts = Acts(gate)
        self.exhibits = Exhibits(gate, self.acts)
        self.packages = ExhibitRoutes(self.exhibits, Tickets(gate, self.exhibits), self.door)
        evidence = rounds.evidence if rounds is not None else Evidence(gate)
        # Without rounds, as in tests, evidence is secured before the opening answers.
        begin = rounds.wake if rounds is not None else evidence.secure_pending
        self.office = Office(gate, evidence, begin=begin)
        self._indexer = indexer_token_hash(gate.site.secrets_dir)

    def routes(self) -> list[Route]:
        """Every way in."""
        office = OfficeRoutes(self.office, self.door)
        routes = [
            *SessionRoutes(self.gate, self.office, self.door).routes(self._route),
            *office.routes(self._route),
            *ActRoutes(self.acts, self.door).routes(self._route),
            *self.packages.routes(self._route),
            self._route("/component/data-keys", "POST", self.component_keys),
        ]
        office.attest([route.path for route in routes])
        return routes

    def component_keys(self, request: Request, body: bytes) -> Response:
        """Data keys for the indexer, of open requisitions only."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(secret_hash(token), self._indexer):
            self.gate.journal.append("refusal", "data_keys", Because(), {"why": "not the indexer's token"})
            raise SignedOut("this is for the indexer, with its own token")
        keys = data_keys(self.gate, read(body, KeyRequest))
        return answered({"keys": [base64.b64encode(k).decode() for k in keys]})

    def _route(self, path: str, method: str, answer: Answer) -> Route:
        """One way in: who asks is looked at, the body is read, the answer is made in a thread."""
        name = f"{method} {path}"

        async def endpoint(request: Request) -> Response:
            request.scope[ACT] = name
            try:
                await self.door.check_sender(request)
                body = await whole_body(request)
                return await run_in_threadpool(answer, request, body)
            except GateError as fault:
                return self._refused(request, fault)
            except StoreError as fault:
                log.warning("store: %s", fault)
                return self._refused(request, Unavailable("the store does not answer: see `passage status`"))
            except ConnectorError as fault:
                log.warning("%s: %s", type(fault).__name__, fault)
                return self._refused(request, Unavailable(f"the recording cannot be read now ({type(fault).__name__})"))

        return Route(path, endpoint, methods=[method], name=name)

    def _refused(self, request: Request, fault: GateError) -> Response:
        self.metrics.refusals.labels(fault.code).inc()
        if "text/html" in request.headers.get("accept", ""):
            # A link that somebody followed, as to a package: the answer takes the page's place.
            return drawn(refusal_page(str(fault)), fault.status)
        return refused(fault)


def make_app(gate: Gate, *, rounds: bool = False, metrics_port: int | None = None) -> Starlette:
    """The application over one gate; with `rounds`, what it does by itself runs beside it."""
    walk = Rounds(gate) if rounds else None
    service = Service(gate, walk)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        if metrics_port is not None:
            service.metrics.serve(metrics_port)
        if walk is not None:
            walk.start()
        gate.journal.append("event", "service.start")
        note_changes(gate)
        # What was made until now stays: the collector need not look at it at every turn.
        gc.freeze()
        yield
        gate.journal.append("event", "service.stop")
        gate.journal.sign_head()
        if walk is not None:
            walk.stop()
        gate.close()

    counted = Middleware(Counted, service.metrics)
    app = Starlette(routes=service.routes(), lifespan=lifespan, middleware=[counted])
    app.add_exception_handler(404, _unknown)
    app.add_exception_handler(405, _unknown)
    app.state.service = service
    return app


async def _unknown(request: Request, _fault_: Exception) -> Response:
    return refused(NotFound("no such page"))


def main(arguments: list[str] | None = None) -> int:
    """Run the service until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m gate.service", description="The gate's service, on loopback.")
    parser.add_argument("--site", type=Path, required=True, help="the town's site.toml")
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        site = load_site(options.site)
        set_up(site)
    except SiteError as fault:
        print(fault, file=sys.stderr)
        return 2
    try:
        gate = Gate(site, open_reader(site), witnesses=witnesses(site))
    except StoreError as fault:
        print(f"{fault}", file=sys.stderr)
        return 2
    gate.keys.publish(gate.not_before())
    # Addresses and query strings name cameras and times: they go to the journal, not to a log.
    uvicorn.run(
        make_app(gate, rounds=True, metrics_port=site.metrics_port + METRICS["gate"]),
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
