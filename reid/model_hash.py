# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which weights these are: digests of model files, and the check against the digests that a model lists."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from reid.errors import ModelHashMismatch, ModelNotFound, ModelUnreadable

METADATA_NAME = "metadata.json"
"""File beside a shipped model that lists, among others, `sha256` by file name."""


def file_sha256(path: Path) -> str:
    """Digest of one file, as lower-case hexadecimal.

    Raises:
        ModelNotFound: there is no such file, or it cannot be opened.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise ModelNotFound(f"model file {path} cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()


def weights_digest(files: Mapping[str, Path]) -> str:
    """One digest over several files, whatever their order: changes when any byte of any of them does."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}:{file_sha256(files[name])}\n".encode())
    return digest.hexdigest()


def check_listed(folder: Path, listed: Mapping[str, str]) -> None:
    """Hold the files of a model's folder against the digests it was published with.

    Raises:
        ModelHashMismatch: a file differs from what is listed.
        ModelNotFound: a listed file is not there.
    """
    for name, expected in listed.items():
        actual = file_sha256(folder / name)
        if actual != expected.lower():
            raise ModelHashMismatch(
                f"{folder / name} has sha256 {actual}, but {expected} is listed for it: "
                "the file was changed or cut short; fetch the model again or correct the listed digest"
            )


def read_metadata(folder: Path) -> dict[str, object] | None:
    """Read `metadata.json` of a model's folder, or None where the folder has none.

    Raises:
        ModelUnreadable: the file is there but is no JSON object.
    """
    path = folder / METADATA_NAME
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelUnreadable(f"{path} is not readable JSON: {error}") from error
    if not isinstance(data, dict):
        raise ModelUnreadable(f"{path} holds a {type(data).__name__}, not a JSON object")
    return data
