# SPDX-License-Identifier: AGPL-3.0-or-later
"""Small files that are there whole or not at all, whoever reads them and whenever the machine stops."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, data: bytes, *, mode: int | None = None, durable: bool = False) -> None:
    """Write a file under another name and give it its own when it is whole. The folder must exist.

    Args:
        path: the file.
        data: all of it.
        mode: its permissions, never wider even for a moment; None leaves them to the process's umask.
        durable: its bytes are on the disk before this returns; `sync_folder` makes its name last too.

    Raises:
        OSError: it could not be written; nothing is left behind, and what was there before still is.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666 if mode is None else mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(descriptor, mode)
            file.write(data)
            if durable:
                file.flush()
                os.fsync(descriptor)
        os.replace(fresh, path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
