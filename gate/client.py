# SPDX-License-Identifier: AGPL-3.0-or-later
"""The gate's client: what the command line and the application call. Synchronous; errors are those of `errors.py`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NotRequired, TypedDict, TypeVar, Unpack
from urllib.parse import quote, urlencode

import httpx
import msgspec

from connectors.bounds import Interval
from gate import messages as m
from gate.errors import GateError as GateError
from gate.errors import Invalid as Invalid
from gate.errors import NotFound, Unavailable, by_code
from gate.errors import SignedOut as SignedOut
from gate.reasons import recognised as recognised
from gate.secrets import write_private
from gate.town_time import read_time as read_time
from gate.town_time import time_of_day as time_of_day
from gate.town_time import told_time as told_time

T = TypeVar("T")
DEFAULT_URL = "http://127.0.0.1:18600"
TIMEOUT_S = 120.0
EXPORT_TIMEOUT_S = 3600.0
"""Between two pieces of a package: recoding five minutes for a viewing copy takes a while on an old machine."""


class Wanted(TypedDict):
    """What a package is to hold, and for whom."""

    purpose: str
    recipient: str
    clips: NotRequired[Iterable[tuple[str, Interval]]]
    passages: NotRequired[Iterable[str]]
    trace_of: NotRequired[str]
    viewing: NotRequired[bool]
    """A copy to be looked at of every original, with date, time and place."""
    mask: NotRequired[bool]
    """Everything but the chosen vehicles made coarse in those copies."""


def session_file() -> Path:
    """Where the command line keeps its session: `$PASSAGE_SESSION`, or in the person's own configuration folder."""
    named = os.environ.get("PASSAGE_SESSION")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "passage" / "session"


def keep_session(token: str, path: Path | None = None) -> Path:
    """Keep a session's token in a file that only this user may read."""
    path = path or session_file()
    write_private(path, token.encode())
    return path


def kept_session(path: Path | None = None) -> str | None:
    """The token kept, or None. A file that others may read is refused."""
    path = path or session_file()
    try:
        if path.stat().st_mode & 0o077:
            raise SignedOut(f"{path} can be read by others: remove it and sign in again")
        return path.read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None


