# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every file of `tests/fixtures` is a plugin of fixtures; fixtures start real servers on ports of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is slow, not wrong.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

pytest_plugins = [
    f"tests.fixtures.{file.stem}" for file in sorted((Path(__file__).parent / "fixtures").glob("[a-z]*.py"))
]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real clips and pictures beside the checkout; the test is skipped where they are absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real clips and pictures in ../shared/data, which are absent")
    return folder
