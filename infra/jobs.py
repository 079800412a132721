# SPDX-License-Identifier: AGPL-3.0-or-later
"""Obeying the gate's orders: each is replayed, indexed and linked in bounded runs; a closure ends them for good.

`python -m infra.jobs --site site.toml`, part of `passage up`. It opens nothing: an order is obeyed only with the gate's
signature, and what the runs may read is decided by the gate again.
"""

from __future__ import annotations

import logging
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import msgspec

from connectors import topics
from connectors.archive import LEAST_FREE_BYTES
from connectors.broker import Broker
from connectors.errors import BrokerError, ConnectorError, OrderError, OrderExpired, SiteError
from connectors.kafka import site_broker
from connectors.orders import ReplayOrder, load_orders_key, read_close, read_order
from connectors.site import METRICS, Site, load_site
from flows.errors import FlowError
from flows.metrics import serve
from flows.progress import StatusFile
from flows.share import Share
from infra.order_metrics import OrderMetrics
from infra.process import spawn, stop
from infra.supervisor import BAD_CONFIGURATION

T = TypeVar("T")
log = logging.getLogger("infra.jobs")

FLOWS = ("replay", "index", "link")
AT_ONCE = 2
"""Orders worked on at the same time; the others wait their turn, oldest first."""
DEATHS = 12
"""A run that dies more often than this is given up, and its order with it, until `passage up` is started anew."""
LONGEST_PAUSE_S = 30.0
"""Between the death of a run and its next start."""


class Run(Protocol):
    """One bounded run; `subprocess.Popen` is one."""

    def poll(self) -> int | None:
        """None while it runs, else its exit status."""


class Launcher(Protocol):
    """How runs are started and ended."""

    def start(self, flow: str, share: Share, order_file: Path, log: Path) -> Run:
        """Start one."""

    def end(self, run: Run) -> None:
        """End it, now or within seconds."""


class Progress(msgspec.Struct, kw_only=True):
    """`orders/<id>.progress.json`: what the gate shows of an order."""

    state: Literal["waiting", "running", "done", "failed"] = "waiting"
    seconds_asked: float = 0.0
    seconds_done: float = 0.0
    passages: int = 0
    message: str = ""


class FlowReport(msgspec.Struct, frozen=True, kw_only=True):
    """`orders/<id>.<flow>.json`: what a flow says of its own run."""

    seconds_asked: float = 0.0
    seconds_done: float = 0.0
    passages: float = 0
    message: str = ""


@dataclass(slots=True)
class Job:
    """One order at work."""

    order: ReplayOrder
    file: Path
    left: dict[str, Run | None] = field(default_factory=dict)
    """Runs that have not finished, by name."""
    deaths: dict[str, int] = field(default_factory=dict)
    not_before: dict[str, float] = field(default_factory=dict)
    said: Progress | None = None


