# SPDX-License-Identifier: AGPL-3.0-or-later
"""What `passage status` prints."""

from __future__ import annotations

import io

import msgspec
from rich.console import Console

from gate.messages import OperationsStatus, ProcessStatus
from infra.stack_state import ServiceState
from infra.status import status_tables


def lines_of(figures: OperationsStatus) -> list[str]:
    """What is printed, a line a row, without its frame."""
    service = ServiceState(name="record", group="flows", state="running")
    found = {"running": True, "site": "t", "services": msgspec.to_builtins((service,))}
    out = io.StringIO()
    for table in status_tables(found | {"figures": msgspec.to_builtins(figures)}):
        Console(file=out, width=120).print(table)
    return [" ".join(line.strip(" │").split()) for line in out.getvalue().splitlines()]


def test_the_figures_say_how_far_behind_a_process_is() -> None:
    figures = OperationsStatus(
        processes=(
            ProcessStatus(name="capture", state="running", frames_per_s=25.0),
            ProcessStatus(name="record", state="running", frames_per_s=24.0, lag_s=12.3, detail="slow disk"),
        )
    )
    assert [line for line in lines_of(figures) if "frames/s" in line] == [
        "capture │ 25.0 frames/s",
        "record │ 24.0 frames/s, 12.3 s behind, slow disk",
    ]


def test_a_camera_that_cannot_be_read_is_shown_with_the_reason() -> None:
    figures = OperationsStatus(
        cameras={"gare": "recording", "pont": "no such file"},
        camera_reasons={"pont": "camera pont (pont.mp4) cannot be opened: no such file"},
    )
    lines = lines_of(figures)
    assert "gare │ recording" in lines
    assert "pont │ no such file: camera pont (pont.mp4) cannot be opened: no such file" in lines
