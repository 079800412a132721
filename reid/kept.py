# SPDX-License-Identifier: AGPL-3.0-or-later
"""State that outlives the program that wrote it: a site goes on from its snapshots after an upgrade."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any


class Kept:
    """A dataclass with slots, kept in snapshots: fields that an older program did not know get their defaults."""

    __slots__ = ()

    def __setstate__(self, state: tuple[None, dict[str, Any]]) -> None:
        _, kept = state
        for known in fields(self):  # type: ignore[arg-type]  # its subclasses are dataclasses
            if known.name in kept:
                setattr(self, known.name, kept[known.name])
            elif known.default is not MISSING:
                setattr(self, known.name, known.default)
            elif known.default_factory is not MISSING:
                setattr(self, known.name, known.default_factory())
