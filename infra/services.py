# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a site's stack consists of: each process, what must run before it, how it is asked for its health."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from connectors.site import METRICS, MOST_INDEX_PROCESSES, Site
from infra import health
from infra.health import Probe

_REACHING = ("url", "transport", "start_utc", "pace", "open_timeout_s", "read_timeout_s")
GROUPS = ("broker", "store", "gate", "flows", "application")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One process of the stack."""

    name: str
    group: str
    command: tuple[str, ...]
    probe: Probe
    needs: tuple[str, ...] = ()
    """Names of services that must be running before this one starts."""
    environment: Mapping[str, str] = field(default_factory=dict)
    may_finish: bool = False
    """True when ending with status 0 is no death: a capture of files has read them all."""
    start_s: float = 180.0
    """How long it may take until its probe answers."""
    stop_s: float = 10.0
    """How long it may take to end after SIGTERM."""
    page: str = ""
    """Where a person finds it, if anywhere."""
    settings: str = ""
    """Fingerprint of the site's settings that it reads at its start."""

    @property
    def identity(self) -> tuple[object, ...]:
        """Two descriptions with one identity are one and the same running process."""
        return self.command, tuple(sorted(self.environment.items())), self.settings


def services(site: Site, file: Path) -> list[Service]:
    """The processes that a site needs, those needed first before those that need them."""
    file = file.resolve()

    def python(module: str, *arguments: str) -> tuple[str, ...]:
        return (sys.executable, "-m", module, "--site", str(file), *arguments)

    def metrics(name: str, n: int = 0) -> Probe:
        return health.http(f"http://127.0.0.1:{site.metrics_port + METRICS[name] + n}/metrics")

    cameras = [
        c.model_dump(mode="json") | {"url": c.url.get_secret_value(), "mode": site.mode(c)} for c in site.cameras
    ]
    recorded = [{k: v for k, v in c.items() if k not in ("indexing", "mode", "group", "label")} for c in cameras]
    kafka, stored = site.kafka.model_dump(mode="json"), site.store.model_dump(mode="json")
    # What the runs of orders read: they start and end with the jobs.
    of_runs = (stored, site.index.model_dump(mode="json"), site.gate.port, site.sealing)
    # How a camera is reached is capture's business alone: no other process starts anew for a changed password.
    shown = [{k: v for k, v in c.items() if k not in _REACHING} for c in cameras]
    everything = _fingerprint(site.model_dump(mode="json", exclude={"cameras"}), shown)
    broker = () if site.kafka.bootstrap else ("kafka", "kafka-users")
    store = () if site.store.url else ("store",)

    found: list[Service] = []
    if broker:
        found.append(
            Service(
                name="kafka",
                group="broker",
                command=python("infra.kafka_broker"),
                probe=health.tcp(site.kafka.port),
                stop_s=20.0,
                settings=_fingerprint(kafka),
            )
        )
        found.append(
            Service(
                name="kafka-users",
                group="broker",
                command=python("infra.kafka_users"),
                probe=health.never,  # who needs it waits until it is done
                needs=("kafka",),
                may_finish=True,
                settings=_fingerprint(kafka),  # it brings the live topics to them
            )
        )
    if store:
        found.append(
            Service(
                name="store",
                group="store",
                command=python("infra.store_server"),
                probe=health.http(f"{site.store.address}/ping"),
                stop_s=20.0,
                settings=_fingerprint(stored, site.retention_days, site.metrics_port),
            )
        )
    found.append(
        Service(
            name="gate",
            group="gate",
            command=python("gate.service"),
            probe=health.http(f"http://127.0.0.1:{site.gate.port}/health"),
            needs=store,
            page=f"http://127.0.0.1:{site.gate.port}",
            settings=everything,
        )
    )
    found.append(
        Service(
            name="keeper",
            group="gate",
            command=python("gate.keeper"),
            probe=health.always,
            needs=(*store, "gate"),
            settings=everything,
        )
    )
    found.append(
        Service(
            name="record",
            group="flows",
            command=python("flows.record"),
            probe=metrics("record"),
            needs=(*broker, "gate"),
            settings=_fingerprint(kafka, [c["name"] for c in cameras], site.metrics_port),
        )
    )
    found.append(
        Service(
            name="capture",
            group="flows",
            command=python("flows.capture"),
            probe=metrics("capture"),
            # Sealing needs the public keys that the gate writes ahead.
            needs=(*broker, "gate"),
            may_finish=all(camera.is_file for camera in site.cameras),
            settings=_fingerprint(kafka, recorded, site.sealing, site.metrics_port),
        )
    )
    if any(site.mode(camera) == "continuous" for camera in site.cameras):
        found += [
            Service(
                name="index" if site.index.live_processes == 1 else f"index-{n}",
                group="flows",
                command=python("flows.index", "--live", "--share", f"{n}/{site.index.live_processes}"),
                probe=metrics("index", n),
                needs=(*broker, "gate"),
                start_s=300.0,  # models load
                settings=everything,
            )
            for n in range(site.index.live_processes)
        ]
        found.append(
            Service(
                name="link",
                group="flows",
                command=python("flows.link", "--live"),
                probe=metrics("link"),
                needs=(*broker, *store, "gate"),
                settings=everything,
            )
        )
    found.append(
        Service(
            name="jobs",
            group="flows",
            command=python("infra.jobs"),
            probe=health.always,
            needs=(*broker, *store, "gate"),
            settings=_fingerprint(kafka, [c["name"] for c in cameras], site.metrics_port, *of_runs),
        )
    )
    found.append(
        Service(
            name="dashboard",
            group="application",
            command=dashboard_command(site),
            environment={"PASSAGE_GATE_URL": f"http://127.0.0.1:{site.gate.port}"},
            probe=health.http(f"http://127.0.0.1:{site.dashboard.port}/_stcore/health"),
            needs=("gate",),
            page=f"http://127.0.0.1:{site.dashboard.port}",
        )
    )
    return found


