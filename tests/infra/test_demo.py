# SPDX-License-Identifier: AGPL-3.0-or-later
"""The parts of the demonstration that need no stack: its site file, its truth, its report."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console

from connectors.site import load_site
from gate.messages import CoverageStatement, PassageInfo, SearchResult, Trace, TraceStep
from infra import demo as demonstration
from infra.demo_report import Findings, map_png, strip_png, table_csv, write_report
from infra.demo_town import GROUP, STREETS_FILE, DemoTown, Ports, later, read_demo, site_file, streets_geojson
from infra.demo_truth import DemoTruth
from infra.errors import DemoError

NOW = datetime(2026, 11, 27, 14, 20, tzinfo=UTC)
FPS = 10
BOX = (100.0, 100.0, 200.0, 160.0)
COVERAGE = CoverageStatement(asked_s=60, recorded_s=60, indexed_s=59, lines=())


def passage(camera: str, start: datetime, end: datetime, box: tuple[float, float, float, float] = BOX) -> PassageInfo:
    return PassageInfo(
        id=f"{camera}-{start:%H%M%S}",
        camera=camera,
        started_at=start,
        ended_at=end,
        vehicle_class="car",
        colour="red",
        colours={"red": 1.0},
        entry="left",
        exit="right",
        views=1,
        first_box=box,
        last_box=box,
    )


def step(found: PassageInfo) -> TraceStep:
    return TraceStep(
        passage=found, probability=0.9, look=0.8, colour=1.0, travel_s=None, travel_typical_s=None, rivals=2
    )


@pytest.fixture
def town(tmp_path: Path) -> DemoTown:
    """Three cameras; vehicle 1 is the target and passes C01 then C03, vehicles 2 and 3 look like it."""
    cameras = []
    for n, name in enumerate(("C01", "C02", "C03")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "video.mp4").touch()
        cameras.append(
            {
                "name": name,
                "place": f"Rue n° {n}",
                "file": f"{name}/video.mp4",
                "clock_offset_s": (0.4, -0.7, 1.3)[n],
                "frames": 200,
                "fps": FPS,
                "at": [10.0 * n, 5.0],
                "heading_deg": 90.0,
            }
        )
    (tmp_path / "town.json").write_text(json.dumps({"cameras": cameras}))
    truth = tmp_path / "truth"
    (truth / "boxes").mkdir(parents=True)
    (truth / "truth.json").write_text("{}")
    names = {1: "target-red", 2: "rival-1", 3: "rival-2", 4: "somebody"}
    rows = [("C01", 1, 20, 60), ("C03", 1, 100, 140), ("C03", 2, 30, 60), ("C02", 3, 10, 50), ("C02", 4, 10, 50)]
    pq.write_table(
        pa.table(
            {
                "camera": [r[0] for r in rows],
                "vehicle": [r[1] for r in rows],
                "identity": [names[r[1]] for r in rows],
                "colour": ["red" if r[1] < 4 else "white" for r in rows],
                "body": ["hatch_small"] * len(rows),
                "kind": ["car"] * len(rows),
                "entry_frame": [r[2] for r in rows],
                "exit_frame": [r[3] for r in rows],
                "seen_frames": [r[3] - r[2] for r in rows],
            }
        ),
        truth / "passages.parquet",
    )
    for camera in ("C01", "C02", "C03"):
        seen = [(f, r[1], 100.0 + 400 * (r[1] == 4)) for r in rows if r[0] == camera for f in range(r[2], r[3] + 1)]
        boxes = {
            "frame": [f for f, _, _ in seen],
            "vehicle": [v for _, v, _ in seen],
            "x1": [x for _, _, x in seen],
            "y1": [100.0] * len(seen),
            "x2": [x + 100 for _, _, x in seen],
            "y2": [160.0] * len(seen),
        }
        pq.write_table(pa.table(boxes), truth / "boxes" / f"{camera}.parquet")
    return read_demo(tmp_path, NOW)


def at(town: DemoTown, camera: str, frame: float) -> datetime:
    return town.camera(camera).starts_at + timedelta(seconds=frame / FPS)


@pytest.mark.parametrize("continuous", [False, True])
def test_the_site_file_is_sound_and_says_where_each_camera_is(town: DemoTown, tmp_path: Path, continuous: bool) -> None:
    file = tmp_path / "site.toml"
    (tmp_path / STREETS_FILE).write_text(streets_geojson())
    file.write_text(site_file(town, Ports(20000, 20002, 20003, 20004, 20005), detector="x", continuous=continuous))
    site = load_site(file)
    assert [c.name for c in site.cameras] == ["c01", "c02", "c03"]
    modes = {c.name: site.mode(c) for c in site.cameras}
    assert modes == {
        c.name: "continuous" if continuous and c.group == GROUP else "on_requisition" for c in site.cameras
    }
    assert any(c.group == GROUP for c in site.cameras)
    assert site.plan is not None and json.loads(site.plan.read_text())["features"]


def test_the_video_lies_in_one_hour_a_short_while_ago(town: DemoTown) -> None:
    assert timedelta(minutes=30) < NOW - town.ends_at < timedelta(hours=4)
    assert town.starts_at.hour == town.ends_at.hour
    second = later(town, 20)
    assert second.starts_at == town.starts_at + timedelta(minutes=20) and second.ends_at.hour == town.ends_at.hour


def test_a_camera_keeps_its_own_clock(town: DemoTown) -> None:
    gaps = [(c.starts_at - town.cameras[0].starts_at).total_seconds() for c in town.cameras]
    assert gaps == pytest.approx([0.0, -1.1, 0.9])


def test_rivals_are_of_the_same_body_and_colour(town: DemoTown) -> None:
    assert DemoTruth(town).rivals() == {"rival-1", "rival-2"}


def test_a_right_trace_is_the_truth(town: DemoTown) -> None:
    truth = DemoTruth(town)
    found = [
        passage("c01", at(town, "c01", 21), at(town, "c01", 58)),
        passage("c03", at(town, "c03", 101), at(town, "c03", 138)),
    ]
    right, missed, wrong = truth.compare(found)
    assert len(right) == 2 and not missed and not wrong


def test_a_missed_step_a_rival_and_a_phantom_are_told_apart(town: DemoTown) -> None:
    truth = DemoTruth(town)
    rival = passage("c03", at(town, "c03", 31), at(town, "c03", 58))
    phantom = passage("c02", at(town, "c02", 20), at(town, "c02", 40), (900.0, 500.0, 1000.0, 560.0))
    right, missed, wrong = truth.compare([passage("c01", at(town, "c01", 21), at(town, "c01", 58)), rival, phantom])
    assert [p.camera for p in right] == ["c01"] and [p.camera for p in missed] == ["c03"]
    assert wrong == [rival, phantom]


def test_the_report_holds_map_strip_table_and_page(town: DemoTown, tmp_path: Path) -> None:
    found = [
        passage("c01", at(town, "c01", 21), at(town, "c01", 58)),
        passage("c03", at(town, "c03", 101), at(town, "c03", 138)),
    ]
    picture = io.BytesIO()
    Image.new("RGB", (90, 60), "red").save(picture, "JPEG")
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "c02.mp4").touch()
    trace = Trace(query=found[0].id, steps=tuple(step(p) for p in found), coverage=COVERAGE)
    page = write_report(
        folder,
        Findings(
            town=town,
            reference="R <1>",
            video=folder / "c02.mp4",
            search=SearchResult(passages=tuple(found), total=2, coverage=COVERAGE),
            trace=trace,
            pictures={p.id: picture.getvalue() for p in found},
            truth_lines=["Parcours trouvé : c01 → c03"],
        ),
    )
    text = page.read_text()
    assert "R &lt;1&gt;" in text and "Parcours trouvé : c01 → c03" in text and "jamais une identification" in text
    for name in ("carte.png", "bande.png", "galerie.png"):
        with Image.open(folder / name) as image:
            assert min(image.size) > 100
    rows = (folder / "trace.csv").read_text().splitlines()
    assert len(rows) == 3 and rows[1].startswith("1;c01;Rue n° 0;")


def test_the_strip_shows_pictures_in_order(town: DemoTown) -> None:
    def jpeg(colour: str) -> bytes:
        out = io.BytesIO()
        Image.new("RGB", (200, 120), colour).save(out, "JPEG")
        return out.getvalue()

    found = [passage("c01", at(town, "c01", n), at(town, "c01", n + 5)) for n in (0, 10)]
    sheet = Image.open(io.BytesIO(strip_png(found, {found[0].id: jpeg("red"), found[1].id: jpeg("blue")}, {})))
    width = sheet.width // 2
    left, right = sheet.getpixel((width // 2, 70)), sheet.getpixel((width + width // 2, 70))
    assert isinstance(left, tuple) and isinstance(right, tuple)
    assert left[0] > 200 > left[2] and right[2] > 200 > right[0]


def test_map_and_table_of_nothing(town: DemoTown) -> None:
    assert map_png(town, []).startswith(b"\x89PNG")
    assert len(table_csv(Trace(query="x", steps=(), coverage=COVERAGE), {}).splitlines()) == 1


@pytest.mark.parametrize("stop", [True, False])
def test_a_step_that_does_not_hold_leaves_nothing_running_unsaid(
    town: DemoTown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: bool
) -> None:
    (tmp_path / STREETS_FILE).write_text(streets_geojson())
    ports = Ports(20000, 20002, 20003, 20004, 20005)
    (tmp_path / "site.toml").write_text(site_file(town, ports, detector="x", continuous=False))
    ended: list[str] = []

    def broken(_self: demonstration.Demo) -> None:
        raise DemoError("the trace is not the truth")

    monkeypatch.setattr(demonstration.Demo, "run", broken)
    monkeypatch.setattr(demonstration, "held", lambda _site: True)
    monkeypatch.setattr(demonstration.stack, "down", lambda site: ended.append(site.name))
    said = io.StringIO()
    with pytest.raises(DemoError, match="not the truth"):
        demonstration.run_demo(
            tmp_path, cameras=3, seconds=20, stop=stop, detector="x", console=Console(file=said, width=200)
        )
    assert bool(ended) == stop
    assert ("make demo-stop" in said.getvalue()) == (not stop)
