# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a person signs in with: a password, an authenticator's one-time codes, printed recovery codes.

The administrator issues the first ones and hands them over; the person then chooses their own (`renew`), which nobody
else has ever seen. Until then the gate reminds them at every sign-in.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from gate.database import Database, PersonRow, RecoveryRow, RenewalRow, SessionRow
from gate.errors import Invalid, NotFound, SignInRefused
from gate.messages import Renewal, Renewed
from gate.secrets import Vault

FAILURES = 5
"""Wrong sign-ins in a row before the account locks."""
LOCKED_FOR = timedelta(minutes=15)
PASSWORD_LEAST = 12
RECOVERY_CODES = 8


class Authenticators:
    """Issues, checks and renews them. Only hashes of passwords and recovery codes are kept."""

    def __init__(
        self, database: Database, vault: Vault, clock: Callable[[], datetime], hasher: PasswordHasher | None = None
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._hasher = hasher or PasswordHasher()
        # Checked when no such login exists, so that the answer takes as long.
        self._nobody = self._hasher.hash(secrets.token_urlsafe(16))

    def hashed(self, password: str) -> str:
        """What is kept of a password. Slow by design: never inside the database's write lock."""
        return self._hasher.hash(password)

    def issue(self, s: Session, row: PersonRow, hashed: str, *, own_password: bool = False) -> Renewed:
        """New ones for a person whom somebody else gives them to; `hashed` is of the first password."""
        row.password = hashed
        issued = self._new_authenticator(s, row)
        s.execute(delete(RenewalRow).where(RenewalRow.person == row.id))
        if own_password:
            s.add(RenewalRow(person=row.id, renewed_at=self._clock()))
        return issued

    def reissue(self, person_id: str, password: str) -> Renewed:
        """New ones for somebody who has lost theirs: their sessions end, a locked account is unlocked."""
        check_password(password)
        hashed = self.hashed(password)
        with self._database.write() as s:
            row = s.get(PersonRow, person_id)
            if row is None or row.left_at is not None:
                raise NotFound("no such person, or their account is closed: `passage people list` shows them all")
            issued = self.issue(s, row, hashed)
            self._end_sessions(s, row)
            return issued

    def check(self, login: str, password: str, code: str) -> str:
        """The id of the person whose password and code these are; SignInRefused, always in the same words, when not."""
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
            row = s.get_one(PersonRow, known[0])
            if locked(row, now):
                accepted = False
            elif right and self._code_right(s, row, code, now):
                row.failures, row.locked_until, accepted = 0, None, True
            else:
                accepted = False
                row.failures += 1
                if row.failures >= FAILURES:
                    row.failures, row.locked_until = 0, now + LOCKED_FOR
        if not accepted:
            raise refused
        return known[0]

    def renew(self, person_id: str, wanted: Renewal) -> Renewed:
        """The person's own choice, after `check`: a new password, and a new authenticator where they want one.

        Every session of theirs ends, so that whoever used the old password is out.
        """
        hashed = self.hashed(wanted.new_password)
        with self._database.write() as s:
            row = s.get_one(PersonRow, person_id)
            row.password = hashed
            s.merge(RenewalRow(person=person_id, renewed_at=self._clock()))
            self._end_sessions(s, row)
            return self._new_authenticator(s, row) if wanted.new_authenticator else Renewed()

    def own(self, person_id: str) -> bool:
        """Whether the person has chosen their own password since it was issued to them."""
        with self._database.read() as s:
            return s.get(RenewalRow, person_id) is not None

    def _new_authenticator(self, s: Session, row: PersonRow) -> Renewed:
        """A new secret and new recovery codes; the old ones are worth nothing from now on."""
        secret = pyotp.random_base32(32)
        codes = tuple("-".join(secrets.token_hex(2) for _ in range(4)) for _ in range(RECOVERY_CODES))
        row.totp, row.totp_step = self._vault.seal(secret.encode(), f"totp {row.id}"), 0
        row.failures, row.locked_until = 0, None
        s.add(row)
        s.flush()
        s.execute(delete(RecoveryRow).where(RecoveryRow.person == row.id))
        s.add_all(RecoveryRow(person=row.id, sha256=_sha256(code)) for code in codes)
        uri = pyotp.TOTP(secret).provisioning_uri(name=row.login, issuer_name="Passage")
        return Renewed(totp_uri=uri, recovery_codes=codes)

    def _end_sessions(self, s: Session, row: PersonRow) -> None:
        running = (SessionRow.person == row.id, SessionRow.ended_at.is_(None))
        s.execute(update(SessionRow).where(*running).values(ended_at=self._clock()))

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


def locked(row: PersonRow, now: datetime) -> bool:
    """Whether wrong sign-ins have locked the account; never longer than `LOCKED_FOR`, whatever the clock did since."""
    return row.locked_until is not None and row.locked_until - LOCKED_FOR <= now < row.locked_until


def check_renewal(wanted: Renewal) -> None:
    """Refuse a new password that is none, before the old one is looked at: a mistyped form costs no code."""
    check_password(wanted.new_password)
    if wanted.new_password == wanted.password:
        raise Invalid("new password: not the one you have")


def check_password(password: str) -> None:
    """Raises Invalid for one that is too short."""
    if fault := password_fault(password):
        raise Invalid(fault)


def password_fault(password: str) -> str:
    """What is wrong with a password; nothing when it will do."""
    return f"password: at least {PASSWORD_LEAST} characters" if len(password) < PASSWORD_LEAST else ""


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
