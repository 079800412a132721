# SPDX-License-Identifier: AGPL-3.0-or-later
"""Changed settings stand in the journal: once, at the gate's next start, with what was before."""

from __future__ import annotations

from pathlib import Path

from starlette.testclient import TestClient

from connectors.site import ContinuousBasis
from gate.configuration import told
from gate.service import make_app
from tests.gate.town import Town


def _starts(town: Town) -> list[dict[str, object]]:
    """Start and stop the service; what the journal then says of settings."""
    before = len(town.journal())
    with TestClient(make_app(town.new_gate())):
        pass
    town.gate = town.new_gate()
    return [e["details"]["changed"] for e in town.journal()[before:] if e["act"] == "configuration"]


def test_changes_are_written_once_with_what_was_before(tmp_path: Path) -> None:
    town = Town(tmp_path / "var")
    (first,) = _starts(town)
    assert first["retention_days"] == [None, town.site.retention_days]
    assert _starts(town) == []
    basis = ContinuousBasis(legal_basis="arrêté 2026-12", impact_assessment="AIPD 3")
    gare = next(c for c in town.site.cameras if c.name == "gare").model_copy(update={"indexing": "continuous"})
    cameras = tuple(gare if c.name == "gare" else c for c in town.site.cameras)
    town.site = town.site.model_copy(update={"continuous": basis, "cameras": cameras, "retention_days": 20})
    (changed,) = _starts(town)
    assert set(changed) == {
        "camera.gare", "continuous.legal_basis", "continuous.impact_assessment", "retention_days",
    }  # fmt: skip
    assert changed["continuous.legal_basis"] == ["", "arrêté 2026-12"]
    before, after = changed["camera.gare"]  # type: ignore[misc]
    assert "on requisition" in before and "continuous" in after
    assert _starts(town) == []


def test_no_address_of_a_camera_is_told(tmp_path: Path) -> None:
    site = Town(tmp_path / "var").site
    said = str(told(site))
    assert not any(c.url.get_secret_value() in said for c in site.cameras)