class Jobs:
    """Everything that is asked for in `folder`; call `tick` about once a second."""

    def __init__(
        self,
        site: Site,
        launcher: Launcher,
        delete_topics: Callable[[Iterable[str]], None],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
        metrics: OrderMetrics | None = None,
    ) -> None:
        self.site = site
        self.folder = site.data / "orders"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._launcher = launcher
        self._delete_topics = delete_topics
        self._clock = clock
        self._now = now
        self._free = free
        self._metrics = metrics or OrderMetrics()
        self._jobs: dict[str, Job] = {}
        self._refused: dict[str, int] = {}
        """Order files already found bad, by their modification time, so that each is told once."""
        self._files: dict[Path, StatusFile] = {}

    def tick(self) -> None:
        """One round: closures first, then new orders, then the runs."""
        for file in sorted(self.folder.glob("*.close")):
            if not file.with_suffix(".closed").exists():
                self._close(file)
        for file in sorted(self.folder.glob("*.order"), key=lambda f: (f.stat().st_mtime_ns, f.name)):
            if len(self._jobs) >= AT_ONCE:
                break
            if file.stem not in self._jobs and not file.with_suffix(".close").exists():
                self._take(file)
        for job in list(self._jobs.values()):
            if self._now() >= job.order.expires_at and not self._prolonged(job):
                self._end_runs(job)
                self._finish(job, "failed", "the order has expired")
            else:
                self._advance(job)
        self._metrics.at_work.set(len(self._jobs))

    def _prolonged(self, job: Job) -> bool:
        """Whether the gate has signed the order anew, with a later end; its runs then go on."""
        try:
            job.order = self._signed(job.file)
        except (OrderError, OSError):
            return False
        return True

    def _signed(self, file: Path) -> ReplayOrder:
        order = read_order(file.read_bytes(), load_orders_key(self.site.data / "keys" / "public"), self._now())
        if order.id != file.stem:
            raise OrderError(f"{file.name} holds the order {order.id}: it was renamed, and is not obeyed")
        return order

    def end(self) -> None:
        """End every run; the next start goes on where they were."""
        for job in self._jobs.values():
            self._end_runs(job)

    @property
    def working(self) -> tuple[str, ...]:
        """Ids of the orders at work."""
        return tuple(self._jobs)

    def _take(self, file: Path) -> None:
        progress = self._progress_file(file.stem)
        known = _read(progress, Progress)
        if known is not None and known.state == "done":
            return
        stamp = file.stat().st_mtime_ns
        if self._refused.get(file.stem) == stamp:
            return
        try:
            order = self._signed(file)
        except FileNotFoundError:
            return
        except OrderError as fault:
            log.error("%s: %s", file.name, fault)
            self._refused[file.stem] = stamp
            if isinstance(fault, OrderExpired):
                self._written(progress, Progress(state="failed", message=str(fault)))
            return
        if any(job.order.scope == order.scope for job in self._jobs.values()):
            return  # an amendment's order shares topics and positions with the first: one after the other
        finished = self._finished(order.id)
        runs = [name for name in self._run_names() if name not in finished]
        job = Job(order, file, dict.fromkeys(runs))
        self._jobs[order.id] = job
        log.info(
            "order %s of %s: %d cameras, %d intervals", order.id, order.scope, len(order.cameras), len(order.intervals)
        )
        self._tell(job, "running")

    def _run_names(self) -> list[str]:
        count = self.site.index.order_processes
        # With another number of processes the shares are others too: what one has finished says nothing of them.
        return ["replay", *(f"index{Share(n, count).suffix}" for n in range(count)), "link"]

    def _advance(self, job: Job) -> None:
        now = self._clock()
        for name, run in list(job.left.items()):
            if run is None:
                if now >= job.not_before.get(name, 0.0):
                    job.left[name] = self._start(job, name)
                continue
            status = run.poll()
            if status is None:
                continue
            if status == 0:
                if self._remember_finished(job.order.id, name):
                    del job.left[name]
                    log.info("order %s: %s has finished", job.order.id, name)
                continue
            job.left[name] = None
            # Without room a run cannot keep its positions either: its death says nothing against the order.
            full = self._free(self.folder) < LEAST_FREE_BYTES
            job.deaths[name] = job.deaths.get(name, 0) + (not full)
            self._metrics.deaths.labels(name.partition("-")[0]).inc()
            job.not_before[name] = now + (
                LONGEST_PAUSE_S if full else min(0.5 * 2 ** job.deaths[name], LONGEST_PAUSE_S)
            )
            log.warning("order %s: %s ended with status %d", job.order.id, name, status)
            if status == BAD_CONFIGURATION or job.deaths[name] > DEATHS:
                self._end_runs(job)
                why = _last_line(self._log(job.order.id, name))
                self._finish(job, "failed", f"{name} ended with status {status}: {why}")
                self._refused[job.order.id] = job.file.stat().st_mtime_ns if job.file.exists() else 0
                return
        if job.left:
            self._tell(job, "running")
        else:
            self._finish(job, "done", "")

    def _start(self, job: Job, name: str) -> Run:
        flow, _, share = name.partition("-")
        place = Share.parse(share.replace("-of-", "/")) if share else Share()
        return self._launcher.start(flow, place, job.file, self._log(job.order.id, name))

    def _log(self, order: str, name: str) -> Path:
        folder = self.site.data / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"order-{order}-{name}.log"

    def _end_runs(self, job: Job) -> None:
        for name, run in job.left.items():
            if run is not None:
                self._launcher.end(run)
                job.left[name] = None

    def _finish(self, job: Job, state: Literal["done", "failed"], message: str) -> None:
        if not self._tell(job, state, message):
            return  # the next round tries again, as soon as there is room
        del self._jobs[job.order.id]
        self._metrics.ended.labels(state).inc()
        log.info("order %s: %s %s", job.order.id, state, message)

    def _tell(self, job: Job, state: Literal["running", "done", "failed"], message: str = "") -> bool:
        """Whether the gate can read it."""
        reports = {name: self._reports(job.order.id, name) for name in FLOWS}
        asked = sum((i.end - i.start).total_seconds() for _, i in job.order.stretches())
        indexed, replayed = reports["index"], reports["replay"]
        said = Progress(
            state=state,
            seconds_asked=max((r.seconds_asked for r in replayed), default=0.0) or asked,
            seconds_done=sum(r.seconds_done for r in indexed),
            passages=round(sum(r.passages for r in indexed)),
            message=message or "; ".join(r.message for own in reports.values() for r in own if r.message),
        )
        if said != job.said and self._written(self._progress_file(job.order.id), said):
            if job.said is not None:  # what was done before this process began is not its work
                self._metrics.camera_seconds.inc(max(0.0, said.seconds_done - job.said.seconds_done))
                self._metrics.passages.inc(max(0, said.passages - job.said.passages))
            job.said = said
        return said == job.said

    def _reports(self, order: str, flow: str) -> list[FlowReport]:
        """What the flow's runs say: `orders/<id>.<flow>.json`, or one such file a share."""
        files = sorted(self.folder.glob(f"{order}.{flow}.json")) + sorted(self.folder.glob(f"{order}.{flow}-*.json"))
        return [report for file in files if (report := _read(file, FlowReport)) is not None]

    def _close(self, file: Path) -> None:
        try:
            closure = read_close(file.read_bytes(), load_orders_key(self.site.data / "keys" / "public"))
            if closure.id != file.stem:
                raise OrderError(f"{file.name} holds the closure of {closure.id}: it was renamed, and is not obeyed")
        except FileNotFoundError:
            return
        except OrderError as fault:
            if self._refused.get(file.name) != (stamp := file.stat().st_mtime_ns):
                log.error("%s: %s", file.name, fault)
                self._refused[file.name] = stamp
            return
        job = self._jobs.pop(closure.id, None)
        if job is not None:
            self._end_runs(job)
        try:
            self._delete_topics(
                (topics.frames(closure.scope), topics.passages(closure.scope), topics.dead(closure.scope))
            )
        except BrokerError as fault:
            log.warning("closure %s waits for the broker: %s", closure.id, fault)
            return
        for flow in FLOWS:
            for folder in (self.site.data / "recovery").glob(f"{flow}-{closure.scope}*"):
                if folder.name == f"{flow}-{closure.scope}" or "-of-" in folder.name:
                    shutil.rmtree(folder, ignore_errors=True)
        for old in (self.site.data / "logs").glob(f"order-{closure.id}-*.log"):
            old.unlink(missing_ok=True)
        file.with_suffix(".closed").touch()
        log.info("order %s of %s is closed: runs ended, topics and positions removed", closure.id, closure.scope)

    def _progress_file(self, order: str) -> Path:
        return self.folder / f"{order}.progress.json"

    def _finished(self, order: str) -> set[str]:
        return set(_read(self.folder / f"{order}.finished.json", list[str]) or ())

    def _remember_finished(self, order: str, name: str) -> bool:
        return self._written(self.folder / f"{order}.finished.json", sorted(self._finished(order) | {name}))

    def _written(self, file: Path, what: object) -> bool:
        return self._files.setdefault(file, StatusFile(file)).write(msgspec.json.encode(what))


