# SPDX-License-Identifier: AGPL-3.0-or-later
"""The application in a real browser: sign in at the gate, search, follow; pictures come from the gate alone."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from playwright.sync_api import Page, expect, sync_playwright

from connectors.site import DashboardSite, GateSite
from dashboards.texts import TEXTS
from gate.service import make_app
from tests.gate.town import PASSWORD, Town

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def _until_answers(url: str, process: subprocess.Popen[bytes] | None = None) -> None:
    for _ in range(600):
        assert process is None or process.poll() is None, "the page's process ended"
        try:
            if httpx.get(url, timeout=2.0).status_code < 500:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Town, str]]:
    """A gate and the application on ports of their own; the town and the application's address."""
    town = Town(tmp_path_factory.mktemp("town") / "var")
    gate_port, page_port = _free_port(), _free_port()
    town.site = town.site.model_copy(
        update={"gate": GateSite(port=gate_port), "dashboard": DashboardSite(port=page_port)}
    )
    town.gate = town.new_gate()
    town.staff()
    town.record()
    town.index(town.opened())
    server = uvicorn.Server(uvicorn.Config(make_app(town.gate), host="127.0.0.1", port=gate_port, log_level="error"))
    serving = threading.Thread(target=server.run, daemon=True)
    serving.start()
    _until_answers(f"http://127.0.0.1:{gate_port}/sign-in")
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(ROOT / "dashboards" / "app.py"), "--server.port", str(page_port),
         "--server.address", "127.0.0.1", "--server.headless", "true", "--browser.gatherUsageStats", "false"],
        cwd=ROOT / "dashboards",
        env=os.environ | {"PASSAGE_GATE_URL": f"http://127.0.0.1:{gate_port}", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _until_answers(f"http://127.0.0.1:{page_port}/_stcore/health", process)
        yield town, f"http://127.0.0.1:{page_port}/"
    finally:
        process.terminate()
        process.wait(20)
        server.should_exit = True
        serving.join(20)


@pytest.fixture
def browser() -> Iterator[Page]:
    """A page of a real Chromium."""
    if not CHROMIUM:
        pytest.fail("no chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = chromium.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(60_000)
        yield page
        chromium.close()


def _sign_in(page: Page, town: Town, address: str) -> None:
    page.goto(address)
    page.get_by_role("link", name=TEXTS["sign_in"][0]).click()
    # The link opens in a tab of its own.
    tab = page.context.pages[-1] if len(page.context.pages) > 1 else page.context.wait_for_event("page")
    tab.fill("#login", "tech")
    tab.fill("#password", PASSWORD)
    town.clock.turn(seconds=31)
    tab.fill("#code", town.code("tech"))
    tab.get_by_role("button").click()
    tab.wait_for_url(f"{address}**")
    tab.close()
    page.goto(address)


def test_sign_in_search_follow(town: tuple[Town, str], browser: Page) -> None:
    place, address = town
    pictures: list[str] = []
    asked: list[str] = []
    browser.context.on("request", lambda r: asked.append(r.url))
    browser.on("response", lambda r: pictures.append(r.url) if r.headers.get("content-type") == "image/jpeg" else None)
    _sign_in(browser, place, address)
    expect(browser.get_by_text(TEXTS["rewind_help"][0])).to_be_visible()
    browser.get_by_role("radio", name=TEXTS["search"][0]).or_(
        browser.get_by_role("button", name=TEXTS["search"][0], exact=True)
    ).first.click()
    browser.get_by_role("button", name=TEXTS["run_search"][0]).click()
    expect(browser.locator(".passage-card img").first).to_be_visible()
    first = browser.locator(".passage-card img").first
    browser.wait_for_function("i => i.complete && i.naturalWidth > 0", arg=first.element_handle())
    browser.get_by_role("button", name=TEXTS["follow_this"][0], exact=True).nth(1).click()
    expect(browser.get_by_role("heading", name=TEXTS["strip"][0])).to_be_visible()
    expect(browser.get_by_text(TEXTS["candidates_notice"][0]).first).to_be_visible()
    shot = os.environ.get("PASSAGE_SCREENSHOTS")
    if shot:
        browser.screenshot(path=str(Path(shot) / "follow.png"), full_page=True)
    gate = f"http://127.0.0.1:{place.site.gate.port}/"
    own = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")
    assert [url for url in asked if not url.startswith(own)] == [], "the pages ask for something outside this machine"
    assert pictures and all(url.startswith(gate) for url in pictures), pictures


def test_a_picture_is_refused_without_the_session(town: tuple[Town, str], browser: Page) -> None:
    place, _ = town
    (requisition,) = [r.id for r in place.client("chef").requisitions()]
    tech = place.client("tech")
    grant = tech.grant(requisition, ("search", "picture"))
    found = tech.search(grant.id, cameras=None, interval=grant.intervals[0])
    answer = browser.goto(
        f"http://127.0.0.1:{place.site.gate.port}"
        + tech.picture_url(grant.id, found.passages[0].id, 0).partition("testserver")[2]
    )
    assert answer is not None and answer.status in (401, 403), answer
    assert answer.headers.get("content-type") != "image/jpeg"
