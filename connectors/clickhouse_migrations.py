# SPDX-License-Identifier: AGPL-3.0-or-later
"""The store's numbered migrations, from `infra/clickhouse/NNN_*.sql`, with the site's database and retention."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connectors.errors import StoreError

FOLDER: Final = Path(__file__).resolve().parent.parent / "infra" / "clickhouse"
TABLES: Final = ("passages", "tracks", "coverage", "vehicle_links")
LONGEST_RETENTION_DAYS: Final = 30
"""CSI L252-5: at most one month; the tables cut further where a calendar month is shorter."""


class RetentionRefused(StoreError):
    """A retention that the law does not allow."""


@dataclass(frozen=True)
class Migration:
    """One file, ready to run."""

    name: str
    statements: tuple[str, ...]


def check_retention(days: int) -> int:
    """The same number, if it is lawful. Raises RetentionRefused."""
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= LONGEST_RETENTION_DAYS:
        raise RetentionRefused(
            f"a retention of {days!r} days is refused: it is a whole number from 1 to {LONGEST_RETENTION_DAYS}"
            " (code de la sécurité intérieure, L252-5); set retention_days in the site file"
        )
    return days


def read_migrations(database: str, retention_days: int, folder: Path = FOLDER) -> list[Migration]:
    """Every migration in order of its number. Raises RetentionRefused; StoreError for gaps."""
    check_retention(retention_days)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,47}", database):
        raise StoreError(f"{database!r} cannot name a database: small letters, digits and dashes only")
    files = sorted(folder.glob("[0-9][0-9][0-9]_*.sql"))
    numbers = [int(f.name[:3]) for f in files]
    if not files or numbers != list(range(1, len(files) + 1)):
        raise StoreError(
            f"the migrations in {folder} are not numbered 001, 002, … without gap: {[f.name for f in files]}"
        )
    return [Migration(f.stem, _statements(f.read_text(encoding="utf-8"), database, retention_days)) for f in files]


def record_table(database: str) -> str:
    """The statement that makes the table in which applied migrations are noted."""
    return (
        f"CREATE TABLE IF NOT EXISTS `{database}`.migrations"
        " (name String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC'))"
        " ENGINE = ReplacingMergeTree ORDER BY name"
    )


def record(database: str, name: str) -> str:
    """The statement that notes one migration as applied."""
    return f"INSERT INTO `{database}`.migrations (name) SELECT '{name}'"


def ttl(database: str, table: str, retention_days: int) -> str:
    """The statement that gives a table the site's present retention."""
    return (
        f"ALTER TABLE `{database}`.{table} MODIFY TTL"
        f" least(toDateTime(started_at) + toIntervalDay({check_retention(retention_days)}),"
        " addMonths(toDateTime(started_at), 1))"
    )


def allowed_statements(database: str, retention_days: int, folder: Path = FOLDER) -> frozenset[str]:
    """Every text that applying the migrations may send: the embedded store takes these from its keeper, no other."""
    migrations = read_migrations(database, retention_days, folder)
    texts = {record_table(database), *(record(database, m.name) for m in migrations)}
    return frozenset(texts.union(*(m.statements for m in migrations)))


def apply_migrations(
    run: Callable[[str], Iterable[tuple[str, ...]]], database: str, retention_days: int, folder: Path = FOLDER
) -> list[str]:
    """Apply what is not yet applied, and the present retention; the names of the migrations applied now.

    Args:
        run: runs one statement and gives its rows.
        database: of the store.
        retention_days: 1 to 30.
        folder: of the migration files.
    """
    migrations = read_migrations(database, retention_days, folder)
    run(record_table(database))
    known = {row[0] for row in run(f"SELECT name FROM `{database}`.migrations ORDER BY name")}
    later = sorted(known - {m.name for m in migrations})
    if later:
        raise StoreError(
            f"the store was migrated by a later version of the software ({', '.join(later)}):"
            " install that version or a newer one"
        )
    applied = []
    for migration in migrations:
        if migration.name in known:
            continue
        for statement in migration.statements:
            run(statement)
        run(record(database, migration.name))
        applied.append(migration.name)
    for table in TABLES:
        found = list(run(f"SELECT engine_full FROM system.tables WHERE database = '{database}' AND name = '{table}'"))
        if found and f"toIntervalDay({retention_days})" not in found[0][0]:
            run(ttl(database, table, retention_days))
    return applied


def _statements(text: str, database: str, retention_days: int) -> tuple[str, ...]:
    text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
    text = text.replace("{{database}}", f"`{database}`").replace("{{retention_days}}", str(retention_days))
    return tuple(" ".join(part.split()) for part in text.split(";") if part.strip())
