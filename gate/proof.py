# SPDX-License-Identifier: AGPL-3.0-or-later
"""The proof of destruction: every place where something could have stayed past its date is looked through.

It ends in a line of the register, good or bad: a byte that survived is a failure, a place not looked at as well.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from sqlalchemy import and_, or_, select

from connectors import topics
from connectors.archive import ArchiveEraser, ArchiveReader
from connectors.archive_views import ArchiveViews
from connectors.broker import Broker, Reader
from connectors.errors import BrokerError, ConnectorError, OffsetGone, RecordError
from connectors.gop import FrameRecord, Gap, Gop
from connectors.records import IndexRecord, decode_dead, decode_frame, decode_index
from connectors.store import StoreKeeper
from gate.database import RegisterRow, RequisitionRow, fact, keep_fact
from gate.gate import Gate
from gate.journal import Because
from reid.passage import LIVE, Coverage, Passage, Track

FOLDERS = ("uploads", "exports", "tmp", "thumbnails", "vectors", "backups")
"""Below the data folder; each need not exist, and holds nothing older than the limit."""
PROVE_EVERY = timedelta(days=1)
_SINCE = "proofs_since"
_SHARE = re.compile(r"-\d+-of-\d+$")
PATIENCE_S = 30.0
"""How long a topic may give nothing before it counts as not looked at."""
ERASED_WITHIN = timedelta(hours=1)
"""Time enough, after a date or a requisition's end, for every erasure: the keeper's rounds are ten minutes apart."""
CUT_OFF_S = 600.0
"""A file half written for longer than this is what is left of a write that was cut off."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One place that was looked through."""

    name: str
    looked: str
    """What was looked at, or why it could not be."""
    found: tuple[str, ...] = ()
    """What is past its date."""
    failed: bool = False
    """It could not be looked at."""


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of it."""

    at: datetime
    before: datetime
    good: bool
    places: tuple[Place, ...]


def prove(gate: Gate, store: StoreKeeper | None, broker: Broker | None) -> Proof:
    """Look everywhere, write the register and the journal.

    Where cameras record around the clock something comes to its date at every moment, and goes a round later.
    """
    before = gate.not_before() - ERASED_WITHIN
    with gate.journal.act("retention.prove", Because(), {"before": before.isoformat()}) as outcome:
        places = tuple(_looked(name, look) for name, look in _looks(gate, store, broker, before))
        good = not any(p.found or p.failed for p in places) and not gate.clock_guard.suspect
        proof = Proof(at=gate.clock(), before=before, good=good, places=places)
        outcome.note(good=good, found=[f for p in places for f in p.found][:50])
        with gate.database.write() as s:
            s.add(
                RegisterRow(at=proof.at, kind="proved" if good else "proof_failed", details=msgspec.to_builtins(proof))
            )
    return proof


def last_proof(gate: Gate) -> RegisterRow | None:
    """The register's newest proof, good or failed."""
    with gate.database.read() as s:
        return s.scalar(
            select(RegisterRow)
            .where(RegisterRow.kind.in_(("proved", "proof_failed")))
            .order_by(RegisterRow.id.desc())
            .limit(1)
        )


def proofs_since(gate: Gate) -> datetime:
    """When proofs began to be owed: the first time anybody asked."""
    with gate.database.write() as s:
        since = fact(s, _SINCE)
        if not since:
            since = {"at": gate.clock().isoformat()}
            keep_fact(s, _SINCE, since)
        return datetime.fromisoformat(since["at"])


def proof_is_due(gate: Gate) -> bool:
    """Whether a day has passed since the last proof, or since proofs began to be owed; restarts do not matter."""
    last = last_proof(gate)
    return gate.clock() - (proofs_since(gate) if last is None else last.at) >= PROVE_EVERY


Look = Callable[[], tuple[str, list[str]]]


def _looks(
    gate: Gate, store: StoreKeeper | None, broker: Broker | None, before: datetime
) -> Iterator[tuple[str, Look]]:
    yield "archive", lambda: _archive(gate, before)
    yield "pictures", lambda: _views(gate, before)
    yield "evidence", lambda: _evidence(gate)
    yield "store", lambda: _store(store, before)
    yield "topics", lambda: _topics(broker, before, _kept(gate), _ended(gate))
    yield "keys", lambda: _keys(gate, before)
    yield "recovery", lambda: _recovery(gate, before)
    yield "orders", lambda: _orders(gate)
    yield "folders", lambda: _folders(gate, before)
    yield "database", lambda: _database(gate)
    yield "journal", lambda: _journal(gate)


def _looked(name: str, look: Look) -> Place:
    try:
        looked, found = look()
    except (ConnectorError, OSError) as fault:
        return Place(name=name, looked=f"could not be looked at: {fault}", failed=True)
    return Place(name=name, looked=looked, found=tuple(found))


