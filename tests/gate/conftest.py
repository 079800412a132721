# SPDX-License-Identifier: AGPL-3.0-or-later
"""The gate waits for its disk at every entry of the journal; its tests do so in memory, which takes no time."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

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
