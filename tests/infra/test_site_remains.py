# SPDX-License-Identifier: AGPL-3.0-or-later
"""A refused site file: what is wrong with the machine is told with what is wrong with the file."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from connectors.errors import SiteError
from infra import stack
from infra.ports import free_port
from infra.site_remains import site_remains
from infra.stack_state import StackLock

CAMERA = '[[camera]]\nname = "place"\nlabel = "Place"\nurl = "gone.mp4"\n'
SOUND = CAMERA + "start_utc = 2026-01-01T00:00:00Z\nmasks_dwellings = true\n"


def site_file(folder: Path, *parts: str) -> Path:
    file = folder / "site.toml"
    file.write_text("\n".join(parts), encoding="utf-8")
    return file


def told(file: Path) -> list[str]:
    with pytest.raises(SiteError) as refused:
        stack.check(file)
    return refused.value.faults


def test_faults_of_the_file_and_of_the_machine_are_told_at_once(tmp_path: Path) -> None:
    port = free_port()
    file = site_file(
        tmp_path, 'name = "t"\nretention_days = 40', f"[gate]\nport = {port}\nidle_lock_minutes = 0", CAMERA
    )
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        found = told(file)
    for words in ("retention_days", "gate.idle_lock_minutes", "masks_dwellings is not confirmed", "needs start_utc"):
        assert any(words in fault for fault in found), words
    assert any(f"port {port} on 127.0.0.1 is taken" in fault for fault in found)
    assert f"camera place: its file {tmp_path / 'gone.mp4'} does not exist" in found


def test_a_running_stacks_own_ports_are_no_fault_of_a_refused_file(tmp_path: Path) -> None:
    port = free_port()
    file = site_file(tmp_path, 'name = "t"\nretention_days = 40', f"[gate]\nport = {port}", SOUND)
    remains = site_remains(file)
    assert remains is not None
    lock = StackLock(remains)
    lock.take()
    with socket.socket() as own:
        own.bind(("127.0.0.1", port))
        own.listen()
        found = told(file)
    lock.release()
    assert len(found) == 1 and "retention_days" in found[0]


@pytest.mark.parametrize(
    "parts",
    [
        ['indexing = "continuous"', SOUND],
        ['name = "t"\nindexing = "continuous"\n[continuous]\nlegal_basis = "x"', SOUND],
        ['name = "t"\nsurveillance = true\n[kafka]\nprot = 1\nport = 80\n[index]\ninput_px = [1, "a"]', SOUND],
        ['name = "t"', SOUND, SOUND],
        ['name = "t"\ncamera = "x"\ngate = 3'],
        ['name = "t"', CAMERA.replace('"place"', '"Place du Marché"'), CAMERA.replace('"gone.mp4"', "5")],
        ['name = "t"', SOUND + "position_m = [1, 2]", CAMERA.replace("place", "b") + "position_wgs84 = [49.0, 1.0]"],
        ["name = 3"],
    ],
)
def test_whatever_is_wrong_something_sound_remains(tmp_path: Path, parts: list[str]) -> None:
    site = site_remains(site_file(tmp_path, *parts))
    assert site is not None and site.cameras and site.data == tmp_path / "var"


def test_nothing_remains_of_no_toml_and_of_no_file(tmp_path: Path) -> None:
    assert site_remains(site_file(tmp_path, "name =")) is None
    assert site_remains(tmp_path / "none.toml") is None
    assert told(tmp_path / "none.toml") == [
        f"{tmp_path / 'none.toml'} does not exist; `passage new-site` writes one to start from"
    ]
