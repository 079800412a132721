# SPDX-License-Identifier: AGPL-3.0-or-later
"""`passage requisition open --wait`: as long as an index is being made, and no longer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

import gate.command_line
import gate.commands
import gate.requisition_commands
from gate.client import GateClient, keep_session
from gate.errors import Conflict, Invalid
from tests.gate.town import Town


@pytest.fixture
def waits(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Opens a draft and waits, while one thing happens at each second."""

    def run(draft: str, happens: Iterable[Callable[[], Any]]) -> Result:
        seconds = iter(happens)
        keep_session(town.client("chef").token or "", tmp_path / "session")
        monkeypatch.setattr(gate.requisition_commands, "clock", SimpleNamespace(sleep=lambda _: next(seconds)()))
        return CliRunner().invoke(gate.commands.app, ["requisition", "open", draft, "--wait", "--json"])

    monkeypatch.setenv("PASSAGE_SESSION", str(tmp_path / "session"))
    monkeypatch.setenv("PASSAGE_GATE_URL", town.url)
    monkeypatch.setattr(gate.command_line, "GateClient", lambda url, token: GateClient(url, token, http=town.http()))
    return run


def _progress(town: Town, draft: str, state: str, message: str = "") -> Callable[[], object]:
    words = f'{{"state":"{state}","message":"{message}"}}'
    return lambda: (town.folder / "orders" / f"{draft}-1.progress.json").write_text(words)


def test_it_says_what_it_waits_for_once_and_ends_with_the_index(town: Town, waits: Callable[..., Result]) -> None:
    draft = town.client("greffe").draft(**town.words()).id
    happens = (
        _progress(town, draft, *said) for said in (("running", "a"), ("running", "a"), ("waiting", "b"), ("done",))
    )
    done = waits(draft, happens)
    assert done.exit_code == 0 and done.stderr.splitlines() == ["a", "b"]
    assert '"state": "open"' in done.stdout


def test_a_basis_without_an_index_is_not_waited_for(town: Town, waits: Callable[..., Result]) -> None:
    draft = town.client("greffe").draft(**town.words(basis="inspection")).id
    assert waits(draft, ()).exit_code == 0


@pytest.mark.parametrize("failed", [False, True])
def test_it_waits_for_nothing_that_will_not_come(town: Town, waits: Callable[..., Result], failed: bool) -> None:
    draft = town.client("greffe").draft(**town.words()).id
    ends = _progress(town, draft, "failed", "x") if failed else lambda: town.gate.requisitions.close(draft, None)
    fault = waits(draft, (ends,)).exception
    assert isinstance(fault, Invalid if failed else Conflict), fault
    assert str(fault).endswith("indexing failed: x" if failed else "is closed: it is indexed no further")


def test_the_one_that_is_meant_is_named_without_an_option_that_is_not_there(
    town: Town, waits: Callable[..., Result]
) -> None:
    for reference in ("PV 1", "PV 2"):
        town.client("greffe").draft(**town.words(reference=reference))
    fault = waits("", ()).exception
    assert str(fault) == "2 requisitions are draft: name one by its id or reference"
