# SPDX-License-Identifier: AGPL-3.0-or-later
"""Secrets in files that only their process reads, and the vault that seals small secrets at rest."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from connectors.errors import SiteError
from connectors.whole_file import sync_folder, write_whole
from gate.errors import Unavailable


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only this user may read (0600), on the disk before this returns."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(path, data, mode=0o600, durable=True)
    sync_folder(path.parent)


def made_once(path: Path, size: int = 32) -> str:
    """The secret kept in `path`, made at the first call: URL-safe text of `size` random bytes."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(size).encode())
    return read_secret(path)


def read_secret(path: Path) -> str:
    """The secret kept in `path`; Unavailable, saying how to make it, when there is none."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise Unavailable(f"no secret at {path}: run `python -m gate.setup --site SITE`") from None


def secret_hash(secret: str) -> str:
    """SHA-256 in hexadecimal: a secret of 256 random bits needs no slow hash. ClickHouse takes it as `sha256_hash`."""
    return hashlib.sha256(secret.encode()).hexdigest()


def indexer_token_hash(secrets_dir: Path) -> str:
    """The hash of the token with which the indexer asks for data keys; both are made at the first call.

    The token lies in the indexer's folder, beside the indexer's secret of the store. A gate that may not see that
    folder (in a container of its own, or as a user of its own) goes by the hash that set-up left in the gate's folder.
    Raises SiteError when there is none and the token cannot be made from here.
    """
    token, held = secrets_dir / "indexer" / "gate-token", secrets_dir / "gate" / "indexer-token.sha256"
    if held.exists() and not os.access(token.parent, os.R_OK | os.W_OK | os.X_OK):
        return read_secret(held)
    try:
        found = secret_hash(made_once(token))
        if not held.exists() or read_secret(held) != found:
            write_private(held, found.encode())
    except OSError as fault:
        advice = "run `python -m infra.store_server --site SITE --init`"
        raise SiteError([f"{token} cannot be made from here ({fault.strerror}): {advice}"]) from None
    return found


def signing_key(path: Path) -> Ed25519PrivateKey:
    """The Ed25519 key kept in `path` (32 raw bytes), made at the first call."""
    if not path.exists():
        fresh = Ed25519PrivateKey.generate()
        write_private(path, fresh.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
    return Ed25519PrivateKey.from_private_bytes(path.read_bytes())


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """The 32 raw bytes of its public half."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


class Vault:
    """Seals what lies at rest beside the database: one-time-code secrets and scanned documents."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            write_private(path, AESGCM.generate_key(bit_length=256))
        self._box = AESGCM(path.read_bytes())

    def seal(self, clear: bytes, label: str) -> bytes:
        """Ciphertext that opens under the same label only."""
        nonce = os.urandom(12)
        return nonce + self._box.encrypt(nonce, clear, label.encode())

    def open(self, sealed: bytes, label: str) -> bytes:
        """What was sealed; Unavailable when the bytes or the label are not the ones sealed."""
        try:
            return self._box.decrypt(sealed[:12], sealed[12:], label.encode())
        except InvalidTag:
            raise Unavailable(f"{label} does not open with this site's vault key: restore secrets/gate/vault") from None
