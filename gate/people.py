# SPDX-License-Identifier: AGPL-3.0-or-later
"""Named persons: accounts, roles, habilitations, agréments, and what they sign in with."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, cast

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from gate.access import EXCLUDES, NEEDS_HABILITATION, Credential, Person
from gate.database import CredentialRow, Database, PersonRow, RecoveryRow, SessionRow
from gate.errors import Conflict, Invalid, NotFound, SignInRefused
from gate.messages import CredentialDraft, PersonDraft, PersonInfo, PersonMade, Role
from gate.secrets import Vault

FAILURES = 5
"""Wrong sign-ins in a row before the account locks."""
LOCKED_FOR = timedelta(minutes=15)
WARN_BEFORE = timedelta(weeks=6)
"""How long before a credential's end its holder and the administrator are warned."""
AGREMENT_LONGEST = timedelta(days=5 * 366)
"""An agrément is renewed every five years (CSI L132-14-1)."""
ROLES: frozenset[Role] = frozenset({"administrator", "registrar", "technician", "auditor"})
PASSWORD_LEAST = 12
_LOGIN = re.compile(r"[a-z0-9][a-z0-9.-]{1,38}[a-z0-9]")


class People:
    """Makes accounts and checks who signs in."""

    def __init__(
        self, database: Database, vault: Vault, clock: Callable[[], datetime], hasher: PasswordHasher | None = None
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._hasher = hasher or PasswordHasher()
        # Checked when no such login exists, so that the answer takes as long.
        self._nobody = self._hasher.hash(secrets.token_urlsafe(16))

    def make(self, draft: PersonDraft) -> PersonMade:
        """Give a person an account; what they sign in with is shown this once and kept only as hashes."""
        faults = list(_faults(draft))
        if faults:
            raise Invalid(*faults)
        secret = pyotp.random_base32(32)
        codes = tuple("-".join(secrets.token_hex(2) for _ in range(4)) for _ in range(8))
        identifier = "p" + secrets.token_hex(8)
        with self._database.write() as s:
            if s.scalar(select(PersonRow).where(PersonRow.login == draft.login)) is not None:
                raise Conflict(f"the login {draft.login!r} is taken: choose another")
            row = PersonRow(
                id=identifier,
                login=draft.login,
                name=draft.name.strip(),
                roles=sorted(draft.roles),
                municipal=draft.municipal,
                password=self._hasher.hash(draft.password),
                totp=self._vault.seal(secret.encode(), f"totp {identifier}"),
                totp_step=0,
                failures=0,
                created_at=self._clock(),
            )
            s.add(row)
            s.flush()
            s.add_all(RecoveryRow(person=identifier, sha256=_sha256(code)) for code in codes)
            s.add_all(_credential(identifier, c) for c in draft.credentials)
            s.flush()
            info = self._info(s, row)
        uri = pyotp.TOTP(secret).provisioning_uri(name=draft.login, issuer_name="Passage")
        return PersonMade(person=info, totp_uri=uri, recovery_codes=codes)

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
        """What lapses soon, or has lapsed, in the person's own credentials."""
        found: list[str] = []
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

    def check_sign_in(self, login: str, password: str, code: str) -> Person:
        """The person, when password and code are right; SignInRefused, always in the same words, when not."""
        now = self._clock()
        refused = SignInRefused("name, password or code is wrong, or the account is locked: wait 15 minutes")
        with self._database.read() as s:
            row = s.scalar(select(PersonRow).where(PersonRow.login == login, PersonRow.left_at.is_(None)))
            known = None if row is None else (row.id, row.password)
        # Hashing takes long: never inside the write lock.
        right = self._password_right(self._nobody if known is None else known[1], password)
        if known is None:
            raise refused
        with self._database.write() as s:
            row = _found(s, known[0])
            if row.locked_until is not None and now < row.locked_until:
                accepted = False
            elif right and self._code_right(s, row, code, now):
                row.failures, row.locked_until, accepted = 0, None, True
            else:
                accepted = False
                row.failures += 1
                if row.failures >= FAILURES:
                    row.failures, row.locked_until = 0, now + LOCKED_FOR
            person = person_of(s, row.id)
        if not accepted:
            raise refused
        return person

    def _password_right(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    def _code_right(self, s: Session, row: PersonRow, code: str, now: datetime) -> bool:
        code = code.strip().lower()
        if re.fullmatch(r"\d{6}", code):
            totp = pyotp.TOTP(self._vault.open(row.totp, f"totp {row.id}").decode())
            for step in (-1, 0, 1):
                count = int(now.timestamp()) // 30 + step
                # A code works once: a step already used, or older, is refused.
                if count > row.totp_step and secrets.compare_digest(totp.generate_otp(count), code):
                    row.totp_step = count
                    return True
            return False
        held = s.scalar(
            select(RecoveryRow).where(
                RecoveryRow.person == row.id, RecoveryRow.sha256 == _sha256(code), RecoveryRow.used_at.is_(None)
            )
        )
        if held is None:
            return False
        held.used_at = now
        return True

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
            locked=row.locked_until is not None and self._clock() < row.locked_until,
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
    if len(draft.password) < PASSWORD_LEAST:
        faults.append(f"password: at least {PASSWORD_LEAST} characters")
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


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
