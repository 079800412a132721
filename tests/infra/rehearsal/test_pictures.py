# SPDX-License-Identifier: AGPL-3.0-or-later
"""Shapes, rasteriser, view and painter: what a frame shows and what is said about it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from infra.rehearsal.bake import bake
from infra.rehearsal.bodies import MARKS, SIZES, body_mesh, body_names
from infra.rehearsal.light import light_of
from infra.rehearsal.painter import Painter, Placed
from infra.rehearsal.raster import draw_colours, draw_ids
from infra.rehearsal.scene import build_scene
from infra.rehearsal.view import view_of
from infra.rehearsal.world import Weather
from tests.infra.rehearsal import small_town

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("body", body_names())
def test_body_has_its_size_and_stands_on_the_ground(body: str) -> None:
    mesh = body_mesh(body)
    low, high = mesh.points.min(0), mesh.points.max(0)
    length, width, height = SIZES[body]
    assert abs(low[2]) < 0.08
    assert high[2] == pytest.approx(height, rel=0.12)
    assert high[1] - low[1] == pytest.approx(length, rel=0.12, abs=0.35)
    assert width * 0.85 < high[0] - low[0] < width + 0.75  # mirrors and elbows stick out
    assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=0.05)


@pytest.mark.parametrize("mark", MARKS)
def test_mark_changes_the_mesh(mark: str) -> None:
    plain, marked = body_mesh("sedan"), body_mesh("sedan", (mark,), 5)
    assert len(plain.points) != len(marked.points) or not np.array_equal(plain.materials, marked.materials)


def test_unknown_body_is_named_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"hovercraft.*hatch_small"):
        body_mesh("hovercraft")


def test_nearer_face_wins() -> None:
    x = np.array([0, 20, 0, 0, 20, 0], np.float32)
    y = np.array([0, 0, 20, 0, 0, 20], np.float32)
    iz = np.array([0.1] * 3 + [0.2] * 3, np.float32)
    ids, depth = np.full((8, 8), -1, np.int32), np.zeros((8, 8), np.float32)
    draw_ids(x, y, iz, np.array([[3, 4, 5], [0, 1, 2]], np.int32), ids, depth)
    assert (ids == 0).all()
    assert np.allclose(depth, 0.2)


def test_back_faces_are_left_out() -> None:
    x, y = np.array([0, 0, 20], np.float32), np.array([0, 20, 0], np.float32)
    iz, rgb = np.full(3, 0.5, np.float32), np.ones((3, 3), np.float32)
    for face, drawn in (([0, 1, 2], True), ([0, 2, 1], False)):
        colour, depth = np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.float32)
        draw_colours(x, y, iz, rgb, np.array([face], np.int32), 0, 0, colour, depth)
        assert bool(depth.any()) is drawn


@pytest.mark.parametrize("k1", [0.0, -0.18, 0.08])
def test_rays_lead_back_to_their_pixels(k1: float) -> None:
    view = view_of(small_town.camera(distortion_k1=k1))
    rays = view.rays(1)
    points = view.eye + rays.reshape(-1, 3).astype(np.float64) * 12.0
    x, y, iz = view.project(points)
    yy, xx = np.mgrid[0:180, 0:320]
    assert np.abs(x - (xx.reshape(-1) + 0.5)).max() < 0.3
    assert np.abs(y - (yy.reshape(-1) + 0.5)).max() < 0.3
    assert np.allclose(iz, 1 / 12.0, rtol=1e-3)


@pytest.fixture(scope="module")
def painter() -> Painter:
    town = small_town.town()
    scene = build_scene(town)
    light = light_of(town.weather)
    return Painter(town.cameras[0], bake(town, town.cameras[0], scene, light), light, scene.lamps)


def _car(number: int, y: float, x: float = 1.6, body: str = "hatch_small", signals: int = 0) -> Placed:
    return Placed(number, small_town.vehicle(f"v{number}", body), x, y, 0.0, 0.0 if signals else 5.0, signals)


def test_lone_car_is_whole_and_its_box_is_tight(painter: Painter) -> None:
    empty, none = painter.frame([], 0.0)
    picture, (seen,) = painter.frame([_car(1, 14.0)], 0.0)
    assert none == []
    assert seen.visible_share == pytest.approx(1.0, abs=0.001)
    assert seen.in_frame_share == pytest.approx(1.0, abs=0.01)
    assert seen.visible_box == seen.full_box
    changed = np.abs(picture.astype(int) - empty).max(-1) > 0
    x0, y0, x1, y1 = (int(v) for v in seen.visible_box)
    inside = changed[y0:y1, x0:x1]
    assert inside.mean() > 0.5
    assert inside[:, 0].any() or inside[:, 1].any()
    assert changed.sum() > inside.sum(), "its shadow falls outside its box"


def test_car_behind_a_van_is_partly_hidden(painter: Painter) -> None:
    _, seen = painter.frame([_car(1, 22.0), _car(2, 14.5, 1.3, "van_large")], 0.0)
    shares = {s.number: s.visible_share for s in seen}
    assert shares[2] == 1.0
    assert shares.get(1, 0.0) < 0.8


def test_house_hides_a_car_altogether(painter: Painter) -> None:
    _, seen = painter.frame([_car(1, 30.0, 18.0)], 0.0)
    assert seen == [] or seen[0].visible_share < 0.6


def test_car_leaving_the_picture_says_so(painter: Painter) -> None:
    _, seen = painter.frame([_car(1, 4.0)], 0.0)
    assert not seen or seen[0].in_frame_share < 0.99
    assert all(s.full_px >= s.visible_px for s in seen)


def test_parked_and_moving_cars_look_alike(painter: Painter) -> None:
    moving, (a,) = painter.frame([_car(1, 20.0)], 0.0)
    parked, (b,) = painter.frame([_car(1, 20.0, signals=8)], 0.0)
    assert a.visible_box == b.visible_box
    differing = np.abs(moving.astype(int) - parked).max(-1) > 12
    assert differing.mean() < 0.01  # lamps alone


def test_frames_leave_no_trace(painter: Painter) -> None:
    before, _ = painter.frame([_car(9, 30.0, 2.4, signals=8)], 0.0)
    painter.frame([_car(1, 15.0), _car(9, 30.0, 2.4, signals=8)], 0.0)
    after, _ = painter.frame([_car(9, 30.0, 2.4, signals=8)], 0.0)
    assert np.array_equal(before, after)


@pytest.mark.parametrize("light", ["dusk", "night", "overcast", "low_sun"])
def test_every_light_differs_from_day_and_is_neither_black_nor_burnt(painter: Painter, light: str) -> None:
    town = replace(small_town.town(), weather=Weather(light, 0.3 if light == "overcast" else 0.0, 140.0, 40.0))  # type: ignore[arg-type]
    scene, shining = build_scene(town), light_of(town.weather)
    other = Painter(town.cameras[0], bake(town, town.cameras[0], scene, shining), shining, scene.lamps)
    picture, seen = other.frame([_car(1, 14.0)], 0.0)
    assert len(seen) == 1
    assert 15 < picture.mean() < 200
    assert np.abs(picture.astype(int) - painter.frame([_car(1, 14.0)], 0.0)[0]).mean() > 4