class GateClient:
    """One person's way to the gate. `http` may be any httpx client, such as a test's."""

    def __init__(self, url: str = DEFAULT_URL, token: str | None = None, *, http: httpx.Client | None = None) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self._http = http or httpx.Client(base_url=self.url, timeout=TIMEOUT_S, trust_env=False)

    # Signing in

    def sign_in(self, login: str, password: str, code: str) -> m.Whoami:
        """Begin a session; this client carries it from now on."""
        sent = m.SignIn(login=login, password=password, code=code)
        answer = self._call("POST", "/session", m.SignedIn, sent)
        self.token = answer.token
        return answer.who

    def renew(
        self, login: str, password: str, code: str, new_password: str, *, new_authenticator: bool = False
    ) -> m.Renewed:
        """Choose one's own password, and another authenticator where wanted; every session of the person ends."""
        sent = m.Renewal(
            login=login, password=password, code=code, new_password=new_password, new_authenticator=new_authenticator
        )
        return self._call("POST", "/renewal", m.Renewed, sent)

    def own_password_url(self) -> str:
        """The page on which a person does that."""
        return f"{self.url}/own-password"

    def sign_out(self) -> None:
        """End the session."""
        self._call("DELETE", "/session", dict)
        self.token = None

    def whoami(self) -> m.Whoami:
        """The signed-in person; SignedOut when there is none."""
        return self._call("GET", "/whoami", m.Whoami)

    def cameras(self) -> tuple[m.CameraInfo, ...]:
        """The town's cameras: where they stand, never what they saw."""
        return self._call("GET", "/cameras", tuple[m.CameraInfo, ...])

    def streets(self) -> dict[str, Any] | None:
        """The town's plan as GeoJSON, if it has one."""
        return self._call("GET", "/streets", dict[str, Any] | None)  # type: ignore[arg-type]

    def operations(self) -> m.OperationsStatus:
        """Processes, rates, lag; no passage, no picture."""
        return self._call("GET", "/operations", m.OperationsStatus)

    # People

    def people(self) -> tuple[m.PersonInfo, ...]:
        """Every account. Administrator."""
        return self._call("GET", "/people", tuple[m.PersonInfo, ...])

    def make_person(
        self,
        login: str,
        name: str,
        roles: Sequence[m.Role],
        password: str,
        *,
        municipal: bool = True,
        credentials: Sequence[m.CredentialDraft] = (),
    ) -> m.PersonMade:
        """Give a person an account; what it answers is shown this once. Administrator."""
        sent = m.PersonDraft(
            login=login,
            name=name,
            roles=tuple(roles),
            password=password,
            municipal=municipal,
            credentials=tuple(credentials),
        )
        return self._call("POST", "/people", m.PersonMade, sent)

    def reissue(self, person: str, password: str) -> m.PersonMade:
        """Give somebody who has lost what they sign in with new ones, shown this once. Administrator."""
        return self._call("PUT", f"/people/{quote(person)}/sign-in", m.PersonMade, m.Reissue(password=password))

    def add_credential(self, person: str, credential: m.CredentialDraft) -> m.PersonInfo:
        """Register a habilitation or an agrément. Administrator."""
        return self._call("POST", f"/people/{quote(person)}/credentials", m.PersonInfo, credential)

    def withdraw_credential(self, person: str, kind: str, reference: str) -> m.PersonInfo:
        """End one now. Administrator."""
        query = urlencode({"kind": kind, "reference": reference})
        return self._call("DELETE", f"/people/{quote(person)}/credentials?{query}", m.PersonInfo)

    def set_roles(self, person: str, roles: Sequence[m.Role]) -> m.PersonInfo:
        """Change what a person does. Administrator."""
        return self._call("PUT", f"/people/{quote(person)}/roles", m.PersonInfo, tuple(roles))

    def leave(self, person: str) -> m.PersonInfo:
        """Close an account. Administrator."""
        return self._call("DELETE", f"/people/{quote(person)}", m.PersonInfo)

    # Requisitions

    def requisitions(self) -> tuple[m.RequisitionInfo, ...]:
        """The register, newest first."""
        return self._call("GET", "/requisitions", tuple[m.RequisitionInfo, ...])

    def requisition(self, identifier: str) -> m.RequisitionInfo:
        """One line of the register."""
        return self._call("GET", f"/requisitions/{quote(identifier)}", m.RequisitionInfo)

    def draft(
        self,
        *,
        reference: str,
        cameras: Iterable[str],
        intervals: Iterable[Interval],
        purpose: str,
        expires_at: datetime,
        basis: m.Basis = "requisition",
        article: str = "",
        prosecutor_authorisation: str = "",
        authority: m.Authority | None = None,
        authority_name: str = "",
        inquiry: str = "",
        offence: str = "",
        received_at: datetime | None = None,
        document: bytes | None = None,
    ) -> m.RequisitionInfo:
        """Register a draft. Registrar.

        `document`, the scan (PDF, PNG, JPEG, TIFF), is needed before opening, but for bases that have none.
        """
        sent = m.DraftSent(
            draft=m.RequisitionDraft(
                reference=reference,
                cameras=tuple(cameras),
                intervals=tuple(intervals),
                purpose=purpose,
                expires_at=expires_at,
                basis=basis,
                article=article,
                prosecutor_authorisation=prosecutor_authorisation,
                authority=authority,
                authority_name=authority_name,
                inquiry=inquiry,
                offence=offence,
                received_at=received_at,
            ),
            document=document,
        )
        return self._call("POST", "/requisitions", m.RequisitionInfo, sent)

    def attach(self, identifier: str, document: bytes) -> m.RequisitionInfo:
        """Attach the scanned document to a draft. Registrar."""
        return self._call("PUT", f"/requisitions/{quote(identifier)}/document", m.RequisitionInfo, document)

    def document(self, identifier: str, sha256: str = "") -> bytes:
        """The scanned document, or the one of an amendment with this SHA-256, as it was handed in."""
        return self._bytes(self._document_path(identifier, sha256))

    def document_url(self, identifier: str, sha256: str = "") -> str:
        """Where the signed-in browser saves it."""
        return self.url + self._document_path(identifier, sha256)

    @staticmethod
    def _document_path(identifier: str, sha256: str) -> str:
        return f"/requisitions/{quote(identifier)}/document" + (f"?{urlencode({'sha256': sha256})}" if sha256 else "")

    def open(self, identifier: str) -> m.RequisitionInfo:
        """Put it in force: evidence is secured, its cameras and hours are replayed and indexed. Registrar."""
        return self._call("POST", f"/requisitions/{quote(identifier)}/open", m.RequisitionInfo)

    def amend(
        self,
        identifier: str,
        *,
        reference: str,
        document: bytes,
        cameras: Iterable[str] = (),
        intervals: Iterable[Interval] = (),
        expires_at: datetime | None = None,
    ) -> m.RequisitionInfo:
        """Widen an open requisition on a further document. Registrar."""
        amendment = m.Amendment(
            reference=reference, cameras=tuple(cameras), intervals=tuple(intervals), expires_at=expires_at
        )
        sent = m.AmendmentSent(amendment=amendment, document=document)
        return self._call("POST", f"/requisitions/{quote(identifier)}/amend", m.RequisitionInfo, sent)

    def close_requisition(self, identifier: str) -> m.RequisitionInfo:
        """End it: grants end now, copies and index are erased. Registrar."""
        return self._call("POST", f"/requisitions/{quote(identifier)}/close", m.RequisitionInfo)

    def review(self, identifier: str) -> m.RequisitionInfo:
        """Say that one put in force by one person alone has been looked at. Auditor."""
        return self._call("POST", f"/requisitions/{quote(identifier)}/review", m.RequisitionInfo)

    def progress(self, identifier: str) -> m.IndexProgress:
        """How far replay and indexing have come."""
        return self._call("GET", f"/requisitions/{quote(identifier)}/progress", m.IndexProgress)

    # Acts under a grant

    def grant(
        self,
        requisition: str,
        acts: Sequence[m.Act],
        cameras: Sequence[str] = (),
        interval: Interval | None = None,
        directed_by: str = "",
    ) -> m.GrantInfo:
        """Ask for leave to do some acts, on all or a part of a requisition. Technician."""
        sent = m.GrantRequest(
            requisition=requisition,
            acts=tuple(acts),
            cameras=tuple(cameras or ()),
            interval=interval,
            directed_by=directed_by,
        )
        return self._call("POST", "/grants", m.GrantInfo, sent)

    def search(
        self,
        grant: str,
        *,
        classes: Iterable[str] = (),
        colours: Iterable[str] = (),
        colour_share: float = 0.35,
        cameras: Iterable[str] | None = None,
        interval: Interval | None = None,
        limit: int = 24,
        offset: int = 0,
    ) -> m.SearchResult:
        """Passages inside the grant that fit; candidates, never identifications."""
        sent = m.SearchRequest(
            classes=tuple(classes),
            colours=tuple(colours),
            colour_share=colour_share,
            cameras=tuple(cameras or ()),
            interval=interval,
            limit=limit,
            offset=offset,
        )
        return self._call("POST", f"/grants/{quote(grant)}/search", m.SearchResult, sent)

    def passage(self, grant: str, passage: str) -> m.PassageInfo:
        """One passage inside the grant."""
        return self._call("GET", f"/grants/{quote(grant)}/passages/{quote(passage, safe='')}", m.PassageInfo)

    def picture(self, grant: str, passage: str, number: int = 0) -> bytes:
        """View `number` of a passage, best first, as JPEG."""
        return self._bytes(self._picture_path(grant, passage, number))

    def still(self, grant: str, camera: str, at: datetime) -> bytes:
        """The recorded picture nearest to a moment, as JPEG."""
        query = urlencode({"camera": camera, "at": at.isoformat()})
        return self._bytes(f"/grants/{quote(grant)}/still?{query}")

    def rewind(self, grant: str, camera: str, interval: Interval) -> bytes:
        """Recorded video of one camera as MP4, never re-encoded."""
        return self._bytes(f"/grants/{quote(grant)}/rewind?{_video_query(camera, interval)}")

    def coverage(
        self, grant: str, cameras: Sequence[str] = (), interval: Interval | None = None
    ) -> m.CoverageStatement:
        """What of the grant, or of a part of it, is recorded and indexed."""
        pairs = [("camera", c) for c in cameras]
        if interval is not None:
            pairs += [("start", interval.start.isoformat()), ("end", interval.end.isoformat())]
        return self._call("GET", f"/grants/{quote(grant)}/coverage?{urlencode(pairs)}", m.CoverageStatement)

    def trace(self, grant: str, passage: str, decisions: Iterable[m.Decision] = ()) -> m.Trace:
        """The most probable path of the passage's vehicle, recomputed with what a person has said of its steps."""
        sent = m.TraceRequest(passage_id=passage, decisions=tuple(decisions))
        return self._call("POST", f"/grants/{quote(grant)}/trace", m.Trace, sent)

    def decide(self, grant: str, query: str, decision: m.Decision) -> None:
        """Keep a person's word on one candidate of the trace of `query`."""
        sent = m.DecisionRequest(query=query, passage_id=decision.passage_id, verdict=decision.verdict)
        self._call("POST", f"/grants/{quote(grant)}/decisions", dict, sent)

    def export(self, grant: str, out: Path, **wanted: Unpack[Wanted]) -> Path:
        """An exhibit package of chosen intervals, passages or a trace, written to `out` (a ZIP file, or its folder)."""
        sent = _exhibit(wanted)
        path, content = f"/grants/{quote(grant)}/export", msgspec.json.encode(sent)
        waiting: Path | None = None
        try:
            with self._http.stream(
                "POST", path, content=content, headers=self._headers(), timeout=EXPORT_TIMEOUT_S
            ) as response:
                if response.status_code >= 400:
                    response.read()
                    raise _fault(response)
                if out.is_dir():
                    out /= response.headers["content-disposition"].split('"')[1].replace("/", "_")
                waiting = out.with_name(out.name + ".part")
                with os.fdopen(os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                    for piece in response.iter_bytes():
                        file.write(piece)
        except httpx.HTTPError as fault:
            raise Unavailable(
                f"the export broke off ({type(fault).__name__}): the requisition may have ended, see the journal"
            ) from None
        else:
            waiting.replace(out)
            return out
        finally:
            # What broke off is in clear, and no exhibit: nothing of it stays.
            if waiting is not None:
                waiting.unlink(missing_ok=True)

    def ask_export(self, grant: str, **wanted: Unpack[Wanted]) -> m.ExportStatus:
        """Ask for the same package to be downloaded by the signed-in browser from `export_url`."""
        sent = _exhibit(wanted)
        return self._call("POST", f"/grants/{quote(grant)}/exports", m.ExportStatus, sent)

    def export_status(self, grant: str, ticket: str) -> m.ExportStatus:
        """How far a package asked for has come."""
        return self._call("GET", f"/grants/{quote(grant)}/exports/{quote(ticket)}", m.ExportStatus)

    def export_url(self, grant: str, ticket: str) -> str:
        """Where the signed-in browser downloads a package asked for, once; it is made meanwhile."""
        return f"{self.url}/grants/{quote(grant)}/exports/{quote(ticket)}/package"

    def picture_url(self, grant: str, passage: str, number: int = 0) -> str:
        """Address of a view for the signed-in browser."""
        return self.url + self._picture_path(grant, passage, number)

    def video_url(self, grant: str, camera: str, interval: Interval, *, download: bool = False) -> str:
        """Address of a player's video for the signed-in browser; it answers range requests."""
        extra = "&download=1" if download else ""
        return f"{self.url}/grants/{quote(grant)}/video?{_video_query(camera, interval)}{extra}"

    def still_url(self, grant: str, camera: str, at: datetime) -> str:
        """Address of a still for the signed-in browser."""
        query = urlencode({"camera": camera, "at": at.isoformat()})
        return f"{self.url}/grants/{quote(grant)}/still?{query}"

    # The journal and the clock

    def journal(
        self, *, requisition: str = "", person: str = "", limit: int = 100, before: int = 0
    ) -> tuple[m.JournalLine, ...]:
        """The newest entries, 500 at most, or those older than the entry of the number `before`. Auditor."""
        query = urlencode({"requisition": requisition, "person": person, "limit": limit, "before": before})
        return self._call("GET", f"/journal?{query}", tuple[m.JournalLine, ...])

    def bilan(self, year: int, month: int = 0) -> m.Bilan:
        """The yearly report, or one month's list."""
        return self._call("GET", f"/bilan?{urlencode({'year': year, 'month': month})}", m.Bilan)

    def bilan_url(self, year: int, month: int = 0) -> str:
        """Where the signed-in browser opens the report as PDF."""
        return f"{self.url}/bilan?{urlencode({'year': year, 'month': month, 'format': 'pdf'})}"

    def bilan_pdf(self, year: int, month: int = 0) -> bytes:
        """The same as PDF."""
        return self._bytes(f"/bilan?{urlencode({'year': year, 'month': month, 'format': 'pdf'})}")

    def register(self, interval: Interval | None = None) -> m.Register:
        """Which recordings were made, destroyed and handed over, with the proofs; of the last month, or as asked."""
        pairs = {} if interval is None else {"start": interval.start.isoformat(), "end": interval.end.isoformat()}
        return self._call("GET", f"/register?{urlencode(pairs)}", m.Register)

    def self_check(self) -> m.SelfCheck:
        """Cameras against the norms, what is absent, what is stored where and how long."""
        return self._call("GET", "/self-check", m.SelfCheck)

    def room_entry(self, present: Sequence[str], reason: str) -> None:
        """Write down that somebody entered the locked room."""
        self._call("POST", "/room", dict, m.RoomEntry(present=tuple(present), reason=reason))

    def confirm_clock(self) -> None:
        """Say that the clock is right after a jump. Administrator."""
        self._call("POST", "/clock/confirm", dict)

    # The wire

    @staticmethod
    def _picture_path(grant: str, passage: str, number: int) -> str:
        return f"/grants/{quote(grant)}/pictures/{quote(passage, safe='')}/{number}"

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def _send(self, method: str, path: str, content: bytes | None = None) -> httpx.Response:
        try:
            response = self._http.request(method, path, content=content, headers=self._headers())
        except httpx.HTTPError as fault:
            raise Unavailable(
                f"the gate at {self.url} does not answer ({type(fault).__name__}): is `passage up` running?"
            ) from None
        if response.status_code >= 400:
            raise _fault(response)
        return response

    def _call(self, method: str, path: str, kind: type[T], sent: object = None) -> T:
        content = sent if isinstance(sent, bytes) else None if sent is None else msgspec.json.encode(sent)
        response = self._send(method, path, content)
        return msgspec.json.decode(response.content, type=kind)

    def _bytes(self, path: str) -> bytes:
        return self._send("GET", path).content


def _exhibit(wanted: Wanted) -> m.ExhibitRequest:
    return m.ExhibitRequest(
        clips=tuple(m.ExhibitClip(camera=c, interval=i) for c, i in wanted.get("clips", ())),
        passages=tuple(wanted.get("passages", ())),
        trace_of=wanted.get("trace_of", ""),
        purpose=wanted["purpose"],
        recipient=wanted["recipient"],
        viewing=wanted.get("viewing", False),
        mask=wanted.get("mask", False),
    )


def _video_query(camera: str, interval: Interval) -> str:
    return urlencode({"camera": camera, "start": interval.start.isoformat(), "end": interval.end.isoformat()})


def _fault(response: httpx.Response) -> GateError:
    try:
        fault = msgspec.json.decode(response.content, type=m.Fault)
    except msgspec.MsgspecError:
        return NotFound("no such page") if response.status_code == 404 else GateError(f"status {response.status_code}")
    if fault.code == Invalid.code and fault.faults:
        return Invalid(*fault.faults)
    return by_code(fault.code, fault.message)
