# SPDX-License-Identifier: AGPL-3.0-or-later
"""The journal: who did what, when and why; append-only, chained by hash, its head signed.

One text file a year (`2026.jsonl`), one JSON object a line, each on the disk before the act it announces begins.
An entry's hash is SHA-256 over the hash of the entry before and the entry's own canonical JSON. Signed heads lie in
`heads.jsonl` beside it and, where the site names one, at a witness. `journal_check.py` verifies a copy offline.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gate.errors import GateError, JournalUnwritable, Refused, SignInRefused

log = logging.getLogger("gate.journal")
Phase = Literal["intent", "outcome", "refusal", "event"]
START = "0" * 64
"""What the first entry of the first volume follows."""
_UNDONE: dict[Phase, str] = {
    "intent": "nothing was done",
    "refusal": "nothing was done",
    "event": "nothing was done",
    "outcome": "it was done, or half done, and no answer is given: look at its state before you repeat it",
}
"""What it means that an entry cannot be kept."""
_VOLUME = re.compile(r"[0-9]{4}\.jsonl")
SIGN_EVERY = 100
"""Entries between two signed heads, at most."""


@dataclass(frozen=True, slots=True)
class Because:
    """Who acts, for which requisition and why: the part that every entry of one act shares."""

    person: str = ""
    """Name as registered."""
    person_id: str = ""
    session: str = ""
    """First digits of the session's id."""
    requisition: str = ""
    reference: str = ""
    purpose: str = ""
    directed_by: str = ""


