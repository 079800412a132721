# SPDX-License-Identifier: AGPL-3.0-or-later
"""The demonstration's town: rendered once and kept, and the site file that plays it to the cameras."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connectors.site import METRES_PER_DEGREE, METRICS, DashboardSite, GateSite, KafkaSite, StoreSite
from infra.kafka_jars import cache_dir
from infra.ports import free_port, taken
from infra.rehearsal.plan import PlanFile, load_plan
from infra.rehearsal.render import Progress, render_town

PLAN = Path(__file__).resolve().parent / "rehearsal" / "plans" / "coutances-13.toml"
GROUP = "boulevard"
STREETS_FILE = "streets.geojson"
GROUP_SIZE = 2
"""So many cameras are later switched to continuous indexing."""
LOOKS_PER_S = 8
"""Of the 12 pictures a second that its cameras record: at 6, the fastest cars of these streets are lost."""


@dataclass(frozen=True, slots=True)
class DemoCamera:
    """One camera of the town as the site knows it."""

    name: str
    """In the site file: small letters."""
    town_name: str
    """In the plan and in its truth."""
    label: str
    video: Path
    starts_at: datetime
    """What its clock showed at its first frame: the town's time plus the clock's error."""
    seconds: float
    fps: int
    position_m: tuple[float, float]
    heading_deg: float
    group: str


@dataclass(frozen=True, slots=True)
class DemoTown:
    """Everything that the demonstration plays."""

    folder: Path
    target: str
    """Identity of the vehicle to be found, in the truth."""
    cameras: tuple[DemoCamera, ...]

    @property
    def starts_at(self) -> datetime:
        """First picture of any camera, rounded down to the second."""
        return min(c.starts_at for c in self.cameras).replace(microsecond=0)

    @property
    def ends_at(self) -> datetime:
        """After the last picture, rounded up to the second."""
        end = max(c.starts_at + timedelta(seconds=c.seconds) for c in self.cameras)
        return end.replace(microsecond=0) + timedelta(seconds=1)

    def camera(self, name: str) -> DemoCamera:
        """By its name in the site file."""
        return next(c for c in self.cameras if c.name == name)


def demo_plan() -> PlanFile:
    """The plan, its demonstration cameras and target."""
    return load_plan(PLAN)


def render_demo(cameras: int, seconds: int, progress: Progress | None) -> Path:
    """The folder of the rendered town, drawn now or found in the cache."""
    plan = demo_plan()
    names = list(plan.demo_cameras)
    names += [c.name for c in plan.cameras if c.name not in names]
    folder = cache_dir() / "towns" / f"{plan.name}-{plan.seed}-{cameras}x{seconds}"
    return render_town(
        PLAN, None, seconds, folder, cameras=tuple(sorted(names[:cameras])), workers=2, progress=progress
    )


def read_demo(folder: Path, now: datetime) -> DemoTown:
    """The rendered town, played as if it had been recorded a short while ago.

    All of it lies in one hour, so that few keys are needed, and well inside any retention.
    """
    about = json.loads((folder / "town.json").read_text(encoding="utf-8"))
    began = (now.astimezone(UTC) - timedelta(hours=2)).replace(minute=5, second=0, microsecond=0)
    cameras = []
    for number, row in enumerate(about["cameras"]):
        cameras.append(
            DemoCamera(
                name=row["name"].lower(),
                town_name=row["name"],
                label=row["place"],
                video=folder / row["file"],
                starts_at=began + timedelta(seconds=row["clock_offset_s"]),
                seconds=row["frames"] / row["fps"],
                fps=row["fps"],
                position_m=(row["at"][0], row["at"][1]),
                heading_deg=row["heading_deg"],
                group=GROUP if number in range(2, 2 + GROUP_SIZE) else "",
            )
        )
    return DemoTown(folder, demo_plan().demo_target, tuple(cameras))


def streets_geojson() -> str:
    """The plan's streets for maps. The town lies nowhere: metres become degrees around (0, 0)."""
    plan = demo_plan()
    at = {j.name: j.at for j in plan.junctions}
    features = []
    for street in plan.streets:
        points = [at[name] for name in street.through]
        points[1:1] = street.bends
        line = [[round(x / METRES_PER_DEGREE, 9), round(y / METRES_PER_DEGREE, 9)] for x, y in points]
        geometry = {"type": "LineString", "coordinates": line}
        features.append({"type": "Feature", "properties": {"name": street.name}, "geometry": geometry})
    return json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False)


def later(town: DemoTown, minutes: int) -> DemoTown:
    """The same pictures as a second pass of video, `minutes` later by every camera's clock."""
    shift = timedelta(minutes=minutes)
    return replace(town, cameras=tuple(replace(c, starts_at=c.starts_at + shift) for c in town.cameras))


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the demonstration listens: the usual ports, or others where those are taken."""

    kafka: int
    store: int
    gate: int
    dashboard: int
    metrics: int


def choose_ports() -> Ports:
    """The ports of the site file's defaults where all are free, else a free row of them."""
    usual = Ports(KafkaSite().port, StoreSite().port, GateSite().port, DashboardSite().port, 18700)
    wanted = (
        usual.kafka,
        usual.kafka + 1,
        usual.store,
        usual.gate,
        usual.dashboard,
        *(usual.metrics + n for n in METRICS.values()),
    )
    if not any(taken(port) for port in wanted):
        return usual
    metrics = max(METRICS.values()) + 1
    first = free_port(5 + metrics)
    return Ports(first, first + 2, first + 3, first + 4, first + 5)


def site_file(town: DemoTown, ports: Ports, *, detector: str, continuous: bool) -> str:
    """The text of the demonstration's site.toml."""
    lines = [
        'name = "Coutances (démonstration)"',
        'authorisation = "DÉMONSTRATION, aucune autorisation réelle"',
        'data = "var"',
        "retention_days = 30",
        f'plan = "{STREETS_FILE}"',
        f"metrics_port = {ports.metrics}",
    ]
    if continuous:
        lines += [
            "[continuous]",
            'legal_basis = "démonstration : arrêté fictif no 0"',
            'impact_assessment = "démonstration : AIPD fictive no 0"',
        ]
    lines += [
        "[kafka]",
        f"port = {ports.kafka}",
        "partitions = 8",
        "[store]",
        f"port = {ports.store}",
        "[gate]",
        f"port = {ports.gate}",
        "[dashboard]",
        f"port = {ports.dashboard}",
        "[index]",
        f"fps = {LOOKS_PER_S}",
        f"detector = {json.dumps(detector)}",
    ]
    for camera in town.cameras:
        lines += [
            "[[camera]]",
            f"name = {json.dumps(camera.name)}",
            f"label = {json.dumps(camera.label, ensure_ascii=False)}",
            f"place = {json.dumps(camera.label, ensure_ascii=False)}",
            f"url = {json.dumps(str(camera.video))}",
            f"start_utc = {camera.starts_at.isoformat().replace('+00:00', 'Z')}",
            'pace = "fast"',
            f"position_m = [{camera.position_m[0]:.2f}, {camera.position_m[1]:.2f}]",
            f"heading_deg = {camera.heading_deg:.1f}",
            "masks_dwellings = true",
        ]
        if camera.group:
            lines.append(f'group = "{camera.group}"')
        if continuous and camera.group:
            lines.append('indexing = "continuous"')
    return "\n".join(lines) + "\n"
