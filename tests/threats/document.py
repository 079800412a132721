# SPDX-License-Identifier: AGPL-3.0-or-later
"""What docs/threats.md says: each threat, its guard, and the tests that try it."""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.threats.mutants import ROOT


class Threat(NamedTuple):
    """A row of the tables."""

    threat: str
    guard: str
    tests: tuple[str, ...]
    """As `tests/FILE.py::NAME`."""


def threats(text: str | None = None) -> list[Threat]:
    """Every row under a heading `threat | guard | test`, in order.

    A test without a file is of the file named before it in the row; one without a folder lies in `tests/gate`.
    """
    found: list[Threat] = []
    inside = False
    for line in (text or (ROOT / "docs" / "threats.md").read_text(encoding="utf-8")).splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if cells == ["threat", "guard", "test"]:
            inside = True
        elif inside and not line.startswith("|---"):
            threat, guard, told = cells  # a row of another shape is told by this very line
            file, tests = "", []
            for path, name in re.findall(r"`([\w/.]*)::(\w+)`", told):
                if path:
                    file = path if "/" in path else f"gate/{path}"
                tests.append(f"tests/{file}::{name}")
            found.append(Threat(threat, guard, tuple(tests)))
    return found
