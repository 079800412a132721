# SPDX-License-Identifier: AGPL-3.0-or-later
"""Room on the broker's disk: a broker whose disk is full ends, and live recording with it, so replay stops before."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from connectors.broker import Broker
from connectors.errors import BrokerError

log = logging.getLogger(__name__)

LEAST_FREE_BYTES = 2**30
"""So much of the broker's disk is left to live recording; the archive leaves a fifth of it to all others."""
ASK_EVERY_S = 2.0
FULL_EVERY_S = 5.0
"""While there is no room."""


@dataclass(slots=True)
class BrokerRoom:
    """Whether there is room for more; asked before each batch, it asks the broker every few seconds.

    `tell` is given the reason when room runs out, and an empty text when there is some again.
    """

    broker: Broker
    tell: Callable[[str], object] = lambda _: None
    least_free_bytes: int = LEAST_FREE_BYTES
    clock: Callable[[], float] = time.monotonic
    _due: float = float("-inf")
    _full: bool = False

    def __call__(self) -> bool:
        """Whether to write more. A broker that does not say how much room it has is written to."""
        if self.clock() >= self._due:
            free = self._free()
            full = free is not None and free < self.least_free_bytes
            if full and not self._full:
                reason = (
                    f"the broker's disk has {(free or 0) / 2**30:.1f} GiB free and replay leaves "
                    f"{self.least_free_bytes / 2**30:.0f} to live recording: make room, close a requisition, or give "
                    "Kafka a larger disk; it goes on by itself then, from where it stopped"
                )
                log.error("%s", reason)
                self.tell(reason)
            elif self._full and not full:
                log.info("there is room on the broker's disk again: going on")
                self.tell("")
            self._full = full
            self._due = self.clock() + (FULL_EVERY_S if full else ASK_EVERY_S)
        return not self._full

    def _free(self) -> int | None:
        try:
            return self.broker.free_bytes()
        except BrokerError as fault:  # away: who writes waits for it; too old or forbidden: nothing can be known
            log.debug("%s", fault)
            return None
