# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs tests against a copy of the tree with a line of it changed, each in a process of its own.

The processes that a test starts run from the copy as well, so that a line may be taken from any file: a component's, a
script's, a configuration's. Third-party packages are imported once; every change then costs little more than its tests.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "sqlalchemy.orm starlette.testclient uvicorn httpx av cv2 numpy scipy.optimize sklearn.cluster fpdf pypdf msgspec "
    "typer rich hypothesis cryptography.hazmat.primitives.asymmetric.ed25519 argon2 pyotp clickhouse_connect kafka "
    "pytest"
).split()
_NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "build", "shared", ".*_cache")


@dataclass(frozen=True)
class Change:
    """Lines that are taken away or turned round."""

    name: str
    module: str
    """Dotted; a file that is no Python by its path."""
    old: str
    new: str
    also: tuple[tuple[str, str, str], ...] = ()
    """What falls with it, where one guard stands behind another: module, old, new."""

    def made(self) -> dict[str, str]:
        """File → its whole source with the lines changed. Raises ValueError unless each stands there exactly once."""
        made: dict[str, str] = {}
        for module, old, new in ((self.module, self.old, self.new), *self.also):
            file = module if "/" in module else module.replace(".", "/") + ".py"
            source = made.get(file) or (ROOT / file).read_text(encoding="utf-8")
            if (found := source.count(old)) != 1:
                raise ValueError(f"{self.name}: {module} has {old!r} {found} times: quote what stands there once")
            made[file] = source.replace(old, new)
        return made


class Copy:
    """A copy of the tree in which lines are changed; `with Copy() as copy:`, and it goes away."""

    def __enter__(self) -> Copy:
        """Copy, and import what every run needs; never our own packages."""
        self._folder = tempfile.TemporaryDirectory(prefix="passage-guards-")
        self._tree = Path(self._folder.name).resolve() / "tree"
        # Compiled modules come along and stay valid, but for the one that is changed.
        shutil.copytree(ROOT, self._tree, ignore=_NOT_COPIED)
        for name in HEAVY:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def run(self, change: Change | None, tests: Sequence[str], timeout_s: int = 900) -> tuple[int, str]:
        """Exit status of pytest (0 passed, 1 failed) and the end of what it said, with the change in force.

        Raises ValueError at a stale quote.
        """
        with self._changed({} if change is None else change.made()):
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(reading)
                status, said = self._tested(tests, timeout_s)
                os.write(writing, said[-3000:].encode())
                os._exit(status)
            os.close(writing)
            with os.fdopen(reading, "rb") as file:
                text = file.read().decode("utf-8", "replace")
            _, waited = os.waitpid(child, 0)
            return os.waitstatus_to_exitcode(waited), text

    @contextlib.contextmanager
    def _changed(self, made: Mapping[str, str]) -> Iterator[None]:
        for file, source in made.items():
            (self._tree / file).write_text(source, encoding="utf-8")
        try:
            yield
        finally:
            for file in made:
                shutil.copy2(ROOT / file, self._tree / file)

    def _tested(self, tests: Sequence[str], timeout_s: int) -> tuple[int, str]:
        """Run pytest in the copy; in a child that ends afterwards."""
        said = io.StringIO()
        try:
            os.chdir(self._tree)
            sys.path[:] = [str(self._tree), *(p for p in sys.path if Path(p or ".").resolve() != ROOT)]
            for name in [n for n in sys.modules if n == "tests" or n.startswith("tests.")]:
                del sys.modules[name]
            # A process spawned by a test imports the main module again: not ours, which stands in the tree itself.
            sys.modules["__main__"] = ModuleType("__main__")
            sys.dont_write_bytecode = True
            os.environ |= {"PYTHONPATH": str(self._tree), "PYTHONDONTWRITEBYTECODE": "1"}
            import pytest

            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                options = ["-q", "-x", "-W", "ignore", "-p", "no:cacheprovider", f"--timeout={timeout_s}", "--tb=line"]
                return int(pytest.main([*options, *tests])), said.getvalue()
        except BaseException as fault:
            return 70, said.getvalue() + repr(fault)
