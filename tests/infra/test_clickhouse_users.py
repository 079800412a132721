# SPDX-License-Identifier: AGPL-3.0-or-later
"""The users of a ClickHouse server: the engine's parser reads each statement; grants are no more than the rules."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

SQL = (Path(__file__).resolve().parents[2] / "infra" / "clickhouse" / "users.sql").read_text(encoding="utf-8")
READ_ALL = """
import json, sys
import chdb
engine = chdb.connect(":memory:")
hashes = dict.fromkeys(("indexer", "gate", "keeper"), "0" * 64)
statements = json.load(sys.stdin)
for statement in statements:
    engine.query("EXPLAIN AST " + statement, "TabSeparated", params=hashes)
print(len(statements))
"""
TABLES = {"passages", "tracks", "coverage", "vehicle_links"}


def statements() -> list[str]:
    bare = "\n".join(line for line in SQL.splitlines() if not line.startswith("--"))
    return [" ".join(part.split()) for part in bare.split(";") if part.strip()]


def grants(user: str) -> set[tuple[str, str]]:
    found = set()
    for statement in statements():
        match = re.fullmatch(r"GRANT (.+) ON (\S+) TO (\w+)", statement)
        if match and match[3] == user:
            found.add((match[1], match[2]))
    return found


@pytest.mark.engine
def test_the_engine_reads_every_statement() -> None:
    # In a process of its own: the engine's threads and its handlers of signals would stay for every test after this.
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL], input=json.dumps(statements()), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(statements())


def test_the_gate_selects_and_the_indexer_inserts_and_nothing_else() -> None:
    assert grants("gate") == {("SELECT", t) for t in TABLES}
    assert grants("indexer") == {("INSERT", t) for t in TABLES}


def test_the_keeper_reads_capture_times_alone() -> None:
    read = {g for g in grants("keeper") if "SELECT" in g[0]}
    assert read == {("SELECT (started_at)", t) for t in TABLES} | {
        ("SELECT, INSERT", "migrations"),
        ("SELECT", "system.parts"),
        ("SELECT", "system.tables"),
    }


def test_each_user_has_a_profile_whose_limits_it_cannot_lift() -> None:
    profiles = dict(re.findall(r"CREATE SETTINGS PROFILE OR REPLACE (\w+) SETTINGS (.+)", "\n".join(statements())))
    assert "readonly = 1" in profiles["passage_gate"].split(", ")
    for user in ("indexer", "keeper"):
        # They write, so each limit is held by itself.
        assert all(limit.endswith(" READONLY") for limit in profiles[f"passage_{user}"].split(", "))
    for user in ("indexer", "gate", "keeper"):
        (made,) = (s for s in statements() if s.startswith(f"ALTER USER {user} "))
        assert made.endswith(f"SETTINGS PROFILE 'passage_{user}'") and "sha256_hash" in made


def test_no_secret_is_in_the_file() -> None:
    assert not re.search(r"IDENTIFIED[^{]*'", SQL)
