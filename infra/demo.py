# SPDX-License-Identifier: AGPL-3.0-or-later
"""`passage demo`: the main job, end to end, on a small town. Every step is the real thing and is checked."""

from __future__ import annotations

import io
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import av
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from connectors.bounds import Interval
from connectors.site import Site, load_site
from connectors.whole_file import write_whole
from gate.client import GateClient
from gate.messages import PassageInfo, SearchResult, Trace
from infra import stack
from infra.demo_live import live_tables
from infra.demo_people import (
    Person,
    keep_credentials,
    make_administrator,
    make_people,
    open_requisition,
    read_credentials,
)
from infra.demo_town import (
    GROUP,
    STREETS_FILE,
    DemoTown,
    Ports,
    choose_ports,
    later,
    read_demo,
    render_demo,
    site_file,
    streets_geojson,
)
from infra.demo_truth import DemoTruth
from infra.errors import DemoError, InfraError, NotRunning, StackError
from infra.stack_state import held
from infra.stack_table import stack_table
from infra.watching import RECORDED_SHARE, indexed_s, recorded_s, wait_until

T = TypeVar("T")
LATER_MINUTES = 20


@dataclass(slots=True)
class Demo:
    """One run of the demonstration."""

    folder: Path
    console: Console
    cameras: int
    seconds: int
    detector: str
    year: bool = False
    """Let the town live through a year of requests before its gate starts."""
    ports: Ports = field(init=False)
    town: DemoTown = field(init=False)
    site: Site = field(init=False)
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def site_path(self) -> Path:
        """The demonstration's site file."""
        return self.folder / "site.toml"

    @property
    def gate_url(self) -> str:
        """Where its gate answers."""
        return f"http://127.0.0.1:{self.site.gate.port}"

    def run(self) -> None:
        """Every step in order. Raises DemoError at the first that does not hold."""
        self._step("emptied", self.empty)
        rendered = self._step("drawn", self.draw)
        self.town = read_demo(rendered, datetime.now(UTC))
        self._say(f"{len(self.town.cameras)} cameras, {self.seconds} s each, drawn in {rendered}")
        known = self._step("prepared", self.prepare)
        self._step("started", self.start)
        self._step("recorded", self.record)
        people = self._step("people", lambda: self.people(known))
        technician = people["technician"].sign_in(self.gate_url)  # once: a one-time code is good for one session
        self._step("indexed", lambda: self.index(people["registrar"], technician))
        self._step("found", lambda: self.look(technician))
        technician.sign_out()
        self._step("continuous", self.go_live)

    def empty(self) -> None:
        """End what an earlier run left, and remove everything it recorded."""
        if self.site_path.exists():
            try:
                stack.down(load_site(self.site_path))
            except NotRunning:
                pass
            except Exception as fault:  # a site file of an older version: its data is removed all the same
                self._say(f"the earlier demonstration could not be ended in order ({fault})")
        for name in ("var", "report"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)

    def draw(self) -> Path:
        """Draw the town, or find it in the cache."""
        with self._bar("drawing the town (kept for the next time)", "frames") as (progress, task):
            return render_demo(
                self.cameras,
                self.seconds,
                lambda done, total, _camera: progress.update(
                    task, completed=done, total=total, count=f"{done}/{total}"
                ),
            )

    def prepare(self) -> dict[str, Person]:
        """Write the site file, set up the gate, make the first account; with a year behind it, everybody's."""
        self.ports = choose_ports()
        (self.folder / STREETS_FILE).write_text(streets_geojson(), encoding="utf-8")
        self._write_site(self.town, continuous=False)
        stack.check(self.site_path)
        if self.year:
            from infra.demo_year import fill_year  # brings the whole gate into this process: only where it is wanted

            with self.console.status("living through the year before: nine requests …"):
                return fill_year(self.site, datetime.now(UTC))
        administrator = make_administrator(self.site)
        return {administrator.role: administrator}

    def start(self) -> None:
        """Bring the stack up in the background."""
        with self.console.status("starting broker, store, gate, flows and application …"):
            state = stack.up_detached(self.site_path, lambda _state: None)
        self.console.print(stack_table(state))

    def record(self) -> None:
        """Wait until the archive holds every camera's video."""
        wanted = sum(c.seconds for c in self.town.cameras)
        stretches = [
            (c.name, Interval(c.starts_at, c.starts_at + timedelta(seconds=c.seconds))) for c in self.town.cameras
        ]

        def recorded() -> float:
            return recorded_s(self.site, stretches)

        self._wait("recording: cameras → Kafka → archive", "s", wanted, recorded, RECORDED_SHARE * wanted, 180.0)

    def people(self, known: dict[str, Person]) -> dict[str, Person]:
        """The people of a town hall, each with what the law asks."""
        people = known if self.year else make_people(self.gate_url, known["administrator"], datetime.now(UTC))
        keep_credentials(self.folder, people)
        return people

    def index(self, registrar: Person, client: GateClient) -> None:
        """Open the requisition and wait until its cameras and hours are indexed."""
        interval = Interval(self.town.starts_at, self.town.ends_at)
        names = [c.name for c in self.town.cameras]
        opened = open_requisition(self.gate_url, registrar, names, interval, datetime.now(UTC))
        (self.folder / "requisition.json").write_bytes(msgspec.json.encode(opened))
        self._say(f"requisition {opened.reference} is open")
        wanted = sum(c.seconds for c in self.town.cameras)

        def indexed() -> float:
            return indexed_s(client, opened.id, wanted, self.site)

        self._wait("indexing: archive → Kafka → detector → store", "s", wanted, indexed, wanted, 900.0)
        self._say(f"{client.progress(opened.id).passages} passages indexed")

    def look(self, client: GateClient) -> None:
        """Rewind, search, follow, and compare with the truth."""
        from infra.demo_report import Findings, write_report  # draws a map: its libraries would hold up the start

        requisition = json.loads((self.folder / "requisition.json").read_text(encoding="utf-8"))
        grant = client.grant(
            requisition["id"],
            ["rewind", "search", "picture", "video", "trace"],
            directed_by="OPJ fictif (démonstration)",
        ).id
        truth = DemoTruth(self.town)
        report = self.folder / "report"
        report.mkdir(parents=True, exist_ok=True)
        video = self._rewind(client, grant, report)
        red = self._search(client, grant)
        picked = self._pick(red, truth)
        trace = client.trace(grant, picked.id)
        lines, fault = self._compare(trace, truth)
        shown = {p.id for p in red.passages} | {s.passage.id for s in trace.steps}
        pictures = {identifier: client.picture(grant, identifier, 0) for identifier in sorted(shown)}
        page = write_report(
            report,
            Findings(
                town=self.town,
                reference=requisition["reference"],
                video=video,
                search=red,
                trace=trace,
                pictures=pictures,
                truth_lines=lines,
            ),
        )
        self._say(f"report written: {page}")
        if fault:
            raise DemoError(fault)

    def _rewind(self, client: GateClient, grant: str, report: Path) -> Path:
        camera = self.town.cameras[len(self.town.cameras) // 2]
        start = camera.starts_at + timedelta(seconds=min(10.0, camera.seconds / 3))
        data = client.rewind(grant, camera.name, Interval(start, start + timedelta(seconds=15)))
        file = report / f"{camera.name}.mp4"
        file.write_bytes(data)
        with av.open(io.BytesIO(data)) as video:
            frames = sum(1 for _ in video.decode(video=0))
        if frames < 10 * camera.fps:
            raise DemoError(f"the rewound video of {camera.name} has only {frames} pictures of 15 s")
        self._say(f"rewound {camera.label}: {frames} pictures, {len(data) / 1e6:.1f} MB, never re-encoded")
        return file

    def _search(self, client: GateClient, grant: str) -> SearchResult:
        red = client.search(grant, colours=["red"], classes=["car"], limit=100)
        if not red.passages:
            raise DemoError("the search for red cars found none")
        self._say(f"searched the red cars: {red.total} passages")
        return red

    def _pick(self, red: SearchResult, truth: DemoTruth) -> PassageInfo:
        """The passage a person would point at: the first one of the target, where it was seen first."""
        target = truth.target
        rivals = truth.rivals()
        if len(rivals) < 2 or not target:
            raise DemoError(f"the town shows {len(rivals)} rivals of {self.town.target!r}; two are needed")
        own = [(p, t) for p in red.passages if (t := truth.whose(p)) is not None and t.identity == self.town.target]
        if not own:
            raise DemoError("none of the red cars found is the one that drove through the town")
        self._say(
            f"picked one red {target[0].body.replace('_', ' ')} with {len(rivals)} rivals of the same shape and colour"
        )
        return min(own, key=lambda pair: pair[0].started_at)[0]

    def _compare(self, trace: Trace, truth: DemoTruth) -> tuple[list[str], str]:
        """Lines for the report, and what does not hold."""
        right, missed, wrong = truth.compare([s.passage for s in trace.steps])
        way = " → ".join(s.passage.camera for s in trace.steps)
        lines = [
            f"Parcours trouvé : {way}",
            f"Parcours vrai : {' → '.join(p.camera for p in truth.target)}",
            f"{len(right)} passages justes, {len(missed)} manqués, {len(wrong)} faux ; "
            f"{len(truth.rivals())} sosies dans les mêmes minutes",
        ]
        self._say(f"followed it: {way}")
        if missed or wrong:
            return lines, (
                f"the trace is not the truth: missed {[p.camera for p in missed]}, "
                f"wrong {[(p.camera, p.started_at.isoformat()) for p in wrong]}"
            )
        self._say(f"its trace is the truth: {len(right)} passages, none missed, none wrong")
        return lines, ""

    def go_live(self) -> None:
        """Switch one group of cameras to continuous indexing and see rows with their TTL come in."""
        names = [c.name for c in self.town.cameras if c.group == GROUP]
        self._write_site(self.town, continuous=True)
        stack.reload(self.site)
        with self.console.status("starting continuous indexing …"):
            stack.wait_settled(self.site)
        self._say(f"cameras {', '.join(names)} switched to continuous indexing, on record and shown on every page")
        self._write_site(later(self.town, LATER_MINUTES), continuous=True)
        stack.reload(self.site)

        def rows() -> float:
            return float(sum(t.rows for t in live_tables(self.site) if t.table in ("passages", "tracks")))

        self._wait("continuous indexing: cameras → Kafka → detector → store", "rows", None, rows, 2.0, 300.0)
        for table in live_tables(self.site):
            gone = "" if table.expires_at is None else f", gone by {table.expires_at:%Y-%m-%d} (TTL)"
            self._say(f"  {table.table}: {table.rows} rows, oldest of {table.oldest:%Y-%m-%d %H:%M:%S} UTC{gone}")
            if table.expires_at is None or table.expires_at > table.oldest + timedelta(days=31):
                raise DemoError(f"table {table.table} has no TTL of at most one month")

    def _write_site(self, town: DemoTown, *, continuous: bool) -> None:
        text = site_file(town, self.ports, detector=self.detector, continuous=continuous)
        write_whole(self.site_path, text.encode())
        self.site = load_site(self.site_path)

    def _step(self, name: str, act: Callable[[], T]) -> T:
        began = time.monotonic()
        done = act()
        self.timings[name] = round(time.monotonic() - began, 1)
        return done

    def _say(self, text: str) -> None:
        self.console.print(f"• {text}", markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def _bar(self, text: str, unit: str, total: float | None = None) -> Iterator[tuple[Progress, TaskID]]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console, disable=not self.console.is_terminal) as progress:
            yield progress, progress.add_task(text, total=total, count="", unit=unit)

    def _wait(
        self, text: str, unit: str, total: float | None, measure: Callable[[], float], enough: float, patience_s: float
    ) -> None:
        """Show how far something has come until it is enough. Raises DemoError when it stands still too long."""
        with self._bar(text, unit, total) as (progress, task):

            def show(now: float) -> None:
                shown = now if total is None else min(now, total)
                count = f"{shown:.0f}" + ("" if total is None else f"/{total:.0f}") + f" {unit}"
                progress.update(task, completed=shown, count=count)

            try:
                wait_until(measure, enough, patience_s, show, text)
            except StackError as fault:
                more = f"`passage status --site {self.site_path}` and the logs in {self.site.data / 'logs'} say more"
                raise DemoError(f"{fault}; {more}") from fault
        self._say(f"{text}: done")


def _leave(demo: Demo, stop: bool) -> None:
    """After a step that did not hold: end what was started, or say that it still runs, to be looked at."""
    if not demo.site_path.exists() or not held(site := load_site(demo.site_path)):
        return
    if stop:
        stack.down(site)
        return
    demo.console.print(
        f"what was started still runs, to be looked at; end it: make demo-stop   (or passage down --site "
        f"{demo.site_path})",
        markup=False,
        soft_wrap=True,
    )


def run_demo(
    folder: Path, *, cameras: int, seconds: int, stop: bool, detector: str, console: Console, year: bool = False
) -> None:
    """Run the demonstration in `folder` and say where to look. Raises DemoError and the errors of the stack."""
    began = time.monotonic()
    demo = Demo(folder.resolve(), console, cameras, seconds, detector, year)
    try:
        demo.run()
    except InfraError:
        _leave(demo, stop)
        raise
    took = time.monotonic() - began
    (demo.folder / "timings.json").write_text(json.dumps(demo.timings | {"all": round(took, 1)}, indent=1))
    console.print(f"\nAll of it held, in {took:.0f} s: {', '.join(f'{k} {v:.0f} s' for k, v in demo.timings.items())}")
    console.print(f"  report       {demo.folder / 'report' / 'index.html'}", markup=False, soft_wrap=True)
    if stop:
        stack.down(demo.site)
        console.print("  the stack has ended (--stop); `passage demo` without it leaves it running")
        return
    site = demo.site_path
    console.print(f"  application  http://127.0.0.1:{demo.site.dashboard.port}", markup=False)
    for person in read_credentials(demo.folder):
        console.print(
            f"  sign in      {person.login}  {person.password}   ({person.role})", markup=False, highlight=False
        )
    console.print(f"  code         passage demo-code LOGIN --folder {folder}", markup=False, soft_wrap=True)
    console.print(f"  health       passage status --site {site}", markup=False, soft_wrap=True)
    console.print(f"  end it       make demo-stop   (or passage down --site {site})", markup=False, soft_wrap=True)
