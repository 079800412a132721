# SPDX-License-Identifier: AGPL-3.0-or-later
"""The jars of Apache Kafka: which ones (`kafka/jgo.lock.toml`, each with its SHA-256), fetched once, checked always.

`python -m infra.kafka_jars` fetches them; `python -m infra.kafka_jars lock` writes the lock anew for another version.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jgo.env import LockFile
from jgo.maven import Dependency, MavenContext, PythonResolver

from infra.errors import SetupFault

KAFKA = ("org.apache.kafka", "kafka_2.13", "4.3.1")
LOGGING = ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4")
"""Without this binding Kafka's log goes nowhere."""

LOCK = Path(__file__).with_name("kafka") / "jgo.lock.toml"


def cache_dir() -> Path:
    """Where what was fetched or computed once is kept: `PASSAGE_CACHE`, else `~/.cache/passage`."""
    own = os.environ.get("PASSAGE_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "passage"


def class_path(cache: Path | None = None) -> list[Path]:
    """Every jar of the lock, from the cache, its checksum verified now; what is missing is fetched first.

    Raises SetupFault naming the jars that could not be had or do not fit the lock.
    """
    folder = (cache or cache_dir()) / "jars"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {d: folder / f"{d.artifactId}-{d.version}-{d.sha256[:16]}.jar" for d in LockFile.load(LOCK).dependencies}
    missing = [d for d, path in wanted.items() if not (path.exists() and _sha256(path) == d.sha256)]
    if missing:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as staging:
            context = MavenContext(resolver=PythonResolver(), repo_cache=Path(staging))

            def fetch(d: object) -> str | None:
                name = f"{d.groupId}:{d.artifactId}:{d.version}"  # type: ignore[attr-defined]
                component = context.project(d.groupId, d.artifactId).at_version(d.version)  # type: ignore[attr-defined]
                try:
                    found = component.artifact().resolve()
                except Exception as fault:  # jgo raises RuntimeError, requests' own errors, and AssertionError
                    return f"{name}: {fault}"
                if _sha256(found) != d.sha256:  # type: ignore[attr-defined]
                    return f"{name}: what was fetched has another SHA-256 than {LOCK.name} says"
                shutil.move(found, folder / (staging_name := f".{os.getpid()}-{wanted[d].name}"))
                os.replace(folder / staging_name, wanted[d])
                return None

            with ThreadPoolExecutor(6) as pool:
                faults = [fault for fault in pool.map(fetch, missing) if fault]
        if faults:
            raise SetupFault(
                "%d of Apache Kafka's %d jars could not be had; check that Maven's central registry is reachable, "
                "or copy a filled cache to %s:\n  - %s" % (len(faults), len(wanted), folder, "\n  - ".join(faults))
            )
    return list(wanted.values())


def write_lock() -> None:
    """Resolve Kafka, then its log binding alone (whose managed versions must not rule Kafka's), and write the lock."""
    with tempfile.TemporaryDirectory() as staging:
        context = MavenContext(resolver=PythonResolver(), repo_cache=Path(staging))
        found: dict[tuple[str, str], Dependency] = {}
        for group, name, version in (KAFKA, LOGGING):
            wanted = [Dependency(context.project(group, name).at_version(version).artifact())]
            direct, transitive = context.resolver.resolve(wanted)
            for dependency in (*direct, *transitive):
                if dependency.scope in (None, "compile", "runtime"):
                    found.setdefault((dependency.groupId, dependency.artifactId), dependency)
        lock = LockFile.from_resolved_dependencies(list(found.values()), environment_name="kafka")
        lock.save(LOCK)
    sys.stdout.write(f"{LOCK}: {len(found)} jars\n")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    if sys.argv[1:] == ["lock"]:
        write_lock()
    else:
        sys.stdout.write(f"{len(class_path())} jars in {cache_dir() / 'jars'}\n")
