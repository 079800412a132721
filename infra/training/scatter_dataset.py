# SPDX-License-Identifier: AGPL-3.0-or-later
"""Write many scattered scenes at the detector's scale; resumes where it stopped.

Run: python -m infra.training.scatter_dataset --out build/training/scatter --scenes 600
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2

from infra.rehearsal.bodies_two_wheelers import ANY_TWO_WHEELER
from infra.rehearsal.families import FAMILY_RULES
from infra.rehearsal.fleet import BODY_SIZES
from infra.training.pictures import to_input_scale, write_picture
from infra.training.scatter import RARE_SHARES, SHARES, scatter_scene


def strewn(rare: bool) -> tuple[str, ...]:
    """The bodies of a scattered scene; among rare kinds every two-wheeler with a motor is of a shape of its own."""
    bodies = (*FAMILY_RULES["training"].bodies, "pedestrian")
    if not rare:
        return bodies
    return (*(body for body in bodies if BODY_SIZES[body].kind != "motorcycle"), ANY_TWO_WHEELER)


def write_scattered(folder: Path, first: int, scenes: int, rare: bool = False) -> int:
    """Write scenes `first` to `first + scenes` of training bodies; returns how many were written.

    With `rare`, scenes led by trucks, buses and two-wheelers.
    """
    bodies = strewn(rare)
    shares = RARE_SHARES if rare else SHARES
    written = 0
    for seed in range(first, first + scenes):
        if not (folder / f"s{seed:06d}.jpg").is_file():
            write_picture(folder, f"s{seed:06d}", to_input_scale(scatter_scene(seed, bodies, shares)))
            written += 1
    return written


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--scenes", type=int, default=600)
    parser.add_argument("--rare", action="store_true", help="scenes led by trucks, buses and two-wheelers")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    print(write_scattered(arguments.out, arguments.first, arguments.scenes, arguments.rare), "scenes written")


if __name__ == "__main__":
    main()
