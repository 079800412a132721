# SPDX-License-Identifier: AGPL-3.0-or-later
"""The pages of an inquiry in Streamlit's test harness, against a real gate: what one sees, and what nobody does."""

from __future__ import annotations

import ast
import io
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
import pytest
from streamlit.testing.v1 import AppTest

from dashboards import handover
from dashboards.texts import SWATCHES, TEXTS, text
from gate.client import GateClient
from gate.messages import (
    Authority,
    Basis,
    Decision,
    ExportStatus,
    Interval,
    JournalLine,
    ProcessStatus,
    Role,
    State,
)
from reid.passage import COLOURS, VEHICLE_CLASSES
from tests.dashboards.harness import button, said
from tests.gate.town import PDF, START, Town, span

pytestmark = pytest.mark.slow

DASHBOARDS = Path(__file__).resolve().parents[2] / "dashboards"


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
    for kind, begin in ((Role, "role_"), (Basis, "basis_"), (State, "state_"), (Authority, "authority_")):
        for name in get_args(kind):
            assert text(begin + name, "fr")
    for name in get_args(get_type_hints(JournalLine)["phase"]):
        assert text("phase_" + name, "fr")
    for name in ("clip", "passage", "trace"):
        assert text("chosen_" + name, "fr")


def test_unsigned_people_are_sent_to_the_gate_and_see_nothing_else(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    app = _page(monkeypatch, lambda: GateClient("http://testserver", http=town.http())).run()
    assert not app.exception
    assert TEXTS["sign_in_help"][0] in said(app)
    assert not app.selectbox(key="language").disabled
    assert not app.sidebar.caption
    assert TEXTS["rewind_help"][0] not in said(app)


def test_without_an_open_requisition_there_is_nothing_to_look_at(page: AppTest) -> None:
    app = page.run()
    assert not app.exception
    assert TEXTS["no_requisition"][0] in said(app)


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
    assert TEXTS["candidates_notice"][0] in said(app)
    journal = [e["act"] for e in town.journal()]
    assert any(a.startswith("search") for a in journal), journal
    assert any(a.startswith("trace") for a in journal), journal


def test_english_is_a_choice(page: AppTest) -> None:
    app = page.run()
    app = app.selectbox(key="language").set_value("English").run()
    assert TEXTS["no_requisition"][1] in said(app)


def test_a_time_nobody_can_read_is_told(town: Town, page: AppTest) -> None:
    town.opened()
    app = page.run()
    app = app.text_input(key="rewind_time").set_value("hier soir").run()
    assert not app.exception
    assert any(e.value.startswith(TEXTS["time"][0]) for e in app.error)


def test_the_hour_that_occurs_twice_is_shown_and_played_as_the_one_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    town = Town(tmp_path / "var", now=second + timedelta(hours=5))
    town.staff()
    night = Interval(second - timedelta(hours=1, minutes=30), second + timedelta(minutes=30))
    town.opened(intervals=(night,), expires_at=second + timedelta(days=20))
    town.record(second - timedelta(seconds=30), seconds=60)
    town.record(second - timedelta(minutes=30, seconds=10), seconds=60)
    app = _page(monkeypatch, lambda: town.client("tech")).run()
    app.session_state["rewind_to"] = ("gare", second)
    app = app.run()
    assert app.text_input(key="rewind_time").value == "25/10/2026 02:30:00 (UTC+1)"
    assert "start=2026-10-25T01%3A30%3A00" in _video(app)
    app = app.text_input(key="rewind_time").set_value("25/10/2026 02:59:50 (UTC+2)").run()
    app = app.button(key="step10").click().run()
    assert app.text_input(key="rewind_time").value == "25/10/2026 02:00:00 (UTC+1)"
    assert "start=2026-10-25T01%3A00%3A00" in _video(app)
    app = app.text_input(key="rewind_time").set_value("25/10/2026 02:30").run()
    assert [e.value for e in app.error] == [
        "25/10/2026 02:30:00 existe deux fois, au passage à l'heure d'hiver : écrivez 25/10/2026 02:30:00 (UTC+2) ou, "
        "la seconde fois, 25/10/2026 02:30:00 (UTC+1)."
    ]
    app = app.button(key="step10").click().run()
    assert not app.exception and app.text_input(key="rewind_time").value == "25/10/2026 02:30"
    app = app.text_input(key="rewind_time").set_value("29/03/2026 02:30").run()
    assert [e.value for e in app.error] == [
        "29/03/2026 02:30:00 n'existe pas, au passage à l'heure d'été : écrivez 29/03/2026 01:30:00 ou "
        "29/03/2026 03:30:00."
    ]


def _video(app: AppTest) -> str:
    return next(h.proto.body for h in app.get("html") if "<video" in h.proto.body)


def test_the_place_and_time_stay_while_another_tab_is_looked_at(town: Town, page: AppTest) -> None:
    town.index(town.opened())
    app = page.run()
    app = app.selectbox(key="rewind_camera").set_value("gare").run()
    app = app.text_input(key="rewind_time").set_value("20/03/2026 15:00:20").run()
    for tab in ("search", "rewind"):
        app.session_state["tab"] = tab
        app = app.run()
    assert not app.exception and not app.error, said(app)
    assert app.text_input(key="rewind_time").value == "20/03/2026 15:00:20"
    assert app.selectbox(key="rewind_camera").value == "gare"


def test_a_widened_requisition_is_looked_at_as_widened_without_reloading(
    town: Town, page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    class TownTime(datetime):
        """By the clock on the wall the grants of this town have long expired."""

        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return town.clock()

    monkeypatch.setattr("dashboards.investigation.datetime", TownTime)
    requisition = town.opened()
    app = page.run()
    assert app.selectbox(key="rewind_camera").options == ["Mairie", "Gare"]
    town.client("chef").amend(requisition, reference="bis", document=PDF, cameras=("pont",))
    for _ in range(2):
        app = app.run()
        assert app.selectbox(key="rewind_camera").options == ["Mairie", "Gare", "Pont"]
    assert [e["phase"] for e in town.journal() if e["act"] == "grant"] == ["intent", "outcome"] * 2


def test_a_scope_that_begins_between_two_seconds_is_played_whole(town: Town, page: AppTest) -> None:
    odd = Interval(START + timedelta(seconds=10, microseconds=400_000), START + timedelta(seconds=40, microseconds=7))
    town.opened(intervals=(odd,))
    app = page.run()
    assert not app.exception and not app.error, [e.value for e in app.error]
    video = _video(app)
    assert odd.start.isoformat().split("+")[0].replace(":", "%3A") in video
    app = app.text_input(key="rewind_time").set_value("20/03/2026 16:00:00").run()
    assert any(e.value.startswith(TEXTS["time_outside"][0].split("{")[0]) for e in app.error)


def test_where_nothing_was_recorded_a_sentence_stands_in_place_of_a_black_player(town: Town, page: AppTest) -> None:
    town.opened(intervals=(span(10, 40), span(600, 660)))
    app = page.run()
    assert _video(app)
    app = app.text_input(key="rewind_time").set_value("20/03/2026 15:10:05").run()
    assert not app.exception and "Aucun enregistrement de Mairie à ce moment." in said(app)
    assert not any("<video" in h.proto.body for h in app.get("html"))


def test_a_package_of_nothing_is_refused_when_it_is_asked_for(town: Town, page: AppTest) -> None:
    requisition = town.opened(intervals=(span(10, 40), span(600, 660)))
    app = page.run()
    app.session_state["chosen"] = {requisition: [handover.Chosen("clip", "gare", span(600, 660))]}
    app = app.segmented_control(key="tab").set_value("handover").run()
    app = _field(app, "purpose_again").set_value("remise à l'enquêteur").run()
    app = button(app, "prepare").click().run()
    assert [e.value for e in app.error] == ["Rien de ce qui est demandé n'est enregistré en entier."]
    assert not app.session_state["tickets"][requisition]


def test_a_download_that_broke_off_says_in_french_why_and_begins_again_only_where_that_helps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setattr(handover.st, "error", told.append)
    monkeypatch.setattr(handover.st, "write", lambda _: None)
    monkeypatch.setattr(handover.st, "html", lambda _: None)
    broken = ExportStatus(id="t", state="broken", fingerprint="")
    for message in ("", "nothing of what was asked for is recorded and whole inside the requisition"):
        status = msgspec.structs.replace(broken, message=message)
        monkeypatch.setattr(GateClient, "export_status", lambda *_, status=status: status)
        handover._progress(GateClient(), "g", "t")
    off = TEXTS["export_broken"][0]
    assert told == [f"{off} Recommencez.", f"{off} Rien de ce qui est demandé n'est enregistré en entier."]


def test_what_was_joined_becomes_a_package(town: Town, page: AppTest) -> None:
    requisition = town.opened()
    town.index(requisition)
    app = page.run()
    app = button(app, "join_clip").click().run()
    app = app.segmented_control(key="tab").set_value("search").run()
    app = button(app, "run_search").click().run()
    app = button(app, "join_this").click().run()
    app = app.segmented_control(key="tab").set_value("handover").run()
    assert not app.exception
    assert sum(b.label == TEXTS["drop"][0] for b in app.button) == 2
    app = button(app, "prepare").click().run()
    assert TEXTS["purpose_missing"][0] in said(app)
    field = next(f for f in app.text_input if f.label == TEXTS["purpose_again"][0])
    app = field.set_value("remise à l'enquêteur").run()
    # What is typed stays while one looks at something else.
    app = app.segmented_control(key="tab").set_value("search").run()
    app = app.segmented_control(key="tab").set_value("handover").run()
    typed = {f.label: f.value for f in app.text_input}
    assert typed[TEXTS["purpose_again"][0]] == "remise à l'enquêteur" and "Durand" in typed[TEXTS["recipient"][0]]
    app = button(app, "prepare").click().run()
    assert not app.exception and not app.error, [e.value for e in app.error]
    assert text("export_ready", "fr", seconds=27).split("(")[0] in said(app)
    ((grant, asked),) = app.session_state["tickets"][requisition]
    service = town.http().app.state.service  # type: ignore[attr-defined]
    held = service.packages.tickets._held[asked]
    assert held.plan.grant == grant and held.plan.permit.because.directed_by == "Capitaine Durand, commissariat"
    live = town.gate.sessions.check(_token(app, town))
    name, pieces = service.packages.tickets.download(live, grant, asked)
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as package:
        assert package.testzip() is None and name.startswith("piece-")
        assert any(n.split("/")[1] == "images" for n in package.namelist())


def test_a_search_over_a_part_of_several_intervals_is_refused_and_never_cut_to_the_first(
    town: Town, page: AppTest
) -> None:
    requisition = town.opened(intervals=(span(10, 20), span(40, 50)))
    town.index(requisition)
    app = page.run()
    app = app.segmented_control(key="tab").set_value("search").run()
    app = button(app, "run_search").click().run()
    both = "20/03/2026 15:00:10 → 15:00:20 ; 20/03/2026 15:00:40 → 15:00:50"
    assert not app.error and both in said(app)
    _field(app, "from").set_value("20/03/2026 15:00:15")
    searched = [e["act"] for e in town.journal()].count("search")
    app = button(app, "run_search").click().run()
    assert [e.value for e in app.error] == [text("time_several", "fr", hours=both)]
    assert [e["act"] for e in town.journal()].count("search") == searched
    _field(app, "to").set_value("20/03/2026 15:00:20")
    app = button(app, "run_search").click().run()
    assert not app.error and "20/03/2026 15:00:15 → 15:00:20" in said(app)


def test_every_interval_that_is_allowed_is_added_to_a_package(town: Town, page: AppTest) -> None:
    requisition = town.opened(intervals=(span(10, 20), span(40, 50)))
    app = page.run()
    app = app.segmented_control(key="tab").set_value("handover").run()
    app.multiselect[0].set_value(["mairie"])
    app = button(app, "add_interval").click().run()
    assert not app.exception and not app.error, [e.value for e in app.error]
    added = [(one.camera, one.interval) for one in app.session_state["chosen"][requisition]]
    assert added == [("mairie", span(10, 20)), ("mairie", span(40, 50))]


def _field(app: AppTest, key: str):  # type: ignore[no-untyped-def]
    return next(f for f in app.text_input if f.label == TEXTS[key][0])


def _token(app: AppTest, town: Town) -> str:
    import dashboards.session

    return dashboards.session.client().token or ""


@pytest.mark.parametrize(("basis", "missing"), [("inspection", ("search", "follow", "handover"))])
def test_a_narrow_basis_shows_only_what_it_allows(
    town: Town, page: AppTest, basis: str, missing: tuple[str, ...]
) -> None:
    town.opened(basis=basis, article="", authority=None)
    app = page.run()
    assert not app.exception and not app.error
    shown = app.segmented_control(key="tab").options
    assert not set(shown) & {TEXTS[key][0] for key in missing} and TEXTS["rewind"][0] in shown


def test_a_maintenance_still_is_one_picture_and_no_video(town: Town, page: AppTest) -> None:
    town.opened(basis="maintenance", article="", authority=None, cameras=("gare",))
    app = page.run()
    assert not app.exception and not app.error, [e.value for e in app.error]
    assert app.segmented_control(key="tab").options == [TEXTS["still"][0]]
    shown = " ".join(h.proto.body for h in app.get("html"))
    assert "/still?" in shown and "<video" not in shown


def test_what_was_set_aside_is_shown_and_can_be_taken_back(town: Town, page: AppTest) -> None:
    requisition = town.opened()
    found = town.index(requisition)
    query, other = found[2].id, found[4].id
    tech = town.client("tech")
    grant = tech.grant(requisition, ("trace", "search"))
    tech.decide(grant.id, query, Decision(passage_id=other, verdict="rejected"))
    app = page.run()
    app.session_state["query"], app.session_state["query_of"] = query, requisition
    app = app.segmented_control(key="tab").set_value("follow").run()
    assert not app.exception and TEXTS["set_aside"][0] in said(app)
    app = button(app, "undo").click().run()
    assert not app.exception and TEXTS["set_aside"][0] not in said(app)
    assert tech.trace(grant.id, query).rejected == ()


def test_a_trace_of_one_passage_says_that_no_other_is_likely(town: Town, page: AppTest) -> None:
    requisition = town.opened()
    query = town.index(requisition)[2].id
    tech = town.client("tech")
    assert len(tech.trace(tech.grant(requisition, ("trace",)).id, query).steps) == 1
    app = page.run()
    app.session_state["query"], app.session_state["query_of"] = query, requisition
    assert TEXTS["alone"][0] in said(app.segmented_control(key="tab").set_value("follow").run())
