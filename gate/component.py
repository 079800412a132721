# SPDX-License-Identifier: AGPL-3.0-or-later
"""Data keys for indexing: of an open requisition's cameras and hours, or of the live hours of continuous cameras.

Only these leave the gate, one camera's one hour each, to a component with its own token; no private key ever does.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from connectors.bounds import Interval
from connectors.errors import KeyUnavailable, SealError
from connectors.gop import Seal
from gate.access import may_index
from gate.errors import BasisNotOpen, KeyDestroyed, NotFound, OutsideScope, Refused
from gate.gate import Gate
from gate.journal import Because
from gate.messages import KeyRequest
from gate.requisitions import basis_of
from reid.passage import LIVE

_KEY_ID = re.compile(r"(?P<camera>[a-z0-9-]{1,48})/(?P<hour>\d{4}-\d{2}-\d{2}T\d{2})/(?P<run>.{1,80})")
REACH = timedelta(minutes=2)
"""A group of pictures that reaches into an interval may have begun this long before it."""


def data_keys(gate: Gate, request: KeyRequest) -> list[bytes]:
    """The data keys inside the seals, all or none; every refusal is journalled."""
    because = Because(person="flows.index", requisition=request.scope[:80])
    try:
        asked = [_allowed(gate, request.scope, seal) for seal in request.seals]
        return [_open(gate, seal, request.scope) for seal in asked]
    except (Refused, KeyDestroyed) as refusal:
        details = {"why": str(refusal), "seals": sorted({s.key_id[:120] for s in request.seals})[:20]}
        gate.journal.append("refusal", "data_keys", because, details)
        raise


def _open(gate: Gate, seal: Seal, scope: str) -> bytes:
    try:
        return gate.keys.data_key(seal, scope)
    except KeyUnavailable as fault:
        raise KeyDestroyed(str(fault)) from None
    except SealError as fault:
        raise OutsideScope(str(fault)) from None


def _allowed(gate: Gate, scope: str, seal: Seal) -> Seal:
    """The seal, when the scope covers its camera and hour. The key's id is authenticated by the seal itself."""
    found = _KEY_ID.fullmatch(seal.key_id)
    if found is None:
        raise OutsideScope(f"{seal.key_id[:80]!r} names no camera and hour")
    camera = found["camera"]
    hour = datetime.fromisoformat(found["hour"] + ":00:00").replace(tzinfo=UTC)
    covers = Interval(hour, hour + timedelta(hours=1))
    if scope == LIVE:
        _live_allowed(gate, camera, covers)
        return seal
    if seal.day.startswith("exhibit-") and seal.day != f"exhibit-{scope}":
        raise OutsideScope("this was secured for another requisition")
    with gate.database.read() as s:
        try:
            basis = basis_of(s, scope)
        except NotFound:
            raise BasisNotOpen("no such requisition") from None
    may_index(basis, camera, covers, REACH, gate.now())
    return seal


def _live_allowed(gate: Gate, camera: str, covers: Interval) -> None:
    site = gate.site
    known = {c.name: site.mode(c) for c in site.cameras}
    if known.get(camera) != "continuous":
        raise OutsideScope(f"{camera} is not indexed continuously")
    if covers.end < gate.now() - timedelta(hours=site.kafka.live_hours):
        raise OutsideScope(f"{covers.start:%Y-%m-%d %H}h UTC is no longer live")
