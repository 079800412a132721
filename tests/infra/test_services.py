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
