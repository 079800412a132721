# SPDX-License-Identifier: AGPL-3.0-or-later
"""The keeper's side of the store: migrations, and erasure that is over when no part on disk holds the rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from connectors.clickhouse_client import StoreConnection
from connectors.clickhouse_migrations import FOLDER, TABLES, apply_migrations, check_retention
from connectors.clickhouse_rows import utc
from connectors.errors import StoreError, StoreUnavailable

_DAY_OF = "toDate(CAST(partition AS Tuple(String, Date)).2)"
_SCOPE_OF = "CAST(partition AS Tuple(String, Date)).1"
_ON_DISK = "rows > 0 AND _state != ''"
"""Of parts that hold rows, active or not. Only where its hidden state is asked for does the engine name those whose
files it is removing just now."""


ENGINE_LOGS = ("query_log", "query_thread_log", "query_views_log", "text_log", "asynchronous_insert_log")
"""Logs in which a server that is not set up as ours would keep the text of queries."""


class ErasureUnfinished(StoreError):
    """Parts that should be gone are still there; says which."""


class ClickHouseKeeper:
    """Migrates and erases. Reads no passage: it sees names of partitions and times of parts.

    Args:
        connection: as the keeper.
        retention_days: of the site, 1 to 30.
        migrations: folder of the SQL files.
        patience_s: how long an erasure waits for the engine to remove files.
        pause: waits so many seconds.
        clock: seconds that only grow.

    Raises:
        RetentionRefused: at construction, for a retention the law does not allow.
    """

    def __init__(
        self,
        connection: StoreConnection,
        retention_days: int,
        migrations: Path = FOLDER,
        patience_s: float = 120.0,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._retention_days = check_retention(retention_days)
        self._migrations = migrations
        self._patience_s = patience_s
        self._pause = pause
        self._clock = clock

    def migrate(self) -> list[str]:
        """Apply the numbered migrations not yet applied, and the site's retention; their names."""
        return apply_migrations(self._run, self._connection.database, self._retention_days, self._migrations)

    def erase_scope(self, scope: str) -> None:
        """Drop every partition of one scope; returns when no part holds it, active or not. Raises ErasureUnfinished."""
        condition = f"{_SCOPE_OF} = {{scope:String}}"
        params = {"scope": scope}
        for table, partition in self._partitions(condition, params):
            self._run(f"ALTER TABLE {table} DROP PARTITION ID '{partition}'")
        self._wait_gone(condition, params, f"scope {scope!r}")

    def erase_before(self, moment: datetime) -> None:
        """Drop what was captured before `moment`: whole days as partitions, rows of the day itself by rewriting it."""
        if moment.tzinfo is None:
            raise ValueError("moment must be aware")
        moment = moment.astimezone(UTC)
        older = f"{_DAY_OF} < {{x:Date}}"
        for table, partition in self._partitions(older, {"x": moment.date()}):
            self._run(f"ALTER TABLE {table} DROP PARTITION ID '{partition}'")
        edge = f"{_DAY_OF} = {{x:Date}} AND min_time < {{t:DateTime64(6, 'UTC')}}"
        params = {"x": moment.date(), "t": moment}
        for table, partition in self._partitions(edge, params):
            self._run(
                f"ALTER TABLE {table} DELETE IN PARTITION ID '{partition}'"
                " WHERE started_at < {t:DateTime64(6, 'UTC')}",
                {"t": moment},
            )
        # A part knows its oldest row to the second; one that holds rows of the very second of `moment` may stay.
        second = moment.replace(microsecond=0)
        gone = f"({older} OR ({_DAY_OF} = {{x:Date}} AND min_time < {{t:DateTime64(6, 'UTC')}}))"
        self._wait_gone(gone, {"x": moment.date(), "t": second}, f"what was captured before {moment}")

    def oldest(self) -> datetime | None:
        """Capture time of the oldest row held in any part, active or not, to the second below."""
        rows = self._rows(
            f"SELECT count() AS n, min(min_time) AS oldest FROM system.parts WHERE {self._ours()} AND {_ON_DISK}", {}
        )
        return utc(rows[0]["oldest"]) if rows and rows[0]["n"] else None

    def engine_logs(self) -> dict[str, date]:
        """The engine's own logs of what was asked for, in any part, active or not: name → day of the oldest line."""
        rows = self._rows(
            "SELECT table, min(min_date) AS oldest FROM system.parts"
            f" WHERE database = 'system' AND table IN ({', '.join(map(repr, ENGINE_LOGS))}) AND {_ON_DISK}"
            " GROUP BY table ORDER BY table",
            {},
        )
        return {row["table"]: row["oldest"] for row in rows}

    def hold_ageing(self) -> None:
        """The clock is suspect: the engine drops nothing by age until `resume_ageing`."""
        for table in TABLES:
            self._run(f"SYSTEM STOP TTL MERGES {table}")

    def resume_ageing(self) -> None:
        """A person has confirmed the clock. The embedded store may open anew, and is waited for."""
        end = self._clock() + self._patience_s
        for table in TABLES:
            while True:
                try:
                    self._run(f"SYSTEM START TTL MERGES {table}")
                    break
                except StoreUnavailable:
                    if self._clock() > end:
                        raise
                self._pause(0.2)

    def close(self) -> None:
        """Close the connection of this thread."""
        self._connection.close()

    def _partitions(self, condition: str, params: dict[str, Any]) -> list[tuple[str, str]]:
        """(table, partition id) of active parts that meet the condition."""
        rows = self._rows(
            f"SELECT DISTINCT table, partition_id FROM system.parts WHERE {self._ours()} AND active AND {condition}"
            " ORDER BY table, partition_id",
            params,
        )
        return [(row["table"], row["partition_id"]) for row in rows]

    def _wait_gone(self, condition: str, params: dict[str, Any], what: str) -> None:
        end = self._clock() + self._patience_s
        wait = 0.05
        while True:
            left = self._rows(
                f"SELECT table, name FROM system.parts WHERE {self._ours()} AND {_ON_DISK} AND {condition}"
                " ORDER BY name",
                params,
            )
            if not left:
                return
            if self._clock() > end:
                names = ", ".join(f"{row['table']}/{row['name']}" for row in left[:5])
                raise ErasureUnfinished(
                    f"{what} is dropped, but {len(left)} part(s) are still on disk after"
                    f" {self._patience_s:g} s: {names}."
                    " Erase again; if they stay, see docs/store.md, “Erasure”."
                )
            for table in sorted({row["table"] for row in left}):
                # Starting merges that were never stopped wakes the engine's cleaner, which may sleep for minutes.
                self._run(f"SYSTEM START MERGES {table}")
            self._pause(wait)
            wait = min(wait * 2, 2.0)

    def _ours(self) -> str:
        names = ", ".join(f"'{t}'" for t in TABLES)
        return f"database = '{self._connection.database}' AND table IN ({names})"

    def _rows(self, sql: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        return self._connection.run(lambda client: list(client.query(sql, parameters=params).named_results()))

    def _run(self, sql: str, params: dict[str, Any] | None = None) -> list[tuple[str, ...]]:
        if sql.startswith("SELECT"):
            return self._connection.run(
                lambda client: [tuple(r) for r in client.query(sql, parameters=params).result_rows]
            )
        self._connection.run(lambda client: client.command(sql, parameters=params))
        return []