@dataclass(slots=True)
class Outcome:
    """Filled in while an act runs; written after it."""

    details: dict[str, Any] = field(default_factory=dict)

    def note(self, **details: Any) -> None:
        """Add what came of the act, such as a result's size."""
        self.details.update(details)


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry: how many there are, and the hash that stands for all of them."""

    count: int
    hash: str
    at: datetime | None = None


class Witness(Protocol):
    """Another place that keeps signed heads, so that a rollback shows."""

    def keep(self, signed_head: dict[str, Any], *, of_export: bool) -> None:
        """Keep one, that of an export in any case; an error is logged and never stops the act."""


class Journal:
    """Appends entries under a lock that holds between threads and between processes."""

    def __init__(
        self,
        folder: Path,
        key: Ed25519PrivateKey | None,
        clock: Callable[[], datetime],
        *,
        clock_source: Callable[[], str] = lambda: "system",
        witnesses: tuple[Witness, ...] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self.witnesses = witnesses
        self._handing: dict[Witness, ThreadPoolExecutor] = {}
        """One thread a witness: one that hangs (a mail server, a lost mount) holds up neither acts nor the others."""
        self._key = key
        self._clock = clock
        self._clock_source = clock_source
        self._lock = threading.Lock()
        self._known: tuple[str, int, Head] | None = None
        """Name and size of the newest volume when its head was last read."""
        self._signed_at_count = -1

    def head(self) -> Head:
        """The last entry now on the disk."""
        with self._lock, self._held():
            return self._head()[1]

    def append(
        self, phase: Phase, act: str, because: Because | None = None, details: dict[str, Any] | None = None
    ) -> Head:
        """Write one entry and wait until the disk has it; JournalUnwritable when it cannot be kept.

        A write that fails half-way is taken back, so that the chain stays whole.
        """
        because = because or Because()
        with self._lock, self._held():
            volume, head = self._head()
            now = self._clock().astimezone(UTC)
            entry: dict[str, Any] = {
                "n": head.count + 1,
                "at": now.isoformat(timespec="microseconds"),
                "clock": self._clock_source(),
                "phase": phase,
                "act": act,
                **{name: getattr(because, name) for name in Because.__slots__ if getattr(because, name)},
                "details": details or {},
                "prev": head.hash,
            }
            entry["hash"] = entry_hash(entry)
            # A clock set back never reopens an earlier volume.
            target = max(volume, f"{now.year:04d}.jsonl") if volume else f"{now.year:04d}.jsonl"
            line = canonical(entry) + b"\n"
            size = self._write(self.folder / target, line, _UNDONE[phase])
            head = Head(entry["n"], entry["hash"], now)
            self._known = (target, size, head)
        if head.count - self._signed_at_count >= SIGN_EVERY:
            try:
                self.sign_head()
            except JournalUnwritable as fault:
                # The entry is kept and its act goes on; the next entry signs.
                log.error("the journal's head is not signed: %s", fault)
        return head

    @contextmanager
    def act(self, act: str, because: Because, details: dict[str, Any] | None = None) -> Iterator[Outcome]:
        """Intent before, outcome after. No intent written, no act; no outcome written, no answer."""
        intent = self.append("intent", act, because, details)
        outcome = Outcome()
        try:
            yield outcome
        except (Refused, SignInRefused) as refusal:
            self.append("refusal", act, because, {**outcome.details, "of": intent.count, "why": str(refusal)})
            raise
        except GateError as fault:
            self.append("outcome", act, because, {**outcome.details, "of": intent.count, "failed": fault.code})
            raise
        except BaseException as fault:
            # The words of an unforeseen error might quote what was read: its kind is enough.
            kind = type(fault).__name__
            self.append("outcome", act, because, {**outcome.details, "of": intent.count, "failed": kind})
            raise
        else:
            self.append("outcome", act, because, {**outcome.details, "of": intent.count})

    def sign_head(self, *, of_export: bool = False) -> dict[str, Any] | None:
        """Sign the head, keep it beside the journal and give it to the witnesses; None without a key or an entry."""
        if self._key is None:
            return None
        with self._lock, self._held():
            _, head = self._head()
            if head.count == 0:
                return None
            signed = signed_head(self._key, head, self._clock())
            self._write(self.folder / "heads.jsonl", canonical(signed) + b"\n", "the head is not signed")
            self._signed_at_count = head.count
            for witness in self.witnesses:
                if witness not in self._handing:
                    self._handing[witness] = ThreadPoolExecutor(1, "witness")
                self._handing[witness].submit(witness.keep, signed, of_export=of_export)
        return signed

    def wait_for_witnesses(self, timeout_s: float) -> bool:
        """Wait until every head signed so far was handed over; False where a witness has not taken it in time."""
        last = [thread.submit(lambda: None) for thread in self._handing.values()]
        return not wait(last, timeout_s).not_done

    def entries(self, *, newest_first: bool = False) -> Iterator[dict[str, Any]]:
        """Every entry of every volume still kept."""
        volumes = self.volumes()
        for path in reversed(volumes) if newest_first else volumes:
            lines = path.read_bytes().splitlines()
            for line in reversed(lines) if newest_first else lines:
                yield json.loads(line)

    def volumes(self) -> list[Path]:
        """The yearly files, oldest first."""
        return sorted(self.folder.glob("[0-9][0-9][0-9][0-9].jsonl"))

    def old_volumes(self, now: datetime) -> list[Path]:
        """Volumes whose year ended three years ago or more."""
        return [p for p in self.volumes() if not is_kept(int(p.stem), now)]

    def destroy_volumes(self, now: datetime) -> list[str]:
        """Destroy whole volumes whose year ended three years ago or more; their names."""
        gone = self.old_volumes(now)
        for path in gone:
            path.unlink()
        return [p.name for p in gone]

    @contextmanager
    def _held(self) -> Iterator[None]:
        try:
            descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as fault:
            raise JournalUnwritable(f"the journal's folder cannot be written: {fault.strerror}") from fault
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _head(self) -> tuple[str, Head]:
        """Name of the newest volume and the head; re-read only when another process has written."""
        newest = max((n for n in os.listdir(self.folder) if _VOLUME.fullmatch(n)), default="")
        if not newest:
            self._known = None
            return "", Head(0, START)
        path = self.folder / newest
        if self._known is not None and self._known[:2] == (newest, os.stat(path).st_size):
            return newest, self._known[2]
        volumes = self.volumes()
        line = last_line(path)
        if line is None:
            return path.name, Head(0, START) if len(volumes) == 1 else self._head_of(volumes[-2])
        head = _head_from(line, path)
        self._known = (path.name, path.stat().st_size, head)
        return path.name, head

    @staticmethod
    def _head_of(path: Path) -> Head:
        line = last_line(path)
        return Head(0, START) if line is None else _head_from(line, path)

    @staticmethod
    def _write(path: Path, line: bytes, so: str) -> int:
        """Append one line durably; the file's new size. JournalUnwritable says what it means for the act: `so`."""
        fresh = not path.exists()
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as fault:
            raise JournalUnwritable(f"{path.name} cannot be opened: {fault.strerror}; {so}") from fault
        before = os.fstat(descriptor).st_size
        try:
            written = os.write(descriptor, line)
            if written != len(line):
                raise OSError(28, "no space left for a whole entry")
            os.fsync(descriptor)
            if fresh:
                folder = os.open(path.parent, os.O_RDONLY)
                os.fsync(folder)
                os.close(folder)
        except OSError as fault:
            os.ftruncate(descriptor, before)
            raise JournalUnwritable(
                f"the journal cannot be written ({fault.strerror}): make room on its disk; {so}"
            ) from fault
        finally:
            os.close(descriptor)
        return before + len(line)


