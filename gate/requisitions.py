# SPDX-License-Identifier: AGPL-3.0-or-later
"""Requisitions and the other legal bases: drafted, checked, opened, widened by amendment only, closed or expired."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from connectors.bounds import Interval
from connectors.site import Site
from gate.access import ACTS, LONGEST, WITHOUT_DOCUMENT, LegalBasis, Person, alone, covered, may_open
from gate.database import AmendmentRow, AttachmentRow, Database, GrantRow, OrderRow, PersonRow, RequisitionRow
from gate.documents import Documents
from gate.errors import Conflict, DutyRefused, Invalid, NotFound
from gate.messages import Act, Amendment, Authority, Basis, RequisitionDraft, RequisitionInfo, State

LONGEST_LIFE = timedelta(days=3 * 365)
"""A requisition's work is erased three years after at most (CPP 230-22 by analogy)."""
ARTICLES: dict[str, frozenset[Authority]] = {
    "60-1": frozenset({"prosecutor", "opj", "apj_under_opj"}),
    "77-1-1": frozenset({"prosecutor", "opj", "apj_under_opj"}),
    "99-3": frozenset({"investigating_judge", "opj"}),
}
"""Who may requisition under which article of the code of criminal procedure."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What opening or amending a requisition asks to be copied and replayed."""

    requisition: str
    order: str
    cameras: tuple[str, ...]
    intervals: tuple[Interval, ...]
    expires_at: datetime
    review_due: bool = False


