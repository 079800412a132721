# SPDX-License-Identifier: AGPL-3.0-or-later
"""Starting services in order, watching them, starting again what dies, ending them in order.

Clock and processes are injected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from infra.services import Service

State = Literal["waiting", "starting", "running", "unhealthy", "restarting", "finished", "failed", "stopped"]

BAD_CONFIGURATION = 2
"""Exit status by which every process of ours says that its configuration is refused."""


class Child(Protocol):
    """What the supervisor needs of a process; `subprocess.Popen` is one."""

    pid: int

    def poll(self) -> int | None:
        """None while it runs, else its exit status."""


class Launcher(Protocol):
    """How processes are started and ended."""

    def start(self, service: Service) -> Child:
        """Start it."""

    def end(self, child: Child) -> None:
        """Ask it to end; returns at once."""

    def kill(self, child: Child) -> None:
        """End it and whatever it started, now."""

    def why(self, service: Service) -> str:
        """The last thing it said, for a person."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits of the watch, seconds."""

    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0
    deaths: int = 8
    within_s: float = 600.0
    """More than `deaths` in this time: given up, and tried again only every `given_up_s`."""
    given_up_s: float = 300.0
    unhealthy_s: float = 45.0
    """A running process whose probe fails this long is killed and started again."""
    probe_every_s: float = 2.0
    probe_starting_every_s: float = 0.4


@dataclass(slots=True)
class Watched:
    """One service and what has become of it."""

    service: Service
    state: State = "waiting"
    child: Child | None = None
    since: float = 0.0
    """When it came into its state."""
    not_before: float = 0.0
    deaths: list[float] = field(default_factory=list)
    restarts: int = 0
    message: str = ""
    probed_at: float = -1e9
    failing_since: float | None = None
    ending_until: float | None = None
    """Set while it is being ended because its settings changed."""
    successor: Service | None = None
    gone: bool = False
    """No successor: it leaves the list once it has ended."""


