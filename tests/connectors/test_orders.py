# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from connectors.bounds import Interval
from connectors.errors import OrderError, OrderExpired, OrderForged
from connectors.orders import (
    CloseOrder,
    ReplayOrder,
    load_orders_key,
    read_close,
    read_order,
    sign_close,
    sign_order,
)
from tests.connectors.gops import START

KEY = Ed25519PrivateKey.generate()
LATER = START + timedelta(hours=2)


def hours(start: float, end: float) -> Interval:
    return Interval(START + timedelta(hours=start), START + timedelta(hours=end))


def order(**more: Any) -> ReplayOrder:
    return ReplayOrder(
        **{
            "id": "o-1",
            "scope": "r-1",
            "cameras": ("b", "a"),
            "intervals": (hours(3, 4), hours(0, 1)),
            "issued_at": START,
            "expires_at": LATER,
            **more,
        }
    )


def test_a_signed_order_reads() -> None:
    assert read_order(sign_order(order(), KEY), KEY.public_key(), START) == order()


def test_an_order_changed_anywhere_is_forged() -> None:
    data = sign_order(order(), KEY)
    for n in range(len(data)):
        changed = bytearray(data)
        changed[n] ^= 1
        with pytest.raises(OrderForged):
            read_order(bytes(changed), KEY.public_key(), START)


def test_an_order_of_another_key_is_forged() -> None:
    with pytest.raises(OrderForged, match="not the gate's"):
        read_order(sign_order(order(), Ed25519PrivateKey.generate()), KEY.public_key(), START)


def test_an_order_past_its_time_is_not_obeyed() -> None:
    with pytest.raises(OrderExpired, match="o-1 of r-1 expired"):
        read_order(sign_order(order(), KEY), KEY.public_key(), LATER)


def test_a_closure_reads_and_is_no_order() -> None:
    close = CloseOrder(id="o-1", scope="r-1", issued_at=START)
    data = sign_close(close, KEY)
    assert read_close(data, KEY.public_key()) == close
    with pytest.raises(OrderForged):
        read_order(data, KEY.public_key(), START)
    with pytest.raises(OrderForged):
        read_close(sign_order(order(), KEY), KEY.public_key())


@pytest.mark.parametrize(
    "wrong",
    [{"scope": "live"}, {"scope": "../x"}, {"id": ""}, {"id": "a/b"}, {"cameras": ()}, {"intervals": ()}],
)
def test_orders_that_could_not_be_obeyed_are_not_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="order"):
        order(**wrong)


def test_stretches_are_in_order_and_touching_intervals_are_one() -> None:
    assert order().stretches() == [("a", hours(0, 1)), ("b", hours(0, 1)), ("a", hours(3, 4)), ("b", hours(3, 4))]
    touching = order(cameras=("a", "a"), intervals=(hours(1, 2), hours(0, 1), hours(1.5, 3), hours(5, 6)))
    assert touching.stretches() == [("a", hours(0, 3)), ("a", hours(5, 6))]


def test_the_gates_public_key_is_loaded_or_its_absence_explained(tmp_path: Path) -> None:
    with pytest.raises(OrderError, match="start the gate once"):
        load_orders_key(tmp_path)
    file = tmp_path / "orders.pub"
    file.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert load_orders_key(tmp_path).public_bytes_raw() == KEY.public_key().public_bytes_raw()
    file.write_text("x")
    with pytest.raises(OrderError, match="cannot be read"):
        load_orders_key(tmp_path)
