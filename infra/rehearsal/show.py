# SPDX-License-Identifier: AGPL-3.0-or-later
"""Drawings for a person: the plan with its cameras and a vehicle's true path, and boxes over video."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from infra.rehearsal.errors import RenderError, TruthError
from infra.rehearsal.truth import Truth, load_truth
from infra.rehearsal.world import Camera, Ground, Point, Town

PLAN_COLOURS = {"road": "#8d9299", "sidewalk": "#d9d4cb", "cycle": "#b8d8b2", "parking": "#b4b8bd"}
PLAN_FORMATS, VIDEO_FORMATS = (".png", ".svg"), (".mp4",)
VIEW_DEPTH_M = 45.0
GREY = (150, 150, 150)


def draw_plan(
    town: Town,
    out: Path,
    paths: dict[str, Sequence[Point]] | None = None,
    passed: Sequence[str] = (),
) -> None:
    """Writes the plan as PNG or SVG (by the ending of `out`), `paths` by vehicle on top, `passed` cameras in red.

    Raises RenderError when the file cannot be written.
    """
    _drawable(out, PLAN_FORMATS)
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
        try:
            figure.savefig(out, dpi=110, bbox_inches="tight", metadata=metadata)
        except OSError as error:
            raise RenderError(f"{out}: cannot be written: {error.strerror}") from error
        finally:
            pyplot.close(figure)


def _drawable(out: Path, endings: tuple[str, ...]) -> None:
    """Refuse a file that could not be written before any work is done."""
    if out.suffix.lower() not in endings:
        raise RenderError(f"{out}: ends in {out.suffix or 'nothing'!r}, must end in {' or '.join(endings)}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RenderError(f"{out.parent}: is no folder that can be written to: {error.strerror}") from error


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


def path_of(folder: Path, identity: str) -> tuple[list[Point], list[str]]:
    """A vehicle's true path and the cameras it passed in order, from a rendered town.

    Raises TruthError for an unknown vehicle.
    """
    import pyarrow.compute as pc

    truth = load_truth(folder)
    vehicles = truth.table("vehicles")
    rows = vehicles.filter(pc.equal(vehicles["identity"], identity))
    if not rows.num_rows:
        raise TruthError(f"{folder} knows no vehicle {identity!r}; its vehicles are in truth/vehicles.parquet")
    number = rows["vehicle"][0].as_py()
    poses = truth.table("poses")
    mine = poses.filter(pc.equal(poses["vehicle"], number))
    path = list(zip(mine["x"].to_pylist(), mine["y"].to_pylist(), strict=True))
    passages = truth.table("passages")
    passed = passages.filter(pc.equal(passages["identity"], identity)).sort_by("entered_s")
    return path, passed["camera"].to_pylist()


def video_with_boxes(folder: Path, camera: str, out: Path, seconds: float, identity: str | None = None) -> int:
    """Writes an MP4 of one camera with the true boxes; returns the number of frames.

    Green: well seen; yellow: half hidden; red: hidden by more than three quarters; grey: parked; magenta: `identity`.
    Raises TruthError when the camera was not rendered, RenderError when `out` cannot be written.
    """
    _drawable(out, VIDEO_FORMATS)
    import av
    import cv2

    truth = load_truth(folder)
    if camera not in truth.summary["cameras"]:
        raise TruthError(f"{folder} has no camera {camera!r}; it has {', '.join(truth.summary['cameras'])}")
    names = truth.table("vehicles").to_pydict()
    by_frame: dict[int, list[dict[str, Any]]] = {}
    for row in truth.boxes(camera).to_pylist():
        by_frame.setdefault(row["frame"], []).append(row)
    written = 0
    with av.open(str(folder / camera / "video.mp4")) as source, av.open(str(out), "w") as target:
        stream = source.streams.video[0]
        rate = round(float(stream.average_rate or 12))
        drawn = target.add_stream("libx264", rate=rate)
        drawn.width, drawn.height, drawn.pix_fmt = stream.width, stream.height, "yuv420p"
        for number, picture in zip(_frame_numbers(truth, camera, rate), source.decode(stream), strict=False):
            if written >= seconds * rate:
                break
            image = picture.to_ndarray(format="bgr24")
            for row in by_frame.get(number, ()):
                colour = _box_colour(row, names["identity"][row["vehicle"]], identity)
                low, high = (int(row["x1"]), int(row["y1"])), (int(row["x2"]), int(row["y2"]))
                cv2.rectangle(image, low, high, colour, 2 if colour != GREY else 1)
                if colour == GREY:  # a row of parked cars would be nothing but labels
                    continue
                label = f"{names['identity'][row['vehicle']]} {row['visible_share']:.0%}"
                cv2.putText(image, label, (low[0], max(10, low[1] - 4)), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1)
            target.mux(drawn.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
            written += 1
        target.mux(drawn.encode(None))
    return written


def _box_colour(row: dict[str, Any], name: str, wanted: str | None) -> tuple[int, int, int]:
    if name == wanted:
        return (255, 0, 255)
    if row["parked"]:
        return GREY
    share = row["visible_share"]
    return (80, 220, 80) if share > 0.75 else (40, 210, 230) if share > 0.25 else (40, 40, 230)


def _frame_numbers(truth: Truth, camera: str, rate: int) -> Iterator[int]:
    """Numbers of the frames that are in the video: those of an outage are not."""
    table = truth.table("cameras").to_pydict()
    outages = table["outages"][table["name"].index(camera)]
    for number in range(truth.summary["frames"][camera]):
        time_s = number / rate
        if not any(a <= time_s < b for a, b in outages):
            yield number