def _fingerprint(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def dashboard_command(site: Site) -> tuple[str, ...]:
    """Streamlit on loopback, without browser, telemetry or a watcher of files."""
    settings = {
        "server.address": "127.0.0.1",
        "server.port": str(site.dashboard.port),
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
    }
    page = Path(__file__).resolve().parent.parent / "dashboards" / "app.py"
    flags = [part for key, value in settings.items() for part in (f"--{key}", value)]
    return (sys.executable, "-m", "streamlit", "run", str(page), *flags)


def environment_of(service: Service) -> dict[str, str]:
    """What a service finds in its environment."""
    own = dict(os.environ)
    own.pop("BYTEWAX_DATAFLOW_API_ENABLED", None)  # set to anything at all, it opens a page on every address
    own["PYTHONUNBUFFERED"] = "1"
    root = str(Path(__file__).resolve().parent.parent)
    own["PYTHONPATH"] = os.pathsep.join(p for p in (root, own.get("PYTHONPATH", "")) if p)
    own.update(service.environment)
    return own


def ports_of(site: Site) -> dict[int, str]:
    """Every loopback port that the stack listens on, with the setting that moves it. Doubled ports raise ValueError."""
    wanted: list[tuple[int, str]] = []
    if not site.kafka.bootstrap:
        wanted += [(site.kafka.port, "kafka.port"), (site.kafka.port + 1, "kafka.port (its controller takes the next)")]
    if not site.store.url:
        wanted.append((site.store.port, "store.port"))
    wanted += [(site.gate.port, "gate.port"), (site.dashboard.port, "dashboard.port")]
    offsets = {n: name for name, n in METRICS.items()}
    offsets |= {METRICS["index"] + n: "index" for n in range(min(site.index.live_processes, MOST_INDEX_PROCESSES))}
    wanted += [
        (site.metrics_port + n, f"metrics_port ({name} shows its metrics on +{n})") for n, name in offsets.items()
    ]
    found: dict[int, str] = {}
    doubled = []
    for port, setting in wanted:
        if port in found:
            doubled.append(f"port {port} is wanted twice: by {found[port]} and by {setting}")
        found[port] = setting
    if doubled:
        raise ValueError("\n".join(doubled))
    return found
