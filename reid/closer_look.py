# SPDX-License-Identifier: AGPL-3.0-or-later
"""A closer look at small things that move: pieces of the pictures, enlarged, through the detector once more.

A far car of 24 pixels is smaller than a detector sees well that is given the whole picture, and most of a picture is
not far. Motion says where something small goes by; four such pieces fill one picture of the detector's, so that a
closer look costs a quarter of a look.

The first look's word goes first, and what only the closer one finds carries no features: enlarged, a vehicle's are not
what they are before another camera. Where both see a thing, the closer one says where its edges are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from reid.boxes import as_boxes
from reid.detector import Detections, Detector
from reid.letterbox import PAD_VALUE
from reid.motion import Motion
from reid.suppression import iou_matrix

PIECE = (0.2, 0.1875)
"""Height and width of a piece as shares of the picture's: in a sheet of two by two it is seen 2.7 times as large."""
SMALL = (0.125, 0.15)
"""Height and width of a change up to which what moves is small, as shares of the picture's."""
MOST_PIECES = 3
"""Of one picture; of one eye's those with most motion first. Leaves in the wind move everywhere: this bounds
what they cost."""

_ACROSS = 2
"""Pieces side by side, and one above the other, in one sheet."""
_LEAST_PIXELS = 4
"""Of the small picture in which changes are looked for; fewer are a leaf or a reflection."""
_SURE = 0.6
"""Score from which the first look has told what moves."""
_TOLD = 0.5
"""Share of a change that such a box must cover."""
_TALLEST = 0.14
"""Height up to which something found in a piece counts, as a share of the picture's: the rest the first look sees."""
_BORDER_PX = 2.0
"""A box as near to a piece's border as this may go on beyond it."""
_SAME = 0.3
"""Overlap of two looks' boxes that are of one thing; the first look's fit small things badly."""
_FITS = 0.4
"""Overlap from which the closer box of a thing takes the place of the first one's."""
_PLACES = 0.4
"""Score from which it does."""
_MOVING = 0.15
"""Share of a box that must change: enlarged, markings of an empty street are easily taken for a car."""
_ENOUGH = 0.425
"""Score from which the first look's box stays, whatever the closer one says."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A rectangle of a picture, in whole pixels."""

    x: int
    y: int
    width: int
    height: int

    def cut(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The piece of a frame (h, w, 3)."""
        return frame[self.y : self.y + self.height, self.x : self.x + self.width]


def look_closer(
    frames: Sequence[NDArray[np.uint8]], first: Sequence[Detections], motions: Sequence[Motion], detector: Detector
) -> list[Detections]:
    """Add to what a first look found what a closer one finds.

    Args:
        frames: pictures (h, w, 3) BGR of one size.
        first: what the detector found in each.
        motions: where each changes, in the same order, as one eye sees it or several: the first one's word goes first.
        detector: the same detector.
    """
    chosen = [(at, piece) for at, found in enumerate(first) for piece in choose_pieces(motions, at, found, frames[at])]
    if not chosen:
        return list(first)
    closer: list[list[Detections]] = [[] for _ in frames]
    per_sheet = _ACROSS * _ACROSS
    sheets = [chosen[n : n + per_sheet] for n in range(0, len(chosen), per_sheet)]
    answers = detector.detect([_lay_out([piece.cut(frames[at]) for at, piece in sheet]) for sheet in sheets])
    for sheet, answer in zip(sheets, answers, strict=True):
        for place, (at, piece) in enumerate(sheet):
            found = _of_place(answer, place, piece, frames[at])
            moves = [any(m.share(at, box) >= _MOVING for m in motions) for box in as_boxes(found.boxes)]
            closer[at].append(_rows(found, np.flatnonzero(moves)))
    return [
        join(found, looks, frame.shape[0]) if looks else found
        for frame, found, looks in zip(frames, first, closer, strict=True)
    ]


def choose_pieces(motions: Sequence[Motion], index: int, first: Detections, frame: NDArray[np.uint8]) -> list[Piece]:
    """Pieces of a picture in which something small moves that the first look has not told for sure.

    What only a sharp eye sees comes last: where leaves move it sees those above all.
    """
    height, width = frame.shape[:2]
    tall, wide = max(1, round(PIECE[0] * height)), max(1, round(PIECE[1] * width))
    sure = first.boxes[first.scores >= _SURE]
    small = (change for motion in motions for change in _small_changes(motion, index, height, width))
    changes = [change for change in small if not _told(change, sure)]
    pieces: list[Piece] = []
    while changes and len(pieces) < MOST_PIECES:
        left, top, right, bottom = changes[0]
        x = int(np.clip((left + right - wide) / 2, 0, width - wide))
        y = int(np.clip((top + bottom - tall) / 2, 0, height - tall))
        pieces.append(Piece(x, y, wide, tall))
        changes = [c for c in changes[1:] if not (x <= c[0] and y <= c[1] and c[2] <= x + wide and c[3] <= y + tall)]
    return pieces


def _small_changes(motion: Motion, index: int, height: int, width: int) -> list[NDArray[np.float32]]:
    """Boxes (xyxy, pixels of the picture) around small patches that change, the largest first."""
    _, _, patches, _ = cv2.connectedComponentsWithStats(motion.masks[index].astype(np.uint8), connectivity=8)
    found = []
    for left, top, across, down, pixels in patches[1:]:
        small = down <= SMALL[0] * height * motion.scale and across <= SMALL[1] * width * motion.scale
        if small and pixels >= _LEAST_PIXELS:
            corners = np.array([left, top, left + across, top + down], np.float32)
            found.append((int(pixels), corners / np.float32(motion.scale)))
    found.sort(key=lambda one: -one[0])
    return [corners for _, corners in found]


def _told(change: NDArray[np.float32], boxes: NDArray[np.float32]) -> bool:
    """Whether one of the boxes covers most of the change."""
    across = np.minimum(boxes[:, 2], change[2]) - np.maximum(boxes[:, 0], change[0])
    down = np.minimum(boxes[:, 3], change[3]) - np.maximum(boxes[:, 1], change[1])
    whole = (change[2] - change[0]) * (change[3] - change[1])
    return bool((np.maximum(across, 0) * np.maximum(down, 0) >= _TOLD * whole).any())


def _lay_out(cuts: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """One picture of all cuts, which are of one size."""
    tall, wide = cuts[0].shape[:2]
    sheet = np.full((_ACROSS * tall, _ACROSS * wide, 3), PAD_VALUE, np.uint8)
    for place, cut in enumerate(cuts):
        y, x = place // _ACROSS * tall, place % _ACROSS * wide
        sheet[y : y + tall, x : x + wide] = cut
    return sheet


def _of_place(found: Detections, place: int, piece: Piece, frame: NDArray[np.uint8]) -> Detections:
    """What was found in one place of a sheet, in pixels of the frame; what may go on beyond the piece is left out."""
    corner = np.array([place % _ACROSS * piece.width, place // _ACROSS * piece.height], np.float32)
    size = np.array([piece.width, piece.height], np.float32)
    at = np.array([piece.x, piece.y], np.float32)
    begins, ends = found.boxes[:, :2] - corner, found.boxes[:, 2:] - corner
    mine = ((begins + ends > 0) & (begins + ends < 2 * size)).all(axis=1)
    # Nothing goes on beyond the picture's own edge, though a neighbour in the sheet may be taken for more of it.
    first_px, last_px = at == 0, at + size == np.array(frame.shape[1::-1])
    begins = np.where(first_px, np.maximum(begins, 0), begins)
    ends = np.where(last_px, np.minimum(ends, size), ends)
    whole = ((begins > _BORDER_PX) | first_px) & ((ends < size - _BORDER_PX) | last_px)
    rows = np.flatnonzero(mine & whole.all(axis=1))
    kept = _rows(found, rows)
    boxes = np.concatenate([begins[rows] + at, ends[rows] + at], axis=1).astype(np.float32)
    return Detections(boxes, kept.scores, kept.classes, None if kept.features is None else np.zeros_like(kept.features))


def join(first: Detections, closer: Sequence[Detections], height: int) -> Detections:
    """What several looks at one picture of that height found, each thing once."""
    small = [
        _rows(found, np.flatnonzero(found.boxes[:, 3] - found.boxes[:, 1] <= _TALLEST * height)) for found in closer
    ]
    kept = list(_new_ones(first, small))
    first = _placed(first, small)
    near = np.concatenate([found.boxes for found in kept])
    alone = np.flatnonzero(~(iou_matrix(first.boxes, near) > _SAME).any(axis=1))
    parts = [_rows(first, alone), *kept]
    every = Detections(
        boxes=np.concatenate([p.boxes for p in parts]),
        scores=np.concatenate([p.scores for p in parts]),
        classes=tuple(name for p in parts for name in p.classes),
        features=None
        if first.features is None
        else np.concatenate([p.features for p in parts if p.features is not None]),
    )
    return _rows(every, np.argsort(-every.scores, kind="stable"))


def _new_ones(first: Detections, closer: Sequence[Detections]) -> Iterator[Detections]:
    """Of each closer look what no look before it has told."""
    before = np.zeros((0, 4), np.float32)
    for found in closer:
        enough = np.minimum(found.scores, _ENOUGH)[:, None] <= first.scores
        told = ((iou_matrix(found.boxes, first.boxes) > _SAME) & enough).any(axis=1)
        told |= (iou_matrix(found.boxes, before) > _SAME).any(axis=1)
        kept = _rows(found, np.flatnonzero(~told))
        before = np.concatenate([before, kept.boxes])
        yield kept


def _placed(first: Detections, closer: Sequence[Detections]) -> Detections:
    """The first look's word with the closer ones' boxes: enlarged, a thing's edges are told from what is beside it."""
    boxes = first.boxes.copy()
    for found in closer:
        there = _rows(found, np.flatnonzero(found.scores >= _PLACES))
        overlap = iou_matrix(first.boxes, there.boxes)
        for row in np.flatnonzero((overlap > _FITS).any(axis=1)):
            best = int(np.where(overlap[row] > _FITS, there.scores, 0).argmax())
            if overlap[:, best].argmax() == row:
                boxes[row] = there.boxes[best]
    return Detections(boxes, first.scores, first.classes, first.features)


def _rows(found: Detections, rows: NDArray[np.intp]) -> Detections:
    return Detections(
        boxes=found.boxes[rows],
        scores=found.scores[rows],
        classes=tuple(found.classes[int(row)] for row in rows),
        features=None if found.features is None else found.features[rows],
    )
