# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from connectors.errors import KeyUnavailable, SealError
from connectors.gop import CodecParameters, Gop, Packet
from connectors.keys import GateKeys, HeldKeys
from connectors.records import decode_frame, encode, join, split
from connectors.sealing import PublicKeys, Sealer, open_gop, open_view, seal_view
from tests.connectors.gops import START, gop

DAY = "2026-11-20"


@pytest.fixture
def private_key(tmp_path: Path) -> X25519PrivateKey:
    key = X25519PrivateKey.generate()
    (tmp_path / f"{DAY}.pub").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return key


@pytest.fixture
def sealer(tmp_path: Path, private_key: X25519PrivateKey) -> Sealer:
    return Sealer(PublicKeys(tmp_path))


def test_what_is_sealed_opens_with_the_key_of_its_day_and_shows_nothing_before(
    sealer: Sealer, private_key: X25519PrivateKey
) -> None:
    clear = gop()
    sealed = sealer.seal(clear)
    assert sealed.seal is not None
    assert sealed.seal.key_id == "c1/2026-11-20T08/r"
    assert clear.payload[:100] not in encode(sealed)
    key = HeldKeys({DAY: private_key}).data_key(sealed.seal, "r-1")
    assert open_gop(sealed, key) == clear
    assert open_gop(clear, key) == clear


def test_it_opens_after_kafka_a_split_and_a_replay_under_another_scope(
    sealer: Sealer, private_key: X25519PrivateKey
) -> None:
    clear = gop(size=100_000)
    parts = [decode_frame(encode(p)) for p in split(sealer.seal(clear), 20_000)]
    sealed = join([p for p in parts if isinstance(p, Gop)])
    replayed = msgspec.structs.replace(sealed, scope="r-1")
    assert replayed.seal is not None
    opened = open_gop(replayed, HeldKeys({DAY: private_key}).data_key(replayed.seal, "r-1"))
    assert opened == msgspec.structs.replace(clear, scope="r-1")


CODEC = CodecParameters(codec="h264", width_px=1, height_px=1)


@pytest.mark.parametrize(
    "change",
    [
        {"camera": "c2"},
        {"run": "other"},
        {"sequence": 5},
        {"first_at": START + timedelta(microseconds=1)},
        {"last_at": START + timedelta(hours=1)},
        {"clock": "stream"},
        {"frames": 9},
        {"packets": (Packet(1000, 0, 0, True),)},
        {"sha256": bytes(32)},
        {"codec": CODEC},
        {"open_gop": True},
    ],
)
def test_a_header_that_was_changed_does_not_open(
    sealer: Sealer, private_key: X25519PrivateKey, change: dict[str, Any]
) -> None:
    sealed = sealer.seal(gop())
    assert sealed.seal is not None
    key = HeldKeys({DAY: private_key}).data_key(sealed.seal, "r-1")
    with pytest.raises(SealError, match="was changed"):
        open_gop(msgspec.structs.replace(sealed, **change), key)


def test_a_payload_that_was_changed_does_not_open(sealer: Sealer, private_key: X25519PrivateKey) -> None:
    sealed = sealer.seal(gop())
    assert sealed.seal is not None
    key = HeldKeys({DAY: private_key}).data_key(sealed.seal, "r-1")
    payload = bytearray(sealed.payload)
    payload[10] ^= 1
    with pytest.raises(SealError, match="was changed"):
        open_gop(msgspec.structs.replace(sealed, payload=bytes(payload)), key)


def test_a_data_key_serves_one_camera_hour_and_run(sealer: Sealer, private_key: X25519PrivateKey) -> None:
    held = HeldKeys({DAY: private_key})
    same = [sealer.seal(gop(sequence=n)) for n in range(3)]
    other_camera = sealer.seal(gop("c2"))
    other_hour = sealer.seal(gop(at=START + timedelta(hours=1)))
    other_run = sealer.seal(gop(run="later"))
    keys = [held.data_key(g.seal, "live") for g in (*same, other_camera, other_hour, other_run) if g.seal is not None]
    assert keys[0] == keys[1] == keys[2]
    assert len(set(keys)) == 4
    assert len({g.seal.nonce for g in same if g.seal is not None}) == 3


def test_without_the_days_public_key_nothing_is_sealed_and_the_error_says_who_makes_it(sealer: Sealer) -> None:
    with pytest.raises(KeyUnavailable, match=r"no public key of 2026-12-01 .* start the gate"):
        sealer.seal(gop(at=START + timedelta(days=11)))


def test_a_public_key_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / f"{DAY}.pub").write_text("rubbish")
    with pytest.raises(KeyUnavailable, match="cannot be read"):
        Sealer(PublicKeys(tmp_path)).seal(gop())


