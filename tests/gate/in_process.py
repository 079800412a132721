# SPDX-License-Identifier: AGPL-3.0-or-later
"""The service called without a port and without a thread of its own: what thousands of requests need."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import httpx
from starlette.applications import Starlette


class InProcess(httpx.BaseTransport):
    """Gives each request to the application and waits for the whole answer.

    An answer that breaks off half-way is told as a broken connection, as over a port.
    """

    def __init__(self, app: Starlette) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        waiting = [{"type": "http.request", "body": request.read(), "more_body": False}]
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not waiting:
                await asyncio.Event().wait()
            return waiting.pop()

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        url = request.url
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": url.path,
            "raw_path": url.raw_path.partition(b"?")[0],
            "query_string": url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", url.port or 80),
        }
        try:
            self._loop.run_until_complete(self._app(scope, receive, send))
        except Exception as fault:
            if not sent:
                raise
            raise httpx.RemoteProtocolError(f"{type(fault).__name__}: {fault}") from fault
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return httpx.Response(sent[0]["status"], headers=sent[0]["headers"], stream=httpx.ByteStream(body))

    def close(self) -> None:
        self._loop.close()
