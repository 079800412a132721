# SPDX-License-Identifier: AGPL-3.0-or-later
"""The package's own page in a real browser, from the package's folder, offline: it says good, and names what is not."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from gate import exhibits
from gate.exhibit_pdf import grouped
from tests.browser.chromium import chromium
from tests.gate.test_exhibits import RECIPIENT, added, altered, removed, renamed, resigned, span, sums_rewritten
from tests.gate.town import Town

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An unpacked package as somebody receives it, and the fingerprint on its slip."""
    folder = tmp_path_factory.mktemp("package")
    town = Town(folder / "var")
    town.staff()
    town.record()
    requisition = town.opened()
    found = town.index(requisition)
    tech = town.client("tech")
    grant = tech.grant(requisition, ("export", "search", "trace"))
    out = tech.export(
        grant.id,
        folder / "out.zip",
        purpose="remise",
        recipient=RECIPIENT,
        clips=[("mairie", span(12, 18)), ("gare", span(20, 24))],
        passages=[found[3].id],
        viewing=True,
    )
    with zipfile.ZipFile(out) as archive:
        archive.extractall(folder / "unpacked")
    return next((folder / "unpacked").iterdir()), grouped(exhibits.fingerprint(town.gate))


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    with chromium(offline=True) as context:
        yield context


def said(browser: BrowserContext, folder: Path, fingerprint: str) -> str:
    """What the page answers about the folder that it lies in."""
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url))
    page.goto((folder / "verification" / "verifier.html").as_uri())
    page.fill("#print", fingerprint)
    page.set_input_files("#folder", folder)
    answer = page.locator("#answer")
    expect(answer).to_be_visible()
    words = answer.inner_text()
    page.close()
    assert all(url.startswith("file://") for url in asked), asked
    return words


def test_a_whole_package_is_good(browser: BrowserContext, package: tuple[Path, str]) -> None:
    folder, fingerprint = package
    words = said(browser, folder, fingerprint)
    files = sum(p.is_file() for p in folder.rglob("*")) - 2  # the list of sums and its signature
    assert words == f"CONFORME : {files} fichiers, signature et empreinte vérifiées"


def test_the_order_of_the_two_fields_does_not_matter(browser: BrowserContext, package: tuple[Path, str]) -> None:
    folder, fingerprint = package
    page = browser.new_page()
    page.goto((folder / "verification" / "verifier.html").as_uri())
    page.set_input_files("#folder", folder)
    expect(page.locator("#answer")).to_be_hidden()
    page.fill("#print", "00" * 32)
    page.locator("#print").blur()
    expect(page.locator("#answer")).to_contain_text("NON CONFORME")
    page.fill("#print", fingerprint)
    page.locator("#print").blur()
    expect(page.locator("#answer")).to_contain_text("CONFORME : ")
    page.close()


def first(folder: Path, kind: str) -> str:
    """The file that the changes take."""
    return next((folder / kind).iterdir()).name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (altered, lambda f: [f"modifié : originaux/{first(f, 'originaux')}"]),
        (added, lambda f: ["ajouté : images/99-ajout.jpg"]),
        (removed, lambda f: [f"retiré ou renommé : images/{first(f, 'images')}"]),
        (renamed, lambda f: [f"retiré ou renommé : originaux/{first(f, 'originaux')}", "ajouté : originaux/autre.mp4"]),
        (resigned, lambda f: ["la clé de ce dossier n'est pas celle du bordereau"]),
        (sums_rewritten, lambda f: ["la signature ne correspond pas"]),
    ],
)
def test_every_change_is_named(
    browser: BrowserContext,
    package: tuple[Path, str],
    tmp_path: Path,
    change: Callable[[Path], None],
    words: Callable[[Path], list[str]],
) -> None:
    folder, fingerprint = package
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    expected = words(copy)
    change(copy)
    answer = said(browser, copy, fingerprint)
    assert answer.splitlines()[0] == "NON CONFORME"
    assert sorted(answer.splitlines()[1:]) == sorted(expected)


def test_another_fingerprint_is_refused(browser: BrowserContext, package: tuple[Path, str]) -> None:
    folder, _ = package
    assert "n'est pas celle du bordereau" in said(browser, folder, "00" * 32)
    assert "64 chiffres" in said(browser, folder, "1234")
