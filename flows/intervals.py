# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where a bounded run ends: the ends of intervals that an order's replay writes."""

from __future__ import annotations

from collections.abc import Collection

from connectors.bounds import Interval
from connectors.gop import EndOfInterval
from connectors.orders import ReplayOrder
from connectors.partitions import PartitionMap
from connectors.topic_source import end_key


def awaited(
    order: ReplayOrder, places: PartitionMap, partitions: Collection[int]
) -> dict[int, list[tuple[str, str, str]]]:
    """Partition → the ends of intervals that finish it."""
    ends: dict[int, list[tuple[str, str, str]]] = {p: [] for p in partitions}
    for camera, interval in order.stretches():
        if places.of(camera) in ends:
            ends[places.of(camera)].append(end_key(_end(order, camera, interval)))
    return ends


def _end(order: ReplayOrder, camera: str, interval: Interval) -> EndOfInterval:
    return EndOfInterval(
        camera=camera,
        scope=order.scope,
        order=order.id,
        sequence=0,
        started_at=interval.start,
        ended_at=interval.end,
    )
