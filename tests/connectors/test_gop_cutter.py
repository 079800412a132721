# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import pytest

from connectors.errors import CameraUnreadable
from connectors.gop_cutter import GopCutter, Picture


def picture(at_s: float, keyframe: bool = False, size: int = 10) -> Picture:
    us = round(at_s * 1e6)
    return Picture(bytes(size), us, us, keyframe)


def cut(cutter: GopCutter, pictures: list[Picture]) -> list[int]:
    groups = [g for p in pictures if (g := cutter.add(p)) is not None]
    last = cutter.flush()
    return [len(g) for g in [*groups, *([last] if last else [])]]


def test_a_group_begins_at_each_keyframe() -> None:
    assert cut(GopCutter(), [picture(n / 10, n % 20 == 0) for n in range(50)]) == [20, 20, 10]


def test_keyframes_close_together_share_a_group() -> None:
    assert cut(GopCutter(), [picture(n / 10, True) for n in range(25)]) == [9, 9, 7]


def test_what_comes_before_the_first_keyframe_is_dropped() -> None:
    cutter = GopCutter()
    assert cutter.add(picture(0)) is None
    assert not cutter.started
    assert cut(cutter, [picture(1, True), picture(2)]) == [2]


def test_a_large_group_is_cut_early_at_a_keyframe() -> None:
    assert cut(GopCutter(soft_bytes=300), [picture(n / 100, True, 100) for n in range(6)]) == [3, 3]


def test_a_group_without_end_is_refused_with_what_to_do() -> None:
    cutter = GopCutter(most_bytes=1000)
    cutter.add(picture(0, True, 600))
    with pytest.raises(CameraUnreadable, match="set a keyframe every"):
        cutter.add(picture(1, False, 600))


def test_keyframes_a_minute_apart_are_refused() -> None:
    cutter = GopCutter(most_s=60)
    cutter.add(picture(0, True))
    cutter.add(picture(60))
    with pytest.raises(CameraUnreadable, match="61 s, 30 bytes and 3 frames without a keyframe"):
        cutter.add(picture(61))
