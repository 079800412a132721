# SPDX-License-Identifier: AGPL-3.0-or-later
"""The ClickHouse engine in this process: one path, a few connections for each user, limits for each query."""

from __future__ import annotations

import os
import queue
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.store_sql_guard import Change, Insert, Read, SqlGuard, User


class EngineError(Exception):
    """What the engine answered, with ClickHouse's own code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class EngineBusy(EngineError):
    """No connection came free in time."""


class EngineLocked(Exception):
    """Another process has the store's path open."""


@dataclass(frozen=True)
class StoreLimits:
    """What one user's statements may take."""

    connections: int
    seconds: float
    memory_bytes: int
    threads: int = 2
    result_bytes: int = 512_000_000
    wait_s: float = 10.0
    """How long a statement waits for a free connection."""


LIMITS: Final[Mapping[User, StoreLimits]] = {
    "gate": StoreLimits(connections=3, seconds=20, memory_bytes=3_000_000_000),
    "indexer": StoreLimits(connections=2, seconds=60, memory_bytes=2_000_000_000, wait_s=30),
    "keeper": StoreLimits(connections=1, seconds=300, memory_bytes=3_000_000_000, wait_s=60),
}

_NO_AGEING: Final = """<clickhouse><merge_tree>
<max_number_of_merges_with_ttl_in_pool>0</max_number_of_merges_with_ttl_in_pool>
</merge_tree></clickhouse>
"""
_CODE: Final = re.compile(r"Code: (\d+)\.")
READONLY: Final = 164
UNKNOWN: Final = 1002
_TOO_BUSY: Final = 202


