# SPDX-License-Identifier: AGPL-3.0-or-later
"""The stack as a table for a terminal."""

from __future__ import annotations

from rich.table import Table

from infra.stack_state import StackState

_COLOURS = {
    "running": "green",
    "finished": "green",
    "starting": "cyan",
    "waiting": "dim",
    "unhealthy": "yellow",
    "restarting": "yellow",
    "failed": "red",
    "stopped": "dim",
}


def stack_table(state: StackState) -> Table:
    """One row a service."""
    table = Table(title=state.site, title_justify="left", expand=False)
    for name in ("service", "state", "for", "process", "restarts", "page or message"):
        table.add_column(name, overflow="fold")
    for service in state.services:
        table.add_row(
            service.name,
            f"[{_COLOURS[service.state]}]{service.state}[/]",
            duration(service.since_s),
            "" if service.pid is None else str(service.pid),
            str(service.restarts) if service.restarts else "",
            (service.message or service.page).replace("[", "\\["),
        )
    return table


def duration(seconds: float) -> str:
    """`4 s`, `12 min`, `3 h`, `5 d`."""
    for unit, size in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
