# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the gate counts of its own work, for Prometheus and `passage status`: never who, of whom, or which camera."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, start_http_server
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gate.errors import Unavailable

ACT = "passage.act"
"""Key of a request's scope under which its route is told: `GET /grants/{grant}/video`."""
NO_ROUTE = "none"


class Metrics:
    """The gate's counters, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter(
            "passage_gate_requests", "requests answered, by route and status", "act", "status"
        )
        self.refusals = self._counter("passage_gate_refusals", "refusals, by the rule that refused", "rule")
        self.seconds = self._counter("passage_gate_seconds", "seconds from request to the last byte", "act")
        self.bytes = self._counter("passage_gate_bytes", "bytes of answers", "act")

    def serve(self, port: int) -> None:
        """Show them on 127.0.0.1. Unavailable when the port is taken."""
        try:
            start_http_server(port, addr="127.0.0.1", registry=self.registry)
        except OSError as fault:
            raise Unavailable(
                f"port {port} for metrics cannot be opened ({fault.strerror}): set metrics_port"
            ) from None

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(name, words, labels, registry=self.registry)


class Counted:
    """The application, with every request counted once its last byte is sent or it has broken off."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seen: dict[str, Any] = {"status": 500, "bytes": 0}

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
            else:
                seen["bytes"] += len(message.get("body", b""))
            await send(message)

        begun = time.perf_counter()
        try:
            await self._app(scope, receive, sending)
        finally:
            act = scope.get(ACT, NO_ROUTE)
            self._metrics.requests.labels(act, str(seen["status"])).inc()
            self._metrics.seconds.labels(act).inc(time.perf_counter() - begun)
            self._metrics.bytes.labels(act).inc(seen["bytes"])
