# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who may see what, when, and why. This file is the statement of the rules; nothing else decides.

Why: the legal basis
 1. Nobody sees a picture without a *grant*, and only `authorise` makes one. It rests on one *legal basis*: registered,
    opened on its document (`WITHOUT_DOCUMENT`: the two that have none), not closed, not expired (CPP 60-1, 77-1-1,
    99-3; for the officer with regular access, Cass. crim. 21 Nov 2023, 23-81.591).
 2. A requisition allows every act. The other bases are narrow: none allows a search, a trace or an export (`ACTS`), and
    none may name more than its `LONGEST`.
 3. The *purpose* of a grant is the one that its basis states, and no other.

Who: the person
 4. Pictures are for a *technician* who is individually habilitated today (CSI R253-3) and who, as a municipal operator,
    holds the prefect's agrément today (CSI L132-14-1).
 5. Duties are separate (`DUTIES`, `EXCLUDES`): the administrator keeps accounts and sees no picture and no journal; the
    registrar registers, opens and closes requisitions and as such sees no picture; the technician operates, and in a
    small town may be the registrar; the auditor reads the journal and nothing else.
 6. Where two registrars are on duty, who registered a requisition does not open it (`may_open`). What one person alone
    put in force the auditor reviews (`alone`): every widening, for its document was handed in by who widens; and an
    opening by who registered it, attached its document, or may look at the pictures too.

What: cameras and seconds
 7. A grant covers only cameras and seconds that its basis names. What asks for one camera or one second more is refused
    whole, not cut down.
 8. Nothing captured before the retention limit is shown (CSI L252-5), except what was secured for the requisition when
    it was opened: every grant's `bounds` carry the limit to the reader.
 9. The program that indexes gets the keys of a requisition's cameras and hours while it is in force, and of no other
    basis (`may_index`).

When: now
10. A grant is no paper that is kept. It is made anew, with every rule read again, at every call, and before every
    256 KiB of a long one: what was lawful when it began ends with the habilitation, the session or the requisition.
11. *Now* is never earlier than the latest time trusted (`clock.py`): a clock set back revives nothing that has lapsed.
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
    Refused,
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

WITHOUT_DOCUMENT: frozenset[Basis] = frozenset({"habilitated_officer", "maintenance"})
"""Opened without one: an officer with regular access consults without a requisition; maintenance is the town's own."""

Duty = Literal[
    "operate",
    "register",
    "open",
    "close",
    "review",
    "read_register",
    "read_journal",
    "read_bilan",
    "keep_people",
    "confirm_clock",
]

DUTIES: dict[Duty, frozenset[Role]] = {
    # ask for grants and use them: the only work in which pictures are seen
    "operate": frozenset({"technician"}),
    # write a requisition into the register, attach its document
    "register": frozenset({"registrar"}),
    # put it in force, or widen it on a further document
    "open": frozenset({"registrar"}),
    # end it, which erases its copies and its index
    "close": frozenset({"registrar"}),
    # look at one that a single person put in force
    "review": frozenset({"auditor"}),
    # see which requisitions there are
    "read_register": frozenset({"registrar", "technician", "auditor"}),
    # see who did what, when and why
    "read_journal": frozenset({"auditor"}),
    # the yearly report, the register of recordings and the self-check: nobody filmed and nobody of the town is named
    "read_bilan": frozenset({"administrator", "registrar", "auditor"}),
    # accounts, habilitations, agréments
    "keep_people": frozenset({"administrator"}),
    # after the clock jumped: say that it is right, so that destruction goes on
    "confirm_clock": frozenset({"administrator"}),
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
    withdrawn: bool = False

    @classmethod
    def held(
        cls, kind: str, reference: str, starts_at: datetime, ends_at: datetime, withdrawn_at: datetime | None
    ) -> Credential:
        """As registered: withdrawn, it ends no later than that, and comes back by no clock put right since."""
        end = ends_at if withdrawn_at is None else min(ends_at, withdrawn_at)
        known: Literal["habilitation", "agrement"] = "agrement" if kind == "agrement" else "habilitation"
        return cls(known, reference, starts_at, end, withdrawn_at is not None)

    def in_force(self, now: datetime) -> bool:
        """Whether it holds at this moment."""
        return not self.withdrawn and self.starts_at <= now < self.ends_at


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
    # Who
    duty(person, "operate", now)

    # Why: a basis in force, for its own purpose
    if basis.state != "open":
        raise BasisNotOpen(f"{basis.reference} is {basis.state}, not open")
    if now >= basis.expires_at:
        raise BasisNotOpen(f"{basis.reference} expired on {basis.expires_at:%Y-%m-%d %H:%M} UTC")

    if purpose != basis.purpose:
        raise ActNotPermitted(f"the purpose is the one {basis.reference} states, no other")

    # What: acts that the basis allows, cameras and seconds that it names
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


def may(person: Person, what: Duty, now: datetime) -> bool:
    """Whether `duty` lets the person do this kind of work."""
    try:
        duty(person, what, now)
    except Refused:
        return False
    return True


def may_open(opener: str, registered_by: str, others_on_duty: frozenset[str]) -> bool:
    """Whether this person may open, or widen, what that person registered.

    Where two registrars are on duty, the one who registered does neither. `others_on_duty` holds neither the opener nor
    anybody who could not open it now.
    """
    return opener != registered_by or not others_on_duty


def alone(opener: Person, wrote: frozenset[str]) -> bool:
    """Whether the auditor reviews what this person opens; `wrote`: who registered it, who attached its document."""
    return opener.id in wrote or "technician" in opener.roles


def may_index(basis: LegalBasis, camera: str, hour: Interval, reach: timedelta, now: datetime) -> None:
    """Let the indexing program have the key of one camera's one hour, or say which rule forbids it.

    `reach`: a group of pictures that touches an interval may have begun that much earlier, under the hour before.
    """
    if basis.basis != "requisition" or not basis.in_force(now):
        raise BasisNotOpen(f"{basis.reference} is not a requisition in force")
    reaching = (Interval(i.start - reach, i.end) for i in basis.intervals)
    if camera not in basis.cameras or not any(hour.meet(i) for i in reaching):
        raise OutsideScope(f"{basis.reference} does not name {camera} at {hour.start:%Y-%m-%d %H}h UTC")


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
