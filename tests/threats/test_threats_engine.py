# SPDX-License-Identifier: AGPL-3.0-or-later
"""SQL in every field of the gate that the store is asked with, over the real engine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.bounds import Interval
from gate.client import GateClient
from gate.errors import GateError, NotFound
from tests.fixtures.store import StoreProcess
from tests.gate.test_proof_real import Sides
from tests.gate.town import Town

pytestmark = [pytest.mark.engine, pytest.mark.slow]
SECONDS = 20


@pytest.fixture(scope="module")
def case(store_server: StoreProcess, tmp_path_factory: pytest.TempPathFactory) -> tuple[Town, GateClient, str]:
    """A grant under one requisition, in a store that holds another's passages as well."""
    began = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    town = Town(tmp_path_factory.mktemp("sql") / "var", now=datetime.now(UTC), store=Sides(store_server))
    town.staff()
    town.record(began, SECONDS)
    span = Interval(began, began + timedelta(seconds=SECONDS))
    own, other = (
        town.opened(reference=reference, cameras=(camera,), intervals=(span,), expires_at=town.clock() + timedelta(9))
        for reference, camera in (("PV 1", "mairie"), ("PV 2", "gare"))
    )
    town.index(own, began, SECONDS, ["mairie"])
    town.index(other, began, SECONDS, ["gare"])
    tech = town.client("tech")
    return town, tech, tech.grant(own, ("search", "picture", "trace", "export")).id


@pytest.mark.parametrize(
    "nasty",
    [
        "x') OR ('1'='1",
        "x' OR '1'='1",
        "x' OR scope != '",
        "x') UNION ALL SELECT * FROM passages --",
        "x'; DROP TABLE passages; --",
        "\\' OR 1=1 --",
        "{scope:String}",
    ],
)
def test_an_id_that_is_sql_finds_nothing(case: tuple[Town, GateClient, str], nasty: str, tmp_path: Path) -> None:
    town, tech, grant = case
    words = {"purpose": "remise", "recipient": "X", "passages": [nasty]}
    ways: dict[str, Callable[[], object]] = {
        "passage": lambda: tech.passage(grant, nasty),
        "picture": lambda: tech.picture(grant, nasty),
        "trace": lambda: tech.trace(grant, nasty),
        "export.ask": lambda: tech.export(grant, tmp_path / "out.zip", **words),
    }
    found = {p.id for p in tech.search(grant).passages}
    for act, way in ways.items():
        with pytest.raises(NotFound):
            way()
        last = town.journal()[-1]
        assert (last["act"], last["person"], last["details"]["failed"]) == (act, "Tech", "not_found")
    for field in ("cameras", "colours", "classes"):
        with pytest.raises(GateError):
            tech.search(grant, **{field: (nasty,)})
    assert {p.id for p in tech.search(grant).passages} == found and len(found) == SECONDS // 5
