# SPDX-License-Identifier: AGPL-3.0-or-later
"""Signed orders: the gate writes them, replay and indexing obey them and nothing else.

A file is `PSGORDER1` or `PSGCLOSE1`, a newline, an Ed25519 signature (64 bytes) over all the rest, and msgpack.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from connectors.bounds import Interval
from connectors.errors import OrderError, OrderExpired, OrderForged

ORDER_MAGIC = b"PSGORDER1\n"
CLOSE_MAGIC = b"PSGCLOSE1\n"
SIGNATURE_BYTES = 64
T = TypeVar("T")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}\Z")


class ReplayOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Replay these cameras and intervals for one scope, and index them for it alone."""

    id: str
    scope: str
    """The requisition; part of topic and folder names."""
    cameras: tuple[str, ...]
    intervals: tuple[Interval, ...]
    issued_at: datetime
    expires_at: datetime
    source: Literal["archive", "exhibits"] = "archive"
    """`exhibits`: what was secured for the requisition, in `exhibits/<scope>` laid out like the archive."""

    def __post_init__(self) -> None:
        """Refuse what could not be obeyed."""
        for what, value in (("id", self.id), ("scope", self.scope)):
            if not _NAME.match(value) or value == "live":
                raise ValueError(f"order {what} {value!r} must be letters, digits, `.`, `_`, `-`, and not `live`")
        if not self.cameras or not self.intervals:
            raise ValueError(f"order {self.id} names no camera or no interval")

    def stretches(self) -> list[tuple[str, Interval]]:
        """Every (camera, interval) that it asks for, in the order in which it is replayed.

        Intervals that touch or overlap are one: a GOP across their border would otherwise come twice.
        """
        return [(camera, interval) for interval in merged(self.intervals) for camera in sorted(set(self.cameras))]


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """The same time in as few intervals as can be, in order."""
    whole: list[Interval] = []
    for interval in sorted(intervals):
        if whole and interval.start <= whole[-1].end:
            whole[-1] = Interval(whole[-1].start, max(whole[-1].end, interval.end))
        else:
            whole.append(interval)
    return whole


class CloseOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The requisition is closed: stop the runs of this order and delete its topics."""

    id: str
    scope: str
    issued_at: datetime


def sign_order(order: ReplayOrder, private_key: Ed25519PrivateKey) -> bytes:
    """The order as the bytes of its file."""
    return _sign(ORDER_MAGIC, msgspec.msgpack.encode(order), private_key)


def read_order(data: bytes, public_key: Ed25519PublicKey, now: datetime) -> ReplayOrder:
    """The order, if the gate signed it and it has not expired. Raises OrderForged, OrderExpired, OrderError."""
    order = _read(ORDER_MAGIC, data, public_key, ReplayOrder)
    if now >= order.expires_at:
        raise OrderExpired(f"order {order.id} of {order.scope} expired at {order.expires_at.isoformat()}")
    return order


def sign_close(close: CloseOrder, private_key: Ed25519PrivateKey) -> bytes:
    """The closure as the bytes of its file."""
    return _sign(CLOSE_MAGIC, msgspec.msgpack.encode(close), private_key)


def read_close(data: bytes, public_key: Ed25519PublicKey) -> CloseOrder:
    """The closure, if the gate signed it. Raises OrderForged or OrderError."""
    return _read(CLOSE_MAGIC, data, public_key, CloseOrder)


def load_orders_key(folder: Path) -> Ed25519PublicKey:
    """The gate's public key for orders, `keys/public/orders.pub`. Raises OrderError."""
    file = folder / "orders.pub"
    try:
        key = load_pem_public_key(file.read_bytes())
    except FileNotFoundError:
        raise OrderError(f"{file} does not exist: start the gate once, it writes its public keys") from None
    except (OSError, ValueError) as fault:
        raise OrderError(f"{file} cannot be read: {fault}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise OrderError(f"{file} holds no Ed25519 key")
    return key


def _sign(magic: bytes, body: bytes, private_key: Ed25519PrivateKey) -> bytes:
    return magic + private_key.sign(magic + body) + body


def _read(magic: bytes, data: bytes, public_key: Ed25519PublicKey, kind: type[T]) -> T:
    if not data.startswith(magic) or len(data) < len(magic) + SIGNATURE_BYTES:
        raise OrderForged(f"{len(data)} bytes that are no {kind.__name__}")
    signature, body = data[len(magic) : len(magic) + SIGNATURE_BYTES], data[len(magic) + SIGNATURE_BYTES :]
    try:
        public_key.verify(signature, magic + body)
    except InvalidSignature:
        raise OrderForged(f"the signature on this {kind.__name__} is not the gate's; it is not obeyed") from None
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except msgspec.MsgspecError as fault:
        raise OrderError(f"the {kind.__name__} is signed and cannot be read: {fault}") from None
