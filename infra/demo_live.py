# SPDX-License-Identifier: AGPL-3.0-or-later
"""What continuous indexing puts into the store, as the keeper sees it: rows and dates of parts, never a passage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from connectors.clickhouse_client import connection
from connectors.clickhouse_migrations import TABLES
from connectors.clickhouse_rows import utc
from connectors.site import Site
from reid.passage import LIVE


@dataclass(frozen=True, slots=True)
class LiveTable:
    """One table's rows of the scope `live`."""

    table: str
    rows: int
    oldest: datetime
    expires_at: datetime | None
    """When the last of them is gone, by the table's own TTL."""


def live_tables(site: Site) -> list[LiveTable]:
    """Rows of continuous indexing now in the store, by table; empty when there is none yet."""
    sql = (
        "SELECT table, sum(rows) AS n, min(min_time) AS oldest, max(delete_ttl_info_max) AS newest FROM system.parts"
        " WHERE active AND rows > 0 AND database = {database:String} AND table IN {tables:Array(String)}"
        " AND CAST(partition AS Tuple(String, Date)).1 = {scope:String} GROUP BY table ORDER BY table"
    )
    keeper = connection(site, "keeper")
    try:
        found = keeper.run(
            lambda client: list(
                client.query(
                    sql, parameters={"scope": LIVE, "database": site.store.database, "tables": list(TABLES)}
                ).named_results()
            )
        )
    finally:
        keeper.close()
    return [
        LiveTable(
            row["table"],
            int(row["n"]),
            utc(row["oldest"]),
            utc(row["newest"]) if row["newest"].year > 1970 else None,
        )
        for row in found
    ]
