# SPDX-License-Identifier: AGPL-3.0-or-later
"""Best views of passages in the archive: one small file each, JPEG or ciphertext, under `views/`."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

from connectors.archive_segment import write_fault
from connectors.errors import ArchiveError
from connectors.whole_file import write_whole

VIEWS = "views"
_REFERENCE = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+/\d{4}-\d\d-\d\d/[A-Za-z0-9-]+-\d+\Z")


def view_reference(scope: str, camera: str, at: datetime, passage_id: str, number: int) -> str:
    """`scope/camera/day/passage_id-n`, the day being that of capture in UTC."""
    return f"{scope}/{camera}/{at.astimezone(UTC):%Y-%m-%d}/{passage_id}-{number}"


class ArchiveViews:
    """Puts, gets and erases views."""

    def __init__(self, root: Path) -> None:
        self._root = root / VIEWS

    def put(self, scope: str, camera: str, at: datetime, passage_id: str, number: int, data: bytes) -> str:
        """Keep a view; its reference. Raises ArchiveFull, with nothing half written."""
        reference = view_reference(scope, camera, at, passage_id, number)
        file = self._file(reference)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, data, durable=True)
        except OSError as fault:
            raise write_fault(fault, f"the view {reference}") from fault
        return reference

    def get(self, reference: str) -> bytes:
        """A view. Raises ArchiveError when there is none of that name."""
        try:
            return self._file(reference).read_bytes()
        except FileNotFoundError:
            raise ArchiveError(f"the archive holds no view {reference}; it may be past its date") from None

    def erase(self, scope: str) -> None:
        """Erase a scope's views."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", scope):
            raise ArchiveError(f"{scope!r} is no scope")
        shutil.rmtree(self._root / scope, ignore_errors=True)

    def erase_before(self, moment: datetime) -> int:
        """Erase views of whole days before `moment`; how many."""
        gone = 0
        for day in self._root.glob("*/*/*"):
            if day.is_dir() and day.name < f"{moment.astimezone(UTC):%Y-%m-%d}":
                gone += sum(1 for _ in day.iterdir())
                shutil.rmtree(day)
        return gone

    def _file(self, reference: str) -> Path:
        if not _REFERENCE.match(reference) or ".." in reference:
            raise ArchiveError(f"{reference!r} is no reference of a view")
        return self._root / reference
