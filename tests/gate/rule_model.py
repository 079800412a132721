# SPDX-License-Identifier: AGPL-3.0-or-later
"""The rules again, written from the law and not from the code: what the property test holds the gate against."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

ALL_ACTS = {"rewind", "search", "picture", "video", "trace", "export"}
LAWFUL_ACTS = {
    "requisition": ALL_ACTS,
    "habilitated_officer": {"rewind", "video", "picture"},
    "access_request": {"rewind", "video"},
    "inspection": {"rewind", "video"},
    "maintenance": {"picture"},
}


@dataclass
class Somebody:
    """A person as the town hall's file has them."""

    login: str
    technician: bool
    municipal: bool
    habilitated_until: datetime | None
    agreed_until: datetime | None
    gone: bool = False
    roles: frozenset[str] = frozenset()


@dataclass
class Paper:
    """A requisition or another basis, as the paper has it. Seconds count from the start of the recordings."""

    id: str
    basis: str
    state: str
    cameras: set[str]
    start: float
    end: float
    expires: datetime


def may_work(who: Somebody, now: datetime) -> bool:
    if who.gone or not who.technician:
        return False
    if who.habilitated_until is None or who.habilitated_until <= now:
        return False
    return not who.municipal or (who.agreed_until is not None and now < who.agreed_until)


DESKS = {
    "the register": {"registrar", "technician", "auditor"},
    "requisitions": {"registrar"},
    "reviews": {"auditor"},
    "the journal": {"auditor"},
    "accounts": {"administrator"},
    "the clock": {"administrator"},
    "reports": {"administrator", "registrar", "auditor"},
}
"""Who sits where in the town hall; nobody sees a picture there."""
NEED_HABILITATION = {"registrar", "technician"}


def may_sit(who: Somebody, desk: str, now: datetime) -> bool:
    """Whether a person may do the work of a desk today."""
    habilitated = who.habilitated_until is not None and now < who.habilitated_until
    return not who.gone and any(r not in NEED_HABILITATION or habilitated for r in who.roles & DESKS[desk])


def in_force(paper: Paper, now: datetime) -> bool:
    return paper.state == "open" and now < paper.expires


def may_have(
    who: Somebody, paper: Paper, acts: set[str], cameras: set[str], span: tuple[float, float] | None, now: datetime
) -> bool:
    """Whether a grant of this much is lawful."""
    wanted = cameras or paper.cameras
    start, end = span or (paper.start, paper.end)
    return (
        may_work(who, now)
        and in_force(paper, now)
        and bool(acts)
        and acts <= LAWFUL_ACTS[paper.basis]
        and wanted <= paper.cameras
        and paper.start <= start < end <= paper.end
    )


@dataclass
class Leave:
    """A grant that was given."""

    who: Somebody
    paper: Paper
    acts: set[str]
    cameras: set[str]
    start: float
    end: float


def may_do(leave: Leave, act: str, cameras: set[str], span: tuple[float, float] | None, now: datetime) -> bool:
    """Whether an act under it is lawful now."""
    start, end = span or (leave.start, leave.end)
    return (
        may_have(leave.who, leave.paper, leave.acts, leave.cameras, (leave.start, leave.end), now)
        and act in leave.acts
        and cameras <= leave.cameras
        and leave.start <= start < end <= leave.end
    )


def may_show(leave: Leave, now: datetime, began: datetime, secured: bool, month: timedelta) -> set[tuple[str, int]]:
    """Every (camera, second after `began`) that anything under it may show, now."""
    if not (may_work(leave.who, now) and in_force(leave.paper, now)):
        return set()
    oldest = -1e9 if secured else (now - month - began).total_seconds()
    first, last = max(leave.start, oldest), leave.end
    return {(c, s) for c in leave.cameras for s in range(60) if s + 1 > first and s < last}
