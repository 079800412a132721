# SPDX-License-Identifier: AGPL-3.0-or-later
"""What of a refused site file can be used to look for other faults: taken ports, missing files, room on the disk."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from connectors.site import Site, resolved

MOST_ROUNDS = 20
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


def site_remains(path: Path) -> Site | None:
    """The site of a refused file without its faulty settings, to be looked at and never started.

    None where nothing can be made of it: no file, no TOML.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    for _ in range(MOST_ROUNDS):  # a fault may hide others: those between settings are looked for last
        try:
            return resolved(Site.model_validate(raw), path)
        except ValidationError as refused:
            for fault in refused.errors(include_input=False, include_url=False):
                _leave_out(raw, fault["loc"], fault["type"] == "missing")
    return None


def _leave_out(raw: dict[str, Any], place: tuple[int | str, ...], missing: bool) -> None:
    """Do without the setting at that place."""
    if not place or place[0] == "camera":
        raw["camera"] = _plausible(raw.get("camera"))
        raw.pop("indexing", None)
        return
    first = str(place[0])
    section = raw.get(first)
    if isinstance(section, dict) and len(place) > 1 and not missing:
        section.pop(str(place[1]), None)
    elif missing and len(place) == 1:
        raw[first] = "?"  # only a name is asked for
    else:
        raw.pop(first, None)


def _plausible(cameras: object) -> list[dict[str, Any]]:
    """A sound camera for each that names its video, to see whether the file is there."""
    found: dict[str, dict[str, Any]] = {}
    for number, camera in enumerate(cameras if isinstance(cameras, list) else ()):
        url = camera.get("url") if isinstance(camera, dict) else None
        if not isinstance(url, str):
            continue
        name = str(camera.get("name"))
        if name in found or not _NAME.fullmatch(name):
            name = f"no-{number}"
        if "://" in url:
            found[name] = {"url": "rtsp://192.0.2.1/"}
        else:
            found[name] = {"url": url, "start_utc": "2000-01-01T00:00:00Z"}
    none = {"none": {"url": "rtsp://192.0.2.1/"}}
    return [{"name": n, "label": n, "masks_dwellings": True, **c} for n, c in (found or none).items()]
