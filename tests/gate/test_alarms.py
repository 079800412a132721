# SPDX-License-Identifier: AGPL-3.0-or-later
"""Alarms go out by mail, once a day, and witnesses get the journal's head."""

from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gate.alarms import raise_alarms, standing
from gate.mail import Mailer
from gate.messages import OperationsStatus
from gate.witness import MailWitness
from tests.gate.town import Town

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
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
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
    assert "silent since 14:00" in text and "Bientot" in text and inbox.mails[0]["To"] == to[0]
    assert raise_alarms(town.gate, mail, to) == []
    town.clock.turn(hours=25)
    assert set(raise_alarms(town.gate, mail, to)) == set(names)
    assert len(inbox.mails) == 2
    assert [e for e in town.journal() if e["act"] == "alarm"]


def test_a_mail_server_that_is_away_stops_nothing(tmp_path: Path) -> None:
    town = Town(tmp_path / "var")
    town.gate.clock_guard.suspect = "the clock jumped"
    away = Mailer("127.0.0.1", 9, "p@x.example", starttls=False, timeout_s=1)
    assert raise_alarms(town.gate, away, ("a@x.example",)) == []
    assert list(standing(town.gate, town.clock())) == ["clock"]


def test_a_mail_witness_gets_one_head_a_day(server: tuple[Inbox, Mailer], tmp_path: Path) -> None:
    inbox, mail = server
    town = Town(tmp_path / "var")
    town.gate.journal.witnesses = (MailWitness(mail, "procureur@tj.example"),)
    for _ in range(3):
        town.gate.journal.append("event", "room")
        town.gate.journal.sign_head()
    town.clock.turn(days=1)
    town.gate.journal.sign_head()
    assert len(inbox.mails) == 2 and "journal head" in inbox.mails[0]["Subject"]
