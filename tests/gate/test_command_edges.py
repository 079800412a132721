# SPDX-License-Identifier: AGPL-3.0-or-later
"""Commands at their edges: nothing is destroyed unnamed, nothing clear is left readable, nobody stays on duty."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

import gate.command_line
import gate.commands
from gate.client import GateClient, keep_session
from gate.command_line import write_out
from gate.errors import Unavailable
from tests.gate.test_exhibits import span
from tests.gate.town import PASSWORD, Town

Run = Callable[..., Result]


@pytest.fixture
def run(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`passage` with these words, in a session that the command keeps."""
    monkeypatch.setenv("PASSAGE_SESSION", str(tmp_path / "session"))
    monkeypatch.setenv("PASSAGE_GATE_URL", town.url)
    monkeypatch.setattr(gate.command_line, "GateClient", lambda url, token: GateClient(url, token, http=town.http()))
    return lambda *words: CliRunner().invoke(gate.commands.app, list(words))


@pytest.mark.parametrize("words", [[], [""]], ids=["no name", "an empty one, as of a variable that is not set"])
def test_a_requisition_is_never_closed_unnamed(town: Town, run: Run, tmp_path: Path, words: list[str]) -> None:
    requisition = town.opened()
    keep_session(town.client("chef").token or "", tmp_path / "session")
    assert run("requisition", "close", *words).exit_code != 0
    assert town.gate.requisitions.info(requisition).state == "open"
    assert (town.gate.folders.exhibits / requisition).exists()
    assert run("requisition", "close", requisition).exit_code == 0


def test_signing_in_ends_the_session_of_who_sat_there_before(
    town: Town, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_session(town.client("greffe").token or "", tmp_path / "session")
    town.clock.turn(seconds=31)
    monkeypatch.setenv("PASSAGE_PASSWORD", PASSWORD)
    assert run("sign-in", "chef", "--code", town.code("chef")).exit_code == 0
    assert not town.gate.sessions.on_duty("open", apart_from=town.people["chef"])


def test_what_is_written_over_an_open_file_is_closed_to_others(tmp_path: Path) -> None:
    out = tmp_path / "clip.mp4"
    out.touch(0o644)
    write_out(b"video", out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_of_an_export_that_breaks_off_nothing_stays(town: Town, tmp_path: Path) -> None:
    requisition = town.opened()
    tech = town.client("tech")
    grant = tech.grant(requisition, ("export",)).id

    class Broken(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            def pieces() -> Iterator[bytes]:
                yield b"PK clear video"
                raise httpx.ReadError("gone")

            return httpx.Response(200, stream=_Stream(pieces()))

    class _Stream(httpx.SyncByteStream):
        def __init__(self, pieces: Iterator[bytes]) -> None:
            self._pieces = pieces

        def __iter__(self) -> Iterator[bytes]:
            yield from self._pieces

    broken = GateClient(town.url, tech.token, http=httpx.Client(transport=Broken(), base_url=town.url))
    with pytest.raises(Unavailable, match="broke off"):
        broken.export(grant, tmp_path / "x.zip", purpose="p", recipient="r", clips=[("mairie", span(12, 14))])
    assert list(tmp_path.glob("x.zip*")) == []
