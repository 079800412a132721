# SPDX-License-Identifier: AGPL-3.0-or-later
"""The whole chain on a real clip beside plain tracking of every frame by ultralytics: build/bench/chain.json.

Chain: file → capture → Apache Kafka → decode, motion, detect, track, describe → Kafka. Same clip, model and threads.

Run: python tests/bench/chain.py [--fps N]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from connectors.kafka import Kafka  # noqa: E402
from flows import metrics  # noqa: E402
from flows.capture import capture  # noqa: E402
from flows.drain import Drain  # noqa: E402
from flows.index import index, site_detector  # noqa: E402
from flows.share import Share  # noqa: E402
from infra.kafka_broker import BrokerSettings, KafkaBroker  # noqa: E402
from infra.ports import free_port  # noqa: E402
from tests.bench._recording import DATA, record  # noqa: E402
from tests.flows.clips import clip_site, indexed  # noqa: E402
from tests.flows.draining import EndsAtTheEnd  # noqa: E402

CLIP = DATA / "video" / "street_clip.mp4"
MODEL = DATA / "models" / "yolo11n_int8_openvino_model"
STAGES = ("decode", "motion", "detect", "describe", "track")


def plain_track() -> tuple[float, int]:
    """Seconds and frames of `model.track()` over every frame, the model already loaded."""
    from ultralytics import YOLO

    model = YOLO(str(MODEL), task="detect")
    list(model.track(str(CLIP), stream=True, verbose=False, imgsz=640, vid_stride=300))
    began = time.perf_counter()
    frames = sum(1 for _ in model.track(str(CLIP), stream=True, verbose=False, imgsz=640))
    return time.perf_counter() - began, frames


def whole_chain(broker: Kafka, folder: Path, port: int, fps: float | None) -> dict[str, float]:
    """Seconds of capture and of indexing, the model already loaded, and the shares of the stages."""
    site = clip_site(CLIP, DATA, folder, port=port, fps=fps)
    found = site_detector(site)
    began = time.perf_counter()
    capture(site, Share(), Drain(), broker)
    captured_s = time.perf_counter() - began
    drain = Drain()
    began = time.perf_counter()
    index(site, Share(), drain, broker=EndsAtTheEnd(broker, drain), detector=found)
    indexed_s = time.perf_counter() - began
    stages = {
        s: metrics.REGISTRY.get_sample_value("passage_stage_seconds_total", {"flow": "index", "stage": s}) or 0.0
        for s in STAGES
    }
    whole = captured_s + indexed_s
    rest = whole - captured_s - sum(stages.values())
    return {
        "chain_s": whole,
        "passages": float(len(indexed(broker).passages)),
        "stage_shares_capture": captured_s / whole,
        **{f"stage_shares_{name}": seconds / whole for name, seconds in stages.items()},
        "stage_shares_kafka_and_rest": rest / whole,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--fps", type=float, default=None, help="frames a second to look at; every frame by default")
    given = parser.parse_args()
    if not DATA.is_dir():
        print("needs the real clips in ../shared/data, which are absent", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port(2)
        server = KafkaBroker(BrokerSettings.below(folder, port=port, heap_mb=256, partitions=2))
        server.start(timeout_s=300)
        try:
            broker = server.client()
            # Before and after, so that a machine that others use as well favours neither.
            first, frames = plain_track()
            chain = whole_chain(broker, folder / "var", port, given.fps)
            second, _ = plain_track()
        finally:
            server.stop()
    track_s = (first + second) / 2
    figures: dict[str, Any] = {
        "clip": CLIP.name,
        "frames": frames,
        "track_s": round(track_s, 2),
        "clip_chain_over_track": round(chain["chain_s"] / track_s, 3),
        **{key: round(value, 4) for key, value in chain.items()},
    }
    record("chain", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
