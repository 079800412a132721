# SPDX-License-Identifier: AGPL-3.0-or-later
"""Best views of passages in the archive: one small file each, JPEG or ciphertext, under `views/`.

They lie by the UTC hour of their capture and go by it: a whole hour as soon as the retention limit stands in it.
"""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connectors.archive_segment import write_fault
from connectors.errors import ArchiveError, ViewGone
from connectors.whole_file import write_whole

VIEWS = "views"
_REFERENCE = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+/\d{4}-\d\d-\d\d(?:T\d\d)?/[A-Za-z0-9-]+-\d+\Z")
"""Before they lay by the hour, views lay by the day."""


def view_reference(scope: str, camera: str, at: datetime, passage_id: str, number: int) -> str:
    """`scope/camera/YYYY-MM-DDTHH/passage_id-n`, the hour being that of capture in UTC."""
    return f"{scope}/{camera}/{at.astimezone(UTC):%Y-%m-%dT%H}/{passage_id}-{number}"


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
        """A view. Raises ViewGone when it is not held any more, ArchiveError for what is no reference."""
        try:
            return self._file(reference).read_bytes()
        except FileNotFoundError:
            raise ViewGone(f"the archive holds no view {reference}; it may be past its date") from None

    def erase(self, scope: str) -> None:
        """Erase a scope's views."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", scope):
            raise ArchiveError(f"{scope!r} is no scope")
        shutil.rmtree(self._root / scope, ignore_errors=True)

    def hours(self) -> list[Path]:
        """The folders of hours that are held, and of days from before views lay by the hour."""
        return [folder for folder in self._root.glob("*/*/*") if folder.is_dir()]

    def before(self, moment: datetime) -> list[Path]:
        """Those that began before `moment`: what they hold may have been captured before it."""
        last = f"{moment.astimezone(UTC) - timedelta(microseconds=1):%Y-%m-%dT%H}"
        return [folder for folder in self.hours() if folder.name <= last]

    def erase_before(self, moment: datetime) -> int:
        """Erase every view captured before `moment`, and what else its hour holds; how many."""
        gone = 0
        for folder in self.before(moment):
            gone += sum(1 for _ in folder.iterdir())
            shutil.rmtree(folder)
        return gone

    def _file(self, reference: str) -> Path:
        if not _REFERENCE.match(reference) or ".." in reference:
            raise ArchiveError(f"{reference!r} is no reference of a view")
        return self._root / reference
