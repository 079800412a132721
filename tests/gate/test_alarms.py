# SPDX-License-Identifier: AGPL-3.0-or-later
"""Alarms go out by mail, once a day, and witnesses get the journal's head."""

from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from gate.alarms import raise_alarms, standing
from gate.closure import finish_closures
from gate.database import RegisterRow
from gate.mail import Mailer
from gate.messages import OperationsStatus
from gate.proof import proof_is_due, prove
from gate.witness import MailWitness
from infra.ports import free_port
from tests.gate.town import Town, recorded_town

aiosmtpd = pytest.importorskip("aiosmtpd.controller", reason="needs aiosmtpd, a local mail server")


class Inbox:
    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:
        self.mails.append(message_from_bytes(envelope.content))
        return "250 OK"


@pytest.fixture
def server() -> Iterator[tuple[Inbox, Mailer]]:
    """A real mail server on a port of its own."""
    port = free_port()
    inbox = Inbox()
    controller = aiosmtpd.Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield inbox, Mailer("127.0.0.1", port, "passage@mairie.example", starttls=False)
    controller.stop()


def test_alarms(tmp_path: Path, server: tuple[Inbox, Mailer]) -> None:
    inbox, mail = server
    town = Town(tmp_path / "var")
    town.staff()
    to = ("dgs@mairie.example",)
    assert raise_alarms(town.gate, mail, to) == []
    town.person("bientot", "technician", until=town.clock() + timedelta(days=20))
    state = town.folder / "state" / "status.json"
    state.write_bytes(
        msgspec.json.encode(OperationsStatus(cameras={"gare": "silent since 14:00", "pont": "recording"}))
    )
    town.gate.clock_guard.suspect = "the clock jumped"
    greffe = town.client("greffe")
    greffe.open(greffe.draft(**town.words()).id)
    names = raise_alarms(town.gate, mail, to)
    assert {n.split("/")[0] for n in names} == {"person", "camera", "review", "clock"}
    text = inbox.mails[0].get_payload(decode=True).decode()
    assert "la caméra gare n'enregistre pas (silent since 14:00)" in text and "camera gare: silent since 14:00" in text
    assert (
        "alerte(s)" in str(make_header(decode_header(inbox.mails[0]["Subject"])))
        and "Bientot" in text
        and inbox.mails[0]["To"] == to[0]
    )
    assert raise_alarms(town.gate, mail, to) == []
    town.clock.turn(hours=25)
    assert set(raise_alarms(town.gate, mail, to)) == set(names)
    assert len(inbox.mails) == 2
    assert [e for e in town.journal() if e["act"] == "alarm"]


def test_a_proof_that_was_never_made_or_is_late_is_an_alarm_and_restarts_do_not_matter(tmp_path: Path) -> None:
    town = Town(tmp_path / "var")
    assert not proof_is_due(town.gate) and "proof" not in standing(town.gate, town.clock())
    town.clock.turn(hours=23)
    assert not proof_is_due(town.new_gate())
    town.clock.turn(hours=2)
    assert proof_is_due(town.new_gate())
    town.clock.turn(hours=30)
    assert "ever made" in standing(town.gate, town.clock())["proof"].english
    prove(town.gate, None, None)
    assert not proof_is_due(town.gate)
    with town.gate.database.write() as s:
        s.execute(update(RegisterRow).values(kind="proved"))
    assert "proof" not in standing(town.gate, town.clock())
    town.clock.turn(hours=49)
    assert proof_is_due(town.gate) and "the last proof" in standing(town.gate, town.clock())["proof"].english


def test_what_was_seen_long_ago_is_no_sign_that_cameras_record(tmp_path: Path) -> None:
    town = Town(tmp_path / "var")
    state = town.folder / "state" / "status.json"
    state.write_bytes(msgspec.json.encode(OperationsStatus(at=town.clock(), cameras={"gare": "recording"})))
    assert standing(town.gate, town.clock()) == {}
    town.clock.turn(minutes=11)
    assert "not known since" in standing(town.gate, town.clock())["status"].english


def test_a_mail_server_that_is_away_stops_nothing(tmp_path: Path) -> None:
    town = Town(tmp_path / "var")
    town.gate.clock_guard.suspect = "the clock jumped"
    away = Mailer("127.0.0.1", 9, "p@x.example", starttls=False, timeout_s=1)
    assert raise_alarms(town.gate, away, ("a@x.example",)) == []
    assert list(standing(town.gate, town.clock())) == ["clock"]


def test_a_mail_witness_gets_one_head_a_day_and_every_exports(server: tuple[Inbox, Mailer], tmp_path: Path) -> None:
    inbox, mail = server
    town = Town(tmp_path / "var")
    town.gate.journal.witnesses = (MailWitness(mail, "procureur@tj.example"),)
    for _ in range(3):
        town.gate.journal.append("event", "room")
        town.gate.journal.sign_head()
    town.gate.journal.sign_head(of_export=True)
    assert town.gate.journal.wait_for_witnesses(20.0)
    assert len(inbox.mails) == 2
    town.clock.turn(days=1)
    town.gate.journal.sign_head()
    assert town.gate.journal.wait_for_witnesses(20.0)
    assert len(inbox.mails) == 3 and "journal head" in inbox.mails[0]["Subject"]


def test_a_closed_requisition_whose_index_stays_is_an_alarm_until_it_is_erased(tmp_path: Path) -> None:
    town = recorded_town(tmp_path / "var")
    requisition = town.opened()
    town.gate.requisitions.close(requisition, None)
    town.clock.turn(hours=1)
    assert f"erase/{requisition}" not in standing(town.gate, town.clock())
    town.clock.turn(hours=6)
    said = standing(town.gate, town.clock())[f"erase/{requisition}"]
    assert "n'est pas effacé" in said.french and "is not erased" in said.english
    (town.folder / "orders" / f"{requisition}-1.closed").touch()
    assert finish_closures(town.gate, town.store) == [requisition]
    assert f"erase/{requisition}" not in standing(town.gate, town.clock())
