# SPDX-License-Identifier: AGPL-3.0-or-later
"""Viewing copies, decoded again: the band says where and when, what is outside the chosen vehicle cannot be told."""

from __future__ import annotations

import hashlib
import json
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pypdf import PdfReader
from typer.testing import CliRunner

from connectors.archive import ArchiveWriter
from connectors.camera import CameraReader
from connectors.gop import Gop
from connectors.remux import content_hashes
from gate import commands, exhibit_viewing, exhibits
from gate.errors import Invalid, NotFound
from gate.exhibit_viewing import Band, Caption, boxes_at, masked, viewing_copy
from reid.passage import Sighting, Track
from tests.connectors.videos import file_camera
from tests.gate.test_exhibits import by_page, by_script, span
from tests.gate.town import START, Town

WIDTH, HEIGHT, FPS = 320, 240, 10
CAPTION = Caption("Mairie, Place de la Mairie", "PV 2026/1234", ZoneInfo("Europe/Paris"))
HEVC = {"x265-params": "keyint=10:min-keyint=10:open-gop=0:log-level=none"}
H264 = {"g": "10", "preset": "ultrafast"}


def checkered() -> NDArray[np.uint8]:
    """A picture full of detail: squares of four pixels."""
    rows, columns = np.indices((HEIGHT, WIDTH))
    return np.repeat(np.where((rows // 4 + columns // 4) % 2, 220, 30).astype(np.uint8)[:, :, None], 3, axis=2)


def video(path: Path, codec: str, options: dict[str, str], seconds: int = 3) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=FPS)
        stream.width, stream.height, stream.pix_fmt, stream.options = WIDTH, HEIGHT, "yuv420p", options
        for _ in range(seconds * FPS):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(checkered(), format="bgr24")))
        container.mux(stream.encode())
    return path


def gops(folder: Path, camera: str, codec: str, options: dict[str, str]) -> list[Gop]:
    path = video(folder / f"{camera}.mp4", codec, options)
    return list(CameraReader(file_camera(path, camera, start_utc=START + timedelta(seconds=12)), run="r").gops())


