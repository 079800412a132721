# SPDX-License-Identifier: AGPL-3.0-or-later
"""The journal's verifier finds every kind of tampering and names the first bad entry."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gate.errors import Invalid
from gate.journal import Head, Journal, canonical, entry_hash, signed_head
from gate.journal_check import Anchor, Verdict, read_anchor, verify
from gate.witness import FolderWitness

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = Ed25519PrivateKey.generate()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty entries over two years, signed at 10, 15 and 20; a witness has the heads too."""
    (tmp_path / "witness").mkdir()
    year = 2025
    journal = Journal(
        tmp_path / "journal",
        KEY,
        lambda: NOW.replace(year=year),
        witnesses=(FolderWitness(tmp_path / "witness"),),
    )
    for n in range(1, 21):
        year = 2025 if n <= 8 else 2026
        journal.append("event", "room", details={"n": n})
        if n in (10, 15, 20):
            journal.sign_head()
    assert journal.wait_for_witnesses(10.0)
    return tmp_path / "journal"


def check(folder: Path, *anchors: Anchor) -> Verdict:
    return verify(folder, KEY.public_key(), anchors, NOW)


def lines(folder: Path, volume: str = "2026.jsonl") -> list[bytes]:
    return (folder / volume).read_bytes().splitlines()


def write(folder: Path, entries: list[bytes], volume: str = "2026.jsonl") -> None:
    (folder / volume).write_bytes(b"".join(line + b"\n" for line in entries))


def rewritten(entries: list[bytes], start: int) -> list[bytes]:
    """Hashes made right again after a change, as one who holds no key can do."""
    out = entries[:start]
    prev = json.loads(entries[start - 1])["hash"] if start else None
    for line in entries[start:]:
        entry = json.loads(line)
        entry["prev"] = prev or entry["prev"]
        entry["hash"] = prev = entry_hash(entry)
        out.append(canonical(entry))
    return out


def test_a_good_journal_and_its_window(folder: Path) -> None:
    verdict = check(folder)
    assert verdict.good and verdict.entries == 20 and verdict.heads_signed == 3
    assert verdict.volumes == ("2025.jsonl", "2026.jsonl")
    assert "without an anchor" in verdict.window and NOW.isoformat() in verdict.window
    anchors = read_anchor(str(folder.parent / "witness" / "passage-heads.jsonl"))
    assert [a.count for a in anchors] == [10, 15, 20]
    assert check(folder, *anchors).window.startswith("none")
    assert "5 after it" in check(folder, anchors[1]).window


def edited(folder: Path) -> None:
    entries = lines(folder)
    entries[4] = entries[4].replace(b'"details":{"n":13}', b'"details":{"n":99}')
    write(folder, entries)


def reordered(folder: Path) -> None:
    entries = lines(folder)
    entries[3], entries[4] = entries[4], entries[3]
    write(folder, entries)


def taken_out(folder: Path) -> None:
    write(folder, lines(folder)[:3] + lines(folder)[4:])


def put_in(folder: Path) -> None:
    entries = lines(folder)
    write(folder, [*entries[:5], entries[4], *entries[5:]])


def cut_short(folder: Path) -> None:
    write(folder, lines(folder)[:-2])


def chained_anew(folder: Path) -> None:
    entries = lines(folder)
    entry = json.loads(entries[4])
    entry["details"] = {"n": "another"}
    entries[4] = canonical(entry)
    write(folder, rewritten(entries, 4))


def volumes_swapped(folder: Path) -> None:
    (folder / "2025.jsonl").rename(folder / "x")
    (folder / "2026.jsonl").rename(folder / "2025.jsonl")
    (folder / "x").rename(folder / "2026.jsonl")


def first_volume_gone(folder: Path) -> None:
    (folder / "2025.jsonl").unlink()


def volume_gone(folder: Path) -> None:
    (folder / "2026.jsonl").unlink()


def rubbish(folder: Path) -> None:
    entries = lines(folder)
    entries[2] = b"\xff\xfe{]"
    write(folder, entries)


def head_forged(folder: Path) -> None:
    signed = signed_head(Ed25519PrivateKey.generate(), Head(20, json.loads(lines(folder)[-1])["hash"]), NOW)
    with (folder / "heads.jsonl").open("ab") as file:
        file.write(canonical(signed) + b"\n")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (edited, "entry 13 was edited"),
        (reordered, "line 4"),
        (taken_out, "missing or out of order"),
        (put_in, "missing or out of order"),
        (cut_short, "cut short"),
        (chained_anew, "written anew"),
        (volumes_swapped, "line 1"),
        (volume_gone, "cut short"),
        (first_volume_gone, "2025 must still be kept"),
        (rubbish, "cannot be read"),
        (head_forged, "not this key's"),
    ],
)
def test_tampering(folder: Path, change: Callable[[Path], None], words: str) -> None:
    change(folder)
    verdict = check(folder)
    assert not verdict.good
    assert words in verdict.faults[0], verdict.faults


