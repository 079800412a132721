# SPDX-License-Identifier: AGPL-3.0-or-later
"""Imports point one way: reid ← connectors ← flows; reid, connectors ← gate ← dashboards; nothing imports infra."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("reid", "connectors", "flows", "gate", "dashboards", "infra")
MAY_IMPORT = {
    "reid": {"reid"},
    "connectors": {"connectors", "reid"},
    "flows": {"flows", "connectors", "reid"},
    "gate": {"gate", "connectors", "reid"},
    "dashboards": {"dashboards", "gate.client", "gate.messages"},
    "infra": set(ROOMS),
}
FOREIGN_TO = {
    "reid": {"bytewax", "kafka", "clickhouse_connect", "chdb", "streamlit", "sqlalchemy", "starlette"},
    "connectors": {"streamlit", "starlette", "sqlalchemy"},
    "flows": {"streamlit", "starlette", "sqlalchemy", "clickhouse_connect", "chdb", "kafka"},
    "gate": {"streamlit", "bytewax", "chdb"},
    "dashboards": {"kafka", "clickhouse_connect", "chdb", "bytewax", "sqlalchemy", "av"},
}


def imports(source: str, module: str = "x") -> Iterator[tuple[int, str]]:
    """Line and full name of every module that a file imports, wherever in it; `from a import b` gives `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.split(".")[: -node.level], *([base] if base else [])])
            for name in node.names:
                yield node.lineno, f"{base}.{name.name}"


def faults(room: str, source: str, where: str, module: str) -> list[str]:
    """Imports that this room may not have."""
    found = []
    for line, name in imports(source, module):
        first = name.split(".")[0]
        if first in ROOMS:
            if not any(name == allowed or name.startswith(allowed + ".") for allowed in MAY_IMPORT[room]):
                found.append(f"{where}:{line}: {room} must not import {name}")
        elif first == "tests" or first in FOREIGN_TO.get(room, set()):
            found.append(f"{where}:{line}: {room} must not import {name}")
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    found = []
    for file in files:
        relative = file.relative_to(ROOT)
        module = ".".join(relative.with_suffix("").parts)
        found += faults(room, file.read_text(encoding="utf-8"), str(relative), module)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("reid", "import connectors.gop"),
        ("reid", "def f():\n    import kafka"),
        ("connectors", "from flows import capture"),
        ("connectors", "from flows.capture import x"),
        ("flows", "from gate.access import authorise"),
        ("gate", "from infra.ports import free_port"),
        ("dashboards", "from gate import access"),
        ("dashboards", "from gate.database import Base"),
        ("dashboards", "from connectors.site import Site"),
        ("reid", "from tests import x"),
    ],
)
def test_a_wrong_import_is_found(room: str, source: str) -> None:
    assert faults(room, source, "file.py", f"{room}.file")


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("dashboards", "from gate.client import GateClient\nfrom gate.messages import Trace"),
        ("flows", "import bytewax.operators as op\nfrom connectors.gop import Gop"),
        ("gate", "from reid.passage import Passage"),
        ("infra", "from gate.access import authorise\nimport streamlit"),
    ],
)
def test_a_right_import_is_not(room: str, source: str) -> None:
    assert not faults(room, source, "file.py", f"{room}.file")
