# SPDX-License-Identifier: AGPL-3.0-or-later
"""Securing the evidence: what a requisition asks for is copied at its opening; no retention overtakes the inquiry.

The copy lies in `exhibits/<requisition>`, laid out like the archive, sealed again under the requisition's own key pair,
and lives until the requisition ends. Only then is the order signed that replays and indexes it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import replace

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import select

from connectors.archive import ArchiveWriter
from connectors.bounds import Bounds
from connectors.errors import ConnectorError
from connectors.gop import FrameRecord, Gap, Gop, Seal
from connectors.sealing import KEY_BYTES, NONCE_BYTES, associated_data, seal_data_key
from gate.access import LegalBasis
from gate.database import OrderRow, RequisitionRow
from gate.errors import BasisNotOpen, GateError, KeyDestroyed
from gate.gate import Gate
from gate.journal import Because, Outcome
from gate.reasons import CLOSED
from gate.requisitions import Opened, basis_of, order_of

log = logging.getLogger("gate.evidence")


class Evidence:
    """Copies what opened requisitions ask for, one order after another; one that was cut off is taken up again."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._one = threading.Lock()
        self._doing: dict[str, tuple[float, float]] = {}

    def pending(self) -> list[Opened]:
        """Orders of requisitions in force that are not written yet, oldest first."""
        now = self._gate.now()
        with self._gate.database.read() as s:
            rows = s.execute(
                select(OrderRow, RequisitionRow)
                .join(RequisitionRow, RequisitionRow.id == OrderRow.requisition)
                .where(
                    RequisitionRow.state == "open",
                    RequisitionRow.basis == "requisition",
                    RequisitionRow.expires_at > now,
                )
                .order_by(OrderRow.issued_at, OrderRow.id)
            ).all()
            return [order_of(order, row) for order, row in rows if not self._gate.orders.known(order.id)]

    def secure_pending(self) -> int:
        """Copy and then order everything that waits; how many orders were written. What failed waits (`retries.py`)."""
        written, retries = 0, self._gate.retries
        with self._one:
            for opened in self.pending():
                if not retries.due(_name(opened.order)):
                    continue
                try:
                    self._secure(opened)
                    retries.done(_name(opened.order))
                    written += 1
                except Exception as fault:
                    # The words of an unforeseen error might quote what was read: its kind is enough.
                    foreseen = isinstance(fault, GateError | ConnectorError | OSError)
                    why = fault if foreseen else type(fault).__name__
                    retries.failed(_name(opened.order), f"securing the evidence failed ({why}); it is tried again")
                    log.warning("securing %s: %s", opened.order, why, exc_info=not foreseen)
                finally:
                    self._doing.pop(opened.requisition, None)
        return written

    def message(self, requisition: str) -> str:
        """How far the copy of one requisition has come, for its progress; empty when none is under way."""
        if requisition in self._doing:
            done, asked = self._doing[requisition]
            return f"securing the evidence: {done:.0f} of {asked:.0f} s"
        return failure(self._gate, requisition)

    def _secure(self, opened: Opened) -> None:
        gate = self._gate
        because = Because(
            requisition=opened.requisition, reference=gate.requisitions.info(opened.requisition).reference
        )
        details = {"order": opened.order, "cameras": list(opened.cameras), "until": opened.expires_at.isoformat()}
        with gate.journal.act("evidence.secure", because, details) as outcome:
            self._copy(opened, outcome)
            with gate.evidence_lock:
                # It may have been prolonged while it was copied.
                ends = _in_force(gate, opened.requisition).expires_at
                gate.orders.write(replace(opened, expires_at=ends), "exhibits")

    def _copy(self, opened: Opened, outcome: Outcome) -> None:
        gate = self._gate
        with gate.evidence_lock:
            _in_force(gate, opened.requisition)
            sealer = Resealer(gate.keys.make_exhibit_key(opened.requisition), gate)
            folder = gate.folders.exhibits / opened.requisition
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        asked = len(opened.cameras) * sum((i.end - i.start).total_seconds() for i in opened.intervals)
        done, copied, size, lost = 0.0, 0, 0, 0
        writer = ArchiveWriter(folder)
        try:
            for gop in self._footage(opened):
                try:
                    again = sealer.seal(gate.footage.open(gop, opened.requisition))
                except KeyDestroyed as fault:
                    log.warning("securing %s: %s", opened.order, fault)
                    lost += 1
                    self._keep(opened, writer, _closed(gop))
                    continue
                if self._keep(opened, writer, again):
                    copied, size = copied + 1, size + len(again.payload)
                done += (gop.last_at - gop.first_at).total_seconds()
                self._doing[opened.requisition] = (done, asked)
            for camera in opened.cameras:
                for interval in opened.intervals:
                    for gap in gate.archive.gaps(camera, interval):
                        self._keep(opened, writer, gap)
            writer.sync()
        finally:
            writer.close()
        outcome.note(groups=copied, bytes=size, lost=lost)

    def _keep(self, opened: Opened, writer: ArchiveWriter, record: FrameRecord) -> bool:
        """Write one record of a copy, False when it is there; BasisNotOpen, with nothing written, after a closure."""
        with self._gate.evidence_lock:
            _in_force(self._gate, opened.requisition)
            return writer.append(record)

    def _footage(self, opened: Opened) -> Iterator[Gop]:
        gate = self._gate
        bounds = Bounds(opened.requisition, frozenset(opened.cameras), opened.intervals, gate.not_before())
        for camera in opened.cameras:
            yield from gate.footage.sealed(bounds, camera)


