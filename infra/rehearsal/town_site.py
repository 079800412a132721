# SPDX-License-Identifier: AGPL-3.0-or-later
"""A site file for a rendered town: its videos as file cameras, its clock moved to a given moment."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from infra.rehearsal.errors import TruthError


def described(town: Path) -> dict[str, Any]:
    """The town's `town.json`. Raises TruthError when it is no rendered town."""
    file = town / "town.json"
    try:
        text: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as fault:
        raise TruthError(
            f"{town} is no rendered town ({fault}); `passage town render --plan PLAN --out {town}` makes one"
        ) from None
    return text


def camera_starts(town: Path, start: datetime) -> dict[str, datetime]:
    """What each camera's own clock says at its first frame, when the town's time 0 is `start` (aware UTC)."""
    start = start.astimezone(UTC)
    return {c["name"]: start + timedelta(seconds=float(c["clock_offset_s"])) for c in described(town)["cameras"]}


def site_name(camera: str) -> str:
    """A camera's name as site files write it: small letters, digits, dashes."""
    return "".join(ch if ch.isalnum() else "-" for ch in camera.lower()).strip("-")


def site_toml(
    town: Path,
    start: datetime,
    data: Path,
    *,
    name: str = "",
    continuous: Collection[str] = (),
    ports_from: int = 21000,
    detector: str = "passage-detector-v1",
    extra: str = "",
) -> str:
    """The text of a site file; `continuous` names the cameras (as the town does) to index continuously.

    Ports are `ports_from` (Kafka, two of them), +10 store, +20 gate, +30 application, +40 first of the metrics.
    """
    about = described(town)
    starts = camera_starts(town, start)
    lines = [
        f"name = {json.dumps(name or about['name'], ensure_ascii=False)}",
        f"data = {json.dumps(str(data))}",
        'authorisation = "répétition : ville imaginaire"',
        f"metrics_port = {ports_from + 40}",
    ]
    if continuous:
        lines += ["[continuous]", 'legal_basis = "répétition : ville imaginaire"', 'impact_assessment = "sans objet"']
    lines += ["[kafka]", f"port = {ports_from}", "[store]", f"port = {ports_from + 10}"]
    lines += ["[gate]", f"port = {ports_from + 20}", "[dashboard]", f"port = {ports_from + 30}"]
    lines += ["[index]", f"detector = {json.dumps(detector)}", extra]
    for camera in about["cameras"]:
        video = (town / camera["file"]).resolve()
        lines += [
            "[[camera]]",
            f"name = {json.dumps(site_name(camera['name']))}",
            f"label = {json.dumps(camera['place'] or camera['name'], ensure_ascii=False)}",
            f"url = {json.dumps(str(video))}",
            f"start_utc = {starts[camera['name']].isoformat()}",
            'pace = "fast"',
            f"position_m = [{camera['at'][0]}, {camera['at'][1]}]",
            f"heading_deg = {camera['heading_deg']}",
            "masks_dwellings = true",
        ]
        if camera["name"] in continuous:
            lines.append('indexing = "continuous"')
    return "\n".join(lines) + "\n"
