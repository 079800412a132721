# SPDX-License-Identifier: AGPL-3.0-or-later
"""Flows that fail, each in a process of its own, as in the product.

A step's error unwinds through Bytewax as a panic of Rust code, after which a process must end: one that went on to
other work has been seen to crash.
"""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from collections.abc import Callable


def run_apart(action: Callable[[], object]) -> None:
    """Do it in a copy of this process; raises here what it raised there."""
    reads, writes = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        raised: BaseException | None = None
        try:
            action()
        except BaseException as fault:
            traceback.print_exc()
            raised = fault.with_traceback(None)
            raised.__cause__ = raised.__context__ = None
        with os.fdopen(writes, "wb") as out:
            pickle.dump(raised, out)
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads, "rb") as told:
        said = told.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, f"ended with {status}"
    fault = pickle.loads(said)  # noqa: S301  our own child wrote it
    if fault is not None:
        raise fault
