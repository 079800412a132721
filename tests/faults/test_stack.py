# SPDX-License-Identifier: AGPL-3.0-or-later
"""The whole stack as a person starts it: what is refused, what is survived, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from connectors.site import METRICS
from tests.faults.stacks import (
    PASSAGE,
    kill_all,
    passage,
    pid_of,
    processes_of,
    settled,
    site_of,
    state,
    until,
    write_site,
)


@pytest.mark.slow
def test_a_broken_site_is_refused_with_every_fault_at_once(tmp_path: Path) -> None:
    file = write_site(tmp_path)
    text = file.read_text().replace("masks_dwellings = true", "masks_dwellings = false")
    file.write_text("retention_days = 31\nsurveillance = true\n" + text)
    done = passage("up", "--site", file)
    assert done.returncode == 1
    for word in ("retention_days", "surveillance", "masks_dwellings"):
        assert word in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "var" / "kafka").exists()


@pytest.mark.slow
def test_taken_ports_missing_files_and_unknown_models_are_told_at_once(tmp_path: Path) -> None:
    file = write_site(tmp_path)
    site = site_of(file)
    (tmp_path / "clip-0.mp4").unlink()
    file.write_text(file.read_text().replace("yolo11n.pt", "passage-detector-v999"))
    with socket.socket() as one, socket.socket() as two:
        for taken, port in ((one, site.gate.port), (two, site.kafka.port + 1)):
            taken.bind(("127.0.0.1", port))
            taken.listen()
        done = passage("up", "--detach", "--site", file)
    assert done.returncode == 1
    for words in (
        f"port {site.gate.port} on 127.0.0.1 is taken",
        "gate.port",
        f"port {site.kafka.port + 1} on 127.0.0.1 is taken",
        "clip-0.mp4 does not exist",
        "passage-detector-v999",
    ):
        assert words in done.stderr
    assert not processes_of(file)


@pytest.mark.slow
def test_a_site_that_does_not_run_is_said_not_to(tmp_path: Path) -> None:
    file = write_site(tmp_path)
    for command in ("down", "status", "reload"):
        done = passage(command, "--site", file)
        assert done.returncode == 1 and "is not running" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_new_site_is_refused_until_it_is_filled_in(tmp_path: Path) -> None:
    assert passage("new-site", tmp_path / "site.toml").returncode == 0
    done = passage("up", "--site", tmp_path / "site.toml")
    assert done.returncode == 1 and "masks_dwellings" in done.stderr
    again = passage("new-site", tmp_path / "site.toml")
    assert again.returncode == 1 and "exists already" in again.stderr


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A site whose stack each test starts and ends as it likes."""
    file = write_site(tmp_path_factory.mktemp("town"))
    yield file
    kill_all(file)


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.engine
@pytest.mark.timeout(600)
def test_up_status_restart_of_what_dies_and_down(town: Path) -> None:
    site = site_of(town)
    started = passage("up", "--detach", "--site", town)
    assert started.returncode == 0, started.stderr
    until(lambda: list(site.archive_dir.rglob("*.seg")) != [], message="video in the archive")

    second = passage("up", "--site", town)
    assert second.returncode == 1 and "already running" in second.stderr

    shown = passage("status", "--json", "--site", town)
    assert shown.returncode == 0
    status = json.loads(shown.stdout)
    assert status["healthy"] and {s["name"] for s in status["services"]} >= {"kafka", "store", "gate", "record"}

    listening = [
        c.laddr
        for p in processes_of(town)
        for c in p.net_connections("inet")
        if c.status == psutil.CONN_LISTEN
    ]  # fmt: skip
    jobs = site.metrics_port + METRICS["jobs"]
    assert {site.gate.port, site.dashboard.port, site.kafka.port, jobs} <= {at.port for at in listening}
    assert {at.ip.removeprefix("::ffff:") for at in listening} == {"127.0.0.1"}

    for service in ("record", "kafka", "store"):
        pid = pid_of(site, service)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        until(lambda s=service, p=pid: pid_of(site, s) not in (None, p), message=f"another {service}")  # type: ignore[misc]
    until(lambda: settled(site), message="everything running again")
    assert sum(s.restarts for s in state(site).services) >= 3

    ended = passage("down", "--site", town)
    assert ended.returncode == 0, ended.stderr
    assert not processes_of(town)


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.engine
@pytest.mark.timeout(600)
def test_nothing_outlives_a_killed_supervisor_and_the_next_start_works(town: Path) -> None:
    site = site_of(town)
    rng = random.Random(5)
    for after in (0.5, rng.uniform(1, 6), rng.uniform(4, 12)):
        supervisor = subprocess.Popen(
            [*PASSAGE, "up", "--site", str(town)], stdout=subprocess.DEVNULL, start_new_session=True
        )
        try:
            supervisor.wait(after)
        except subprocess.TimeoutExpired:
            pass
        supervisor.kill()
        supervisor.wait()
        until(lambda: not processes_of(town), 5.0, "the end of every process")
    supervisor = subprocess.Popen(
        [*PASSAGE, "up", "--site", str(town)], stdout=subprocess.DEVNULL, start_new_session=True
    )

    def runs() -> bool:
        # What the last one that was killed wrote may say that all is well.
        return supervisor.poll() is not None or (settled(site) and state(site).supervisor_pid == supervisor.pid)

    until(runs, message="a stack that runs after three kills")
    assert supervisor.poll() is None, "the stack did not start after three kills"
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(60) == 0
    assert not processes_of(town)
