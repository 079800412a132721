# SPDX-License-Identifier: AGPL-3.0-or-later
"""The closer look: what is too small for the first is found where it moves, and nothing is found twice or cut off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from reid.closer_look import MOST_PIECES, PIECE, choose_pieces, join, look_closer
from reid.detector import Detections
from reid.look import Frame, Look, look_at
from reid.motion import STEADY, Motion, Watch
from reid.tracker import MOVING_SHARE
from tests.reid.made_video import PAINTS, START

WIDTH, HEIGHT = 640, 360
GROUND = cv2.GaussianBlur(np.random.default_rng(3).integers(95, 125, (HEIGHT, WIDTH, 3), dtype=np.uint8), (5, 5), 0)
SCALE = 192 / WIDTH
"""Small pixels per pixel."""


class Shortsighted:
    """Looks at any picture 320 pixels wide and sees no red thing under 8 pixels high there."""

    model_id = "shortsighted-1"

    def __init__(self) -> None:
        self.pictures: list[tuple[int, int]] = []

    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Detect in frames."""
        self.pictures += [(frame.shape[1], frame.shape[0]) for frame in frames]
        return [self._one(frame) for frame in frames]

    def _one(self, frame: NDArray[np.uint8]) -> Detections:
        scale = 320 / frame.shape[1]
        seen = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        near = cv2.inRange(seen, *(np.clip(np.array(PAINTS["red"]) + d, 0, 255) for d in (-70, 70)))
        _, _, stats, _ = cv2.connectedComponentsWithStats(near)
        boxes = np.array([(x, y, x + w, y + h) for x, y, w, h, _ in stats[1:] if h >= 8], np.float32).reshape(-1, 4)
        return found(*(boxes / scale))


def found(*boxes: Sequence[float], scores: Sequence[float] | None = None) -> Detections:
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array([0.9] * len(boxes) if scores is None else scores, np.float32),
        classes=("car",) * len(boxes),
        features=np.eye(8, dtype=np.float32)[: len(boxes)],
    )


def changes(*boxes: Sequence[float]) -> Motion:
    """Motion of one picture that changes in these boxes."""
    mask = np.zeros((1, round(HEIGHT * SCALE), 192), bool)
    for left, top, right, bottom in boxes:
        mask[0, round(top * SCALE) : round(bottom * SCALE), round(left * SCALE) : round(right * SCALE)] = True
    return Motion(mask, SCALE)


def street(*cars: tuple[float, float]) -> NDArray[np.uint8]:
    """A picture with small red cars, 24 by 12 pixels, whose left upper corners lie there."""
    frame: NDArray[np.uint8] = GROUND.copy()
    for x, y in cars:
        cv2.rectangle(frame, (round(x), round(y)), (round(x) + 23, round(y) + 11), PAINTS["red"], -1)
    return frame


def look(detector: Shortsighted, *ways: tuple[float, float, float]) -> Look:
    """One second of cars at (x, y) that go right by so many pixels a second."""
    frames = [
        (START + timedelta(seconds=n / 10), street(*((x + speed * n / 10, y) for x, y, speed in ways)))
        for n in range(10)
    ]
    return look_at(frames, detector, lambda _: True)


def test_what_is_too_small_for_the_first_look_is_found_where_it_moves() -> None:
    detector = Shortsighted()
    assert len(detector.detect([street((200, 40))])[0]) == 0, "the first look alone sees it"
    seen = look(detector, (200, 40, 80))
    boxes = [[f.box for f in frame.findings] for frame in seen.sampled if frame.looked]
    assert len(boxes) >= 8 and all(len(b) == 1 for b in boxes)
    for number, (box,) in enumerate(boxes, start=len(seen.sampled) - len(boxes)):
        assert box == pytest.approx((200 + 8 * number, 40, 224 + 8 * number, 52), abs=2.5)


def test_what_stands_gets_no_closer_look() -> None:
    detector = Shortsighted()
    seen = look(detector, (200, 40, 80), (500, 300, 0))
    assert all(f.box[1] < 100 for frame in seen.sampled for f in frame.findings)


def ridden_through(paint: Callable[[NDArray[np.uint8], int], object] = lambda *_: None) -> list[Frame]:
    """A second of a motorcycle nearly as dark as the street, narrow and far away; `paint` adds to the n-th picture."""
    frames = []
    for n in range(10):
        frame = street()
        frame[40:54, 400 + 6 * n : 408 + 6 * n] -= 14
        paint(frame, n)
        frames.append((START + timedelta(seconds=n / 10), frame))
    return frames


