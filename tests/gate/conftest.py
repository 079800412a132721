# SPDX-License-Identifier: AGPL-3.0-or-later
"""The gate waits for its disk at every entry of the journal; its tests do so in memory, which takes no time."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gate.client import GateClient
from gate.messages import Act
from tests.gate.town import Town

ACTS: tuple[Act, ...] = ("rewind", "search", "picture", "video", "trace", "export")
MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory where the machine has such, else on the disk."""
    with in_memory() as folder:
        yield folder


class in_memory:
    """A temporary folder that goes away."""

    def __init__(self) -> None:
        base = MEMORY if os.access(MEMORY, os.W_OK) else None
        self._folder = tempfile.TemporaryDirectory(prefix="passage-gate-", dir=base)

    def __enter__(self) -> Path:
        return Path(self._folder.name)

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


@pytest.fixture(scope="module")
def made_case(made_town: Town, tmp_path_factory: pytest.TempPathFactory) -> tuple[Town, str]:
    town = made_town.copy(tmp_path_factory.mktemp("case") / "var")
    requisition = town.opened()
    town.index(requisition)
    town.index("live")
    return town, requisition


@pytest.fixture
def case(made_case: tuple[Town, str], tmp_path: Path) -> tuple[Town, str, GateClient, str]:
    """An open and indexed requisition, the technician's client and an all-embracing grant."""
    made, requisition = made_case
    town = made.copy(tmp_path / "case")
    tech = town.client("tech")
    return town, requisition, tech, tech.grant(requisition, ACTS).id
