# SPDX-License-Identifier: AGPL-3.0-or-later
"""A year of a small town's work before today: nine requisitions, asked for, opened, looked at, handed over, closed.

Everything goes through the gate's own services, with a clock that this module turns; not a row is written beside them.
So the yearly report, the journal, the register and the proofs of destruction show what really happened to them. The
recordings are short test pictures; nothing is indexed (the searches say so), as no flow runs in the past.
"""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import cv2
import msgspec
import numpy as np
import pyotp
from pydantic import SecretStr

from connectors import topics
from connectors.archive import ArchiveWriter
from connectors.bounds import Interval
from connectors.camera import CameraReader
from connectors.gop import Gop
from connectors.memory_broker import MemoryBroker
from connectors.memory_store import MemoryStore
from connectors.sealing import PublicKeys, Sealer
from connectors.site import CameraSite, Site, load_site
from connectors.whole_file import write_whole
from gate.bilan import bilan, bilan_pdf
from gate.clock import ClockGuard
from gate.closure import expire
from gate.errors import OutsideScope
from gate.gate import Gate
from gate.keeper import Keeper
from gate.messages import (
    Authority,
    CredentialDraft,
    ExhibitClip,
    ExhibitRequest,
    GrantRequest,
    PersonDraft,
    Renewal,
    RequisitionDraft,
    SearchRequest,
    SignIn,
)
from gate.proof import prove
from gate.service import Service
from gate.sessions import Live
from gate.setup import first_administrator, set_up
from infra.demo_people import ROLES, Person, keep_credentials, paper, secret_of
from infra.demo_town import choose_ports
from infra.errors import DemoError
from reid.passage import LIVE

SHARES = (0.0, 0.09, 0.21, 0.3, 0.44, 0.58, 0.66, 0.83, 1.0)
"""When each comes in, as a share of the time that is filled."""
LEAST = timedelta(days=180)
"""A year with less behind it gives way to the one before."""
CAMERAS = ("Mairie", "Gare", "Place du Marché", "Pont", "Salle des fêtes", "Entrée nord")
RECORDED = timedelta(seconds=20)
"""Of each camera asked for: what the test pictures last."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the year."""

    offence: str
    purpose: str
    article: str
    authority: Authority
    cameras: int
    minutes: int
    """Length of what is asked for, ending some hours before the request comes in."""
    delay: timedelta
    """From its receipt to its opening."""
    searches: tuple[tuple[str, ...], ...]
    """Colours asked for, one search each."""
    watched_minutes: int
    open_days: int
    handed_over: int = 1
    refused: bool = False
    """The technician asks for a camera that the requisition does not name."""


REQUESTS = (
    Request("rixe", "voir le départ des participants", "60-1", "opj", 3, 40, timedelta(hours=2), (), 20, 6),
    Request("collision avec délit de fuite", "retrouver une voiture grise", "60-1", "opj", 4, 60, timedelta(hours=1),
            (("grey",), ("grey", "black")), 15, 12),
    Request("trafic de stupéfiants", "véhicule d'approvisionnement", "77-1-1", "opj", 2, 180, timedelta(hours=26),
            (("black",), ("blue",)), 30, 20, 2),
    Request("rixe", "établir le déroulement devant la salle", "60-1", "apj_under_opj", 2, 30, timedelta(hours=3), (),
            25, 5, refused=True),
    Request("blessures sur agent de la force publique", "retrouver la voiture qui a percuté un policier", "60-1",
            "prosecutor", 6, 90, timedelta(minutes=30), (("red",), ("red", "orange"), ("red",)), 30, 25, 2),
    Request("collision", "établir les circonstances", "60-1", "opj", 2, 20, timedelta(hours=5), (), 10, 4),
    Request("trafic de stupéfiants", "habitudes d'un véhicule blanc", "99-3", "investigating_judge", 3, 240,
            timedelta(hours=49), (("white",),), 30, 24),
    Request("rixe", "retrouver un véhicule vert", "60-1", "opj", 4, 45, timedelta(hours=2), (("green",),), 15, 9, 0),
    Request("collision avec délit de fuite", "retrouver une camionnette blanche", "60-1", "opj", 5, 60,
            timedelta(hours=1), (("white",), ("white", "grey")), 20, 10, refused=True),
)  # fmt: skip
"""Brawls, collisions, drug dealing, a wounded officer: what a town of nine requests a year is asked for."""


