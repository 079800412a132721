# SPDX-License-Identifier: AGPL-3.0-or-later
"""The application in a real browser: sign in at the gate, search, follow; pictures come from the gate alone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from playwright.sync_api import Locator, Page, expect

from connectors.site import DashboardSite, GateSite
from dashboards.texts import TEXTS
from gate.exhibits import fingerprint
from gate.service import make_app
from infra.ports import free_port
from tests.browser.chromium import chromium
from tests.gate.test_exhibits import by_script
from tests.gate.town import PASSWORD, PDF, Town

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]


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
    gate_port, page_port = free_port(), free_port()
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
    with chromium() as context:
        yield context.new_page()


def _sign_in(page: Page, town: Town, address: str, login: str = "tech") -> None:
    page.goto(address)
    page.get_by_role("link", name=TEXTS["sign_in"][0]).click()
    page.fill("#login", login)
    page.fill("#password", PASSWORD)
    town.clock.turn(seconds=31)
    page.fill("#code", town.code(login))
    page.get_by_role("button").click()
    page.wait_for_url(f"{address}**")


def _tab(page: Page, name: str) -> Locator:
    """One of the tabs of the investigation."""
    return page.get_by_role("radio", name=TEXTS[name][0]).or_(page.get_by_role("button", name=TEXTS[name][0])).first


def _until_seen(outcome: Locator, do: Callable[[int], object]) -> None:
    """Do it, in so many milliseconds, until what comes of it is seen: the page may be drawn anew meanwhile."""
    for patience in (10_000, 10_000, 10_000, 10_000, 60_000):
        try:
            do(patience)
            return expect(outcome).to_be_visible(timeout=patience)
        except AssertionError:
            if patience == 60_000:
                raise


def _press(button: Locator, outcome: Locator) -> None:
    """Press until what it does is seen: a click that meets the page while it is being drawn is lost."""
    _until_seen(outcome, lambda _: button.click())


def _choose(page: Page, name: str, words: str) -> None:
    """Choose from a list of several by its first letters; it closes when what holds it scrolls."""
    field = page.get_by_role("combobox", name=name)

    def choose(patience: int) -> None:
        field.fill("")
        field.fill(words)
        expect(page.get_by_role("option", name=words)).to_be_visible(timeout=patience)
        field.press("Enter")
        field.press("Tab")

    _until_seen(page.get_by_role("button", name=f"Remove {words}"), choose)


def _search(page: Page, outcome: Locator) -> None:
    """Search for anything, until this is seen of what was found."""
    run = page.get_by_role("button", name=TEXTS["run_search"][0])
    _press(_tab(page, "search"), run)
    _press(run, outcome)


def test_sign_in_search_follow(town: tuple[Town, str], browser: Page) -> None:
    place, address = town
    pictures: list[str] = []
    asked: list[str] = []
    browser.context.on("request", lambda r: asked.append(r.url))
    browser.on("response", lambda r: pictures.append(r.url) if r.headers.get("content-type") == "image/jpeg" else None)
    _sign_in(browser, place, address)
    expect(browser.get_by_text(TEXTS["rewind_help"][0])).to_be_visible()
    first = browser.locator(".passage-card img").first
    _search(browser, first)
    browser.wait_for_function("i => i.complete && i.naturalWidth > 0", arg=first.element_handle())
    follow = browser.get_by_role("button", name=TEXTS["follow_this"][0], exact=True).nth(1)
    _press(follow, browser.get_by_role("heading", name=TEXTS["strip"][0]))
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


def test_what_was_joined_is_handed_over(town: tuple[Town, str], browser: Page, tmp_path: Path) -> None:
    place, address = town
    _sign_in(browser, place, address)
    joined = browser.get_by_text(TEXTS["joined"][0])
    browser.get_by_role("button", name=TEXTS["join_clip"][0]).click()
    # A page that is being drawn anew may lose what is clicked meanwhile.
    expect(joined).to_have_count(1)
    expect(joined).to_have_count(0)
    join = browser.get_by_role("button", name=TEXTS["join_this"][0], exact=True).first
    _search(browser, join)
    join.click()
    expect(joined).to_have_count(1)
    _press(_tab(browser, "handover"), browser.get_by_role("button", name=TEXTS["prepare"][0]))
    expect(browser.get_by_role("button", name=TEXTS["drop"][0])).to_have_count(2)
    browser.get_by_role("textbox", name=TEXTS["purpose_again"][0]).fill("remise à l'enquêteur")
    browser.get_by_role("button", name=TEXTS["prepare"][0]).click()
    link = browser.get_by_role("link", name=TEXTS["download_package"][0])
    with browser.expect_download() as download:
        link.click()
    package = tmp_path / "piece.zip"
    download.value.save_as(package)
    # The page sees by itself that it is done, and shows what the slip carries.
    shown = " ".join(fingerprint(place.gate)[i : i + 4] for i in range(0, 64, 4))
    expect(browser.get_by_text(shown, exact=True)).to_be_visible()
    with zipfile.ZipFile(package) as archive:
        archive.extractall(tmp_path)
    (folder,) = (p for p in tmp_path.iterdir() if p.is_dir())
    good, words = by_script(folder, fingerprint(place.gate))
    assert good, words


@pytest.mark.parametrize(
    ("login", "pages"),
    [
        ("tech", ["investigation", "requisitions", "operations"]),
        ("greffe", ["requisitions", "bilan", "operations"]),
        ("audit", ["requisitions", "journal", "bilan", "operations"]),
        ("admin", ["bilan", "operations"]),
    ],
)
def test_each_role_sees_its_own_pages(town: tuple[Town, str], browser: Page, login: str, pages: list[str]) -> None:
    place, address = town
    _sign_in(browser, place, address, login)
    links = browser.locator('[data-testid="stSidebarNavLink"]')
    expect(links).to_have_text([TEXTS[name][0] for name in pages])
    may_register = browser.get_by_text(TEXTS["register_new"][0])
    for name in pages:
        links.get_by_text(TEXTS[name][0], exact=True).click()
        if name == "requisitions":
            expect(browser.get_by_text("PV 2026/1234").first).to_be_visible()
            expect(may_register).to_have_count(1 if login == "greffe" else 0)
            expect(browser.get_by_role("button", name=TEXTS["close"][0], exact=True)).to_have_count(
                1 if login == "greffe" else 0
            )
        elif name != "investigation":
            expect(browser.get_by_role("heading", name=TEXTS[name][0], exact=True)).to_be_visible()
        expect(browser.get_by_test_id("stException")).to_have_count(0)
    browser.get_by_role("button", name=TEXTS["sign_out"][0]).click()
    expect(browser.get_by_role("link", name=TEXTS["sign_in"][0])).to_be_visible()
    browser.reload()
    expect(browser.get_by_role("link", name=TEXTS["sign_in"][0])).to_be_visible()


def test_a_requisition_from_paper_to_open(town: tuple[Town, str], browser: Page) -> None:
    place, address = town
    _sign_in(browser, place, address, "greffe")
    browser.get_by_text(TEXTS["register_new"][0]).click()

    def field(key: str) -> Locator:
        return browser.get_by_role("textbox", name=TEXTS[key][0], exact=True)

    save = browser.get_by_role("button", name=TEXTS["save_draft"][0])
    _press(save, browser.get_by_text("Référence : écrivez celle du document."))
    expect(browser.get_by_test_id("stStatusWidget")).to_have_count(0)
    for key, words in (
        ("reference", "PV 2026/77"),
        ("authority_name", "Capitaine Durand"),
        ("inquiry", "2026/77"),
        ("offence", "vol"),
        ("purpose", "retrouver un fourgon"),
        ("received_at", "20/03/2026 15:30"),
        ("from", "20/03/2026 15:00:20"),
        ("to", "20/03/2026 15:00:40"),
    ):
        field(key).last.fill(words)
    # The page's own clock is today's; the town's stands in March.
    _choose(browser, TEXTS["cameras"][0], "Gare")
    browser.locator('input[type="file"]').first.set_input_files(
        {"name": "pv.pdf", "mimeType": "application/pdf", "buffer": PDF}
    )
    expect(browser.get_by_text("pv.pdf")).to_be_visible()
    _press(save, browser.get_by_text("PV 2026/77").first)
    (made,) = [r for r in place.client("chef").requisitions() if r.reference == "PV 2026/77"]
    assert (made.state, made.cameras, bool(made.document)) == ("draft", ("gare",), True)
    # Who registered does not open while the other is on duty.
    _press(
        browser.get_by_role("button", name=TEXTS["open"][0], exact=True),
        browser.get_by_text("l'autre personne du greffe"),
    )
    browser.get_by_role("button", name=TEXTS["sign_out"][0]).click()
    expect(browser.get_by_role("link", name=TEXTS["sign_in"][0])).to_be_visible()
    _sign_in(browser, place, address, "chef")
    browser.get_by_role("button", name=TEXTS["open"][0], exact=True).click()
    expect(browser.get_by_role("button", name=TEXTS["open"][0], exact=True)).to_have_count(0)
    (made,) = [r for r in place.client("chef").requisitions() if r.reference == "PV 2026/77"]
    assert made.state == "open"
    place.client("chef").close_requisition(made.id)
