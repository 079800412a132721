# SPDX-License-Identifier: AGPL-3.0-or-later
"""Closing a requisition erases its own and never another's: runs, topics, copies, index, in that order.

The gate signs the closures and destroys the copies' key at once; what the store holds is erased by the keeper as soon
as the runs that could still write to it are stopped.
"""

from __future__ import annotations

import shutil

from sqlalchemy import select

from connectors.archive import ArchiveEraser
from connectors.store import StoreKeeper
from gate.database import RegisterRow, RequisitionRow
from gate.gate import Gate
from gate.journal import Because


def begin_closure(gate: Gate, requisition: str) -> None:
    """Stop the runs, destroy the secured evidence and its key. Done again, it changes nothing."""
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


def finish_closures(gate: Gate, keeper: StoreKeeper) -> list[str]:
    """Erase from the store every closed requisition whose runs are stopped; their ids.

    Called by the keeper process, again and again: what could not be erased now is erased at the next call.
    """
    with gate.database.read() as s:
        waiting = s.scalars(
            select(RequisitionRow.id).where(
                RequisitionRow.state.in_(("closed", "expired")), RequisitionRow.erased_at.is_(None)
            )
        ).all()
    erased: list[str] = []
    for requisition in waiting:
        orders = gate.requisitions.orders(requisition)
        if any(gate.orders.known(order) and not gate.orders.stopped(order) for order in orders):
            continue
        with gate.journal.act("requisition.erase", Because(requisition=requisition)):
            keeper.erase_scope(requisition)
            ArchiveEraser(gate.site.archive_dir).erase_views(requisition)
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
        erased.append(requisition)
    return erased
