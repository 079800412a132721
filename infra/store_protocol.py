# SPDX-License-Identifier: AGPL-3.0-or-later
"""ClickHouse's HTTP protocol before the embedded engine: who asks, what, and what goes back."""

from __future__ import annotations

import base64
import binascii
import logging
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from infra.store_clock import StoreClock
from infra.store_engine import READONLY, EngineBusy, EngineError, StoreEngine
from infra.store_secrets import secret_fits
from infra.store_sql_guard import USERS, Read, Refused, Trust, User

log = logging.getLogger("passage.store")

AUTHENTICATION_FAILED: Final = 516
_TEXT_LIMIT: Final = 1_000_000
_HEAD_LIMIT: Final = 8_192
BODY_LIMIT: Final = 512_000_000
"""Bytes of one insert; clients send far smaller ones."""

_STATUS: Final = {
    62: 400,
    36: 400,
    47: 400,
    457: 400,
    159: 408,
    READONLY: 403,
    AUTHENTICATION_FAILED: 403,
    60: 404,
    81: 404,
}
_HARMLESS: Final = frozenset(
    "database query query_id wait_end_of_query client_protocol_version default_format send_progress_in_http_headers"
    " http_headers_progress_interval_ms enable_http_compression compress user password".split()
)
"""What may stand in the URL besides parameters; user and password are then refused with their own message."""


