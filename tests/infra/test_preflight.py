# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is found wrong before anything starts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from connectors.site import CameraSite, Site
from infra import preflight


@pytest.mark.parametrize(
    ("free", "found"),
    [
        (preflight.LEAST_FREE_BYTES, []),
        (int(1.5 * 2**30), ["has 1.5 GiB free and the stack needs 2: make room"]),
        (0, ["has 0.0 GiB free and the stack needs 2: make room"]),
    ],
)
def test_too_little_room_is_told_with_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, found: list[str]
) -> None:
    monkeypatch.setattr(preflight, "shutil", SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=free)))
    (tmp_path / "x.mp4").touch()
    camera = CameraSite(
        name="c1",
        label="c1",
        url=str(tmp_path / "x.mp4"),
        start_utc=datetime(2026, 1, 1, tzinfo=UTC),
        masks_dwellings=True,
    )
    site = Site(name="t", data=tmp_path / "not" / "made", camera=[camera])
    room = [fault for fault in preflight.faults(site) if "free" in fault]
    assert room == [f"{tmp_path} {words}" for words in found]
