# SPDX-License-Identifier: AGPL-3.0-or-later
"""The town's plan for maps, as GeoJSON, if the site has one."""

from __future__ import annotations

from typing import Any

import msgspec

from connectors.site import Site


def streets(site: Site) -> dict[str, Any] | None:
    """The plan's GeoJSON; None without one, or when it cannot be read."""
    if site.plan is None:
        return None
    try:
        plan: dict[str, Any] = msgspec.json.decode(site.plan.read_bytes(), type=dict)
    except (OSError, msgspec.MsgspecError):
        return None
    return plan
