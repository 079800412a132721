# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who watches a site, and what it sees: a lock that dies with its holder, and a small file written each second."""

from __future__ import annotations

import fcntl
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec
import psutil

from connectors.site import Site
from infra.errors import AlreadyRunning, NotRunning
from infra.supervisor import Watched


class ServiceState(msgspec.Struct, frozen=True, kw_only=True):
    """One service as `passage status` shows it."""

    name: str
    group: str
    state: str
    pid: int | None = None
    born_at: float | None = None
    """When the process was made, seconds since 1970: with the pid it names a process for good."""
    since_s: float = 0.0
    restarts: int = 0
    message: str = ""
    page: str = ""


class StackState(msgspec.Struct, frozen=True, kw_only=True):
    """The whole stack at one moment."""

    site: str
    supervisor_pid: int
    written_at: datetime
    services: tuple[ServiceState, ...]
    reloads: int = 0
    """How often the site file has been read again."""
    fault: str = ""
    """Why the last reading of the site file was refused, if it was."""

    def encoded(self) -> bytes:
        """As it lies in the file, for a person to read too."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1)

    @property
    def settled(self) -> bool:
        """Whether everything runs or has finished."""
        return bool(self.services) and all(s.state in ("running", "finished") for s in self.services)

    @property
    def failed(self) -> list[ServiceState]:
        """Services that were given up."""
        return [s for s in self.services if s.state == "failed"]


def state_file(site: Site) -> Path:
    """Where the supervisor writes what it sees."""
    return site.data / "state" / "stack.json"


def lock_file(site: Site) -> Path:
    """Held by the supervisor as long as it lives."""
    return site.data / "state" / "stack.lock"


class StackLock:
    """At most one supervisor a site. The kernel lets go of it when its holder dies, however that happens."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Raises AlreadyRunning, naming the process that holds it."""
        path = lock_file(self._site)
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise AlreadyRunning(
                f"{self._site.name} is already running (supervisor process {holder_of(self._site) or 'unknown'}); "
                "`passage status` shows it, `passage down` ends it"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        """Let go of it."""
        if self._file is not None:
            self._file.close()
            self._file = None


def held(site: Site) -> bool:
    """Whether a supervisor watches this site now."""
    path = lock_file(site)
    if not path.exists():
        return False
    with open(path, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def holder_of(site: Site) -> int | None:
    """The supervisor's process id, as far as the lock says."""
    try:
        return int(lock_file(site).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def watching_pid(site: Site) -> int:
    """The living supervisor's process id. Raises NotRunning."""
    pid = holder_of(site)
    if not held(site) or pid is None:
        raise NotRunning(f"{site.name} is not running; `passage up --site …` starts it")
    return pid


def state_of(
    site: Site, watched: list[Watched], now: float, *, reloads: int = 0, fault: str = "", ended: bool = False
) -> StackState:
    """What the supervisor sees. `now` is of its clock."""
    return StackState(
        site=site.name,
        supervisor_pid=0 if ended else os.getpid(),
        written_at=datetime.now(UTC),
        reloads=reloads,
        fault=fault,
        services=tuple(
            ServiceState(
                name=w.service.name,
                group=w.service.group,
                state=w.state,
                pid=None if w.child is None else w.child.pid,
                born_at=None if w.child is None else born_at(w.child.pid),
                since_s=round(now - w.since, 1),
                restarts=w.restarts,
                message=w.message,
                page=w.service.page,
            )
            for w in watched
        ),
    )


def read_state(site: Site) -> StackState | None:
    """What the supervisor last wrote, or None."""
    try:
        return msgspec.json.decode(state_file(site).read_bytes(), type=StackState)
    except (FileNotFoundError, msgspec.MsgspecError, json.JSONDecodeError):
        return None


def born_at(pid: int) -> float | None:
    """When a process was made; None when it is gone, or has ended and its parent (who may be asking) not yet looked."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None


def bury_leftovers(site: Site, grace_s: float = 5.0) -> list[str]:
    """End what a supervisor that was itself killed may have left; the names of what was still there.

    The kernel kills such children at once; this catches what it could not, and waits for their ports.
    """
    state = read_state(site)
    if state is None:
        return []
    found = []
    for service in state.services:
        if service.pid is None or service.born_at is None:
            continue
        born = born_at(service.pid)
        if born is not None and abs(born - service.born_at) < 0.05:
            found.append((service.name, psutil.Process(service.pid)))
    for _, process in found:
        try:
            process.kill()
        except psutil.Error:
            continue
    deadline = time.monotonic() + grace_s
    while any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for _, p in found) and time.monotonic() < deadline:
        time.sleep(0.02)
    return [name for name, _ in found]
