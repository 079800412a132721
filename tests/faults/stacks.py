# SPDX-License-Identifier: AGPL-3.0-or-later
"""A small stack of a test's own: one file camera, ports of its own, everything in one folder."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from connectors.site import METRICS, Site, load_site
from infra.ports import free_port
from infra.stack_state import StackState, read_state
from tests.connectors.videos import make_video

PASSAGE = [sys.executable, "-m", "infra.command"]
PATIENCE_S = 240.0
"""For a machine that does something else as well; nothing waits longer than it must."""

MODEL = "yolo11n.pt"
"""Never loaded here: most of these tests index nothing."""
START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


def write_site(
    folder: Path,
    *,
    cameras: int = 1,
    extra: str = "",
    port: int | None = None,
    clips: Sequence[Path] = (),
    start: datetime = START,
    index: str = f'detector = "{MODEL}"',
) -> Path:
    """A site file: a camera for each clip, or so many with small clips that show no vehicle."""
    first = port or free_port(5 + max(METRICS.values()) + 1)
    lines = [
        'name = "Essai"',
        f"metrics_port = {first + 5}",
        extra,
        f"[kafka]\nport = {first}\nheap_mb = 256\npartitions = 2",
        f"[store]\nport = {first + 2}",
        f"[gate]\nport = {first + 3}",
        f"[dashboard]\nport = {first + 4}",
        f"[index]\n{index}",
    ]
    for n, clip in enumerate(clips or [make_video(folder / f"clip-{n}.mp4") for n in range(cameras)]):
        lines.append(
            f'[[camera]]\nname = "c{n}"\nlabel = "c{n}"\nurl = "{clip}"\nstart_utc = {start.isoformat()}\n'
            'pace = "fast"\nmasks_dwellings = true'
        )
    file = folder / "site.toml"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def passage(*arguments: str | Path, timeout_s: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*PASSAGE, *map(str, arguments)], capture_output=True, text=True, timeout=timeout_s, check=False
    )


def until(what: Callable[[], bool], patience_s: float = PATIENCE_S, message: str = "") -> None:
    """Wait for something that another process does; fail when it does not come."""
    deadline = time.monotonic() + patience_s
    while not what():
        assert time.monotonic() < deadline, f"waited {patience_s:.0f} s for {message or what}"
        time.sleep(0.05)


def state(site: Site) -> StackState:
    """What the supervisor sees."""
    found = read_state(site)
    assert found is not None
    return found


def processes_of(file: Path) -> list[psutil.Process]:
    """Every process that names this site file or its folder on its command line, and the application of its gate."""
    folder = str(file.parent)
    gate = f"http://127.0.0.1:{load_site(file).gate.port}"
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status", "environ"]):
        words = process.info["cmdline"] or ()
        # The application knows of its site nothing but where the gate answers.
        application = "streamlit" in words and (process.info["environ"] or {}).get("PASSAGE_GATE_URL") == gate
        if process.info["status"] != psutil.STATUS_ZOMBIE and (application or any(folder in word for word in words)):
            found.append(process)
    return found


def pid_of(site: Site, service: str) -> int | None:
    """The service's process now."""
    return next(s.pid for s in state(site).services if s.name == service)


def settled(site: Site) -> bool:
    """Whether everything runs."""
    found = read_state(site)
    return found is not None and found.supervisor_pid > 0 and found.settled


def kill_all(file: Path) -> None:
    """Clean up after a test, whatever it left."""
    for process in processes_of(file):
        try:
            process.kill()
        except psutil.Error:
            continue


def site_of(file: Path) -> Site:
    """Its settings."""
    return load_site(file)
