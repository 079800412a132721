# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import textwrap
import urllib.request
from pathlib import Path

import pytest

from connectors.errors import BrokerUnavailable, SiteError
from connectors.whole_file import write_whole
from flows import metrics
from flows.errors import FlowError, ShareError
from flows.program import BAD_CONFIGURATION, FAILED, FINISHED, run_program
from flows.progress import Progress
from flows.recovery import prepare_recovery, recovery_dir, run_flow
from flows.share import Share
from infra.ports import free_port
from tests.connectors.videos import file_camera
from tests.flows.failing import run_apart
from tests.flows.sites import site_of


def test_shares_cover_every_partition_once() -> None:
    for count in (1, 2, 3, 5):
        shares = [Share(i, count).of(16) for i in range(count)]
        assert sorted(p for share in shares for p in share) == list(range(16))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("text", ["", "1", "2/2", "-1/2", "0/0", "a/b", "1/2/3"])
def test_shares_that_do_not_exist_are_refused(text: str) -> None:
    with pytest.raises(ShareError, match="0/2"):
        Share.parse(text)


def test_a_share_of_too_few_partitions_is_refused() -> None:
    with pytest.raises(ShareError, match="share 3/4 of 2 partitions is empty"):
        Share.parse("3/4").of(2)


def test_each_flow_scope_and_share_has_its_own_recovery(tmp_path: Path) -> None:
    site = site_of(tmp_path, [file_camera("x.mp4")])
    folders = {
        recovery_dir(site, "index").name,
        recovery_dir(site, "index", "r-1").name,
        recovery_dir(site, "index", share=Share(1, 2)).name,
    }
    assert folders == {"index", "index-r-1", "index-1-of-2"}


def test_a_recovery_folder_half_made_by_a_crash_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    folder.mkdir()
    (folder / "part-0.sqlite3").write_bytes(b"half")
    prepare_recovery(folder)
    assert (folder / "part-0.sqlite3").stat().st_size > 100
    kept = (folder / "part-0.sqlite3").stat().st_mtime_ns
    prepare_recovery(folder)
    assert (folder / "part-0.sqlite3").stat().st_mtime_ns == kept


def test_bytewax_opens_no_web_server(monkeypatch: pytest.MonkeyPatch) -> None:
    import bytewax.operators as op
    from bytewax.dataflow import Dataflow
    from bytewax.testing import TestingSink, TestingSource

    monkeypatch.setenv("BYTEWAX_DATAFLOW_API_ENABLED", "1")
    out: list[int] = []
    flow = Dataflow("plain")
    op.output("out", op.input("in", flow, TestingSource([1, 2])), TestingSink(out))
    run_flow(flow, None)
    assert out == [1, 2]
    assert "BYTEWAX_DATAFLOW_API_ENABLED" not in os.environ


def test_a_flow_raises_what_its_step_raised() -> None:
    import bytewax.operators as op
    from bytewax.dataflow import Dataflow
    from bytewax.testing import TestingSink, TestingSource

    def fail(item: int) -> int:
        raise BrokerUnavailable("away")

    flow = Dataflow("failing")
    op.output("out", op.map("fail", op.input("in", flow, TestingSource([1])), fail), TestingSink([]))
    with pytest.raises(BrokerUnavailable, match="away"):
        run_apart(lambda: run_flow(flow, None))


def test_a_signal_drains() -> None:
    # In a process of its own, as a flow is.
    script = """
        import os, signal
        from flows.drain import Drain

        drain = Drain().on_signals()
        assert not drain()
        os.kill(os.getpid(), signal.SIGTERM)
        assert drain.wait(5) and drain()
        print("drained")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "drained\n"), done.stderr


def _raise(fault: Exception) -> None:
    raise fault


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (None, FINISHED),
        (SiteError(["kafka.port: too low", "camera: none"]), BAD_CONFIGURATION),
        (ShareError("x"), BAD_CONFIGURATION),
        (BrokerUnavailable("x"), FAILED),
        (FlowError("x"), FAILED),
    ],
)
def test_exit_codes(fault: Exception | None, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.program.logging_to_stderr", lambda: None)
    assert run_program((lambda: None) if fault is None else lambda: _raise(fault)) == code


def test_metrics_are_shown_on_loopback_and_a_taken_port_is_told() -> None:
    metrics.count("passage_records_total", 3, flow="test", camera="c1")
    metrics.show("passage_lag_seconds", 1.5, flow="test", camera="c1")
    with metrics.stage("test", "decode"):
        pass
    port = free_port()
    metrics.serve(port)
    page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    assert 'passage_records_total{camera="c1",flow="test"} 3.0' in page
    assert 'passage_lag_seconds{camera="c1",flow="test"} 1.5' in page
    assert 'passage_stage_seconds_total{flow="test",stage="decode"}' in page
    with pytest.raises(FlowError, match=f"port {port} for metrics cannot be opened"):
        metrics.serve(port)


def test_progress_is_written_whole_and_at_most_once_a_second(tmp_path: Path) -> None:
    now = [0.0]
    file = tmp_path / "p.json"
    progress = Progress(file, clock=lambda: now[0])
    progress.tell(state="running", seconds_asked=10)
    progress.tell(seconds_done=1)
    assert json.loads(file.read_text()) == {"state": "running", "seconds_asked": 10}
    now[0] = 1.0
    progress.tell(seconds_done=2)
    assert json.loads(file.read_text())["seconds_done"] == 2
    progress.tell(now=True, state="done")
    assert json.loads(file.read_text()) == {"state": "done", "seconds_asked": 10, "seconds_done": 2}


def test_progress_that_finds_no_room_is_told_once_and_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    full = [True]

    def write(path: Path, data: bytes) -> None:
        if full[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_whole(path, data)

    monkeypatch.setattr("flows.progress.write_whole", write)
    file = tmp_path / "p.json"
    progress = Progress(file)
    for seconds in range(3):
        progress.tell(now=True, seconds_done=seconds)
    assert caplog.text.count("p.json cannot be written (No space left on device)") == 1 and not file.exists()
    full[0] = False
    progress.tell(now=True, state="done")
    assert json.loads(file.read_text()) == {"state": "done", "seconds_done": 2}
