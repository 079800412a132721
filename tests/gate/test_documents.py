# SPDX-License-Identifier: AGPL-3.0-or-later
"""Scanned requisitions: kept sealed, read back as they were handed in."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import gate.command_line
import gate.commands
from gate.client import GateClient, keep_session
from gate.errors import Conflict, DutyRefused, Invalid, NotFound, Unavailable
from tests.gate.town import PDF, Town

FURTHER = b"%PDF-1.4 a further document"


@pytest.fixture
def widened(town: Town) -> tuple[Town, str]:
    """An open requisition that one further document has widened."""
    requisition = town.opened(cameras=("mairie",))
    town.client("chef").amend(requisition, reference="PV 2", document=FURTHER, cameras=["gare"])
    return town, requisition


def _file(town: Town, data: bytes) -> Path:
    return town.gate.folders.documents / hashlib.sha256(data).hexdigest()


def test_scans_are_read_back_as_they_were_handed_in(widened: tuple[Town, str]) -> None:
    town, requisition = widened
    info = town.client("tech").requisition(requisition)
    assert info.amending_documents == (hashlib.sha256(FURTHER).hexdigest(),)
    for who in ("greffe", "tech", "audit"):
        client = town.client(who)
        assert client.document(requisition) == PDF
        assert client.document(requisition, info.amending_documents[0]) == FURTHER
    assert FURTHER not in _file(town, FURTHER).read_bytes()
    entries = [e for e in town.gate.journal.entries() if e["act"] == "requisition.document"]
    assert sum(e["phase"] == "outcome" for e in entries) == 6 and entries[-1]["person"] == "Audit"


def test_the_browser_saves_it_under_a_harmless_name(widened: tuple[Town, str]) -> None:
    town, requisition = widened
    headers = {"Authorization": f"Bearer {town.client('greffe').token}"}
    answer = town.http().get(f"/requisitions/{requisition}/document", headers=headers)
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="{requisition}-')
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_nobody_else_reads_it_and_no_other_document_is_given(widened: tuple[Town, str]) -> None:
    town, requisition = widened
    with pytest.raises(DutyRefused):
        town.client("admin").document(requisition)
    other = town.opened(reference="PV 9", document=b"%PDF-1.4 of another")
    foreign = town.client("greffe").requisition(other).document
    for sha256 in (foreign, "../vault", "0" * 64):
        with pytest.raises(NotFound, match="no such document"):
            town.client("greffe").document(requisition, sha256)
    entries = [e for e in town.gate.journal.entries() if e["act"] == "requisition.document" and e["phase"] != "intent"]
    assert entries[0]["phase"] == "refusal" and entries[0]["person"] == "Admin" and len(entries) == 4


def test_one_that_was_exchanged_or_is_gone_is_named(widened: tuple[Town, str]) -> None:
    town, requisition = widened
    client = town.client("greffe")
    # Sealed by the site's own vault under the right label, and still not what was registered.
    label = f"document {hashlib.sha256(PDF).hexdigest()}"
    _file(town, PDF).write_bytes(town.gate.vault.seal(b"%PDF-1.4 forged", label))
    with pytest.raises(Unavailable, match="not the one that was registered"):
        client.document(requisition)
    _file(town, PDF).write_bytes(b"x" * 40)
    with pytest.raises(Unavailable, match="vault"):
        client.document(requisition)
    _file(town, PDF).unlink()
    with pytest.raises(NotFound, match="restore it"):
        client.document(requisition)


def test_the_command_writes_them_all(
    widened: tuple[Town, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    town, requisition = widened
    keep_session(town.client("greffe").token or "", tmp_path / "session")
    monkeypatch.setenv("PASSAGE_SESSION", str(tmp_path / "session"))
    monkeypatch.setenv("PASSAGE_GATE_URL", town.url)
    monkeypatch.setattr(gate.command_line, "GateClient", lambda url, token: GateClient(url, token, http=town.http()))
    words = ["requisition", "document", requisition, "--out", str(tmp_path / "lu"), "--json"]
    done = CliRunner().invoke(gate.commands.app, words)
    assert done.exit_code == 0, done.output
    assert [Path(w["file"]).read_bytes() for w in json.loads(done.output)] == [PDF, FURTHER]


def test_nothing_is_kept_of_a_paper_that_is_refused(town: Town) -> None:
    requisition = town.opened(cameras=("mairie",))
    chef, greffe = town.client("chef"), town.client("greffe")
    before = set(town.gate.folders.documents.iterdir())
    strange = b"%PDF-1.4 of another inquiry"
    with pytest.raises(Invalid):
        chef.amend(requisition, reference="PV 3", document=strange, cameras=["nowhere"])
    with pytest.raises(Conflict):
        greffe.attach(requisition, strange)
    assert set(town.gate.folders.documents.iterdir()) == before


def test_a_scan_that_is_replaced_is_destroyed_unless_another_paper_is_the_same(town: Town) -> None:
    greffe = town.client("greffe")
    first = greffe.draft(**town.words(reference="PV 5", document=FURTHER)).id
    other = greffe.draft(**town.words(reference="PV 6", document=FURTHER)).id
    greffe.attach(first, PDF)
    assert greffe.document(other) == FURTHER, "it belongs to the other one as well"
    greffe.attach(other, PDF)
    assert not _file(town, FURTHER).exists() and greffe.document(other) == PDF