class Sharpsighted:
    """Sees whatever differs from the street, in whole pictures."""

    model_id = "sharpsighted-1"

    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Detect in frames."""
        return [self._one(frame) if frame.shape == GROUND.shape else found() for frame in frames]

    def _one(self, frame: NDArray[np.uint8]) -> Detections:
        differs = (np.abs(frame.astype(int) - GROUND).max(axis=2) > 10).astype(np.uint8)
        return found(*((x, y, x + w, y + h) for x, y, w, h, _ in cv2.connectedComponentsWithStats(differs)[2][1:]))


def test_the_steady_eye_does_not_see_a_dark_motorcycle_far_away() -> None:
    steady = Watch(STEADY)
    for _, frame in ridden_through():
        steady.see(frame)
    seen = steady.motion([n / 10 for n in range(10)], range(10))
    assert not seen.masks.any(), "the tests below are of what the steady eye does not see"


def test_what_hardly_stands_out_from_the_street_is_looked_at_closer_as_well() -> None:
    def drives(frame: NDArray[np.uint8], n: int) -> None:
        cv2.rectangle(frame, (40 + 12 * n, 200), (140 + 12 * n, 270), PAINTS["red"], -1)

    detector = Shortsighted()
    look_at(ridden_through(drives), detector, lambda _: True)
    sheets = [size for size in detector.pictures if size != (WIDTH, HEIGHT)]
    assert len(sheets) >= 2, "a closer look at it in at most three pictures of ten"


def test_where_it_drives_alone_it_is_looked_at_and_moves() -> None:
    seen = look_at(ridden_through(), Sharpsighted(), lambda _: True)
    assert seen.frames_detected >= 9
    findings = [f for frame in seen.sampled for f in frame.findings]
    assert len(findings) >= 9 and all(f.moving >= MOVING_SHARE for f in findings)


def test_of_what_is_large_the_steady_eye_says_whether_it_moves() -> None:
    def stands(frame: NDArray[np.uint8], n: int) -> None:
        frame[200:270, 100:200] -= 40
        frame[200:214, 160 + 6 * n : 168 + 6 * n] -= 14

    seen = look_at(ridden_through(stands), Sharpsighted(), lambda _: True)
    still = [f for frame in seen.sampled for f in frame.findings if f.box[2] - f.box[0] > 90]
    assert len(still) >= 9 and all(f.moving == 0 for f in still)


def test_four_pieces_share_one_picture_of_the_detectors() -> None:
    frames, detector = [street((40, 40), (440, 40)), street((240, 40))], Shortsighted()
    masks = [changes((40, 40, 64, 52), (440, 40, 464, 52)).masks, changes((240, 40, 264, 52)).masks]
    first, second = look_closer(frames, [found(), found()], [Motion(np.concatenate(masks), SCALE)], detector)
    assert detector.pictures == [(2 * round(PIECE[1] * WIDTH), 2 * round(PIECE[0] * HEIGHT))]
    assert sorted(b[0] for b in first.boxes.round()) == pytest.approx([40, 440], abs=2)
    assert [b[0] for b in second.boxes.round()] == pytest.approx([240], abs=2)
    assert first.features is not None and len(first.features) == len(first) == 2


def test_without_small_motion_the_detector_is_not_asked_again() -> None:
    detector = Shortsighted()
    first = [found((10, 10, 200, 200))]
    large = changes((10, 10, 200, 200))
    assert look_closer([street()], first, [large], detector) == first
    assert detector.pictures == []


def test_what_the_first_look_is_sure_of_gets_no_closer_look() -> None:
    motion = changes((200, 40, 224, 52))
    sure, doubtful = found((198, 38, 226, 54)), found((198, 38, 226, 54), scores=[0.4])
    assert choose_pieces([motion], 0, sure, street()) == []
    assert len(choose_pieces([motion], 0, doubtful, street())) == 1


def test_few_pieces_of_one_picture_and_all_inside_it() -> None:
    spots = [(x, y, x + 20, y + 14) for x in (0, 150, 310, 460, 620) for y in (0, 180, 346)]
    pieces = choose_pieces([changes(*spots)], 0, found(), street())
    assert len(pieces) == MOST_PIECES
    assert all(p.x >= 0 and p.y >= 0 and p.x + p.width <= WIDTH and p.y + p.height <= HEIGHT for p in pieces)


def test_what_only_the_sharp_eye_sees_comes_last() -> None:
    leaves = [(x, 180, x + 40, 200) for x in (0, 150, 310, 460)]
    car = (600, 40, 620, 50)
    pieces = choose_pieces([changes(car), changes(*leaves)], 0, found(), street())
    assert len(pieces) == MOST_PIECES
    assert pieces[0].x <= car[0] and pieces[0].y <= car[1] < pieces[0].y + pieces[0].height


class Says:
    """Answers every picture with the same boxes."""

    model_id = "says-1"

    def __init__(self, *boxes: Sequence[float]) -> None:
        self.boxes = boxes

    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Detect in frames."""
        return [found(*self.boxes) for _ in frames]


