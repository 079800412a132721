# SPDX-License-Identifier: AGPL-3.0-or-later
"""What opening or amending a requisition sets going: the signed order to replay its cameras and hours."""

from __future__ import annotations

from gate.gate import Gate
from gate.requisitions import Opened


def begin_work(gate: Gate, opened: Opened) -> None:
    """Begin what a requisition asks for; nothing for the other bases, none of which is indexed."""
    if gate.requisitions.info(opened.requisition).basis != "requisition":
        return
    gate.orders.write(opened, "archive")
