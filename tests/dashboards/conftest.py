# SPDX-License-Identifier: AGPL-3.0-or-later
"""What every test of a page needs."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def own_main() -> Iterator[None]:
    """Streamlit's harness makes the page the main module; tests that start processes need their own back."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main