def _archive(gate: Gate, before: datetime) -> tuple[str, list[str]]:
    reader, eraser = ArchiveReader(gate.site.archive_dir), ArchiveEraser(gate.site.archive_dir)
    found, files = [], 0
    for camera in reader.cameras():
        files += sum(1 for _ in (gate.site.archive_dir / camera).rglob("*.seg"))
        oldest = eraser.oldest(camera)
        if oldest is not None and oldest < before:
            found.append(f"{camera}: recorded at {oldest.isoformat()}")
        # A segment that an interrupted rewriting left lies outside every index.
        found += [str(p.relative_to(gate.site.data)) for p in (gate.site.archive_dir / camera).rglob("*.new")]
    return f"{files} segments of {len(reader.cameras())} cameras", found


def _views(gate: Gate, before: datetime) -> tuple[str, list[str]]:
    views = ArchiveViews(gate.site.archive_dir)
    hours = views.hours()
    left = {h.parts[-3] for h in hours} & _ended(gate)
    found = [f"{h.relative_to(gate.site.data)}" for h in views.before(before)]
    return f"{len(hours)} hours of pictures", found + [f"pictures of ended {scope}" for scope in sorted(left)]


def _evidence(gate: Gate) -> tuple[str, list[str]]:
    folders = [f for f in gate.folders.exhibits.glob("*") if f.is_dir()]
    in_force = {r.id for r in gate.requisitions.all() if r.state == "open"}
    found = [f"evidence of {f.name}, which is not in force" for f in folders if f.name not in in_force]
    keys = sorted(gate.keys.exhibits() - in_force)
    return f"{len(folders)} copies of evidence", found + [f"key of ended exhibit-{k}" for k in keys]


def _store(store: StoreKeeper | None, before: datetime) -> tuple[str, list[str]]:
    if store is None:
        raise OSError("the store's keeper is not reachable from here")
    oldest = store.oldest()
    late = oldest is not None and oldest < before.replace(microsecond=0)
    found = [f"a row captured at {oldest}"] if late else []
    logs = store.engine_logs()
    found += [f"{name} of the engine, from {day} on" for name, day in logs.items() if day < before.date()]
    return f"every part, active or not; {len(logs)} of the engine's own logs of queries", found


def _topics(broker: Broker | None, before: datetime, kept: set[str], ended: set[str]) -> tuple[str, list[str]]:
    if broker is None:
        raise OSError("the broker is not reachable from here")
    found: list[str] = []
    own = {topic: topic.rpartition(".")[2] for topic in sorted(seen_topics(broker))}
    # What a requisition's topics hold is as old as the evidence it asked for, and lawful until its end.
    dated = {topic: scope for topic, scope in own.items() if scope not in kept}
    for topic, scope in dated.items():
        if scope in ended:
            found.append(f"topic {topic} of a requisition that ended")
        extent = {p: (first, following) for p, (first, following) in broker.extent(topic).items() if following > first}
        if not extent:
            continue
        reader = broker.reader(topic, {p: first for p, (first, _) in extent.items()})
        try:
            found += _past(topic, reader, {p: following for p, (_, following) in extent.items()}, before)
        finally:
            reader.close()
    looked = f"every record of the results and dead letters, the oldest video of {len(dated)} topics"
    if spared := len(own) - len(dated):
        looked += f"; {spared} topics of requisitions in force stay until those end"
    return looked, found


def seen_topics(broker: Broker) -> frozenset[str]:
    """Every topic. Raises BrokerError when the broker shows not even the live one: nothing could be looked at.

    Kafka leaves out of its listing, without an error, what a user may not see.
    """
    seen = broker.topics()
    if topics.FRAMES_LIVE not in seen:
        raise BrokerError(
            f"the broker {broker.address} shows no {topics.FRAMES_LIVE}: capture makes it at its start; where it has, "
            "the keeper's user lacks its rights, which `python -m infra.kafka_users --site site.toml` lays down"
        )
    return seen


def _past(topic: str, reader: Reader, ends: dict[int, int], before: datetime) -> list[str]:
    """Partitions of a topic that hold something past its date.

    Video is too much to read again: it is appended as it is captured, and the broker drops it in that order, so that
    the first record of a partition tells. Results and dead letters are few, and every one is looked at.
    """
    found: dict[int, str] = {}
    waiting, patience = dict(ends), time.monotonic() + PATIENCE_S
    while waiting:
        try:
            messages = reader.poll(50)
        except OffsetGone as gone:
            # Dropped while we looked: what is left of it is read on, if anything is.
            if gone.earliest >= waiting.get(gone.partition, 0):
                waiting.pop(gone.partition, None)
            continue
        if not messages:
            if time.monotonic() > patience:
                raise OSError(f"partitions {sorted(waiting)} of {topic} give nothing")
            time.sleep(0.01)
        for message in messages:
            if message.partition not in waiting:
                continue
            at = _captured(topic, message.value)
            if at is not None and at < before:
                found.setdefault(message.partition, f"{topic}/{message.partition}: captured at {at.isoformat()}")
            if topic.startswith("frames.") or message.offset + 1 >= waiting[message.partition]:
                del waiting[message.partition]
                reader.finish(message.partition)
    return [found[p] for p in sorted(found)]


