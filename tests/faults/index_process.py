# SPDX-License-Identifier: AGPL-3.0-or-later
"""flows.index as a process with a detector that reads made-up video, to be killed: `SITE ORDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from connectors.site import load_site, utc_now
from flows.drain import Drain
from flows.index import index
from flows.program import run_program
from flows.replay import load_order
from flows.share import Share
from tests.reid.made_video import PaintDetector


def main() -> int:
    def action() -> None:
        site = load_site(Path(sys.argv[1]))
        order = load_order(site, Path(sys.argv[2]), utc_now())
        index(site, Share(), Drain().on_signals(), order=order, detector=(PaintDetector(), 0.25))

    return run_program(action)


if __name__ == "__main__":
    sys.exit(main())
