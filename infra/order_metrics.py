# SPDX-License-Identifier: AGPL-3.0-or-later
"""What indexing for requisitions has done, for Prometheus: its runs are too short-lived to be asked themselves.

None of it says which requisition, camera or hour.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from infra.errors import StackError


class OrderMetrics:
    """Counters over all orders, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.at_work = Gauge("passage_orders_at_work", "orders being replayed and indexed", registry=self.registry)
        self.ended = Counter("passage_orders_ended", "orders ended, by how", ("state",), registry=self.registry)
        for state in ("done", "failed"):  # there from the start: a first failure is an increase
            self.ended.labels(state)
        self.camera_seconds = Counter(
            "passage_order_camera_seconds", "seconds of a camera's time indexed for orders", registry=self.registry
        )
        self.passages = Counter("passage_order_passages", "passages found for orders", registry=self.registry)
        self.deaths = Counter(
            "passage_order_run_deaths", "runs that died and were started again", ("flow",), registry=self.registry
        )

    def serve(self, port: int) -> None:
        """Show them on 127.0.0.1. Raises StackError when the port is taken."""
        try:
            start_http_server(port, addr="127.0.0.1", registry=self.registry)
        except OSError as fault:
            raise StackError(
                f"port {port} for metrics cannot be opened ({fault.strerror}): is another Passage running? "
                "Set metrics_port"
            ) from None