class StoreMetrics:
    """What the store counts about itself; nothing of what it holds."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.statements = Counter(
            "passage_store_statements_total",
            "Statements by user and outcome",
            ["user", "outcome"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "passage_store_statement_seconds",
            "Time of a statement",
            ["user", "kind"],
            registry=self.registry,
            buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 20),
        )
        self.bytes_in = Counter("passage_store_insert_bytes_total", "Bytes of inserts taken", registry=self.registry)
        self.clock_suspect = Gauge(
            "passage_store_clock_suspect", "1 while the clock is suspect and nothing ages", registry=self.registry
        )
        self.free = Gauge(
            "passage_store_connections_free", "Free connections by user", ["user"], registry=self.registry
        )


class StoreApp:
    """The protocol: who asks, what, and what goes back."""

    def __init__(
        self, engine: StoreEngine, hashes: Mapping[str, str], metrics: StoreMetrics, clock: StoreClock | None = None
    ) -> None:
        self._engine = engine
        self._clock = clock
        self.confirmed = False
        """Set when the clock was confirmed and the engine has to be opened anew to age again."""
        self.reopen: Callable[[], None] = lambda: None
        """Called then."""
        self._hashes = dict(hashes)
        self._metrics = metrics
        for user in USERS:
            metrics.free.labels(user).set_function(partial(engine.free, user))
        self.app = Starlette(
            routes=[
                Route("/ping", self._ping, methods=["GET"]),
                Route("/", self._ask, methods=["GET", "POST"]),
            ]
        )

    async def _ping(self, request: Request) -> Response:
        return PlainTextResponse("Ok.\n")

    async def _ask(self, request: Request) -> Response:
        user: User | None = None
        started = time.perf_counter()
        outcome, kind = "failed", "read"
        try:
            user = self._who(request)
            self._check_url(request)
            rows, text, params = await self._content(request, user)
            try:
                if rows is not None:
                    kind = "insert"
                    insert = self._engine.guard.read_insert(user, text)
                    await run_in_threadpool(self._engine.insert, insert, rows)
                    outcome = "done"
                    return self._answer(b"", None)
                body, form = await run_in_threadpool(self._statement, user, text, params)
                outcome = "done"
                return self._answer(body, form)
            finally:
                if rows is not None:
                    os.close(rows)
        except Refused as refusal:
            outcome = "refused"
            log.warning("refused %s: %s", user or "a stranger", refusal)
            return _error(READONLY, f"{user} may not run this: {refusal}", "READONLY")
        except _NotYou as refusal:
            outcome = "unauthenticated"
            log.warning("%s", refusal)
            return _error(AUTHENTICATION_FAILED, str(refusal), "AUTHENTICATION_FAILED")
        except _BadRequest as fault:
            return _error(36, str(fault), "BAD_ARGUMENTS")
        except EngineBusy as busy:
            outcome = "busy"
            return _error(busy.code, str(busy), "TOO_MANY_SIMULTANEOUS_QUERIES", status=503)
        except EngineError as fault:
            return _error(fault.code, _clean(str(fault)), "")
        finally:
            self._metrics.statements.labels(user or "nobody", outcome).inc()
            self._metrics.seconds.labels(user or "nobody", kind).observe(time.perf_counter() - started)

    def _statement(self, user: User, text: str, params: Mapping[str, str]) -> tuple[bytes, str | None]:
        if user == "keeper":
            migration = self._engine.migration(text.strip())
            if migration is not None:
                self._engine.change(user, migration, {})
                return b"", None
        statement = self._engine.guard.read_statement(user, text, params)
        if isinstance(statement, Read):
            return self._engine.read(user, statement, params), statement.format
        if isinstance(statement, Trust):
            self._trust(statement.trusted)
        else:
            self._engine.change(user, statement, params)
        return b"", None

    def _trust(self, trusted: bool) -> None:
        if self._clock is None:
            return
        if not trusted:
            self._clock.hold("the keeper holds ageing")
            self._engine.age(False)
            return
        self._clock.confirm()
        if not self._engine.ages:
            self.confirmed = True
            self.reopen()

    def _who(self, request: Request) -> User:
        name, secret = request.headers.get("x-clickhouse-user", ""), request.headers.get("x-clickhouse-key", "")
        authorization = request.headers.get("authorization", "")
        if authorization.lower().startswith("basic "):
            try:
                name, _, secret = base64.b64decode(authorization[6:], validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                raise _NotYou("the Authorization header cannot be read") from None
        for user in USERS:
            if user == name and secret_fits(self._hashes, name, secret):
                return user
        secret_fits(self._hashes, "", secret)
        raise _NotYou("no such user of the store, or not its secret; the users are " + ", ".join(USERS))

    def _check_url(self, request: Request) -> None:
        for key, value in request.query_params.multi_items():
            if key.startswith("param_"):
                continue
            if key not in _HARMLESS:
                raise Refused(f"settings cannot be changed in the URL ({key[:40]!r})")
            if key in ("user", "password"):
                raise _NotYou("user and secret go into the Authorization header, never into the URL")
            if key == "database" and value not in ("", self._engine.database):
                raise Refused(f"there is no database {value[:40]!r} here")

    async def _content(self, request: Request, user: User) -> tuple[int | None, str, dict[str, str]]:
        """An open in-memory file of the rows of an insert or None, the statement, and its parameters."""
        pairs = [(k, v) for k, v in request.query_params.multi_items() if k.startswith("param_")]
        text = request.query_params.get("query", "")
        if request.headers.get("content-encoding", "identity") != "identity":
            raise _BadRequest("compressed bodies are not taken on loopback; use compress=False")
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            async with request.form(max_files=0, max_part_size=64_000_000) as form:
                for key, value in form.multi_items():
                    if isinstance(value, UploadFile):
                        raise Refused("files are not taken")
                    if key == "query":
                        text += value
                    elif key.startswith("param_"):
                        pairs.append((key, value))
                    else:
                        raise Refused(f"settings cannot be changed in the form ({key[:40]!r})")
            return None, text, _params(pairs)
        if user == "indexer":
            rows, head = await self._spool(request.stream(), not text)
            if rows is not None:
                return rows, text or head, _params(pairs)
            return None, text or head, _params(pairs)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _TEXT_LIMIT:
                raise _BadRequest(f"a statement of more than {_TEXT_LIMIT} bytes")
        try:
            return None, (text + "\n" + body.decode()).strip(), _params(pairs)
        except UnicodeDecodeError:
            raise Refused("the statement is not text") from None

    async def _spool(self, chunks: AsyncIterator[bytes], head_in_body: bool) -> tuple[int | None, str]:
        """Put the rows of an insert into memory; without `head_in_body` the whole body is rows."""
        head = b""
        rows: int | None = None
        size = 0
        try:
            async for chunk in chunks:
                if rows is None and head_in_body:
                    head += chunk
                    line, found, rest = head.partition(b"\n")
                    if not found and len(head) <= _HEAD_LIMIT:
                        continue
                    if not re.match(rb"\s*insert\b", line, re.IGNORECASE) or len(line) > _HEAD_LIMIT:
                        if len(head) > _HEAD_LIMIT:
                            raise Refused("the indexer may only insert")
                        continue
                    head, chunk = line, rest
                if rows is None:
                    rows = os.memfd_create("passage-insert", os.MFD_CLOEXEC)
                size += len(chunk)
                if size > BODY_LIMIT:
                    raise _BadRequest(f"an insert of more than {BODY_LIMIT} bytes; send smaller ones")
                view = memoryview(chunk)
                while view:
                    view = view[os.write(rows, view) :]
            self._metrics.bytes_in.inc(size)
            if rows is not None and size == 0:
                os.close(rows)
                rows = None
            return rows, head.decode("ascii")
        except UnicodeDecodeError:
            if rows is not None:
                os.close(rows)
            raise Refused("the statement is not plain text") from None
        except BaseException:
            if rows is not None:
                os.close(rows)
            raise

    @staticmethod
    def _answer(body: bytes, form: str | None) -> Response:
        headers = {"X-ClickHouse-Server-Display-Name": "passage", "X-ClickHouse-Timezone": "UTC"}
        if form is not None:
            headers["X-ClickHouse-Format"] = form
        return Response(body, media_type="application/octet-stream", headers=headers)


class _NotYou(Exception):
    pass


class _BadRequest(Exception):
    pass


def _params(pairs: list[tuple[str, str]]) -> dict[str, str]:
    named = {k.removeprefix("param_"): v for k, v in pairs}
    if len(named) != len(pairs) or not all(re.fullmatch(r"[a-z][a-z0-9_]{0,40}", k) for k in named):
        raise Refused("parameters have plain names, each given once")
    return named


def _clean(text: str) -> str:
    return re.sub(r"/proc/\d+/fd/\d+", "(rows)", text)[:2000]


def _error(code: int, text: str, name: str, status: int | None = None) -> Response:
    body = f"Code: {code}. DB::Exception: {text}" + (f" ({name})" if name else "") + "\n"
    if text.startswith("Code: "):
        body = text + "\n"
    return PlainTextResponse(
        body, status_code=status or _STATUS.get(code, 500), headers={"X-ClickHouse-Exception-Code": str(code)}
    )
