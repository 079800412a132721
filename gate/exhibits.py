# SPDX-License-Identifier: AGPL-3.0-or-later
"""The exhibit package: originals, pictures, trace, coverage, papers, journal extract, sums and signature, as one ZIP.

It is made while it is sent, in memory; every rule is read again at every piece. What breaks off has no signature.
"""

from __future__ import annotations

import csv
import hashlib
import io
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from importlib import metadata, resources
from typing import Any
from zoneinfo import ZoneInfo

import av
import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from connectors.bounds import Bounds, Interval
from connectors.gop import Gop
from gate import coverage, rewind
from gate.acts import Acts, refusals
from gate.clock import clock_source
from gate.database import ExportRow, RegisterRow
from gate.errors import GateError, Invalid, NotFound
from gate.exhibit_map import place_of, trace_csv, trace_svg
from gate.exhibit_pdf import Original, Papers, ViewingCopy, extraction_sheet, transmission_slip
from gate.exhibit_viewing import Caption, masked_still, viewing_copy
from gate.exhibit_words import STATUS, reason
from gate.exhibit_zip import StreamedZip
from gate.gate import Gate
from gate.grants import Permit
from gate.journal import canonical, of_requisition
from gate.messages import CoverageStatement, ExhibitClip, ExhibitRequest, Trace, TraceRequest
from gate.requisitions import merged
from gate.search import passage
from gate.sessions import Live
from reid.passage import Track

PIECE = timedelta(minutes=5)
"""An original longer than this is cut, at a keyframe, into several files."""
AROUND_PASSAGE = timedelta(seconds=3)
CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """What a package will hold, as the rules allowed it when it was asked for."""

    grant: str
    """The session's own opaque id: the rules are read again before the first byte."""
    permit: Permit
    request: ExhibitRequest
    clips: tuple[ExhibitClip, ...]
    passages: tuple[str, ...]
    trace: Trace | None
    paths: tuple[Track, ...]
    """Of the chosen vehicles, where everything else is to be masked."""

    @property
    def asked_s(self) -> float:
        """Camera-seconds to go through."""
        return sum((c.interval.end - c.interval.start).total_seconds() for c in self.clips)


class Exhibits:
    """Makes exhibit packages."""

    def __init__(self, gate: Gate, acts: Acts) -> None:
        self._gate = gate
        self._acts = acts

    def export(self, live: Live, grant: str, request: ExhibitRequest) -> tuple[str, Iterator[bytes]]:
        """The package's file name and its bytes; refused before the first byte when the rules forbid it."""
        package = self.package(live, self.plan(live, grant, request))
        return f"{package.folder}.zip", package.stream()

    def plan(self, live: Live, grant: str, request: ExhibitRequest) -> Plan:
        """Hold what is asked for against the rules and the store, and write it to the journal."""
        gate = self._gate
        words = msgspec.to_builtins(request)
        because = gate.grants.because(live, grant)
        with gate.journal.act("export.ask", because, words):
            if not request.purpose.strip() or not request.recipient.strip():
                raise Invalid("type the purpose again and say who receives it")
            if not (request.clips or request.passages or request.trace_of):
                raise Invalid("nothing to export: name intervals, passages or a trace")
            if request.mask and not (request.passages or request.trace_of):
                raise Invalid("masking keeps the chosen vehicles: name passages or a trace")
            permit = gate.grants.permit(live, grant, "export")
            for clip in request.clips:
                gate.grants.permit(live, grant, "export", [clip.camera], clip.interval)
            trace = None
            if request.trace_of:
                trace = self._acts.trace(live, grant, TraceRequest(passage_id=request.trace_of))
            named = [*request.passages, *(s.passage.id for s in trace.steps)] if trace else [*request.passages]
            wanted = tuple(dict.fromkeys(named))
            clips = merged_clips([*request.clips, *(self._clip_of(permit, p) for p in wanted)])
            kept = ((c, gop) for c in clips for gop in gate.footage.sealed(_bounds_of(c, permit), c.camera))
            if not wanted and not any(_is_whole(gop, clip) for clip, gop in kept):
                raise NotFound("nothing of what was asked for is recorded and whole inside the requisition")
            paths = tuple(gate.store.tracks(permit.bounds, wanted)) if request.mask else ()
            if request.mask and {t.passage_id for t in paths} != set(wanted):
                raise NotFound(
                    "the path in the picture of a chosen passage is not in the index: export without masking"
                )
        return Plan(grant, permit, request, tuple(clips), wanted, trace, paths)

    def package(self, live: Live, plan: Plan) -> Package:
        """The package of a plan, if the rules still allow it; each one has a number of its own."""
        because = self._gate.grants.because(live, plan.grant)
        with refusals(self._gate.journal, "export", because):
            permit = self._gate.grants.permit(live, plan.grant, "export")
        number = f"{permit.grant.basis.id[:9]}-{self._gate.clock():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        return Package(self._gate, self._acts, replace(plan, permit=permit), number)

    def _clip_of(self, permit: Permit, identifier: str) -> ExhibitClip:
        """A passage's recording, a little before and after, inside the grant."""
        p = passage(self._gate.store, permit, identifier).passage
        wide = Interval(p.started_at - AROUND_PASSAGE, p.ended_at + AROUND_PASSAGE)
        for interval in merged(permit.grant.intervals):
            if interval.holds(p.started_at) and (inside := interval.meet(wide)) is not None:
                return ExhibitClip(camera=p.camera, interval=inside)
        raise NotFound("no such passage in this requisition")


