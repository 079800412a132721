# SPDX-License-Identifier: AGPL-3.0-or-later
"""`make demo`, killed at seeded random moments: each next one must start over by itself, and the last one must hold.

Run: python tests/bench/demo_kills.py [--kills 10] [--seed 7]     (ten minutes; writes build/bench/kills.json)
     python tests/bench/demo_kills.py --each                      (half an hour: one after every kill is seen through)
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


def seen_through(after: str) -> float:
    """Seconds of a whole demonstration. Raises SystemExit when it does not hold."""
    began = time.monotonic()
    if subprocess.run(["make", "demo", "ARGS=--stop"], cwd=ROOT).returncode != 0:
        raise SystemExit(f"the demonstration after {after} did not hold")
    return round(time.monotonic() - began, 1)


def main() -> None:
    """Kill, start over, and see the last one through, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--each", action="store_true", help="see a whole demonstration through after every kill")
    given = parser.parse_args()
    rng = random.Random(given.seed)
    moments = [round(rng.uniform(1.0, LONGEST_S), 1) for _ in range(given.kills)]
    for number, moment in enumerate(moments, 1):
        sys.stdout.write(f"== kill {number} of {given.kills}, after {moment} s\n")
        sys.stdout.flush()
        killed(moment)
        if given.each and number < given.kills:
            seen_through(f"kill {number}")
    took = seen_through("the kills")
    seen = given.kills if given.each else 1
    record("kills", {"kills": len(moments), "moments_s": str(moments), "seen_through": seen, "last_s": took})


if __name__ == "__main__":
    main()