class Requisitions:
    """The register of requisitions."""

    def __init__(
        self,
        database: Database,
        site: Site,
        clock: Callable[[], datetime],
        not_before: Callable[[], datetime],
        documents: Documents,
    ) -> None:
        self._database = database
        self._site = site
        self._clock = clock
        self._not_before = not_before
        self._documents = documents

    def draft(self, draft: RequisitionDraft, by: Person, document: bytes | None = None) -> RequisitionInfo:
        """Register a draft, with its scanned document when it is at hand; nothing is kept of one that is refused.

        Invalid with every fault when it does not hold together, Conflict while another one has its reference.
        """
        now = self._clock()
        faults = self.faults(draft, now)
        if faults:
            raise Invalid(*faults)
        identifier = "r" + secrets.token_hex(10)
        with self._database.write() as s:
            same = s.scalars(select(RequisitionRow).where(RequisitionRow.reference == draft.reference.strip()))
            if any(self._state(row, now) in ("draft", "open") for row in same):
                raise Conflict(f"{draft.reference} is already registered: amend it, or close it first")
            row = RequisitionRow(
                id=identifier,
                reference=draft.reference.strip(),
                basis=draft.basis,
                article=draft.article,
                prosecutor_authorisation=draft.prosecutor_authorisation.strip(),
                authority=draft.authority,
                authority_name=draft.authority_name.strip(),
                inquiry=draft.inquiry.strip(),
                offence=draft.offence.strip(),
                cameras=sorted(set(draft.cameras)),
                intervals=written(draft.intervals),
                purpose=draft.purpose.strip(),
                expires_at=draft.expires_at,
                state="draft",
                document="" if document is None else self._documents.keep(document),
                received_at=draft.received_at,
                registered_by=by.id,
                registered_at=now,
            )
            s.add(row)
            s.flush()
            return self._info(s, row)

    def attach(self, requisition: str, data: bytes, by: Person) -> RequisitionInfo:
        """Keep the scanned document of a draft, sealed, under its SHA-256."""
        with self._database.write() as s:
            row = _found(s, requisition)
            if row.state != "draft":
                raise Conflict(f"{row.reference} is {row.state}: a further document is an amendment")
            replaced, row.document = row.document, self._documents.keep(data)
            s.merge(AttachmentRow(requisition=row.id, attached_by=by.id))
            s.flush()
            info, of_nothing = self._info(s, row), not _named(s, replaced)
        if of_nothing:
            self._documents.destroy(replaced)
        return info

    def document(self, requisition: str, sha256: str = "") -> tuple[str, bytes]:
        """The scanned document, or the one of an amendment with this SHA-256: that, and the scan as handed in."""
        with self._database.read() as s:
            row = _found(s, requisition)
            own = (row.document, *_amending(s, row))
        if not row.document:
            raise NotFound("no document is attached to it")
        if sha256 and sha256 not in own:
            raise NotFound("no such document belongs to it")
        sha256 = sha256 or row.document
        return sha256, self._documents.read(sha256)

    def open(self, requisition: str, by: Person, others_on_duty: frozenset[str]) -> Opened:
        """Put a draft in force."""
        now = self._clock()
        with self._database.write() as s:
            row = _found(s, requisition)
            if row.state != "draft":
                raise Conflict(f"{row.reference} is {self._state(row, now)}: only a draft is opened")
            faults = self.faults(_as_draft(row), now)
            if _lacks_document(row):
                faults.append("attach the scanned document first")
            if faults:
                raise Invalid(*faults)
            _keep_apart(row, by, others_on_duty, "opens")
            attached = s.get(AttachmentRow, row.id)
            row.review_due = alone(by, frozenset({row.registered_by, attached.attached_by if attached else ""}))
            row.state, row.opened_by, row.opened_at = "open", by.id, now
            return self._order(s, row, tuple(row.cameras), read(row.intervals), now)

    def amend(
        self,
        requisition: str,
        amendment: Amendment,
        document: bytes,
        by: Person,
        others_on_duty: frozenset[str],
    ) -> list[Opened]:
        """Widen an open requisition on a further document; what must be copied and replayed for it."""
        now = self._clock()
        with self._database.write() as s:
            row = _found(s, requisition)
            if self._state(row, now) != "open":
                raise Conflict(f"{row.reference} is {self._state(row, now)}: only an open one is amended")
            before_cameras, before_intervals = frozenset(row.cameras), read(row.intervals)
            cameras = sorted(before_cameras | set(amendment.cameras))
            intervals = merged((*before_intervals, *amendment.intervals))
            fresh_cameras = tuple(c for c in cameras if c not in before_cameras)
            fresh_intervals = tuple(i for i in amendment.intervals if not covered(i, before_intervals))
            draft = _as_draft(row, cameras=tuple(cameras), intervals=intervals, expires_at=amendment.expires_at)
            faults = self.faults(draft, now, fresh_intervals)
            if not amendment.reference.strip():
                faults.append("reference: give the amending document's own")
            # One without a time zone is among the faults already.
            if draft.expires_at.tzinfo is not None and draft.expires_at < row.expires_at:
                faults.append("expires_at: an amendment takes nothing away; to end it earlier, close it")
            if not (amendment.cameras or amendment.intervals or amendment.expires_at):
                faults.append("the amendment adds nothing: name cameras, intervals or an expiry")
            if faults:
                raise Invalid(*faults)
            _keep_apart(row, by, others_on_duty, "widens")
            # Nobody else has seen the document yet.
            row.review_due = True
            s.add(
                AmendmentRow(
                    requisition=row.id,
                    reference=amendment.reference.strip(),
                    document=self._documents.keep(document),
                    cameras=sorted(set(amendment.cameras)),
                    intervals=written(amendment.intervals),
                    expires_at=amendment.expires_at,
                    made_by=by.id,
                    made_at=now,
                )
            )
            row.cameras, row.intervals = cameras, written(intervals)
            row.expires_at = amendment.expires_at or row.expires_at
            orders: list[Opened] = []
            if fresh_cameras:
                orders.append(self._order(s, row, fresh_cameras, intervals, now))
            if fresh_intervals:
                orders.append(self._order(s, row, tuple(sorted(before_cameras)), fresh_intervals, now))
            return orders

    def close(self, requisition: str, by: Person | None, state: State = "closed") -> RequisitionInfo:
        """End a requisition, and withdraw its grants in the same transaction; a draft is closed as well."""
        now = self._clock()
        with self._database.write() as s:
            row = _found(s, requisition)
            if row.state in ("closed", "expired"):
                raise Conflict(f"{row.reference} is already {row.state}")
            row.state, row.closed_at, row.closed_by = state, now, by.id if by else None
            for grant in s.scalars(select(GrantRow).where(GrantRow.requisition == row.id)):
                grant.withdrawn_at = grant.withdrawn_at or now
            s.flush()
            return self._info(s, row)

    def lapsed(self) -> list[str]:
        """Open requisitions whose end has passed, to be closed as expired."""
        with self._database.read() as s:
            rows = s.scalars(
                select(RequisitionRow.id).where(
                    RequisitionRow.state == "open", RequisitionRow.expires_at <= self._clock()
                )
            )
            return list(rows)

    def review(self, requisition: str, by: Person) -> RequisitionInfo:
        """The auditor has looked at one that one person alone put in force."""
        with self._database.write() as s:
            row = _found(s, requisition)
            if not row.review_due:
                raise Conflict(f"{row.reference} waits for no review")
            row.review_due, row.reviewed_by = False, by.id
            s.flush()
            return self._info(s, row)

    def all(self) -> list[RequisitionInfo]:
        """The whole register, newest first."""
        with self._database.read() as s:
            rows = s.scalars(select(RequisitionRow).order_by(RequisitionRow.registered_at.desc(), RequisitionRow.id))
            return [self._info(s, row) for row in rows]

    def info(self, requisition: str) -> RequisitionInfo:
        """One line of the register."""
        with self._database.read() as s:
            return self._info(s, _found(s, requisition))

    def orders(self, requisition: str) -> list[str]:
        """Ids of the replay orders signed for it, oldest first."""
        with self._database.read() as s:
            rows = select(OrderRow.id).where(OrderRow.requisition == requisition).order_by(OrderRow.issued_at)
            return list(s.scalars(rows))

    def ordered(self, requisition: str) -> list[Opened]:
        """What each of its orders asks for, until the requisition's end as it stands now."""
        with self._database.read() as s:
            row = _found(s, requisition)
            orders = s.scalars(select(OrderRow).where(OrderRow.requisition == requisition).order_by(OrderRow.issued_at))
            return [order_of(order, row) for order in orders]

    def faults(self, draft: RequisitionDraft, now: datetime, fresh: tuple[Interval, ...] | None = None) -> list[str]:
        """Everything that keeps it from being registered; empty when it holds together.

        `fresh`: its intervals that nothing named before, whose recordings must still be there; all of them where None.
        """
        faults: list[str] = []
        if draft.basis not in ACTS:
            return [f"basis {draft.basis!r}: one of {', '.join(ACTS)}"]
        if not draft.reference.strip():
            faults.append("reference: give the document's own")
        if not draft.purpose.strip():
            faults.append("purpose: say what is looked for and why")
        known = {c.name for c in self._site.cameras}
        strange = sorted(set(draft.cameras) - known)
        if strange:
            faults.append(f"cameras: this site has none named {', '.join(strange)}")
        if not draft.cameras:
            faults.append("cameras: name at least one")
        if not draft.intervals:
            faults.append("intervals: name at least one")
        for interval in draft.intervals if fresh is None else fresh:
            if interval.end > now:
                faults.append(f"intervals: {interval.end:%Y-%m-%d %H:%M:%S} UTC has not happened yet")
            if interval.end <= self._not_before():
                faults.append(f"intervals: what was recorded until {interval.end:%Y-%m-%d %H:%M} UTC is destroyed")
        longest = LONGEST[draft.basis]
        total = sum(((i.end - i.start) for i in merged(draft.intervals)), timedelta())
        if longest is not None and total > longest:
            faults.append(f"intervals: this basis allows {longest} in all, not {total}")
        if draft.basis == "maintenance" and len(set(draft.cameras)) > 1:
            faults.append("cameras: a maintenance still is of one camera")
        if draft.expires_at.tzinfo is None:
            faults.append("expires_at needs a time zone")
        elif draft.expires_at <= now:
            faults.append(f"expires_at: {draft.expires_at:%Y-%m-%d %H:%M} is already past")
        elif draft.expires_at > now + LONGEST_LIFE:
            faults.append("expires_at: three years at most")
        if draft.received_at is not None and (draft.received_at.tzinfo is None or draft.received_at > now):
            faults.append("received_at: needs a time zone and lies in the past")
        if draft.basis == "requisition":
            faults += _requisition_faults(draft)
        elif draft.basis != "maintenance" and not draft.authority_name.strip():
            faults.append("authority_name: say who asks or consults")
        return faults

    def _order(
        self,
        s: Session,
        row: RequisitionRow,
        cameras: tuple[str, ...],
        intervals: tuple[Interval, ...],
        now: datetime,
    ) -> Opened:
        number = s.scalar(select(func.count()).select_from(OrderRow).where(OrderRow.requisition == row.id)) or 0
        identifier = f"{row.id}-{number + 1}"
        s.add(
            OrderRow(
                id=identifier,
                requisition=row.id,
                issued_at=now,
                cameras=sorted(cameras),
                intervals=written(intervals),
            )
        )
        return Opened(row.id, identifier, cameras, intervals, row.expires_at, row.review_due)

    @staticmethod
    def _state(row: RequisitionRow, now: datetime) -> State:
        state = cast("State", row.state)
        return "expired" if state == "open" and now >= row.expires_at else state

    def _info(self, s: Session, row: RequisitionRow) -> RequisitionInfo:
        amending = _amending(s, row)
        return RequisitionInfo(
            id=row.id,
            reference=row.reference,
            basis=cast("Basis", row.basis),
            article=row.article,
            prosecutor_authorisation=row.prosecutor_authorisation,
            authority=cast("Authority | None", row.authority),
            authority_name=row.authority_name,
            inquiry=row.inquiry,
            offence=row.offence,
            cameras=tuple(row.cameras),
            intervals=read(row.intervals),
            purpose=row.purpose,
            expires_at=row.expires_at,
            state=self._state(row, self._clock()),
            opened_at=row.opened_at,
            closed_at=row.closed_at,
            review_due=row.review_due,
            document=row.document,
            lacks_document=_lacks_document(row),
            registered_by=_name(s, row.registered_by),
            opened_by=_name(s, row.opened_by),
            received_at=row.received_at,
            amendments=len(amending),
            amending_documents=amending,
            acts=cast("tuple[Act, ...]", tuple(sorted(ACTS[cast("Basis", row.basis)]))),
        )


