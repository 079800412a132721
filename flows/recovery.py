# SPDX-License-Identifier: AGPL-3.0-or-later
"""Running a flow with its own recovery folder: `recovery/<flow>[-<scope>][-i-of-n]`.

Each process is one Bytewax worker with its own folder; a crash of one touches no other. The share is part of the
folder's name: with another number of processes reading starts at the earliest record again, which idempotent writes
make harmless.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path

from bytewax._bytewax import cli_main
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.recovery import RecoveryConfig, init_db_dir

from connectors.errors import ConnectorError
from connectors.site import Site
from flows.errors import FlowError, RecoveryError
from flows.share import Share
from reid.errors import ReidError
from reid.passage import LIVE

log = logging.getLogger(__name__)

EPOCH = timedelta(seconds=1)
"""Snapshots a second apart: small state costs under 1 %, and a crash repeats at most this much."""


def recovery_dir(site: Site, flow: str, scope: str = LIVE, share: Share | None = None) -> Path:
    """Where a flow's positions and state are kept."""
    name = flow if scope == LIVE else f"{flow}-{scope}"
    return site.data / "recovery" / (name + (share or Share()).suffix)


def prepare_recovery(folder: Path) -> None:
    """Make the folder's database once; one that was left half made by a crash is made again. Raises RecoveryError."""
    made = folder / "made"
    if made.exists():
        return
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        init_db_dir(folder, 1)
        made.touch()
    except OSError as fault:
        raise RecoveryError(f"the recovery folder {folder} cannot be made: {fault}") from fault


def forget_recovery(folder: Path) -> None:
    """Delete a flow's positions and state; nothing happens when there are none."""
    shutil.rmtree(folder, ignore_errors=True)


def run_flow(flow: Dataflow, folder: Path | None, epoch: timedelta = EPOCH) -> None:
    """Run a flow to its end in this process. Raises what its steps raised, not Bytewax's wrapping of it."""
    # Bytewax opens a web server on every interface when this is set, even to 0.
    os.environ.pop("BYTEWAX_DATAFLOW_API_ENABLED", None)
    config = None
    if folder is not None:
        prepare_recovery(folder)
        config = RecoveryConfig(str(folder), timedelta(0))
    try:
        cli_main(flow, workers_per_process=1, epoch_interval=epoch, recovery_config=config)  # type: ignore[no-untyped-call]
    except BytewaxRuntimeError as fault:
        raise _cause(fault) from fault


def _cause(fault: BaseException) -> BaseException:
    """The first error of ours under Bytewax's layers, or the deepest there is."""
    seen: BaseException = fault
    while True:
        if isinstance(seen, ConnectorError | FlowError | ReidError | sqlite3.Error):
            return seen
        deeper = seen.__cause__ or seen.__context__
        if deeper is None:
            return seen
        seen = deeper