class Package:
    """One package while it is made."""

    def __init__(self, gate: Gate, acts: Acts, plan: Plan, number: str) -> None:
        self._gate = gate
        self._acts = acts
        self._plan = plan
        self._permit = plan.permit
        self._request = plan.request
        self._number = number
        self._originals: list[Original] = []
        self._copies: list[ViewingCopy] = []
        self._contents: dict[str, list[str]] = {}
        self._models: set[str] = set()
        self.folder = f"piece-{number}"
        self._zip = StreamedZip(self.folder, gate.clock())
        self._head: dict[str, Any] = {}
        self.done_s = 0.0
        """Camera-seconds gone through."""
        self.size = 0
        """Bytes sent."""
        self.sums_sha256 = ""
        """Of `SHA256SUMS`, once the package went whole."""

    @property
    def files(self) -> int:
        """Files so far."""
        return len(self._zip.sums)

    def stream(self) -> Iterator[bytes]:
        """The ZIP, piece by piece. It is registered before its signature goes: what goes unregistered is unsigned."""
        gate, permit = self._gate, self._permit
        details = {"number": self._number, "recipient": self._request.recipient, "typed": self._request.purpose}
        with gate.journal.act("export", permit.because, details) as outcome:
            for data in self._unsigned():
                for at in range(0, len(data), CHUNK):
                    gate.grants.still(permit)
                    self.size += min(CHUNK, len(data) - at)
                    yield data[at : at + CHUNK]
            sums = self._sums()
            sums_sha256 = hashlib.sha256(sums).hexdigest()
            signed = self._zip.add("SHA256SUMS.sig", gate.signing.sign(sums)) + self._zip.close()
            self.size += len(signed)
            gate.grants.still(permit)
            self._register(sums_sha256)
            outcome.note(sha256sums=sums_sha256, bytes=self.size, files=sorted(self._zip.sums))
        # Whoever hangs up from here on may hold all of it.
        yield signed
        self.sums_sha256 = sums_sha256

    def _register(self, sums_sha256: str) -> None:
        """Into the register and the list of packages, both or neither."""
        gate, permit = self._gate, self._permit
        with gate.database.write() as s:
            s.add(
                ExportRow(
                    id=self._number,
                    requisition=permit.grant.basis.id,
                    person=permit.grant.person.id,
                    recipient=self._request.recipient,
                    purpose=self._request.purpose,
                    manifest_sha256=sums_sha256,
                    size_bytes=self.size,
                    at=gate.clock(),
                )
            )
            s.add(
                RegisterRow(
                    at=gate.clock(),
                    kind="sent",
                    requisition=permit.grant.basis.id,
                    details={"number": self._number, "to": self._request.recipient, "files": len(self._zip.sums)},
                )
            )

    def _unsigned(self) -> Iterator[bytes]:
        """All but the signature and the end of the ZIP."""
        add = self._zip.add
        for clip in self._plan.clips:
            yield from self._originals_of(clip)
            self.done_s += (clip.interval.end - clip.interval.start).total_seconds()
        if not self._originals and not self._plan.passages:
            raise NotFound("nothing of what was asked for is recorded and whole inside the requisition")
        yield from self._pictures()
        if self._plan.trace is not None:
            yield add("trace/trace.csv", trace_csv(self._plan.trace, self._gate.site))
            yield add("trace/plan.svg", trace_svg(self._plan.trace, self._gate.site))
            yield add("trace/trace.json", msgspec.json.format(msgspec.json.encode(self._plan.trace), indent=1))
        covered = self._coverage()
        yield add("couverture.csv", coverage_csv(covered))
        yield from self._journal()
        for name in ("verifier.sh", "verifier.html"):
            yield add(f"verification/{name}", resources.files("gate").joinpath("verifiers", name).read_bytes())
        public = self._gate.signing.public_key()
        yield add("cle-publique.pem", public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        papers = self._papers(covered)
        yield add("fiche-technique-extraction.pdf", extraction_sheet(papers))
        yield add("manifeste.json", self._manifest(papers))
        papers = replace(papers, sums=dict(self._zip.sums))
        yield add("bordereau-transmission.pdf", transmission_slip(papers))
        yield add("SHA256SUMS", self._sums())

    def _originals_of(self, clip: ExhibitClip) -> Iterator[bytes]:
        gate, permit = self._gate, self._permit
        group: list[Gop] = []
        still = partial(gate.grants.still, permit)
        for gop in gate.footage.opened(_bounds_of(clip, permit), clip.camera, still):
            if not _is_whole(gop, clip):
                continue
            if group and (gop.codec != group[0].codec or gop.last_at - group[0].first_at > PIECE):
                yield from self._original(clip, group)
                group = []
            group.append(gop)
        if group:
            yield from self._original(clip, group)

    def _original(self, clip: ExhibitClip, group: list[Gop]) -> Iterator[bytes]:
        first, last = group[0], group[-1]
        stem = f"{clip.camera}-{first.first_at:%Y%m%dT%H%M%S}.{first.first_at.microsecond // 1000:03d}Z"
        name = f"originaux/{stem}.mp4"
        yield self._zip.add(name, rewind.mp4(group))
        self._contents[name] = [g.sha256.hex() for g in group]
        self._originals.append(
            Original(
                name=name,
                camera=clip.camera,
                asked_from=clip.interval.start,
                asked_to=clip.interval.end,
                first_at=first.first_at,
                last_at=last.last_at,
                frames=sum(g.frames for g in group),
                codec=first.codec.codec,
                size_px=f"{first.codec.width_px}x{first.codec.height_px}",
                clock=first.clock,
            )
        )
        yield from self._viewing_copy(clip.camera, stem, name, group)

    def _viewing_copy(self, camera: str, stem: str, original: str, group: list[Gop]) -> Iterator[bytes]:
        gate, request = self._gate, self._request
        if not (request.viewing or request.mask or group[0].codec.codec == "hevc"):
            return
        here = Interval(group[0].first_at, group[-1].last_at + timedelta(microseconds=1))
        paths = [t for t in self._plan.paths if t.camera == camera and _touches(t, here)]
        done = ["recodée en H.264", *self._marks(paths)]
        name = f"visionnage/{stem}-{'masque' if request.mask else 'h264'}.mp4"
        still = partial(gate.grants.still, self._permit)
        copy = viewing_copy(group, self._caption(camera), paths if request.mask else None, still)
        yield self._copied(name, copy, original, done, paths)

    def _caption(self, camera: str) -> Caption:
        site = self._gate.site
        return Caption(place_of(site, camera), self._permit.grant.basis.reference, ZoneInfo(site.timezone))

    def _marks(self, paths: Sequence[Track]) -> list[str]:
        """What was added to a viewing copy and taken from it, for the papers."""
        marks = ["date, heure locale et UTC, lieu et réquisition dans une bande ajoutée sous l'image"]
        if self._request.mask:
            marks.append(
                "tout ce qui est hors de la boîte des véhicules choisis, plus 15 %, est réduit en gros blocs"
                if paths
                else "aucun véhicule choisi n'y paraît : toute l'image est réduite en gros blocs"
            )
        return marks

    def _copied(self, name: str, data: bytes, original: str, done: list[str], paths: Sequence[Track]) -> bytes:
        """Add a viewing copy to the package and to its papers."""
        added = self._zip.add(name, data)
        self._copies.append(
            ViewingCopy(
                name=name,
                sha256=self._zip.sums[name][0],
                original=original,
                original_sha256=self._zip.sums[original][0],
                done=tuple(done),
                kept=tuple(t.passage_id for t in paths),
            )
        )
        return added

    def _pictures(self) -> Iterator[bytes]:
        for number, identifier in enumerate(self._plan.passages, 1):
            self._gate.grants.still(self._permit)
            row = passage(self._gate.store, self._permit, identifier).passage
            self._models |= {m for m in (row.detector, row.embedding.model if row.embedding else "") if m}
            stem = f"images/{number:02d}-{row.camera}-{row.started_at:%Y%m%dT%H%M%SZ}-{identifier[:8]}"
            for n in range(len(row.views)):
                try:
                    data = self._acts.view(self._permit, identifier, n)
                except GateError:
                    continue  # it may have gone up to an hour before its passage does
                yield self._zip.add(f"{stem}-vue{n + 1}.jpg", data)
            at = row.views[0].at if row.views else row.started_at
            bounds = self._permit.bounds.meet(frozenset({row.camera}), _near(at))
            if bounds.empty:
                continue
            permit = replace(self._permit, bounds=bounds, cameras=bounds.cameras, interval=bounds.intervals[0])
            try:
                moment, data = rewind.still(self._gate.footage, permit, at)
            except NotFound:
                continue
            name = f"{stem}-image-{moment:%H%M%S}.jpg"
            yield self._zip.add(name, data)
            if self._request.mask:
                paths = [t for t in self._plan.paths if t.camera == row.camera]
                copy = masked_still(data, moment, self._caption(row.camera), paths)
                name_there = name.replace("images/", "visionnage/").replace(".jpg", "-masque.jpg")
                yield self._copied(name_there, copy, name, ["image fixe recodée en JPEG", *self._marks(paths)], paths)

    def _journal(self) -> Iterator[bytes]:
        gate = self._gate
        identifier = self._permit.grant.basis.id
        own = [canonical(e) for e in of_requisition(gate.journal.entries(newest_first=True), identifier)]
        yield self._zip.add("journal/extrait.jsonl", b"\n".join(reversed(own)) + b"\n")
        self._head = gate.journal.sign_head(of_export=True) or {}
        yield self._zip.add("journal/tete.json", canonical(self._head) + b"\n")

    def _coverage(self) -> CoverageStatement:
        gate = self._gate
        indexed = gate.store if "search" in self._permit.grant.acts else None
        parts = []
        for clip in self._plan.clips:
            bounds = _bounds_of(clip, self._permit)
            recorded = gate.footage.recorder(bounds)
            parts.append(coverage.statement(bounds, recorded, indexed))
        return CoverageStatement(
            asked_s=sum(p.asked_s for p in parts),
            recorded_s=sum(p.recorded_s for p in parts),
            indexed_s=sum(p.indexed_s for p in parts),
            lines=tuple(line for p in parts for line in p.lines),
        )

    def _papers(self, covered: CoverageStatement) -> Papers:
        gate, permit = self._gate, self._permit
        return Papers(
            site=gate.site,
            requisition=gate.requisitions.info(permit.grant.basis.id),
            number=self._number,
            made_at=gate.clock(),
            clock_source=clock_source(),
            person=permit.grant.person.name,
            directed_by=permit.because.directed_by,
            purpose=self._request.purpose,
            recipient=self._request.recipient,
            originals=tuple(self._originals),
            copies=tuple(self._copies),
            coverage=covered,
            models=tuple(sorted(self._models | {c.detector for c in covered.lines if c.detector})),
            software=software(),
            fingerprint=fingerprint(gate),
            journal_count=int(self._head.get("count", 0)),
            journal_head=str(self._head.get("hash", "")),
            sums={},
        )

    def _manifest(self, papers: Papers) -> bytes:
        r = papers.requisition
        manifest = {
            "numero": self._number,
            "site": papers.site.name,
            "requisition": {
                "reference": r.reference,
                "article": r.article,
                "inquiry": r.inquiry,
                "document": r.document,
            },
            "fait_le": papers.made_at,
            "horloge": papers.clock_source,
            "operateur": papers.person,
            "dirige_par": papers.directed_by,
            "motif": papers.purpose,
            "destinataire": papers.recipient,
            "logiciel": papers.software,
            "modeles": papers.models,
            "journal": {"entrees": papers.journal_count, "tete": papers.journal_head},
            "originaux": [
                {**{f: getattr(o, f) for f in Original.__slots__}, "groupes_sha256": self._contents[o.name]}
                for o in papers.originals
            ],
            "copies_de_visionnage": [
                {
                    "fichier": c.name,
                    "sha256": c.sha256,
                    "original": c.original,
                    "original_sha256": c.original_sha256,
                    "traitements": c.done,
                    "vehicules_laisses_nets": c.kept,
                }
                for c in papers.copies
            ],
            "couverture": {
                "demande_s": papers.coverage.asked_s,
                "enregistre_s": papers.coverage.recorded_s,
                "analyse_s": papers.coverage.indexed_s,
            },
            "fichiers": {name: {"sha256": sha, "octets": size} for name, (sha, size) in self._zip.sums.items()},
        }
        return msgspec.json.format(msgspec.json.encode(manifest), indent=1)

    def _sums(self) -> bytes:
        listed = {n: v for n, v in self._zip.sums.items() if n not in ("SHA256SUMS", "SHA256SUMS.sig")}
        return "".join(f"{sha}  {name}\n" for name, (sha, _) in listed.items()).encode()


def _bounds_of(clip: ExhibitClip, permit: Permit) -> Bounds:
    return permit.bounds.meet(frozenset({clip.camera}), clip.interval)


def _is_whole(gop: Gop, clip: ExhibitClip) -> bool:
    """Handed over inward to keyframes: a group of pictures goes whole, or not at all."""
    return gop.first_at >= clip.interval.start and gop.last_at < clip.interval.end


def fingerprint(gate: Gate) -> str:
    """SHA-256 of the public key (DER), as printed on the slip that is signed by hand."""
    der = gate.signing.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def software() -> str:
    """What made the files, with versions."""
    try:
        own = metadata.version("passage")
    except metadata.PackageNotFoundError:
        own = "non installé"
    return f"Passage {own} ; PyAV {av.__version__}"


def merged_clips(clips: list[ExhibitClip]) -> list[ExhibitClip]:
    """The same seconds, each camera's once, in order of camera and time."""
    by_camera: dict[str, list[Interval]] = {}
    for clip in clips:
        by_camera.setdefault(clip.camera, []).append(clip.interval)
    return [ExhibitClip(camera=c, interval=i) for c in sorted(by_camera) for i in merged(tuple(by_camera[c]))]


def coverage_csv(covered: CoverageStatement) -> bytes:
    """The coverage statement for a spreadsheet."""
    out = io.StringIO()
    table = csv.writer(out, delimiter=";", lineterminator="\r\n")
    table.writerow(["demandé (s)", "enregistré (s)", "analysé (s)"])
    table.writerow([covered.asked_s, covered.recorded_s, covered.indexed_s])
    table.writerow([])
    table.writerow(["caméra", "de (UTC)", "à (UTC)", "état", "raison"])
    for c in covered.lines:
        told = (STATUS[c.status], reason(c.reason))
        table.writerow([c.camera, c.started_at.isoformat(), c.ended_at.isoformat(), *told])
    return out.getvalue().encode("utf-8-sig")


def _near(at: datetime) -> Interval:
    return Interval(at - timedelta(seconds=2), at + timedelta(seconds=2))


def _touches(track: Track, interval: Interval) -> bool:
    return track.sightings[0].at < interval.end and track.sightings[-1].at >= interval.start
