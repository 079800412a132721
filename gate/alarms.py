# SPDX-License-Identifier: AGPL-3.0-or-later
"""Alarms: what a person must know although nobody sits before the screen. Each goes out by mail once a day at most."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import select

from gate.access import NEEDS_HABILITATION
from gate.database import RequisitionRow, fact, keep_fact
from gate.evidence import failure
from gate.gate import Gate
from gate.journal import Because
from gate.mail import Mailer
from gate.messages import OperationsStatus
from gate.proof import last_proof, proofs_since

AGAIN_AFTER = timedelta(days=1)
PROOF_OVERDUE = timedelta(days=2)
STATUS_OVERDUE = timedelta(minutes=10)
"""`passage up` writes what it sees every few seconds; older than this it says nothing of now."""
_FACT = "alarms"


def standing(gate: Gate, now: datetime) -> dict[str, str]:
    """Every alarm that stands now: a stable name, and the sentence."""
    found: dict[str, str] = {}
    for info in gate.people.all():
        if info.left:
            continue
        person = gate.people.person(info.id)
        if person.roles & NEEDS_HABILITATION:
            for warning in gate.people.warnings(person, now):
                found[f"person/{info.id}/{warning.split(' ')[1]}"] = f"{info.name}: {warning}"
    if gate.clock_guard.suspect:
        found["clock"] = f"{gate.clock_guard.suspect}; nothing is destroyed until an administrator confirms the clock"
    status = _status(gate)
    for camera, state in status.cameras.items():
        if state != "recording":
            found[f"camera/{camera}"] = f"camera {camera}: {state}"
    if status.at is not None and now - status.at > STATUS_OVERDUE:
        found["status"] = f"whether cameras record is not known since {status.at:%Y-%m-%d %H:%M} UTC: `passage status`"
    with gate.database.read() as s:
        for row in s.scalars(select(RequisitionRow).where(RequisitionRow.review_due.is_(True))):
            found[f"review/{row.id}"] = f"{row.reference} was opened or widened by one person alone: review it"
        in_force = s.scalars(select(RequisitionRow).where(RequisitionRow.state == "open")).all()
    for row in in_force:
        # What is not secured goes at its date, asked for or not.
        if why := failure(gate, row.id):
            found[f"evidence/{row.id}"] = f"{row.reference}: {why}"
    proof = last_proof(gate)
    if proof is None:
        if now - proofs_since(gate) > PROOF_OVERDUE:
            found["proof"] = "no proof of destruction was ever made: `passage retention prove`"
    elif proof.kind == "proof_failed":
        found["proof"] = f"the proof of destruction of {proof.at:%Y-%m-%d} failed: `passage retention prove`"
    elif now - proof.at > PROOF_OVERDUE:
        found["proof"] = f"the last proof of destruction is of {proof.at:%Y-%m-%d}"
    return found


def raise_alarms(gate: Gate, mail: Mailer, to: tuple[str, ...]) -> list[str]:
    """Send what stands and was not sent within a day, in one mail; the names of what was sent."""
    now = gate.clock()
    alarms = standing(gate, now)
    with gate.database.read() as s:
        sent: dict[str, str] = fact(s, _FACT)
    due = [name for name in alarms if name not in sent or now - datetime.fromisoformat(sent[name]) >= AGAIN_AFTER]
    if not due:
        return []
    text = "\n".join(f"- {alarms[name]}" for name in due)
    if not mail.send(f"Passage, {gate.site.name}: {len(due)} alarm(s)", text + "\n", to):
        return []
    gate.journal.append("event", "alarm", Because(), {"alarms": [alarms[name] for name in due]})
    kept = {name: at for name, at in sent.items() if name in alarms} | {name: now.isoformat() for name in due}
    with gate.database.write() as s:
        keep_fact(s, _FACT, kept)
    return due


def _status(gate: Gate) -> OperationsStatus:
    try:
        data = (gate.site.data / "state" / "status.json").read_bytes()
        return msgspec.json.decode(data, type=OperationsStatus)
    except (FileNotFoundError, msgspec.MsgspecError):
        return OperationsStatus()