class StoreEngine:
    """Owns the path. Every statement passes the guard and runs on a connection that belongs to its user.

    Open it on the main thread: the engine hangs when it is first loaded on another.

    Args:
        path: of the engine's files.
        database: made if it is missing.
        migration_texts: what the keeper may run besides its few shapes, letter by letter.
        limits: by user.
        ageing: whether the engine may drop by age while it opens its tables; False holds it for as long as it is open.
    """

    _options = ""

    def __init__(
        self,
        path: Path,
        database: str,
        migration_texts: frozenset[str],
        limits: Mapping[User, StoreLimits] = LIMITS,
        ageing: bool = True,
    ) -> None:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.database = database
        self._limits = limits
        self._migration_texts = migration_texts
        self._all: list[Any] = []
        self._pools: dict[User, queue.SimpleQueue[Any]] = {}
        self._parser_lock = threading.Lock()
        self.ages = ageing
        if not ageing:
            held = path.with_name(path.name + "-without-ageing.xml")
            held.write_text(_NO_AGEING, encoding="ascii")
            self._options = f"?config-file={held}"
        try:
            self._parser = self._open(path)
            self._ask(self._parser, f"CREATE DATABASE IF NOT EXISTS `{database}`", "TabSeparated", {})
            self._settle(self._parser, limits["gate"])
            self.age(False)
            for user, limit in limits.items():
                pool: queue.SimpleQueue[Any] = queue.SimpleQueue()
                for _ in range(limit.connections):
                    connection = self._open(path)
                    self._settle(connection, limit, readonly=user == "gate")
                    pool.put(connection)
                self._pools[user] = pool
        except BaseException:
            self.close()
            raise
        self.guard = SqlGuard(database, self._explain)

    def read(self, user: User, statement: Read, params: Mapping[str, str]) -> bytes:
        """Run a guarded statement that gives rows."""
        with self._connection(user) as connection:
            return self._ask(connection, statement.sql, statement.format, params)

    def change(self, user: User, statement: Change, params: Mapping[str, str]) -> None:
        """Run a guarded statement of the keeper."""
        with self._connection(user) as connection:
            self._ask(connection, statement.sql, "TabSeparated", params)

    def migration(self, text: str) -> Change | None:
        """The text as a statement, if it is one of this version's migrations, letter by letter."""
        return Change(text) if text in self._migration_texts else None

    def insert(self, statement: Insert, rows: int) -> None:
        """Insert the rows that lie in an open in-memory file; nothing of them touches a disk before the table does."""
        columns = ", ".join(f"`{c}`" for c in statement.columns)
        source = f"/proc/{os.getpid()}/fd/{rows}"
        sql = (
            f"INSERT INTO `{self.database}`.{statement.table} ({columns})"
            f" SELECT {columns} FROM file('{source}', '{statement.format}')"
        )
        with self._connection("indexer") as connection:
            self._ask(connection, sql, "TabSeparated", {})

    def run(self, sql: str) -> list[tuple[str, ...]]:
        """Run a statement of this program's own on the keeper's connection: what migrations need at start."""
        with self._connection("keeper") as connection:
            text = self._ask(connection, sql, "TabSeparatedRaw", {}).decode()
        return [tuple(line.split("\t")) for line in text.splitlines()]

    def age(self, on: bool) -> None:
        """Let the engine drop what is past its time to live, or stop it."""
        with self._parser_lock:
            self._ask(self._parser, f"SYSTEM {'START' if on else 'STOP'} TTL MERGES", "TabSeparated", {})

    def free(self, user: User) -> int:
        """Connections that nobody uses now."""
        return self._pools[user].qsize()

    def close(self) -> None:
        """Close every connection; what was inserted is on disk."""
        for connection in self._all:
            connection.close()
        self._all.clear()

    def _explain(self, text: str, params: Mapping[str, str]) -> str:
        with self._parser_lock:
            return self._ask(self._parser, "EXPLAIN AST " + text, "TabSeparatedRaw", params).decode()

    def _open(self, path: Path) -> Any:
        # Its mere import starts threads and takes the process's handlers of faults: only where an engine is opened.
        import chdb

        try:
            connection = chdb.connect(str(path) + self._options)
        except Exception as fault:
            raise EngineLocked(
                f"the engine cannot open {path}: {str(fault)[:300]}. Does another store run on it? One process a path."
            ) from fault
        self._all.append(connection)
        return connection

    def _settle(self, connection: Any, limit: StoreLimits, readonly: bool = False) -> None:
        settings: dict[str, float | int] = {
            "max_execution_time": limit.seconds,
            "max_memory_usage": limit.memory_bytes,
            "max_threads": limit.threads,
            "max_result_bytes": limit.result_bytes,
            "max_query_size": 4_000_000,
            "max_partitions_per_insert_block": 0,
            "do_not_merge_across_partitions_select_final": 1,
            "implicit_select": 0,
            "log_queries": 0,
            "mutations_sync": 2,
            "alter_sync": 2,
        }
        self._ask(connection, f"USE `{self.database}`", "TabSeparated", {})
        for name, value in settings.items():
            self._ask(connection, f"SET {name} = {value}", "TabSeparated", {})
        if readonly:
            self._ask(connection, "SET readonly = 1", "TabSeparated", {})

    @contextmanager
    def _connection(self, user: User) -> Iterator[Any]:
        pool, wait = self._pools[user], self._limits[user].wait_s
        try:
            connection = pool.get(timeout=wait)
        except queue.Empty:
            raise EngineBusy(_TOO_BUSY, f"every connection of {user} was busy for {wait:g} s; try again") from None
        try:
            yield connection
        finally:
            pool.put(connection)

    @staticmethod
    def _ask(connection: Any, sql: str, form: str, params: Mapping[str, str]) -> bytes:
        try:
            result = connection.query(sql, form, params=dict(params)) if params else connection.query(sql, form)
            answer: bytes = result.bytes() or b""
            return answer
        except Exception as fault:
            text = str(fault)
            found = _CODE.search(text)
            raise EngineError(int(found[1]) if found else UNKNOWN, text) from None


__all__ = ["LIMITS", "EngineBusy", "EngineError", "EngineLocked", "StoreEngine", "StoreLimits"]
