# SPDX-License-Identifier: AGPL-3.0-or-later
"""A year lived through the gate's own services: nine lawful requests, a journal that holds, nothing kept too long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pypdf import PdfReader

from connectors.archive import ArchiveEraser
from connectors.memory_store import MemoryStore
from connectors.site import Site, load_site
from gate.bilan import bilan
from gate.gate import Gate
from gate.journal_check import verify
from infra.demo_people import Person
from infra.demo_year import REQUESTS, fill_year, write_bilan, year_of
from tests.gate.conftest import in_memory
from tests.gate.town import Clock

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)
SITE = """
name = "Essai"
[continuous]
legal_basis = "essai"
impact_assessment = "essai"
"""


@pytest.fixture(scope="module")
def year() -> Iterator[tuple[Site, dict[str, Person]]]:
    """The site after its year, and its people."""
    with in_memory() as folder:
        cameras = "".join(
            f'[[camera]]\nname = "c0{n}"\nlabel = "Rue {n}"\nurl = "rtsp://127.0.0.1/{n}"\nmasks_dwellings = true\n'
            for n in range(1, 7)
        )
        (folder / "site.toml").write_text(SITE + cameras, encoding="utf-8")
        site = load_site(folder / "site.toml")
        yield site, fill_year(site, NOW)


def test_the_year_is_the_one_that_has_passed() -> None:
    assert year_of(NOW) == 2026 and year_of(datetime(2027, 2, 1, tzinfo=UTC)) == 2026


def test_nine_requests_are_in_the_report(year: tuple[Site, dict[str, Person]], tmp_path: Path) -> None:
    site, people = year
    gate = Gate(site, MemoryStore(), clock=Clock(NOW))
    found = bilan(gate, 2026)
    register = gate.requisitions.all()
    gate.close()
    assert len(found.lines) == len(REQUESTS) == 9 and sum(found.requests_by_month) == 9
    assert {"rixe", "trafic de stupéfiants", "collision", "blessures sur agent de la force publique"} <= set(
        found.by_offence
    )
    assert found.exports == sum(r.handed_over for r in REQUESTS) == sum(found.exports_by_month)
    assert found.searches == sum(len(r.searches) for r in REQUESTS)
    assert found.refusals == sum(r.refused for r in REQUESTS) and found.proofs_failed == 0 and found.proofs >= 9
    # Four of the stretches were played again within ten minutes, which is one act; what was refused was not seen.
    stretches = sum(r.watched_minutes for r in REQUESTS) / 5 - 4
    assert found.delay_median_hours == 2.0 and found.seen_hours == round(stretches * 5 / 60, 2)
    assert all(line.days_open is not None and line.delay_hours is not None for line in found.lines)
    assert {r.state for r in register} == {"closed"} and not any(r.review_due for r in register)
    out = tmp_path / "bilan.pdf"
    assert write_bilan(site, 2026, out) == 9
    said = " ".join("\n".join(page.extract_text() for page in PdfReader(out).pages).split())
    assert "9 demandes" in said and "trafic de stupéfiants" in said
    names = [word for p in people.values() for word in (p.login, *p.name.split(" (")[0].split())]
    assert not any(name in said for name in names), said


def test_the_journal_holds_and_nothing_is_past_its_date(year: tuple[Site, dict[str, Person]]) -> None:
    site, _ = year
    gate = Gate(site, MemoryStore(), clock=Clock(NOW))
    verdict = verify(gate.folders.journal, gate.signing.public_key(), (), NOW)
    moments = [e["at"] for e in gate.journal.entries()]
    gate.close()
    assert verdict.good, verdict
    assert moments == sorted(moments)
    eraser = ArchiveEraser(site.archive_dir)
    held = [at for c in site.cameras if (at := eraser.oldest(c.name)) is not None]
    assert all(at >= NOW - timedelta(days=30) for at in held), "something is older than thirty days"
    assert not list((site.data / "exhibits").iterdir()), "evidence of a closed requisition"
