# SPDX-License-Identifier: AGPL-3.0-or-later
"""The data-protection summary says how long each kind is kept; here it is held against what is really erased."""

from datetime import timedelta
from pathlib import Path

import pytest

from connectors import topics
from connectors.bounds import Interval
from connectors.site import Site
from gate.closure import begin_closure
from gate.keeper import Keeper
from gate.self_check import absence, stored
from reid.passage import LIVE
from tests.gate.town import START, Town, recorded_town

OF_NOBODY = {"keys", "secrets", "state"}
"""Folders of the data folder that hold keys and what the programs need to run, and nothing of what was filmed."""


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return recorded_town(tmp_path / "var")


def how_long(town: Town) -> dict[str, str]:
    return {kind.where: kind.how_long for kind in stored(town.site)}


def there(town: Town) -> set[str]:
    """Which places of the summary still hold something of the requisition, or anything where that cannot be told."""
    held = {where for where in how_long(town) if any(p.is_file() for p in (town.folder / where).rglob("*"))}
    return held | ({"ClickHouse"} if town.store.oldest() is not None else set())


def test_every_folder_and_topic_that_is_made_is_told(town: Town) -> None:
    town.index(town.opened(intervals=(Interval(START, START + timedelta(seconds=10)),)))
    told = how_long(town)
    folders = {p.name for p in town.folder.iterdir() if p.is_dir()} - OF_NOBODY
    assert folders <= {where.partition("/")[0] for where in told}
    for of in (topics.frames, topics.passages, topics.dead):
        assert f"Kafka, {of(LIVE).partition('.')[0]}.*" in told
    assert {p.name for p in (town.folder / "gate").iterdir() if p.is_dir()} == {"documents", "journal"}
    assert {"gate/documents/", "gate/journal/"} <= told.keys()


def test_the_index_of_a_requisition_ages_and_its_video_stays_until_it_ends(town: Town) -> None:
    requisition = town.opened(
        intervals=(Interval(START, START + timedelta(seconds=15)),), expires_at=START + timedelta(days=60)
    )
    town.index(requisition, seconds=20)
    derived = {"archive/views/", "ClickHouse"}
    own = {"exhibits/", "orders/"}
    assert derived | own | {"archive/", "gate/documents/"} <= there(town)
    told = how_long(town)
    assert all("if that is sooner" in told[where] for where in derived)
    assert all("until the requisition ends" in told[where] for where in own)

    keeper = Keeper(town.gate, town.store)
    town.clock.at = START + timedelta(days=31)
    town.gate.clock_guard.confirm()
    assert keeper.destroy()
    assert not there(town) & (derived | {"archive/"})
    assert own <= there(town)

    town.gate.requisitions.close(requisition, None)
    begin_closure(town.gate, requisition)
    for order in town.gate.requisitions.orders(requisition):
        (town.folder / "orders" / f"{order}.closed").touch()
    assert keeper.close_requisitions() == [requisition]
    assert not there(town) & own
    assert "gate/documents/" in there(town) and "beyond the requisition's end" in told["gate/documents/"]


def test_an_end_that_is_sooner_takes_the_index_along(town: Town) -> None:
    requisition = town.opened(intervals=(Interval(START, START + timedelta(seconds=15)),))
    town.index(requisition, seconds=20)
    town.gate.requisitions.close(requisition, None)
    begin_closure(town.gate, requisition)
    for order in town.gate.requisitions.orders(requisition):
        (town.folder / "orders" / f"{order}.closed").touch()
    assert Keeper(town.gate, town.store).close_requisitions() == [requisition]
    assert not there(town) & {"archive/views/", "ClickHouse", "exhibits/", "orders/"}
    assert "archive/" in there(town)


def site_with(town: Town, **index: str) -> Site:
    return town.site.model_copy(update={"index": town.site.index.model_copy(update=index)})


@pytest.mark.slow
def test_the_absences_are_attested_and_each_that_is_none_is_named(town: Town) -> None:
    assert absence(town.site, ["/passages"]).good
    for site, paths, what in (
        (site_with(town, detector="plate-reader.pt"), [], "no model of faces or plates"),
        (site_with(town, detector="yolo11n.pt"), [], "loads only by its listed digest"),
        (town.site, ["/cameras/{camera}/live"], "live"),
    ):
        bad = [line.what for line in absence(site, paths).lines if not line.good]
        assert any(what in line for line in bad), (what, bad)
    listed = site_with(town, detector="yolo11n.pt", detector_sha256="ab" * 32)
    assert absence(listed, []).good
