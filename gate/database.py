# SPDX-License-Identifier: AGPL-3.0-or-later
"""The gate's own transactional database: SQLite through SQLAlchemy.

WAL, foreign keys on, every commit on the disk before it counts, deleted bytes overwritten.
It holds people, sessions, requisitions, grants and decisions; never a picture, a passage or a key.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Engine,
    ForeignKey,
    Integer,
    LargeBinary,
    Row,
    Select,
    String,
    Text,
    Update,
    create_engine,
    event,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker
from sqlalchemy.types import TypeDecorator


class UtcMicroseconds(TypeDecorator[datetime]):
    """An aware UTC instant kept as whole microseconds since 1970; naive datetimes are refused."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:
        """To the database."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"the database takes aware datetimes only, not {value!r}")
        since = value.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds

    def process_result_value(self, value: Any, dialect: Any) -> datetime | None:
        """From the database."""
        if value is None:
            return None
        seconds, rest = divmod(int(value), 1_000_000)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)


class Table(DeclarativeBase):
    """Base of every table."""


class PersonRow(Table):
    """A named person with an account."""

    __tablename__ = "people"
    id: Mapped[str] = mapped_column(String, primary_key=True)
    login: Mapped[str] = mapped_column(String, unique=True)
    name: Mapped[str] = mapped_column(String)
    roles: Mapped[list[str]] = mapped_column(JSON)
    municipal: Mapped[bool] = mapped_column(Boolean, default=True)
    password: Mapped[str] = mapped_column(String)
    """Argon2id hash."""
    totp: Mapped[bytes] = mapped_column(LargeBinary)
    """The secret of the one-time codes, sealed by the gate's own vault."""
    totp_step: Mapped[int] = mapped_column(Integer, default=0)
    """The newest time step whose code was used: a code works once."""
    failures: Mapped[int] = mapped_column(Integer, default=0)
    locked_until: Mapped[datetime | None] = mapped_column(UtcMicroseconds)
    created_at: Mapped[datetime] = mapped_column(UtcMicroseconds)
    left_at: Mapped[datetime | None] = mapped_column(UtcMicroseconds)


class RenewalRow(Table):
    """A person has chosen their own password since it was issued to them."""

    __tablename__ = "renewals"
    person: Mapped[str] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), primary_key=True)
    renewed_at: Mapped[datetime] = mapped_column(UtcMicroseconds)


class RecoveryRow(Table):
    """One printed recovery code; works once."""

    __tablename__ = "recovery_codes"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    person: Mapped[str] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    sha256: Mapped[str] = mapped_column(String)
    used_at: Mapped[datetime | None] = mapped_column(UtcMicroseconds)


class CredentialRow(Table):
    """A habilitation, or a prefect's agrément, of one person."""

    __tablename__ = "credentials"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    person: Mapped[str] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String)
    reference: Mapped[str] = mapped_column(String)
    starts_at: Mapped[datetime] = mapped_column(UtcMicroseconds)
    ends_at: Mapped[datetime] = mapped_column(UtcMicroseconds)
    withdrawn_at: Mapped[datetime | None] = mapped_column(UtcMicroseconds)


class SessionRow(Table):
    """A signed-in session; the token itself is never kept."""

    __tablename__ = "sessions"
    id: Mapped[str] = mapped_column(String, primary_key=True)
    """SHA-256 of the token."""
    person: Mapped[str] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String)
    started_at: Mapped[datetime] = mapped_column(UtcMicroseconds)
    seen_at: Mapped[datetime] = mapped_column(UtcMicroseconds)
    ends_at: Mapped[datetime] = mapped_column(UtcMicroseconds)
    ended_at: Mapped[datetime | None] = mapped_column(UtcMicroseconds)


