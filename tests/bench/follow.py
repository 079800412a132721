# SPDX-License-Identifier: AGPL-3.0-or-later
"""What following makes of what is seen: passages found, doubled, broken, false, IDF1, HOTA; build/bench/follow.json.

Every picture of rendered towns is looked at once for each detector (kept in build/bench), which takes minutes; what a
change of `reid.tracker`, `reid.joining` or `reid.tracklet` does to it is then seen in seconds, with no broker and no
store. Weights can be held beside each other so as well: several detectors, several confidences.

Run: python tests/bench/follow.py [TOWN_DIR...] [--camera NAME]... [--detector NAME]... [--confidence X]...
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import av
import msgspec
import pyarrow as pa

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from connectors.site import IndexSite  # noqa: E402
from infra.demo_town import render_demo  # noqa: E402
from infra.rehearsal.score import tracking  # noqa: E402
from infra.rehearsal.score.found import AS_DETECTED, CameraFrames, Found, cameras  # noqa: E402
from infra.rehearsal.town_site import described  # noqa: E402
from infra.rehearsal.truth import load_truth  # noqa: E402
from reid.crossings import Crossings, Outcome  # noqa: E402
from reid.detector import Detector, DetectorSettings, load_detector  # noqa: E402
from reid.finding import Ended, GopFindings  # noqa: E402
from reid.look import Frame, look_at  # noqa: E402
from reid.passage import LIVE, Passage, Track  # noqa: E402
from reid.thresholds import working_confidence  # noqa: E402
from reid.tracker import CARRY_SHARE  # noqa: E402
from tests.bench._recording import BENCH, record  # noqa: E402

START = datetime(2026, 6, 12, 12, tzinfo=UTC)
LEAST = 0.08
"""Findings of lower scores are not kept: no confidence asked for here may carry tracks on below it."""
COUNTED = ("truth", "found", "doubled", "broken", "predicted", "false")


def looked_at(town: Path, camera: dict[str, Any], detector: str) -> Path:
    """Look at every picture of a camera; the file of its findings, kept for the next time."""
    seer = _loaded(detector)
    file = BENCH / "follow" / f"{town.resolve().name}-{seer.model_id}" / f"{camera['name']}.msgpack"
    if file.exists():
        return file
    gops: list[GopFindings] = []
    with av.open(str(town / camera["file"])) as video:
        group: list[Frame] = []
        for frame in video.decode(video=0):
            if frame.key_frame and group:
                gops.append(_seen(camera["name"], len(gops), group, seer))
                group = []
            at = START + timedelta(seconds=float(frame.time or 0.0))
            group.append((at, frame.to_ndarray(format="bgr24")))
        if group:
            gops.append(_seen(camera["name"], len(gops), group, seer))
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(".half")
    half.write_bytes(msgspec.msgpack.encode(gops))
    half.replace(file)
    return file


@cache
def _loaded(detector: str) -> Detector:
    """Once for each process, however many cameras it looks at."""
    return load_detector(DetectorSettings(model=detector, confidence=LEAST))


def _seen(camera: str, sequence: int, group: Sequence[Frame], detector: Detector) -> GopFindings:
    look = look_at(group, detector, lambda _: True)
    return GopFindings(
        scope=LIVE,
        camera=camera,
        run="bench",
        sequence=sequence,
        first_at=group[0][0],
        last_at=group[-1][0],
        width_px=look.width_px,
        height_px=look.height_px,
        frames=look.frames,
        frames_decoded=look.frames,
        sampled=tuple(look.sampled),
        detector=detector.model_id,
    )


def followed(gops: Sequence[GopFindings], confidence: float) -> list[Outcome]:
    """What becomes of a camera's findings at this confidence."""
    crossings = Crossings(LIVE, gops[0].camera, confidence)
    least = CARRY_SHARE * confidence
    out: list[Outcome] = []
    for gop in gops:
        sampled = (
            msgspec.structs.replace(f, findings=tuple(x for x in f.findings if x.score >= least)) for f in gop.sampled
        )
        out += crossings.take(msgspec.structs.replace(gop, sampled=tuple(sampled)))
    ended = Ended(scope=LIVE, camera=gops[0].camera, started_at=gops[0].first_at, ended_at=gops[-1].last_at)
    return out + crossings.take(ended)


def laid(town: Path, files: Iterable[Path], confidence: float) -> tuple[list[CameraFrames], pa.Table]:
    """The town's cameras with their frames laid beside the truth, and its true passages."""
    outcomes: list[Outcome] = []
    for file in files:
        outcomes += followed(msgspec.msgpack.decode(file.read_bytes(), type=list[GopFindings]), confidence)
    found = Found(
        passages=tuple(o for o in outcomes if isinstance(o, Passage)),
        tracks=tuple(o for o in outcomes if isinstance(o, Track)),
        vehicles={},
        coverage=(),
        camera_starts={camera["name"]: START for camera in described(town)["cameras"]},
        seconds_of_video=0.0,
        seconds_taken=0.0,
    )
    truth = load_truth(town)
    return list(cameras(truth, found, AS_DETECTED)), truth.table("passages")


def figures(
    towns: Sequence[Path], names: Sequence[str], detector: str, confidence: float, pool: ProcessPoolExecutor
) -> dict[str, float]:
    """Of all towns together, of the cameras named or all; IDF1 and HOTA are means over the towns."""
    total: Counter[str] = Counter()
    idf1, hota = [], []
    for town in towns:
        there = [c for c in described(town)["cameras"] if not names or c["name"] in names]
        files = list(pool.map(looked_at, [town] * len(there), there, [detector] * len(there)))
        every, passages = laid(town, files, confidence)
        frames = [camera for camera in every if not names or camera.name in names]
        for camera in frames:
            score = tracking.passages(camera, tracking.match(camera), passages)
            total.update({name: int(getattr(score, name)) for name in COUNTED})
        single = tracking.single_camera(frames, passages)
        idf1.append(tracking.idf1(single))
        hota.append(tracking.hota(single))
    return dict(total) | {
        "found_share": round(total["found"] / max(1, total["truth"]), 4),
        "idf1": round(sum(idf1) / len(idf1), 4),
        "hota": round(sum(hota) / len(hota), 4),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "towns", nargs="*", type=Path, metavar="TOWN_DIR", help="rendered; the demonstration's where none is named"
    )
    parser.add_argument(
        "--camera", action="append", metavar="NAME", help="only this one, of every town; may be repeated"
    )
    parser.add_argument("--detector", action="append", help="shipped model, or the folder of one; the default's else")
    parser.add_argument("--confidence", action="append", type=float, help="the detector's own else")
    given = parser.parse_args()
    towns = given.towns or [render_demo(6, 45, None)]
    out: dict[str, Any] = {"towns": " ".join(town.resolve().name for town in towns)}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for detector in given.detector or [IndexSite().detector]:
            for confidence in given.confidence or [working_confidence(detector, None)]:
                one = figures(towns, given.camera or (), detector, confidence, pool)
                print(f"{detector} at {confidence:g}: {one}", flush=True)
                out |= {f"{Path(detector).name} {confidence:g} {name}": value for name, value in one.items()}
    record("follow", out)


if __name__ == "__main__":
    main()
