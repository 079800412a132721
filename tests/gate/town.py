# SPDX-License-Identifier: AGPL-3.0-or-later
"""A town in memory and in a folder for the gate's tests: cameras, recordings, passages, people, and a clock to turn.

Every recorded second of every camera carries a canary, `<<camera@second>>`, in each of its pictures, so that whatever
leaves the gate shows what it was made of.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pyotp
from argon2 import PasswordHasher
from starlette.testclient import TestClient

from connectors import topics
from connectors.archive import ArchiveWriter
from connectors.archive_views import view_reference
from connectors.bounds import Interval
from connectors.broker import TopicSettings
from connectors.codec_units import content_hash
from connectors.gop import CodecParameters, Gop, Packet
from connectors.memory_broker import MemoryBroker
from connectors.memory_store import MemoryStore
from connectors.records import DeadRecord
from connectors.sealing import PublicKeys, Sealer, seal_view
from connectors.site import Site
from gate.client import GateClient
from gate.gate import Gate
from gate.messages import CredentialDraft, PersonDraft, Role
from gate.service import make_app
from gate.setup import set_up
from reid.passage import Coverage, Embedding, Passage, View, passage_id

START = datetime(2026, 3, 20, 14, 0, tzinfo=UTC)
"""When the town's recordings begin."""
PASSWORD = "correct horse battery"
PDF = b"%PDF-1.4 a scanned requisition"
CANARY = re.compile(rb"<<([a-z0-9-]+)@(\d+)>>")
RED = tuple(0.9 if i == 4 else 0.01 for i in range(11))
GREY = tuple(0.9 if i == 1 else 0.01 for i in range(11))


class Clock:
    """A clock that stands until it is turned."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def turn(self, **by: float) -> None:
        self.at += timedelta(**by)


@cache
def span(start: float, end: float) -> Interval:
    """Seconds of the town's recordings."""
    return Interval(START + timedelta(seconds=start), START + timedelta(seconds=end))


def _plain(shade: int) -> bytes:
    good, data = cv2.imencode(".jpg", np.full((16, 24, 3), shade, np.uint8))
    assert good
    return bytes(data.tobytes())


def jpeg_with(canary: bytes, shade: int = 120) -> bytes:
    """A JPEG whose comment is a canary."""
    plain = _plain(shade)
    return plain[:2] + b"\xff\xfe" + (len(canary) + 2).to_bytes(2, "big") + canary + plain[2:]


def canary(camera: str, at: datetime) -> bytes:
    return b"<<%s@%d>>" % (camera.encode(), int(at.timestamp()))


def canaries(data: bytes) -> set[tuple[str, int]]:
    """Every (camera, second) that shows in some bytes."""
    return {(c.decode(), int(s)) for c, s in CANARY.findall(data)}


def gop(camera: str, at: datetime, sequence: int, *, scope: str = "live", fps: int = 4, seconds: int = 1) -> Gop:
    """A group of pictures, each with the canary of its own second."""
    codec = CodecParameters(codec="mjpeg", width_px=24, height_px=16, framing="jpeg")
    pictures, packets = [], []
    for n in range(fps * seconds):
        offset = n * 1_000_000 // fps
        picture = jpeg_with(canary(camera, at + timedelta(microseconds=offset)), 40 + n % 50)
        pictures.append(picture)
        packets.append(Packet(size=len(picture), pts_us=offset, dts_us=offset, keyframe=True))
    payload = b"".join(pictures)
    return Gop(
        camera=camera,
        scope=scope,
        run="run1",
        sequence=sequence,
        codec=codec,
        first_at=at,
        last_at=at + timedelta(microseconds=packets[-1].pts_us),
        clock="file",
        frames=len(packets),
        packets=tuple(packets),
        sha256=content_hash(codec, payload, packets),
        payload=payload,
    )


def dead_record(topic: str, data: bytes, found_at: datetime) -> DeadRecord:
    """A dead letter that holds `data`."""
    return DeadRecord(
        topic=topic,
        partition=0,
        offset=0,
        key="gare",
        error="RecordCorrupt",
        reason="a test",
        data=data,
        found_at=found_at,
    )


def live_broker(partitions: int = 1) -> MemoryBroker:
    """A broker as capture leaves it at its start."""
    broker = MemoryBroker()
    broker.ensure_topic(topics.FRAMES_LIVE, TopicSettings(partitions=partitions))
    return broker