class RequisitionRow(Table):
    """A requisition, or another legal basis, as registered."""

    __tablename__ = "requisitions"
    id: Mapped[str] = mapped_column(String, primary_key=True)
    reference: Mapped[str] = mapped_column(String)
    basis: Mapped[str] = mapped_column(String)
    article: Mapped[str] = mapped_column(String, default="")
    prosecutor_authorisation: Mapped[str] = mapped_column(String, default="")
    authority: Mapped[str | None] = mapped_column(String)
    authority_name: Mapped[str] = mapped_column(String, default="")
    inquiry: Mapped[str] = mapped_column(String, default="")
    offence: Mapped[str] = mapped_column(String, default="")
    cameras: Mapped[list[str]] = mapped_column(JSON)
    intervals: Mapped[list[list[str]]] = mapped_column(JSON)
    purpose: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime] = mapped_column(UtcMicroseconds)
    state: Mapped[str] = mapped_column(String, default="draft")
    document: Mapped[str] = mapped_column(String, default="")
    received_at: Mapped[datetime | None] = mapped_column(UtcMicroseconds)
    registered_by: Mapped[str] = mapped_column(ForeignKey("people.id"))
    registered_at: Mapped[datetime] = mapped_column(UtcMicroseconds)
    opened_by: Mapped[str | None] = mapped_column(ForeignKey("people.id"))
    opened_at: Mapped[datetime | None] = mapped_column(UtcMicroseconds)
    closed_by: Mapped[str | None] = mapped_column(ForeignKey("people.id"))
    closed_at: Mapped[datetime | None] = mapped_column(UtcMicroseconds)
    erased_at: Mapped[datetime | None] = mapped_column(UtcMicroseconds)
    review_due: Mapped[bool] = mapped_column(Boolean, default=False)
    reviewed_by: Mapped[str | None] = mapped_column(ForeignKey("people.id"))


class AttachmentRow(Table):
    """Who attached the document of a requisition after it was registered, the last of them."""

    __tablename__ = "attachments"
    requisition: Mapped[str] = mapped_column(ForeignKey("requisitions.id", ondelete="CASCADE"), primary_key=True)
    attached_by: Mapped[str] = mapped_column(ForeignKey("people.id"))


class AmendmentRow(Table):
    """What widened a requisition, and the document that allowed it."""

    __tablename__ = "amendments"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    requisition: Mapped[str] = mapped_column(ForeignKey("requisitions.id", ondelete="CASCADE"))
    reference: Mapped[str] = mapped_column(String)
    document: Mapped[str] = mapped_column(String)
    cameras: Mapped[list[str]] = mapped_column(JSON)
    intervals: Mapped[list[list[str]]] = mapped_column(JSON)
    expires_at: Mapped[datetime | None] = mapped_column(UtcMicroseconds)
    made_by: Mapped[str] = mapped_column(ForeignKey("people.id"))
    made_at: Mapped[datetime] = mapped_column(UtcMicroseconds)


class OrderRow(Table):
    """A replay order that the gate signed for a requisition."""

    __tablename__ = "orders"
    id: Mapped[str] = mapped_column(String, primary_key=True)
    requisition: Mapped[str] = mapped_column(ForeignKey("requisitions.id", ondelete="CASCADE"))
    issued_at: Mapped[datetime] = mapped_column(UtcMicroseconds)
    cameras: Mapped[list[str]] = mapped_column(JSON)
    intervals: Mapped[list[list[str]]] = mapped_column(JSON)


class GrantRow(Table):
    """What a grant was asked for; the grant itself is made anew by `access.authorise` at every use."""

    __tablename__ = "grants"
    id: Mapped[str] = mapped_column(String, primary_key=True)
    """SHA-256 of the opaque id that the client holds."""
    requisition: Mapped[str] = mapped_column(ForeignKey("requisitions.id", ondelete="CASCADE"))
    person: Mapped[str] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    session: Mapped[str] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    acts: Mapped[list[str]] = mapped_column(JSON)
    cameras: Mapped[list[str]] = mapped_column(JSON)
    intervals: Mapped[list[list[str]]] = mapped_column(JSON)
    directed_by: Mapped[str] = mapped_column(String, default="")
    made_at: Mapped[datetime] = mapped_column(UtcMicroseconds)
    withdrawn_at: Mapped[datetime | None] = mapped_column(UtcMicroseconds)


