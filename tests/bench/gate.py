# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the gate costs: a bounded search through it, beside the bare query; and capture with sealing, beside without.

    python tests/bench/gate.py                 # the search and the sealing; build/bench/gate.json
    python tests/bench/gate.py --full          # and rules, planted bugs, guards, threats, day 31: half an hour
    python tests/bench/gate.py --part rules    # one of them alone; what the others last found is kept

The journal holds 100,000 entries and lies on the disk of `build/`; every entry is waited for (fsync), heads are signed.
The service is a process of its own behind its port, as in production; the client keeps its connection, as the pages do.
The search runs against the in-memory store, so that the difference is the gate's alone. Every search also writes that
its session is active, as it does where they are further apart than five seconds.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import uvicorn
from pydantic import SecretStr

from connectors.bounds import Bounds, Interval
from connectors.camera import CameraReader
from connectors.records import encode
from connectors.site import CameraSite
from connectors.store import PassageQuery
from gate.client import GateClient
from gate.journal import Journal, canonical, entry_hash
from gate.service import make_app
from infra.ports import answers, free_port
from tests.connectors.videos import make_video
from tests.gate.town import START, Town
from tests.threats.document import threats as told_threats

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "bench"
SEARCHES = 200
ENTRIES = 100_000
PROPERTY_CASES = 5000


def fill(journal: Journal, entries: int) -> None:
    """A long journal, written at once: the chain is right, only the waiting is left out."""
    head = journal.head()
    prev, lines = head.hash, []
    for n in range(head.count + 1, head.count + 1 + entries):
        entry = {
            "n": n,
            "at": START.isoformat(),
            "clock": "system",
            "phase": "event",
            "act": "search",
            "person": "Anne Martin",
            "details": {"colours": ["red"], "n": n},
            "prev": prev,
        }
        entry["hash"] = prev = entry_hash(entry)
        lines.append(canonical(entry) + b"\n")
    with (journal.folder / f"{START.year}.jsonl").open("ab") as file:
        file.write(b"".join(lines))


def served(town: Town, port: int, ticks: Any) -> int:
    """The gate's service over this town in a process of its own, as in production; its process id.

    Its clock goes on by six seconds a tick, so that every search also writes down that its session is active.
    """
    begun = town.clock.at
    town.gate.database.close()
    child = os.fork()
    if child:
        return child
    town.clock.__class__.__call__ = lambda self: begun + timedelta(seconds=6 * ticks.value)  # type: ignore[method-assign]
    logging.disable()
    uvicorn.run(make_app(town.gate), host="127.0.0.1", port=port, access_log=False, log_config=None)
    os._exit(0)


def search_overhead(folder: Path) -> dict[str, float]:
    """Milliseconds that a search takes longer through service and client than as a bare query."""
    port = free_port(1)
    town = Town(folder / "var", port=port)
    town.staff()
    town.record(seconds=60)
    requisition = town.opened()
    town.index(requisition, every=1)
    fill(town.gate.journal, ENTRIES)
    token = town.client("tech").token
    query = PassageQuery(colours=frozenset({"red"}), limit=24)
    whole = Interval(START + timedelta(seconds=10), START + timedelta(seconds=40))
    bounds = Bounds(requisition, frozenset({"mairie", "gare"}), (whole,), town.gate.not_before())
    ticks = multiprocessing.Value("q", 1)
    child = served(town, port, ticks)
    try:
        tech = GateClient(town.url, token)
        while not answers(port):
            time.sleep(0.05)
        grant = tech.grant(requisition, ("search",)).id
        through, bare, http = [], [], []
        for n in range(SEARCHES + 10):
            ticks.value += 1
            for kept, ask in (
                (bare, lambda: town.store.passages(bounds, query)),
                (http, lambda: tech._http.get("/health")),
                (through, lambda: tech.search(grant, colours=("red",))),
            ):
                begun = time.perf_counter()
                ask()
                if n >= 10:  # the first ones fill caches
                    kept.append(1000 * (time.perf_counter() - begun))
    finally:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
    extra = [a - b for a, b in zip(through, bare, strict=True)]
    return {
        "gate_overhead_ms": round(median(extra), 2),
        "gate_overhead_p95_ms": round(quantiles(extra, n=20)[-1], 2),
        "bare_query_ms": round(median(bare), 2),
        "http_alone_ms": round(median(http), 2),
        "fsync_ms": round(fsync_ms(folder / "fsync"), 2),
        "journal_entries": town.gate.journal.head().count,
    }