class Town:
    """A site with three cameras, one minute of recording each, and everybody who works there."""

    def __init__(
        self,
        folder: Path,
        *,
        cameras: Sequence[str] = ("mairie", "gare", "pont"),
        now: datetime | None = None,
        port: int = 18600,
        store: Any = None,
    ) -> None:
        self.folder = folder
        self.clock = Clock(now or START + timedelta(hours=1))
        self.names = tuple(cameras)
        self.site = Site.model_validate(
            {
                "name": "Essai",
                "data": folder,
                "gate": {"port": port},
                "camera": [
                    {
                        "name": name,
                        "label": name.title(),
                        "place": f"Place de la {name.title()}",
                        "url": f"rtsp://user:secret@10.0.0.{n}/stream",
                        "masks_dwellings": True,
                        "position_m": [100.0 * n, 50.0],
                    }
                    for n, name in enumerate(cameras, 1)
                ],
            }
        )
        set_up(self.site)
        # Whoever records makes it, and the proof of destruction asks for it where recordings are.
        (folder / "recovery").mkdir(exist_ok=True)
        self.store: Any = store or MemoryStore()
        self.hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        self.gate = self.new_gate()
        self.gate.keys.publish(self.gate.not_before())
        self.sealer = Sealer(PublicKeys(folder / "keys" / "public"))
        self.secrets: dict[str, str] = {}
        self.people: dict[str, str] = {}
        self.recovery: dict[str, tuple[str, ...]] = {}
        self.indexed: list[Passage] = []
        self.coverage: list[Coverage] = []

    def copy(self, folder: Path) -> Town:
        """The same town in another folder, so that a test need not make what many begin with."""
        shutil.copytree(self.folder, folder)
        twin = Town(folder, cameras=self.names, now=self.clock.at)
        twin.store.insert_passages(self.indexed)
        twin.store.insert_coverage(self.coverage)
        twin.secrets, twin.people, twin.recovery = dict(self.secrets), dict(self.people), dict(self.recovery)
        return twin

    def new_gate(self) -> Gate:
        """The gate as after a restart."""
        return Gate(self.site, self.store, clock=self.clock, hasher=self.hasher)

    # Recordings and passages

    def record(
        self, start: datetime = START, seconds: int = 60, cameras: Iterable[str] | None = None, *, group_s: int = 1
    ) -> None:
        """Record groups of pictures of a second each, or of more, sealed."""
        writer = ArchiveWriter(self.site.archive_dir)
        for camera in cameras or self.names:
            for n in range(0, seconds, group_s):
                at = start + timedelta(seconds=n)
                writer.append(self.sealer.seal(gop(camera, at, int(at.timestamp()), seconds=group_s)))
        writer.close()

    def index(
        self,
        scope: str,
        start: datetime = START,
        seconds: int = 60,
        cameras: Iterable[str] | None = None,
        *,
        every: int = 5,
    ) -> list[Passage]:
        """What indexing would have left for one scope: a passage every few seconds, its view sealed in the archive."""
        writer = ArchiveWriter(self.site.archive_dir)
        made: list[Passage] = []
        looked: list[Coverage] = []
        for number, camera in enumerate(cameras or self.names):
            for n in range(0, seconds, every):
                at = start + timedelta(seconds=n)
                identifier = passage_id(scope, camera, at, 0)
                sealed = self.sealer.seal(gop(camera, at, int(at.timestamp()))).seal
                assert sealed is not None
                reference = view_reference(scope, camera, at, identifier, 0)
                data_key = self.gate.keys.data_key(sealed)
                cipher, seal = seal_view(jpeg_with(canary(camera, at)), sealed, data_key, reference)
                assert writer.put_view(scope, camera, at, identifier, 0, cipher) == reference
                vector = np.zeros(8)
                vector[(n // every) % 8] = 1.0
                made.append(
                    Passage(
                        id=identifier,
                        scope=scope,
                        camera=camera,
                        started_at=at,
                        ended_at=at + timedelta(seconds=1),
                        vehicle_class="car",
                        class_score=0.9,
                        colours=RED if (n // every + number) % 3 == 0 else GREY,
                        entry="left",
                        exit="right",
                        speed_px_s=100.0,
                        first_box=(0.0, 0.0, 10.0, 10.0),
                        last_box=(10.0, 0.0, 20.0, 10.0),
                        sightings=4,
                        embedding=Embedding("test", tuple(float(v) for v in vector)),
                        views=(
                            View(
                                at=at,
                                box=(0.0, 0.0, 10.0, 10.0),
                                width_px=24,
                                height_px=16,
                                quality=1.0,
                                reference=reference,
                                sealed=msgspec.msgpack.encode(seal),
                            ),
                        ),
                        detector="test",
                    )
                )
            looked.append(
                Coverage(
                    scope=scope,
                    camera=camera,
                    started_at=start,
                    ended_at=start + timedelta(seconds=seconds),
                    status="indexed",
                    frames=seconds * 4,
                    frames_decoded=seconds * 4,
                )
            )
        writer.close()
        self.indexed += made
        self.coverage += looked
        self.store.insert_passages(made)
        self.store.insert_coverage(looked)
        return made

    # People

    def person(
        self, login: str, *roles: Role, municipal: bool = True, habilitated: bool = True, until: datetime | None = None
    ) -> str:
        """Give somebody an account; their id."""
        end = until or self.clock() + timedelta(days=365)
        begin = min(self.clock(), end) - timedelta(days=400)
        credentials = (
            CredentialDraft(kind="habilitation", reference=f"H-{login}", starts_at=begin, ends_at=end),
            CredentialDraft(kind="agrement", reference=f"A-{login}", starts_at=begin, ends_at=end),
        )
        made = self.gate.people.make(
            PersonDraft(
                login=login,
                name=login.title(),
                roles=roles,
                password=PASSWORD,
                municipal=municipal,
                credentials=credentials if habilitated else (),
            ),
            own_password=True,
        )
        self.secrets[login] = pyotp.parse_uri(made.totp_uri).secret
        self.recovery[login] = made.recovery_codes
        self.people[login] = made.person.id
        return made.person.id

    def staff(self) -> None:
        """The usual five."""
        self.person("admin", "administrator", municipal=False, habilitated=False)
        self.person("greffe", "registrar")
        self.person("chef", "registrar")
        self.person("tech", "technician")
        self.person("audit", "auditor", habilitated=False)

    def code(self, login: str) -> str:
        """The code of the moment; the clock goes on, so that the next one is another."""
        code = pyotp.TOTP(self.secrets[login]).at(self.clock())
        return code

    # Clients

    @property
    def url(self) -> str:
        """The only name under which the gate answers."""
        return f"http://127.0.0.1:{self.site.gate.port}"

    def http(self, gate: Gate | None = None) -> TestClient:
        """A fresh browser or program at the service."""
        if gate is not None or not hasattr(self, "_app"):
            app = make_app(gate or self.gate)
            if gate is not None:
                return TestClient(app, base_url=self.url)
            self._app = app
        return TestClient(self._app, base_url=self.url)

    def client(self, login: str) -> GateClient:
        """A signed-in client; the clock is turned so that every sign-in has a code of its own."""
        client = GateClient("http://testserver", http=self.http())
        self.clock.turn(seconds=31)
        client.sign_in(login, PASSWORD, self.code(login))
        return client

    # Requisitions

    def words(self, **changes: Any) -> dict[str, Any]:
        """A requisition that holds together."""
        words: dict[str, Any] = {
            "reference": "PV 2026/1234",
            "cameras": ("mairie", "gare"),
            "intervals": (Interval(START + timedelta(seconds=10), START + timedelta(seconds=40)),),
            "purpose": "rixe place de la mairie",
            "expires_at": START + timedelta(days=20),
            "article": "60-1",
            "authority": "opj",
            "authority_name": "Capitaine Durand, commissariat",
            "inquiry": "2026/000123",
            "offence": "violences en réunion",
            "document": PDF,
        }
        words.update(changes)
        return words

    def opened(self, **changes: Any) -> str:
        """A requisition drafted by one registrar and opened by the other; its id."""
        drafted = self.client("greffe").draft(**self.words(**changes))
        return self.client("chef").open(drafted.id).id

    def journal(self) -> list[dict[str, Any]]:
        """Every entry."""
        return list(self.gate.journal.entries())


def recorded_town(folder: Path) -> Town:
    """Two cameras with twenty seconds of video, and everybody who works there."""
    town = Town(folder, cameras=("mairie", "gare"))
    town.staff()
    town.record(seconds=20)
    return town
