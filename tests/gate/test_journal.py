# SPDX-License-Identifier: AGPL-3.0-or-later
"""The journal: intent before, outcome after, whole under crashes, full disks and several writers."""

import errno
import itertools
import json
import multiprocessing
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gate.errors import JournalUnwritable, OutsideScope
from gate.journal import SIGN_EVERY, START, Because, Journal, entry_hash, head_message

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WHO = Because("Anne Martin", "p1", requisition="r1", purpose="rixe")


@pytest.fixture
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def journal(tmp_path: Path, key: Ed25519PrivateKey) -> Journal:
    return Journal(tmp_path / "journal", key, lambda: NOW)


def entries(journal: Journal) -> list[dict[str, object]]:
    return list(journal.entries())


def test_chain_and_canonical_form(journal: Journal) -> None:
    for n in range(5):
        journal.append("event", "room", WHO, {"présents": ["Zoé"], "n": n, "x": 0.1})
    held = entries(journal)
    assert [e["n"] for e in held] == [1, 2, 3, 4, 5]
    assert held[0]["prev"] == START
    for before, after in itertools.pairwise(held):
        assert after["prev"] == before["hash"]
    assert all(entry_hash(e) == e["hash"] for e in held)


def test_intent_is_on_the_disk_before_the_act(journal: Journal) -> None:
    with journal.act("search", WHO, {"colours": ["red"]}) as outcome:
        assert entries(journal)[-1]["phase"] == "intent"
        outcome.note(total=3)
    last = entries(journal)[-1]
    assert (last["phase"], last["details"]) == ("outcome", {"of": 1, "total": 3})


def test_refusal_and_failure_are_outcomes(journal: Journal) -> None:
    with pytest.raises(OutsideScope), journal.act("search", WHO):
        raise OutsideScope("a second too far")
    assert entries(journal)[-1]["phase"] == "refusal"
    with pytest.raises(ZeroDivisionError), journal.act("search", WHO):
        raise ZeroDivisionError("secret words of a picture")
    assert "secret" not in json.dumps(entries(journal))


def test_no_write_no_act(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.append("event", "service.start")

    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    acted = False
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(JournalUnwritable, match="nothing was done"), journal.act("search", WHO):
        acted = True
    assert not acted
    monkeypatch.undo()
    assert len(entries(journal)) == 1


def test_half_written_entry_is_taken_back(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.append("event", "service.start")
    real = os.write
    monkeypatch.setattr(os, "write", lambda d, data: real(d, data[: len(data) // 2]))
    with pytest.raises(JournalUnwritable):
        journal.append("event", "room")
    monkeypatch.undo()
    journal.append("event", "room")
    assert [e["act"] for e in entries(journal)] == ["service.start", "room"]


def test_torn_tail_of_a_crash_is_cut(journal: Journal, key: Ed25519PrivateKey) -> None:
    for _ in range(3):
        journal.append("event", "room")
    volume = journal.volumes()[0]
    whole = volume.read_bytes()
    for cut in (1, 17, 60):
        volume.write_bytes(whole + whole[:cut])
        again = Journal(journal.folder, key, lambda: NOW)
        assert again.head().count == 3
        assert volume.read_bytes() == whole


def test_other_writers_are_followed(journal: Journal, key: Ed25519PrivateKey) -> None:
    other = Journal(journal.folder, None, lambda: NOW)
    for _ in range(4):
        journal.append("event", "a")
        other.append("event", "b")
    held = entries(journal)
    assert [e["n"] for e in held] == list(range(1, 9))
    assert all(a["hash"] == b["prev"] for a, b in itertools.pairwise(held))


def _slow_clock() -> datetime:
    """Asked in the middle of an entry: whoever can come in between does."""
    time.sleep(0.001)
    return NOW


def _many(folder: str, times: int, together: Barrier) -> None:
    journal = Journal(Path(folder), None, _slow_clock)
    together.wait(60)
    for _ in range(times):
        journal.append("event", "room")


@pytest.mark.slow
def test_processes_write_one_chain(journal: Journal) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(3)
    workers = [context.Process(target=_many, args=(str(journal.folder), 40, together)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    held = entries(journal)
    assert [e["n"] for e in held] == list(range(1, 121))
    assert all(a["hash"] == b["prev"] for a, b in itertools.pairwise(held))


def test_head_is_signed_and_given_to_witnesses(journal: Journal, key: Ed25519PrivateKey) -> None:
    seen: list[dict[str, object]] = []

    class Witness:
        def keep(self, signed_head: dict[str, object], *, of_export: bool) -> None:
            seen.append(signed_head)

    journal.witnesses = (Witness(),)
    journal.append("event", "room")
    signed = journal.sign_head()
    assert journal.wait_for_witnesses(10.0)
    assert signed is not None and seen == [signed]
    message = head_message(signed["count"], signed["hash"], signed["at"])
    key.public_key().verify(bytes.fromhex(signed["signature"]), message)


def test_a_new_year_opens_a_volume_and_old_ones_go_whole(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    now = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
    journal = Journal(tmp_path, key, lambda: now)
    journal.append("event", "room")
    now += timedelta(minutes=2)
    journal.append("event", "room")
    now -= timedelta(minutes=2)  # a clock set back does not write into last year's volume
    journal.append("event", "room")
    assert [p.name for p in journal.volumes()] == ["2026.jsonl", "2027.jsonl"]
    held = entries(journal)
    assert [e["n"] for e in held] == [1, 2, 3] and held[1]["prev"] == held[0]["hash"]
    assert journal.destroy_volumes(datetime(2029, 12, 31, tzinfo=UTC)) == []
    assert journal.destroy_volumes(datetime(2030, 1, 1, tzinfo=UTC)) == ["2026.jsonl"]
    assert Journal(tmp_path, key, lambda: now).append("event", "room").count == 4


def test_a_witness_that_hangs_holds_up_no_entry(journal: Journal) -> None:
    let_go, kept = threading.Event(), []

    class Hanging:
        def keep(self, signed_head: dict[str, object], *, of_export: bool) -> None:
            let_go.wait(20)

    class Prompt:
        def keep(self, signed_head: dict[str, object], *, of_export: bool) -> None:
            kept.append(signed_head)

    journal.witnesses = (Hanging(), Prompt())
    for _ in range(2):
        journal.append("event", "room")
        journal.sign_head()
    assert not journal.wait_for_witnesses(0.2) and len(kept) == 2
    let_go.set()
    assert journal.wait_for_witnesses(10.0)


def test_a_head_that_cannot_be_signed_is_signed_at_the_next_entry(journal: Journal) -> None:
    heads = journal.folder / "heads.jsonl"
    heads.unlink(missing_ok=True)
    heads.mkdir()
    for _ in range(SIGN_EVERY + 1):
        journal.append("event", "room")
    heads.rmdir()
    journal.append("event", "room")
    assert json.loads(heads.read_text())["count"] == SIGN_EVERY + 2


def test_what_was_done_and_could_not_be_recorded_is_not_called_undone(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(JournalUnwritable, match="look at its state") as told, journal.act("requisition.close", WHO):
        monkeypatch.setattr("gate.journal.os.fsync", _full)
    assert "nothing was done" not in str(told.value)


def _full(_descriptor: int) -> None:
    raise OSError(28, "No space left on device")
