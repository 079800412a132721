# SPDX-License-Identifier: AGPL-3.0-or-later
"""The pages, run by Streamlit's own test harness against a real gate: what a person sees, and what nobody does."""

from __future__ import annotations

import ast
import io
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
import pytest
from streamlit.testing.v1 import AppTest

from connectors.errors import CameraState
from connectors.memory_broker import MemoryBroker
from dashboards import handover
from dashboards.faults import _FRENCH, in_french
from dashboards.texts import SWATCHES, TEXTS, text
from flows.broker_room import BrokerRoom
from gate.client import GateClient
from gate.database import RegisterRow
from gate.keeper import JOURNAL, KEYS, PICTURES, RECORDINGS, STORE
from gate.messages import (
    Authority,
    Basis,
    Decision,
    ExportStatus,
    Interval,
    JournalLine,
    OperationsStatus,
    ProcessStatus,
    RegisterLine,
    RequisitionDraft,
    Role,
    State,
)
from gate.proof import prove
from reid.passage import COLOURS, VEHICLE_CLASSES
from tests.gate.town import PDF, START, Town, live_broker

pytestmark = pytest.mark.slow

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
    assert not app.exception and not app.error, _said(app)
    assert app.text_input(key="rewind_time").value == "20/03/2026 15:00:20"
    assert app.selectbox(key="rewind_camera").value == "gare"


def _button(app: AppTest, key: str, **values: object):  # type: ignore[no-untyped-def]
    label = text(key, "fr", **values)
    return next(b for b in app.button if b.label == label)


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
    town.opened(intervals=(_span(10, 40), _span(600, 660)))
    app = page.run()
    assert _video(app)
    app = app.text_input(key="rewind_time").set_value("20/03/2026 15:10:05").run()
    assert not app.exception and "Aucun enregistrement de Mairie à ce moment." in _said(app)
    assert not any("<video" in h.proto.body for h in app.get("html"))


def test_a_package_of_nothing_is_refused_when_it_is_asked_for(town: Town, page: AppTest) -> None:
    requisition = town.opened(intervals=(_span(10, 40), _span(600, 660)))
    app = page.run()
    app.session_state["chosen"] = {requisition: [handover.Chosen("clip", "gare", _span(600, 660))]}
    app = app.segmented_control(key="tab").set_value("handover").run()
    app = _field(app, "purpose_again").set_value("remise à l'enquêteur").run()
    app = _button(app, "prepare").click().run()
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
    app = _button(app, "join_clip").click().run()
    app = app.segmented_control(key="tab").set_value("search").run()
    app = _button(app, "run_search").click().run()
    app = _button(app, "join_this").click().run()
    app = app.segmented_control(key="tab").set_value("handover").run()
    assert not app.exception
    assert sum(b.label == TEXTS["drop"][0] for b in app.button) == 2
    app = _button(app, "prepare").click().run()
    assert TEXTS["purpose_missing"][0] in _said(app)
    field = next(f for f in app.text_input if f.label == TEXTS["purpose_again"][0])
    app = field.set_value("remise à l'enquêteur").run()
    # What is typed stays while one looks at something else.
    app = app.segmented_control(key="tab").set_value("search").run()
    app = app.segmented_control(key="tab").set_value("handover").run()
    typed = {f.label: f.value for f in app.text_input}
    assert typed[TEXTS["purpose_again"][0]] == "remise à l'enquêteur" and "Durand" in typed[TEXTS["recipient"][0]]
    app = _button(app, "prepare").click().run()
    assert not app.exception and not app.error, [e.value for e in app.error]
    assert text("export_ready", "fr", seconds=27).split("(")[0] in _said(app)
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
    requisition = town.opened(intervals=(_span(10, 20), _span(40, 50)))
    town.index(requisition)
    app = page.run()
    app = app.segmented_control(key="tab").set_value("search").run()
    app = _button(app, "run_search").click().run()
    both = "20/03/2026 15:00:10 → 15:00:20 ; 20/03/2026 15:00:40 → 15:00:50"
    assert not app.error and both in _said(app)
    _field(app, "from").set_value("20/03/2026 15:00:15")
    searched = [e["act"] for e in town.journal()].count("search")
    app = _button(app, "run_search").click().run()
    assert [e.value for e in app.error] == [text("time_several", "fr", hours=both)]
    assert [e["act"] for e in town.journal()].count("search") == searched
    _field(app, "to").set_value("20/03/2026 15:00:20")
    app = _button(app, "run_search").click().run()
    assert not app.error and "20/03/2026 15:00:15 → 15:00:20" in _said(app)


