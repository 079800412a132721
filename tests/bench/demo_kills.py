# SPDX-License-Identifier: AGPL-3.0-or-later
"""`make demo`, killed at seeded random moments: each next one must start over by itself, and the last one must hold.

Run: python tests/bench/demo_kills.py [--kills 10] [--seed 7]     (minutes; writes build/bench/kills.json)
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench._recording import record  # noqa: E402

LONGEST_S = 110.0


def killed(after_s: float) -> None:
    """Start the demonstration and kill its whole process group after so many seconds. Raises SystemExit if it failed.

    The stack that it has brought up by then lives in sessions of its own and goes on, as after a crash of the terminal.
    """
    run = subprocess.Popen(["make", "demo"], cwd=ROOT, start_new_session=True)
    try:
        status = run.wait(timeout=after_s)
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        return
    if status != 0:
        raise SystemExit(f"the demonstration failed by itself, before its kill at {after_s:.0f} s")


def main() -> None:
    """Kill, start over, and see the last one through."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    moments = [round(rng.uniform(1.0, LONGEST_S), 1) for _ in range(given.kills)]
    for number, moment in enumerate(moments, 1):
        sys.stdout.write(f"== kill {number} of {given.kills}, after {moment} s\n")
        sys.stdout.flush()
        killed(moment)
    began = time.monotonic()
    last = subprocess.run(["make", "demo", "ARGS=--stop"], cwd=ROOT)
    took = round(time.monotonic() - began, 1)
    figures = {"kills": len(moments), "moments_s": str(moments), "last_status": last.returncode, "last_s": took}
    record("kills", figures)
    if last.returncode != 0:
        raise SystemExit("the demonstration after the kills did not hold")


if __name__ == "__main__":
    main()
