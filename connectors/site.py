# SPDX-License-Identifier: AGPL-3.0-or-later
"""The site file: one town's `site.toml`, read once, checked whole, frozen."""

from __future__ import annotations

import os
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from connectors.errors import SiteError

Name = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,46}[a-z0-9])?$")]
Port = Annotated[int, Field(ge=1024, le=65535)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CameraSite(_Frozen):
    """One camera of the town, as its prefectural authorisation lists it."""

    name: Name
    label: str
    """What people call it, in French: `Place du Marché`."""
    place: str = ""
    url: SecretStr
    """`rtsp://…` or a path to a file; may hold a password, so it is never shown."""
    transport: Literal["tcp", "udp"] = "tcp"
    start_utc: AwareDatetime | None = None
    """Capture time of a file's first frame; needed for files, refused for RTSP."""
    pace: Literal["real", "fast"] = "real"
    """Files only: as time passes, or as fast as it goes."""
    position_m: tuple[float, float] | None = None
    """East and north of the town's origin."""
    position_wgs84: tuple[float, float] | None = None
    """Latitude, longitude."""
    heading_deg: float | None = None
    indexing: Literal["on_requisition", "continuous"] | None = None
    """Overrides the site's mode."""
    view: Literal["narrow", "wide"] = "wide"
    fast_movement: bool = True
    masks_dwellings: bool = False
    """The person responsible confirms that the camera itself masks dwellings; a camera without is refused."""
    group: str = ""
    open_timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0
    read_timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0

    @property
    def is_file(self) -> bool:
        """Whether the camera is a recording rather than a stream."""
        return "://" not in self.url.get_secret_value()

    @model_validator(mode="after")
    def _consistent(self) -> CameraSite:
        url = self.url.get_secret_value()
        if self.is_file and self.start_utc is None:
            raise ValueError("a file camera needs start_utc, the capture time of its first frame")
        if not self.is_file and not url.startswith(("rtsp://", "rtsps://")):
            raise ValueError("url must be rtsp://…, rtsps://… or a file path")
        if not self.is_file and self.start_utc is not None:
            raise ValueError("start_utc is for file cameras; a stream says its own time")
        if not self.masks_dwellings:
            raise ValueError(
                "masks_dwellings is not confirmed: set the masks in the camera, then write masks_dwellings = true"
            )
        return self


class ContinuousBasis(_Frozen):
    """What continuous indexing needs on record before it may run."""

    legal_basis: Annotated[str, Field(min_length=3)]
    impact_assessment: Annotated[str, Field(min_length=3)]


class KafkaSite(_Frozen):
    """The broker: embedded, or an Apache Kafka of the town's."""

    bootstrap: str = ""
    """Empty: the embedded broker on `port`."""
    port: Port = 19092
    partitions: Annotated[int, Field(ge=1, le=512)] = 16
    replication: Annotated[int, Field(ge=1, le=7)] = 1
    heap_mb: Annotated[int, Field(ge=256)] = 512
    record_limit_bytes: Annotated[int, Field(ge=65536)] = 4_000_000
    live_hours: Annotated[int, Field(ge=1, le=720)] = 24
    """How long the live topic keeps what the archive already holds."""

    @property
    def address(self) -> str:
        """Where clients connect."""
        return self.bootstrap or f"127.0.0.1:{self.port}"


class StoreSite(_Frozen):
    """The store: the embedded engine, or a ClickHouse server of the town's."""

    url: str = ""
    """Empty: the embedded engine on `port`. Else `http(s)://host:port`."""
    port: Port = 18123
    database: Name = "passage"

    @property
    def address(self) -> str:
        """Where clients connect."""
        return self.url or f"http://127.0.0.1:{self.port}"


class IndexSite(_Frozen):
    """How indexing looks."""

    detector: str = "passage-detector-v1"
    """A shipped model's name, an ultralytics name, or a path."""
    confidence: Annotated[float, Field(gt=0, lt=1)] | None = None
    """None: the model's own threshold."""
    input_px: tuple[int, int] | None = None
    """Height, width given to the detector; None: the model's own."""
    fps: Annotated[float, Field(gt=0, le=60)] | None = None
    """Look at no more frames a second than this; None: every frame."""
    threads: Annotated[int, Field(ge=0, le=64)] = 0
    processes: Annotated[int, Field(ge=1, le=64)] = 1


class GateSite(_Frozen):
    """The gate."""

    port: Port = 18600
    idle_lock_minutes: Annotated[int, Field(ge=1, le=120)] = 15


class DashboardSite(_Frozen):
    """The application's page."""

    port: Port = 18501


class Site(_Frozen):
    """A whole town. Relative paths are taken from the folder of the site file."""

    name: Annotated[str, Field(min_length=1)]
    timezone: str = "Europe/Paris"
    data: Path = Path("var")
    retention_days: Annotated[int, Field(ge=1, le=30)] = 30
    """Refused above 30 days (CSI L252-5); the calendar month cuts further, see `gate.retention`."""
    authorisation: str = ""
    """Reference of the prefect's authorisation."""
    indexing: Literal["on_requisition", "continuous"] = "on_requisition"
    continuous: ContinuousBasis | None = None
    sealing: bool = True
    cameras: tuple[CameraSite, ...] = Field(alias="camera", min_length=1)
    kafka: KafkaSite = KafkaSite()
    store: StoreSite = StoreSite()
    index: IndexSite = IndexSite()
    gate: GateSite = GateSite()
    dashboard: DashboardSite = DashboardSite()
    metrics_port: Port = 18700
    """First of the ports on which flows show their metrics."""
    plan: Path | None = None
    """GeoJSON of streets for the map, if the town has one."""

    @field_validator("cameras")
    @classmethod
    def _unique(cls, cameras: tuple[CameraSite, ...]) -> tuple[CameraSite, ...]:
        names = [c.name for c in cameras]
        doubled = sorted({n for n in names if names.count(n) > 1})
        if doubled:
            raise ValueError(f"camera names must differ: {', '.join(doubled)}")
        return cameras

    @model_validator(mode="after")
    def _continuous_on_record(self) -> Site:
        wanted = self.indexing == "continuous" or any(c.indexing == "continuous" for c in self.cameras)
        if wanted and self.continuous is None:
            raise ValueError("continuous indexing needs [continuous] with legal_basis and impact_assessment on record")
        return self

    def camera(self, name: str) -> CameraSite:
        """The camera of that name; KeyError with the known names otherwise."""
        for camera in self.cameras:
            if camera.name == name:
                return camera
        raise KeyError(f"no camera named {name!r}; known: {', '.join(c.name for c in self.cameras)}")

    def mode(self, camera: CameraSite) -> Literal["on_requisition", "continuous"]:
        """The indexing mode that holds for one camera."""
        return camera.indexing or self.indexing

    @property
    def archive_dir(self) -> Path:
        """Where GOPs are kept."""
        return self.data / "archive"

    @property
    def secrets_dir(self) -> Path:
        """One folder a component, each readable by its process alone."""
        return self.data / "secrets"


def load_site(path: Path) -> Site:
    """Read and check a site file; environment `PASSAGE_DATA` overrides its data folder.

    Raises SiteError with every fault at once.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SiteError([f"{path} does not exist; `passage new-site` writes one to start from"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise SiteError([f"{path} is not TOML: {fault}"]) from None
    try:
        site = Site.model_validate(raw)
    except ValidationError as fault:
        raise SiteError(
            [
                "%s: %s" % (".".join(str(p) for p in e["loc"]) or "site", e["msg"].removeprefix("Value error, "))
                for e in fault.errors(include_input=False, include_url=False)
            ]
        ) from None
    root = path.resolve().parent
    data = Path(os.environ.get("PASSAGE_DATA", "")) if os.environ.get("PASSAGE_DATA") else site.data
    cameras = tuple(
        c.model_copy(update={"url": SecretStr(str(root / c.url.get_secret_value()))}) if c.is_file else c
        for c in site.cameras
    )
    plan = None if site.plan is None else root / site.plan
    return site.model_copy(update={"data": root / data, "cameras": cameras, "plan": plan})


def utc_now() -> datetime:
    """The clock programs inject by default."""
    return datetime.now(UTC)
