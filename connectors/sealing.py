# SPDX-License-Identifier: AGPL-3.0-or-later
"""Payloads sealed from the camera on: who captures cannot read back, and who destroys a day's key destroys its video.

A data key (AES-256-GCM) is made in memory for each camera, hour and capture run, and sealed to the public key of its
UTC day: ephemeral X25519, HKDF-SHA-256 over both public keys, AES-256-GCM (the construction of HPKE's base mode,
RFC 9180). The record's header is the payload's associated data, except its scope, which a replay changes, and its
part numbers, which a split changes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from connectors.errors import KeyUnavailable, SealError
from connectors.gop import Gop, Seal
from connectors.records import name

KEY_BYTES = 32
NONCE_BYTES = 12
_ZERO_NONCE = bytes(NONCE_BYTES)
_INFO = b"passage data key v1\x00"
_HEADER_VERSION = 1


def day_of(at: datetime) -> str:
    """The UTC day whose key pair seals what was captured at `at`."""
    return at.strftime("%Y-%m-%d")


def seal_data_key(data_key: bytes, public_key: X25519PublicKey, key_id: str) -> bytes:
    """A data key for the holder of the day's private key alone: ephemeral public key, then ciphertext (80 bytes)."""
    ephemeral = X25519PrivateKey.generate()
    shared = ephemeral.exchange(public_key)
    mine = ephemeral.public_key().public_bytes_raw()
    wrapping = _derive(shared, mine, public_key.public_bytes_raw())
    return mine + AESGCM(wrapping).encrypt(_ZERO_NONCE, data_key, key_id.encode())


def open_data_key(seal: Seal, private_key: X25519PrivateKey) -> bytes:
    """The data key inside a seal. Raises SealError when the key pair is not the one it was sealed to."""
    if len(seal.sealed_key) < 64:
        raise SealError(f"the sealed key {seal.key_id} has {len(seal.sealed_key)} bytes, too few to be one")
    theirs, ciphertext = seal.sealed_key[:32], seal.sealed_key[32:]
    shared = private_key.exchange(X25519PublicKey.from_public_bytes(theirs))
    wrapping = _derive(shared, theirs, private_key.public_key().public_bytes_raw())
    try:
        return AESGCM(wrapping).decrypt(_ZERO_NONCE, ciphertext, seal.key_id.encode())
    except InvalidTag:
        raise SealError(f"the data key {seal.key_id} was not sealed to this key of {seal.day}") from None


def _derive(shared: bytes, ephemeral: bytes, recipient: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=_INFO + ephemeral + recipient).derive(shared)


def associated_data(gop: Gop, seal: Seal) -> bytes:
    """What of a record's header the ciphertext is bound to. The list is fixed for good; a change is a new version."""
    c = gop.codec
    return msgspec.msgpack.encode(
        [
            _HEADER_VERSION,
            [gop.camera, gop.run, gop.sequence, gop.clock, gop.frames, gop.open_gop],
            [gop.first_at.isoformat(), gop.last_at.isoformat()],
            [c.codec, c.width_px, c.height_px, c.extradata, c.framing, list(c.time_base)],
            [[p.size, p.pts_us, p.dts_us, p.keyframe] for p in gop.packets],
            gop.sha256,
            [seal.key_id, seal.day, seal.sealed_key, seal.nonce],
        ]
    )


class PublicKeys:
    """The public keys of days, one PEM file a day, `YYYY-MM-DD.pub`, written ahead of time by the gate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, X25519PublicKey] = {}

    def of(self, day: str) -> X25519PublicKey:
        """The day's key. Raises KeyUnavailable when there is none or it cannot be read."""
        if day not in self._known:
            file = self._folder / f"{day}.pub"
            try:
                key = load_pem_public_key(file.read_bytes())
            except FileNotFoundError:
                raise KeyUnavailable(
                    f"no public key of {day} in {self._folder}: start the gate, which writes them ahead; "
                    "nothing is recorded in clear while sealing is on"
                ) from None
            except (OSError, ValueError) as fault:
                raise KeyUnavailable(f"the public key {file} cannot be read: {fault}") from None
            if not isinstance(key, X25519PublicKey):
                raise KeyUnavailable(f"{file} holds no X25519 key")
            self._known[day] = key
        return self._known[day]


class Sealer:
    """Seals GOPs of one capture run. Data keys live in its memory for one hour of a camera each."""

    def __init__(self, public_keys: PublicKeys, random: Callable[[int], bytes] = os.urandom) -> None:
        self._public_keys = public_keys
        self._random = random
        self._keys: dict[str, tuple[str, bytes, bytes]] = {}
        """Camera → (key id, data key, sealed data key) of its current hour."""

    def seal(self, gop: Gop) -> Gop:
        """The GOP with its payload as ciphertext. Raises KeyUnavailable when the day has no public key."""
        if gop.seal is not None:
            raise SealError(f"GOP {name(gop)} is sealed already")
        day = day_of(gop.first_at)
        key_id = f"{gop.camera}/{gop.first_at:%Y-%m-%dT%H}/{gop.run}"
        held = self._keys.get(gop.camera)
        if held is None or held[0] != key_id:
            public_key = self._public_keys.of(day)
            data_key = self._random(KEY_BYTES)
            held = (key_id, data_key, seal_data_key(data_key, public_key, key_id))
            self._keys[gop.camera] = held
        seal = Seal(key_id=key_id, day=day, sealed_key=held[2], nonce=self._random(NONCE_BYTES))
        ciphertext = AESGCM(held[1]).encrypt(seal.nonce, gop.payload, associated_data(gop, seal))
        return msgspec.structs.replace(gop, seal=seal, payload=ciphertext)


def open_gop(gop: Gop, data_key: bytes) -> Gop:
    """The GOP with its payload in clear. Raises SealError when header or ciphertext were changed."""
    if gop.seal is None:
        return gop
    try:
        payload = AESGCM(data_key).decrypt(gop.seal.nonce, gop.payload, associated_data(gop, gop.seal))
    except InvalidTag:
        raise SealError(
            f"GOP {name(gop)} does not open with the key {gop.seal.key_id}: its header or payload was changed"
        ) from None
    return msgspec.structs.replace(gop, payload=payload, seal=None)


def seal_view(jpeg: bytes, source: Seal, data_key: bytes, reference: str) -> tuple[bytes, Seal]:
    """A picture from a sealed GOP, sealed again with the same data key and a fresh nonce, bound to `reference`."""
    seal = msgspec.structs.replace(source, nonce=os.urandom(NONCE_BYTES))
    return AESGCM(data_key).encrypt(seal.nonce, jpeg, b"view\x00" + reference.encode()), seal


def open_view(ciphertext: bytes, seal: Seal, data_key: bytes, reference: str) -> bytes:
    """The picture in clear. Raises SealError when it is not the one that `reference` names."""
    try:
        return AESGCM(data_key).decrypt(seal.nonce, ciphertext, b"view\x00" + reference.encode())
    except InvalidTag:
        raise SealError(f"the view {reference} does not open with the key {seal.key_id}") from None
