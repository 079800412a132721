# SPDX-License-Identifier: AGPL-3.0-or-later
"""The site file: one town's `site.toml`, read once, checked whole, frozen."""

from __future__ import annotations

import math
import os
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

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

METRES_PER_DEGREE = 111_320.0
"""Of latitude; of longitude at the equator."""

METRICS = {"capture": 0, "record": 1, "index": 2, "link": 8, "store": 9, "gate": 10, "jobs": 11}
"""Offsets from a site's `metrics_port`; the live index's n-th process is on 2 + n."""

MOST_INDEX_PROCESSES = METRICS["link"] - METRICS["index"]
"""Live index processes whose metrics have a port of their own."""
MOST_AUTOMATIC = 4
"""Index processes of a requisition unless the site says more: each holds a model and takes 300 MB."""


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
        if found := _camera_faults(self.url.get_secret_value(), self.start_utc is not None, self.masks_dwellings):
            raise ValueError("; ".join(found))
        return self


def _camera_faults(url: str, has_start: bool, masks: bool) -> list[str]:
    """What is wrong between a camera's settings, whatever else is wrong with each."""
    found = []
    is_file = "://" not in url
    if is_file and not has_start:
        found.append("a file camera needs start_utc, the capture time of its first frame")
    if not is_file and not url.startswith(("rtsp://", "rtsps://")):
        found.append("url must be rtsp://…, rtsps://… or a file path")
    if not is_file and has_start:
        found.append("start_utc is for file cameras; a stream says its own time")
    if not masks:
        found.append("masks_dwellings is not confirmed: set the masks in the camera, then write masks_dwellings = true")
    return found


class ContinuousBasis(_Frozen):
    """What continuous indexing needs on record before it may run."""

    legal_basis: Annotated[str, Field(min_length=3)]
    impact_assessment: Annotated[str, Field(min_length=3)]


def broker_addresses(bootstrap: str) -> list[tuple[str, int]]:
    """Host and port of every broker of `host:port,host:port`. Raises ValueError naming the part that is none."""
    found = []
    for part in bootstrap.split(","):
        host, _, port = part.strip().rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"bootstrap: {part.strip()!r} is no host:port (several are separated by commas)")
        found.append((host.strip("[]"), int(port)))
    return found


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
    security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] | None = None
    """How the town's Kafka is spoken to; the embedded one always by users with passwords, on loopback."""
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How the town's Kafka wants passwords."""
    ca_file: Path | None = None
    """Certificate of the authority that signed the brokers', where the machine does not trust it already."""

    @model_validator(mode="after")
    def _consistent(self) -> KafkaSite:
        if self.bootstrap:
            broker_addresses(self.bootstrap)
        if self.bootstrap and self.security is None:
            raise ValueError(
                'with bootstrap (a Kafka of the town\'s) say security: "sasl_ssl" where it has TLS and users, as it '
                'should; "plaintext" only where no other machine and no other program reaches it'
            )
        if not self.bootstrap and (self.security or self.ca_file):
            raise ValueError("security and ca_file are for a Kafka of the town's (bootstrap)")
        if self.ca_file and self.security not in ("ssl", "sasl_ssl"):
            raise ValueError("ca_file is for security ssl or sasl_ssl")
        return self

    @property
    def address(self) -> str:
        """Where clients connect."""
        return self.bootstrap or f"127.0.0.1:{self.port}"

    @property
    def asks_for_users(self) -> bool:
        """Whether each component signs in with a secret of its own."""
        return self.security not in ("plaintext", "ssl")


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
    detector_sha256: Annotated[str, Field(pattern=r"^(?:[0-9a-fA-F]{64})?$")] = ""
    """Of its weights file; others are refused. Empty: what the model itself lists, as shipped ones do."""
    confidence: Annotated[float, Field(gt=0, lt=1)] | None = None
    """None: the model's own threshold."""
    input_px: tuple[int, int] | None = None
    """Height, width given to the detector; None: the model's own."""
    fps: Annotated[float, Field(gt=0, le=60)] | None = None
    """Look at no more frames a second than this; None: every frame."""
    threads: Annotated[int, Field(ge=0, le=64)] = 0
    """Inference threads of each process; 0: two where one process works alone, else one."""
    processes: Annotated[int, Field(ge=0, le=64)] = 0
    """Processes that index at once, each with a fixed share of the partitions; 0: one for continuous indexing, and for
    a requisition's hours one a core, at most `MOST_AUTOMATIC`."""

    @property
    def live_processes(self) -> int:
        """How many index continuously."""
        return self.processes or 1

    @property
    def order_processes(self) -> int:
        """How many index the hours of one requisition."""
        return self.processes or min(os.cpu_count() or 1, MOST_AUTOMATIC)

    def inference_threads(self, processes: int) -> int:
        """Threads of one of so many processes."""
        return self.threads or (2 if processes == 1 else 1)


