# SPDX-License-Identifier: AGPL-3.0-or-later
"""The keeper tells the store what the gate thinks of the clock: once, and again only when that changes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from connectors.memory_store import MemoryStore
from gate.keeper import Keeper


class ToldStore(MemoryStore):
    """Remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def hold_ageing(self) -> None:
        self.told.append("hold")

    def resume_ageing(self) -> None:
        self.told.append("resume")


def test_the_store_ages_only_while_the_gate_trusts_the_clock() -> None:
    thoughts = iter(["", "", "the clock jumped ahead", "the clock jumped ahead", "", ""])
    gate: Any = SimpleNamespace(clock_guard=SimpleNamespace(watch=lambda: next(thoughts)))
    store = ToldStore()
    keeper = Keeper(gate, store)
    for _ in range(6):
        keeper.watch_clock()
    assert store.told == ["resume", "hold", "resume"]
