# SPDX-License-Identifier: AGPL-3.0-or-later
"""How far a bounded run has come, as one small JSON file beside its order: `orders/<id>.<flow>.json`."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

from connectors.whole_file import write_whole

log = logging.getLogger(__name__)


class StatusFile:
    """A small file by which others see how a program fares. A full disk makes it late, and ends nothing."""

    def __init__(self, file: Path, tell: Callable[[str], object] = log.warning) -> None:
        self._file = file
        self._tell = tell
        self._late = False

    def write(self, data: bytes) -> bool:
        """Whether it is written whole; the first time that it is not is told, until it is again."""
        try:
            write_whole(self._file, data)
        except OSError as fault:
            if not self._late:
                self._tell(f"{self._file} cannot be written ({fault.strerror}): it comes late, and all else goes on")
            self._late = True
            return False
        self._late = False
        return True


class Progress:
    """Numbers of one run, written whole and at most once a second."""

    def __init__(self, file: Path, every_s: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = StatusFile(file)
        self._every_s = every_s
        self._clock = clock
        self._due = 0.0
        self._known: dict[str, float | str] = {}

    def tell(self, *, now: bool = False, **numbers: float | str) -> None:
        """Set these; the file follows when a second has passed, or now."""
        self._known.update(numbers)
        if now or self._clock() >= self._due:
            self._due = self._clock() + self._every_s
            self._file.write(json.dumps(self._known).encode())