class Processes:
    """Runs as child processes; each also keeps its own recovery folder, so that a new one goes on where it died."""

    def __init__(self, site: Site, file: Path) -> None:
        self._site = site
        self._file = file

    def start(self, flow: str, share: Share, order_file: Path, log: Path) -> Run:
        """Start one, bound to this process's life."""
        command = [sys.executable, "-m", f"flows.{flow}", "--site", str(self._file), "--order", str(order_file)]
        if share.count > 1:
            command += ["--share", str(share)]
        return spawn(command, log=log)

    def end(self, run: Run) -> None:
        """Let it drain; kill it after its time."""
        assert isinstance(run, subprocess.Popen)  # noqa: S101
        stop(run, grace_s=5.0)


def delete_topics(broker: Broker, names: Iterable[str]) -> None:
    """Delete those of them that are there. Raises BrokerError while any may still be.

    The broker's listing is not asked: it leaves out, without a word, what its user may not see, and then nothing would
    be deleted and all would seem to be.
    """
    for name in names:
        broker.delete_topic(name)


def _read(file: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _last_line(file: Path) -> str:
    try:
        lines = [line for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return lines[-1][:300] if lines else ""


def main() -> int:
    """Work on a site's orders until SIGTERM."""
    if len(sys.argv) != 3 or sys.argv[1] != "--site":
        sys.stderr.write("usage: python -m infra.jobs --site site.toml\n")
        return BAD_CONFIGURATION
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    file = Path(sys.argv[2]).resolve()
    try:
        site = load_site(file)
    except SiteError as fault:
        log.error("%s", fault)
        return BAD_CONFIGURATION
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())

    metrics = OrderMetrics()
    try:
        serve(site.metrics_port + METRICS["jobs"], metrics.registry)
    except FlowError as fault:
        log.error("%s", fault)
        return BAD_CONFIGURATION
    jobs = Jobs(
        site,
        Processes(site, file),
        lambda names: delete_topics(site_broker(site, "indexer"), names),
        metrics=metrics,
    )
    while not asked.is_set():
        try:
            jobs.tick()
        except (ConnectorError, OSError) as fault:
            log.error("%s: %s; trying again", type(fault).__name__, fault)
        asked.wait(0.5)
    jobs.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
