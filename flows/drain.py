# SPDX-License-Identifier: AGPL-3.0-or-later
"""SIGTERM and Ctrl-C drain a flow: sources end, what is under way is finished, positions are snapshotted."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType

log = logging.getLogger(__name__)


class Drain:
    """A switch that sources, sinks and threads look at. Once on, it stays on.

    A flow that ends by draining sees its stateful steps' `on_eof`, exactly as at a true end: a step that must not
    flush then asks `drain()`.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()

    def __call__(self) -> bool:
        """Whether the flow was asked to stop."""
        return self._asked.is_set()

    def ask(self) -> None:
        """Ask it to stop."""
        self._asked.set()

    def wait(self, seconds: float) -> bool:
        """Wait so long or until asked; whether it was asked."""
        return self._asked.wait(seconds)

    def on_signals(self) -> Drain:
        """Drain on SIGTERM and SIGINT from now on (main thread only)."""
        signal.signal(signal.SIGTERM, self._signalled)
        signal.signal(signal.SIGINT, self._signalled)
        return self

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        log.info("%s: draining", signal.Signals(number).name)
        self._asked.set()
