# SPDX-License-Identifier: AGPL-3.0-or-later
"""What `passage status` prints."""

from __future__ import annotations

import io

import msgspec
from rich.console import Console

from gate.messages import OperationsStatus, ProcessStatus
from infra.stack_state import ServiceState
from infra.status import status_tables


def test_the_figures_say_how_far_behind_a_process_is() -> None:
    figures = OperationsStatus(
        processes=(
            ProcessStatus(name="capture", state="running", frames_per_s=25.0),
            ProcessStatus(name="record", state="running", frames_per_s=24.0, lag_s=12.3, detail="slow disk"),
        )
    )
    service = ServiceState(name="record", group="flows", state="running")
    found = {"running": True, "site": "t", "services": msgspec.to_builtins((service,))}
    out = io.StringIO()
    for table in status_tables(found | {"figures": msgspec.to_builtins(figures)}):
        Console(file=out, width=120).print(table)
    lines = [line.strip(" │") for line in out.getvalue().splitlines()]
    assert [" ".join(line.split()) for line in lines if "frames/s" in line] == [
        "capture │ 25.0 frames/s",
        "record │ 24.0 frames/s, 12.3 s behind, slow disk",
    ]