def pictures(data: bytes, folder: Path) -> list[tuple[float, NDArray[np.uint8]]]:
    """Seconds from the start, and picture."""
    file = folder / "seen.mp4"
    file.write_bytes(data)
    with av.open(str(file)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        return [(float(f.time or 0.0), f.to_ndarray(format="bgr24")) for f in container.decode(video=0)]


def path_of(passage: str, camera: str = "mairie") -> Track:
    """A vehicle that drives from left to right in two seconds, from half a second on."""
    seen = [
        Sighting(START + timedelta(seconds=12.5 + n / 4), (20.0 + 20 * n, 80.0, 80.0 + 20 * n, 120.0), 0.9)
        for n in range(9)
    ]
    return Track(passage_id=passage, scope="r", camera=camera, sightings=tuple(seen))


def detail(picture: NDArray[np.uint8], left: int, top: int, right: int, bottom: int) -> float:
    """How much neighbouring pixels differ: great in the squares, nothing inside a block."""
    part = picture[top:bottom, left:right, 1].astype(float)
    return float(np.median(np.abs(part[:, 4:] - part[:, :-4])))


def test_the_band_says_where_and_when(tmp_path: Path) -> None:
    group = gops(tmp_path, "mairie", "libx264", H264)
    seen = pictures(viewing_copy(group, CAPTION), tmp_path)
    assert len(seen) == 3 * FPS
    band = Band(WIDTH, CAPTION, masked=False)
    for n, (second, picture) in enumerate(seen):
        assert second == pytest.approx(n / FPS, abs=0.002)
        assert picture.shape == (HEIGHT + band.height_px, WIDTH, 3)
        assert detail(picture, 0, 0, WIDTH, HEIGHT) > 100, "the picture itself is whole"
        shown = picture[HEIGHT:, :, 1].astype(float)

        def away(at: float, shown: NDArray[np.float64] = shown) -> float:
            return float(np.abs(shown - band.draw(group[0].first_at + timedelta(seconds=at))).mean())

        assert away(second) < 15, "the band is not the one expected"
        assert away(second) < min(away(second + 1), away(second + 60)), "the band shows another moment"


def test_the_band_writes_both_times_and_the_requisition() -> None:
    first, last = CAPTION.lines(True)
    assert "PV 2026/1234" in first and "Place de la Mairie" in first and "masquée" in last
    moment = CAPTION.moment(START + timedelta(milliseconds=250))
    assert "20/03/2026 15:00:00.250 (Europe/Paris)" in moment and "2026-03-20 14:00:00.250 UTC" in moment
    drawn = Band(WIDTH, CAPTION, masked=True).draw(START)
    # Ink to the last line and not beyond the right edge: nothing is cut off.
    assert (drawn[-20:-6] > 128).any() and not (drawn[:, -2:] > 128).any()


def test_outside_the_chosen_vehicle_nothing_can_be_told(tmp_path: Path) -> None:
    group = gops(tmp_path, "mairie", "libx264", H264)
    seen = pictures(viewing_copy(group, CAPTION, [path_of("p")]), tmp_path)
    inside_seen = 0
    for second, picture in seen:
        (box,) = boxes_at([path_of("p")], group[0].first_at + timedelta(seconds=second)) or [None]
        picture = picture[:HEIGHT]
        if box is None:
            assert second < 0.5 or second > 2.5
            assert detail(picture, 0, 0, WIDTH, HEIGHT) < 20
            continue
        left, _, right, _ = (round(v) for v in box)
        assert detail(picture, left + 4, 84, right - 4, 116) > 100, second
        assert detail(picture, 0, 140, WIDTH, HEIGHT) < 20 and detail(picture, 0, 0, WIDTH, 60) < 20, second
        if left > 40:
            assert detail(picture, 0, 80, left - 20, 120) < 20, second
        inside_seen += 1
    assert inside_seen >= 19


def test_blocks_are_coarse_and_boxes_may_reach_outside() -> None:
    picture = checkered()
    coarse = masked(picture, [])
    assert len(np.unique(coarse[:, :, 0])) < 60
    kept = masked(picture, [(-30.0, 200.0, 20.0, 400.0)])
    assert np.array_equal(kept[200:, :20], picture[200:, :20])
    assert detail(kept, 60, 0, WIDTH, HEIGHT) < 20


@pytest.fixture
def town_of_video(town: Town, tmp_path: Path) -> Town:
    """A town of which two cameras hold real video, one of each kind."""
    writer = ArchiveWriter(town.site.archive_dir)
    for camera, codec, options in (("mairie", "libx265", HEVC), ("gare", "libx264", H264)):
        for gop in gops(tmp_path, camera, codec, options):
            writer.append(town.sealer.seal(gop))
    writer.close()
    return town


@pytest.fixture
def town() -> Any:
    """A town in which nothing is recorded yet."""
    from tests.gate.conftest import in_memory

    with in_memory() as folder:
        town = Town(folder / "var")
        town.staff()
        yield town


def export(town: Town, folder: Path, **asked: Any) -> Path:
    tech = town.client("tech")
    (requisition,) = [r.id for r in tech.requisitions()]
    grant = tech.grant(requisition, ("export", "search", "trace"))
    out = tech.export(grant.id, folder / "out.zip", purpose="remise", recipient="Capitaine Durand", **asked)
    with zipfile.ZipFile(out) as archive:
        archive.extractall(folder / "unpacked")
    return next((folder / "unpacked").iterdir())


CLIPS = [("mairie", span(12, 16)), ("gare", span(12, 16))]


@pytest.mark.slow
def test_only_h265_gets_a_copy_unless_asked(town_of_video: Town, tmp_path: Path) -> None:
    town_of_video.opened()
    folder = export(town_of_video, tmp_path, clips=CLIPS)
    assert [p.name.split("-")[0] for p in (folder / "visionnage").iterdir()] == ["mairie"]
    assert len(list((folder / "originaux").iterdir())) == 2


@pytest.mark.slow
def test_a_package_with_masked_copies(town_of_video: Town, tmp_path: Path) -> None:
    town = town_of_video
    requisition = town.opened()
    chosen = next(
        p for p in town.index(requisition, start=START + timedelta(seconds=13), seconds=1, cameras=["mairie"])
    )
    track = path_of(chosen.id)
    town.store.insert_tracks(
        [Track(passage_id=chosen.id, scope=requisition, camera="mairie", sightings=track.sightings)]
    )
    folder = export(town, tmp_path, clips=CLIPS, passages=[chosen.id], mask=True)
    manifest = json.loads((folder / "manifeste.json").read_bytes())
    copies = manifest["copies_de_visionnage"]
    stills = [c for c in copies if c["original"].startswith("images/")]
    videos = [c for c in copies if c not in stills]
    assert len(videos) == len(manifest["originaux"]) == 2 and len(stills) == 1
    for copy in copies:
        original = folder / copy["original"]
        assert hashlib.sha256(original.read_bytes()).hexdigest() == copy["original_sha256"]
        assert hashlib.sha256((folder / copy["fichier"]).read_bytes()).hexdigest() == copy["sha256"]
        assert any("bande" in d for d in copy["traitements"]) and any("blocs" in d for d in copy["traitements"])
    by_camera = {c["original"].split("/")[1].split("-")[0]: c for c in videos}
    assert (
        by_camera["mairie"]["vehicules_laisses_nets"] == [chosen.id] and not by_camera["gare"]["vehicules_laisses_nets"]
    )
    # Originals are still the packets that the cameras made.
    for original in manifest["originaux"]:
        frames = [FPS] * len(original["groupes_sha256"])
        assert [h.hex() for h in content_hashes(folder / original["name"], frames)] == original["groupes_sha256"]
    seen = pictures((folder / by_camera["mairie"]["fichier"]).read_bytes(), tmp_path)
    middle = seen[len(seen) // 2][1]
    assert detail(middle[:HEIGHT], 0, 140, WIDTH, HEIGHT) < 20
    assert max(detail(middle[:HEIGHT], x, 84, x + 40, 116) for x in range(0, 280, 10)) > 100
    other = pictures((folder / by_camera["gare"]["fichier"]).read_bytes(), tmp_path)
    assert all(detail(p[:HEIGHT], 0, 0, WIDTH, HEIGHT) < 20 for _, p in other)
    still = cv2.imread(str(folder / stills[0]["fichier"]))
    assert still is not None and still.shape[0] > HEIGHT, "the band stands below the picture"
    assert (
        detail(still[:HEIGHT], 0, 140, WIDTH, HEIGHT)
        < 20
        < 100
        < detail(cv2.imread(str(folder / stills[0]["original"])), 0, 140, WIDTH, HEIGHT)
    )
    sheet = " ".join(page.extract_text() for page in PdfReader(folder / "fiche-technique-extraction.pdf").pages)
    assert "Copies de visionnage" in sheet
    for verifier in (by_script, by_page):
        good, words = verifier(folder, exhibits.fingerprint(town.gate))
        assert good, words


@pytest.mark.slow
def test_one_command_does_the_same(town_of_video: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    town_of_video.opened()
    tech = town_of_video.client("tech")
    monkeypatch.setattr(commands, "client", lambda site=None: tech)
    clip = f"mairie={span(12, 16).start.isoformat()}..{span(12, 16).end.isoformat()}"
    words = ["export", "--purpose", "remise", "--to-whom", "Capitaine Durand", "--viewing", "--clip", clip]
    done = CliRunner().invoke(commands.app, [*words, "--out", str(tmp_path / "x.zip"), "--json"])
    assert done.exit_code == 0, done.output
    with zipfile.ZipFile(tmp_path / "x.zip") as package:
        assert any("/visionnage/mairie-" in name for name in package.namelist())
    refused = CliRunner().invoke(commands.app, [*words, "--mask", "--out", str(tmp_path / "y.zip")])
    assert isinstance(refused.exception, Invalid) and not (tmp_path / "y.zip").exists()


@pytest.mark.slow
def test_masking_needs_a_vehicle_and_its_path(town_of_video: Town, tmp_path: Path) -> None:
    requisition = town_of_video.opened()
    with pytest.raises(Invalid, match="masking"):
        export(town_of_video, tmp_path, clips=CLIPS, mask=True)
    (chosen,) = town_of_video.index(requisition, start=START + timedelta(seconds=13), seconds=1, cameras=["mairie"])
    with pytest.raises(NotFound, match="path"):
        export(town_of_video, tmp_path, passages=[chosen.id], mask=True)


def test_no_further_picture_is_made_after_a_closure(tmp_path: Path) -> None:
    group = gops(tmp_path, "mairie", "libx264", H264)
    asked: list[int] = []

    def still() -> None:
        asked.append(1)
        if len(asked) == 2:
            raise Invalid("closed")

    with pytest.raises(Invalid, match="closed"):
        viewing_copy(group, CAPTION, still=still)
    assert len(asked) == 2 < len(group)


def test_the_font_has_the_letters_of_french() -> None:
    font = exhibit_viewing._font(20)
    missing = bytes(font.getmask("\uffff"))
    assert all(bytes(font.getmask(letter)) != missing for letter in "éèêàçùîôœÉÀÇ’«»°")
