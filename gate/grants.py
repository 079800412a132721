# SPDX-License-Identifier: AGPL-3.0-or-later
"""Grants as the client holds them: an opaque id, bound to one person's one session, made anew at every use."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast

from msgspec import structs

from connectors.bounds import Bounds, Interval
from gate.access import Grant, authorise
from gate.database import Database, GrantRow, RequisitionRow
from gate.errors import GrantUnknown, Invalid
from gate.journal import Because
from gate.messages import Act, GrantInfo, GrantRequest
from gate.people import person_of
from gate.requisitions import basis_of, written
from gate.sessions import Live, Sessions, session_id
from gate.standing import GrantNow, grant_now

KINDS: frozenset[Act] = frozenset({"rewind", "search", "picture", "video", "trace", "export"})


@dataclass(frozen=True, slots=True)
class Permit:
    """One act, allowed now: the grant as it stands and the bounds of the read."""

    id: str
    """Of the row, never the client's opaque id."""
    session: str
    act: Act
    grant: Grant
    bounds: Bounds
    cameras: frozenset[str]
    interval: Interval | None
    because: Because


class Grants:
    """Issues grants and turns them into permits."""

    def __init__(
        self,
        database: Database,
        sessions: Sessions,
        clock: Callable[[], datetime],
        not_before: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._clock = clock
        self._not_before = not_before

    def issue(self, live: Live, request: GrantRequest) -> GrantInfo:
        """Give a grant for all or a part of a requisition, if the rules allow it."""
        strange = set(request.acts) - KINDS
        if strange:
            raise Invalid(f"acts: {', '.join(sorted(strange))} is none of {', '.join(sorted(KINDS))}")
        opaque = secrets.token_urlsafe(24)
        now = self._clock()
        with self._database.write() as s:
            basis = basis_of(s, request.requisition)
            grant = authorise(
                person_of(s, live.person.id),
                basis,
                basis.purpose,
                acts=frozenset(request.acts),
                cameras=frozenset(request.cameras) or basis.cameras,
                intervals=(request.interval,) if request.interval else basis.intervals,
                now=now,
            )
            s.add(
                GrantRow(
                    id=session_id(opaque),
                    requisition=basis.id,
                    person=live.person.id,
                    session=live.id,
                    acts=sorted(grant.acts),
                    cameras=sorted(grant.cameras),
                    intervals=written(grant.intervals),
                    directed_by=request.directed_by,
                    made_at=now,
                )
            )
        return GrantInfo(
            id=opaque,
            requisition=basis.id,
            cameras=tuple(sorted(grant.cameras)),
            intervals=grant.intervals,
            acts=cast("tuple[Act, ...]", tuple(sorted(grant.acts))),
            expires_at=min(grant.expires_at, live.ends_at),
        )

    def directed_by(self, request: GrantRequest) -> str:
        """Who directs what is done under a grant: the person named, else the authority that issued the requisition."""
        named = request.directed_by.strip()
        if named:
            return named
        with self._database.read() as s:
            row = s.get(RequisitionRow, request.requisition)
            return row.authority_name if row else ""

    def because(self, live: Live, opaque: str) -> Because:
        """Who and why, for the journal, even where the act will be refused."""
        row = grant_now(self._database, session_id(opaque))
        if row is None or row.session != live.id or row.person.id != live.person.id:
            return Because(live.person.name, live.person.id, live.id[:12])
        return _because(row)

    def permit(
        self,
        live: Live,
        opaque: str,
        act: Act,
        cameras: Iterable[str] = (),
        interval: Interval | None = None,
    ) -> Permit:
        """Allow one act now, or say which rule forbids it.

        A grant that was never given and one given to somebody else look the same from outside.
        """
        return self._permit(session_id(opaque), live.id, act, frozenset(cameras), interval)

    def still(self, permit: Permit) -> None:
        """Read every rule again for an act that lasts; raises as soon as one of them forbids it.

        The session counts as active: playing is.
        """
        self._sessions.check_id(permit.session)
        self._permit(permit.id, permit.session, permit.act, permit.cameras, permit.interval)

    def around(self, permit: Permit, at: datetime, span: timedelta) -> Permit:
        """The same permit with bounds around a moment, inside the grant still."""
        wide = Interval(at - span, at + span)
        intervals = tuple(i for i in (own.meet(wide) for own in permit.grant.intervals) if i is not None)
        return replace(permit, bounds=structs.replace(permit.bounds, intervals=intervals))

    def guarded(self, permit: Permit, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The same pieces, each let out only after the rules were read again."""
        for piece in pieces:
            self.still(permit)
            yield piece

    def _permit(
        self, identifier: str, session: str, act: Act, cameras: frozenset[str], interval: Interval | None
    ) -> Permit:
        row = _held(grant_now(self._database, identifier), session)
        grant = authorise(
            row.person,
            row.basis,
            row.basis.purpose,
            acts=row.acts,
            cameras=row.cameras,
            intervals=row.intervals,
            now=self._clock(),
        )
        bounds = grant.bounds(act, cameras, interval, self._not_before())
        return Permit(identifier, session, act, grant, bounds, cameras, interval, _because(row))


def _held(row: GrantNow | None, session: str) -> GrantNow:
    if row is None or row.session != session:
        raise GrantUnknown("no such grant in this session: ask for one under an open requisition")
    if row.withdrawn_at is not None:
        raise GrantUnknown(f"this grant ended when {row.basis.reference} was closed")
    return row


def _because(row: GrantNow) -> Because:
    return Because(
        row.person.name,
        row.person.id,
        row.session[:12],
        row.basis.id,
        row.basis.reference,
        row.basis.purpose,
        row.directed_by,
    )