def is_kept(year: int, now: datetime) -> bool:
    """Whether the volume of a year must still be there: until three years after it have ended."""
    return year + 3 >= now.year


def of_requisition(newest_first: Iterable[dict[str, Any]], requisition: str) -> Iterator[dict[str, Any]]:
    """The entries of one requisition, its registration too, before which it had no id; of all where none is named."""
    begun: set[int] = set()
    for entry in newest_first:
        if requisition and entry["details"].get("requisition") == requisition:
            begun.add(entry["details"].get("of", 0))
        elif requisition and entry.get("requisition") != requisition and entry["n"] not in begun:
            continue
        yield entry


def canonical(entry: dict[str, Any]) -> bytes:
    """The one JSON text of an entry: keys sorted, no spaces, UTF-8."""
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str).encode()


def entry_hash(entry: dict[str, Any]) -> str:
    """SHA-256 over the previous hash and the entry without its own."""
    body = {k: v for k, v in entry.items() if k != "hash"}
    # Through JSON once, so that what is hashed is what a reader gets back.
    return hashlib.sha256(bytes.fromhex(entry["prev"]) + canonical(json.loads(canonical(body)))).hexdigest()


def head_message(count: int, head: str, at: str) -> bytes:
    """The bytes a head's signature covers."""
    return f"passage journal head\n{count}\n{head}\n{at}\n".encode()


def signed_head(key: Ed25519PrivateKey, head: Head, now: datetime) -> dict[str, Any]:
    """The head with the moment and its signature."""
    at = now.astimezone(UTC).isoformat(timespec="seconds")
    return {
        "count": head.count,
        "hash": head.hash,
        "at": at,
        "signature": key.sign(head_message(head.count, head.hash, at)).hex(),
    }


def last_line(path: Path) -> bytes | None:
    """The last whole line of a file; a torn tail, left by a crash in mid-write, is cut off first."""
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        tail = b""
        position = size
        while position > 0:
            step = min(4096, position)
            position -= step
            file.seek(position)
            tail = file.read(step) + tail
            if tail.count(b"\n") >= 2:
                break
        if tail and not tail.endswith(b"\n"):
            keep = tail.rfind(b"\n") + 1
            file.truncate(size - (len(tail) - keep))
            tail = tail[:keep]
    lines = tail.splitlines()
    return lines[-1] if lines else None


def _head_from(line: bytes, path: Path) -> Head:
    try:
        entry = json.loads(line)
        return Head(int(entry["n"]), str(entry["hash"]), datetime.fromisoformat(entry["at"]))
    except (ValueError, KeyError) as fault:
        raise JournalUnwritable(f"the last entry of {path.name} is damaged: run `passage journal verify`") from fault
