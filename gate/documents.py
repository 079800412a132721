# SPDX-License-Identifier: AGPL-3.0-or-later
"""Scanned requisitions and what widens them: kept sealed under their SHA-256, which stands in the register."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gate.errors import Invalid, NotFound, Unavailable
from gate.secrets import Vault, write_private

LARGEST = 25_000_000
"""Bytes."""
_KINDS = (
    (b"%PDF-", "application/pdf", "pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png", "png"),
    (b"\xff\xd8\xff", "image/jpeg", "jpg"),
    (b"II*\x00", "image/tiff", "tif"),
    (b"MM\x00*", "image/tiff", "tif"),
)
"""How a file begins, its media type, its ending."""


class Documents:
    """Keeps and gives back."""

    def __init__(self, folder: Path, vault: Vault) -> None:
        self._folder = folder
        self._vault = vault

    def keep(self, data: bytes) -> str:
        """Its SHA-256. Raises Invalid for what is no scan, or too large."""
        if kind_of(data) is None:
            raise Invalid("document: a scan is a PDF, PNG, JPEG or TIFF file")
        if len(data) > LARGEST:
            raise Invalid(f"document: {len(data)} bytes; at most {LARGEST}")
        sha256 = hashlib.sha256(data).hexdigest()
        write_private(self._folder / sha256, self._vault.seal(data, f"document {sha256}"))
        return sha256

    def destroy(self, sha256: str) -> None:
        """Destroy one that belongs to nothing any more."""
        (self._folder / sha256).unlink(missing_ok=True)

    def read(self, sha256: str) -> bytes:
        """What was kept, as it was. Raises NotFound where the file is gone, Unavailable where it has changed."""
        try:
            sealed = (self._folder / sha256).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"the document {sha256[:12]}… is not in {self._folder.name}/: restore it") from None
        data = self._vault.open(sealed, f"document {sha256}")
        if hashlib.sha256(data).hexdigest() != sha256:
            raise Unavailable(f"the document {sha256[:12]}… is not the one that was registered: restore it")
        return data


def kind_of(data: bytes) -> tuple[str, str] | None:
    """Media type and ending of a scan, by how it begins; None for anything else."""
    return next(((media, ending) for begins, media, ending in _KINDS if data.startswith(begins)), None)
