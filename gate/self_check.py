# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the site can say of itself: the norms per camera, what is absent, what is stored, where and how long."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import gate as gate_package
from connectors.archive import ArchiveReader
from connectors.bounds import Interval
from connectors.gop import Gop
from connectors.site import CameraSite, Site
from gate.gate import Gate
from gate.messages import AbsenceLine, Attestation, CameraCheck, StoredKind
from reid.classes import PERSON_CLASSES, map_classes
from reid.detector import shipped_models
from reid.passage import VEHICLE_CLASSES

NARROW_PX = (704, 576)
WIDE_PX = (352, 288)
FAST_FPS = 12.0
SLOW_FPS = 6.0
"""Arrêté of 3 August 2007: sizes by view, rates by what moves."""
LOOK_BACK = timedelta(minutes=10)
FORBIDDEN_MODELS = ("face", "visage", "plate", "plaque", "lpr", "anpr", "alpr", "lapi", "ocr", "insight", "arcface")
"""Words that a model of faces or plates would carry in its name."""
FORBIDDEN_CODE = ("onvif", "ptz", "face_recognition", "insightface", "easyocr", "pytesseract", "openalpr", "facenet")
"""Libraries of camera control, faces and plates."""


def camera_checks(gate: Gate) -> tuple[CameraCheck, ...]:
    """Each camera against the norms, from what was recorded last; header data only, no picture is opened."""
    return tuple(_camera(gate, camera) for camera in gate.site.cameras)


def _camera(gate: Gate, camera: CameraSite) -> CameraCheck:
    reader = ArchiveReader(gate.site.archive_dir)
    faults: list[str] = []
    least_px = NARROW_PX if camera.view == "narrow" else WIDE_PX
    least_fps = FAST_FPS if camera.fast_movement else SLOW_FPS
    if not camera.masks_dwellings:
        faults.append("masking of dwellings in the camera is not confirmed")
    newest = _newest(reader, camera.name, gate.clock())
    if newest is None:
        return CameraCheck(camera=camera.name, label=camera.label, good=False, faults=(*faults, "nothing is recorded"))
    width, height = newest.codec.width_px, newest.codec.height_px
    seconds = (newest.last_at - newest.first_at).total_seconds()
    fps = round((newest.frames - 1) / seconds, 2) if newest.frames > 1 and seconds > 0 else 0.0
    if width < least_px[0] or height < least_px[1]:
        faults.append(f"{width}x{height} pictures; at least {least_px[0]}x{least_px[1]} for a {camera.view} view")
    if fps < least_fps:
        faults.append(f"{fps:g} pictures a second; at least {least_fps:g}")
    if newest.clock == "arrival":
        faults.append("date and time come from arrival, not from the camera: set its clock and its sender reports")
    if camera.position_m is None and camera.position_wgs84 is None and not camera.place:
        faults.append("no location is written for it")
    return CameraCheck(
        camera=camera.name,
        label=camera.label,
        good=not faults,
        width_px=width,
        height_px=height,
        fps=fps,
        clock=newest.clock,
        faults=tuple(faults),
    )


def _newest(reader: ArchiveReader, camera: str, now: datetime) -> Gop | None:
    for back in (LOOK_BACK, timedelta(hours=24), timedelta(days=31)):
        entries = reader.entries(camera, Interval(now - back, now))
        if entries:
            return reader.read(*entries[-1])
    return None


def absence(site: Site, paths: Iterable[str]) -> Attestation:
    """That faces, plates, live view and camera control are absent, and that only vehicles are followed.

    `paths` are the addresses under which the gate answers.
    """
    lines = [
        AbsenceLine(
            what="only vehicles are tracked, described and stored",
            good=_only_vehicles(),
            evidence=f"classes of passages: {', '.join(VEHICLE_CLASSES)}",
        ),
        _models(site),
        _listed(site),
        _code(),
        _routes(paths),
        AbsenceLine(
            what="cameras mask dwellings themselves",
            good=all(c.masks_dwellings for c in site.cameras),
            evidence=f"{sum(c.masks_dwellings for c in site.cameras)} of {len(site.cameras)} confirmed",
        ),
    ]
    return Attestation(good=all(line.good for line in lines), lines=tuple(lines))


def _only_vehicles() -> bool:
    """Nothing but vehicles comes out of any detector, whatever else it knows."""
    mapped = map_classes({0: "person", 1: "bicycle", 2: "car", 3: "pedestrian"})
    return set(mapped) == {2} and not set(PERSON_CLASSES) & set(VEHICLE_CLASSES)