def fsync_ms(file: Path) -> float:
    """What the disk itself takes for a line of the journal; three are waited for in a search."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    waits = []
    for _ in range(60):
        begun = time.perf_counter()
        os.write(descriptor, b"x" * 400)
        os.fsync(descriptor)
        waits.append(1000 * (time.perf_counter() - begun))
    os.close(descriptor)
    return median(waits)


def sealing_ratio(folder: Path) -> dict[str, float]:
    """Groups of pictures a second from a file to encoded records, sealed over clear, with no broker and no network.

    Whole processes of capture are compared by `tests/bench/sealing.py`.
    """
    town = Town(folder / "seal")
    video = make_video(folder / "video.mp4", frames=250, size=(1280, 720), noise=12)
    camera = CameraSite(
        name="mairie", label="Mairie", url=SecretStr(str(video)), start_utc=START, pace="fast", masks_dwellings=True
    )
    best = {"clear": float("inf"), "sealed": float("inf")}
    for _ in range(7):
        for name in best:
            begun = time.perf_counter()
            for group in CameraReader(camera, run="bench").gops():
                encode(town.sealer.seal(group) if name == "sealed" else group)
            best[name] = min(best[name], time.perf_counter() - begun)
    return {"sealing_reader_alone_ratio": round(best["clear"] / best["sealed"], 3)}


def written(name: str, figures: dict[str, Any]) -> None:
    """A part's figures, beside the others'."""
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{name}.json").write_text(json.dumps({**figures, "date": now()}, indent=1) + "\n")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def pytest_of(tests: list[str], report: Path | None = None, **environment: str) -> int:
    """Run tests in a process of their own; their exit status."""
    arguments = [f"--junitxml={report}"] if report else []
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "ignore", *arguments, *tests],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
    ).returncode


def overhead() -> None:
    """The search, and the sealing."""
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        figures: dict[str, Any] = {**search_overhead(Path(folder)), **sealing_ratio(Path(folder))}
    figures["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    written("overhead", figures)


def rules() -> None:
    """The property test."""
    status = pytest_of(["tests/gate/test_rules_property.py"], PASSAGE_PROPERTY_CASES=str(PROPERTY_CASES))
    written("rules", {"property_cases": PROPERTY_CASES, "property_leaks": 0 if status == 0 else 1})


def guards() -> None:
    """Each guard taken away."""
    subprocess.run([sys.executable, "tests/threats/guards.py"], cwd=ROOT, check=False)


def planted() -> None:
    """Bugs in the rules."""
    subprocess.run([sys.executable, "tests/threats/guards.py", "--planted"], cwd=ROOT, check=False)


def retention() -> None:
    """Day 31 on the real stack."""
    out = OUT / "retention.json"
    out.unlink(missing_ok=True)
    pytest_of(["tests/gate/test_proof_real.py"], PASSAGE_RETENTION_FIGURES=str(out))
    if out.exists():  # else the test failed, and has said why
        written("retention", json.loads(out.read_text()))


def threats() -> None:
    """Every threat of docs/threats.md with all of its tests; one whose test fails or is missing has succeeded."""
    wanted = {row.threat: row.tests for row in told_threats()}
    report = OUT / "threats.xml"
    pytest_of(sorted({name.partition("::")[0] for names in wanted.values() for name in names}), report)
    good, bad = set(), set()
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - our own file
        file = case.get("classname", "").replace(".", "/") + ".py"
        name = f"{file}::{case.get('name', '').partition('[')[0]}"
        (bad if case.find("failure") is not None or case.find("error") is not None else good).update((name, file))
        if case.find("skipped") is not None:
            print(f"skipped: {name}")
    succeeded = [t for t, names in wanted.items() if any(n in bad or n not in good for n in names)]
    written("threats", {"threats_tried": len(wanted), "threats_succeeded": len(succeeded), "succeeded": succeeded})


PARTS = {
    "overhead": overhead,
    "rules": rules,
    "planted": planted,
    "guards": guards,
    "threats": threats,
    "retention": retention,
}
"""Each measures and writes `build/bench/NAME.json`; the minutes of one core they take: 1, 5, 6, 6, 4, 4."""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="every part anew")
    parser.add_argument("--gather", action="store_true", help="measure nothing: put together what the parts last found")
    parser.add_argument("--part", choices=list(PARTS), action="append", help="this part anew; may be repeated")
    options = parser.parse_args()
    for name in PARTS if options.full else options.part or ([] if options.gather else ["overhead"]):
        PARTS[name]()
    result: dict[str, Any] = {}
    for name in PARTS:
        file = OUT / f"{name}.json"
        if file.exists():
            read = json.loads(file.read_text())
            result |= {k: v for k, v in read.items() if k not in ("seconds", "date", "marks")}
            result[f"{name}_date"] = read.get("date", "")
    sealing = ROOT / "docs" / "measurements" / "sealing.json"
    result["sealing_throughput_ratio"] = json.loads(sealing.read_text())["sealed_over_clear_throughput"]
    if "planted_shown" in result:
        result["planted_found"] = result.pop("planted_shown")
    result |= {
        "command": "python tests/bench/gate.py --full",
        "python": platform.python_version(),
        "versions": ", ".join(f"{n} {metadata.version(n)}" for n in ("sqlalchemy", "starlette", "cryptography", "av")),
    }
    (OUT / "gate.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(result, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
