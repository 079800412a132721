# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where a detector sees a vehicle in training pictures that is not there, to learn from those places more often.

Of a street's thousand places a model is wrong about a few: markings of an empty bay, the seam of two parked cars. They
stand still, so each is wrong in every picture of that camera; crops that fall anywhere hardly ever show one.

Run: python -m infra.training.mistakes reid/models/passage-detector-v1 build/training/streets build/training/towns
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import cv2

from infra.training.evaluate import Raw, false_alarms
from infra.training.export_detector import open_exported
from infra.training.pictures import WRONG_SUFFIX, Labelled, read_picture

LEAST_SCORE = 0.2
"""Weaker mistakes would not pass any threshold in use."""
_AT_ONCE = 128
"""Pictures held in memory."""


def find_mistakes(model: Path, folders: Sequence[Path]) -> Iterator[tuple[Path, int]]:
    """Write `NAME.wrong` beside every picture: x0, y0, x1, y1 of each false alarm; says how many, one after the other.

    Args:
        model: folder of an exported detector.
        folders: of training pictures; those whose mistakes are known are looked at again.
    """
    detector = open_exported(model / "detector.xml")
    for folder in folders:
        paths = iter(sorted(folder.glob("*.jpg")))
        while some := list(islice(paths, _AT_ONCE)):
            scenes = [read_picture(path) for path in some]
            answers = detector.detect_every_class([scene.picture for scene in scenes], LEAST_SCORE)
            for path, scene, answer in zip(some, scenes, answers, strict=True):
                yield path, _write(path, scene, answer)


def _write(path: Path, scene: Labelled, answer: Raw) -> int:
    wrong = false_alarms(scene, answer, LEAST_SCORE)
    lines = "".join(" ".join(f"{side:.1f}" for side in box) + "\n" for box in wrong)
    path.with_suffix(WRONG_SUFFIX).write_text(lines, encoding="utf-8")
    return len(wrong)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    a = parser.parse_args()
    cv2.setNumThreads(1)
    counts = [count for _, count in find_mistakes(a.model, a.folders)]
    print(f"{sum(counts)} mistakes in {sum(map(bool, counts))} of {len(counts)} pictures")


if __name__ == "__main__":
    main()
