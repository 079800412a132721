# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who may speak to the gate at all: strangers are refused and journalled, and cannot fill the journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gate.bilan import bilan
from gate.door import COOKIE
from gate.errors import OriginRefused
from tests.gate.town import Town

STRANGE = {
    "host": {"Host": "rebound.example"},
    "origin": {"Origin": "https://evil.example"},
    "site": {"Sec-Fetch-Site": "cross-site"},
    "no_origin": {"Cookie": f"{COOKIE}=guessed"},
}


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path / "var", cameras=("gare",))


def refused(town: Town, kind: str, times: int = 1) -> list[dict[str, Any]]:
    """What the journal says of some requests that are refused, all of one kind."""
    before = len(town.journal())
    http = town.http()
    for _ in range(times):
        answer = http.post("/session", headers=STRANGE[kind])
        assert (answer.status_code, answer.json()["code"]) == (403, OriginRefused.code)
    return town.journal()[before:]


@pytest.mark.parametrize("kind", STRANGE)
def test_strange_senders_are_journalled_once_a_minute_each(town: Town, kind: str) -> None:
    (entry,) = refused(town, kind, times=30)
    assert (entry["phase"], entry["act"], entry["details"]["kind"]) == ("refusal", "sender", kind)
    assert entry["details"]["left_out"] == 0 and entry["details"]["why"]
    town.clock.turn(seconds=59)
    assert not refused(town, kind)
    # Another kind is not hidden behind this one.
    other = "origin" if kind == "host" else "host"
    (entry,) = refused(town, other)
    assert entry["details"]["kind"] == other
    town.clock.turn(seconds=1)
    (entry,) = refused(town, kind)
    assert entry["details"]["left_out"] == 30
    assert not refused(town, kind)
    town.clock.turn(minutes=5)
    (entry,) = refused(town, kind)
    assert entry["details"]["left_out"] == 1


def test_a_clock_set_back_silences_nothing(town: Town) -> None:
    refused(town, "host")
    town.clock.turn(days=-1)
    assert refused(town, "host")


def test_a_long_name_is_cut_short(town: Town) -> None:
    http = town.http()
    assert http.get("/health", headers={"Host": "x" * 5000}).status_code == 403
    assert len(str(town.journal()[-1])) < 1000


def test_the_yearly_report_counts_what_people_were_refused_and_nothing_else(town: Town) -> None:
    for kind in STRANGE:
        refused(town, kind)
    assert bilan(town.gate, town.clock().year).refusals == 0