def _captured(topic: str, data: bytes) -> datetime | None:
    """When a record's last frame was captured; None where it says nothing of a time."""
    if topic.startswith("dead."):
        return _dead_captured(data)
    record: FrameRecord | IndexRecord
    record = decode_index(data) if topic.startswith("passages.") else decode_frame(data)
    if isinstance(record, Gop):
        return record.last_at
    if isinstance(record, Track):
        return record.sightings[-1].at
    return record.ended_at if isinstance(record, Gap | Passage | Coverage) else None


def _dead_captured(data: bytes) -> datetime | None:
    """When what a dead letter holds was captured: at the latest when it was found, where it is too damaged to say."""
    try:
        dead = decode_dead(data)
    except RecordError:
        return None
    try:
        return _captured(dead.topic, dead.data) or dead.found_at
    except RecordError:
        return dead.found_at


def _keys(gate: Gate, before: datetime) -> tuple[str, list[str]]:
    days = gate.keys.days()
    return f"{len(days)} days", [f"key of {d}" for d in days if d < f"{before:%Y-%m-%d}"]


def _recovery(gate: Gate, before: datetime) -> tuple[str, list[str]]:
    root = gate.site.data / "recovery"
    # Whoever records makes it: where recordings are and it is not, this process is not shown it.
    if not root.is_dir() and gate.archive.cameras():
        raise OSError(f"{root} is not here, though recordings are")
    folders = [f for f in root.glob("*") if f.is_dir()]
    ended = _ended(gate)
    found = [str(f.relative_to(gate.site.data)) for f in folders if _is_of(f, ended)]
    kept = _kept(gate)
    for folder in folders:
        # A flow that runs writes its state every few seconds. What has stopped keeps what it had before its eyes.
        last = max((f.stat().st_mtime for f in folder.rglob("*") if f.is_file()), default=None)
        stopped = last is not None and datetime.fromtimestamp(last, UTC) < before
        if stopped and not _is_of(folder, kept):
            found.append(f"{folder.relative_to(gate.site.data)}: state of a flow that stopped before {before:%Y-%m-%d}")
    return f"{len(folders)} recovery folders", found


def _is_of(folder: Path, scopes: set[str]) -> bool:
    """Whether a recovery folder, `<flow>-<scope>[-i-of-n]`, is of one of these requisitions."""
    name = _SHARE.sub("", folder.name)
    return any(name.endswith(f"-{scope}") for scope in scopes)


def _orders(gate: Gate) -> tuple[str, list[str]]:
    files = list(gate.folders.orders.glob("*.order"))
    ended = _ended(gate)
    return f"{len(files)} orders", [f.name for f in files if f.name.rpartition("-")[0] in ended]


def _folders(gate: Gate, before: datetime) -> tuple[str, list[str]]:
    found, seen = [], 0
    for name in FOLDERS:
        for path in (gate.site.data / name).rglob("*"):
            if path.is_file():
                seen += 1
                if datetime.fromtimestamp(path.stat().st_mtime, UTC) < before:
                    found.append(str(path.relative_to(gate.site.data)))
    for folder in (gate.site.data / "gate", gate.folders.exhibits):
        found += [str(p.relative_to(gate.site.data)) for p in folder.rglob(".*.new") if _age_s(p) > CUT_OFF_S]
    return f"{seen} files of {', '.join(FOLDERS)}", found


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0  # it was written to its end just now


def _database(gate: Gate) -> tuple[str, list[str]]:
    """Deleted rows are overwritten as they go; free pages and the write-ahead log are emptied, then looked at."""
    gate.database.vacuum()
    with gate.database.engine.connect() as connection:
        free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
        secure = connection.exec_driver_sql("PRAGMA secure_delete").scalar_one()
    found = [f"{free} free pages of the database"] if free else []
    if not secure:
        found.append("the database does not overwrite what it deletes")
    return f"{os.path.getsize(gate.database.path)} bytes, no free page", found


def _journal(gate: Gate) -> tuple[str, list[str]]:
    volumes = gate.journal.volumes()
    return f"{len(volumes)} volumes", [v.name for v in gate.journal.old_volumes(gate.clock())]


def _ended(gate: Gate) -> set[str]:
    """Requisitions that ended so long ago that all of theirs is erased."""
    limit = gate.now() - ERASED_WITHIN
    with gate.database.read() as s:
        rows = s.scalars(
            select(RequisitionRow.id).where(
                RequisitionRow.state.in_(("closed", "expired")), RequisitionRow.closed_at < limit
            )
        )
        return set(rows) - {LIVE}


def _kept(gate: Gate) -> set[str]:
    """Requisitions in force, or that ended too short a time ago for every erasure."""
    limit = gate.now() - ERASED_WITHIN
    with gate.database.read() as s:
        rows = s.scalars(
            select(RequisitionRow.id).where(
                or_(
                    # One that nobody closed at its end is in force no longer.
                    and_(RequisitionRow.state == "open", RequisitionRow.expires_at > limit),
                    and_(RequisitionRow.state.in_(("closed", "expired")), RequisitionRow.closed_at >= limit),
                )
            )
        )
        return set(rows)
