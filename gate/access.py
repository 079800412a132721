# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who may see what, when, and why. This file is the statement of the rules; nothing else decides.

1. Nobody sees a picture without a *grant*, and only `authorise` makes one. It is made anew, every rule read again,
   at every call and again and again while a long one lasts.
2. A grant is given to a *technician* who is individually habilitated today (CSI R253-3) and, when a municipal
   operator, holds the prefect's agrément today (CSI L132-14-1).
3. It rests on one *legal basis*, registered, opened and in force today. A requisition allows every act. The other bases
   are narrow: none allows a search, a trace or an export (`ACTS`), and none may name more than `LONGEST`.
4. It names a *purpose*, which is the basis's own.
5. It covers only cameras and seconds that the basis names. A request that goes outside by one camera or one second is
   refused whole.
6. Nothing captured before the retention limit is shown (CSI L252-5), except what was secured for the requisition.
7. Duties are separate: the administrator keeps accounts and settings and sees no picture and no journal; the registrar
   registers, opens and closes requisitions; the technician operates; the auditor reads the journal and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from connectors.bounds import Bounds, Interval
from gate.errors import (
    ActNotPermitted,
    BasisNotOpen,
    DutyRefused,
    GrantUnknown,
    HabilitationLapsed,
    OutsideScope,
)
from gate.messages import Act, Basis, Role, State

ACTS: dict[Basis, frozenset[Act]] = {
    "requisition": frozenset({"rewind", "search", "picture", "video", "trace", "export"}),
    "habilitated_officer": frozenset({"rewind", "video", "picture"}),
    "access_request": frozenset({"rewind", "video"}),
    "inspection": frozenset({"rewind", "video"}),
    "maintenance": frozenset({"picture"}),
}
"""What each legal basis allows."""

LONGEST: dict[Basis, timedelta | None] = {
    "requisition": None,
    "habilitated_officer": timedelta(hours=24),
    "access_request": timedelta(hours=2),
    "inspection": timedelta(hours=2),
    "maintenance": timedelta(minutes=1),
}
"""The longest stretch that a basis may name for a camera; None: as long as its document says."""

Duty = Literal[
    "keep_people",
    "keep_settings",
    "register",
    "open",
    "close",
    "operate",
    "read_journal",
    "review",
    "read_register",
    "read_bilan",
    "prove_retention",
    "confirm_clock",
]

DUTIES: dict[Duty, frozenset[Role]] = {
    "keep_people": frozenset({"administrator"}),
    "keep_settings": frozenset({"administrator"}),
    "confirm_clock": frozenset({"administrator"}),
    "register": frozenset({"registrar"}),
    "open": frozenset({"registrar"}),
    "close": frozenset({"registrar"}),
    "operate": frozenset({"technician"}),
    "read_journal": frozenset({"auditor"}),
    "review": frozenset({"auditor"}),
    "read_register": frozenset({"registrar", "technician", "auditor"}),
    "read_bilan": frozenset({"administrator", "registrar", "auditor"}),
    "prove_retention": frozenset({"administrator", "auditor"}),
}
"""Which roles do what."""

EXCLUDES: tuple[frozenset[Role], ...] = (
    frozenset({"administrator", "technician"}),
    frozenset({"administrator", "auditor"}),
    frozenset({"auditor", "technician"}),
    frozenset({"auditor", "registrar"}),
)
"""Roles that no one person holds together."""

NEEDS_HABILITATION: frozenset[Role] = frozenset({"registrar", "technician"})
"""Roles refused to work while no habilitation is in force."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A habilitation or an agrément: in force from its start until its end or its withdrawal."""

    kind: Literal["habilitation", "agrement"]
    reference: str
    starts_at: datetime
    ends_at: datetime

    @classmethod
    def held(
        cls, kind: str, reference: str, starts_at: datetime, ends_at: datetime, withdrawn_at: datetime | None
    ) -> Credential:
        """As registered: withdrawn, it ends no later than that."""
        end = ends_at if withdrawn_at is None else min(ends_at, withdrawn_at)
        return cls("agrement" if kind == "agrement" else "habilitation", reference, starts_at, end)

    def in_force(self, now: datetime) -> bool:
        """Whether it holds at this moment."""
        return self.starts_at <= now < self.ends_at


@dataclass(frozen=True, slots=True)
class Person:
    """A named person, as known at this moment."""

    id: str
    name: str
    roles: frozenset[Role]
    municipal: bool
    credentials: tuple[Credential, ...]
    left: bool = False

    def holds(self, kind: Literal["habilitation", "agrement"], now: datetime) -> bool:
        """Whether a credential of that kind is in force."""
        return any(c.kind == kind and c.in_force(now) for c in self.credentials)


@dataclass(frozen=True, slots=True)
class LegalBasis:
    """A requisition, or another basis, as known at this moment."""

    id: str
    basis: Basis
    reference: str
    purpose: str
    cameras: frozenset[str]
    intervals: tuple[Interval, ...]
    state: State
    expires_at: datetime

    def in_force(self, now: datetime) -> bool:
        """Open, and not past its own end."""
        return self.state == "open" and now < self.expires_at


