# SPDX-License-Identifier: AGPL-3.0-or-later
"""The embedded store: the ClickHouse engine behind ClickHouse's HTTP protocol, on loopback, for three users.

    python -m infra.store_server --site site.toml            run it (makes missing secrets, migrates, then listens)
    python -m infra.store_server --site site.toml --init     make the secrets, print their hashes, and stop
    python -m infra.store_server --site site.toml --migrate  migrate a ClickHouse server of the town's and stop

A client is clickhouse-connect or anything that speaks HTTP to ClickHouse; who may say what is in `store_sql_guard`.
"""

from __future__ import annotations

import argparse
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn
from prometheus_client import start_http_server

from connectors.clickhouse_migrations import allowed_statements, apply_migrations
from connectors.errors import ConnectorError, SiteError
from connectors.site import METRICS, Site, load_site
from gate.secrets import indexer_token_hash
from infra.store_clock import Ageing, StoreClock
from infra.store_engine import EngineError, EngineLocked, StoreEngine
from infra.store_protocol import StoreApp, StoreMetrics
from infra.store_secrets import make_secrets, read_hashes

log = logging.getLogger("passage.store")

METRICS_OFFSET: Final = METRICS["store"]


class _Server(uvicorn.Server):
    """Stops on SIGTERM and SIGINT with exit code 0, instead of dying of them."""

    told = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.told = True
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {s: signal.signal(s, self.handle_exit) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def open_engine(site: Site, ageing: bool = True) -> StoreEngine:
    """The engine on the site's path, migrated. Raises EngineLocked, EngineError, ConnectorError."""
    texts = allowed_statements(site.store.database, site.retention_days)
    engine = StoreEngine(site.data / "store", site.store.database, texts, ageing=ageing)
    try:
        apply_migrations(engine.run, site.store.database, site.retention_days)
    except BaseException:
        engine.close()
        raise
    return engine


def serve(site: Site) -> int:
    """Run the store until it is told to stop; the exit code."""
    if site.store.url:
        log.error("the site's store is %s; the embedded one is not needed", site.store.url)
        return 2
    clock = StoreClock(site.data / "state" / "store-clock.json")
    metrics = StoreMetrics()
    metrics.clock_suspect.set_function(lambda: 1.0 if clock.suspect else 0.0)
    try:
        watching, _ = start_http_server(site.metrics_port + METRICS_OFFSET, addr="127.0.0.1", registry=metrics.registry)
    except OSError as fault:
        log.error("port %d for metrics is taken (%s)", site.metrics_port + METRICS_OFFSET, fault)
        return 2
    try:
        make_secrets(site)
        while True:
            code, again = _serve_once(site, clock, metrics)
            if not again:
                return code
    finally:
        watching.shutdown()


def _serve_once(site: Site, clock: StoreClock, metrics: StoreMetrics) -> tuple[int, bool]:
    """Run until told to stop, or until the engine has to be opened anew: exit code, and whether to go on."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", site.store.port))
    except OSError as fault:
        log.error("port %d of the store is taken (%s); set [store] port in the site file", site.store.port, fault)
        return 2, False
    try:
        engine = open_engine(site, ageing=not clock.look())
    except (EngineLocked, EngineError, ConnectorError) as fault:
        log.error("%s", fault)
        listening.close()
        return 2, False
    application = StoreApp(engine, read_hashes(site), metrics, clock)
    server = _Server(uvicorn.Config(application.app, log_level="warning", lifespan="off", timeout_graceful_shutdown=10))

    def reopen() -> None:
        server.should_exit = True

    application.reopen = reopen
    ageing = Ageing(engine, clock)
    try:
        ageing.start()
        log.info("store listens on 127.0.0.1:%d", site.store.port)
        server.run(sockets=[listening])
    finally:
        ageing.stop()
        engine.close()
        listening.close()
    return 0, application.confirmed and not server.told


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m infra.store_server", description=__doc__.splitlines()[0])
    parser.add_argument("--site", type=Path, required=True, help="the site file")
    task = parser.add_mutually_exclusive_group()
    task.add_argument("--init", action="store_true", help="make missing secrets, print their hashes, and stop")
    task.add_argument("--migrate", action="store_true", help="migrate the site's ClickHouse server and stop")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        site = load_site(chosen.site)
    except SiteError as fault:
        print(fault, file=sys.stderr)
        return 2
    if chosen.init:
        for user, path in make_secrets(site).items():
            print(f"{user}: {path}")
        # Made here, where both folders are seen: the gate's container sees its own alone.
        indexer_token_hash(site.secrets_dir)
        hashes = " ".join(f"--param_{user}={value}" for user, value in read_hashes(site).items())
        print(f"for clickhouse-client, with infra/clickhouse/users.sql: {hashes}")
        return 0
    if chosen.migrate:
        from connectors.clickhouse import open_keeper

        try:
            applied = open_keeper(site).migrate()
        except ConnectorError as fault:
            print(fault, file=sys.stderr)
            return 2
        print("applied: " + (", ".join(applied) or "nothing, all were"))
        return 0
    return serve(site)


if __name__ == "__main__":
    sys.exit(main())
