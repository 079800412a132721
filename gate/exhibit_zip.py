# SPDX-License-Identifier: AGPL-3.0-or-later
"""A ZIP that is written while it is sent: nothing of it lies on a disk of the gate's. Stored, not compressed."""

from __future__ import annotations

import hashlib
import io
import zipfile
from datetime import datetime


class _Sink(io.RawIOBase):
    """Takes what the ZIP writes and gives it away."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


class StreamedZip:
    """Files one after another; `sums` holds the SHA-256 and size of each."""

    def __init__(self, folder: str, at: datetime) -> None:
        self.folder = folder
        self.sums: dict[str, tuple[str, int]] = {}
        self._at = at.timetuple()[:6]
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_STORED)

    def add(self, name: str, data: bytes) -> bytes:
        """Add a file; the bytes to send on."""
        if name in self.sums:
            raise ValueError(f"{name} is in the package already")
        self.sums[name] = (hashlib.sha256(data).hexdigest(), len(data))
        entry = zipfile.ZipInfo(f"{self.folder}/{name}", self._at)
        entry.external_attr = 0o644 << 16
        self._zip.writestr(entry, data)
        return self._sink.take()

    def close(self) -> bytes:
        """The end of the ZIP."""
        self._zip.close()
        return self._sink.take()