class Supervisor:
    """The whole stack; call `tick` a few times a second."""

    def __init__(
        self,
        services: Sequence[Service],
        launcher: Launcher,
        clock: Callable[[], float],
        patience: Patience | None = None,
    ) -> None:
        self.watched = {s.name: Watched(s) for s in services}
        self._launcher = launcher
        self._clock = clock
        self._patience = patience or Patience()
        for w in self.watched.values():
            if unknown := set(w.service.needs) - self.watched.keys():
                raise ValueError(f"{w.service.name} needs {', '.join(sorted(unknown))}, which no service is")
            w.since = clock()

    @property
    def settled(self) -> bool:
        """Whether every service runs, or has finished what it had to do."""
        return all(w.state in ("running", "finished") for w in self.watched.values())

    @property
    def failed(self) -> list[Watched]:
        """Services that were given up."""
        return [w for w in self.watched.values() if w.state == "failed"]

    def tick(self) -> None:
        """One round: bury the dead, probe the living, start what may start."""
        now = self._clock()
        for w in list(self.watched.values()):
            if w.child is None:
                continue
            if w.ending_until is not None:
                if w.child.poll() is not None or now > w.ending_until:
                    self._launcher.kill(w.child)
                    w.child = None
                    self._succeed(w, now)
            elif (status := w.child.poll()) is not None:
                self._died(w, status, now)
        for w in self.watched.values():
            if w.child is None or w.ending_until is not None:
                continue
            patience = self._patience
            pause = patience.probe_starting_every_s if w.state == "starting" else patience.probe_every_s
            if now - w.probed_at >= pause:
                self._probe(w, now)
        for w in self.watched.values():
            if (
                w.child is None
                and w.state in ("waiting", "restarting", "failed")
                and now >= w.not_before
                and self._may_start(w)
            ):
                self._start(w, now)

    def change(self, services: Sequence[Service]) -> list[str]:
        """Take another list of services; the names of those ended, to be started anew where they are still wanted.

        A service whose description is unchanged (command, environment, settings) goes on undisturbed.
        """
        now = self._clock()
        wanted = {s.name: s for s in services}
        for service in services:
            if unknown := set(service.needs) - wanted.keys():
                raise ValueError(f"{service.name} needs {', '.join(sorted(unknown))}, which no service is")
        ended = []
        for name, w in list(self.watched.items()):
            successor = wanted.get(name)
            if successor is not None and successor.identity == w.service.identity:
                w.service = successor
                if w.ending_until is not None:  # it was to end, or to become another, and is wanted as it was after all
                    w.successor, w.gone = successor, False
                continue
            ended.append(name)
            if w.child is not None:
                self._launcher.end(w.child)
                w.ending_until = now + w.service.stop_s
                self._enter(w, "restarting", now)
            if successor is None and w.child is None:
                del self.watched[name]
            else:
                w.successor = successor
                w.gone = successor is None
                if w.child is None:
                    self._succeed(w, now)
        for name, service in wanted.items():
            if name not in self.watched:
                self.watched[name] = Watched(service, since=now)
        self.watched = {name: self.watched[name] for name in [*wanted, *(n for n in self.watched if n not in wanted)]}
        return ended

    def waves(self) -> list[list[Watched]]:
        """Services in the order in which they end: nobody before those that need it."""
        left = dict(self.watched)
        order = []
        while left:
            needed = {need for w in left.values() for need in w.service.needs}
            wave = [w for name, w in left.items() if name not in needed]
            order.append(wave)
            for w in wave:
                del left[w.service.name]
        return order

    def end(self, wait: Callable[[float], None]) -> None:
        """End everything in order; `wait(seconds)` lets time pass. What does not end in its time is killed."""
        for wave in self.waves():
            alive = [w for w in wave if w.child is not None and w.child.poll() is None]
            for w in alive:
                self._launcher.end(_child(w))
            deadline = self._clock() + max((w.service.stop_s for w in alive), default=0.0)
            while any(_child(w).poll() is None for w in alive) and self._clock() < deadline:
                wait(0.05)
            for w in wave:
                if w.child is not None:
                    self._launcher.kill(w.child)
                w.child = None
                self._enter(w, "stopped", self._clock())

    def kill(self) -> None:
        """End everything now."""
        for w in self.watched.values():
            if w.child is not None:
                self._launcher.kill(w.child)
                w.child = None

    def _succeed(self, w: Watched, now: float) -> None:
        """What was ended for a change has ended: its successor takes its place, or nobody does."""
        if w.gone:
            del self.watched[w.service.name]
            return
        assert w.successor is not None  # noqa: S101
        self.watched[w.service.name] = Watched(w.successor, since=now)

    def _may_start(self, w: Watched) -> bool:
        return all(self.watched[need].state in ("running", "unhealthy", "finished") for need in w.service.needs)

    def _start(self, w: Watched, now: float) -> None:
        try:
            w.child = self._launcher.start(w.service)
        except OSError as fault:  # no room for its log, no memory for a process: the others go on
            self._give_a_rest(w, f"cannot be started: {fault}", now)
            return
        w.failing_since = None
        w.probed_at = -1e9
        self._enter(w, "starting", now)

    def _probe(self, w: Watched, now: float) -> None:
        w.probed_at = now
        healthy = w.service.probe()
        if healthy:
            w.failing_since = None
            if w.state != "running":
                w.message = ""
                self._enter(w, "running", now)
        elif w.state == "starting":
            if now - w.since > w.service.start_s:
                self._give_a_rest(w, f"did not answer within {w.service.start_s:.0f} s", now)
        else:
            w.failing_since = now if w.failing_since is None else w.failing_since
            if w.state == "running":
                self._enter(w, "unhealthy", now)
            if now - w.failing_since > self._patience.unhealthy_s:
                self._give_a_rest(w, f"did not answer for {self._patience.unhealthy_s:.0f} s", now)

    def _died(self, w: Watched, status: int, now: float) -> None:
        if status == 0 and w.service.may_finish:
            w.child = None
            w.message = ""
            self._enter(w, "finished", now)
            return
        said = self._launcher.why(w.service)
        how = f"killed by signal {-status}" if status < 0 else f"ended with status {status}"
        self._give_a_rest(w, f"{how}{': ' + said if said else ''}", now, refused=status == BAD_CONFIGURATION)

    def _give_a_rest(self, w: Watched, message: str, now: float, refused: bool = False) -> None:
        if w.child is not None:
            self._launcher.kill(w.child)
            w.child = None
        patience = self._patience
        w.deaths = [at for at in w.deaths if now - at < patience.within_s] + [now]
        w.restarts += 1
        w.message = message
        if refused or len(w.deaths) > patience.deaths:
            w.not_before = now + patience.given_up_s
            self._enter(w, "failed", now)
        else:
            pause = min(patience.first_pause_s * 2 ** (len(w.deaths) - 1), patience.longest_pause_s)
            w.not_before = now + pause
            self._enter(w, "restarting", now)

    @staticmethod
    def _enter(w: Watched, state: State, now: float) -> None:
        w.state = state
        w.since = now


def _child(w: Watched) -> Child:
    assert w.child is not None  # noqa: S101
    return w.child
