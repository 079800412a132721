# SPDX-License-Identifier: AGPL-3.0-or-later
"""`passage up`: check everything, start it in order, watch it, end it in order; and `passage down`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.live import Live

from connectors.errors import SiteError
from connectors.site import Site, load_site
from flows.progress import StatusFile
from infra import preflight
from infra.errors import StackError
from infra.kafka_jars import class_path
from infra.observer import StatusWriter
from infra.process import kill_group, spawn
from infra.services import Service, environment_of, services
from infra.site_remains import site_remains
from infra.stack_state import (
    StackLock,
    StackState,
    born_at,
    bury_leftovers,
    held,
    read_state,
    state_file,
    state_of,
    watching_pid,
)
from infra.stack_table import stack_table
from infra.supervisor import Child, Supervisor

LOG_LIMIT_BYTES = 20 * 2**20
_TICK_S = 0.2


class Processes:
    """Starts services as children whose output goes to one log each below `logs`."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        logs.mkdir(parents=True, exist_ok=True)

    def log(self, service: Service) -> Path:
        """The service's log."""
        return self._logs / f"{service.name}.log"

    def start(self, service: Service) -> Child:
        """Start it, its log first turned over when it has grown large."""
        log = self.log(service)
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            os.replace(log, log.with_suffix(".old.log"))
        return spawn(service.command, log=log, environment=environment_of(service))

    def end(self, child: Child) -> None:
        """SIGTERM."""
        _popen(child).terminate()

    def kill(self, child: Child) -> None:
        """SIGKILL to its whole group."""
        kill_group(_popen(child))
        _popen(child).wait()

    def why(self, service: Service) -> str:
        """The last line of its log that says something."""
        try:
            with self.log(service).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
                lines = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        said = [line.strip() for line in lines if line.strip()]
        return said[-1][:300] if said else ""


def known(file: Path) -> Site:
    """The site of a file. Raises SiteError with its faults, and those of the machine that can be known all the same."""
    try:
        return load_site(file)
    except SiteError as refused:
        sound = site_remains(file)
        # Of a running stack it is itself that holds the ports.
        others = [] if sound is None or held(sound) else preflight.faults(sound)
        raise SiteError([*refused.faults, *others]) from None


def check(file: Path) -> Site:
    """The site, if the stack may start from it. Raises SiteError with every fault at once."""
    site = known(file)
    if found := preflight.faults(site):
        raise SiteError(found)
    return site


def up(file: Path, console: Console) -> int:
    """Start and watch a site's stack until SIGINT, SIGTERM or SIGHUP; the exit code.

    Raises SiteError, AlreadyRunning, SetupFault before anything is started.
    """
    site = known(file)
    lock = StackLock(site)
    lock.take()
    try:
        bury_leftovers(site)
        check(file)
        for warning in preflight.warnings(site):
            console.print(f"[yellow]{warning}[/yellow]")
        if not site.kafka.bootstrap:
            class_path()  # fetched here, where a fault can still be told to a person
        return _watch(site, file, console)
    finally:
        lock.release()


def _watch(site: Site, file: Path, console: Console) -> int:
    supervisor = Supervisor(services(site, file), Processes(site.data / "logs"), time.monotonic)
    asked, again = threading.Event(), threading.Event()
    shown = StatusFile(state_file(site), partial(_say, console))
    reloads, fault = 0, ""
    with _signals(asked, again, supervisor), _display(console) as show:
        written = 0.0
        status = StatusWriter(site, lambda: read_state(site))
        status.start()
        try:
            while not asked.is_set():
                if again.is_set():
                    again.clear()
                    reloads += 1
                    site, fault = _reload(file, site, supervisor, console)
                    status.site = site
                supervisor.tick()
                if time.monotonic() - written > 1.0:
                    written = time.monotonic()
                    watched = list(supervisor.watched.values())
                    state = state_of(site, watched, written, reloads=reloads, fault=fault)
                    shown.write(state.encoded())
                    show(state)
                asked.wait(_TICK_S)
        finally:
            supervisor.end(time.sleep)
            status.stop()
            ended = state_of(site, list(supervisor.watched.values()), time.monotonic(), ended=True)
            shown.write(ended.encoded())
    _say(console, f"{site.name} has ended; nothing is left running")
    return 0


def _reload(file: Path, running: Site, supervisor: Supervisor, console: Console) -> tuple[Site, str]:
    """Read the site file again and change what it changes; the site that runs, and why its file was refused, if so."""
    try:
        site = load_site(file)
        if site.data != running.data:
            raise SiteError(["data cannot change while the stack runs: `passage down`, then `passage up`"])
        ended = supervisor.change(services(site, file))
    except SiteError as refused:
        _say(console, f"the changed site file is refused, all goes on as before: {refused}")
        return running, str(refused)
    _say(console, f"site file read again; started anew: {', '.join(ended) or 'nothing'}")
    return site, ""


