# SPDX-License-Identifier: AGPL-3.0-or-later
"""`make bench-main`: times of the demonstration and of the tests as a newcomer has them, into `build/bench/main.json`.

The first demonstration runs in a fresh clone of what is committed, with an empty cache: installation, jars and
drawing are in its time; the second runs in the same clone. Figures of other benchmarks that belong to the main job are
copied.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench._recording import BENCH, record  # noqa: E402

COPIED = {"frames_detector_recall": "detector", "clip_chain_over_track": "chain", "stage_shares": "chain"}
"""How a figure's name begins → the benchmark that measures it."""


def demonstration(clone: Path, cache: Path) -> dict[str, float]:
    """Seconds of the first and of the second `make demo` in a fresh clone with an empty cache. Raises SystemExit.

    Each ends where a person's does, with the application running; ending that is not timed, and the next begins empty.
    """
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    environment = dict(os.environ) | {"PASSAGE_CACHE": str(cache)}
    times = {}
    for name in ("demo_first_s", "demo_second_s"):
        began = time.monotonic()
        done = subprocess.run(["make", "demo"], cwd=clone, env=environment)
        times[name] = round(time.monotonic() - began, 1)
        subprocess.run(["make", "demo-stop"], cwd=clone, env=environment, check=done.returncode == 0)
        if done.returncode != 0:
            raise SystemExit(f"`make demo` failed in {clone} after {times[name]:.0f} s")
    return times


def tests(target: str) -> float:
    """Seconds of `make test-fast` or `make test`. Raises SystemExit when it fails."""
    began = time.monotonic()
    done = subprocess.run(["make", target], cwd=ROOT)
    if done.returncode != 0:
        raise SystemExit(f"`make {target}` failed")
    return round(time.monotonic() - began, 1)


def copied() -> dict[str, Any]:
    """Figures that other benchmarks have measured; those not measured yet are left out and named."""
    found: dict[str, Any] = {}
    for figure, name in COPIED.items():
        try:
            measured = json.loads((BENCH / f"{name}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            measured = {}
        named = {key: value for key, value in measured.items() if key.startswith(figure)}
        found |= named
        if not named:
            sys.stderr.write(f"{figure}: not in {BENCH / name}.json; run tests/bench/{name}.py first\n")
    return found


def main() -> None:
    """Measure and write; one part alone leaves the other's figures as they were."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("demo", "test-fast", "test"), help="only this, the rest as last measured")
    part = parser.parse_args().part
    file = BENCH / "main.json"
    figures: dict[str, Any] = {}
    if part and file.exists():
        figures = {k: v for k, v in json.loads(file.read_text(encoding="utf-8")).items() if k.endswith("_s")}
    for name, target in (("test_fast_s", "test-fast"), ("test_s", "test")):
        if part in (None, target):
            figures[name] = tests(target)
    if part in (None, "demo"):
        with tempfile.TemporaryDirectory(prefix="passage-bench-") as folder:
            figures |= demonstration(Path(folder) / "clone", Path(folder) / "cache")
    record("main", figures | copied())


if __name__ == "__main__":
    main()
