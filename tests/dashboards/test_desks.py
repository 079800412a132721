# SPDX-License-Identifier: AGPL-3.0-or-later
"""The pages of registrars, auditors and operations, and that whatever a program says is said in French."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
import pytest
from streamlit.testing.v1 import AppTest

from connectors.errors import CameraState
from connectors.memory_broker import MemoryBroker
from dashboards.faults import _FRENCH, in_french
from dashboards.texts import TEXTS, text
from flows.broker_room import BrokerRoom
from gate.client import GateClient
from gate.database import RegisterRow
from gate.keeper import JOURNAL, KEYS, PICTURES, RECORDINGS, STORE
from gate.messages import (
    Interval,
    OperationsStatus,
    ProcessStatus,
    RegisterLine,
    RequisitionDraft,
)
from gate.proof import prove
from tests.dashboards.harness import button, said
from tests.gate.town import PDF, START, Town, live_broker

pytestmark = pytest.mark.slow


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
    app = button(app, "amend").click().run()
    assert not app.exception and not app.error, said(app)
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
    app = button(app, "journal_older").click().run()
    assert list(app.dataframe[0].value["n°"]) == list(range(count - 100, 0, -1))
    assert button(app, "journal_older").disabled
    app = button(app, "journal_newest").click().run()
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
    root = Path(__file__).resolve().parents[2]
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
