# SPDX-License-Identifier: AGPL-3.0-or-later
"""The trace as a map (SVG) and a table (CSV) for the exhibit."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

from connectors.site import METRES_PER_DEGREE, CameraSite, Site
from gate.exhibit_words import CLASSES, COLOURS
from gate.messages import Trace
from gate.streets import streets
from gate.town_time import time_of_day, told_time

WIDTH = 1000.0
MARGIN = 60.0


def trace_csv(trace: Trace, site: Site) -> bytes:
    """The table of a trace, for a spreadsheet: semicolons, as French ones expect, and UTF-8 with its mark."""
    out = io.StringIO()
    table = csv.writer(out, delimiter=";", lineterminator="\r\n")
    table.writerow(
        (
            "étape;caméra;lieu;heure locale;heure UTC;type;couleur;probabilité;apparence;"
            "trajet (s);dont à l'arrêt en vue (s);trajet habituel (s);ressemblants;décision;identifiant"
        ).split(";")
    )
    zone = ZoneInfo(site.timezone)
    said = {"none": "", "accepted": "retenu", "rejected": "écarté", "query": "demandé"}
    for number, step in enumerate(trace.steps, 1):
        p = step.passage
        typical = step.travel_typical_s
        table.writerow(
            [
                number,
                p.camera,
                place_of(site, p.camera),
                told_time(p.started_at, zone),
                p.started_at.isoformat(),
                CLASSES.get(p.vehicle_class, p.vehicle_class),
                COLOURS.get(p.colour, p.colour),
                f"{step.probability:.2f}",
                f"{step.look:.2f}",
                "" if step.travel_s is None else f"{step.travel_s:.1f}",
                "" if step.travel_s is None else f"{step.travel_waited_s:.1f}",
                "" if typical is None else f"{typical[0]:.0f}–{typical[1]:.0f}",
                step.rivals,
                said[step.decision],
                p.id,
            ]
        )
    table.writerow([])
    table.writerow([trace.notice])
    return out.getvalue().encode("utf-8-sig")


def trace_svg(trace: Trace, site: Site) -> bytes:
    """The map of a trace: streets where the site has a plan, cameras, and the steps in order."""
    placed = {c.name: spot for c in site.cameras if (spot := degrees(c)) is not None}
    lines = [line for line in _streets(site) if len(line) > 1]
    steps = [placed[s.passage.camera] for s in trace.steps if s.passage.camera in placed]
    points = [*placed.values()]
    if not points:
        return b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>'
    west, east = min(x for x, _ in points), max(x for x, _ in points)
    south, north = min(y for _, y in points), max(y for _, y in points)
    narrow = math.cos(math.radians((north + south) / 2))
    scale = (WIDTH - 2 * MARGIN) / max((east - west) * narrow, north - south, 1e-5)
    height = (north - south) * scale + 2 * MARGIN + 40

    def at(x: float, y: float) -> str:
        return f"{(x - west) * narrow * scale + MARGIN:.1f},{(north - y) * scale + MARGIN:.1f}"

    zone = ZoneInfo(site.timezone)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {height:.0f}" font-family="sans-serif">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        *(f'<polyline points="{" ".join(at(*p) for p in line)}" fill="none" stroke="#c9d2da"/>' for line in lines),
    ]
    if len(steps) > 1:
        path = " ".join(at(*p) for p in steps)
        out.append(f'<polyline points="{path}" fill="none" stroke="#b3261e" stroke-width="3" stroke-dasharray="8 5"/>')
    for camera in site.cameras:
        if camera.name in placed:
            x, y = at(*placed[camera.name]).split(",")
            out.append(f'<circle cx="{x}" cy="{y}" r="6" fill="#1f4e79"/>')
            label = escape(camera.label)
            out.append(f'<text x="{x}" y="{float(y) + 22:.1f}" font-size="13" fill="#1f4e79">{label}</text>')
    for number, step in enumerate(trace.steps, 1):
        if step.passage.camera in placed:
            x, y = at(*placed[step.passage.camera]).split(",")
            up = float(y) - 12 - 16 * sum(s.passage.camera == step.passage.camera for s in trace.steps[: number - 1])
            text = f"{number}. {time_of_day(step.passage.started_at, zone)} ({step.probability:.2f})"
            out.append(f'<text x="{x}" y="{up:.1f}" font-size="13" fill="#b3261e">{text}</text>')
    out.append(f'<text x="{MARGIN}" y="{height - 14:.0f}" font-size="14">{escape(trace.notice)}</text></svg>')
    return "\n".join(out).encode()


def degrees(camera: CameraSite) -> tuple[float, float] | None:
    """Where a camera stands as east and north in degrees; metres of a town's own plan are turned into such."""
    if camera.position_wgs84 is not None:
        return camera.position_wgs84[1], camera.position_wgs84[0]
    if camera.position_m is not None:
        return camera.position_m[0] / METRES_PER_DEGREE, camera.position_m[1] / METRES_PER_DEGREE
    return None


def _streets(site: Site) -> Iterator[list[tuple[float, float]]]:
    plan: dict[str, Any] = streets(site) or {}
    for feature in plan.get("features", ()):
        geometry = feature.get("geometry") or {}
        if geometry.get("type") == "LineString":
            yield [(float(x), float(y)) for x, y, *_ in geometry["coordinates"]]


def place_of(site: Site, camera: str) -> str:
    """What people call a camera and where it stands; its name where the site has it no more."""
    found = next((c for c in site.cameras if c.name == camera), None)
    return camera if found is None else ", ".join(dict.fromkeys(w for w in (found.label, found.place) if w))
