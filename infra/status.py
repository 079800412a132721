# SPDX-License-Identifier: AGPL-3.0-or-later
"""`passage status`: the supervisor's state and the observer's figures, as JSON or as tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.table import Table

from connectors.site import Site
from gate.messages import OperationsStatus
from infra.observer import status_file
from infra.stack_state import StackState, held, read_state
from infra.stack_table import stack_table

STALE_S = 30.0


def status_of(site: Site) -> dict[str, Any]:
    """Everything that is known about a site's stack now, ready for JSON."""
    running = held(site)
    state = read_state(site) if running else None
    figures = _figures(site) if running else None
    return {
        "site": site.name,
        "running": running and state is not None,
        "healthy": state is not None and state.settled,
        "services": [] if state is None else msgspec.to_builtins(state.services),
        "figures": None if figures is None else msgspec.to_builtins(figures),
        "fault": "" if state is None else state.fault,
    }


def status_tables(found: dict[str, Any]) -> list[Table]:
    """The same for a terminal."""
    if not found["running"]:
        return []
    state = msgspec.convert(
        {"site": found["site"], "supervisor_pid": 0, "written_at": datetime.now(UTC), "services": found["services"]},
        type=StackState,
    )
    tables = [stack_table(state)]
    if found["figures"] is None:
        return tables
    figures = msgspec.convert(found["figures"], type=OperationsStatus)
    rates = Table(title="figures", title_justify="left", show_header=False)
    rates.add_column()
    rates.add_column()
    for process in figures.processes:
        if process.name.startswith("order "):
            rates.add_row(process.name, process.detail)
        elif process.frames_per_s is not None and process.name.split("-")[0] in ("capture", "record", "index"):
            behind = "" if process.lag_s is None else f"{process.lag_s:.1f} s behind"
            said = (f"{process.frames_per_s:.1f} frames/s", behind, process.detail)
            rates.add_row(process.name, ", ".join(filter(None, said)))
    if figures.camera_hours_per_hour is not None:
        rates.add_row("indexed", f"{figures.camera_hours_per_hour:.1f} camera-hours per hour, when last indexing")
    if figures.disk_free_bytes is not None:
        rates.add_row("free disk", f"{figures.disk_free_bytes / 1e9:.1f} GB")
    if figures.stage_seconds:
        whole = sum(figures.stage_seconds.values()) or 1.0
        shares = sorted(figures.stage_seconds.items(), key=lambda item: -item[1])
        rates.add_row("work", ", ".join(f"{stage} {100 * s / whole:.0f} %" for stage, s in shares[:8]))
    cameras = Table(title="cameras", title_justify="left", show_header=False)
    cameras.add_column()
    cameras.add_column()
    for name, word in figures.cameras.items():
        reason = figures.camera_reasons.get(name, "")
        cameras.add_row(name, f"{word}: {reason}".replace("[", "\\[") if reason else word)
    return [*tables, rates, cameras]


def _figures(site: Site) -> OperationsStatus | None:
    try:
        figures = msgspec.json.decode(status_file(site).read_bytes(), type=OperationsStatus)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    if figures.at is None or (datetime.now(UTC) - figures.at).total_seconds() > STALE_S:
        return None
    return figures