def _lacks_document(row: RequisitionRow) -> bool:
    """Whether a scan must be attached before it is opened."""
    return row.basis not in WITHOUT_DOCUMENT and not row.document


def _amending(s: Session, row: RequisitionRow) -> tuple[str, ...]:
    """SHA-256 of the documents that widened it, oldest first."""
    widened = select(AmendmentRow.document).where(AmendmentRow.requisition == row.id).order_by(AmendmentRow.id)
    return tuple(s.scalars(widened))


def basis_of(s: Session, requisition: str) -> LegalBasis:
    """The legal basis as the open transaction sees it."""
    return basis_from(_found(s, requisition))


def basis_from(row: RequisitionRow | Row[Any]) -> LegalBasis:
    """The legal basis in a row that has its columns under their own names."""
    return LegalBasis(
        id=row.id,
        basis=cast("Basis", row.basis),
        reference=row.reference,
        purpose=row.purpose,
        cameras=frozenset(row.cameras),
        intervals=read(row.intervals),
        state=cast("State", row.state),
        expires_at=row.expires_at,
    )


def order_of(order: OrderRow, row: RequisitionRow) -> Opened:
    """What an order asks for."""
    return Opened(row.id, order.id, tuple(order.cameras), read(order.intervals), row.expires_at)


def written(intervals: tuple[Interval, ...]) -> list[list[str]]:
    """Intervals as the database keeps them."""
    return [[i.start.astimezone(UTC).isoformat(), i.end.astimezone(UTC).isoformat()] for i in sorted(intervals)]


