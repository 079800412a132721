# SPDX-License-Identifier: AGPL-3.0-or-later
"""Verifies a journal, or a copy of one, offline: the chain, the signed heads, and anchors kept elsewhere.

An anchor is a head that the journal's keeper could not change: from a witness, from the slip of an exhibit, from the
monthly list. With one a rollback shows; without one this says which window of truncation cannot be excluded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gate.errors import Invalid
from gate.journal import SIGN_EVERY, START, entry_hash, head_message, is_kept

MOST_UNSIGNED = 2 * SIGN_EVERY
"""Entries after the newest signed head, at most: one is signed every `SIGN_EVERY`, and several may come at once."""
_SHORT = re.compile(r"(\d+)[ :]([0-9a-f]{64})")


class Anchor(msgspec.Struct, frozen=True):
    """A head known from elsewhere."""

    count: int
    hash: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification found."""

    good: bool
    entries: int
    volumes: tuple[str, ...]
    head: str
    heads_signed: int
    anchors: int
    faults: tuple[str, ...]
    """The first names the first bad entry."""
    window: str
    """Which truncation cannot be excluded."""


def verify(folder: Path, public_key: Ed25519PublicKey | None, anchors: Iterable[Anchor], now: datetime) -> Verdict:
    """Check everything there is; the chain is followed up to its first bad entry."""
    volumes = sorted(folder.glob("[0-9][0-9][0-9][0-9].jsonl"))
    faults: list[str] = []
    if not volumes:
        faults.append(f"{folder} holds no volume of a journal")
    hashes: dict[int, str] = {}
    last_at, fault = _follow(volumes, hashes)
    if fault:
        faults.append(fault)
    count = max(hashes, default=0)
    first = min(hashes, default=0)
    if first > 1 and is_kept(begins := int(volumes[0].stem) - 1, now):
        faults.append(f"begins with entry {first}: what was before it is missing, and {begins} must still be kept")
    signed, newest = 0, 0
    for number, line in enumerate(_lines(folder / "heads.jsonl"), 1):
        wrong, at = _head_fault(line, public_key, hashes, first, count, bool(fault))
        if wrong:
            faults.append(f"heads.jsonl, line {number}: {wrong}")
        else:
            signed += 1
            newest = max(newest, at)
    given = tuple(anchors)
    # A witness's file reaches back to years that have lawfully been destroyed since.
    held = tuple(anchor for anchor in given if anchor.count >= first)
    if given and not held:
        faults.append(f"every anchor is older than entry {first}, the oldest that is kept: give a newer one")
    for anchor in held:
        if anchor.count > count:
            faults.append(f"cut short or rolled back: an anchor knows {anchor.count} entries, here are {count}")
        elif hashes.get(anchor.count) != anchor.hash:
            faults.append(f"entry {anchor.count} is not the one that an anchor knows: the journal was written anew")
    sure = max([newest if public_key is not None else 0, *(a.count for a in held)])
    if public_key is not None and count - max(sure, first - 1) > MOST_UNSIGNED:
        faults.append(
            f"entries {max(sure, first - 1) + 1} to {count} are under no signed head, though one is signed every "
            f"{SIGN_EVERY}: heads were taken away, and these entries may have been written anew"
        )
    return Verdict(
        good=not faults,
        entries=len(hashes),
        volumes=tuple(p.name for p in volumes),
        head=hashes.get(count, ""),
        heads_signed=signed,
        anchors=len(held),
        faults=tuple(faults),
        window=_window(held, sure, count, last_at, now),
    )


def read_anchor(written: str) -> list[Anchor]:
    """Anchors from `COUNT:HASH`, as printed on papers, or from a witness's file of signed heads."""
    found = _SHORT.fullmatch(written.strip().lower())
    if found:
        return [Anchor(int(found[1]), found[2])]
    path = Path(written)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        raise Invalid(f"{written!r} is no anchor: give COUNT:HASH from a paper, or a witness's file") from None
    try:
        return [Anchor(int(h["count"]), str(h["hash"])) for h in map(json.loads, filter(None, lines))]
    except (ValueError, KeyError, TypeError):
        raise Invalid(f"{path} is not a file of signed heads") from None


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The journal's public key, `keys/public/journal.pub`."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as fault:
        raise Invalid(f"{path} is no public key: {fault}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise Invalid(f"{path} is no Ed25519 key")
    return key


def _follow(volumes: list[Path], hashes: dict[int, str]) -> tuple[str, str]:
    """Fill in the hash of each entry; the time of the last, and what is wrong with the first bad one."""
    before, number, last_at = "", 0, ""
    for path in volumes:
        for n, line in enumerate(_lines(path), 1):
            where = f"{path.name}, line {n}"
            try:
                entry: dict[str, Any] = json.loads(line)
                own, claimed, prev = int(entry["n"]), str(entry["hash"]), str(entry["prev"])
                right = entry_hash(entry)
            except (ValueError, KeyError, TypeError):
                return last_at, f"{where}: cannot be read; the entry before is {number}"
            if number == 0:
                # Older volumes are destroyed whole when three years are over: the chain may begin later than 1.
                if own == 1 and prev != START:
                    return last_at, f"{where}: entry 1 follows something"
            elif own != number + 1:
                return last_at, f"{where}: entry {own} follows entry {number}: some are missing or out of order"
            elif prev != before:
                return last_at, f"{where}: entry {own} does not follow the entry before it"
            if claimed != right:
                return last_at, f"{where}: entry {own} was edited"
            number, before, last_at = own, claimed, str(entry["at"])
            hashes[own] = claimed
    return last_at, ""


def _head_fault(
    line: bytes, key: Ed25519PublicKey | None, hashes: dict[int, str], first: int, count: int, broken: bool
) -> tuple[str, int]:
    try:
        head = json.loads(line)
        number, own, at = int(head["count"]), str(head["hash"]), str(head["at"])
        signature = bytes.fromhex(head["signature"])
    except (ValueError, KeyError, TypeError):
        return "cannot be read", 0
    if key is not None:
        try:
            key.verify(signature, head_message(number, own, at))
        except InvalidSignature:
            return f"the signature of the head of {number} entries is not this key's", 0
    if number > count and not broken:
        return f"cut short: signed at {number} entries on {at}, here are {count}", 0
    if first <= number <= count and hashes.get(number) != own:
        return f"entry {number} is not the one that was signed on {at}: the journal was written anew", 0
    return "", number


def _window(anchors: tuple[Anchor, ...], sure: int, count: int, last_at: str, now: datetime) -> str:
    until = now.isoformat(timespec="seconds")
    anew = f"the {count - sure} entries after {sure} could have been written anew; " if count > sure else ""
    if not anchors:
        return (
            f"without an anchor: {anew}entries made after {last_at or 'the beginning'} and before {until} could have "
            "been cut off together with their signed heads, as when the whole folder is rolled back to an older copy"
        )
    newest = max(a.count for a in anchors)
    if newest >= count:
        return "none: the newest anchor knows the last entry"
    return (
        f"entries up to {newest} are held by an anchor; {anew}of the {count - newest} after it, and of any made after "
        f"{last_at}, a cut at the end cannot be excluded"
    )


def _lines(path: Path) -> list[bytes]:
    try:
        return [line for line in path.read_bytes().split(b"\n") if line]
    except FileNotFoundError:
        return []
