# SPDX-License-Identifier: AGPL-3.0-or-later
"""Closing a requisition erases its own and never another's: runs, topics, copies, index, in that order.

The gate signs the closures and destroys the copies' key at once; what the store holds is erased by the keeper as soon
as the runs that could still write to it are stopped. What was cut off in between is taken up again.
"""

from __future__ import annotations

import logging
import shutil

from sqlalchemy import select

from connectors.archive import ArchiveEraser
from connectors.store import StoreKeeper
from gate.database import RegisterRow, RequisitionRow
from gate.gate import Gate
from gate.journal import Because

log = logging.getLogger("gate.closure")
_ENDED = RequisitionRow.state.in_(("closed", "expired"))


def begin_closure(gate: Gate, requisition: str) -> None:
    """Stop the runs, destroy the secured evidence, its key and the clips in memory. Done again, it changes nothing."""
    gate.clips.forget()
    with gate.evidence_lock:
        for order in gate.requisitions.orders(requisition):
            if gate.orders.known(order):
                gate.orders.close(order, requisition)
        gate.keys.destroy(f"exhibit-{requisition}")
        folder = gate.folders.exhibits / requisition
        if folder.exists():
            shutil.rmtree(folder)


def expire(gate: Gate) -> list[str]:
    """Close the requisitions whose end has passed; their ids."""
    lapsed = gate.requisitions.lapsed()
    for requisition in lapsed:
        with gate.journal.act("requisition.expire", Because(requisition=requisition)):
            gate.requisitions.close(requisition, None, "expired")
            begin_closure(gate, requisition)
    return lapsed


def take_up_closures(gate: Gate) -> list[str]:
    """Begin anew what failed or was cut off after a requisition had ended; the ids of those that it was done for.

    What ends is on record before anything of it is erased, so that a full disk or a lost process in between leaves
    runs, a copy or a key. The intent stands in the journal since then: only what came of it is added.
    """
    with gate.database.read() as s:
        ended = s.execute(select(RequisitionRow.id, RequisitionRow.erased_at).where(_ENDED)).all()
    left = {f.name for f in gate.folders.exhibits.glob("*")} | gate.keys.exhibits()
    taken_up: list[str] = []
    for requisition, erased_at in ended:
        if requisition not in left and (erased_at is not None or not _runs_on(gate, requisition)):
            continue
        try:
            begin_closure(gate, requisition)
        except OSError as fault:
            log.error("the closure of %s cannot be done: %s; it is tried again", requisition, fault)
            continue
        gate.journal.append("event", "requisition.close", Because(requisition=requisition), {"taken_up": True})
        taken_up.append(requisition)
    return taken_up


def _runs_on(gate: Gate, requisition: str) -> bool:
    """Whether the runs of some order were never told to stop."""
    return any(gate.orders.known(o) and not gate.orders.closing(o) for o in gate.requisitions.orders(requisition))


def finish_closures(gate: Gate, keeper: StoreKeeper) -> list[str]:
    """Erase from the store every closed requisition whose runs are stopped; their ids.

    Called by the keeper process, again and again: what cannot be erased keeps no other from it, and waits
    (`retries.py`).
    """
    with gate.database.read() as s:
        waiting = s.scalars(select(RequisitionRow.id).where(_ENDED, RequisitionRow.erased_at.is_(None))).all()
    erased: list[str] = []
    for requisition in waiting:
        orders = gate.requisitions.orders(requisition)
        if any(gate.orders.known(order) and not gate.orders.stopped(order) for order in orders):
            continue
        name = f"erase/{requisition}"
        if not gate.retries.due(name):
            continue
        try:
            _erase(gate, keeper, requisition, orders)
        except Exception as fault:
            gate.retries.failed(name, f"{type(fault).__name__}: {fault}")
            log.error("the index of %s cannot be erased: %s; it is tried again", requisition, gate.retries.why(name))
            continue
        gate.retries.done(name)
        erased.append(requisition)
    return erased


def _erase(gate: Gate, keeper: StoreKeeper, requisition: str, orders: list[str]) -> None:
    with gate.journal.act("requisition.erase", Because(requisition=requisition)):
        # The pictures need no store.
        ArchiveEraser(gate.site.archive_dir).erase_views(requisition)
        keeper.erase_scope(requisition)
        with gate.database.write() as s:
            row = s.get_one(RequisitionRow, requisition)
            row.erased_at = gate.clock()
            s.add(
                RegisterRow(
                    at=gate.clock(), kind="scope_erased", requisition=requisition, details={"orders": list(orders)}
                )
            )
        for order in orders:
            gate.orders.erase(order)
