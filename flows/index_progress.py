# SPDX-License-Identifier: AGPL-3.0-or-later
"""How far the indexing of an order has come: seconds of camera time and passages, by stretch, then summed.

Each stretch's numbers are absolute, from the snapshotted state of its camera; what a run before a restart had told is
read back from its file, so that the sum never jumps.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from flows.progress import Progress
from flows.share import Share


@dataclass(frozen=True, slots=True)
class Told:
    """How far one stretch has come."""

    stretch: str
    """`camera@start`."""
    seconds: float
    passages: int


class IndexProgress:
    """Numbers of one bounded run, in `orders/<id>.index.json`, or `.index-<n>.json` where processes are several."""

    def __init__(self, folder: Path, order: str, share: Share) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{order}.index" if share.count == 1 else f"{order}.index-{share.index}"
        self._file = folder / f"{name}.json"
        self._progress = Progress(self._file)
        self._stretches = _read(self._file)

    def tell(self, told: Told) -> None:
        """One stretch has come so far."""
        self._stretches[told.stretch] = (round(told.seconds, 3), told.passages)
        self._write(state="running", now=False)

    def finish(self) -> None:
        """All is indexed."""
        self._write(state="done", now=True)

    def _write(self, *, state: str, now: bool) -> None:
        self._progress.tell(
            now=now,
            state=state,
            seconds_done=round(sum(s for s, _ in self._stretches.values()), 3),
            passages=sum(p for _, p in self._stretches.values()),
            **{f"seconds {name}": seconds for name, (seconds, _) in self._stretches.items()},
            **{f"passages {name}": passages for name, (_, passages) in self._stretches.items()},
        )


def _read(file: Path) -> dict[str, tuple[float, int]]:
    """The stretches that a file tells of; none where there is no file or it cannot be read."""
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        names = [key.removeprefix("seconds ") for key in raw if key.startswith("seconds ")]
        return {name: (float(raw[f"seconds {name}"]), int(raw[f"passages {name}"])) for name in names}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