def read(rows: list[list[str]]) -> tuple[Interval, ...]:
    """Intervals as the database kept them."""
    return tuple(Interval(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in rows)


def merged(intervals: tuple[Interval, ...]) -> tuple[Interval, ...]:
    """The same instants as the fewest intervals, in order."""
    out: list[Interval] = []
    for interval in sorted(intervals):
        if out and interval.start <= out[-1].end:
            out[-1] = Interval(out[-1].start, max(out[-1].end, interval.end))
        else:
            out.append(interval)
    return tuple(out)


def _requisition_faults(draft: RequisitionDraft) -> list[str]:
    faults: list[str] = []
    allowed = ARTICLES.get(draft.article)
    if allowed is None:
        faults.append(f"article {draft.article!r}: one of {', '.join(ARTICLES)}")
    if draft.authority is None:
        faults.append("authority: prosecutor, investigating_judge, opj or apj_under_opj")
    elif allowed is not None and draft.authority not in allowed:
        faults.append(f"authority: article {draft.article} is for {', '.join(sorted(allowed))}")
    if not draft.authority_name.strip():
        faults.append("authority_name: give the name and service of who signs")
    if not draft.inquiry.strip():
        faults.append("inquiry: give the procedure's reference")
    if not draft.offence.strip():
        faults.append("offence: say which")
    if draft.article == "77-1-1" and draft.authority != "prosecutor" and not draft.prosecutor_authorisation.strip():
        faults.append("prosecutor_authorisation: article 77-1-1 needs its reference and date")
    return faults


def _as_draft(
    row: RequisitionRow,
    *,
    cameras: tuple[str, ...] | None = None,
    intervals: tuple[Interval, ...] | None = None,
    expires_at: datetime | None = None,
) -> RequisitionDraft:
    return RequisitionDraft(
        reference=row.reference,
        cameras=tuple(row.cameras) if cameras is None else cameras,
        intervals=read(row.intervals) if intervals is None else intervals,
        purpose=row.purpose,
        expires_at=expires_at or row.expires_at,
        basis=cast("Basis", row.basis),
        article=row.article,
        prosecutor_authorisation=row.prosecutor_authorisation,
        authority=cast("Authority | None", row.authority),
        authority_name=row.authority_name,
        inquiry=row.inquiry,
        offence=row.offence,
        received_at=row.received_at,
    )


def _keep_apart(row: RequisitionRow, by: Person, others_on_duty: frozenset[str], does: str) -> None:
    """DutyRefused where who registered it would open or widen it while another registrar is on duty."""
    if not may_open(by.id, row.registered_by, others_on_duty):
        raise DutyRefused(f"{by.name} registered {row.reference}: the other registrar on duty {does} it")


def _named(s: Session, document: str) -> bool:
    """Whether some requisition or amendment still has this document; what was none counts as well."""
    return not document or any(
        s.scalar(select(func.count()).select_from(row).where(row.document == document))
        for row in (RequisitionRow, AmendmentRow)
    )


def _found(s: Session, requisition: str) -> RequisitionRow:
    row = s.get(RequisitionRow, requisition)
    if row is None:
        raise NotFound("no such requisition: `passage requisition list` shows them all")
    return row


def _name(s: Session, person: str | None) -> str:
    row = s.get(PersonRow, person) if person else None
    return row.name if row else ""