class DecisionRow(Table):
    """A person's word on one step of one trace; the newest counts, none is overwritten."""

    __tablename__ = "decisions"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    requisition: Mapped[str] = mapped_column(ForeignKey("requisitions.id", ondelete="CASCADE"))
    query: Mapped[str] = mapped_column(String)
    passage: Mapped[str] = mapped_column(String)
    verdict: Mapped[str] = mapped_column(String)
    person: Mapped[str] = mapped_column(ForeignKey("people.id"))
    at: Mapped[datetime] = mapped_column(UtcMicroseconds)


class ExportRow(Table):
    """An exhibit package that left."""

    __tablename__ = "exports"
    id: Mapped[str] = mapped_column(String, primary_key=True)
    requisition: Mapped[str] = mapped_column(ForeignKey("requisitions.id", ondelete="CASCADE"))
    person: Mapped[str] = mapped_column(ForeignKey("people.id"))
    recipient: Mapped[str] = mapped_column(String)
    purpose: Mapped[str] = mapped_column(Text)
    manifest_sha256: Mapped[str] = mapped_column(String)
    size_bytes: Mapped[int]
    at: Mapped[datetime] = mapped_column(UtcMicroseconds)


class RegisterRow(Table):
    """A line of the register: recordings destroyed, or sent to an authority."""

    __tablename__ = "register"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(UtcMicroseconds)
    kind: Mapped[str] = mapped_column(String)
    """`destroyed`, `scope_erased`, `sent`, `proved` or `proof_failed`."""
    requisition: Mapped[str] = mapped_column(String, default="")
    details: Mapped[dict[str, Any]] = mapped_column(JSON)


class FactRow(Table):
    """Single facts the gate must remember across restarts, such as the last trusted clock."""

    __tablename__ = "facts"
    name: Mapped[str] = mapped_column(String, primary_key=True)
    value: Mapped[dict[str, Any]] = mapped_column(JSON)


def fact(s: Session, name: str) -> dict[str, Any]:
    """A fact as it was last kept; empty where it never was."""
    row = s.get(FactRow, name)
    return {} if row is None else dict(row.value)


def keep_fact(s: Session, name: str, value: dict[str, Any]) -> None:
    """Keep a fact in place of what it was."""
    s.merge(FactRow(name=name, value=value))


class Database:
    """One SQLite file. `with database.write() as s:` commits at the end or not at all."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600, exist_ok=True)
        self.path = path
        self.engine: Engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30.0})
        self._passing: Engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30.0})
        for engine in (self.engine, self._passing):
            event.listen(engine, "connect", _prepare)
            event.listen(engine, "begin", _begin)
        event.listen(self._passing, "connect", _wait_for_no_disk)
        Table.metadata.create_all(self.engine)
        self._make = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for looking; nothing it changes is kept."""
        with self._make() as session:
            yield session

    def rows(self, statement: Select[Any], **values: Any) -> Sequence[Row[Any]]:
        """All rows of one statement, which sees one state of the database."""
        with self.engine.connect() as connection:
            return connection.execute(statement, values).all()

    def write_passing(self, statement: Update, **values: Any) -> None:
        """One statement that may be lost with the machine's power: it is committed, and the disk is not waited for.

        Whatever commits next takes it along. Only for what may fall back to what it was before, never the other way.
        """
        with self._passing.connect() as connection:
            connection.execute(statement, values, execution_options={"passage_write": True})
            connection.commit()

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that takes the write lock at once, so that what it reads cannot change under it."""
        with self._make() as session:
            session.connection(execution_options={"passage_write": True})
            try:
                yield session
                session.commit()
            except BaseException:
                session.rollback()
                raise

    def vacuum(self) -> None:
        """Rewrite the file without its free pages, and empty the write-ahead log."""
        self.close()
        connection = sqlite3.connect(self.path, timeout=30.0, isolation_level=None)
        try:
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()
        self._passing.dispose()


def _prepare(connection: Any, _record: Any) -> None:
    # The driver must not open transactions by itself: `_begin` does, with the lock we want.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL", "secure_delete=ON", "trusted_schema=OFF"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _wait_for_no_disk(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")


def _begin(connection: Any) -> None:
    write = connection.get_execution_options().get("passage_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