def test_a_rollback_shows_by_an_anchor_and_only_by_one(folder: Path) -> None:
    """The whole folder goes back to an older copy of itself, heads and all."""
    old = folder.parent / "old"
    shutil.copytree(folder, old)
    write(old, lines(old)[:2])
    (old / "heads.jsonl").write_bytes(lines(folder, "heads.jsonl")[0] + b"\n")
    assert check(old).good
    anchors = read_anchor(str(folder.parent / "witness" / "passage-heads.jsonl"))
    verdict = check(old, *anchors)
    assert not verdict.good and "rolled back" in verdict.faults[0]


def test_written_anew_from_the_beginning_with_the_key_shows_by_an_anchor(folder: Path) -> None:
    anchors = read_anchor(str(folder.parent / "witness" / "passage-heads.jsonl"))
    other = Journal(folder.parent / "other", KEY, lambda: NOW)
    for _ in range(20):
        other.append("event", "room")
    other.sign_head()
    assert check(folder.parent / "other").good
    assert "written anew" in check(folder.parent / "other", *anchors).faults[0]


def test_destroyed_years_are_no_fault_and_years_that_must_be_kept_are(folder: Path) -> None:
    anchors = read_anchor(str(folder.parent / "witness" / "passage-heads.jsonl"))
    (folder / "2025.jsonl").unlink()
    later = datetime(2029, 1, 1, tzinfo=UTC)
    verdict = verify(folder, KEY.public_key(), anchors, later)
    assert verdict.good and verdict.entries == 12 and verdict.anchors == 3
    verdict = verify(folder, KEY.public_key(), anchors, later - timedelta(days=1))
    assert verdict.faults == ("begins with entry 9: what was before it is missing, and 2025 must still be kept",)


def test_anchors_of_destroyed_years_are_passed_over_and_one_at_least_must_be_left(folder: Path) -> None:
    (folder / "2025.jsonl").unlink()
    later = datetime(2029, 1, 1, tzinfo=UTC)
    old, new = Anchor(3, "0" * 64), Anchor(20, json.loads(lines(folder)[-1])["hash"])
    assert verify(folder, KEY.public_key(), (old, new), later).good
    assert "every anchor is older" in verify(folder, KEY.public_key(), (old,), later).faults[0]


def test_anchors_as_printed(folder: Path) -> None:
    last = json.loads(lines(folder)[-1])
    assert check(folder, *read_anchor(f"20:{last['hash']}")).good
    assert not check(folder, *read_anchor(f"20:{'0' * 64}")).good
    with pytest.raises(Invalid):
        read_anchor("twenty")


def test_nothing_there(tmp_path: Path) -> None:
    assert not check(tmp_path).good


def test_chained_anew_with_the_signed_heads_taken_away_is_found(tmp_path: Path) -> None:
    """Who has no key can make the hashes right again and take away the heads that would not fit."""
    journal = Journal(tmp_path, KEY, lambda: NOW)
    for n in range(350):
        journal.append("event", "room", details={"n": n})
    assert check(tmp_path).good
    held = lines(tmp_path)
    fewer = [json.loads(line) | {"n": n} for n, line in enumerate(held[:119] + held[120:], 1)]
    write(tmp_path, rewritten([canonical(entry) for entry in fewer], 119))
    heads = [line for line in lines(tmp_path, "heads.jsonl") if json.loads(line)["count"] < 120]
    assert len(heads) == 1
    for left in (heads, []):
        write(tmp_path, left, "heads.jsonl")
        verdict = check(tmp_path)
        assert not verdict.good and "under no signed head" in verdict.faults[0], verdict
    anchor = Anchor(349, json.loads(lines(tmp_path)[-1])["hash"])
    assert check(tmp_path, anchor).good, "an anchor that knows the last entry holds all before it"


def test_what_no_signed_head_covers_is_said(folder: Path) -> None:
    write(folder, lines(folder, "heads.jsonl")[:1], "heads.jsonl")
    verdict = check(folder)
    assert verdict.good and "the 10 entries after 10 could have been written anew" in verdict.window
