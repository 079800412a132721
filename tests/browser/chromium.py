# SPDX-License-Identifier: AGPL-3.0-or-later
"""A real Chromium, as a Debian machine has it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import BrowserContext, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


@contextmanager
def chromium(*, offline: bool = False) -> Iterator[BrowserContext]:
    """A browser of its own, with no network where `offline`."""
    if not CHROMIUM:
        pytest.fail("no chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(
            viewport={"width": 1400, "height": 900}, accept_downloads=True, locale="fr-FR", offline=offline
        )
        context.set_default_timeout(90_000)
        expect.set_options(timeout=60_000)  # a machine that has other work draws a page slowly
        yield context
        browser.close()