def test_what_goes_on_beyond_its_piece_is_left_out_unless_the_picture_ends_there() -> None:
    tall, wide = round(PIECE[0] * HEIGHT), round(PIECE[1] * WIDTH)
    cut_off, whole = (10, 0, 34, 20), (48, 30, 72, 42)
    # The largest change is what the piece is cut around, from x 252 on; all else that is told of moves too.
    inner = changes((296, 150, 328, 164), (262, 123, 284, 137), (350, 140, 371, 154))
    upper = changes((296, 0, 328, 14), (262, 2, 284, 16), (300, 32, 322, 42))
    (seen,) = look_closer([street()], [found()], [inner], Says(cut_off, whole))
    assert seen.boxes.tolist() == [[299, 150, 323, 162]], "a box at the piece's border was taken for a whole one"
    (seen,) = look_closer([street()], [found()], [upper], Says(cut_off, whole))
    assert len(seen) == 2, "the picture's own edge was taken for a piece's"
    across_two = (wide - 12, 20, wide + 12, 32)
    (seen,) = look_closer([street()], [found()], [inner], Says(across_two))
    assert len(seen) == 0
    below_edge = (10, tall - 10, 34, tall + 8)
    lower = changes((296, 340, 328, 360), (262, 350, 284, 360))
    (seen,) = look_closer([street()], [found()], [lower], Says(below_edge))
    assert seen.boxes[:, 3].tolist() == [HEIGHT], "what the neighbour in the sheet added was kept"


def test_what_does_not_move_is_not_found_beside_what_does() -> None:
    moves, still = (48, 30, 72, 42), (10, 40, 34, 52)
    (seen,) = look_closer([street()], [found()], [changes((296, 150, 328, 164))], Says(moves, still))
    assert seen.boxes.tolist() == [[299, 150, 323, 162]]


def test_of_a_small_thing_that_the_first_look_doubts_the_closer_one_counts() -> None:
    loose, other = (200, 40, 240, 56), (400, 200, 500, 300)
    both = join(found(loose, other, scores=[0.3, 0.8]), [found((204, 41, 228, 53), scores=[0.7])], HEIGHT)
    assert both.boxes.tolist() == [list(other), [204, 41, 228, 53]], "not best score first, or seen twice"


def test_what_the_first_look_tells_well_enough_stays_and_the_closer_one_says_where_its_edges_are() -> None:
    loose, fits = (200, 40, 240, 56), (204, 41, 228, 53)
    first = found((400, 200, 500, 300), loose, scores=[0.8, 0.5])
    both = join(first, [found(fits, scores=[0.9])], HEIGHT)
    assert both.boxes.tolist() == [[400, 200, 500, 300], list(fits)]
    assert both.scores.tolist() == first.scores.tolist()
    assert both.features is not None and first.features is not None and (both.features == first.features).all()


@pytest.mark.parametrize(("first", "closer"), [(0.5, 0.3), (0.3, 0.2)])
def test_a_doubtful_closer_look_moves_nothing(first: float, closer: float) -> None:
    loose = (200, 40, 240, 56)
    both = join(found(loose, scores=[first]), [found((204, 41, 228, 53), scores=[closer])], HEIGHT)
    assert both.boxes.tolist() == [list(loose)]


def test_a_closer_box_moves_only_what_it_fits_best() -> None:
    one, other, fits = (200, 40, 224, 52), (206, 40, 230, 52), (200, 41, 224, 53)
    both = join(found(one, other), [found(fits)], HEIGHT)
    assert both.boxes.tolist() == [list(fits), list(other)]


def test_only_what_the_first_look_found_carries_features() -> None:
    motion = changes((440, 40, 464, 52))
    (both,) = look_closer([street((440, 40))], [found((40, 200, 140, 300))], [motion], Shortsighted())
    assert both.features is not None and both.features.any(axis=1).tolist() == [True, False]
    seen = look(Shortsighted(), (200, 40, 80))
    assert {f.features for frame in seen.sampled for f in frame.findings} == {b""}


def test_what_two_pieces_share_is_found_once() -> None:
    both = join(found(), [found((204, 41, 228, 53)), found((205, 41, 229, 53))], HEIGHT)
    assert len(both) == 1


def test_what_is_large_is_left_to_the_first_look() -> None:
    whole, part = (200, 40, 300, 140), (220, 60, 290, 130)
    both = join(found(whole), [found(part)], HEIGHT)
    assert both.boxes.tolist() == [list(whole)]
