# SPDX-License-Identifier: AGPL-3.0-or-later
"""Running a flow with its own recovery folder: `recovery/<flow>[-<scope>][-i-of-n]`.

Each process is one Bytewax worker with its own folder; a crash of one touches no other. The share is part of the
folder's name: with another number of processes reading starts again where the flow first began, or at the earliest
record still there, which idempotent writes make harmless.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import msgspec
from bytewax._bytewax import cli_main
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.recovery import RecoveryConfig, init_db_dir

from connectors.errors import ConnectorError
from connectors.site import Site
from connectors.whole_file import sync_folder, write_whole
from flows.errors import FlowError, RecoveryError
from flows.share import Share
from reid.errors import ReidError
from reid.passage import LIVE

log = logging.getLogger(__name__)

EPOCH = timedelta(seconds=1)
"""Snapshots a second apart: small state costs under 1 %, and a crash repeats at most this much."""

STARTS = "starts.json"
"""In a recovery folder: partition → offset at which the flow first began, however far it has read since."""


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


def first_starts(
    folder: Path, share: Share, extent: Callable[[], Mapping[int, tuple[int, int]] | None], *, from_end: bool
) -> Mapping[int, int] | None:
    """Where partitions without a snapshot begin: resolved at the flow's first start, the same ever after.

    Without that, whatever came between a first start and the first snapshot would be lost by a crash.

    Args:
        folder: the flow's recovery folder.
        share: which of the partitions this process reads; the folder is named after it.
        extent: earliest and next offset of each partition; asked only at a first start. None when told to stop.
        from_end: a flow that never ran begins with what comes from now on, not at the earliest record.

    Returns:
        Partition → offset. A partition that was made later is not named: all that it holds came since. None when
        `extent` gave none.

    Raises:
        RecoveryError: the folder cannot be used.
    """
    prepare_recovery(folder)
    kept = folder / STARTS
    try:
        if kept.exists():
            return _read_starts(kept)
        found = extent()
        if found is None:
            return None
        began = _began_elsewhere(folder, share)
        if began is not None:
            starts = {p: max(earliest, began.get(p, earliest)) for p, (earliest, _) in found.items()}
        else:
            starts = {p: end if from_end else earliest for p, (earliest, end) in found.items()}
        write_whole(kept, msgspec.json.encode(starts), durable=True)
        sync_folder(folder)
    except (OSError, msgspec.DecodeError) as fault:
        raise RecoveryError(
            f"{kept} cannot be used ({fault}): check the disk, or delete {folder} to begin anew"
        ) from fault
    return starts


def _began_elsewhere(folder: Path, share: Share) -> Mapping[int, int] | None:
    """Where the flow first began when it ran as another number of processes, or does beside this one."""
    flow = folder.name.removesuffix(share.suffix)
    others = [folder.with_name(flow) / STARTS, *sorted(folder.parent.glob(f"{flow}-*-of-*/{STARTS}"))]
    return next((_read_starts(o) for o in others if o.exists()), None)


def _read_starts(file: Path) -> Mapping[int, int]:
    return msgspec.json.decode(file.read_bytes(), type=dict[int, int])


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