class Clock:
    """A clock that is turned."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        """The moment it stands at."""
        return self.at


def fill_year(site: Site, now: datetime) -> dict[str, Person]:
    """Let a site that has no people yet live through the months before `now`; its people by role.

    The gate must not run meanwhile. Its own clock goes on from where this one ends.
    """
    return _Year(site, now).run()


def year_of(now: datetime) -> int:
    """The year that is filled: this one, once enough of it has passed."""
    return now.year if now - datetime(now.year, 1, 1, tzinfo=UTC) >= LEAST else now.year - 1


class _Year:
    def __init__(self, site: Site, now: datetime) -> None:
        self.site, self.now = site, now
        start = datetime(year_of(now), 1, 4, 8, tzinfo=UTC)
        last = min(now - timedelta(days=27), datetime(start.year, 12, 4, 8, tzinfo=UTC))
        self.moments = [start + share * (last - start) for share in SHARES]
        self.clock = clock = Clock(start - timedelta(days=1))
        set_up(site)
        # Recorded here without the flows, which would have made it: the proof of destruction asks for it.
        (site.data / "recovery").mkdir(exist_ok=True)
        self.people = {"administrator": self._administrator()}
        self.store, self.broker = MemoryStore(site.retention_days), MemoryBroker()
        self.broker.ensure_topic(topics.FRAMES_LIVE, topics.settings(site, LIVE))
        self.gate = gate = Gate(site, self.store, clock=clock)
        # No time passes between two turns of this clock that a real one would have missed.
        gate.clock_guard = ClockGuard(gate.database, clock, lambda: clock().timestamp())
        gate.clock_guard.watch()
        self.service = Service(gate)
        self.keeper = Keeper(gate, self.store)
        self.pictures = small_video(site.cameras[0].name, start)

    def run(self) -> dict[str, Person]:
        gate = self.gate
        gate.journal.append("event", "service.start")
        self._others()
        for number, (moment, request) in enumerate(zip(self.moments, REQUESTS, strict=True), 1):
            self._until(moment)
            self._live(number, request)
        self._until(self.now)
        gate.journal.append("event", "service.stop")
        gate.journal.sign_head()
        gate.close()
        return self.people

    # People

    def _administrator(self) -> Person:
        login, name, role = ROLES[0]
        password = secrets.token_urlsafe(12)
        made = first_administrator(self.site, login, name, password, self.clock)
        return Person(login, name, role, password, secret_of(made.totp_uri))

    def _others(self) -> None:
        token = self._sign_in("administrator")
        for login, name, role in ROLES[1:]:
            first, password = secrets.token_urlsafe(12), secrets.token_urlsafe(12)
            from_, until = self.clock() - timedelta(days=1), self.now + timedelta(days=365)
            credentials = tuple(
                CredentialDraft(
                    kind=kind, reference=f"DÉMO-{login.upper()}-{kind[0].upper()}", starts_at=from_, ends_at=until
                )
                for kind in ("habilitation", "agrement")
            )
            draft = PersonDraft(login=login, name=name, roles=(role,), password=first, credentials=credentials)
            made = self.service.office.make_person(self._as(token), draft)
            code = made.recovery_codes[0]
            self.service.office.renew(Renewal(login=login, password=first, code=code, new_password=password))
            self.people[role] = Person(login, name, role, password, secret_of(made.totp_uri))
        self.service.office.sign_out(self._as(token))

    def _sign_in(self, role: str) -> str:
        """The token of a new session."""
        person = self.people[role]
        self.clock.at += timedelta(seconds=31)  # a code works once
        code = pyotp.TOTP(person.totp_secret).at(self.clock())
        token, _, _ = self.service.office.sign_in(SignIn(login=person.login, password=person.password, code=code))
        return token

    def _as(self, token: str) -> Live:
        """The session, in force still, as the service finds it at every call."""
        return self.gate.sessions.check(token)

    # Time

    def _until(self, moment: datetime) -> None:
        """Turn the clock, with what gate and keeper do by themselves each day, and the proof of each month."""
        while self.clock() < moment:
            midnight = (self.clock() + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
            self.clock.at = min(midnight, moment)
            self.gate.clock_guard.watch()
            if self.clock.at != midnight:
                return
            self.gate.keys.publish(self.gate.not_before())
            expire(self.gate)
            self.keeper.close_requisitions()
            self.keeper.destroy()
            if midnight.day == 1:
                proof = prove(self.gate, self.store, self.broker)
                if not proof.good:
                    raise DemoError(f"the proof of {midnight:%Y-%m} failed: {[p for p in proof.places if p.found]}")

    # One request

    def _live(self, number: int, request: Request) -> None:
        office, gate = self.service.office, self.gate
        received = self.clock()
        cameras = [c.name for c in self.site.cameras][: request.cameras]
        end = (received - timedelta(hours=3)).replace(minute=0, second=0, microsecond=0)
        asked = Interval(end - timedelta(minutes=request.minutes), end)
        self._record(cameras, asked.start)
        self._until(received + request.delay)
        reference = f"DÉMO-{received.year}-{number:03d}"
        draft = RequisitionDraft(
            reference=reference,
            cameras=tuple(cameras),
            intervals=(asked,),
            purpose=f"Démonstration : {request.purpose} (procédure fictive)",
            expires_at=self.clock() + timedelta(days=request.open_days + 5),
            article=request.article,
            prosecutor_authorisation="autorisation fictive" if request.article == "77-1-1" else "",
            authority=request.authority,
            authority_name="Autorité fictive (démonstration)",
            inquiry=f"DÉMO/{received.year}/{number:04d}",
            offence=request.offence,
            received_at=received,
        )
        registrar = self._sign_in("registrar")
        info = office.draft(self._as(registrar), draft, paper(reference, request.article, cameras, asked))
        office.open(self._as(registrar), info.id)
        self._work(info.id, request, cameras, asked)
        office.review(self._as(self._sign_in("auditor")), info.id)
        self._until(self.clock() + timedelta(days=request.open_days))
        office.close(self._as(self._sign_in("registrar")), info.id)
        # What the supervisor's jobs do: there are no runs to end.
        for order in gate.requisitions.orders(info.id):
            (gate.folders.orders / f"{order}.closed").touch()
        self.keeper.close_requisitions()

    def _work(self, requisition: str, request: Request, cameras: list[str], asked: Interval) -> None:
        acts, exhibits = self.service.acts, self.service.exhibits
        token = self._sign_in("technician")
        grant = acts.grant(
            self._as(token),
            GrantRequest(
                requisition=requisition,
                acts=("rewind", "search", "picture", "video", "trace", "export"),
                directed_by="OPJ fictif (démonstration)",
            ),
        ).id
        for n in range(0, request.watched_minutes, 5):
            camera = cameras[n // 5 % len(cameras)]
            acts.video(
                self._as(token), grant, "video", camera, Interval(asked.start, asked.start + timedelta(minutes=5))
            )
            self.clock.at += timedelta(minutes=5)
        for colours in request.searches:
            acts.search(self._as(token), grant, SearchRequest(colours=colours))
        if request.refused:
            beyond = self.site.cameras[-1].name
            try:
                acts.video(self._as(token), grant, "video", beyond, asked)
            except OutsideScope:
                pass
            else:
                raise DemoError(f"{beyond} was shown although the requisition does not name it")
        for n in range(request.handed_over):
            wanted = ExhibitRequest(
                clips=(ExhibitClip(camera=cameras[n], interval=asked),),
                purpose="remise à l'enquêteur (démonstration)",
                recipient="OPJ fictif (démonstration)",
            )
            _, pieces = exhibits.export(self._as(token), grant, wanted)
            for _ in pieces:
                pass  # handed over and kept nowhere
        self.service.office.sign_out(self._as(token))

    def _record(self, cameras: list[str], start: datetime) -> None:
        """What capture and record would have left: sealed groups of pictures in the archive."""
        sealer = Sealer(PublicKeys(self.site.data / "keys" / "public"))
        writer = ArchiveWriter(self.site.archive_dir)
        for camera in cameras:
            for gop in self.pictures:
                at = start + (gop.first_at - self.pictures[0].first_at)
                moved = msgspec.structs.replace(
                    gop,
                    camera=camera,
                    run=f"demo-{start:%Y%m%d}",
                    first_at=at,
                    last_at=at + (gop.last_at - gop.first_at),
                )
                writer.append(sealer.seal(moved) if self.site.sealing else moved)
        writer.close()


def small_video(camera: str, start: datetime) -> list[Gop]:
    """The test video as a camera's groups of pictures."""
    with TemporaryDirectory(prefix="passage-year-") as folder:
        path = write_video(Path(folder) / "test.mp4")
        source = CameraSite(
            name=camera, label=camera, url=SecretStr(str(path)), start_utc=start, pace="fast", masks_dwellings=True
        )
        return list(CameraReader(source, run="demo").gops())


