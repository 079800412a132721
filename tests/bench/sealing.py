# SPDX-License-Identifier: AGPL-3.0-or-later
"""What sealing costs: capture of file cameras as fast as it goes, with and without, into the broker's twin.

    python tests/bench/sealing.py [REPEATS]

The twin takes records at no cost, so that the figure is the least favourable one: with Kafka behind it, the share of
sealing is smaller.

Runs alternate; the figures are those of the best run of each kind, which other work on the machine disturbed least.
Writes `build/bench/sealing.json`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from connectors import topics  # noqa: E402
from connectors.memory_broker import MemoryBroker  # noqa: E402
from flows.capture import capture  # noqa: E402
from flows.drain import Drain  # noqa: E402
from flows.share import Share  # noqa: E402
from tests.bench._recording import record  # noqa: E402
from tests.connectors.videos import file_camera, make_video  # noqa: E402
from tests.flows.sites import site_of, write_public_key  # noqa: E402

CAMERAS, FRAMES, SIZE = 8, 250, (1280, 720)


def run(folder: Path, video: Path, sealing: bool) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds and bytes of one capture of `CAMERAS` cameras."""
    site = site_of(folder, [file_camera(video, f"c{n}") for n in range(CAMERAS)], sealing=sealing)
    write_public_key(site)
    broker = MemoryBroker()
    wall, cpu = time.perf_counter(), time.process_time()
    capture(site, Share(), Drain(), broker)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return wall, cpu, sum(len(m.value) for m in broker.messages(topics.FRAMES_LIVE))


def measure(repeats: int) -> dict[str, object]:
    """Flat keys for the figures file."""
    clear: list[tuple[float, float, int]] = []
    sealed: list[tuple[float, float, int]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = {"g": "25", "preset": "ultrafast", "b": "4M", "maxrate": "4M", "bufsize": "4M"}
        video = make_video(folder / "a.mp4", options=options, frames=FRAMES, size=SIZE, noise=16)
        for n in range(repeats + 1):
            for kind, sealing in ((clear, False), (sealed, True)):
                result = run(folder / f"{n}-{sealing}", video, sealing)
                if n:  # the first pair warms caches
                    kind.append(result)

    def best(runs: Sequence[tuple[float, float, int]], which: int) -> float:
        return min(r[which] for r in runs)

    video_s = CAMERAS * FRAMES / 25
    return {
        "sealed_over_clear_throughput": round(best(clear, 0) / best(sealed, 0), 4),
        "sealed_over_clear_cpu": round(best(clear, 1) / best(sealed, 1), 4),
        "clear_s": round(best(clear, 0), 3),
        "sealed_s": round(best(sealed, 0), 3),
        "clear_camera_hours_per_hour": round(video_s / best(clear, 0), 1),
        "sealed_camera_hours_per_hour": round(video_s / best(sealed, 0), 1),
        "megabytes": round(best(clear, 2) / 1e6, 1),
        "megabit_per_camera_second": round(best(clear, 2) * 8 / 1e6 / video_s, 2),
        "cameras": CAMERAS,
        "video_s_each": FRAMES / 25,
        "repeats": repeats,
    }


def main() -> int:
    """Measure and write."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    record("sealing", measure(repeats))
    return 0


if __name__ == "__main__":
    sys.exit(main())
