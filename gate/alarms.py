# SPDX-License-Identifier: AGPL-3.0-or-later
"""Alarms: what a person must know although nobody sits before the screen. Each goes out by mail once a day at most."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

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
ERASURE_OVERDUE = timedelta(hours=6)
"""After the end of a requisition: its runs stop and its index goes within minutes."""
STATUS_OVERDUE = timedelta(minutes=10)
"""`passage up` writes what it sees every few seconds; older than this it says nothing of now."""
_FACT = "alarms"


class Alarm(NamedTuple):
    """One alarm as it is said to the people of the town, and in English as everything a process says."""

    french: str
    english: str


def standing(gate: Gate, now: datetime) -> dict[str, Alarm]:
    """Every alarm that stands now, by a stable name."""
    found = _of_people(gate, now) | _of_cameras(gate, now) | _of_requisitions(gate, now) | _of_proofs(gate, now)
    if why := gate.clock_guard.suspect:
        found["clock"] = Alarm(
            f"horloge douteuse : rien n'est détruit tant qu'un administrateur ne l'a pas confirmée ({why})",
            f"{why}; nothing is destroyed until an administrator confirms the clock",
        )
    return found


def _of_people(gate: Gate, now: datetime) -> dict[str, Alarm]:
    found: dict[str, Alarm] = {}
    for info in gate.people.all():
        if info.left:
            continue
        person = gate.people.person(info.id)
        if person.roles & NEEDS_HABILITATION:
            for warning in gate.people.warnings(person, now):
                found[f"person/{info.id}/{warning.split(' ')[1]}"] = Alarm(
                    f"{info.name} : habilitation, agrément ou mot de passe à revoir ({warning})",
                    f"{info.name}: {warning}",
                )
    return found


def _of_cameras(gate: Gate, now: datetime) -> dict[str, Alarm]:
    found: dict[str, Alarm] = {}
    status = _status(gate)
    for camera, state in status.cameras.items():
        if state != "recording":
            found[f"camera/{camera}"] = Alarm(
                f"la caméra {camera} n'enregistre pas ({state})", f"camera {camera}: {state}"
            )
    if status.at is not None and now - status.at > STATUS_OVERDUE:
        since = f"{status.at:%Y-%m-%d %H:%M} UTC"
        found["status"] = Alarm(
            f"on ne sait plus depuis le {since} si les caméras enregistrent : `passage status`",
            f"whether cameras record is not known since {since}: `passage status`",
        )
    return found


def _of_requisitions(gate: Gate, now: datetime) -> dict[str, Alarm]:
    found: dict[str, Alarm] = {}
    with gate.database.read() as s:
        rows = s.scalars(select(RequisitionRow)).all()
    for row in rows:
        if row.review_due:
            found[f"review/{row.id}"] = Alarm(
                f"{row.reference} a été ouverte ou étendue par une seule personne : à vérifier",
                f"{row.reference} was opened or widened by one person alone: review it",
            )
        # What is not secured goes at its date, asked for or not.
        if row.state == "open" and (why := failure(gate, row.id)):
            found[f"evidence/{row.id}"] = Alarm(
                f"{row.reference} : les images demandées ne sont pas encore mises à l'abri ({why})",
                f"{row.reference}: {why}",
            )
        if row.erased_at is None and row.closed_at is not None and now - row.closed_at > ERASURE_OVERDUE:
            found[f"erase/{row.id}"] = Alarm(
                f"{row.reference} est close depuis le {row.closed_at:%Y-%m-%d %H:%M} UTC et son index n'est pas "
                "effacé : logs/keeper.log",
                f"{row.reference} was closed on {row.closed_at:%Y-%m-%d %H:%M} UTC and its index is not erased: "
                "logs/keeper.log",
            )
    return found


def _of_proofs(gate: Gate, now: datetime) -> dict[str, Alarm]:
    proof, how = last_proof(gate), "`passage retention prove`"
    if proof is None:
        if now - proofs_since(gate) <= PROOF_OVERDUE:
            return {}
        said = Alarm(
            f"aucune preuve de destruction n'a jamais été faite : {how}",
            f"no proof of destruction was ever made: {how}",
        )
    elif proof.kind == "proof_failed":
        said = Alarm(
            f"la preuve de destruction du {proof.at:%Y-%m-%d} a échoué : {how}",
            f"the proof of destruction of {proof.at:%Y-%m-%d} failed: {how}",
        )
    elif now - proof.at > PROOF_OVERDUE:
        said = Alarm(
            f"la dernière preuve de destruction est du {proof.at:%Y-%m-%d} : {how}",
            f"the last proof of destruction is of {proof.at:%Y-%m-%d}: {how}",
        )
    else:
        return {}
    return {"proof": said}


def raise_alarms(gate: Gate, mail: Mailer, to: tuple[str, ...]) -> list[str]:
    """Send what stands and was not sent within a day, in one mail; the names of what was sent."""
    now = gate.clock()
    alarms = standing(gate, now)
    with gate.database.read() as s:
        sent: dict[str, str] = fact(s, _FACT)
    due = [name for name in alarms if name not in sent or now - datetime.fromisoformat(sent[name]) >= AGAIN_AFTER]
    if not due:
        return []
    french = "\n".join(f"- {alarms[name].french}" for name in due)
    english = "\n".join(f"- {alarms[name].english}" for name in due)
    if not mail.send(f"Passage, {gate.site.name} : {len(due)} alerte(s)", f"{french}\n\nIn English:\n{english}\n", to):
        return []
    gate.journal.append("event", "alarm", Because(), {"alarms": [alarms[name].english for name in due]})
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