def test_another_private_key_does_not_open(sealer: Sealer) -> None:
    seal = sealer.seal(gop()).seal
    assert seal is not None
    with pytest.raises(SealError, match="not sealed to this key"):
        HeldKeys({DAY: X25519PrivateKey.generate()}).data_key(seal, "live")
    with pytest.raises(KeyUnavailable, match="destroyed or was never made"):
        HeldKeys({}).data_key(seal, "live")


def test_a_view_is_bound_to_its_reference(sealer: Sealer, private_key: X25519PrivateKey) -> None:
    seal = sealer.seal(gop()).seal
    assert seal is not None
    key = HeldKeys({DAY: private_key}).data_key(seal, "r-1")
    ciphertext, view_seal = seal_view(b"jpeg", seal, key, "r-1/c1/2026-11-20/p-0")
    assert view_seal.nonce != seal.nonce
    assert open_view(ciphertext, view_seal, key, "r-1/c1/2026-11-20/p-0") == b"jpeg"
    with pytest.raises(SealError):
        open_view(ciphertext, view_seal, key, "r-1/c1/2026-11-20/p-1")


class Gate:
    """The gate's end of the conversation, as the protocol is written down."""

    def __init__(self, held: HeldKeys) -> None:
        self.held, self.asked = held, 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        assert request.url.path == "/component/data-keys"
        if request.headers["Authorization"] != "Bearer t0ken":
            return httpx.Response(401, text="no such component")
        body = json.loads(request.content)
        if body["scope"] != "r-1":
            return httpx.Response(403, text="scope is closed")
        from connectors.gop import Seal

        seals = [
            Seal(
                key_id=s["key_id"],
                day=s["day"],
                sealed_key=base64.b64decode(s["sealed_key"]),
                nonce=base64.b64decode(s["nonce"]),
            )
            for s in body["seals"]
        ]
        keys = [base64.b64encode(self.held.data_key(s, body["scope"])).decode() for s in seals]
        return httpx.Response(200, json={"keys": keys})


TOKEN = "t0ken"


def gate_keys(gate: Any, token: str = TOKEN, **more: Any) -> GateKeys:
    return GateKeys("http://127.0.0.1:18600", token, httpx.Client(transport=httpx.MockTransport(gate)), **more)


def test_the_gate_is_asked_once_for_each_key(sealer: Sealer, private_key: X25519PrivateKey) -> None:
    gate = Gate(HeldKeys({DAY: private_key}))
    keys = gate_keys(gate)
    sealed = [sealer.seal(gop(sequence=n)) for n in range(5)]
    opened = [open_gop(g, keys.data_key(g.seal, "r-1")) for g in sealed if g.seal is not None]
    assert opened == [gop(sequence=n) for n in range(5)]
    assert gate.asked == 1


def test_a_key_is_held_no_longer_than_an_hour_after_its_last_use(sealer: Sealer, private_key: X25519PrivateKey) -> None:
    now = [0.0]
    gate = Gate(HeldKeys({DAY: private_key}))
    keys = gate_keys(gate, clock=lambda: now[0])
    hours = [sealer.seal(gop(at=START + timedelta(hours=h))).seal for h in range(12)]
    for hour in hours:
        for minute in range(0, 60, 10):
            assert hour is not None and len(keys.data_key(hour, "r-1")) == 32
            assert len(keys._held) <= 2, f"at minute {minute}"
            now[0] += 600
    assert gate.asked == 12
    # The day's key is destroyed: what was held for the hours before opens nothing any more.
    gate.held = HeldKeys({})
    assert hours[0] is not None and hours[-1] is not None
    with pytest.raises(KeyUnavailable, match="is destroyed"):
        keys.data_key(hours[0], "r-1")
    assert keys.data_key(hours[-1], "r-1")
    now[0] += 3601
    with pytest.raises(KeyUnavailable, match="is destroyed"):
        keys.data_key(hours[-1], "r-1")


def _away(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


def test_a_gate_that_refuses_or_is_away_gives_a_reason(sealer: Sealer, private_key: X25519PrivateKey) -> None:
    seal = sealer.seal(gop()).seal
    assert seal is not None
    gate = Gate(HeldKeys({DAY: private_key}))
    for keys, scope, says in (
        (gate_keys(gate), "r-2", "403, scope is closed"),
        (gate_keys(gate, "wrong"), "r-1", "401"),
        (gate_keys(_away), "r-1", "does not answer"),
        (gate_keys(lambda r: httpx.Response(200, json={"keys": []})), "r-1", "0 keys for 1 seals"),
        (gate_keys(lambda r: httpx.Response(200, text="hello")), "r-1", "cannot be read"),
    ):
        with pytest.raises(KeyUnavailable, match=says):
            keys.data_key(seal, scope)
