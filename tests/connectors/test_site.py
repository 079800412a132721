# SPDX-License-Identifier: AGPL-3.0-or-later
"""The site file: what is refused, all at once; what is documented, all of it."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from connectors import site as rooms
from connectors.errors import SiteError
from connectors.site import load_site

CAMERA = """
[[camera]]
name = "place"
label = "Place"
url = "rtsp://user:secret@192.0.2.1/stream"
masks_dwellings = true
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "site.toml"
    file.write_text(text, encoding="utf-8")
    return file


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(SiteError) as refused:
        load_site(written(folder, text))
    return refused.value.faults


def test_a_sound_file_and_where_its_paths_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, 'name = "Essai"\n' + CAMERA)
    monkeypatch.delenv("PASSAGE_DATA", raising=False)
    assert load_site(file).data == tmp_path / "var"
    monkeypatch.setenv("PASSAGE_DATA", str(tmp_path / "elsewhere"))
    assert load_site(file).data == tmp_path / "elsewhere"
    assert load_site(file).retention_days == 30


def test_detectors_and_witnesses_are_found_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    parts = '[index]\ndetector = "own"\n[gate]\nwitnesses = ["seen", "/far", "mailto:a@example.org"]\n'
    site = load_site(written(tmp_path, 'name = "x"\n' + parts + CAMERA))
    assert site.index.detector == str(tmp_path / "own")
    assert site.gate.witnesses == (str(tmp_path / "seen"), "/far", "mailto:a@example.org")
    named = load_site(written(tmp_path, 'name = "x"\n[index]\ndetector = "yolo11n.pt"\n' + CAMERA))
    assert named.index.detector == "yolo11n.pt"
    no_path = "x" * 300
    assert (
        load_site(written(tmp_path, f'name = "x"\n[index]\ndetector = "{no_path}"\n' + CAMERA)).index.detector
        == no_path
    )


def test_positions_in_degrees_give_metres(tmp_path: Path) -> None:
    def camera(name: str, position: str) -> str:
        return CAMERA.replace('"place"', f'"{name}"') + position + "\n"

    pair = camera("a", "position_wgs84 = [49.0, -1.44]") + camera("b", "position_wgs84 = [49.001, -1.442]")
    found = load_site(written(tmp_path, 'name = "x"\n' + pair + camera("c", ""))).positions_m
    assert set(found) == {"a", "b"}
    east, north = (b - a for a, b in zip(found["a"], found["b"], strict=True))
    assert north == pytest.approx(111.3, abs=0.5)  # a thousandth of a degree of latitude
    assert east == pytest.approx(-146.1, abs=0.5)  # two of longitude, at 49 degrees north
    both = camera("a", "position_m = [1.0, 2.0]\nposition_wgs84 = [49.0, -1.44]") + camera(
        "b", "position_m = [3.0, 4.0]"
    )
    assert load_site(written(tmp_path, 'name = "x"\n' + both)).positions_m == {"a": (1.0, 2.0), "b": (3.0, 4.0)}


def test_positions_of_two_kinds_know_no_distance(tmp_path: Path) -> None:
    mixed = CAMERA + "position_m = [1.0, 2.0]\n" + CAMERA.replace('"place"', '"b"') + "position_wgs84 = [49.0, -1.4]\n"
    assert any("place have position_m alone" in f for f in faults(tmp_path, 'name = "x"\n' + mixed))


@pytest.mark.parametrize("days", [31, 0, 400])
def test_retention_beyond_thirty_days_is_refused(tmp_path: Path, days: int) -> None:
    assert any("retention_days" in f for f in faults(tmp_path, f'name = "x"\nretention_days = {days}\n' + CAMERA))


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    told = "\n".join(
        faults(
            tmp_path,
            """
            name = "x"
            retention_days = 31
            indexing = "continuous"
            surprise = 1
            [[camera]]
            name = "Not A Name"
            label = "a"
            url = "http://192.0.2.1/"
            [[camera]]
            name = "b"
            label = "b"
            url = "b.mp4"
            masks_dwellings = true
            [[camera]]
            name = "b"
            label = "b"
            url = "rtsp://192.0.2.1/"
            masks_dwellings = true
            """,
        )
    )
    for part in (
        "retention_days",
        "surprise",
        "camera.0.name",
        "masks_dwellings is not confirmed",
        "url must be rtsp",
        "start_utc",
        "camera names must differ: b",
        "continuous indexing needs [continuous]",
    ):
        assert part in told, part
    assert "at least 1 item" not in told


def test_a_password_is_in_no_message(tmp_path: Path) -> None:
    text = 'name = "x"\n' + CAMERA.replace("masks_dwellings = true", "masks_dwellings = false\nname2 = 1")
    assert "secret" not in "\n".join(faults(tmp_path, text))
    assert "secret" not in repr(load_site(written(tmp_path, 'name = "x"\n' + CAMERA)))


@pytest.mark.parametrize("text", ["name = ", "\x00", ""])
def test_what_is_no_site_file_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SiteError, match="passage new-site"):
        load_site(tmp_path / "nowhere.toml")


def test_a_file_that_cannot_be_read_is_refused_as_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SiteError, match=r"cannot be read \(Is a directory\)"):
        load_site(tmp_path)
    file = written(tmp_path, 'name = "x"\n' + CAMERA)

    def forbidden(*_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))

    monkeypatch.setattr(Path, "read_text", forbidden)
    with pytest.raises(SiteError, match=r"site\.toml cannot be read \(Permission denied\): it must be readable"):
        load_site(file)


def test_every_setting_is_documented_and_nothing_else() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "site.md").read_text(encoding="utf-8")
    town, rest = text.split("## Cameras")
    cameras, parts = rest.split("## The parts")

    def rows(part: str) -> set[str]:
        return set(re.findall(r"^\| `([^`]+)` \|", part, re.MULTILINE))

    sections = {
        "kafka": "KafkaSite",
        "store": "StoreSite",
        "index": "IndexSite",
        "gate": "GateSite",
        "dashboard": "DashboardSite",
    }
    assert rows(town) == set(rooms.Site.model_fields) - {"cameras", "continuous", *sections}
    assert rows(cameras) == set(rooms.CameraSite.model_fields)
    assert rows(parts) == {f"[{s}] {f}" for s, c in sections.items() for f in getattr(rooms, c).model_fields}


@pytest.mark.parametrize(("days", "hours", "most"), [(7, 169, 168), (30, 649, 648)])
def test_the_broker_may_not_keep_video_longer_than_the_site(tmp_path: Path, days: int, hours: int, most: int) -> None:
    def text(live_hours: int) -> str:
        return f'name = "x"\nretention_days = {days}\n[kafka]\nlive_hours = {live_hours}\n' + CAMERA

    assert any(f"write {most} at most" in fault for fault in faults(tmp_path, text(hours)))
    assert load_site(written(tmp_path, text(most))).kafka.live_hours == most
