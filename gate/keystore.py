# SPDX-License-Identifier: AGPL-3.0-or-later
"""The private keys of days and of requisitions' exhibits, in files that the gate alone reads.

Destroying a key destroys, at once and everywhere, everything sealed to it: recordings, pictures, copies, backups. The
folder carries a `CACHEDIR.TAG`, so that backups that honour it leave the keys out; `docs/gate.md` says how to keep a
spare under a key that goes out with the retention.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from connectors.errors import KeyUnavailable
from connectors.gop import Seal
from connectors.sealing import open_data_key
from connectors.whole_file import sync_folder, write_whole
from gate.secrets import write_private

AHEAD_DAYS = 7
"""Public keys are written this far ahead, so that capture goes on while the gate is away."""
BEHIND_DAYS = 30
"""And this far back, for recordings that are taken in after the fact."""
log = logging.getLogger("gate.keystore")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_EXHIBIT = re.compile(r"exhibit-[A-Za-z0-9]{1,60}\Z")
_TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# Keys that must not be backed up in clear: see docs/gate.md.\n"


class Keystore:
    """Makes, publishes, uses and destroys key pairs. A key pair's name is a UTC day, or `exhibit-<requisition>`."""

    def __init__(self, folder: Path, public: Path, clock: Callable[[], datetime]) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        public.mkdir(parents=True, exist_ok=True)
        if not (folder / "CACHEDIR.TAG").exists():
            write_private(folder / "CACHEDIR.TAG", _TAG)
        self._folder = folder
        self._public = public
        self._clock = clock
        self._held: dict[str, X25519PrivateKey] = {}

    def publish(self, oldest: datetime) -> list[str]:
        """Make the key pairs of the days from the retention limit to a week ahead; the days newly made.

        A day whose key was destroyed is past the limit and never comes back: there is a mark in its place. So there is
        for a day that is over and whose key was lost, as after a restore: a fresh one would open nothing.
        """
        today = self._clock().astimezone(UTC).date()
        first = max(oldest.astimezone(UTC).date(), today - timedelta(days=BEHIND_DAYS))
        made: list[str] = []
        for offset in range((today - first).days + AHEAD_DAYS + 1):
            day = (first + timedelta(days=offset)).isoformat()
            if not (day < today.isoformat() and self._lost(day)) and self._make(day):
                made.append(day)
        return made

    def make_exhibit_key(self, requisition: str) -> str:
        """The key pair under which a requisition's evidence is sealed; its name."""
        name = f"exhibit-{requisition}"
        self._make(name)
        return name

    def public(self, name: str) -> X25519PublicKey:
        """The public half of a key pair held here."""
        return self._private(name).public_key()

    def data_key(self, seal: Seal, scope: str = "") -> bytes:
        """The data key inside a seal; KeyUnavailable when its key pair is destroyed or was never made.

        `scope` is there for the protocol of `connectors.keys`: the gate decides on scopes before it comes here.
        """
        return open_data_key(seal, self._private(seal.day))

    def names(self) -> list[str]:
        """Key pairs still held."""
        return sorted(p.stem for p in self._folder.glob("*.key"))

    def days(self) -> list[str]:
        """Days whose key pair is still held."""
        return [n for n in self.names() if _DAY.match(n)]

    def exhibits(self) -> set[str]:
        """Requisitions whose copy's key pair is still held."""
        return {n.removeprefix("exhibit-") for n in self.names() if _EXHIBIT.match(n)}

    def destroyed(self, name: str) -> bool:
        """Whether the key pair was there and is gone for good."""
        return (self._folder / f"{name}.destroyed").exists()

    def destroy(self, name: str) -> bool:
        """Destroy a key pair for good: overwritten, removed, marked. False when it was not there.

        Overwriting does not reach copies that a journalling file system or a flash disk keeps by itself; that is why
        the whole disk is encrypted as well (`docs/threats.md`).
        """
        path = self._path(name)
        self._held.pop(name, None)
        (self._public / f"{name}.pub").unlink(missing_ok=True)
        if not path.exists():
            return False
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.write(descriptor, os.urandom(os.fstat(descriptor).st_size))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        write_private(self._folder / f"{name}.destroyed", self._clock().isoformat().encode())
        path.unlink()
        sync_folder(self._folder)
        return True

    def _lost(self, day: str) -> bool:
        """Whether a day's private half is gone while its public half was here; marked, until a spare is put back."""
        mark, public = self._folder / f"{day}.lost", self._public / f"{day}.pub"
        if self._path(day).exists() or self.destroyed(day):
            return False
        if public.exists():
            write_private(mark, self._clock().isoformat().encode())
            public.unlink(missing_ok=True)
            log.error("the key of %s is lost: put it back into %s from its spare, if there is one", day, self._folder)
        return mark.exists()

    def _make(self, name: str) -> bool:
        path = self._path(name)
        if self.destroyed(name):
            return False
        fresh = not path.exists()
        if fresh:
            write_private(path, X25519PrivateKey.generate().private_bytes_raw())
        public = self._public / f"{name}.pub"
        if fresh or not public.exists():
            pem = self._private(name).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            write_public(public, pem)
        return fresh

    def _private(self, name: str) -> X25519PrivateKey:
        path = self._path(name)
        if name not in self._held:
            try:
                self._held[name] = X25519PrivateKey.from_private_bytes(path.read_bytes())
            except FileNotFoundError:
                marks = (m for m in ("destroyed", "lost") if (self._folder / f"{name}.{m}").exists())
                state = next(marks, "not held here")
                raise KeyUnavailable(f"the key of {name} is {state}: what it sealed stays closed") from None
        elif not path.exists():
            # Destroyed by another process of the gate: what is held in memory goes as well.
            del self._held[name]
            raise KeyUnavailable(f"the key of {name} is destroyed: what it sealed stays closed")
        return self._held[name]

    def _path(self, name: str) -> Path:
        if not (_DAY.match(name) or _EXHIBIT.match(name)):
            raise KeyUnavailable(f"{name!r} names no key pair")
        return self._folder / f"{name}.key"


def write_public(path: Path, data: bytes) -> None:
    """Write a file that every component may read, whole or not at all."""
    write_whole(path, data, mode=0o644)
