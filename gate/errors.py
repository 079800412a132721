# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the gate refuses, and how it says so.

GateError
├── SignedOut                no session, or one that ended (401)
├── SignInRefused            wrong name, password or code, or locked out (401)
├── Refused                  the rules say no (403); every one of these is journalled
│   ├── DutyRefused          the person's role does not do this
│   ├── HabilitationLapsed   no habilitation or agrément in force
│   ├── BasisNotOpen         the requisition is a draft, closed or expired
│   ├── ActNotPermitted      the basis or the grant does not cover this kind of act
│   ├── OutsideScope         a camera or a second that the grant does not name
│   ├── GrantUnknown         forged, borrowed, withdrawn or expired
│   └── OriginRefused        a page of another site sent the request
├── NotFound                 nothing of that id inside the person's reach (404)
├── Invalid                  what was sent does not hold together; every fault listed (422)
├── Conflict                 the state of things does not allow it now (409)
├── Unavailable              something the gate needs does not answer (503)
│   └── JournalUnwritable    no journal write, no act
└── KeyDestroyed             sealed for good: the private key is gone, or the record was changed (410)
"""

from __future__ import annotations


class GateError(Exception):
    """Root of every error raised in `gate`; `code` and `status` are what the client sees."""

    code = "gate"
    status = 500


class SignedOut(GateError):
    """No session, or one that ended."""

    code = "signed_out"
    status = 401


class SignInRefused(GateError):
    """Wrong name, password or code, or locked out."""

    code = "sign_in_refused"
    status = 401


class Refused(GateError):
    """The rules say no."""

    code = "refused"
    status = 403


class DutyRefused(Refused):
    """The person's role does not do this."""

    code = "duty"


class HabilitationLapsed(Refused):
    """No habilitation or agrément in force."""

    code = "habilitation"


class BasisNotOpen(Refused):
    """The requisition is a draft, closed or expired."""

    code = "basis_not_open"


class ActNotPermitted(Refused):
    """The basis or the grant does not cover this kind of act."""

    code = "act"


class OutsideScope(Refused):
    """A camera or a second that the grant does not name."""

    code = "outside_scope"


class GrantUnknown(Refused):
    """The grant is forged, borrowed, withdrawn or expired."""

    code = "grant"


class OriginRefused(Refused):
    """A page of another site sent the request."""

    code = "origin"


class NotFound(GateError):
    """Nothing of that id inside the person's reach."""

    code = "not_found"
    status = 404


class Invalid(GateError):
    """What was sent does not hold together; `faults` lists everything that is wrong."""

    code = "invalid"
    status = 422

    def __init__(self, *faults: str) -> None:
        super().__init__(faults[0] if len(faults) == 1 else "; ".join(faults))
        self.faults = faults


class Conflict(GateError):
    """The state of things does not allow it now."""

    code = "conflict"
    status = 409


class Unavailable(GateError):
    """Something the gate needs does not answer."""

    code = "unavailable"
    status = 503


class JournalUnwritable(Unavailable):
    """No journal write, no act."""

    code = "journal"


class KeyDestroyed(GateError):
    """What was sealed opens no more: the private key is gone for good, or the record was changed."""

    code = "key_destroyed"
    status = 410


def _tree(root: type[GateError]) -> dict[str, type[GateError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found.update(_tree(child))
    return found


def by_code(code: str, message: str) -> GateError:
    """The error that a client raises for a fault that came over the wire."""
    return _tree(GateError).get(code, GateError)(message)
