# SPDX-License-Identifier: AGPL-3.0-or-later
"""The office side: signing in, people, requisitions, the journal and the register. No picture passes here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec

from gate.access import DUTIES, Duty, Person, duty, may
from gate.authenticators import check_renewal
from gate.bilan import bilan
from gate.closure import begin_closure
from gate.errors import Invalid, SignInRefused
from gate.evidence import Evidence
from gate.gate import Gate
from gate.journal import Because, of_requisition
from gate.messages import (
    Amendment,
    Bilan,
    CameraInfo,
    CredentialDraft,
    IndexProgress,
    Interval,
    JournalLine,
    PersonDraft,
    PersonInfo,
    PersonMade,
    Register,
    Renewal,
    Renewed,
    RequisitionDraft,
    RequisitionInfo,
    Role,
    SelfCheck,
    SignIn,
    Whoami,
)
from gate.register import register
from gate.self_check import absence, camera_checks, stored
from gate.sessions import Live

JOURNAL_PAGE = 500
T = TypeVar("T")


class Office:
    """What a signed-in person does at the desk, according to their duties."""

    def __init__(self, gate: Gate, evidence: Evidence, *, begin: Callable[[], object]) -> None:
        self._gate = gate
        self._evidence = evidence
        self._begin = begin

    def sign_in(self, request: SignIn) -> tuple[str, Live, Whoami]:
        """Check a person and begin a session."""
        gate = self._gate
        details = {"login": request.login[:40], "kind": request.kind}
        person = self._proved("sign_in", details, request.login, request.password, request.code)
        # No journal write, no act: the session begins after the entry is on the disk.
        gate.journal.append("event", "sign_in", Because(person.name, person.id), details)
        token, live = gate.sessions.begin(person, request.kind)
        return token, live, self.whoami(live)

    def renew(self, wanted: Renewal) -> Renewed:
        """Give a person the password that they choose, and another authenticator where they want one.

        No session is needed, so that it works at any time; the old password and a code are.
        """
        check_renewal(wanted)
        gate = self._gate
        details = {"login": wanted.login[:40], "new_authenticator": wanted.new_authenticator}
        person = self._proved("renew", details, wanted.login, wanted.password, wanted.code)
        with gate.journal.act("renew", Because(person.name, person.id), details):
            return gate.people.authenticators.renew(person.id, wanted)

    def _proved(self, act: str, details: dict[str, Any], login: str, password: str, code: str) -> Person:
        """The person who gives this password and code; SignInRefused, journalled, when nobody is."""
        people = self._gate.people
        try:
            return people.person(people.authenticators.check(login, password, code))
        except SignInRefused as refusal:
            self._gate.journal.append("refusal", act, Because(), {**details, "why": str(refusal)})
            raise

    def sign_out(self, live: Live) -> None:
        """End the session."""
        self._gate.sessions.end(live.id)
        self._gate.journal.append("event", "sign_out", self._gate.because(live))

    def whoami(self, live: Live) -> Whoami:
        """The signed-in person, with what lapses soon."""
        gate = self._gate
        warnings = gate.people.warnings(live.person, gate.now())
        if gate.clock_guard.suspect:
            warnings += (f"{gate.clock_guard.suspect}: an administrator must confirm the clock",)
        return Whoami(
            person=live.person.id,
            name=live.person.name,
            roles=tuple(sorted(live.person.roles)),
            warnings=warnings,
            expires_at=live.ends_at,
            duties=self._duties(live),
            site=gate.site.name,
            timezone=gate.site.timezone,
        )

    def _duties(self, live: Live) -> tuple[str, ...]:
        """What the rules let this person do now."""
        now = self._gate.now()
        return tuple(what for what in DUTIES if may(live.person, what, now))

    def cameras(self) -> tuple[CameraInfo, ...]:
        """Where cameras stand; never what they saw, never their address."""
        site = self._gate.site
        basis = (
            "" if site.continuous is None else f"{site.continuous.legal_basis} ; {site.continuous.impact_assessment}"
        )
        return tuple(
            CameraInfo(
                name=c.name,
                label=c.label,
                place=c.place,
                position_m=c.position_m,
                position_wgs84=c.position_wgs84,
                heading_deg=c.heading_deg,
                indexing=site.mode(c),
                continuous_basis=basis if site.mode(c) == "continuous" else "",
                group=c.group,
            )
            for c in site.cameras
        )

    # Requisitions

    def requisitions(self, live: Live) -> tuple[RequisitionInfo, ...]:
        """The register: for registrars, technicians and auditors."""
        self._may(live, "read_register", "requisition.list")
        return tuple(self._gate.requisitions.all())

    def requisition(self, live: Live, identifier: str) -> RequisitionInfo:
        """One line of the register."""
        self._may(live, "read_register", "requisition.get", identifier)
        return self._gate.requisitions.info(identifier)

    def draft(self, live: Live, draft: RequisitionDraft, document: bytes | None) -> RequisitionInfo:
        """Register a draft, with its scanned document when it is at hand."""
        gate = self._gate
        words = msgspec.to_builtins(draft)
        with gate.journal.act("requisition.draft", gate.because(live, purpose=draft.purpose[:500]), words) as outcome:
            duty(live.person, "register", gate.now())
            info = gate.requisitions.draft(draft, live.person, document)
            outcome.note(requisition=info.id, document=info.document)
            return info

    def attach(self, live: Live, identifier: str, document: bytes) -> RequisitionInfo:
        """Attach the scanned document to a draft."""
        gate = self._gate
        with gate.journal.act("requisition.attach", gate.because(live, requisition=identifier)) as outcome:
            duty(live.person, "register", gate.now())
            info = gate.requisitions.attach(identifier, document, live.person)
            outcome.note(document=info.document)
            return info

    def document(self, live: Live, identifier: str, sha256: str) -> tuple[str, bytes]:
        """A scan as it was handed in, and a name for its file."""
        gate = self._gate
        words = {"sha256": sha256[:64]} if sha256 else {}
        with gate.journal.act("requisition.document", gate.because(live, requisition=identifier), words):
            duty(live.person, "read_register", gate.now())
            sha256, data = gate.requisitions.document(identifier, sha256)
            return f"{identifier}-{sha256[:12]}", data

    def open(self, live: Live, identifier: str) -> RequisitionInfo:
        """Put a requisition in force: its evidence is secured, its cameras and hours are replayed and indexed."""
        gate = self._gate
        with gate.journal.act("requisition.open", gate.because(live, requisition=identifier)) as outcome:
            duty(live.person, "open", gate.now())
            others = gate.sessions.on_duty("open", apart_from=live.person.id)
            opened = gate.requisitions.open(identifier, live.person, others)
            outcome.note(order=opened.order, review_due=opened.review_due)
        self._begin()
        gate.journal.sign_head()
        return gate.requisitions.info(identifier)

    def amend(self, live: Live, identifier: str, amendment: Amendment, document: bytes) -> RequisitionInfo:
        """Widen an open requisition on a further document."""
        gate = self._gate
        words = msgspec.to_builtins(amendment)
        with gate.journal.act("requisition.amend", gate.because(live, requisition=identifier), words) as outcome:
            duty(live.person, "open", gate.now())
            others = gate.sessions.on_duty("open", apart_from=live.person.id)
            opened = gate.requisitions.amend(identifier, amendment, document, live.person, others)
            outcome.note(orders=[o.order for o in opened])
            if amendment.expires_at is not None:
                # A signed order ends on its own: what was prolonged is signed anew.
                with gate.evidence_lock:
                    for order in gate.requisitions.ordered(identifier):
                        if gate.orders.known(order.order) and not gate.orders.closing(order.order):
                            gate.orders.write(order, "exhibits")
        self._begin()
        return gate.requisitions.info(identifier)

    def close(self, live: Live, identifier: str) -> RequisitionInfo:
        """End a requisition: its grants end now, its copies and its index are erased."""
        gate = self._gate
        with gate.journal.act("requisition.close", gate.because(live, requisition=identifier)):
            duty(live.person, "close", gate.now())
            info = gate.requisitions.close(identifier, live.person)
            begin_closure(gate, identifier)
        gate.journal.sign_head()
        return info

    def review(self, live: Live, identifier: str) -> RequisitionInfo:
        """The auditor has looked at a requisition that one person alone put in force."""
        gate = self._gate
        with gate.journal.act("requisition.review", gate.because(live, requisition=identifier)):
            duty(live.person, "review", gate.now())
            return gate.requisitions.review(identifier, live.person)

    def progress(self, live: Live, identifier: str) -> IndexProgress:
        """How far securing, replay and indexing have come."""
        self._may(live, "read_register", "requisition.progress", identifier)
        gate = self._gate
        gate.requisitions.info(identifier)
        seen = gate.orders.progress(identifier, gate.requisitions.orders(identifier))
        securing = self._evidence.message(identifier)
        return msgspec.structs.replace(seen, message=seen.message or securing) if securing else seen

    # People

    def people(self, live: Live) -> tuple[PersonInfo, ...]:
        """Every account."""
        self._may(live, "keep_people", "people.list")
        return tuple(self._gate.people.all())

    def make_person(self, live: Live, draft: PersonDraft) -> PersonMade:
        """Give a person an account."""
        words = {"login": draft.login, "name": draft.name, "roles": list(draft.roles)}
        return self._people_act(live, "people.make", words, lambda: self._gate.people.make(draft))

    def reissue(self, live: Live, person: str, password: str) -> PersonMade:
        """Give somebody who has lost what they sign in with new ones; they choose their own again."""
        return self._people_act(
            live, "people.reissue", {"of": person}, lambda: self._gate.people.reissue(person, password)
        )

    def add_credential(self, live: Live, person: str, credential: CredentialDraft) -> PersonInfo:
        """Register a habilitation or an agrément."""
        words = {"of": person, **msgspec.to_builtins(credential)}
        people = self._gate.people
        return self._people_act(live, "people.credential", words, lambda: people.add_credential(person, credential))

    def withdraw_credential(
        self, live: Live, person: str, kind: Literal["habilitation", "agrement"], reference: str
    ) -> PersonInfo:
        """End a habilitation or an agrément now."""
        words = {"of": person, "kind": kind, "reference": reference}
        people = self._gate.people
        return self._people_act(
            live, "people.withdraw", words, lambda: people.withdraw_credentials(person, kind, reference)
        )

    def set_roles(self, live: Live, person: str, roles: tuple[Role, ...]) -> PersonInfo:
        """Change what a person does."""
        words = {"of": person, "roles": list(roles)}
        return self._people_act(live, "people.roles", words, lambda: self._gate.people.set_roles(person, roles))

    def leave(self, live: Live, person: str) -> PersonInfo:
        """Close an account."""
        return self._people_act(live, "people.leave", {"of": person}, lambda: self._gate.people.leave(person))

    # What the site says of itself

    def bilan(self, live: Live, year: int, month: int | None) -> Bilan:
        """The yearly report, or the list of one month."""
        self._may(live, "read_bilan", "bilan")
        return bilan(self._gate, year, month)

    def register(self, live: Live, interval: Interval | None) -> Register:
        """Which recordings were made, destroyed and handed over; without an interval, of the last month."""
        self._may(live, "read_bilan", "register")
        return register(self._gate, interval)

    def self_check(self, live: Live, paths: Iterable[str]) -> SelfCheck:
        """Cameras against the norms, what is absent, what is stored."""
        self._may(live, "read_bilan", "self_check")
        site = self._gate.site
        return SelfCheck(cameras=camera_checks(self._gate), absence=absence(site, paths), stored=stored(site))

    # The journal, for the auditor

    def journal(
        self, live: Live, requisition: str, person: str, limit: int, before: int = 0
    ) -> tuple[JournalLine, ...]:
        """The newest entries, of one requisition or one person where named, older than entry `before` where named."""
        self._may(live, "read_journal", "journal.read", requisition)
        if not 1 <= limit <= JOURNAL_PAGE:
            raise Invalid(f"limit {limit}: 1 to {JOURNAL_PAGE}; for older ones name the entry before which they stand")
        lines: list[JournalLine] = []
        for entry in of_requisition(self._gate.journal.entries(newest_first=True), requisition):
            if before and entry["n"] >= before:
                continue
            if person and person not in (entry.get("person"), entry.get("person_id")):
                continue
            lines.append(line_of(entry))
            if len(lines) == limit:
                break
        return tuple(lines)

    def room_entry(self, live: Live, present: tuple[str, ...], reason: str) -> None:
        """Entry of the locked room, written by hand: who was present and why."""
        details = {"present": list(present), "reason": reason}
        self._may(live, "read_register", "room")
        self._gate.journal.append("event", "room", self._gate.because(live), details)

    def confirm_clock(self, live: Live) -> None:
        """The administrator says that the clock is right; destruction resumes."""
        gate = self._gate
        with gate.journal.act("clock.confirm", gate.because(live), {"suspect": gate.clock_guard.suspect}):
            duty(live.person, "confirm_clock", gate.now())
            gate.clock_guard.confirm()

    def _people_act(self, live: Live, act: str, words: dict[str, Any], do: Callable[[], T]) -> T:
        gate = self._gate
        with gate.journal.act(act, gate.because(live), words):
            duty(live.person, "keep_people", gate.now())
            return do()

    def _may(self, live: Live, what: Duty, act: str, requisition: str = "") -> None:
        """Let the person look at the office's own papers; a refusal is journalled, a look is not."""
        gate = self._gate
        try:
            duty(live.person, what, gate.now())
        except Exception as refusal:
            because = gate.because(live, requisition=requisition)
            gate.journal.append("refusal", act, because, {"why": str(refusal)})
            raise


def line_of(entry: dict[str, Any]) -> JournalLine:
    """A journal entry as a person reads it."""
    return JournalLine(
        n=entry["n"],
        at=datetime.fromisoformat(entry["at"]),
        phase=entry["phase"],
        act=entry["act"],
        person=entry.get("person", ""),
        requisition=entry.get("reference", "") or entry.get("requisition", ""),
        purpose=entry.get("purpose", ""),
        directed_by=entry.get("directed_by", ""),
        details=entry.get("details", {}),
    )