def test_every_interval_that_is_allowed_is_added_to_a_package(town: Town, page: AppTest) -> None:
    requisition = town.opened(intervals=(_span(10, 20), _span(40, 50)))
    app = page.run()
    app = app.segmented_control(key="tab").set_value("handover").run()
    app.multiselect[0].set_value(["mairie"])
    app = _button(app, "add_interval").click().run()
    assert not app.exception and not app.error, [e.value for e in app.error]
    added = [(one.camera, one.interval) for one in app.session_state["chosen"][requisition]]
    assert added == [("mairie", _span(10, 20)), ("mairie", _span(40, 50))]


def _field(app: AppTest, key: str):  # type: ignore[no-untyped-def]
    return next(f for f in app.text_input if f.label == TEXTS[key][0])


def _span(start: float, end: float) -> Interval:
    return Interval(START + timedelta(seconds=start), START + timedelta(seconds=end))


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
    assert not app.exception and TEXTS["set_aside"][0] in _said(app)
    app = _button(app, "undo").click().run()
    assert not app.exception and TEXTS["set_aside"][0] not in _said(app)
    assert tech.trace(grant.id, query).rejected == ()


def test_a_trace_of_one_passage_says_that_no_other_is_likely(town: Town, page: AppTest) -> None:
    requisition = town.opened()
    query = town.index(requisition)[2].id
    tech = town.client("tech")
    assert len(tech.trace(tech.grant(requisition, ("trace",)).id, query).steps) == 1
    app = page.run()
    app.session_state["query"], app.session_state["query_of"] = query, requisition
    assert TEXTS["alone"][0] in _said(app.segmented_control(key="tab").set_value("follow").run())


def _alone(monkeypatch: pytest.MonkeyPatch, town: Town, login: str, script: Callable[[], None]) -> AppTest:
    """One page without the others, as somebody sees it."""
    held = town.client(login)
    monkeypatch.setattr("dashboards.session.client", lambda: held)
    return AppTest.from_function(script, default_timeout=30).run()


def _requisitions(monkeypatch: pytest.MonkeyPatch, town: Town, login: str) -> AppTest:
    def script() -> None:
        from dashboards import requisitions, session, times

        gate = session.client()
        person = gate.whoami()
        times.use_zone_of(person)
        requisitions.page(gate, person, gate.cameras())

    return _alone(monkeypatch, town, login, script)


