# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from connectors.errors import PartitionError
from connectors.partitions import PartitionMap, settle_partitions

NAMES = [f"camera-{n:02}" for n in range(13)]


def test_cameras_are_spread_evenly(tmp_path: Path) -> None:
    places = settle_partitions(tmp_path / "p.json", NAMES, 4)
    assert sorted(Counter(places.cameras.values()).values()) == [3, 3, 3, 4]
    assert places.on(places.of("camera-00")) == ["camera-00", "camera-04", "camera-08", "camera-12"]


def test_adding_and_removing_cameras_moves_none(tmp_path: Path) -> None:
    file = tmp_path / "state" / "p.json"
    before = settle_partitions(file, NAMES, 4)
    after = settle_partitions(file, ["a-new-one", *NAMES[5:], "another"], 4)
    assert {n: after.of(n) for n in NAMES} == dict(before.cameras)
    assert sorted(Counter(after.cameras.values()).values()) == [3, 4, 4, 4]


def test_more_partitions_move_none_and_fewer_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    before = settle_partitions(file, NAMES, 4)
    after = settle_partitions(file, [*NAMES, "new"], 6)
    assert {n: after.of(n) for n in NAMES} == dict(before.cameras)
    assert after.of("new") == 4
    with pytest.raises(PartitionError, match="cannot take partitions away"):
        settle_partitions(file, NAMES, 4)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"partitions": 2, "cameras": {"a": 5}}', '{"partitions": 2}'])
def test_a_damaged_map_is_refused_not_replaced(tmp_path: Path, text: str) -> None:
    file = tmp_path / "p.json"
    file.write_text(text)
    with pytest.raises(PartitionError, match="restore it from a copy"):
        settle_partitions(file, NAMES, 2)
    assert file.read_text() == text


def _settle(file: Path, name: str) -> PartitionMap:
    return settle_partitions(file, [name], 8)


@pytest.mark.slow
def test_processes_that_settle_at_once_agree(tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(_settle, [file] * 20, [f"c{n}" for n in range(20)]))
    final = json.loads(file.read_text())["cameras"]
    assert len(final) == 20
    assert sorted(Counter(final.values()).values()) == [2, 2, 2, 2, 3, 3, 3, 3]
