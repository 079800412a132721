# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where a flow begins without a snapshot: decided once, whatever kills it and however many processes it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from flows.errors import RecoveryError
from flows.recovery import STARTS, first_starts, forget_recovery, recovery_dir
from flows.share import Share
from tests.connectors.videos import file_camera
from tests.flows.sites import site_of

Extent = Mapping[int, tuple[int, int]]


def starts(folder: Path, extent: Extent | None, share: Share | None = None, *, from_end: bool = True) -> object:
    share = share or Share()
    site = site_of(folder, [file_camera("x.mp4")])
    return first_starts(recovery_dir(site, "index", share=share), share, lambda: extent, from_end=from_end)


def test_a_kill_before_the_first_snapshot_changes_nothing(tmp_path: Path) -> None:
    assert starts(tmp_path, {0: (2, 5), 1: (0, 7)}) == {0: 5, 1: 7}
    assert starts(tmp_path, {0: (2, 50), 1: (0, 70), 2: (0, 9)}) == {0: 5, 1: 7}


def test_the_choice_of_the_earliest_record_is_kept_too(tmp_path: Path) -> None:
    assert starts(tmp_path, {0: (2, 5)}, from_end=False) == {0: 2}
    assert starts(tmp_path, {0: (2, 9)}) == {0: 2}


def test_a_start_that_is_stopped_while_the_broker_is_away_decides_nothing(tmp_path: Path) -> None:
    assert starts(tmp_path, None) is None
    assert starts(tmp_path, {0: (0, 5)}) == {0: 5}


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3)])
def test_another_number_of_processes_begins_where_the_first_did(tmp_path: Path, before: int, after: int) -> None:
    starts(tmp_path, {0: (0, 5), 1: (0, 7)}, Share(before - 1, before))
    later = {0: (0, 50), 1: (40, 70), 2: (3, 9)}
    for index in range(after):
        assert starts(tmp_path, later, Share(index, after)) == {0: 5, 1: 40, 2: 3}


def test_a_forgotten_flow_begins_anew(tmp_path: Path) -> None:
    starts(tmp_path, {0: (0, 5)})
    forget_recovery(tmp_path / "var" / "recovery" / "index")
    assert starts(tmp_path, {0: (0, 50)}) == {0: 50}


def test_a_damaged_file_of_starts_is_named(tmp_path: Path) -> None:
    starts(tmp_path, {0: (0, 5)})
    (tmp_path / "var" / "recovery" / "index" / STARTS).write_bytes(b"{")
    with pytest.raises(RecoveryError, match=r"starts\.json cannot be used .* delete .*index to begin anew"):
        starts(tmp_path, {0: (0, 50)})
