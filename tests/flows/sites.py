# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sites for tests of flows: a data folder, cameras, and keys as the gate would have written them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from connectors.bounds import Interval
from connectors.orders import ReplayOrder, sign_order
from connectors.site import CameraSite, KafkaSite, Site, utc_now
from tests.connectors.gops import START

DAY = "2026-11-20"


def site_of(folder: Path, cameras: Sequence[CameraSite], *, partitions: int = 2, **more: Any) -> Site:
    """A site with its data under `folder`."""
    kafka = KafkaSite(partitions=partitions, **more.pop("kafka", {}))
    return Site(name="Test", data=folder / "var", camera=tuple(cameras), kafka=kafka, **{"sealing": False, **more})


def write_public_key(site: Site, day: str = DAY) -> X25519PrivateKey:
    """The public key of a day; its private half."""
    key = X25519PrivateKey.generate()
    folder = site.data / "keys" / "public"
    folder.mkdir(parents=True, exist_ok=True)
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / f"{day}.pub").write_bytes(pem)
    return key


def write_order(
    site: Site, cameras: Sequence[str], *spans_s: tuple[float, float], **more: Any
) -> tuple[ReplayOrder, Path]:
    """An order for these cameras and seconds after START, signed, with the gate's public key beside."""
    order = ReplayOrder(
        **{
            "id": "o-1",
            "scope": "r-1",
            "cameras": tuple(cameras),
            "intervals": tuple(
                Interval(START + timedelta(seconds=a), START + timedelta(seconds=b)) for a, b in spans_s
            ),
            "issued_at": START,
            "expires_at": utc_now() + timedelta(days=1),
            **more,
        }
    )
    key = Ed25519PrivateKey.generate()
    public = site.data / "keys" / "public"
    public.mkdir(parents=True, exist_ok=True)
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (public / "orders.pub").write_bytes(pem)
    file = site.data / "orders" / f"{order.id}.order"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(sign_order(order, key))
    return order, file
