# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where a bounded run ends."""

from __future__ import annotations

from datetime import timedelta

from connectors.bounds import Interval
from connectors.orders import ReplayOrder
from connectors.partitions import PartitionMap
from flows.intervals import awaited
from tests.connectors.gops import START


def test_each_partition_ends_with_the_ends_of_its_cameras() -> None:
    hour = timedelta(hours=1)
    order = ReplayOrder(
        id="o1",
        scope="r1",
        cameras=("a", "b"),
        intervals=(Interval(START, START + hour), Interval(START + 3 * hour, START + 4 * hour)),
        issued_at=START,
        expires_at=START + 9 * hour,
        source="archive",
    )
    ends = awaited(order, PartitionMap(4, {"a": 1, "b": 3}), (1, 3))
    assert set(ends) == {1, 3}
    assert {camera for camera, _, _ in ends[1]} == {"a"}
    assert len(ends[1]) == 2
