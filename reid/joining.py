# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether two pieces of track are one vehicle: it went behind something, and came out where it had to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from reid.boxes import area, at_edge, common, edges_touched, intersection, iou, side
from reid.describe import LEAST_COLOURS, colour_likeness, likeness
from reid.leaving import edges_crossed
from reid.passage import Box
from reid.tracklet import Tracklet, centre

_Edges = NDArray[np.float64]
JOIN_S: Final = 4.0
"""Longest time out of sight over which pieces are joined."""
STANDING_JOIN_S: Final = 60.0
"""The same for a vehicle that stood when it went out of sight and is found in the same place."""
_SAME_PLACE: Final = 0.5
_WITHIN: Final = 0.5
_STOOD_S: Final = 1.0
_LEAST_SIGHTINGS = 3
_LEAST_LIKENESS = 0.72
_MOST_OVERLAP_S = 0.12
_HANDED_OVER_S = 0.6
"""Longest time in which two pieces may both be followed where each is of a part of one vehicle, or of its whole."""
_OUTLIVES_S = 0.25
"""How much longer the later piece must have been followed by then."""
_ONE = 0.5
"""Share of the smaller box that must lie in the larger, in every picture that has both."""
_FAR_PX: Final = 32.0
"""Root of a box's area below which a piece may have ended because it was far away."""
_SHRUNK = 0.5
"""Of the largest that it ever was: so small it ends if it drove away."""
_GRADUAL = 0.65
"""Of its size before its last second: what becomes smaller faster is being hidden."""
_TREND = 8
"""Sightings that say which way a piece goes."""
_GROWS_OVER = 18
"""Sightings that say whether it grows: far away that takes longer."""
_GREW = 1.03
_HEADS = 0.3
"""Speed, in roots of a box's area a second, from which a piece goes in a direction."""
_AT_ONCE_S = 0.25
"""Time out of sight up to which the place says enough, where a piece is too short to have a direction (`_TREND`), or
was lost at an edge of the picture."""
_THERE = 0.4
"""Overlap from which what is found that soon is where the earlier piece was."""
_LEAVES = 0.1
"""Speed, in roots of its box's area a second, from which what heads for an edge that it touches has left by it, and
what heads away from one has come in."""
_KINDS = (("motorcycle",), ("car", "van"), ("truck", "bus"))
"""What a detector takes for one another at most within each."""
_LEAST_KIND = 0.25
"""How far what two pieces were taken for must agree."""
_KNOWN_COLOURS = 1.0
"""Weight from which a piece's colours are known; of one seen far away, or for a moment, they are not."""
_LEAST_UNKNOWN_COLOURS = 0.6
"""`LEAST_COLOURS` where they are not known of one of the two."""


def may_join(earlier: Tracklet, later: Tracklet, detector: str, size_px: tuple[int, int]) -> float | None:
    """Cost of joining `later` to `earlier`, the less the surer; None when they are not one vehicle.

    Args:
        earlier: the piece that ended or is out of sight.
        later: the piece that began after.
        detector: id of the model whose features both carry.
        size_px: width and height of the picture.
    """
    hidden = (later.born_at - earlier.last_at).total_seconds()
    if hidden < -_MOST_OVERLAP_S:
        return _handed_over(earlier, later)
    if hidden > longest_hidden_s(earlier) or later.count < _LEAST_SIGHTINGS or earlier.count < _LEAST_SIGHTINGS:
        return None
    if not later.sightings or not earlier.sightings:
        return None
    if hidden <= 0 and common(earlier.last_box, later.sightings[0].box) < _ONE:
        return None
    hidden = max(hidden, 0.0)
    unlike = _unlike(earlier, later, hidden, detector)
    if unlike is None:
        return None
    # The edge of the picture holds a box still that drives on.
    if _stood(earlier) and not at_edge(earlier.last_box, size_px):
        place = _same_place(earlier, later)
        if place >= _SAME_PLACE:
            return 1 - place + min(hidden / JOIN_S, 1.0) + unlike
    if hidden > JOIN_S:
        return None
    missed = _way_missed(earlier, later, hidden, size_px)
    return None if missed is None else missed + hidden / JOIN_S + unlike


