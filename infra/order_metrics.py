# SPDX-License-Identifier: AGPL-3.0-or-later
"""What indexing for requisitions has done, for Prometheus: its runs are too short-lived to be asked themselves.

None of it says which requisition, camera or hour.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


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
