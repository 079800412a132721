# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a site's stack consists of."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.site import Site, load_site
from infra.services import Service, services

CAMERA = """
[[camera]]
name = "c1"
label = "c1"
url = "rtsp://192.0.2.1/stream"
masks_dwellings = true
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "site.toml"


def stack(file: Path, *lines: str) -> dict[str, Service]:
    """The services of a site with these settings, by name."""
    file.write_text("\n".join(['name = "t"', *lines, CAMERA]), encoding="utf-8")
    site: Site = load_site(file)
    return {s.name: s for s in services(site, file)}


def test_nobody_speaks_to_the_broker_before_the_rights_are_laid_down(file: Path) -> None:
    found = stack(file)
    users = found["kafka-users"]
    assert users.may_finish and not users.probe()
    assert {name for name, s in found.items() if "kafka-users" in s.needs} == {"record", "capture", "jobs"}


@pytest.mark.parametrize(
    ("lines", "started_anew"),
    [
        (["metrics_port = 28700"], {"store", "gate", "keeper", "record", "capture", "jobs"}),
        (["[index]", "processes = 3"], {"gate", "keeper", "jobs"}),
        (["[kafka]", "live_hours = 48"], {"kafka", "kafka-users", "gate", "keeper", "record", "capture", "jobs"}),
        (["[store]", "port = 28123"], {"store", "gate", "keeper", "jobs"}),
        (["retention_days = 7"], {"store", "gate", "keeper"}),
        (["sealing = false"], {"gate", "keeper", "capture", "jobs"}),
        (["[dashboard]", "port = 28501"], {"gate", "keeper", "dashboard"}),
        ([], set()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_changed_setting_starts_anew_who_reads_it_at_its_start(
    file: Path, lines: list[str], started_anew: set[str]
) -> None:
    before, after = stack(file), stack(file, *lines)
    assert {name for name, s in before.items() if s.identity != after[name].identity} == started_anew
