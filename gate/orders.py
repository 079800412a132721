# SPDX-License-Identifier: AGPL-3.0-or-later
"""Replay orders as files: signed here, obeyed by replay and indexing, their progress read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connectors.orders import CloseOrder, ReplayOrder, sign_close, sign_order
from gate.keystore import write_public
from gate.messages import IndexProgress
from gate.requisitions import Opened


class ProgressFile(msgspec.Struct, frozen=True, kw_only=True):
    """`orders/<id>.progress.json`, as the jobs that obey an order write it."""

    state: Literal["waiting", "running", "done", "failed"] = "waiting"
    seconds_asked: float = 0.0
    seconds_done: float = 0.0
    passages: int = 0
    message: str = ""


class Orders:
    """Writes orders and closures, reads progress."""

    def __init__(self, folder: Path, key: Ed25519PrivateKey, clock: Callable[[], datetime]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = key
        self._clock = clock

    def write(self, opened: Opened, source: Literal["archive", "exhibits"]) -> ReplayOrder:
        """Sign and write the order to replay what was opened."""
        order = ReplayOrder(
            id=opened.order,
            scope=opened.requisition,
            cameras=opened.cameras,
            intervals=opened.intervals,
            issued_at=self._clock(),
            expires_at=opened.expires_at,
            source=source,
        )
        write_public(self._folder / f"{order.id}.order", sign_order(order, self._key))
        return order

    def close(self, order: str, scope: str) -> None:
        """Sign and write the closure of one order."""
        closure = CloseOrder(id=order, scope=scope, issued_at=self._clock())
        write_public(self._folder / f"{order}.close", sign_close(closure, self._key))

    def closing(self, order: str) -> bool:
        """Whether the closure of the order was written."""
        return (self._folder / f"{order}.close").exists()

    def stopped(self, order: str) -> bool:
        """Whether the jobs have stopped the runs of a closed order and removed its topics."""
        return (self._folder / f"{order}.closed").exists()

    def known(self, order: str) -> bool:
        """Whether the order was ever written."""
        return (self._folder / f"{order}.order").exists()

    def progress(self, requisition: str, orders: Sequence[str]) -> IndexProgress:
        """How far the orders of one requisition have come, together."""
        files = [self._progress(order) for order in orders]
        if not files:
            return IndexProgress(
                requisition=requisition, state="waiting", seconds_asked=0.0, seconds_done=0.0, passages=0
            )
        states = {f.state for f in files}
        state: Literal["waiting", "running", "done", "failed"]
        if "failed" in states:
            state = "failed"
        elif states == {"done"}:
            state = "done"
        elif states == {"waiting"}:
            state = "waiting"
        else:
            state = "running"
        return IndexProgress(
            requisition=requisition,
            state=state,
            seconds_asked=sum(f.seconds_asked for f in files),
            seconds_done=sum(f.seconds_done for f in files),
            passages=sum(f.passages for f in files),
            message="; ".join(f.message for f in files if f.message),
        )

    def erase(self, order: str) -> None:
        """Remove every file of an order whose closure is complete."""
        for path in self._folder.glob(f"{order}.*"):
            path.unlink(missing_ok=True)

    def _progress(self, order: str) -> ProgressFile:
        try:
            return msgspec.json.decode((self._folder / f"{order}.progress.json").read_bytes(), type=ProgressFile)
        except FileNotFoundError:
            return ProgressFile()
        except msgspec.MsgspecError:
            return ProgressFile(state="running", message="the progress file cannot be read")
