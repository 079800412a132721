# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is wrong with cameras now, as capture tells it to `passage status` and the operations page."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec

from connectors.errors import CameraError, CameraState
from connectors.site import Site
from flows.progress import StatusFile
from flows.share import Share


class CameraFault(msgspec.Struct, frozen=True):
    """Why a camera gives no video."""

    state: CameraState
    reason: str
    """A sentence that names the camera and no password."""


def faults_file(site: Site, share: Share | None = None) -> Path:
    """Where a capture keeps them: `state/cameras.json`."""
    return site.data / "state" / f"cameras{(share or Share()).suffix}.json"


def read_faults(site: Site) -> dict[str, CameraFault]:
    """Camera → what is wrong with it, as the capture of all cameras wrote it last."""
    try:
        return msgspec.json.decode(faults_file(site).read_bytes(), type=dict[str, CameraFault])
    except (OSError, msgspec.MsgspecError):
        return {}


class CameraFaults:
    """The cameras that fail; their threads tell it. The file is there from the start, so that none of before stays."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = StatusFile(file)
        self._lock = threading.Lock()
        self._faults: dict[str, CameraFault] = {}
        self._write()

    def failed(self, camera: str, fault: CameraError) -> None:
        """It gives no video, for this reason."""
        with self._lock:
            self._faults[camera] = CameraFault(fault.state, str(fault))
            self._write()

    def works(self, camera: str) -> None:
        """It gives video."""
        with self._lock:
            if self._faults.pop(camera, None) is not None:
                self._write()

    def _write(self) -> None:
        self._file.write(msgspec.json.encode(self._faults))
