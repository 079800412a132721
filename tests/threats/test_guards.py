# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every threat of docs/threats.md has a guard, every guard a line to take away, every line a test that then fails."""

from collections.abc import Iterable

import pytest

from tests.threats.document import Threat, threats
from tests.threats.guards import GUARDS
from tests.threats.mutants import ROOT, Change
from tests.threats.planted import PLANTED, PROPERTY

SHOWN = {PROPERTY, *(test for _, test in GUARDS)}
"""Tests that the script shows to fail without what they try."""


def unguarded(rows: Iterable[Threat]) -> set[str]:
    """Threats that name no guard or no test, or a test from which the script takes nothing away."""
    return {row.threat for row in rows if not row.guard or not row.tests or not SHOWN.issuperset(row.tests)}


def test_every_threat_has_its_guard_and_each_of_its_tests_fails_without_one() -> None:
    rows = threats()
    assert len(rows) >= 30
    assert not unguarded(rows)


def test_every_test_of_a_guard_stands_in_the_document() -> None:
    assert SHOWN == {test for row in threats() for test in row.tests}


def test_a_threat_without_a_guard_is_told() -> None:
    table = "| threat | guard | test |\n|---|---|---|\n"
    shown = "`test_access.py::test_nothing_else_makes_a_grant`"
    rows = (
        f"| good | a guard | {shown} |",
        f"| of no guard |  | {shown} |",
        "| of no test | a guard | by hand |",
        f"| of one test too many | a guard | {shown}, `::test_who_opens` |",
        "| of another | a guard | `connectors/test_orders.py::test_stretches` |",
    )
    found = threats(table + "\n".join(rows))
    assert found[3].tests == (*found[0].tests, "tests/gate/test_access.py::test_who_opens")
    assert found[4].tests == ("tests/connectors/test_orders.py::test_stretches",)
    assert unguarded(found) == {row.threat for row in found[1:]}


def test_each_guard_has_a_name_of_its_own() -> None:
    for changes in ([change for change, _ in GUARDS], PLANTED):
        assert len({change.name for change in changes}) == len(changes)


@pytest.mark.parametrize("change", [*(c for c, _ in GUARDS), *PLANTED], ids=lambda c: c.name)
def test_the_quoted_lines_stand_in_their_files_exactly_once(change: Change) -> None:
    for file, source in change.made().items():
        assert source != (ROOT / file).read_text(encoding="utf-8")
        if file.endswith(".py"):
            compile(source, file, "exec", dont_inherit=True)


@pytest.mark.parametrize("test", sorted(SHOWN))
def test_the_test_of_a_guard_is_there(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("quote", ["no such line", "import"])
def test_a_quote_that_is_not_there_once_is_told(quote: str) -> None:
    with pytest.raises(ValueError, match="quote what stands there once"):
        Change("stale", "gate.service", quote, "").made()
    with pytest.raises(ValueError, match="quote what stands there once"):
        Change("stale", "gate.service", "import argparse", "", also=(("gate.door", quote, ""),)).made()
