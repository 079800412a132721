# SPDX-License-Identifier: AGPL-3.0-or-later
"""What passes between the gate's service and its clients, as JSON.

A grant is an opaque id here and carries no authority.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from connectors.bounds import Interval as Interval
from connectors.gop import Seal
from reid.passage import COLOURS as COLOURS
from reid.passage import VEHICLE_CLASSES as VEHICLE_CLASSES
from reid.passage import Box, Coverage

Role = Literal["administrator", "registrar", "technician", "auditor"]
Act = Literal["rewind", "search", "picture", "video", "trace", "export"]
Basis = Literal["requisition", "habilitated_officer", "access_request", "inspection", "maintenance"]
State = Literal["draft", "open", "closed", "expired"]
RegisterKind = Literal["destroyed", "scope_erased", "sent", "proved", "proof_failed"]
Authority = Literal["prosecutor", "investigating_judge", "opj", "apj_under_opj"]


class Whoami(msgspec.Struct, frozen=True, kw_only=True):
    """The signed-in person."""

    person: str
    name: str
    roles: tuple[Role, ...]
    warnings: tuple[str, ...] = ()
    """Habilitation or agrément that lapses soon, and the like."""
    expires_at: datetime | None = None
    duties: tuple[str, ...] = ()
    """What the rules let this person do now (`access.DUTIES`): pages show nothing else. Every act asks again."""
    site: str = ""
    timezone: str = "Europe/Paris"
    """In which people of the town give and read times."""


class CameraInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What anybody signed in may know of a camera: where it stands, never what it saw."""

    name: str
    label: str
    place: str
    position_m: tuple[float, float] | None
    position_wgs84: tuple[float, float] | None
    heading_deg: float | None
    indexing: Literal["on_requisition", "continuous"]
    continuous_basis: str = ""
    """Of continuous indexing: its legal basis and its impact assessment, as the site has them on record."""
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
    """One person alone opened or widened it, and the auditor has not looked yet."""
    document: str = ""
    """SHA-256 of the scanned document, empty while there is none."""
    lacks_document: bool = False
    """Whether its scan must be attached before it is opened."""
    registered_by: str = ""
    opened_by: str = ""
    """Names of the persons."""
    received_at: datetime | None = None
    amendments: int = 0
    amending_documents: tuple[str, ...] = ()
    """SHA-256 of the scans that widened it, oldest first."""
    acts: tuple[Act, ...] = ()
    """What its legal basis allows."""


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
    """Seconds from being nearest to the camera of the step before to being nearest to this one; None for the first."""
    travel_waited_s: float = 0.0
    """Of these, how long it is known to have stood in view: what is usual knows of no wait."""
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
    rejected: tuple[PassageInfo, ...] = ()
    """What a person has set aside."""
    notice: str = "Candidats à vérifier, jamais une identification."


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A person's word on one step; `none` takes an earlier word back."""

    passage_id: str
    verdict: Literal["accepted", "rejected", "none"]


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """Name, password, and the six digits of the moment or one printed recovery code."""

    login: str
    password: str
    code: str
    kind: Literal["browser", "command"] = "command"


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a sign-in; `token` is empty for a browser, whose cookie scripts cannot read."""

    who: Whoami
    token: str = ""


class Renewal(msgspec.Struct, frozen=True, kw_only=True):
    """A person's own new password, on the strength of what they sign in with now."""

    login: str
    password: str
    code: str
    new_password: str
    new_authenticator: bool = False
    """Another secret for one-time codes, and other recovery codes."""


class Renewed(msgspec.Struct, frozen=True, kw_only=True):
    """What is new, shown once; empty where only the password is."""

    totp_uri: str = ""
    recovery_codes: tuple[str, ...] = ()


class Reissue(msgspec.Struct, frozen=True, kw_only=True):
    """A new first password for somebody who has lost what they sign in with."""

    password: str


class CredentialDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A habilitation, or the prefect's agrément of a municipal operator."""

    kind: Literal["habilitation", "agrement"]
    reference: str
    starts_at: datetime
    ends_at: datetime


class PersonDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A person to be given an account."""

    login: str
    name: str
    roles: tuple[Role, ...]
    password: str
    municipal: bool = True
    """A municipal operator needs the prefect's agrément to work on pictures (CSI L132-14-1)."""
    credentials: tuple[CredentialDraft, ...] = ()


class PersonInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A person as the administrator sees them."""

    id: str
    login: str
    name: str
    roles: tuple[Role, ...]
    municipal: bool
    credentials: tuple[CredentialDraft, ...]
    locked: bool = False
    left: bool = False


class PersonMade(msgspec.Struct, frozen=True, kw_only=True):
    """Shown once, to be printed and handed over: what the person needs to sign in."""

    person: PersonInfo
    totp_uri: str
    """For an authenticator: `otpauth://totp/…`; its `secret` parameter is the base32 secret."""
    recovery_codes: tuple[str, ...]


class RequisitionDraft(msgspec.Struct, frozen=True, kw_only=True):
    """What the registrar types from the paper."""

    reference: str
    cameras: tuple[str, ...]
    intervals: tuple[Interval, ...]
    purpose: str
    expires_at: datetime
    basis: Basis = "requisition"
    article: str = ""
    prosecutor_authorisation: str = ""
    authority: Authority | None = None
    authority_name: str = ""
    inquiry: str = ""
    offence: str = ""
    received_at: datetime | None = None


class Amendment(msgspec.Struct, frozen=True, kw_only=True):
    """What a further document adds to a requisition; it never takes away."""

    reference: str
    cameras: tuple[str, ...] = ()
    intervals: tuple[Interval, ...] = ()
    expires_at: datetime | None = None
    """A later end."""


class DraftSent(msgspec.Struct, frozen=True, kw_only=True):
    """A draft and, when it is at hand, its scanned document."""

    draft: RequisitionDraft
    document: bytes | None = None


class AmendmentSent(msgspec.Struct, frozen=True, kw_only=True):
    """An amendment and the document that allows it."""

    amendment: Amendment
    document: bytes


class RoomEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody was in the locked room."""

    present: tuple[str, ...]
    reason: str


class GrantRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a person wants to do under a requisition; narrower than it, or all of it."""

    requisition: str
    acts: tuple[Act, ...]
    cameras: tuple[str, ...] = ()
    """Empty: all of the requisition's."""
    interval: Interval | None = None
    """None: all of the requisition's."""
    directed_by: str = ""
    """The officer or magistrate who directs, present or by telephone."""


class SearchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for inside a grant."""

    classes: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    colour_share: float = 0.35
    cameras: tuple[str, ...] = ()
    interval: Interval | None = None
    limit: int = 24
    offset: int = 0


class TraceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The passage whose vehicle is followed, and what a person has said of its steps so far."""

    passage_id: str
    decisions: tuple[Decision, ...] = ()


class DecisionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A person's word on one candidate, kept with the requisition."""

    query: str
    passage_id: str
    verdict: Literal["accepted", "rejected", "none"]


class ExhibitClip(msgspec.Struct, frozen=True, kw_only=True):
    """One camera's stretch to be handed over."""

    camera: str
    interval: Interval


class ExhibitRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be handed over, to whom, and, typed again, why."""

    clips: tuple[ExhibitClip, ...] = ()
    passages: tuple[str, ...] = ()
    """Each gives its recording, a little before and after, and its pictures."""
    trace_of: str = ""
    """Passage whose trace is added as map and table, with its steps' recordings and pictures."""
    purpose: str
    recipient: str
    """Name, rank and service of who receives it."""
    viewing: bool = False
    """A viewing copy of every original, not only of those in H.265: date, time, place and requisition in a band."""
    mask: bool = False
    """Viewing copies in which everything outside the chosen vehicles is made coarse; needs passages or a trace."""


class ExportStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A package that was asked for: made while it is downloaded, once, by the session that asked for it."""

    id: str
    state: Literal["ready", "making", "done", "broken"]
    """`broken`: the download ended before its end; what arrived has no signature, and it may be begun again."""
    file: str = ""
    """Name of the package, known once it is being made."""
    asked_s: float = 0.0
    """Camera-seconds to go through."""
    done_s: float = 0.0
    files: int = 0
    bytes: int = 0
    fingerprint: str
    """SHA-256 of the public key; the hand-signed slip carries it too."""
    sums_sha256: str = ""
    """SHA-256 of the package's list of sums, once done."""
    message: str = ""
    """Why it broke off."""


class KeyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Data keys that `flows.index` needs to open what it indexes."""

    scope: str
    seals: tuple[Seal, ...]


class JournalLine(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the journal as a person reads it."""

    n: int
    at: datetime
    phase: Literal["intent", "outcome", "refusal", "event"]
    act: str
    person: str = ""
    requisition: str = ""
    purpose: str = ""
    directed_by: str = ""
    details: dict[str, object] = {}


class ProcessStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the stack, for operations."""

    name: str
    state: Literal["running", "starting", "down", "finished"]
    frames_per_s: float | None = None
    lag_s: float | None = None
    """How far behind its slowest camera it is; files were recorded at any time and have no lag."""
    detail: str = ""


class OperationsStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What operations sees: no passage, no picture. `passage up` writes it to `state/status.json`."""

    at: datetime | None = None
    processes: tuple[ProcessStatus, ...] = ()
    camera_hours_per_hour: float | None = None
    """Camera-hours indexed per hour of the clock, over the last minutes of indexing."""
    stage_seconds: dict[str, float] = {}
    """Seconds spent in each stage since start: decode, motion, detect, track, describe, …"""
    cameras: dict[str, str] = {}
    """Name → `recording`, `at its end`, or what is wrong."""
    camera_reasons: dict[str, str] = {}
    """Name → the sentence by which capture says what is wrong."""
    disk_free_bytes: int | None = None


class BilanLine(msgspec.Struct, frozen=True, kw_only=True):
    """One request of the year, without a name."""

    month: int
    basis: Basis
    article: str
    offence: str
    authority: str
    cameras: int
    camera_hours: float
    delay_hours: float | None
    """From its receipt to its opening, where receipt was written down."""
    days_open: float | None
    exports: int


class Bilan(msgspec.Struct, frozen=True, kw_only=True):
    """The yearly report, or the list of one month, without a name."""

    site: str
    year: int
    month: int
    """0: the whole year."""
    lines: tuple[BilanLine, ...]
    by_month: dict[str, int]
    by_offence: dict[str, int]
    by_authority: dict[str, int]
    by_basis: dict[str, int]
    by_camera: dict[str, int] = {}
    """Requests that name it, by what people call it."""
    requests_by_month: tuple[int, ...] = ()
    """Twelve counts, January first; likewise the next."""
    exports_by_month: tuple[int, ...] = ()
    delay_median_hours: float | None = None
    camera_hours: float
    seen_hours: float
    searches: int
    refusals: int
    exports: int
    proofs: int
    proofs_failed: int
    journal_count: int
    journal_head: str


class RecordedDay(msgspec.Struct, frozen=True, kw_only=True):
    """What is held of one camera's one day, in whole hours: its seconds are in the coverage of whoever may look."""

    camera: str
    day: str
    """`YYYY-MM-DD`, in the town's time."""
    hours: int
    """Of the day, those in which anything was recorded."""
    started_at: datetime
    ended_at: datetime


class RegisterLine(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to recordings."""

    at: datetime
    kind: RegisterKind
    requisition: str = ""
    """Its reference."""
    details: dict[str, Any] = {}


class Register(msgspec.Struct, frozen=True, kw_only=True):
    """The register of recordings, of some time."""

    started_at: datetime
    ended_at: datetime
    recordings: tuple[RecordedDay, ...]
    """Those that are still held."""
    lines: tuple[RegisterLine, ...]
    """Newest first."""


class CameraCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One camera against the norms."""

    camera: str
    label: str
    good: bool
    width_px: int = 0
    height_px: int = 0
    fps: float = 0.0
    clock: str = ""
    faults: tuple[str, ...] = ()


class AbsenceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is absent, or is not."""

    what: str
    good: bool
    evidence: str


class Attestation(msgspec.Struct, frozen=True, kw_only=True):
    """What is absent."""

    good: bool
    lines: tuple[AbsenceLine, ...]


class StoredKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of data: where it lies, how long, how it is protected."""

    what: str
    where: str
    how_long: str
    protection: str


class SelfCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What the site says of itself."""

    cameras: tuple[CameraCheck, ...]
    absence: Attestation
    stored: tuple[StoredKind, ...]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """An error over the wire: a stable code, and a sentence that says what to do."""

    code: str
    message: str
    faults: tuple[str, ...] = ()
