# SPDX-License-Identifier: AGPL-3.0-or-later
"""The numbers of `reid.colour`, fitted on frames of training towns whose vehicles' paints are known.

The frames are those of `infra.training.town_frames` (same seed and seconds: the traffic is driven again, and each
labelled box is given to the vehicle that geometry puts there). Prints accuracy by light, each town held out in turn,
then the numbers to write into `reid/colour.py`.

Run: python -m infra.training.fit_colours build/training/colours --plans training-1 training-2 training-3 training-4
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from infra.rehearsal.truth import pose_at
from infra.rehearsal.view import View, view_of
from infra.rehearsal.world import Frame, Traffic
from infra.training.pictures import CAMERA_WH
from infra.training.town_frames import PLANS, chosen_moments, read_town
from reid import colour
from reid.classes import MODEL_CLASSES
from reid.passage import COLOURS, VEHICLE_CLASSES, Box
from reid.suppression import iou_matrix

LEAST_HEIGHT_PX = 22.0
MOST_HIDDEN = 0.25
SAME = 0.55
OTHER = 0.4
"""Overlap with a second vehicle from which it is not sure whose box it is."""


@dataclass(frozen=True, slots=True)
class Example:
    """One vehicle in one frame."""

    town: str
    light: str
    colour: str
    lightness: tuple[float, ...]
    """`colour.Body.reached_light`."""
    chroma: float
    """`colour.Body.reached_chroma`."""
    named: str
    """By the numbers in force."""


def examples(folder: Path, plan: str, seed: int, seconds: float) -> Iterator[Example]:
    """Every vehicle of a plan's frames that is large, whole and surely known."""
    town, traffic = read_town(PLANS / f"{plan}.toml", seconds)
    for position, camera in enumerate(town.cameras):
        weather, times, _ = chosen_moments(town, position, seed, seconds)
        view = view_of(replace(camera, width_px=CAMERA_WH[0], height_px=CAMERA_WH[1]))
        for number, time_s in enumerate(times):
            file = folder / f"{town.name}-{seed}-{camera.name}-{number:03d}.jpg"
            picture = cv2.imread(str(file)) if file.is_file() else None
            labels = np.array([line.split() for line in _lines(file.with_suffix(".txt"))], dtype=np.float64)
            if picture is None or not len(labels):
                continue
            gains = colour.white_gains(np.asarray(picture, np.uint8))
            boxes, rows = _placed(view, traffic, pose_at(traffic, time_s))
            overlap = iou_matrix(labels[:, 1:5].astype(np.float32), boxes)
            for label, mine in zip(labels, overlap, strict=True):
                kind, height = MODEL_CLASSES[int(label[0])], label[4] - label[2]
                best = np.argsort(mine)[::-1]
                sure = mine[best[0]] >= SAME and (len(best) < 2 or mine[best[1]] < OTHER)
                vehicle = traffic.vehicles[rows[best[0]]]
                if not sure or vehicle.kind != kind or kind not in VEHICLE_CLASSES:
                    continue
                if height < LEAST_HEIGHT_PX or label[5] >= MOST_HIDDEN:
                    continue
                box: Box = (label[1], label[2], label[3], label[4])
                found = _measured(np.asarray(picture, np.uint8), box, gains)
                if found is not None:
                    lightness, chroma, named = found
                    yield Example(plan, weather.light, vehicle.colour, lightness, chroma, named)


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []


def _measured(
    picture: NDArray[np.uint8], box: Box, gains: NDArray[np.float32]
) -> tuple[tuple[float, ...], float, str] | None:
    body = colour.measure(picture, box, gains)
    if body is None or body.street is None:
        return None
    named = COLOURS[int(np.argmax(colour.share_colours(body)))]
    return tuple(float(r) for r in body.reached_light), body.reached_chroma, named


def _placed(view: View, traffic: Traffic, pose: Frame) -> tuple[NDArray[np.float32], list[int]]:
    """Boxes of all vehicles before the camera, by geometry, and their rows in `traffic.vehicles`."""
    boxes, rows = [], []
    for row, x, y, heading in zip(pose.index, pose.x, pose.y, np.radians(pose.heading_deg), strict=True):
        vehicle = traffic.vehicles[int(row)]
        ahead = np.array([np.sin(heading), np.cos(heading)]) * vehicle.length_m / 2
        aside = np.array([np.cos(heading), -np.sin(heading)]) * vehicle.width_m / 2
        corners = np.array(
            [
                [*(np.array([x, y]) + a * ahead + b * aside), c * vehicle.height_m]
                for a in (-1, 1)
                for b in (-1, 1)
                for c in (0, 1)
            ]
        )
        across, down, near = view.project(corners)
        if (near > 0).all():
            boxes.append([across.min(), down.min(), across.max(), down.max()])
            rows.append(int(row))
    limit = np.array([view.width_px, view.height_px] * 2, np.float32)
    return np.clip(np.array(boxes, np.float32).reshape(-1, 4), 0, limit), rows


def held_out(features: NDArray[np.float64], names: NDArray[np.int_], towns: NDArray[np.str_]) -> float:
    """Accuracy with each town judged by what the others teach."""
    right = 0
    for town in sorted(set(towns)):
        own = towns == town
        fitted = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=3000, class_weight="balanced"))
        right += int((fitted.fit(features[~own], names[~own]).predict(features[own]) == names[own]).sum())
    return right / len(names)


def weights(
    features: NDArray[np.float64], names: NDArray[np.int_], balance: str | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights per unit and offsets of a logistic model, fitted on all."""
    scale = StandardScaler().fit(features)
    fitted = LogisticRegression(C=0.1, max_iter=3000, class_weight=balance).fit(scale.transform(features), names)
    per_unit = fitted.coef_ / scale.scale_
    return per_unit, fitted.intercept_ - per_unit @ scale.mean_


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--plans", nargs="+", default=[f"training-{n}" for n in range(1, 9)])
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=100.0)
    given = parser.parse_args()
    found = [e for plan in given.plans for e in examples(given.folder, plan, given.seed, given.seconds)]
    for light in sorted({e.light for e in found}):
        own = [e for e in found if e.light == light]
        print(f"{light}: {len(own)} vehicles, {np.mean([e.named == e.colour for e in own]):.3f} named right now")
    print(f"all: {len(found)}, {np.mean([e.named == e.colour for e in found]):.3f} named right now")
    towns = np.array([e.town for e in found])
    names = np.array([COLOURS.index(e.colour) for e in found])
    neutral = names < 3
    lightness = np.array([e.lightness for e in found])
    print(f"white, grey or black, towns held out: {held_out(lightness[neutral], names[neutral], towns[neutral]):.3f}")
    per_unit, offsets = weights(lightness[neutral], names[neutral], "balanced")
    print(f"NEUTRAL_WEIGHTS {per_unit.round(4).tolist()}\nNEUTRAL_OFFSETS {offsets.round(3).tolist()}")
    chroma = np.array([[e.chroma] for e in found])
    coloured = (~neutral).astype(int)
    print(f"coloured or not, towns held out: {held_out(chroma, coloured, towns):.3f}")
    slope, offset = weights(chroma, coloured, None)
    print(f"CHROMA_SLOPE {slope[0][0]:.2f}\nCHROMA_AT {-offset[0] / slope[0][0]:.1f}")


if __name__ == "__main__":
    main()