_MAKER = object()


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to do some acts on some cameras and seconds, for one purpose; only `authorise` makes one."""

    person: Person
    basis: LegalBasis
    purpose: str
    acts: frozenset[Act]
    cameras: frozenset[str]
    intervals: tuple[Interval, ...]
    expires_at: datetime
    maker: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse every maker but `authorise`."""
        if self.maker is not _MAKER:
            raise GrantUnknown("a grant is made by gate.access.authorise and by nothing else")

    def bounds(self, act: Act, cameras: frozenset[str], interval: Interval | None, not_before: datetime) -> Bounds:
        """What the reader may read for this request; refused whole when it asks for more than the grant names.

        No cameras: all of the grant's. No interval: all of the grant's.
        """
        if act not in self.acts:
            raise ActNotPermitted(f"this grant does not cover {act}; it covers {', '.join(sorted(self.acts))}")
        _within(cameras, (interval,) if interval else (), self.cameras, self.intervals, "this grant")
        whole = Bounds(self.basis.id, self.cameras, self.intervals, not_before)
        chosen = cameras or self.cameras
        if interval is None:
            return Bounds(self.basis.id, chosen, self.intervals, not_before)
        return whole.meet(chosen, interval)


def authorise(
    person: Person,
    basis: LegalBasis,
    purpose: str,
    *,
    acts: frozenset[Act],
    cameras: frozenset[str],
    intervals: tuple[Interval, ...],
    now: datetime,
) -> Grant:
    """Give the grant, or say which rule forbids it."""
    duty(person, "operate", now)

    if basis.state != "open":
        raise BasisNotOpen(f"{basis.reference} is {basis.state}, not open")
    if now >= basis.expires_at:
        raise BasisNotOpen(f"{basis.reference} expired on {basis.expires_at:%Y-%m-%d %H:%M} UTC")

    if purpose != basis.purpose:
        raise ActNotPermitted(f"the purpose is the one {basis.reference} states, no other")

    if not acts:
        raise ActNotPermitted("a grant names at least one act")
    beyond = acts - ACTS[basis.basis]
    if beyond:
        raise ActNotPermitted(f"{_SPOKEN[basis.basis]} does not allow {', '.join(sorted(beyond))}")

    if not cameras or not intervals:
        raise OutsideScope("a grant names at least one camera and one interval")
    _within(cameras, intervals, basis.cameras, basis.intervals, basis.reference)

    return Grant(person, basis, purpose, acts, cameras, intervals, basis.expires_at, _MAKER)


def duty(person: Person, what: Duty, now: datetime) -> None:
    """Let the person do this kind of work, or say which rule forbids it."""
    if person.left:
        raise DutyRefused(f"the account of {person.name} is closed")
    allowed = person.roles & DUTIES[what]
    if not allowed:
        raise DutyRefused(f"this is for a {' or '.join(sorted(DUTIES[what]))}; {person.name} is not one")
    if allowed <= NEEDS_HABILITATION and not person.holds("habilitation", now):
        raise HabilitationLapsed(f"{person.name} has no habilitation in force: the administrator registers the new one")
    if what == "operate" and person.municipal and not person.holds("agrement", now):
        raise HabilitationLapsed(f"{person.name} has no agrément in force: the administrator registers the new one")


def may_open(opener: str, registered_by: str, others_on_duty: frozenset[str]) -> bool:
    """Whether this person may open what that person registered; True alone means that it must be reviewed.

    Where two registrars are on duty, the one who registered does not open. `others_on_duty` never holds the opener.
    """
    return opener != registered_by or not others_on_duty


def _within(
    cameras: frozenset[str],
    intervals: tuple[Interval, ...],
    allowed_cameras: frozenset[str],
    allowed_intervals: tuple[Interval, ...],
    whose: str,
) -> None:
    strange = cameras - allowed_cameras
    if strange:
        raise OutsideScope(f"{whose} does not name every camera asked for ({', '.join(sorted(strange))})")
    for interval in intervals:
        if not covered(interval, allowed_intervals):
            raise OutsideScope(f"{whose} does not name every second from {interval.start} to {interval.end}")


def covered(interval: Interval, by: tuple[Interval, ...]) -> bool:
    """Whether every instant of the interval lies in one of `by`, adjoining ones counted together."""
    reached = interval.start
    for piece in sorted(by):
        if piece.start > reached:
            break
        reached = max(reached, piece.end)
        if reached >= interval.end:
            return True
    return False


_SPOKEN: dict[Basis, str] = {
    "requisition": "a requisition",
    "habilitated_officer": "a habilitated officer's consultation",
    "access_request": "the access request of a person filmed",
    "inspection": "an inspection",
    "maintenance": "a maintenance still",
}
