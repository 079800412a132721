# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which partitions one of several processes of a flow reads: a fixed share, `--share i/n`."""

from __future__ import annotations

from dataclasses import dataclass

from flows.errors import ShareError


@dataclass(frozen=True, slots=True)
class Share:
    """Process `index` (from 0) of `count`."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse shares that do not exist."""
        if self.count < 1 or not 0 <= self.index < self.count:
            raise ShareError(f"share {self.index}/{self.count} does not exist: give i/n with 0 <= i < n, such as 0/2")

    @classmethod
    def parse(cls, text: str) -> Share:
        """From `i/n`."""
        index, slash, count = text.partition("/")
        try:
            return cls(int(index), int(count if slash else ""))
        except ValueError:
            raise ShareError(f"--share {text!r} is not i/n, such as 0/2") from None

    def of(self, partitions: int) -> list[int]:
        """Its partitions of so many. Raises ShareError when there is none for it."""
        mine = list(range(self.index, partitions, self.count))
        if not mine:
            raise ShareError(
                f"share {self} of {partitions} partitions is empty: run at most {partitions} processes or raise "
                "kafka.partitions"
            )
        return mine

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def suffix(self) -> str:
        """What names a folder of its own; empty for a single process."""
        return "" if self.count == 1 else f"-{self.index}-of-{self.count}"
