# SPDX-License-Identifier: AGPL-3.0-or-later
"""The watch itself, with services, clock and disk of the test's own."""

from __future__ import annotations

import errno
import io
import itertools
import os
import signal
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from rich.console import Console

from connectors.site import CameraSite, Site
from connectors.whole_file import write_whole
from gate.messages import OperationsStatus
from infra import stack, stack_state
from infra.observer import StatusWriter, status_file
from infra.supervisor import Supervisor
from tests.infra.test_supervisor import World


class FullLog(io.StringIO):
    """A log on a disk that is full while `full` says so."""

    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    camera = CameraSite(
        name="c1", label="c1", url="x.mp4", start_utc=datetime(2026, 1, 1, tzinfo=UTC), masks_dwellings=True
    )
    site = Site(name="t", data=tmp_path, camera=[camera])
    stack_state.state_file(site).parent.mkdir()
    return site


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    seconds = itertools.count(10.0)
    monkeypatch.setattr(stack, "services", lambda site, file: [world.service("a")])
    monkeypatch.setattr(stack, "Processes", lambda logs: world)
    monkeypatch.setattr(stack, "time", SimpleNamespace(monotonic=lambda: next(seconds), sleep=world.wait))
    monkeypatch.setattr(stack, "_TICK_S", 0.0)
    return world


@pytest.mark.parametrize("log", [io.StringIO(), FullLog()])
def test_a_full_disk_is_told_once_and_ends_nothing(
    site: Site, world: World, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    ended_while_full: list[list[str]] = []

    def write(path: Path, data: bytes) -> None:
        if len(ended_while_full) < 5:
            ended_while_full.append(list(world.ended))
            raise OSError(errno.ENOSPC, "No space left on device")
        os.kill(os.getpid(), signal.SIGTERM)
        write_whole(path, data)

    monkeypatch.setattr("flows.progress.write_whole", write)
    assert stack._watch(site, Path("site.toml"), Console(file=log, width=80)) == 0
    assert ended_while_full == [[]] * 5
    assert world.started == world.ended == ["a"]
    last = stack_state.read_state(site)
    assert last is not None and [s.state for s in last.services] == ["stopped"]
    if not isinstance(log, FullLog):
        assert log.getvalue().count("cannot be written (No space left on device)") == 1
        assert "a: running" in log.getvalue()


def test_a_site_file_that_cannot_be_read_again_is_told_and_changes_nothing(site: Site, world: World) -> None:
    supervisor = Supervisor([world.service("a")], world, world.clock)
    supervisor.tick()
    log = io.StringIO()
    running, fault = stack._reload(site.data, site, supervisor, Console(file=log, width=200))
    assert running is site and "cannot be read (Is a directory)" in fault and "all goes on as before" in log.getvalue()
    assert not world.ended


def test_operations_sees_the_site_as_it_was_read_again(
    site: Site, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = site.data / "site.toml"
    camera = ["[[camera]]", 'name = "c9"', 'label = "c9"', 'url = "rtsp://127.0.0.1:9/x"', "masks_dwellings = true"]
    file.write_text("\n".join(['name = "t"', f'data = "{site.data}"', *camera]), encoding="utf-8")
    monkeypatch.setattr(stack, "StatusWriter", partial(StatusWriter, every_s=0.01))
    seen: list[list[str]] = []

    def write(path: Path, data: bytes) -> None:
        write_whole(path, data)
        if path != status_file(site):
            return
        seen.append(sorted(msgspec.json.decode(data, type=OperationsStatus).cameras))
        os.kill(os.getpid(), signal.SIGUSR1 if len(seen) == 1 else signal.SIGTERM if seen[-1] == ["c9"] else 0)

    monkeypatch.setattr("flows.progress.write_whole", write)
    assert stack._watch(site, file, Console(file=io.StringIO(), width=80)) == 0
    assert seen[0] == ["c1"] and seen[-1] == ["c9"]
