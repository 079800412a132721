# SPDX-License-Identifier: AGPL-3.0-or-later
"""What of the site's settings the courts may ask about, and its changes in the journal.

The gate reads its settings once, at its start: what has changed since its last start is written then. Addresses of
cameras hold passwords and are left out.
"""

from __future__ import annotations

from typing import Any

from connectors.site import Site
from gate.database import fact, keep_fact
from gate.gate import Gate

_FACT = "configuration"


def told(site: Site) -> dict[str, Any]:
    """Setting → value: who may be filmed, how long it is kept, what looks at it, who watches over the journal."""
    basis = site.continuous
    words: dict[str, Any] = {
        "authorisation": site.authorisation,
        "retention_days": site.retention_days,
        "live_hours": site.kafka.live_hours,
        "sealing": site.sealing,
        "detector": site.index.detector,
        "idle_lock_minutes": site.gate.idle_lock_minutes,
        "witnesses": list(site.gate.witnesses),
        "continuous.legal_basis": basis.legal_basis if basis is not None else "",
        "continuous.impact_assessment": basis.impact_assessment if basis is not None else "",
    }
    for camera in site.cameras:
        words[f"camera.{camera.name}"] = (
            f"{camera.label}, {camera.view}, indexed {site.mode(camera).replace('_', ' ')}, "
            f"dwellings {'masked' if camera.masks_dwellings else 'not masked'}"
        )
    return words


def note_changes(gate: Gate) -> dict[str, list[Any]]:
    """Write to the journal what has changed since the gate last started; setting → before, after.

    Raises JournalUnwritable; the change is then written at the next start.
    """
    now = told(gate.site)
    with gate.database.read() as s:
        before = fact(s, _FACT)
    changed = {
        name: [before.get(name), now.get(name)]
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    }
    if changed:
        gate.journal.append("event", "configuration", details={"changed": changed})
        with gate.database.write() as s:
            keep_fact(s, _FACT, now)
    return changed
