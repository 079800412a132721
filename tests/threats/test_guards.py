# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every guard and every planted bug quotes a line that stands in the gate today, and a test that is there."""

import pytest

from tests.threats.guards import GUARDS, PLANTED
from tests.threats.mutants import ROOT, Change


@pytest.mark.parametrize("change", [*(c for c, _ in GUARDS), *PLANTED], ids=lambda c: c.name)
def test_the_quoted_line_stands_in_its_file_exactly_once(change: Change) -> None:
    compile(change.made(), change.file, "exec", dont_inherit=True)


@pytest.mark.parametrize("test", sorted({test for _, test in GUARDS}))
def test_the_test_of_a_guard_is_there(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("quote", ["no such line", "import"])
def test_a_quote_that_is_not_there_once_is_told(quote: str) -> None:
    with pytest.raises(ValueError, match="quote what stands there once"):
        Change("stale", "gate.service", quote, "").made()
