# SPDX-License-Identifier: AGPL-3.0-or-later
"""Named persons: accounts, roles, habilitations, agréments."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, cast

from argon2 import PasswordHasher
from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from gate.access import EXCLUDES, NEEDS_HABILITATION, Credential, Person
from gate.authenticators import Authenticators, locked, password_fault
from gate.database import CredentialRow, Database, PersonRow, SessionRow
from gate.errors import Conflict, Invalid, NotFound
from gate.messages import CredentialDraft, PersonDraft, PersonInfo, PersonMade, Role
from gate.secrets import Vault

WARN_BEFORE = timedelta(weeks=6)
"""How long before a credential's end its holder and the administrator are warned."""
AGREMENT_LONGEST = timedelta(days=5 * 366)
"""An agrément is renewed every five years (CSI L132-14-1)."""
ROLES: frozenset[Role] = frozenset({"administrator", "registrar", "technician", "auditor"})
_LOGIN = re.compile(r"[a-z0-9][a-z0-9.-]{1,38}[a-z0-9]")


class People:
    """Makes and keeps accounts."""

    def __init__(
        self, database: Database, vault: Vault, clock: Callable[[], datetime], hasher: PasswordHasher | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self.authenticators = Authenticators(database, vault, clock, hasher)

    def make(self, draft: PersonDraft, *, own_password: bool = False) -> PersonMade:
        """Give a person an account; what they sign in with is shown this once.

        `own_password`: the person chose it, and nobody else has seen it.
        """
        faults = list(_faults(draft))
        if faults:
            raise Invalid(*faults)
        identifier = "p" + secrets.token_hex(8)
        hashed = self.authenticators.hashed(draft.password)
        with self._database.write() as s:
            if s.scalar(select(PersonRow).where(PersonRow.login == draft.login)) is not None:
                raise Conflict(f"the login {draft.login!r} is taken: choose another")
            row = PersonRow(
                id=identifier,
                login=draft.login,
                name=draft.name.strip(),
                roles=sorted(draft.roles),
                municipal=draft.municipal,
                created_at=self._clock(),
            )
            issued = self.authenticators.issue(s, row, hashed, own_password=own_password)
            s.add_all(_credential(identifier, c) for c in draft.credentials)
            s.flush()
            info = self._info(s, row)
        return PersonMade(person=info, totp_uri=issued.totp_uri, recovery_codes=issued.recovery_codes)

    def reissue(self, person_id: str, password: str) -> PersonMade:
        """New things to sign in with, for somebody who has lost theirs."""
        issued = self.authenticators.reissue(person_id, password)
        with self._database.read() as s:
            info = self._info(s, _found(s, person_id))
        return PersonMade(person=info, totp_uri=issued.totp_uri, recovery_codes=issued.recovery_codes)

    def any(self) -> bool:
        """Whether any account exists."""
        with self._database.read() as s:
            return s.scalar(select(PersonRow.id).limit(1)) is not None

    def all(self) -> list[PersonInfo]:
        """Every account, by name."""
        with self._database.read() as s:
            return [self._info(s, row) for row in s.scalars(select(PersonRow).order_by(PersonRow.name))]

    def add_credential(self, person_id: str, credential: CredentialDraft) -> PersonInfo:
        """Register a habilitation or an agrément."""
        faults = list(_credential_faults(credential))
        if faults:
            raise Invalid(*faults)
        with self._database.write() as s:
            row = _found(s, person_id)
            s.add(_credential(row.id, credential))
            s.flush()
            return self._info(s, row)

    def withdraw_credentials(self, person_id: str, kind: str, reference: str) -> PersonInfo:
        """End a credential now."""
        with self._database.write() as s:
            row = _found(s, person_id)
            held = s.scalars(
                select(CredentialRow).where(
                    CredentialRow.person == row.id,
                    CredentialRow.kind == kind,
                    CredentialRow.reference == reference,
                    CredentialRow.withdrawn_at.is_(None),
                )
            ).all()
            if not held:
                raise NotFound(f"{row.name} holds no {kind} {reference!r}")
            for credential in held:
                credential.withdrawn_at = self._clock()
            s.flush()
            return self._info(s, row)

    def set_roles(self, person_id: str, roles: tuple[Role, ...]) -> PersonInfo:
        """Change what a person does; open sessions feel it at their next call."""
        faults = list(_role_faults(roles))
        if faults:
            raise Invalid(*faults)
        with self._database.write() as s:
            row = _found(s, person_id)
            if "administrator" in row.roles and "administrator" not in roles:
                self._keep_one_administrator(s, row)
            row.roles = sorted(roles)
            s.flush()
            return self._info(s, row)

    def leave(self, person_id: str) -> PersonInfo:
        """Close an account: its sessions end, and what it did stays on record."""
        with self._database.write() as s:
            row = _found(s, person_id)
            if "administrator" in row.roles:
                self._keep_one_administrator(s, row)
            row.left_at = self._clock()
            for session in s.scalars(
                select(SessionRow).where(SessionRow.person == row.id, SessionRow.ended_at.is_(None))
            ):
                session.ended_at = self._clock()
            s.flush()
            return self._info(s, row)

    def person(self, person_id: str) -> Person:
        """The person as known at this moment; NotFound when there is none."""
        with self._database.read() as s:
            return person_of(s, person_id)

    def login_of(self, person_id: str) -> str:
        """The login of a person."""
        with self._database.read() as s:
            return _found(s, person_id).login

    def warnings(self, person: Person, now: datetime) -> tuple[str, ...]:
        """What lapses soon, or has lapsed, in what the person holds; a password that is not theirs alone yet."""
        found: list[str] = []
        if not self.authenticators.own(person.id):
            found.append("the password is the one that was issued: choose your own, which nobody else has seen")
        needed = [("habilitation", bool(person.roles & NEEDS_HABILITATION))]
        needed.append(("agrement", person.municipal and "technician" in person.roles))
        for kind, wanted in needed:
            spoken = "agrément" if kind == "agrement" else kind
            ends = [c.ends_at for c in person.credentials if c.kind == kind and c.in_force(now)]
            if wanted and not ends:
                found.append(f"no {spoken} in force: work is refused")
            elif ends and max(ends) - now < WARN_BEFORE:
                found.append(f"the {spoken} ends on {max(ends):%Y-%m-%d}: have it renewed")
        return tuple(found)

    def _info(self, s: Session, row: PersonRow) -> PersonInfo:
        person = person_of(s, row.id)
        return PersonInfo(
            id=row.id,
            login=row.login,
            name=row.name,
            roles=tuple(sorted(person.roles)),
            municipal=row.municipal,
            credentials=tuple(
                CredentialDraft(kind=c.kind, reference=c.reference, starts_at=c.starts_at, ends_at=c.ends_at)
                for c in person.credentials
            ),
            locked=locked(row, self._clock()),
            left=row.left_at is not None,
        )

    def _keep_one_administrator(self, s: Session, leaving: PersonRow) -> None:
        others = s.scalars(select(PersonRow).where(PersonRow.id != leaving.id, PersonRow.left_at.is_(None)))
        if not any("administrator" in other.roles for other in others):
            raise Conflict("this is the only administrator: name another one first")


def person_of(s: Session, person_id: str) -> Person:
    """The person as the open transaction sees them."""
    row = _found(s, person_id)
    credentials = s.scalars(select(CredentialRow).where(CredentialRow.person == row.id).order_by(CredentialRow.id))
    held = (Credential.held(c.kind, c.reference, c.starts_at, c.ends_at, c.withdrawn_at) for c in credentials)
    return person_from(row.id, row, held)


def person_from(person_id: str, row: PersonRow | Row[Any], credentials: Iterable[Credential]) -> Person:
    """The person in a row that has the columns, but the id, under their own names."""
    return Person(
        id=person_id,
        name=row.name,
        roles=frozenset(cast("list[Role]", row.roles)),
        municipal=row.municipal,
        credentials=tuple(credentials),
        left=row.left_at is not None,
    )


def _found(s: Session, person_id: str) -> PersonRow:
    row = s.get(PersonRow, person_id)
    if row is None:
        raise NotFound("no such person: `passage people list` shows them all")
    return row


def _credential(person: str, c: CredentialDraft) -> CredentialRow:
    return CredentialRow(
        person=person, kind=c.kind, reference=c.reference.strip(), starts_at=c.starts_at, ends_at=c.ends_at
    )


def _faults(draft: PersonDraft) -> list[str]:
    faults = list(_role_faults(draft.roles))
    if not _LOGIN.fullmatch(draft.login):
        faults.append(f"login {draft.login!r}: 3 to 40 of a-z, 0-9, dot and dash, no dot or dash at either end")
    if not draft.name.strip():
        faults.append("name: give the person's first and last name")
    if fault := password_fault(draft.password):
        faults.append(fault)
    for credential in draft.credentials:
        faults += _credential_faults(credential)
    return faults


def _role_faults(roles: tuple[Role, ...]) -> list[str]:
    faults = [f"role {r!r}: one of {', '.join(sorted(ROLES))}" for r in roles if r not in ROLES]
    if not roles:
        faults.append(f"roles: at least one of {', '.join(sorted(ROLES))}")
    faults += [f"roles: {' and '.join(sorted(pair))} exclude each other" for pair in EXCLUDES if pair <= set(roles)]
    return faults


def _credential_faults(c: CredentialDraft) -> list[str]:
    faults: list[str] = []
    if not c.reference.strip():
        faults.append(f"{c.kind}: give its reference")
    if c.starts_at.tzinfo is None or c.ends_at.tzinfo is None:
        return [*faults, f"{c.kind} {c.reference}: start and end need a time zone"]
    if c.ends_at <= c.starts_at:
        faults.append(f"{c.kind} {c.reference}: ends before it starts")
    elif c.kind == "agrement" and c.ends_at - c.starts_at > AGREMENT_LONGEST:
        faults.append(f"agrément {c.reference}: an agrément lasts five years at most")
    return faults
