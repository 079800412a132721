# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who may speak to the gate at all: its own pages and programs, on this machine, with a session in force."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from gate.errors import OriginRefused, SignedOut
from gate.gate import Gate
from gate.journal import Because
from gate.sessions import LONGEST, Live

COOKIE = "passage_session"
NOTE_EVERY = timedelta(minutes=1)


class Door:
    """Looks at every request before anything else does."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._noting = threading.Lock()
        self._noted: dict[str, tuple[datetime, int]] = {}
        """When a refusal of each kind was last journalled, and how many were left out since."""
        ports = (gate.site.gate.port, gate.site.dashboard.port)
        self._hosts = {f"{host}:{gate.site.gate.port}" for host in ("127.0.0.1", "localhost")}
        self.origins = {f"http://{host}:{port}" for host in ("127.0.0.1", "localhost") for port in ports}

    def live(self, request: Request, *, active: bool = True) -> Live:
        """The session that the request carries; SignedOut, journalled, when it is in force no more.

        `active` puts the idle lock off: not so for what a page asks by itself, with nobody at it.
        """
        header = request.headers.get("authorization", "")
        token = header.removeprefix("Bearer ") if header.startswith("Bearer ") else request.cookies.get(COOKIE, "")
        try:
            return self._gate.sessions.check(token, active=active)
        except SignedOut as fault:
            if token:
                details = {"path": request.url.path[:80].split("/")[1], "why": str(fault)}
                self._gate.journal.append("refusal", "session", Because(), details)
            raise

    async def check_sender(self, request: Request) -> None:
        """Refuse other sites' pages, and names that only look like this machine's."""
        if (found := self._strange(request)) is not None:
            kind, why = found
            await run_in_threadpool(self._note, kind, why)
            raise OriginRefused(why)

    def _strange(self, request: Request) -> tuple[str, str] | None:
        """The kind of refusal and its words; None for our own pages and programs."""
        host = request.headers.get("host", "")
        if host not in self._hosts:
            return "host", f"the gate answers as {', '.join(sorted(self._hosts))}, not as {host[:80]!r}"
        origin = request.headers.get("origin")
        if origin is not None and origin not in self.origins:
            return "origin", "this page may not ask the gate for anything"
        if request.headers.get("sec-fetch-site") == "cross-site":
            return "site", "a page of another site may not ask the gate for anything"
        by_cookie = COOKIE in request.cookies and "authorization" not in request.headers
        if by_cookie and request.method not in ("GET", "HEAD") and origin is None:
            return "no_origin", "a browser's request that changes something names its origin"
        return None

    def _note(self, kind: str, why: str) -> None:
        """Journal a refusal, one a minute of each kind: it takes no account to be refused, and the disk is finite."""
        with self._noting:
            now = self._gate.clock()
            last, left_out = self._noted.get(kind, (None, 0))
            if last is not None and abs(now - last) < NOTE_EVERY:
                self._noted[kind] = last, left_out + 1
                return
            self._gate.journal.append("refusal", "sender", Because(), {"kind": kind, "why": why, "left_out": left_out})
            self._noted[kind] = now, 0

    def own_page(self, wanted: str) -> str:
        """The address, where it is one of our own pages; else nothing: no other is gone to after signing in."""
        own = any(wanted == origin or wanted.startswith(origin + "/") for origin in self.origins)
        return wanted if own else ""

    @staticmethod
    def with_cookie(response: Response, token: str) -> Response:
        """The answer that begins a browser's session."""
        response.set_cookie(
            COOKIE, token, max_age=int(LONGEST.total_seconds()), path="/", httponly=True, samesite="strict"
        )
        return response
