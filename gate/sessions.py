# SPDX-License-Identifier: AGPL-3.0-or-later
"""Signed-in sessions: an unguessable token kept only as its hash, an idle lock, an end, and an ending by hand."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import bindparam, select, update

from gate.access import Duty, Person, may
from gate.database import Database, SessionRow
from gate.errors import SignedOut
from gate.people import person_of
from gate.standing import SessionNow, session_now

LONGEST = timedelta(hours=12)
"""No session outlives a day's work, however busy."""
TOUCH_EVERY = timedelta(seconds=5)
"""Activity is written no more often than this."""

_TOUCH = (
    update(SessionRow)
    .where(SessionRow.id == bindparam("session"), SessionRow.seen_at < bindparam("now"))
    .values(seen_at=bindparam("now"))
)


@dataclass(frozen=True, slots=True)
class Live:
    """A session that is in force, and whose it is."""

    id: str
    person: Person
    ends_at: datetime


class Sessions:
    """Begins, checks and ends sessions."""

    def __init__(self, database: Database, clock: Callable[[], datetime], idle: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._idle = idle

    def begin(self, person: Person, kind: Literal["browser", "command"]) -> tuple[str, Live]:
        """A fresh session: its token, told this once, and what it stands for."""
        token = secrets.token_urlsafe(32)
        now = self._clock()
        row = SessionRow(
            id=session_id(token), person=person.id, kind=kind, started_at=now, seen_at=now, ends_at=now + LONGEST
        )
        with self._database.write() as s:
            s.add(row)
        return token, Live(row.id, person, row.ends_at)

    def check(self, token: str, *, active: bool = True) -> Live:
        """The session this token opens; SignedOut when it opens none. `active` puts the idle lock off."""
        if not token:
            raise SignedOut("sign in first")
        return self.check_id(session_id(token), active=active)

    def check_id(self, identifier: str, *, active: bool = True) -> Live:
        """The same for a session whose id is already known, as in the middle of a long read."""
        now = self._clock()
        row = self._in_force(identifier, now)
        if active and now - row.seen_at >= TOUCH_EVERY:
            # Lost with the machine's power, it would lock the session the earlier.
            self._database.write_passing(_TOUCH, session=identifier, now=now)
        return Live(identifier, row.person, row.ends_at)

    def end(self, identifier: str) -> None:
        """End a session now; ending it twice changes nothing."""
        with self._database.write() as s:
            row = s.get(SessionRow, identifier)
            if row is not None and row.ended_at is None:
                row.ended_at = self._clock()

    def on_duty(self, what: Duty, *, apart_from: str) -> frozenset[str]:
        """Ids of the other persons who have a session in force now and may do this work now."""
        now = self._clock()
        signed_in = select(SessionRow.person).where(
            SessionRow.ended_at.is_(None), SessionRow.ends_at > now, SessionRow.seen_at > now - self._idle
        )
        with self._database.read() as s:
            others = [person_of(s, person) for person in set(s.scalars(signed_in)) - {apart_from}]
        return frozenset(person.id for person in others if may(person, what, now))

    def _in_force(self, identifier: str, now: datetime) -> SessionNow:
        row = session_now(self._database, identifier)
        if row is None or row.ended_at is not None:
            raise SignedOut("this session has ended: sign in again")
        if now >= row.ends_at or now < row.started_at - timedelta(minutes=5):
            raise SignedOut("this session is over: sign in again")
        if now - row.seen_at >= self._idle:
            raise SignedOut("locked after a while without activity: sign in again")
        if row.person.left:
            raise SignedOut("this account is closed")
        return row


def session_id(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()
