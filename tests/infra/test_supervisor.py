# SPDX-License-Identifier: AGPL-3.0-or-later
"""The watch over a stack, with processes and a clock of the test's own."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from infra.services import Service
from infra.supervisor import Patience, Supervisor


@dataclass
class Process:
    pid: int
    status: int | None = None

    def poll(self) -> int | None:
        return self.status


@dataclass
class World:
    """Everything outside the supervisor."""

    now: float = 0.0
    started: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    alive: dict[str, Process] = field(default_factory=dict)
    sick: set[str] = field(default_factory=set)
    stubborn: set[str] = field(default_factory=set)
    unstartable: set[str] = field(default_factory=set)
    count: int = 0

    def clock(self) -> float:
        return self.now

    def name(self, child: Process) -> str:
        return next(name for name, p in self.alive.items() if p is child)

    def start(self, service: Service) -> Process:
        if service.name in self.unstartable:
            raise OSError(28, "No space left on device")
        self.count += 1
        self.started.append(service.name)
        self.alive[service.name] = Process(self.count)
        return self.alive[service.name]

    def end(self, child: Process) -> None:
        self.ended.append(self.name(child))
        if self.name(child) not in self.stubborn:
            child.status = 0

    def kill(self, child: Process) -> None:
        if child.status is None:
            self.killed.append(self.name(child))
            child.status = -9

    def why(self, service: Service) -> str:
        return f"{service.name} said so"

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def die(self, name: str, status: int = 1) -> None:
        self.alive[name].status = status

    def service(self, name: str, *needs: str, settings: str = "", may_finish: bool = False) -> Service:
        return Service(
            name=name,
            group="flows",
            command=(name,),
            probe=lambda: name not in self.sick,
            needs=needs,
            settings=settings,
            may_finish=may_finish,
        )


@pytest.fixture
def world() -> World:
    return World()


def run(supervisor: Supervisor, world: World, seconds: float = 0.0, step: float = 0.2) -> None:
    until = world.now + seconds
    supervisor.tick()
    while world.now < until:
        world.now += step
        supervisor.tick()


def states(supervisor: Supervisor) -> dict[str, str]:
    return {name: w.state for name, w in supervisor.watched.items()}


def test_a_service_waits_for_what_it_needs(world: World) -> None:
    world.sick = {"kafka"}
    supervisor = Supervisor([world.service("kafka"), world.service("record", "kafka")], world, world.clock)
    run(supervisor, world, 5)
    assert world.started == ["kafka"]
    world.sick = set()
    run(supervisor, world, 1)
    assert world.started == ["kafka", "record"]
    assert supervisor.settled


def test_what_finds_no_room_to_start_is_tried_again_and_ends_no_other(world: World) -> None:
    world.unstartable = {"a"}
    supervisor = Supervisor([world.service("a"), world.service("b")], world, world.clock)
    run(supervisor, world, 3)
    assert states(supervisor)["b"] == "running" and states(supervisor)["a"] != "running"
    assert "No space left" in supervisor.watched["a"].message
    world.unstartable = set()
    run(supervisor, world, 60)
    assert states(supervisor) == {"a": "running", "b": "running"}


def test_what_dies_is_started_again_after_a_growing_pause(world: World) -> None:
    supervisor = Supervisor([world.service("a")], world, world.clock)
    run(supervisor, world, 1)
    pauses = []
    for _ in range(4):
        world.die("a", -9)
        supervisor.tick()
        died, before = world.now, len(world.started)
        while len(world.started) == before:
            world.now += 0.1
            supervisor.tick()
        pauses.append(world.now - died)
        run(supervisor, world, 0.4)
    assert pauses == sorted(pauses) and pauses[0] <= 0.7 and pauses[-1] >= 3.9
    assert "killed by signal 9: a said so" in supervisor.watched["a"].message or supervisor.settled


def test_what_keeps_dying_is_given_up_for_a_while(world: World) -> None:
    supervisor = Supervisor([world.service("a")], world, world.clock, Patience(deaths=3, given_up_s=100))
    for _ in range(4):
        run(supervisor, world, 31)
        world.die("a")
        supervisor.tick()
    assert states(supervisor) == {"a": "failed"}
    assert "ended with status 1: a said so" in supervisor.watched["a"].message
    started = len(world.started)
    run(supervisor, world, 90)
    assert len(world.started) == started
    run(supervisor, world, 15)
    assert len(world.started) == started + 1


def test_a_refused_configuration_is_given_up_at_once(world: World) -> None:
    supervisor = Supervisor([world.service("a")], world, world.clock)
    run(supervisor, world, 1)
    world.die("a", 2)
    run(supervisor, world, 60)
    assert states(supervisor) == {"a": "failed"}
    assert world.started == ["a"]


def test_a_capture_of_files_may_finish_and_nothing_else(world: World) -> None:
    supervisor = Supervisor([world.service("capture", may_finish=True), world.service("record")], world, world.clock)
    run(supervisor, world, 1)
    world.die("capture", 0)
    world.die("record", 0)
    run(supervisor, world, 2)
    assert states(supervisor) == {"capture": "finished", "record": "running"}
    assert world.started == ["capture", "record", "record"]
    assert supervisor.settled


def test_who_needs_what_only_finishes_waits_until_it_has(world: World) -> None:
    world.sick = {"users"}  # it never answers
    services = [world.service("kafka"), world.service("users", "kafka", may_finish=True)]
    services.append(world.service("record", "kafka", "users"))
    supervisor = Supervisor(services, world, world.clock)
    run(supervisor, world, 60)
    assert states(supervisor) == {"kafka": "running", "users": "starting", "record": "waiting"}
    assert not supervisor.settled
    world.die("users", 1)
    run(supervisor, world, 5)
    assert world.started == ["kafka", "users", "users"] and states(supervisor)["record"] == "waiting"
    world.die("users", 0)
    run(supervisor, world, 2)
    assert states(supervisor) == {"kafka": "running", "users": "finished", "record": "running"}
    assert supervisor.settled
    run(supervisor, world, 200)
    assert world.started == ["kafka", "users", "users", "record"] and not world.killed


def test_a_frozen_process_is_killed_and_started_again(world: World) -> None:
    supervisor = Supervisor([world.service("a")], world, world.clock, Patience(unhealthy_s=20))
    run(supervisor, world, 5)
    world.sick = {"a"}
    run(supervisor, world, 10)
    assert states(supervisor) == {"a": "unhealthy"} and not world.killed
    run(supervisor, world, 15)
    assert world.killed == ["a"]
    world.sick = set()
    run(supervisor, world, 3)
    assert supervisor.settled and supervisor.watched["a"].restarts == 1


def test_one_that_never_answers_does_not_hang_the_start(world: World) -> None:
    world.sick = {"a"}
    supervisor = Supervisor([world.service("a")], world, world.clock)
    run(supervisor, world, 190)
    assert world.killed == ["a"]
    assert supervisor.watched["a"].restarts == 1


def test_nobody_ends_before_those_that_need_it(world: World) -> None:
    services = [world.service("kafka"), world.service("store"), world.service("gate", "store")]
    services += [world.service("record", "kafka", "gate"), world.service("page", "gate")]
    supervisor = Supervisor(services, world, world.clock)
    run(supervisor, world, 2)
    supervisor.end(world.wait)
    place = {name: n for n, name in enumerate(world.ended)}
    assert set(place) == {s.name for s in services} and not world.killed
    for service in services:
        assert all(place[service.name] < place[need] for need in service.needs)


def test_what_does_not_end_is_killed_in_its_time(world: World) -> None:
    world.stubborn = {"a"}
    supervisor = Supervisor([world.service("a"), world.service("b")], world, world.clock)
    run(supervisor, world, 1)
    began = world.now
    supervisor.end(world.wait)
    assert world.killed == ["a"] and world.now - began < 11
    assert set(states(supervisor).values()) == {"stopped"}


def test_a_change_touches_only_what_it_changes(world: World) -> None:
    supervisor = Supervisor(
        [world.service("kafka"), world.service("capture", "kafka", may_finish=True), world.service("old", "kafka")],
        world,
        world.clock,
    )
    run(supervisor, world, 1)
    world.die("capture", 0)
    run(supervisor, world, 1)
    world.started.clear()
    changed = supervisor.change(
        [
            world.service("kafka"),
            world.service("capture", "kafka", settings="second pass", may_finish=True),
            world.service("index", "kafka"),
        ]
    )
    run(supervisor, world, 2)
    assert sorted(changed) == ["capture", "old"]
    assert sorted(world.started) == ["capture", "index"]
    assert states(supervisor) == {"kafka": "running", "capture": "running", "index": "running"}
    assert supervisor.watched["capture"].restarts == 0
    assert world.ended == ["old"]


@pytest.mark.parametrize("meanwhile", ["gone", "another"])
def test_what_is_wanted_again_while_it_ends_is_started_as_it_was(world: World, meanwhile: str) -> None:
    world.stubborn = {"index"}
    services = [world.service("kafka"), world.service("index", "kafka")]
    supervisor = Supervisor(services, world, world.clock)
    run(supervisor, world, 1)
    supervisor.change(services[:1] if meanwhile == "gone" else [services[0], world.service("index", settings="new")])
    run(supervisor, world, 5)
    supervisor.change(services)
    run(supervisor, world, 10)
    assert world.started == ["kafka", "index", "index"]
    assert states(supervisor) == {"kafka": "running", "index": "running"}
    assert supervisor.watched["index"].service.settings == ""


def test_a_change_kills_what_does_not_end(world: World) -> None:
    world.stubborn = {"a"}
    supervisor = Supervisor([world.service("a")], world, world.clock)
    run(supervisor, world, 1)
    supervisor.change([world.service("a", settings="new")])
    run(supervisor, world, 5)
    assert not world.killed
    run(supervisor, world, 10)
    assert world.killed == ["a"] and world.started == ["a", "a"] and supervisor.settled


def test_an_unknown_need_is_refused(world: World) -> None:
    with pytest.raises(ValueError, match="a needs nothing-of-the-kind"):
        Supervisor([world.service("a", "nothing-of-the-kind")], world, world.clock)