class Resealer:
    """Seals groups of pictures under a requisition's key pair, with a fresh data key for each camera, hour and run."""

    def __init__(self, key_pair: str, gate: Gate) -> None:
        self._key_pair = key_pair
        self._public: X25519PublicKey = gate.keys.public(key_pair)
        self._held: dict[str, tuple[bytes, bytes]] = {}

    def seal(self, gop: Gop) -> Gop:
        """The same group of pictures, in clear before, as ciphertext that only this requisition's key opens."""
        key_id = f"{gop.camera}/{gop.first_at:%Y-%m-%dT%H}/{gop.run}"
        if key_id not in self._held:
            data_key = os.urandom(KEY_BYTES)
            self._held[key_id] = (data_key, seal_data_key(data_key, self._public, key_id))
        data_key, sealed_key = self._held[key_id]
        seal = Seal(key_id=key_id, day=self._key_pair, sealed_key=sealed_key, nonce=os.urandom(NONCE_BYTES))
        ciphertext = AESGCM(data_key).encrypt(seal.nonce, gop.payload, associated_data(gop, seal))
        return msgspec.structs.replace(gop, seal=seal, payload=ciphertext)


def _closed(gop: Gop) -> Gap:
    """What stands in a copy for a group of pictures that does not open: the replay, and so the coverage, tells why."""
    return Gap(
        camera=gop.camera,
        scope=gop.scope,
        run=gop.run,
        sequence=gop.sequence,
        started_at=gop.first_at,
        ended_at=gop.last_at,
        reason=CLOSED,
    )


def failure(gate: Gate, requisition: str) -> str:
    """Why something that a requisition asks for is not secured yet; empty where nothing failed."""
    orders = gate.requisitions.orders(requisition)
    said = (gate.retries.why(_name(order)) for order in orders if not gate.orders.known(order))
    return next(filter(None, said), "")


def _name(order: str) -> str:
    return f"evidence/{order}"


def _in_force(gate: Gate, requisition: str) -> LegalBasis:
    with gate.database.read() as s:
        basis = basis_of(s, requisition)
    if not basis.in_force(gate.now()):
        raise BasisNotOpen(f"{basis.reference} is no longer in force")
    return basis
