# SPDX-License-Identifier: AGPL-3.0-or-later
"""The auditor reads the whole journal, piece by piece, and everything that belongs to one requisition."""

import pytest

from gate.errors import Invalid
from tests.gate.town import Town


def test_every_entry_is_reached_from_the_newest_to_the_first(town: Town) -> None:
    town.opened()
    audit = town.client("audit")
    read, before = [], 0
    while lines := audit.journal(limit=3, before=before):
        read += [line.n for line in lines]
        before = lines[-1].n
    assert len(read) > 6 and read == [entry["n"] for entry in reversed(town.journal())]


def test_more_than_is_answered_at_once_is_refused_and_not_cut(town: Town) -> None:
    audit = town.client("audit")
    assert audit.journal(limit=500)
    for limit in (501, 0):
        with pytest.raises(Invalid, match=f"limit {limit}: 1 to 500; for older ones"):
            audit.journal(limit=limit)


def test_a_requisition_s_entries_begin_with_its_registration(town: Town) -> None:
    town.opened(reference="PV another")
    requisition = town.opened()
    audit = town.client("audit")
    lines = audit.journal(requisition=requisition)
    assert [(e.act, e.phase) for e in lines[:-3:-1]] == [
        ("requisition.draft", "intent"),
        ("requisition.draft", "outcome"),
    ]
    assert lines[-1].details["reference"] == "PV 2026/1234" and not any("another" in repr(line) for line in lines)
    # A page that ends between the two keeps what belongs together.
    assert audit.journal(requisition=requisition, before=lines[-2].n) == lines[-1:]
