# SPDX-License-Identifier: AGPL-3.0-or-later
"""Child processes that never outlive the one that started them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _bind_to_parent(parent: int) -> None:
    """Run in the child between fork and exec: the kernel kills it when its parent dies, however that happens."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # the parent died between fork and prctl
        os._exit(1)


def die_with_parent() -> None:
    """Called first thing in a worker process: the kernel kills it when the process that started it dies."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1:
        os._exit(1)


def spawn(
    command: Sequence[str],
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, its output appended to `log` (or inherited when None).

    Call it from a thread that lives as long as the child should: Linux ties the child to the starting thread.
    """
    parent = os.getpid()
    output = None if log is None else open(log, "ab")
    try:
        return subprocess.Popen(  # noqa: S603
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output is not None else None,
            env=None if environment is None else dict(environment),
            cwd=folder,
            start_new_session=True,
            preexec_fn=lambda: _bind_to_parent(parent),
        )
    finally:
        if output is not None:
            output.close()


def stop(process: subprocess.Popen[bytes], grace_s: float = 10.0) -> int:
    """Ask a child to end, then insist: SIGTERM, and SIGKILL to its whole group after `grace_s`. Its exit status."""
    if process.poll() is None:
        try:
            process.terminate()
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            pass
    kill_group(process)
    return process.wait()


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to whatever is left of the child's group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