class GateSite(_Frozen):
    """The gate."""

    port: Port = 18600
    idle_lock_minutes: Annotated[int, Field(ge=1, le=120)] = 15
    witnesses: tuple[str, ...] = ()
    """Where signed heads of the journal are kept as well: folders of another machine, `mailto:` addresses."""
    mail_host: str = ""
    """The town's mail server; empty: no mail is sent."""
    mail_port: Annotated[int, Field(ge=1, le=65535)] = 587
    mail_starttls: bool = True
    mail_user: str = ""
    """Its password lies in `secrets/gate/mail`."""
    mail_from: str = "passage@localhost"
    alarms_to: tuple[str, ...] = ()
    """Who gets alarms by mail: lapsing habilitations, silent cameras, failed proofs."""


class DashboardSite(_Frozen):
    """The application's page."""

    port: Port = 18501


_CONTINUOUS = "continuous indexing needs [continuous] with legal_basis and impact_assessment on record"


def _name_faults(names: list[str]) -> str:
    doubled = sorted({n for n in names if names.count(n) > 1})
    return f"camera names must differ: {', '.join(doubled)}" if doubled else ""


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
        if found := _name_faults([c.name for c in cameras]):
            raise ValueError(found)
        return cameras

    @model_validator(mode="after")
    def _continuous_on_record(self) -> Site:
        wanted = self.indexing == "continuous" or any(c.indexing == "continuous" for c in self.cameras)
        if wanted and self.continuous is None:
            raise ValueError(_CONTINUOUS)
        return self

    @model_validator(mode="after")
    def _live_topics_within_retention(self) -> Site:
        # February has 28 days, and the broker destroys whole segments, a little late.
        most = 24 * min(self.retention_days, 27)
        if self.kafka.live_hours > most:
            raise ValueError(
                f"kafka.live_hours is {self.kafka.live_hours}: the broker would keep video longer than the "
                f"{self.retention_days} days of retention_days and one calendar month allow; write {most} at most"
            )
        return self

    @model_validator(mode="after")
    def _positions_of_one_kind(self) -> Site:
        metres = [c.name for c in self.cameras if c.position_m is not None and c.position_wgs84 is None]
        degrees = [c.name for c in self.cameras if c.position_wgs84 is not None and c.position_m is None]
        if metres and degrees:
            raise ValueError(
                f"{', '.join(metres)} have position_m alone and {', '.join(degrees)} position_wgs84 alone: distances "
                "between them are not known; give all cameras the same kind of position"
            )
        return self

    def camera(self, name: str) -> CameraSite:
        """The camera of that name; KeyError with the known names otherwise."""
        for camera in self.cameras:
            if camera.name == name:
                return camera
        raise KeyError(f"no camera named {name!r}; known: {', '.join(c.name for c in self.cameras)}")

    @property
    def positions_m(self) -> dict[str, tuple[float, float]]:
        """Camera → east and north in metres, of those whose place is known, in metres or in degrees."""
        by_degrees = {c.name: c.position_wgs84 for c in self.cameras if c.position_wgs84 is not None}
        by_metres = {c.name: c.position_m for c in self.cameras if c.position_m is not None}
        if by_degrees.keys() <= by_metres.keys():
            return by_metres
        # A town is small: a plane that touches the globe in its middle is wrong by centimetres.
        north, east = (sum(p[axis] for p in by_degrees.values()) / len(by_degrees) for axis in (0, 1))
        per_degree = METRES_PER_DEGREE * math.cos(math.radians(north))
        return {n: ((p[1] - east) * per_degree, (p[0] - north) * METRES_PER_DEGREE) for n, p in by_degrees.items()}

    @property
    def headings_deg(self) -> dict[str, float]:
        """Camera → where it looks, degrees clockwise from north, of those of which it is known."""
        return {c.name: c.heading_deg for c in self.cameras if c.heading_deg is not None}

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
    except OSError as fault:
        raise SiteError([f"{path} cannot be read ({fault.strerror}): it must be readable by this process"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise SiteError([f"{path} is not TOML: {fault}"]) from None
    try:
        site = Site.model_validate(raw)
    except ValidationError as fault:
        found = [
            "%s: %s" % (".".join(str(p) for p in e["loc"]) or "site", e["msg"].removeprefix("Value error, "))
            for e in fault.errors(include_input=False, include_url=False)
            if not (e["type"] == "too_short" and raw.get("camera"))  # each camera's own fault says it already
        ]
        raise SiteError(found + [f for f in _faults_between(raw) if f not in found]) from None
    return resolved(site, path)


def resolved(site: Site, path: Path) -> Site:
    """The site with its paths taken from the folder of its file, and its data folder from the environment if there."""
    root = path.resolve().parent
    data = Path(os.environ.get("PASSAGE_DATA", "")) if os.environ.get("PASSAGE_DATA") else site.data
    cameras = tuple(
        c.model_copy(update={"url": SecretStr(str(root / c.url.get_secret_value()))}) if c.is_file else c
        for c in site.cameras
    )
    plan = None if site.plan is None else root / site.plan
    detector = root / site.index.detector  # a path beside the file, or else a name
    index = (
        site.index.model_copy(update={"detector": str(detector)})
        if site.index.detector and os.path.exists(detector)  # False, no error, where it may not be looked for
        else site.index
    )
    witnesses = tuple(w if w.startswith("mailto:") else str(root / w) for w in site.gate.witnesses)
    gate = site.gate.model_copy(update={"witnesses": witnesses})
    authority = None if site.kafka.ca_file is None else root / site.kafka.ca_file
    kafka = site.kafka.model_copy(update={"ca_file": authority})
    found = {"cameras": cameras, "plan": plan, "index": index, "gate": gate, "kafka": kafka}
    return site.model_copy(update={"data": root / data, **found})


def _faults_between(raw: dict[str, Any]) -> list[str]:
    """Faults between settings, looked for in the raw file because the model stops at the faults of each setting."""
    cameras = [c for c in raw.get("camera", []) if isinstance(c, dict)] if isinstance(raw.get("camera"), list) else []
    found = []
    for number, camera in enumerate(cameras):
        faults = _camera_faults(
            str(camera.get("url", "rtsp://")), "start_utc" in camera, camera.get("masks_dwellings") is True
        )
        if faults:
            found.append(f"camera.{number}: {'; '.join(faults)}")
    if names := _name_faults([str(c.get("name")) for c in cameras]):
        found.append(f"camera: {names}")
    if "continuous" in [raw.get("indexing"), *(c.get("indexing") for c in cameras)] and "continuous" not in raw:
        found.append(f"site: {_CONTINUOUS}")
    return found


def utc_now() -> datetime:
    """The clock programs inject by default."""
    return datetime.now(UTC)
