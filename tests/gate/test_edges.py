# SPDX-License-Identifier: AGPL-3.0-or-later
"""The edges of a scope: what began before is left out, what goes on after is cut, to the single picture."""

from datetime import timedelta
from pathlib import Path

import pytest

from connectors.archive import ArchiveWriter
from connectors.bounds import Interval
from gate.errors import NotFound
from tests.gate.town import START, Town, canaries, gop, span


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """One camera with groups of four seconds, keyframes at 0, 4, 8, …"""
    town = Town(tmp_path / "var", cameras=("mairie",))
    town.staff()
    writer = ArchiveWriter(town.site.archive_dir)
    for n in range(0, 40, 4):
        writer.append(town.sealer.seal(gop("mairie", START + timedelta(seconds=n), n, seconds=4)))
    writer.close()
    return town


def shown(town: Town, scope: Interval, asked: Interval) -> set[int]:
    requisition = town.opened(reference=f"PV {scope} {asked}", cameras=("mairie",), intervals=(scope,))
    tech = town.client("tech")
    grant = tech.grant(requisition, ("rewind",))
    return {s - int(START.timestamp()) for _, s in canaries(tech.rewind(grant.id, "mairie", asked))}


def test_a_group_that_began_before_the_scope_is_left_out(town: Town) -> None:
    assert shown(town, span(10, 30), span(10, 20)) == set(range(12, 20))


def test_a_group_that_goes_on_after_the_scope_is_cut(town: Town) -> None:
    assert shown(town, span(8, 22), span(16, 22)) == set(range(16, 22))
    with pytest.raises(NotFound):
        shown(town, Interval(START + timedelta(seconds=9), START + timedelta(seconds=11)), span(9, 11))


def test_inside_the_scope_a_request_goes_out_to_keyframes(town: Town) -> None:
    assert shown(town, span(0, 40), span(14, 17)) == set(range(12, 20))
