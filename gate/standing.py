# SPDX-License-Identifier: AGPL-3.0-or-later
"""How a session and a grant stand at this very moment, each read from the database in one statement.

Nothing read here is kept: every call, and every chunk of a long one, reads it again. One statement sees one state of
the database, so that a person, a paper and a grant are never put together from two different moments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Row, bindparam, select

from connectors.bounds import Interval
from gate.access import Credential, LegalBasis, Person
from gate.database import CredentialRow, Database, GrantRow, PersonRow, RequisitionRow, SessionRow
from gate.messages import Act
from gate.people import person_from
from gate.requisitions import basis_from, read

_people, _held, _sessions, _grants, _papers = (
    table.__table__ for table in (PersonRow, CredentialRow, SessionRow, GrantRow, RequisitionRow)
)
_PERSON = (
    _people.c.id.label("person_id"),
    _people.c.name,
    _people.c.roles,
    _people.c.municipal,
    _people.c.left_at,
    _held.c.kind.label("credential"),
    _held.c.reference.label("credential_reference"),
    _held.c.starts_at,
    _held.c.ends_at,
    _held.c.withdrawn_at.label("credential_withdrawn_at"),
)
"""One row a credential; one with none of it for a person who holds no credential."""
_SESSION = (
    select(
        _sessions.c.started_at.label("session_started_at"),
        _sessions.c.seen_at,
        _sessions.c.ends_at.label("session_ends_at"),
        _sessions.c.ended_at,
        *_PERSON,
    )
    .join_from(_sessions, _people, _people.c.id == _sessions.c.person)
    .outerjoin(_held, _held.c.person == _people.c.id)
    .where(_sessions.c.id == bindparam("id"))
    .order_by(_held.c.id)
)
_GRANT = (
    select(
        _grants.c.session,
        _grants.c.acts,
        _grants.c.cameras.label("granted_cameras"),
        _grants.c.intervals.label("granted_intervals"),
        _grants.c.directed_by,
        _grants.c.withdrawn_at,
        _papers.c.id,
        _papers.c.basis,
        _papers.c.reference,
        _papers.c.purpose,
        _papers.c.cameras,
        _papers.c.intervals,
        _papers.c.state,
        _papers.c.expires_at,
        *_PERSON,
    )
    .join_from(_grants, _papers, _papers.c.id == _grants.c.requisition)
    .join(_people, _people.c.id == _grants.c.person)
    .outerjoin(_held, _held.c.person == _people.c.id)
    .where(_grants.c.id == bindparam("id"))
    .order_by(_held.c.id)
)


@dataclass(frozen=True, slots=True)
class SessionNow:
    """A session as it stands, in force or not."""

    person: Person
    started_at: datetime
    seen_at: datetime
    ends_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class GrantNow:
    """What a grant was given for, and the person and the legal basis as they stand."""

    session: str
    person: Person
    basis: LegalBasis
    acts: frozenset[Act]
    cameras: frozenset[str]
    intervals: tuple[Interval, ...]
    directed_by: str
    withdrawn_at: datetime | None


def session_now(database: Database, identifier: str) -> SessionNow | None:
    """The session with this id; None when there never was one."""
    rows = database.rows(_SESSION, id=identifier)
    if not rows:
        return None
    row = rows[0]
    return SessionNow(_person(rows), row.session_started_at, row.seen_at, row.session_ends_at, row.ended_at)


def grant_now(database: Database, identifier: str) -> GrantNow | None:
    """The grant with this id; None when there never was one."""
    rows = database.rows(_GRANT, id=identifier)
    if not rows:
        return None
    row = rows[0]
    return GrantNow(
        session=row.session,
        person=_person(rows),
        basis=basis_from(row),
        acts=frozenset(cast("list[Act]", row.acts)),
        cameras=frozenset(row.granted_cameras),
        intervals=read(row.granted_intervals),
        directed_by=row.directed_by,
        withdrawn_at=row.withdrawn_at,
    )


def _person(rows: Sequence[Row[Any]]) -> Person:
    held = (
        Credential.held(r.credential, r.credential_reference, r.starts_at, r.ends_at, r.credential_withdrawn_at)
        for r in rows
        if r.credential is not None
    )
    return person_from(rows[0].person_id, rows[0], held)
