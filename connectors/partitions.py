# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which Kafka partition each camera lies on: kept in a file, so that adding a camera moves none."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from connectors.errors import PartitionError
from connectors.site import Site
from connectors.whole_file import write_whole


@dataclass(frozen=True, slots=True)
class PartitionMap:
    """Cameras to partition numbers, 0 to `partitions` - 1."""

    partitions: int
    cameras: Mapping[str, int]

    def of(self, camera: str) -> int:
        """The partition of a camera. KeyError when it has none yet."""
        return self.cameras[camera]

    def on(self, partition: int) -> list[str]:
        """The cameras of a partition, by name."""
        return sorted(name for name, p in self.cameras.items() if p == partition)


def partition_file(site: Site) -> Path:
    """Where a site keeps the map."""
    return site.data / "state" / "partitions.json"


def site_partitions(site: Site, also: Iterable[str] = ()) -> PartitionMap:
    """The site's map, with every camera of its site file in it, and those that an order names besides."""
    names = [*(c.name for c in site.cameras), *also]
    return settle_partitions(partition_file(site), names, site.kafka.partitions)


def settle_partitions(file: Path, cameras: Iterable[str], partitions: int) -> PartitionMap:
    """Read the map, give each camera without a place the emptiest partition, write it back whole.

    Several processes may do this at once. A camera that left the site keeps its place, for what is still recorded of
    it. `partitions` may grow later; a map made for more of them is refused. Raises PartitionError.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = _read(file)
        placed = dict(known.cameras) if known else {}
        if known and known.partitions > partitions:
            raise PartitionError(
                f"{file} was made for {known.partitions} partitions and kafka.partitions says {partitions}: "
                "Kafka cannot take partitions away; set it back"
            )
        load = [0] * partitions
        for p in placed.values():
            load[p] += 1
        for name in sorted(set(cameras) - placed.keys()):
            placed[name] = min(range(partitions), key=lambda p: (load[p], p))
            load[placed[name]] += 1
        settled = PartitionMap(partitions, placed)
        if known is None or settled != known:
            _write(file, settled)
        return settled


def _read(file: Path) -> PartitionMap | None:
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        known = PartitionMap(int(raw["partitions"]), {str(k): int(v) for k, v in raw["cameras"].items()})
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise PartitionError(
            f"{file} cannot be read ({fault}): restore it from a copy; a new one would move cameras"
        ) from None
    if any(not 0 <= p < known.partitions for p in known.cameras.values()):
        raise PartitionError(f"{file} names a partition outside 0 to {known.partitions - 1}: restore it from a copy")
    return known


def _write(file: Path, settled: PartitionMap) -> None:
    known = {"version": 1, "partitions": settled.partitions, "cameras": dict(settled.cameras)}
    write_whole(file, json.dumps(known, indent=1).encode(), durable=True)
