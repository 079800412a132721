# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from infra.ports import answers, free_port, holder, port_fault, taken
from infra.process import spawn, stop

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
]


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_a_child_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom infra.process import spawn\n"
        f"print(spawn({SLEEPER!r}).pid, flush=True)\ntime.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.slow
def test_a_worker_dies_with_a_parent_that_is_killed() -> None:
    worker = (
        "import time; from infra.process import die_with_parent; die_with_parent(); "
        "print('up', flush=True); time.sleep(600)"
    )
    script = (
        "import subprocess, sys, time\n"
        f"c = subprocess.Popen([sys.executable, '-c', {worker!r}], stdout=subprocess.PIPE, text=True)\n"
        "c.stdout.readline()\nprint(c.pid, flush=True)\ntime.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.slow
def test_what_does_not_listen_to_sigterm_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = spawn(STUBBORN, log=log)
    until(lambda: log.read_text() == "up\n")
    assert stop(process, grace_s=0.2) == -9


@pytest.mark.slow
def test_output_goes_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = spawn([sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr)"], log=log)
    assert process.wait(60) == 0
    assert sorted(log.read_text().split()) == ["err", "out"]


def test_a_taken_port_is_told_with_its_holder_and_setting() -> None:
    port = free_port()
    assert port_fault(port, "gate.port") is None and not answers(port)
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))
        server.listen()
        assert taken(port) and answers(port)
        fault = port_fault(port, "gate.port")
        assert fault is not None and str(port) in fault and "gate.port" in fault and holder(port) in fault


def test_a_row_of_free_ports_is_free_and_no_outgoing_connection_takes_one() -> None:
    first = free_port(8)
    assert not any(taken(first + n) for n in range(8))
    ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert first + 8 <= ephemeral