def test_a_draft_is_closed_on_its_page(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = town.client("greffe").draft(**town.words(document=None))
    app = _requisitions(monkeypatch, town, "greffe")
    app = app.checkbox(key=f"sure-{draft.id}").check().run()
    app = app.button(key=f"close-{draft.id}").click().run()
    assert not app.exception and not app.error
    assert town.gate.requisitions.info(draft.id).state == "closed"
    assert text("register_ended", "fr", n=1) in [e.label for e in app.expander]


def test_a_requisition_is_prolonged_on_its_page(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    requisition = town.opened()
    ends = (START + timedelta(days=20)).date()
    app = _requisitions(monkeypatch, town, "chef")
    field = next(d for d in app.date_input if d.label == TEXTS["later_expiry"][0])
    assert field.value is None and field.min == ends
    field.set_value(ends + timedelta(days=30))
    next(f for f in app.text_input if f.label == TEXTS["amend_reference"][0]).set_value("PV bis")
    app.file_uploader[-1].set_value(("scan.pdf", PDF, "application/pdf"))
    app = _button(app, "amend").click().run()
    assert not app.exception and not app.error, _said(app)
    prolonged = town.gate.requisitions.info(requisition)
    assert f"{prolonged.expires_at:%Y-%m-%d %H:%M}" == "2026-05-09 21:59"  # midnight but a minute, in Paris
    assert prolonged.amendments == 1 and prolonged.cameras == ("gare", "mairie")


def test_the_yearly_report_as_a_page(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.opened()

    def script() -> None:
        from dashboards import bilan, session

        gate = session.client()
        bilan.page(gate, gate.cameras())

    app = _alone(monkeypatch, town, "audit", script)
    app = app.selectbox(key="bilan_year").set_value(START.year).run()
    assert not app.exception
    assert [m.value for m in app.metric if m.label == TEXTS["requests"][0]] == ["1"]
    assert "violences en réunion" in app.dataframe[0].value.to_string()
    assert not any(name in repr(app) for name in ("Durand", "Greffe", "Chef"))


def test_the_register_stands_at_the_end_of_the_yearly_report(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.opened()
    prove(town.gate, town.store, live_broker())
    failed = [KEYS, RECORDINGS, PICTURES, STORE, JOURNAL, "mairie"]
    details = {"before": START.isoformat(), "cameras": [], "keys": [], "journal": [], "bytes": {}, "failed": failed}
    with town.gate.database.write() as s:
        s.add(RegisterRow(at=town.clock(), kind="destroyed", details=details))

    def script() -> None:
        from dashboards import bilan, session

        gate = session.client()
        bilan.page(gate, gate.cameras())

    app = _alone(monkeypatch, town, "admin", script)
    app = app.selectbox(key="bilan_year").set_value(START.year).run()
    before = len(app.dataframe)
    app = app.toggle(key="register_show").set_value(True).run()
    assert not app.exception
    held, done = (d.value.to_string() for d in app.dataframe[before:])
    assert "Mairie" in held and "mairie" not in held and "2026-03-20" in held
    assert TEXTS["register_proved"][0] in done and TEXTS["register_of_before"][0] in done
    kept = "les clés, les enregistrements, les images de véhicules, l'index, le journal, Mairie"
    assert f"{TEXTS['register_of_failed'][0]} {kept}" in done
    for kind in get_args(get_type_hints(RegisterLine)["kind"]):
        assert text("register_" + kind, "fr")


def test_the_journal_is_read_in_french(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    requisition = town.opened()

    def script() -> None:
        from dashboards import journal, session

        journal.page(session.client())

    app = _alone(monkeypatch, town, "audit", script)
    assert not app.exception
    assert TEXTS["act_requisition.open"][0] in app.dataframe[0].value.to_string()
    app = app.selectbox(key="journal_of").set_value(requisition).run()
    said = app.dataframe[0].value.to_string()
    assert TEXTS["act_requisition.open"][0] in said and TEXTS["act_sign_in"][0] not in said


def test_older_entries_of_the_journal_are_reached(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(130):
        town.gate.journal.append("event", "room", details={"reason": f"visite {n}"})

    def script() -> None:
        from dashboards import journal, session

        journal.page(session.client())

    app = _alone(monkeypatch, town, "audit", script)
    count = len(town.journal())
    assert list(app.dataframe[0].value["n°"]) == list(range(count, count - 100, -1))
    app = _button(app, "journal_older").click().run()
    assert list(app.dataframe[0].value["n°"]) == list(range(count - 100, 0, -1))
    assert _button(app, "journal_older").disabled
    app = _button(app, "journal_newest").click().run()
    assert app.dataframe[0].value["n°"][0] == count


def test_operations_speak_the_page_s_language(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    status = OperationsStatus(
        at=START,
        processes=(
            ProcessStatus(name="capture", state="running", lag_s=0.4),
            ProcessStatus(name="record", state="running", lag_s=12.34),
            ProcessStatus(name="gate", state="running", detail="12 requests, 1 refused, 3.4 MB sent"),
            ProcessStatus(name="index-1", state="starting", detail="killed by signal 9: no room"),
        ),
        cameras={"mairie": "recording", "gare": "no such file", "pont": "strange"},
        camera_reasons={"gare": "gare: /video/gare.mp4 does not exist"},
    )
    monkeypatch.setattr(GateClient, "operations", lambda self: status)

    def script() -> None:
        from dashboards import operations, session

        gate = session.client()
        operations.page(gate, gate.cameras())

    app = _alone(monkeypatch, town, "audit", script)
    assert not app.exception
    cameras, processes = (d.value.to_string() for d in app.dataframe)
    assert TEXTS["camera_recording"][0] in cameras and "fichier introuvable" in cameras and "strange" in cameras
    assert "Mairie" in cameras and "None" not in processes + cameras
    assert [m.value for m in app.metric if m.label == TEXTS["lag"][0]] == ["12.3 s"]
    assert list(app.dataframe[1].value[TEXTS["lag"][0]]) == ["0.4 s", "12.3 s", "", ""]
    told = list(app.dataframe[1].value[TEXTS["detail"][0]])
    assert told[2:] == ["12 demandes, 1 refusées, 3.4 Mo envoyés", "tué par le signal 9: no room"]
    assert "/video/gare.mp4" in cameras


def test_whatever_is_wrong_with_a_camera_is_said_in_french() -> None:
    assert {f"camera_{state.replace(' ', '_')}" for state in get_args(CameraState)} <= TEXTS.keys()


def test_what_a_replay_waits_for_is_told_in_french() -> None:
    told: list[str] = []
    broker = MemoryBroker()
    broker.free = 2**29
    assert not BrokerRoom(broker, told.append)()
    assert in_french(told[0]) == "attend de la place sur le disque de Kafka (0.5 Gio libres)."
    away = "Kafka at 127.0.0.1:19092 does not acknowledge (KafkaTimeoutError)"
    assert in_french(away) == "attend Kafka, qui n'accepte rien : voyez « Exploitation »."


def test_what_has_french_words_is_something_that_the_programs_say() -> None:
    root = DASHBOARDS.parent
    files = [p for room in ("gate", "connectors", "flows", "infra") for p in (root / room).glob("*.py")]
    source = re.sub(r'"\s*\n\s*f?"', "", "\n".join(p.read_text(encoding="utf-8") for p in files))
    for pattern, _ in _FRENCH:
        longest = max(re.split(r"\(.*?\)|\.\*|\\[Sd]\+|\\", pattern), key=len)
        assert longest in source, pattern


def test_securing_is_told_in_french() -> None:
    assert in_french("securing the evidence: 12 of 60 s") == "mise en sûreté des images : 12 s sur 60."
    again = in_french("securing the evidence failed (the disk is full); it is tried again")
    assert again == "la mise en sûreté des images a échoué ; elle est recommencée."


def test_what_is_wrong_with_a_draft_is_told_in_french(town: Town) -> None:
    draft = RequisitionDraft(reference=" ", cameras=("nulle",), intervals=(), purpose="", expires_at=START)
    told = town.gate.requisitions.faults(draft, town.clock())
    assert len(told) >= 8
    untold = [words for words in told if in_french(words) is None]
    assert untold == [
        "article '': one of 60-1, 77-1-1, 99-3",
        "authority: prosecutor, investigating_judge, opj or apj_under_opj",
    ]
    late = msgspec.structs.replace(
        draft,
        reference="R",
        cameras=("mairie",),
        purpose="p",
        intervals=(Interval(town.clock(), town.clock() + timedelta(hours=1)),),
        expires_at=town.clock() + timedelta(days=1),
        basis="inspection",
        authority_name="CNIL",
    )
    assert [in_french(w) for w in town.gate.requisitions.faults(late, town.clock())] == [
        "Heures : l'intervalle va au-delà de maintenant."
    ]
