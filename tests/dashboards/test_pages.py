# SPDX-License-Identifier: AGPL-3.0-or-later
"""The pages, run by Streamlit's own test harness against a real gate: what a person sees, and what nobody does."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from streamlit.testing.v1 import AppTest

from dashboards.texts import SWATCHES, TEXTS, text
from gate.client import GateClient
from gate.messages import ProcessStatus
from reid.passage import COLOURS, VEHICLE_CLASSES
from tests.gate.town import Town

DASHBOARDS = Path(__file__).resolve().parents[2] / "dashboards"


@pytest.fixture(autouse=True)
def own_main() -> Iterator[None]:
    """Streamlit's harness makes the page the main module; tests that start processes need their own back."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture
def page(town: Town, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The application as the technician sees it."""
    return _page(monkeypatch, lambda: town.client("tech"))


def _page(monkeypatch: pytest.MonkeyPatch, sign_in) -> AppTest:  # type: ignore[no-untyped-def]
    held: list[GateClient] = []

    def client() -> GateClient:
        if not held:
            held.append(sign_in())
        return held[0]

    monkeypatch.setattr("dashboards.session.client", client)
    return AppTest.from_file(str(DASHBOARDS / "app.py"), default_timeout=30)


def _said(app: AppTest) -> str:
    kinds = (app.info, app.warning, app.error, app.caption, app.markdown, app.subheader, app.title, app.success)
    return "\n".join(e.value for kind in kinds for e in kind)


def test_every_sentence_the_pages_ask_for_exists_in_both_languages() -> None:
    asked = set()
    for file in DASHBOARDS.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("t", "text"):
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    asked.add(first.value)
    assert asked, "no sentence found: has the name of the function changed?"
    assert asked <= TEXTS.keys()
    assert all(french and english for french, english in TEXTS.values())
    for name in VEHICLE_CLASSES:
        assert text("class_" + name, "fr")
    for name in get_args(get_type_hints(ProcessStatus)["state"]):
        assert text("process_" + name, "fr")
    for name in COLOURS:
        assert text("colour_" + name, "fr")
        assert name in SWATCHES


def test_unsigned_people_are_sent_to_the_gate_and_see_nothing_else(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    app = _page(monkeypatch, lambda: GateClient("http://testserver", http=town.http())).run()
    assert not app.exception
    assert TEXTS["sign_in_help"][0] in _said(app)
    assert not app.selectbox(key="language").disabled
    assert not app.sidebar.caption
    assert TEXTS["rewind_help"][0] not in _said(app)


def test_without_an_open_requisition_there_is_nothing_to_look_at(page: AppTest) -> None:
    app = page.run()
    assert not app.exception
    assert TEXTS["no_requisition"][0] in _said(app)


def test_search_then_follow(town: Town, page: AppTest) -> None:
    requisition = town.opened()
    town.index(requisition)
    app = page.run()
    assert not app.exception
    app = app.segmented_control(key="tab").set_value("search").run()
    assert not app.exception
    app = app.multiselect[1].set_value(["red"]).run()
    app = next(b for b in app.button if b.label == TEXTS["run_search"][0]).click().run()
    assert not app.exception
    counts = [s.value for s in app.subheader]
    assert any(c.endswith("passages") and not c.startswith("0 ") for c in counts), counts
    follow = next(b for b in app.button if b.label == TEXTS["follow_this"][0])
    app = follow.click().run()
    assert not app.exception
    assert app.session_state["query"] == follow.key.removeprefix("follow-")
    assert TEXTS["candidates_notice"][0] in _said(app)
    journal = [e["act"] for e in town.journal()]
    assert any(a.startswith("search") for a in journal), journal
    assert any(a.startswith("trace") for a in journal), journal


def test_english_is_a_choice(page: AppTest) -> None:
    app = page.run()
    app = app.selectbox(key="language").set_value("English").run()
    assert TEXTS["no_requisition"][1] in _said(app)


def test_a_time_nobody_can_read_is_told(town: Town, page: AppTest) -> None:
    town.opened()
    app = page.run()
    app = app.text_input(key="rewind_time").set_value("hier soir").run()
    assert not app.exception
    assert any(e.value.startswith(TEXTS["time"][0]) for e in app.error)
