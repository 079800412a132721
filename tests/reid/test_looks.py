# SPDX-License-Identifier: AGPL-3.0-or-later
"""What looks say: cameras' own habits taken away, rare colours worth more."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import numpy as np
import pytest

from reid.errors import EmbeddingMismatch
from reid.looks import compare_looks
from reid.passage import COLOURS, Embedding, Passage
from tests.reid.made_town import START, made_town


def passage(number: int, camera: str, vector: np.ndarray, colour: str = "grey", model: str = "m") -> Passage:
    shares = np.full(len(COLOURS), 0.02)
    shares[COLOURS.index(colour)] = 0.8
    unit = vector / np.linalg.norm(vector)
    return msgspec.structs.replace(
        made_town(0, vehicles=1).passages[0],
        id=f"{camera}-{number}",
        camera=camera,
        started_at=START + timedelta(seconds=number),
        ended_at=START + timedelta(seconds=number + 5),
        colours=tuple(float(x) for x in shares / shares.sum()),
        embedding=Embedding(model, tuple(float(x) for x in unit)),
    )


def test_a_cameras_own_look_does_not_count() -> None:
    """Each camera's angle moves all its vectors far more than vehicles differ."""
    random = np.random.default_rng(5)
    vehicles = random.normal(size=(12, 24))
    angles = {c: 6 * random.normal(size=24) for c in ("c0", "c1", "c2")}
    passages = [
        passage(30 * v, c, vehicles[v] + angles[c] + 0.3 * random.normal(size=24)) for v in range(12) for c in angles
    ]
    look = compare_looks(passages).look
    owner = np.repeat(np.arange(12), 3)
    cameras = np.tile(np.arange(3), 12)
    across = cameras[:, None] != cameras[None]
    same = (owner[:, None] == owner[None]) & across
    other = (owner[:, None] != owner[None]) & across
    assert np.percentile(look[same], 10) > np.percentile(look[other], 95)
    assert np.median(look[same]) > 0.5 > -0.5 > np.median(look[other])


def test_two_red_ones_are_more_alike_than_two_grey_ones_where_red_is_rare() -> None:
    random = np.random.default_rng(6)
    colours = ["red", "red", *["grey"] * 14]
    looks = compare_looks([passage(n, "c0", random.normal(size=8), c) for n, c in enumerate(colours)])
    assert looks.colour[0, 1] > looks.colour[4, 5] + 1
    assert looks.colour[0, 4] < -1


def test_light_makes_black_grey_so_that_speaks_less_against() -> None:
    random = np.random.default_rng(7)
    colours = ["black", "grey", "red", "blue", "white", "grey", "black", "blue"]
    looks = compare_looks([passage(n, "c0", random.normal(size=8), c) for n, c in enumerate(colours)])
    assert looks.colour[0, 1] > looks.colour[0, 2] + 1
    assert looks.colour[0, 0] > looks.colour[0, 1]


def test_vectors_of_two_models_never_compare() -> None:
    vector = np.ones(4)
    with pytest.raises(EmbeddingMismatch, match="2 models"):
        compare_looks([passage(0, "c0", vector, model="a"), passage(1, "c1", vector, model="b")])


def test_few_passages_say_little_and_nothing_breaks() -> None:
    assert compare_looks([]).look.shape == (0, 0)
    assert compare_looks([passage(0, "c0", np.ones(4))]).look.shape == (1, 1)
    some = [passage(n, "c0", np.random.default_rng(n).normal(size=4)) for n in range(3)]
    assert np.all(np.isfinite(compare_looks(some).total))
    assert np.abs(compare_looks(some).look[~np.eye(3, dtype=bool)]).max() < 1
