# SPDX-License-Identifier: AGPL-3.0-or-later
"""Everything that would keep a site from running, found before anything is started and told all at once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from connectors.errors import SiteError
from connectors.kafka_login import site_login
from connectors.site import MOST_INDEX_PROCESSES, Site, broker_addresses
from infra.ports import answers, port_fault
from infra.services import ports_of
from reid.detector import find_openvino_ir, shipped_models
from reid.errors import ReidError

LEAST_FREE_BYTES = 2 * 2**30
"""Below this the stack does not start: Kafka, archive and store all need room to breathe."""

TYPICAL_CAMERA_BPS = 3_000_000
"""Of a 720p street camera, for the warning about room."""


def faults(site: Site) -> list[str]:
    """One sentence a fault; empty when the stack may start."""
    found = [*_ports(site), *_folders(site), *_cameras(site), *_models(site), *_remote(site)]
    return found


def warnings(site: Site) -> list[str]:
    """What will become a fault later if nobody acts."""
    days = site.retention_days
    needed = len(site.cameras) * TYPICAL_CAMERA_BPS / 8 * 86_400 * days
    free = shutil.disk_usage(_existing(site.archive_dir)).free
    if any(not c.is_file for c in site.cameras) and free < needed:
        return [
            f"{len(site.cameras)} cameras need about {needed / 1e12:.1f} TB for {days} days and {site.archive_dir} has "
            f"{free / 1e12:.1f} TB free: recording stops when the disk is full"
        ]
    return []


def _ports(site: Site) -> list[str]:
    try:
        wanted = ports_of(site)
    except ValueError as doubled:
        return str(doubled).splitlines()
    return [fault for port, setting in wanted.items() if (fault := port_fault(port, setting))]


def _folders(site: Site) -> list[str]:
    folder = _existing(site.data)
    if not os.access(folder, os.W_OK | os.X_OK):
        return [f"{folder} cannot be written: give this user the right, or set another `data` in the site file"]
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        return [
            f"{folder} has {free / 2**30:.1f} GiB free and the stack needs {LEAST_FREE_BYTES / 2**30:.0f}: make room"
        ]
    return []


def _cameras(site: Site) -> list[str]:
    return [
        f"camera {camera.name}: its file {camera.url.get_secret_value()} does not exist"
        for camera in site.cameras
        if camera.is_file and not Path(camera.url.get_secret_value()).is_file()
    ]


def _models(site: Site) -> list[str]:
    if site.index.processes > MOST_INDEX_PROCESSES:
        return [f"index.processes is {site.index.processes}: on one machine at most {MOST_INDEX_PROCESSES}"]
    model = site.index.detector
    try:
        if find_openvino_ir(model) is not None:
            return []
    except ReidError as fault:
        return [f"index.detector: {fault}"]
    # Any other name is ultralytics' own business, unless it can only be a folder or one of ours.
    if model.startswith("passage-") or (os.sep in model and not Path(model).exists()):
        shipped = ", ".join(shipped_models()) or "none"
        return [f"index.detector: no model {model!r}: no such file or folder, and not shipped (shipped: {shipped})"]
    return []


def _remote(site: Site) -> list[str]:
    found = []
    if site.kafka.bootstrap:
        if site.kafka.ca_file and not site.kafka.ca_file.is_file():
            found.append(f"kafka.ca_file: {site.kafka.ca_file} does not exist")
        for host, port in broker_addresses(site.kafka.bootstrap):
            if not answers(port, 3.0, host):
                found.append(f"kafka.bootstrap: no broker answers at {host}:{port}")
        try:
            site_login(site, "capture")
        except SiteError as fault:
            found += [f"kafka.bootstrap: {line}" for line in fault.faults]
    return found


def _existing(folder: Path) -> Path:
    """The nearest folder above that exists."""
    while not folder.exists():
        folder = folder.parent
    return folder
