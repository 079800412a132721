# SPDX-License-Identifier: AGPL-3.0-or-later
"""The store on ClickHouse: the same code against the embedded engine and a server of the town's (`Site.store.url`).

Each process opens only its own side: `open_writer` in flows.link, `open_reader` in the gate, `open_keeper` in the
keeper.
"""

from __future__ import annotations

from connectors.clickhouse_client import StoreConnection, connection
from connectors.clickhouse_keeper import ClickHouseKeeper, ErasureUnfinished
from connectors.clickhouse_migrations import RetentionRefused
from connectors.clickhouse_reader import ClickHouseReader
from connectors.clickhouse_rows import RowRefused
from connectors.clickhouse_writer import ClickHouseWriter
from connectors.site import Site

__all__ = [
    "ClickHouseKeeper",
    "ClickHouseReader",
    "ClickHouseWriter",
    "ErasureUnfinished",
    "RetentionRefused",
    "RowRefused",
    "StoreConnection",
    "open_keeper",
    "open_reader",
    "open_writer",
]


def open_writer(site: Site) -> ClickHouseWriter:
    """The indexer's side. Raises StoreRefused without its secret; a store that is down is met at the first insert."""
    return ClickHouseWriter(connection(site, "indexer"))


def open_reader(site: Site) -> ClickHouseReader:
    """The gate's side. Raises StoreRefused without its secret."""
    return ClickHouseReader(connection(site, "gate"))


def open_keeper(site: Site) -> ClickHouseKeeper:
    """The keeper's side. Raises StoreRefused without its secret."""
    return ClickHouseKeeper(connection(site, "keeper"), site.retention_days)
