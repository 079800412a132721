# SPDX-License-Identifier: AGPL-3.0-or-later
"""Drawings for a person: the plan with its cameras and a vehicle's true path, and boxes over video."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.rehearsal.world import Camera, Ground, Point, Town

PLAN_COLOURS = {"road": "#8d9299", "sidewalk": "#d9d4cb", "cycle": "#b8d8b2", "parking": "#b4b8bd"}
VIEW_DEPTH_M = 45.0


def draw_plan(
    town: Town,
    out: Path,
    paths: dict[str, Sequence[Point]] | None = None,
    passed: Sequence[str] = (),
) -> None:
    """Writes the plan as PNG or SVG (by the ending of `out`), `paths` by vehicle on top, `passed` cameras in red."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    x_min, y_min, x_max, y_max = town.ground.bounds
    wide, high = x_max - x_min, y_max - y_min
    # SVG ids are random unless salted; a drawing of one plan is always the same file.
    with pyplot.rc_context({"svg.hashsalt": "passage", "font.family": "DejaVu Sans"}):
        figure, axes = pyplot.subplots(figsize=(14, max(5.0, 14 * high / wide)))
        _ground(axes, town.ground)
        for camera in town.cameras:
            _camera(axes, camera, camera.name in passed)
        for number, (name, path) in enumerate((paths or {}).items()):
            axes.plot(*zip(*path, strict=True), lw=2.2, color=f"C{number}", label=name, zorder=8)
        if paths:
            axes.legend(loc="upper right")
        axes.set_xlim(x_min, x_max)
        axes.set_ylim(y_min, y_max)
        axes.set_aspect("equal")
        axes.set_xlabel("m")
        axes.set_title(town.notes.get("title") or town.name)
        metadata: dict[str, Any] = {"Date": None} if out.suffix == ".svg" else {"Software": None}
        figure.savefig(out, dpi=110, bbox_inches="tight", metadata=metadata)
        pyplot.close(figure)


def _ground(axes: Any, ground: Ground) -> None:
    from matplotlib.patches import Polygon
    from shapely.geometry import LineString

    axes.set_facecolor("#eef0e6")
    for building in ground.buildings:
        axes.add_patch(Polygon(building.footprint, fc="#c9b8a8", ec="#8f8378", lw=0.4, zorder=2))
    for junction in ground.junctions:
        axes.add_patch(Polygon(junction, fc=PLAN_COLOURS["road"], ec="none", zorder=3))
    for area in ground.walking_areas:
        axes.add_patch(Polygon(area, fc=PLAN_COLOURS["sidewalk"], ec="none", zorder=4))
    for lane in ground.lanes:
        shape = LineString(lane.points).buffer(lane.width_m / 2, cap_style="flat")
        if not shape.is_empty and hasattr(shape, "exterior"):
            axes.add_patch(Polygon(list(shape.exterior.coords), fc=PLAN_COLOURS[lane.kind], ec="none", zorder=3))
    for crossing in ground.crossings:
        axes.add_patch(Polygon(crossing, fc="#f4f4f4", ec="none", alpha=0.8, zorder=5))
    for a, b in ground.stop_lines:
        axes.plot([a[0], b[0]], [a[1], b[1]], color="white", lw=1.0, zorder=5)
    marks = {"tree": ("#5a8f4a", 26), "lamp": ("#f0c040", 5), "hedge": ("#6fa05c", 6), "traffic_light": ("#c03030", 9)}
    for kind, (colour, size) in marks.items():
        spots = [item.at for item in ground.furniture if item.kind == kind]
        if spots:
            axes.scatter(*zip(*spots, strict=True), s=size, c=colour, lw=0, alpha=0.8, zorder=6)


def _camera(axes: Any, camera: Camera, passed: bool) -> None:
    from matplotlib.patches import Polygon

    colour = "#c81e1e" if passed else "#1f5fbf"
    x, y = camera.at
    rim = [(x, y)]
    for k in range(9):
        angle = math.radians(camera.heading_deg + camera.hfov_deg * (k / 8 - 0.5))
        rim.append((x + VIEW_DEPTH_M * math.sin(angle), y + VIEW_DEPTH_M * math.cos(angle)))
    axes.add_patch(Polygon(rim, fc=colour, ec=colour, alpha=0.18, lw=0.6, zorder=7))
    axes.plot([x], [y], "o", color=colour, ms=4, zorder=9)
    axes.annotate(camera.name, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=9, color=colour, zorder=9)