def write_video(path: Path) -> Path:
    """Twenty seconds of a test picture that says what it is, in H.264."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=12, options={"g": "24", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt, stream.thread_count = 352, 288, "yuv420p", 1
        for n in range(int(12 * RECORDED.total_seconds())):
            picture = np.full((288, 352, 3), 60, np.uint8)
            cv2.putText(picture, "DEMONSTRATION", (40, 130), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (230, 230, 230), 2)
            cv2.circle(picture, (20 + n % 312, 200), 14, (40, 60, 200), -1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def run_year(folder: Path) -> Path:
    """A site of its own that has lived through the year, in `folder`; the report as PDF."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "var", ignore_errors=True)
    now = datetime.now(UTC)
    write_video(folder / "test.mp4")
    ports = choose_ports()
    text = [
        'name = "Ville d\'essai (démonstration)"',
        'authorisation = "DÉMONSTRATION, aucune autorisation réelle"',
        f"metrics_port = {ports.metrics}",
        f"kafka = {{ port = {ports.kafka} }}",
        f"store = {{ port = {ports.store} }}",
        f"gate = {{ port = {ports.gate} }}",
        f"dashboard = {{ port = {ports.dashboard} }}",
    ]
    for number, label in enumerate(CAMERAS, 1):
        text += [
            "[[camera]]",
            f'name = "c{number:02d}"',
            f'label = "{label}"',
            'url = "test.mp4"',
            f"start_utc = {now - RECORDED:%Y-%m-%dT%H:%M:%SZ}",
            'pace = "fast"',
            "masks_dwellings = true",
        ]
    write_whole(folder / "site.toml", "\n".join(text).encode())
    site = load_site(folder / "site.toml")
    keep_credentials(folder, fill_year(site, now))
    report = folder / f"bilan-{year_of(now)}.pdf"
    write_bilan(site, year_of(now), report)
    return report


def write_bilan(site: Site, year: int, out: Path) -> int:
    """The year's report of a site whose gate does not run, as PDF; how many requests it shows."""
    gate = Gate(site, MemoryStore(site.retention_days))
    try:
        found = bilan(gate, year)
        out.write_bytes(bilan_pdf(found))
        return len(found.lines)
    finally:
        gate.close()
