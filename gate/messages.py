# SPDX-License-Identifier: AGPL-3.0-or-later
"""What passes between the gate's service and its clients, as JSON.

A grant is an opaque id here and carries no authority.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from connectors.bounds import Interval as Interval
from reid.passage import COLOURS as COLOURS
from reid.passage import VEHICLE_CLASSES as VEHICLE_CLASSES
from reid.passage import Box, Coverage

Role = Literal["administrator", "registrar", "technician", "auditor"]
Act = Literal["rewind", "search", "picture", "video", "trace", "export"]
Basis = Literal["requisition", "habilitated_officer", "access_request", "inspection", "maintenance"]
State = Literal["draft", "open", "closed", "expired"]
Authority = Literal["prosecutor", "investigating_judge", "opj", "apj_under_opj"]


class Whoami(msgspec.Struct, frozen=True, kw_only=True):
    """The signed-in person."""

    person: str
    name: str
    roles: tuple[Role, ...]
    warnings: tuple[str, ...] = ()
    """Habilitation or agrément that lapses soon, and the like."""
    expires_at: datetime | None = None


class CameraInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What anybody signed in may know of a camera: where it stands, never what it saw."""

    name: str
    label: str
    place: str
    position_m: tuple[float, float] | None
    position_wgs84: tuple[float, float] | None
    heading_deg: float | None
    indexing: Literal["on_requisition", "continuous"]
    group: str = ""


class RequisitionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A requisition (or another basis) as the register shows it."""

    id: str
    reference: str
    basis: Basis
    article: str = ""
    """`60-1`, `77-1-1`, `99-3`, or empty for another basis."""
    prosecutor_authorisation: str = ""
    """Reference and date; needed under 77-1-1."""
    authority: Authority | None = None
    authority_name: str = ""
    inquiry: str = ""
    offence: str = ""
    cameras: tuple[str, ...]
    intervals: tuple[Interval, ...]
    purpose: str
    expires_at: datetime
    state: State
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    review_due: bool = False
    """One person both registered and opened it, and the auditor has not looked yet."""
    document: str = ""
    """SHA-256 of the scanned document, empty while there is none."""


class IndexProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the indexing of one requisition has come."""

    requisition: str
    state: Literal["waiting", "running", "done", "failed"]
    seconds_asked: float
    """Camera-seconds the requisition names and the archive holds."""
    seconds_done: float
    passages: int
    message: str = ""


class GrantInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An opaque id and, for display, what it is bounded by. Everything is checked again at every use."""

    id: str
    requisition: str
    cameras: tuple[str, ...]
    intervals: tuple[Interval, ...]
    acts: tuple[Act, ...]
    expires_at: datetime


class PassageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One passage for a page: no embedding, pictures by number."""

    id: str
    camera: str
    started_at: datetime
    ended_at: datetime
    vehicle_class: str
    colour: str
    colours: dict[str, float]
    entry: str
    exit: str
    views: int
    """`GateClient.picture(grant, id, n)` gives view n, best first."""
    vehicle_id: str = ""
    colour_match: float = 1.0
    first_box: Box
    last_box: Box
    waited_s: float = 0.0
    truncated: bool = False


class CoverageStatement(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for and what of it could be looked at; goes with every answer."""

    asked_s: float
    recorded_s: float
    indexed_s: float
    lines: tuple[Coverage, ...]
    """Every gap, unreadable or doubtful stretch, and what was not indexed."""


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """Candidates, never identifications."""

    passages: tuple[PassageInfo, ...]
    total: int
    coverage: CoverageStatement


class TraceStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a trace: a candidate passage and why it is believed."""

    passage: PassageInfo
    probability: float
    """Calibrated probability that this step is the vehicle asked for."""
    look: float
    """Similarity of appearance to the vehicle asked for, 0 to 1."""
    colour: float
    travel_s: float | None
    """Seconds since the step before; None for the first."""
    travel_typical_s: tuple[float, float] | None
    """Tenth and ninetieth percentile of this camera pair, where known."""
    rivals: int
    """Look-alikes that could also be this step."""
    decision: Literal["none", "accepted", "rejected", "query"] = "none"


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """The most probable chain of passages of one vehicle, in time order."""

    query: str
    """Passage id asked for."""
    steps: tuple[TraceStep, ...]
    coverage: CoverageStatement
    notice: str = "Candidats à vérifier, jamais une identification."


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A person's word on one step."""

    passage_id: str
    verdict: Literal["accepted", "rejected"]


class ProcessStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the stack, for operations."""

    name: str
    state: Literal["running", "starting", "down", "finished"]
    frames_per_s: float | None = None
    lag_records: int | None = None
    detail: str = ""


class OperationsStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What operations sees: no passage, no picture. `passage up` writes it to `state/status.json`, the gate serves it."""

    at: datetime | None = None
    processes: tuple[ProcessStatus, ...] = ()
    camera_hours_per_hour: float | None = None
    """Camera-hours indexed per hour of the clock, over the last minutes of indexing."""
    stage_seconds: dict[str, float] = {}
    """Seconds spent in each stage since start: decode, motion, detect, track, describe, …"""
    cameras: dict[str, str] = {}
    """Name → `recording`, or what is wrong."""
    disk_free_bytes: int | None = None


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """An error over the wire: a stable code, and a sentence that says what to do."""

    code: str
    message: str
