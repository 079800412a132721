# SPDX-License-Identifier: AGPL-3.0-or-later
"""What every flow's program does alike: arguments, log lines, exit codes."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

from connectors.errors import ConnectorError, OrderError, PartitionError, SiteError
from flows import metrics
from flows.errors import FlowError, ShareError
from reid.errors import ReidError

log = logging.getLogger(__name__)

FINISHED, FAILED, BAD_CONFIGURATION = 0, 1, 2


def arguments(
    program: str, says: str, *, share: bool = False, live: str = "", metrics_port: str = ""
) -> argparse.ArgumentParser:
    """A parser with `--site` and what else several programs take.

    Args:
        program: module name.
        says: what it does.
        share: whether processes can be several (`--share`).
        live: what it does without an order, where it takes one (`--live` or `--order`).
        metrics_port: where the default comes from, of a program that shows metrics (`--metrics-port`).
    """
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=says)
    parser.add_argument("--site", type=Path, required=True, help="the town's site.toml")
    if share:
        parser.add_argument("--share", default="0/1", help="i/n: read only the i-th of n shares of the partitions")
    if live:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--live", action="store_true", help=live)
        what.add_argument("--order", type=Path, help="a file that the gate signed; runs to its end")
    if metrics_port:
        parser.add_argument("--metrics-port", type=int, default=None, help=f"0 shows none; default {metrics_port}")
    return parser


def serve_metrics(given: argparse.Namespace, default: int) -> None:
    """Show metrics on the port given, else on the default; 0 shows none."""
    port = default if given.metrics_port is None else given.metrics_port
    if port:
        metrics.serve(port)


def logging_to_stderr() -> None:
    """One line a record, UTC, to stderr."""
    lines = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    lines.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(lines)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)


def run_program(action: Callable[[], None]) -> int:
    """Run a flow: 0 when it finished or drained, 1 when it failed, 2 when its configuration is wrong."""
    logging_to_stderr()
    try:
        action()
    except (SiteError, ShareError, PartitionError, OrderError) as fault:
        log.error("%s", fault)
        return BAD_CONFIGURATION
    except (ConnectorError, FlowError, ReidError) as fault:
        log.error("%s: %s", type(fault).__name__, fault)
        return FAILED
    return FINISHED