def _unlike(earlier: Tracklet, later: Tracklet, hidden: float, detector: str) -> float | None:
    """How unlike two pieces look, from 0; None where they look like two vehicles."""
    if _same_kind(earlier, later) < _LEAST_KIND:
        return None
    # What was beside it until a moment ago is in its colours and its looks, and those of a short piece are few.
    there = hidden <= _AT_ONCE_S and iou(earlier.last_box, later.sightings[0].box) >= _THERE
    if not there and not _same_colours(earlier, later):
        return None
    alike = likeness(earlier.description.embedding(detector), later.description.embedding(detector))
    if alike is None:
        return 0.0
    return 2 * (1 - alike) if there or alike >= _LEAST_LIKENESS else None


def _way_missed(earlier: Tracklet, later: Tracklet, hidden: float, size_px: tuple[int, int]) -> float | None:
    """How far a piece begins from where the earlier one led to, as a share of what is allowed.

    None where it is more, or where theirs are the ways of two vehicles.
    """
    box_a, box_b = earlier.last_box, later.sightings[0].box
    size_a, size_b = side(box_a), side(box_b)
    if hidden > _AT_ONCE_S and size_a < _FAR_PX and _drove_away(earlier) and _may_grow(later):
        return None
    size = (size_a + size_b) / 2
    ends, begins = earlier.edge_speeds(True), later.edge_speeds(False)
    v_a, v_b = centre(ends), centre(begins)
    leaves, enters = _crosses_an_edge(box_a, v_a, size_px), _crosses_an_edge(box_b, -v_b, size_px)
    if (leaves and enters) if hidden <= _AT_ONCE_S else (leaves or enters):
        return None
    cut = [a or b for a, b in zip(edges_touched(box_a, size_px), edges_touched(box_b, size_px), strict=True)]
    miss = _miss(np.array(box_a), ends, np.array(box_b), begins, hidden, cut)
    room = 0.6 * size + 0.25 * float(np.linalg.norm((v_a + v_b) / 2)) * hidden
    if miss > room:
        return None
    speed_a, speed_b = float(np.linalg.norm(v_a)), float(np.linalg.norm(v_b))
    at_once = hidden <= _AT_ONCE_S and min(earlier.count, later.count) <= _TREND
    if not at_once and min(speed_a, speed_b) > _HEADS * size and float(v_a @ v_b) < 0.5 * speed_a * speed_b:
        return None
    # What hides a vehicle hides it bit by bit: boxes at both ends may be cut, so sizes may differ, heights less.
    if not 0.4 <= size_a / size_b <= 2.5:
        return None
    return miss / max(room, 1e-6)


def _crosses_an_edge(box: Box, velocity: NDArray[np.float64], size_px: tuple[int, int]) -> bool:
    """Whether what goes so, in pixels a second, leaves by an edge of the picture; if backwards, came in by one."""
    return float(np.linalg.norm(velocity)) > _LEAVES * side(box) and bool(edges_crossed(box, velocity, size_px))


def _miss(last: _Edges, ends: _Edges, first: _Edges, begins: _Edges, hidden: float, cut: Sequence[bool]) -> float:
    """How far a piece begins from where the earlier one led to, pixels, after so many seconds out of sight.

    What hides a vehicle cuts its box, and then the middle is not where it was nor as fast; a corner that nothing
    hides is. So the best of the middle and the four corners counts, forwards from the one and backwards from the other.

    Args:
        last: box (4,) with which the earlier piece ended.
        ends: speeds of its edges then (4,), pixels per second.
        first: box with which the later one begins.
        begins: speeds of its edges then.
        hidden: seconds between the two.
        cut: which edges lie at the picture's: there every box ends, and a corner says nothing.
    """
    # It may slow down, or speed up, between the two.
    evenly = last + (ends + begins) / 2 * hidden - first
    points = [centre(evenly)]
    for off in (last + ends * hidden - first, first - begins * hidden - last):
        points += [centre(off), *(off[[x, y]] for x in (0, 2) for y in (1, 3) if not (cut[x] or cut[y]))]
    return min(float(np.hypot(x, y)) for x, y in points)