@contextmanager
def _signals(asked: threading.Event, again: threading.Event, supervisor: Supervisor) -> Iterator[None]:
    """The first signal asks for an orderly end, a second Ctrl-C kills; SIGUSR1 asks to read the site file again."""

    def on_signal(number: int, _frame: object) -> None:
        if asked.is_set() and number == signal.SIGINT:
            supervisor.kill()
        asked.set()

    before = {n: signal.signal(n, on_signal) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, lambda *_: again.set())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _display(console: Console) -> Iterator[Callable[[StackState], None]]:
    """A living table on a terminal; elsewhere one line for each change."""
    if not console.is_terminal:
        yield _lines(console)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda state: live.update(stack_table(state), refresh=True)


def _lines(console: Console) -> Callable[[StackState], None]:
    """Where there is no terminal: one line for each change."""
    known: dict[str, str] = {}
    told = [False]

    def show(state: StackState) -> None:
        for service in state.services:
            line = f"{service.name}: {service.state}{f' ({service.message})' if service.message else ''}"
            if known.get(service.name) != line:
                known[service.name] = line
                _say(console, line)
        if state.settled and not told[0]:
            told[0] = True
            _say(console, "everything runs")

    return show


def _say(console: Console, line: str) -> None:
    """Print a line. In the background it goes to a log, and a full disk must not end the watch over a line."""
    with suppress(OSError):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def up_detached(file: Path, tell: Callable[[StackState], None], timeout_s: float = 420.0) -> StackState:
    """Start the stack in the background and wait until everything runs; its state.

    Raises SiteError and AlreadyRunning as `up`, StackError when it does not come up (what had started is ended again).
    """
    site = known(file)
    lock = StackLock(site)
    lock.take()
    lock.release()
    bury_leftovers(site)
    check(file)
    logs = site.data / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / "supervisor.log"
    state_file(site).unlink(missing_ok=True)
    with open(log, "ab") as output:
        supervisor = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "infra.command", "up", "--site", str(file.resolve())],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=Path(__file__).resolve().parent.parent,
        )
    deadline = time.monotonic() + timeout_s
    while True:
        if supervisor.poll() is not None:
            raise StackError(f"the supervisor ended with status {supervisor.returncode}: {_tail(log)}")
        state = read_state(site)
        if state is not None and state.supervisor_pid == supervisor.pid:
            tell(state)
            if state.settled:
                return state
            if state.failed:
                down(site)
                raise StackError("; ".join(f"{s.name} {s.message}" for s in state.failed) + f" (logs are in {logs})")
        if time.monotonic() > deadline:
            down(site)
            slow = ", ".join(
                f"{s.name} ({s.state})"
                for s in (state.services if state else ())
                if s.state not in ("running", "finished")
            )
            raise StackError(f"not everything ran after {timeout_s:.0f} s: {slow} (logs are in {logs})")
        time.sleep(0.1)


def down(site: Site, grace_s: float = 90.0) -> None:
    """End the stack that watches a site and wait until it has ended. Raises NotRunning."""
    pid = watching_pid(site)
    born = born_at(pid)
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while held(site) or (born is not None and born_at(pid) == born):
        if time.monotonic() > deadline and born is not None and born_at(pid) == born:
            os.kill(pid, signal.SIGKILL)  # its children die with it
        time.sleep(0.1)
    bury_leftovers(site)


def reload(site: Site, timeout_s: float = 15.0) -> None:
    """Have a running stack read its site file again. Raises NotRunning, StackError with the reason of a refusal."""
    pid = watching_pid(site)
    before = read_state(site)
    os.kill(pid, signal.SIGUSR1)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        state = read_state(site)
        if state is not None and before is not None and state.reloads > before.reloads:
            if state.fault:
                raise StackError(state.fault)
            return
        time.sleep(0.1)
    raise StackError(f"the supervisor did not read the site file within {timeout_s:.0f} s")


def wait_settled(site: Site, timeout_s: float = 420.0) -> StackState:
    """Wait until everything runs, after a reload. Raises NotRunning, StackError naming what does not come up."""
    deadline = time.monotonic() + timeout_s
    began = datetime.now(UTC)
    while True:
        watching_pid(site)
        state = read_state(site)
        if state is not None and state.written_at > began and state.settled:
            return state
        if time.monotonic() > deadline or (state is not None and state.failed):
            slow = [s for s in (state.services if state else ()) if s.state not in ("running", "finished")]
            raise StackError("not everything runs: " + "; ".join(f"{s.name} {s.state} {s.message}" for s in slow))
        time.sleep(0.2)


def _popen(child: Child) -> subprocess.Popen[bytes]:
    assert isinstance(child, subprocess.Popen)  # noqa: S101
    return child


def _tail(log: Path, lines: int = 6) -> str:
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
