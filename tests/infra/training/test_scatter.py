# SPDX-License-Identifier: AGPL-3.0-or-later
"""Scattered scenes, and that nothing is learnt from an exam."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from infra.rehearsal.families import FAMILY_RULES
from infra.training.scatter import RARE_SHARES, SHARES, scatter_scene
from infra.training.scatter_dataset import strewn
from infra.training.town_frames import PLANS, ExamPlanError, read_town
from reid.classes import MODEL_CLASSES

BODIES = strewn(rare=False)


@pytest.mark.slow
def test_equal_seeds_give_equal_scenes_and_boxes_lie_in_the_picture() -> None:
    first, again, other = (scatter_scene(seed, BODIES) for seed in (3, 3, 4))
    assert (first.picture == again.picture).all() and (first.boxes == again.boxes).all()
    assert first.picture.shape == (720, 1280, 3) and (first.picture != other.picture).any()
    assert len(first.boxes) and first.boxes.min() >= 0
    assert first.boxes[:, 2].max() <= 1280 and first.boxes[:, 3].max() <= 720
    assert ((first.hidden >= 0) & (first.hidden <= 1)).all()
    assert set(first.classes) <= set(range(len(MODEL_CLASSES)))


def test_training_bodies_are_no_exam_bodies() -> None:
    shared = {*BODIES, *strewn(rare=True)} & set(FAMILY_RULES["exam"].bodies)
    assert shared <= {"bicycle", "pedestrian"}


def test_exam_plans_are_refused() -> None:
    plans = sorted(PLANS.glob("exam-*.toml"))
    assert plans
    for plan in plans:
        with pytest.raises(ExamPlanError, match="exam plan"):
            read_town(plan, 1.0)


def test_every_kind_is_drawn_somewhere() -> None:
    for shares in (SHARES, RARE_SHARES):
        assert set(shares) == set(MODEL_CLASSES)
        assert np.isclose(sum(shares.values()), 1.0)
    assert Path(PLANS, "training-1.toml").is_file()
