# SPDX-License-Identifier: AGPL-3.0-or-later
"""The mean of several checkpoints' weights, of which one went on from the other: often better than either.

What a training on new pictures gains in one kind of thing it loses a little of in others; half way between the two most
of the gain is kept and most of the loss is not (Wortsman et al. 2022, "Model soups").

Run: python -m infra.training.mean_weights build/training/mean.pt before.pt build/training/detector/last.pt
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from infra.training.train_detector import write_checkpoint


def mean_of(checkpoints: Sequence[Path], out: Path) -> Path:
    """Write the mean of the averaged weights of checkpoints of one architecture; returns `out`, whole or not at all.

    Raises:
        ValueError: there are none, or they are of different architectures.
    """
    kept = [torch.load(path, map_location="cpu", weights_only=False) for path in checkpoints]
    if not kept:
        raise ValueError("the mean of no checkpoint is asked for: name some")
    states = [one["model"].float().state_dict() for one in kept]
    shapes = [{name: value.shape for name, value in state.items()} for state in states]
    for path, shape in zip(checkpoints, shapes, strict=True):
        if shape != shapes[0]:
            raise ValueError(f"{path} is of another architecture than {checkpoints[0]}: their weights have no mean")
    model = kept[0]["model"]
    model.load_state_dict(
        {
            # What is counted and not learnt (batches seen) is taken from the first.
            name: torch.stack([state[name] for state in states]).mean(dim=0) if value.is_floating_point() else value
            for name, value in states[0].items()
        }
    )
    return write_checkpoint(
        out, {"model": model, "ema": None, "epoch": -1, "optimizer": None, "train_args": {"task": "detect"}}
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    a = parser.parse_args()
    print(mean_of(a.checkpoints, a.out))


if __name__ == "__main__":
    main()
