# SPDX-License-Identifier: AGPL-3.0-or-later
"""The embedded store used directly, by its port, with each component's own secret: nobody gets more than is theirs."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from infra.store_secrets import make_secrets, secret_path
from tests.fixtures.store import StoreProcess

pytestmark = pytest.mark.engine

SECRET_ROW = "canary-of-the-store"
PROOF = Path("/etc/hostname")


def ask(store: StoreProcess, user: str, sql: str | bytes, **params: str) -> httpx.Response:
    return httpx.post(store.url + "/", content=sql, params=params, auth=(user, store.secret(user)), timeout=60)


@pytest.fixture(scope="module")
def store(store_server: StoreProcess) -> StoreProcess:
    """With one canary row of coverage in it."""
    columns = {
        "scope": [SECRET_ROW],
        "camera": ["cam-1"],
        "started_at": pa.array([1_795_000_000_000_000], pa.timestamp("us", "UTC")),
        "ended_at": pa.array([1_795_000_001_000_000], pa.timestamp("us", "UTC")),
        "status": ["gap"],
        "reason": [SECRET_ROW],
    }
    answer = ask(store_server, "indexer", arrow_insert("coverage", pa.table(columns)))
    assert answer.status_code == 200, answer.text
    return store_server


def arrow_insert(table: str, rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)
    names = ", ".join(f"`{n}`" for n in rows.schema.names)
    return f"INSERT INTO {table} ({names}) FORMAT Arrow\n".encode() + sink.getvalue().to_pybytes()


GATE_MAY = (
    "SELECT count() FROM coverage",
    "SELECT count() FROM passage.coverage FINAL",
    "SELECT reason FROM `passage`.`coverage` AS c FINAL WHERE scope = {scope:String} FORMAT JSON",
    "SELECT c.reason FROM coverage AS c LEFT JOIN (SELECT passage_id FROM tracks) AS l ON c.camera = l.passage_id",
    "SELECT id, arrayMap(x -> toFloat32(x), embedding) AS vector FROM passages WHERE id IN {ids:Array(String)} LIMIT 1",
    "SELECT version(), timezone()",
)


@pytest.mark.parametrize("sql", GATE_MAY)
def test_the_gate_reads_the_four_tables(store: StoreProcess, sql: str) -> None:
    answer = ask(store, "gate", sql, param_scope=SECRET_ROW, param_ids="['a']")
    assert answer.status_code == 200, answer.text


NOBODY_MAY = (
    # Files, networks, other engines
    f"SELECT * FROM file('{PROOF}', 'LineAsString')",
    f"SELECT * FROM FILE('{PROOF}', LineAsString)",
    f"SELECT * FROM `file`('{PROOF}', 'LineAsString')",
    f"SELECT * FROM \"file\"('{PROOF}', 'LineAsString')",
    f"SELECT * FROM fi/**/le('{PROOF}', 'LineAsString')",
    f"SELECT file('{PROOF}')",
    f"SELECT * FROM '{PROOF}'",
    f"SELECT * FROM `{PROOF}`",
    "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
    "SELECT * FROM remote('127.0.0.1', system, one)",
    "SELECT * FROM remoteSecure('127.0.0.1', system.one)",
    "SELECT * FROM cluster('default', system.one)",
    "SELECT * FROM s3('http://127.0.0.1/x', 'CSV')",
    "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
    "SELECT * FROM executable('id', 'TSV', 'x String')",
    "SELECT * FROM Python(os)",
    "SELECT * FROM merge('passage', '.*')",
    "SELECT * FROM numbers(3)",
    "SELECT * FROM input('a String')",
    "SELECT * FROM loop(coverage)",
    "SELECT * FROM view(SELECT 1)",
    "SELECT count() FROM coverage WHERE camera IN file('/etc/hostname', 'LineAsString')",
    "SELECT count() FROM coverage WHERE camera IN (SELECT * FROM url('http://127.0.0.1:1/'))",
    "WITH found AS (SELECT * FROM url('http://127.0.0.1:1/')) SELECT * FROM found",
    # Writing out
    "SELECT reason FROM coverage INTO OUTFILE '/tmp/passage-outfile' FORMAT TabSeparated",
    "SELECT reason FROM coverage INTO OUTFILE '/tmp/passage-outfile'",
    "SELECT reason FROM coverage into/**/outfile '/tmp/passage-outfile'",
    "SELECT reason FROM coverage FORMAT Null",
    "SELECT reason FROM coverage FORMAT `Native`",
    # Settings
    "SET readonly = 0",
    "SET max_execution_time = 0",
    "SELECT reason FROM coverage SETTINGS readonly = 0",
    "SELECT reason FROM coverage settings max_memory_usage=0",
    "SELECT reason FROM coverage SETTINGS max_threads = 64 FORMAT Native",
    # The engine's own tables, and others
    "SELECT * FROM system.tables",
    "SELECT * FROM `system`.`parts`",
    "SELECT * FROM system.one",
    "SELECT name, value, readonly FROM system.settings",
    "SELECT name, value, readonly FROM system.settings LIMIT 10001",
    "SELECT * FROM system.query_log",
    "SELECT * FROM system.processes",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM default.coverage",
    "SELECT * FROM migrations",
    "SHOW TABLES",
    "SHOW CREATE TABLE coverage",
    "DESCRIBE TABLE coverage",
    "EXISTS TABLE coverage",
    "USE system",
    "EXPLAIN SELECT reason FROM coverage",
    "SELECT count() FROM coverage WHERE camera IN system.one",
    "SELECT 1 WHERE 1 IN system.numbers",
    # Several at once, comments, other writing
    "SELECT 1; SELECT 2",
    "SELECT reason FROM coverage; DROP TABLE coverage",
    "SELECT count() FROM coverage -- and more",
    "SELECT count() FROM coverage # and more",
    "SELECT count() /* */ FROM coverage",
    "SELECT count() FROM coverage WHERE reason = 'it\\'s'",
    "SELECT count() FROM coverage WHERE reason = $x$heredoc$x$",
    "SELECT count() FROM coverage WHERE reason = ‘x’",
    "SELECT count()\u00a0FROM coverage",
    "SELECT count() FROM coverage\x00",
    "SELECT count() FROM {t:Identifier}",
    "SELECT {c:Identifier} FROM coverage",
    "SELECT count() FROM coverage WHERE reason = {x:LowCardinality(String)}",
    "1 + 1",
    "",
    "FORMAT Native",
    "(SELECT 1)",
    # Functions that reach out or waste
    "SELECT sleep(3)",
    "SELECT sleepEachRow(1) FROM coverage",
    "SELECT hostName()",
    "SELECT currentUser()",
    "SELECT getSetting('readonly')",
    "SELECT getMacro('x')",
    "SELECT dictGet('a', 'b', 1)",
    "SELECT joinGet('a', 'b', 1)",
    "SELECT serverUUID()",
    "SELECT addressToLine(1)",
    "SELECT demangle('x')",
    "SELECT filesystemAvailable()",
    "SELECT tcpPort()",
    "SELECT throwIf(1)",
    # Changing
    "INSERT INTO coverage (scope) VALUES ('x')",
    "INSERT INTO coverage (scope) SELECT scope FROM passages",
    "INSERT INTO FUNCTION file('/tmp/passage-outfile') SELECT 1",
    "INSERT INTO coverage (scope) FROM INFILE '/etc/hostname' FORMAT LineAsString",
    "CREATE TABLE x (a String) ENGINE = File(TSV)",
    "CREATE TEMPORARY TABLE x AS SELECT 1",
    "CREATE VIEW x AS SELECT 1",
    "CREATE FUNCTION x AS () -> 1",
    "CREATE USER x",
    "CREATE NAMED COLLECTION x AS a = 'b'",
    "ALTER TABLE coverage DELETE WHERE 1",
    "ALTER TABLE coverage DROP PARTITION ID 'x'",
    "DELETE FROM coverage WHERE 1",
    "DROP TABLE coverage",
    "TRUNCATE TABLE coverage",
    "OPTIMIZE TABLE coverage FINAL",
    "SYSTEM SHUTDOWN",
    "SYSTEM FLUSH LOGS",
    "KILL QUERY WHERE 1",
    "BACKUP TABLE coverage TO Disk('a', 'b')",
    "ATTACH TABLE x",
    "GRANT ALL ON *.* TO gate",
    "EXECUTE AS keeper SELECT 1",
)


@pytest.mark.parametrize("sql", NOBODY_MAY)
@pytest.mark.parametrize("user", ["gate", "indexer"])
def test_refused_to_gate_and_indexer(store: StoreProcess, user: str, sql: str) -> None:
    answer = ask(store, user, sql.encode())
    assert answer.status_code in (400, 403), (answer.status_code, answer.text)
    assert int(answer.headers["x-clickhouse-exception-code"]) in (62, 164), answer.text
    assert PROOF.read_text().strip() not in answer.text or not PROOF.read_text().strip()
    assert not Path("/tmp/passage-outfile").exists()


@pytest.mark.parametrize("sql", [sql for sql in NOBODY_MAY if not sql.startswith("ALTER TABLE coverage DROP")])
def test_refused_to_the_keeper_too(store: StoreProcess, sql: str) -> None:
    harmless = ("SELECT * FROM system.tables", "SELECT * FROM `system`.`parts`", "SELECT * FROM migrations")
    answer = ask(store, "keeper", sql.encode())
    if sql in harmless:
        assert answer.status_code == 200
    else:
        assert answer.status_code in (400, 403), (answer.status_code, answer.text)


@pytest.mark.parametrize("column", ["reason", "camera", "ended_at", "*"])
def test_the_keeper_reads_no_passage(store: StoreProcess, column: str) -> None:
    answer = ask(store, "keeper", f"SELECT {column} FROM coverage")
    assert answer.status_code == 403, answer.text
    assert SECRET_ROW not in answer.text


@pytest.mark.parametrize("sql", [*GATE_MAY[:5], "SELECT 1 FROM coverage", "SELECT max(started_at) FROM coverage"])
def test_the_indexer_reads_nothing(store: StoreProcess, sql: str) -> None:
    answer = ask(store, "indexer", sql, param_scope=SECRET_ROW, param_ids="['a']")
    assert (answer.status_code, answer.headers.get("x-clickhouse-exception-code")) == (403, "164")
    assert SECRET_ROW not in answer.text


@pytest.mark.parametrize("user", ["gate", "keeper"])
def test_only_the_indexer_inserts(store: StoreProcess, user: str) -> None:
    rows = pa.table({"scope": ["forged"]})
    assert ask(store, user, arrow_insert("coverage", rows)).status_code == 403
    head = b"INSERT INTO coverage (scope) FORMAT Arrow"
    assert ask(store, user, b"rows", query=head.decode()).status_code == 403


@pytest.mark.parametrize(
    "head",
    [
        "INSERT INTO migrations (name) FORMAT Arrow",
        "INSERT INTO system.one (dummy) FORMAT Arrow",
        "INSERT INTO default.coverage (scope) FORMAT Arrow",
        "INSERT INTO coverage FORMAT Arrow",
        "INSERT INTO coverage (scope, scope) FORMAT Arrow",
        "INSERT INTO coverage (scope) SETTINGS max_memory_usage = 0 FORMAT Arrow",
        "INSERT INTO coverage (scope) FORMAT Values",
        "INSERT INTO coverage (scope) FORMAT CSV",
        "INSERT INTO coverage (* EXCEPT(scope)) FORMAT Arrow",
        "INSERT INTO coverage (scope) SELECT scope FROM coverage FORMAT Arrow",
        "INSERT INTO FUNCTION file('x') (scope) FORMAT Arrow",
        "INSERT INTO TABLE FUNCTION url('http://127.0.0.1:1') FORMAT Arrow",
        "INSERT INTO coverage (scope) FROM INFILE '/etc/hostname' FORMAT Arrow",
        "INSERT INTO coverage (scope) FORMAT Arrow; DROP TABLE coverage",
        "WITH x AS (SELECT 1) INSERT INTO coverage (scope) FORMAT Arrow",
    ],
)
def test_an_insert_has_one_shape(store: StoreProcess, head: str) -> None:
    for answer in (ask(store, "indexer", head.encode() + b"\nrows"), ask(store, "indexer", b"rows", query=head)):
        assert answer.status_code == 403, answer.text


def test_rows_that_are_no_rows(store: StoreProcess) -> None:
    answer = ask(store, "indexer", b"INSERT INTO coverage (scope) FORMAT Arrow\nnot arrow")
    assert answer.status_code >= 400
    assert "/proc/" not in answer.text


@pytest.mark.parametrize(
    "params",
    [
        {"readonly": "0"},
        {"max_execution_time": "0"},
        {"session_id": "x"},
        {"role": "admin"},
        {"database": "system"},
        {"default_database": "system"},
        {"param_x-y": "1"},
        {"log_comment": "x"},
    ],
)
@pytest.mark.parametrize("user", ["gate", "indexer", "keeper"])
def test_nothing_is_set_by_the_url(store: StoreProcess, user: str, params: dict[str, str]) -> None:
    assert ask(store, user, "SELECT 1", **params).status_code == 403


def test_nothing_is_set_by_a_form(store: StoreProcess) -> None:
    auth = ("gate", store.secret("gate"))
    fine = httpx.post(store.url, files={"query": (None, "SELECT 1")}, auth=auth)
    assert fine.text == "1\n"
    for form in ({"readonly": (None, "0")}, {"t": ("t.csv", b"a")}):
        answer = httpx.post(store.url, files={"query": (None, "SELECT 1")} | form, auth=auth)
        assert answer.status_code >= 400


@pytest.mark.parametrize(
    ("user", "secret"),
    [("gate", "wrong"), ("default", ""), ("", ""), ("nobody", "x"), ("gate", ""), ("indexer", "of the gate")],
)
def test_a_wrong_secret(store: StoreProcess, user: str, secret: str) -> None:
    secret = store.secret("gate") if secret == "of the gate" else secret
    for sent in (
        httpx.post(store.url, content="SELECT 1", auth=(user, secret)),
        httpx.post(store.url, content="SELECT 1", headers={"X-ClickHouse-User": user, "X-ClickHouse-Key": secret}),
        httpx.post(store.url, content="SELECT 1", params={"user": user, "password": secret}),
    ):
        assert (sent.status_code, sent.headers.get("x-clickhouse-exception-code")) == (403, "516")


def test_no_authentication_at_all(store: StoreProcess) -> None:
    assert httpx.post(store.url, content="SELECT 1").status_code == 403
    assert httpx.post(store.url, content="SELECT 1", headers={"Authorization": "Basic ?"}).status_code == 403
    assert httpx.get(store.url + "/ping").text == "Ok.\n"
    assert httpx.get(store.url + "/play").status_code == 404


def test_a_query_that_takes_too_long_ends(store: StoreProcess) -> None:
    crosses = ", ".join(f"coverage AS {a}" for a in "cltpv")
    sql = f"SELECT count() FROM {crosses} WHERE arrayExists(x -> x > 1, t.n)"
    assert ask(store, "gate", sql).status_code >= 400


def test_loopback_only(store: StoreProcess) -> None:
    import psutil

    assert store.process is not None
    addresses = {c.laddr.ip for c in psutil.Process(store.process.pid).net_connections("inet") if c.status == "LISTEN"}
    assert addresses == {"127.0.0.1"}


def test_metrics_count_and_name_nothing(store: StoreProcess) -> None:
    text = httpx.get(f"http://127.0.0.1:{store.site.metrics_port + 9}/metrics").text
    assert 'passage_store_statements_total{outcome="refused",user="gate"}' in text
    assert SECRET_ROW not in text


def test_the_log_names_no_secret(store: StoreProcess) -> None:
    log = store.log.read_text()
    for user in ("gate", "indexer", "keeper"):
        assert store.secret(user) not in log


def test_secrets_are_private_and_kept(store: StoreProcess) -> None:
    site = store.site
    before = {user: secret_path(site, user).read_text() for user in ("gate", "indexer", "keeper")}
    make_secrets(site)
    assert len(set(before.values())) == 3 and all(len(s) >= 40 for s in before.values())
    for user, secret in before.items():
        path = secret_path(site, user)
        assert path.read_text() == secret
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    held = (site.secrets_dir / "store" / "users.json").read_text()
    assert not any(secret in held for secret in before.values())


@pytest.mark.slow
def test_one_process_a_path_and_one_a_port(store: StoreProcess, tmp_path: Path) -> None:
    second = StoreProcess(tmp_path)
    text = second.file.read_text().replace('name = "Essai"', f'name = "Essai"\ndata = "{store.site.data}"')
    second.file.write_text(text)
    done = run_server(second)
    assert done.returncode == 2 and "One process a path" in done.stderr
    done = run_server(store)
    assert done.returncode == 2 and "is taken" in done.stderr


@pytest.mark.slow
def test_killed_and_started_again_it_holds_what_it_took(own_store_server: StoreProcess) -> None:
    own_store_server.start()
    rows = pa.table(
        {
            "scope": ["s"],
            "camera": ["c"],
            "started_at": pa.array([1_795_000_000_000_000], pa.timestamp("us", "UTC")),
        }
    )
    assert ask(own_store_server, "indexer", arrow_insert("coverage", rows)).status_code == 200
    own_store_server.stop(signal.SIGKILL)
    own_store_server.start()
    assert ask(own_store_server, "gate", "SELECT count() FROM coverage").text == "1\n"
    assert own_store_server.stop(signal.SIGTERM) == 0
    assert "Traceback" not in own_store_server.log.read_text()


def test_a_broken_site_file_is_said(tmp_path: Path) -> None:
    broken = StoreProcess(tmp_path)
    broken.file.write_text(broken.file.read_text().replace("retention_days = 30", "retention_days = 31"))
    done = run_server(broken)
    assert done.returncode == 2 and "retention_days" in done.stderr


def run_server(store: StoreProcess) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra.store_server", "--site", str(store.file)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ,
        cwd=Path(__file__).resolve().parents[2],
    )
