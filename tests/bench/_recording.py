# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where every benchmark's figures go, and what is written beside them so that they can be read later."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "build" / "bench"
DATA = ROOT.parent / "shared" / "data"
"""Real pictures and clips, beside the checkout where they are to be had."""
WATCHED = (
    "av", "bytewax", "chdb", "clickhouse-connect", "cryptography", "kafka-python", "numpy", "openvino", "scikit-learn",
    "sqlalchemy", "starlette", "streamlit", "torch", "ultralytics",
)  # fmt: skip


def record(name: str, figures: dict[str, Any]) -> Path:
    """Write a benchmark's flat figures to `build/bench/NAME.json` with command, date, machine and versions; show it."""
    BENCH.mkdir(parents=True, exist_ok=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    about = {
        "command": " ".join(["python", os.path.relpath(sys.argv[0], ROOT), *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "machine": f"{os.cpu_count()} × {_processor()}, {_memory_gib()} GiB, load {os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        **{f"version_{package}": version(package) for package in WATCHED},
    }
    file = BENCH / f"{name}.json"
    file.write_text(json.dumps({**figures, **about}, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(file.read_text(encoding="utf-8"))
    return file


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _memory_gib() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