def _handed_over(earlier: Tracklet, later: Tracklet) -> float | None:
    """Cost of taking a piece for what another one followed until a moment ago; None where they are two vehicles.

    What enters close by is large and seen in part: one box is of its front and the next of the whole, and for some
    pictures both are there.
    """
    both_s = (earlier.last_at - later.born_at).total_seconds()
    outlives_s = (later.last_at - earlier.last_at).total_seconds()
    if (
        both_s > _HANDED_OVER_S
        or outlives_s < _OUTLIVES_S
        or earlier.born_at >= later.born_at
        or min(earlier.count, later.count) < _LEAST_SIGHTINGS
        or not _same_colours(earlier, later)
    ):
        return None
    there = {s.at: s.box for s in earlier.sightings if s.at >= later.born_at}
    pairs = [(there[s.at], s.box) for s in later.sightings if s.at in there]
    within = min((common(a, b) for a, b in pairs), default=0.0)
    return 1 - within + both_s if within >= _ONE else None


def _drove_away(earlier: Tracklet) -> bool:
    """Whether a piece became small on its way out of sight and was small for a while: nothing hid it bit by bit."""
    sizes = [side(s.box) for s in earlier.sightings]
    second = [side(s.box) for s in earlier.sightings if (earlier.last_at - s.at).total_seconds() <= 1]
    before = max(second[: len(second) // 2], default=0.0)
    return sizes[-1] < _SHRUNK * max(sizes) and 0 < _GRADUAL * before <= sizes[-1]


def _may_grow(later: Tracklet) -> bool:
    """Whether a piece grows: it comes near. One too short to tell may."""
    sizes = [side(s.box) for s in later.sightings]
    return len(sizes) < _GROWS_OVER or float(np.mean(sizes[-3:])) > _GREW * float(np.mean(sizes[:3]))


def longest_hidden_s(earlier: Tracklet) -> float:
    """How long a piece may stay out of sight before it is taken to have left."""
    return STANDING_JOIN_S if _stood(earlier) else JOIN_S


def _same_colours(earlier: Tracklet, later: Tracklet) -> bool:
    """False where their colours speak against one vehicle; a piece that was too small to tell says nothing."""
    a, b = (piece.description for piece in (earlier, later))
    known = min(a.colours_weight, b.colours_weight)
    if known <= 0:
        return True
    least = LEAST_COLOURS if known >= _KNOWN_COLOURS else _LEAST_UNKNOWN_COLOURS
    return colour_likeness(a.colour_distribution(), b.colour_distribution()) >= least


def _same_kind(earlier: Tracklet, later: Tracklet) -> float:
    """How far what they were taken for agrees, 0 to 1: two wheels, a car or van, a truck or bus."""
    a, b = (piece.description.votes for piece in (earlier, later))
    shares = ([sum(votes.get(name, 0.0) for name in kind) / sum(votes.values()) for kind in _KINDS] for votes in (a, b))
    return float(sum(min(pair) for pair in zip(*shares, strict=True)))


def _stood(earlier: Tracklet) -> bool:
    return earlier.stance.standing_s(earlier.last_at) >= _STOOD_S


def _same_place(earlier: Tracklet, later: Tracklet) -> float:
    """How well the later piece fills the place where the earlier one stood, 0 to 1.

    What drives past hides it bit by bit, so its boxes are cut just before and just after: the place is where it stood
    before that, and the later piece is compared as it was first seen and as it is now, if it appeared within.
    """
    place, first = earlier.stance.anchor, later.sightings[0].box
    found = [iou(box, first) for box in (place, earlier.last_box)]
    if intersection(place, first) >= _WITHIN * area(first):
        found.append(iou(place, later.last_box))
    return max(found)
