# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs tests against the gate with one line of it changed, each in a process of its own, without touching the tree.

Third-party packages are imported once; every change then costs little more than its tests.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "sqlalchemy.orm starlette.testclient uvicorn httpx av cv2 numpy scipy.optimize sklearn.cluster fpdf pypdf msgspec "
    "typer rich hypothesis cryptography.hazmat.primitives.asymmetric.ed25519 argon2 pyotp clickhouse_connect kafka "
    "pytest"
).split()


@dataclass(frozen=True)
class Change:
    """One line that is taken away or turned round."""

    name: str
    module: str
    old: str
    new: str

    @property
    def file(self) -> Path:
        """Where the line stands."""
        return ROOT / (self.module.replace(".", "/") + ".py")

    def made(self) -> str:
        """The whole source with the line changed. Raises ValueError unless the line stands there exactly once."""
        source = self.file.read_text(encoding="utf-8")
        if (found := source.count(self.old)) != 1:
            raise ValueError(f"{self.name}: {self.module} has {self.old!r} {found} times: quote what stands there once")
        return source.replace(self.old, self.new)


class _Mutating(importlib.machinery.SourceFileLoader):
    change: Change

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.change.made(), self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, change: Change) -> None:
        self._change = change

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._change.module:
            return None
        file = str(self._change.file)
        loader = _Mutating(fullname, file)
        loader.change = self._change
        return importlib.machinery.ModuleSpec(fullname, loader, origin=file)


def warm_up() -> None:
    """Import what every run needs; never our own packages."""
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    for name in HEAVY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def run(change: Change | None, tests: Sequence[str], timeout_s: int = 900) -> tuple[int, str]:
    """Exit status of pytest (0 passed, 1 failed) and the end of what it said, with the change in force."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        said = io.StringIO()
        status = 70
        try:
            import pytest

            if change is not None:
                change.made()  # a stale quote is told here: inside pytest it would look like a test that failed
                sys.meta_path.insert(0, _Finder(change))
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                options = ["-q", "-x", "-W", "ignore", "-p", "no:cacheprovider", f"--timeout={timeout_s}", "--tb=line"]
                status = int(pytest.main([*options, *tests]))
        except BaseException as fault:
            said.write(repr(fault))
        os.write(writing, said.getvalue()[-3000:].encode())
        os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        text = file.read().decode("utf-8", "replace")
    _, waited = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(waited), text