def _models(site: Site) -> AbsenceLine:
    root = Path(gate_package.__file__).resolve().parent.parent
    files = [
        p
        for folder in ("reid", "connectors", "flows", "gate")
        for p in (root / folder).rglob("*")
        if p.suffix in (".xml", ".onnx", ".pt", ".bin", ".safetensors")
    ]
    named = [*(str(p.relative_to(root)) for p in files), site.index.detector]
    bad = [n for n in named if any(word in n.lower() for word in FORBIDDEN_MODELS)]
    return AbsenceLine(
        what="no model of faces or plates is present or configured",
        good=not bad,
        evidence=", ".join(bad) if bad else f"{len(files)} model files looked at; configured: {site.index.detector}",
    )


def _listed(site: Site) -> AbsenceLine:
    """Another model under the same name, one of faces for instance, would not load."""
    named = site.index.detector
    shipped = named in shipped_models()
    return AbsenceLine(
        what="the detector loads only by its listed digest",
        good=shipped or bool(site.index.detector_sha256),
        evidence=f"{named} lists its own"
        if shipped
        else site.index.detector_sha256 or f"none for {named}: write its detector_sha256 into the site file",
    )


def _code() -> AbsenceLine:
    root = Path(gate_package.__file__).resolve().parent.parent
    found: list[str] = []
    looked = 0
    for folder in ("reid", "connectors", "flows", "gate", "dashboards"):
        for path in (root / folder).rglob("*.py"):
            looked += 1
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module:
                    names.append(node.module)
                found += [f"{path.name}: {n}" for n in names if n.split(".")[0].lower() in FORBIDDEN_CODE]
    return AbsenceLine(
        what="no library of faces, plates or camera control is used",
        good=not found,
        evidence=", ".join(found) if found else f"imports of {looked} source files looked at",
    )


def _routes(paths: Iterable[str]) -> AbsenceLine:
    every = sorted(set(paths))
    bad = [p for p in every if any(word in p for word in ("live", "ptz", "control", "onvif"))]
    return AbsenceLine(
        what="there is no live view and no camera control",
        good=not bad,
        evidence=", ".join(bad) if bad else f"{len(every)} addresses of the gate, none live",
    )


def stored(site: Site) -> tuple[StoredKind, ...]:
    """What is stored, where, how long, and who opens it: the data-protection summary."""
    days = f"{site.retention_days} days from capture, one calendar month at most"
    # A requisition makes nothing that is derived last longer; only the video secured for it does.
    derived = f"{days}; a requisition's own until it ends, if that is sooner"
    topics = f"{site.kafka.live_hours} h; a requisition's topics until it ends"
    sealed = "ciphertext; only the gate opens it" if site.sealing else "IN CLEAR: sealing is off"
    readers = (
        "the indexer's and the keeper's users" if site.kafka.asks_for_users else "whoever reaches the broker's port"
    )
    broker = f"in clear but for the pictures; {readers} may read it"
    return (
        StoredKind(what="recorded video", where="archive/", how_long=days, protection=sealed),
        StoredKind(what="best pictures of passages", where="archive/views/", how_long=derived, protection=sealed),
        StoredKind(what="video on its way", where="Kafka, frames.*", how_long=topics, protection=sealed),
        StoredKind(what="passages on their way", where="Kafka, passages.*", how_long=topics, protection=broker),
        StoredKind(
            what="dead letters: records that could not be used, with the reason",
            where="Kafka, dead.*",
            how_long=topics,
            protection=f"as what they hold: video {sealed}; passages {broker}",
        ),
        StoredKind(
            what="passages of vehicles: times, boxes, class, colour, vector",
            where="ClickHouse",
            how_long=derived,
            protection="read with the gate's secret only",
        ),
        StoredKind(
            what="positions of the flows, and vehicles that are followed at the moment",
            where="recovery/",
            how_long="the newest state of each flow; a requisition's folders until it ends",
            protection="files of the flows; in clear but for the pictures",
        ),
        StoredKind(
            what="video secured as evidence for requisitions",
            where="exhibits/",
            how_long="until the requisition ends, whatever the site's days; three years from its registration or its "
            "last amendment at most",
            protection="ciphertext under the requisition's own key, destroyed when it ends",
        ),
        StoredKind(
            what="orders to replay and index: cameras, intervals, requisition",
            where="orders/",
            how_long="until the requisition ends and its index is erased",
            protection="readable by every component, signed by the gate; no picture, no passage",
        ),
        StoredKind(
            what="persons with an account, requisitions, decisions",
            where="gate/gate.sqlite3",
            how_long="while the account and the register are kept; nothing erases them by itself",
            protection="file of the gate alone; secrets sealed, passwords hashed",
        ),
        StoredKind(
            what="scanned requisitions and amendments",
            where="gate/documents/",
            how_long="as the register, beyond the requisition's end; nothing erases them by itself",
            protection="ciphertext; only the gate opens it",
        ),
        StoredKind(
            what="journal",
            where="gate/journal/",
            how_long="three years after each year, then whole volumes go",
            protection="append-only, chained, signed",
        ),
    )
