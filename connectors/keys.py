# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where a component that may look gets data keys from: the gate, or (gate and tests) private keys in memory."""

from __future__ import annotations

import base64
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from connectors.errors import GateSilent, KeyUnavailable
from connectors.gop import Seal
from connectors.sealing import open_data_key

HELD_S = 3600.0
"""How long a data key is held after its last use: it serves one camera's hour of video."""


class KeyProvider(Protocol):
    """Gives the data key inside a seal, for one scope."""

    def data_key(self, seal: Seal, scope: str) -> bytes:
        """32 bytes. Raises KeyUnavailable when the key is destroyed, out of scope or not to be had now."""


class HeldKeys:
    """Private keys of days, held in memory."""

    def __init__(self, private_keys: Mapping[str, X25519PrivateKey]) -> None:
        self._private_keys = private_keys

    def data_key(self, seal: Seal, scope: str) -> bytes:
        """Open the seal with the key of its day."""
        if seal.day not in self._private_keys:
            raise KeyUnavailable(f"the key of {seal.day} is destroyed or was never made: {seal.key_id} stays closed")
        return open_data_key(seal, self._private_keys[seal.day])


class GateKeys:
    """Asks the gate once for each sealed key, and holds the answer for `HELD_S` after its last use.

    So destroying a day's private key closes that day for whoever holds this too, however long it runs.

    `POST {gate}/component/data-keys` with `Authorization: Bearer token` and JSON
    `{"scope": …, "seals": [{"key_id", "day", "sealed_key" (base64), "nonce" (base64)}]}`; the answer is
    `{"keys": [base64, …]}` in the same order, or 403 with a reason.
    """

    def __init__(
        self,
        gate: str,
        token: str,
        client: httpx.Client | None = None,
        timeout_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = gate.rstrip("/") + "/component/data-keys"
        self._client = client or httpx.Client(timeout=timeout_s, trust_env=False)
        self._authorization = {"Authorization": f"Bearer {token}"}
        self._clock = clock
        self._held: OrderedDict[tuple[str, bytes], tuple[bytes, float]] = OrderedDict()
        """Scope and sealed key → data key and when it was last used; the one used longest ago comes first."""

    def data_key(self, seal: Seal, scope: str) -> bytes:
        """The key, from memory or from the gate."""
        self._drop_unused()
        held = self._held.get((scope, seal.sealed_key))
        if held is None:
            return self.data_keys([seal], scope)[0]
        self._hold(seal, scope, held[0])
        return held[0]

    def data_keys(self, seals: Sequence[Seal], scope: str) -> list[bytes]:
        """Several at once. Raises KeyUnavailable."""
        body = msgspec.json.encode({"scope": scope, "seals": list(seals)})
        try:
            answer = self._client.post(
                self._url, content=body, headers={**self._authorization, "Content-Type": "application/json"}
            )
        except httpx.HTTPError as fault:
            raise GateSilent(f"the gate at {self._url} does not answer ({type(fault).__name__}): start it") from None
        if answer.status_code != 200:
            raise KeyUnavailable(
                f"the gate gives no key for scope {scope}: status {answer.status_code}, {answer.text[:300].strip()}"
            )
        try:
            keys = [base64.b64decode(k, validate=True) for k in answer.json()["keys"]]
        except (ValueError, KeyError, TypeError) as fault:
            raise KeyUnavailable(f"the gate's answer cannot be read: {fault}") from None
        if len(keys) != len(seals):
            raise KeyUnavailable(f"the gate gave {len(keys)} keys for {len(seals)} seals")
        for seal, key in zip(seals, keys, strict=True):
            self._hold(seal, scope, key)
        return keys

    def _hold(self, seal: Seal, scope: str, key: bytes) -> None:
        self._held[(scope, seal.sealed_key)] = (key, self._clock())
        self._held.move_to_end((scope, seal.sealed_key))

    def _drop_unused(self) -> None:
        while self._held and self._clock() - next(iter(self._held.values()))[1] > HELD_S:
            self._held.popitem(last=False)
