# SPDX-License-Identifier: AGPL-3.0-or-later
"""Exhibit packages: what is in them, that both verifiers find every change, and that what breaks off is unsigned."""

import csv
import io
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pypdf import PdfReader

from connectors.gop import Clock
from connectors.remux import content_hashes
from gate import exhibit_pdf, exhibit_words, exhibits
from gate.database import ExportRow, RegisterRow
from gate.errors import ActNotPermitted, Invalid, NotFound, OutsideScope
from gate.messages import Decision, ExhibitClip, ExhibitRequest
from reid.coverage import DOUBT
from reid.passage import COLOURS, VEHICLE_CLASSES, Coverage
from tests.gate.town import START, Town, canaries, span

RECIPIENT = "Capitaine Durand, commissariat"
LISTED, SIGNED = re.compile(rb"piece-[\w-]+/SHA256SUMS"), re.compile(rb"piece-[\w-]+/SHA256SUMS\.sig")


@pytest.fixture(scope="module")
def made_package(made_town: Town, tmp_path_factory: pytest.TempPathFactory) -> tuple[Town, Path]:
    folder = tmp_path_factory.mktemp("package")
    town = made_town.copy(folder / "var")
    requisition = town.opened()
    town.index(requisition)
    tech = town.client("tech")
    grant = tech.grant(requisition, ("export", "search", "trace"), directed_by="Capitaine Durand")
    found = tech.search(grant.id, colours=("red",)).passages
    tech.decide(grant.id, found[0].id, Decision(passage_id=found[1].id, verdict="rejected"))
    out = tech.export(
        grant.id,
        folder / "out.zip",
        purpose="remise à l'enquêteur",
        recipient=RECIPIENT,
        clips=[("mairie", span(12.5, 20)), ("gare", span(20, 25))],
        passages=[found[0].id],
        trace_of=found[0].id,
    )
    unpacked = folder / "unpacked"
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
        archive.extractall(unpacked)
    return town, next(unpacked.iterdir())


@pytest.fixture
def package(made_package: tuple[Town, Path], tmp_path: Path) -> tuple[Town, Path]:
    """An unpacked package with clips, a passage and a trace, to alter."""
    town, folder = made_package
    return town, shutil.copytree(folder, tmp_path / folder.name)


def text_of(pdf: Path) -> str:
    return " ".join("\n".join(page.extract_text() for page in PdfReader(pdf).pages).split())


def test_what_is_in_a_package(package: tuple[Town, Path]) -> None:
    _, folder = package
    names = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert {
        "SHA256SUMS",
        "SHA256SUMS.sig",
        "cle-publique.pem",
        "manifeste.json",
        "couverture.csv",
        "fiche-technique-extraction.pdf",
        "bordereau-transmission.pdf",
        "trace/trace.csv",
        "trace/plan.svg",
        "trace/trace.json",
        "journal/extrait.jsonl",
        "journal/tete.json",
        "verification/verifier.sh",
        "verification/verifier.html",
    } <= names
    originals = sorted(n for n in names if n.startswith("originaux/"))
    assert len(originals) >= 2 and any(n.startswith("images/") for n in names)
    seen = set().union(*(canaries((folder / n).read_bytes()) for n in names))
    inside = {(c, int(START.timestamp()) + n) for c in ("mairie", "gare") for n in range(10, 40)}
    assert seen and seen <= inside
    # Inward to keyframes: the half second before the first whole group is not handed over.
    mairie = set().union(*(canaries((folder / n).read_bytes()) for n in originals if "mairie" in n))
    assert {s - int(START.timestamp()) for _, s in mairie} >= set(range(13, 20))


def test_originals_are_the_packets_the_camera_made(package: tuple[Town, Path]) -> None:
    _, folder = package
    manifest = json.loads((folder / "manifeste.json").read_bytes())
    for original in manifest["originaux"]:
        hashes = [h.hex() for h in content_hashes(folder / original["name"], [4] * len(original["groupes_sha256"]))]
        assert hashes == original["groupes_sha256"]
    assert manifest["motif"] == "remise à l'enquêteur"
    assert manifest["fichiers"]["trace/trace.csv"]["sha256"]


def test_papers_say_in_french_what_was_done(package: tuple[Town, Path]) -> None:
    town, folder = package
    slip = text_of(folder / "bordereau-transmission.pdf")
    sheet = text_of(folder / "fiche-technique-extraction.pdf")
    fingerprint = exhibits.fingerprint(town.gate)
    assert fingerprint in slip.replace(" ", "") and RECIPIENT in slip and "SHA-256" in slip
    head = json.loads((folder / "journal" / "tete.json").read_bytes())
    for paper in (slip, sheet):
        assert "PV 2026/1234" in paper and f"{head['count']} entrées" in paper and head["hash"] in paper
    for words in ("sans réencodage", "jamais une identification", "Capitaine Durand", "remise à l'enquêteur", "Tech"):
        assert words in sheet, words
    # What was asked for, in the town's time and in universal time.
    assert "20/03/2026 15:00:12 (2026-03-20 14:00:12 UTC) -> 20/03/2026 15:00:20 (2026-03-20 14:00:20 UTC)" in sheet


def test_tables(package: tuple[Town, Path]) -> None:
    _, folder = package
    head, *rows = csv.reader(io.StringIO((folder / "trace/trace.csv").read_text("utf-8-sig")), delimiter=";")
    steps = [dict(zip(head, row, strict=True)) for row in rows[:-2]]
    assert (head[0], steps[0]["type"], steps[0]["couleur"]) == ("étape", "voiture", "rouge")
    assert "demandé" in {step["décision"] for step in steps}
    assert "jamais une identification" in rows[-1][0]
    assert "<svg" in (folder / "trace/plan.svg").read_text()
    extract = [json.loads(line) for line in (folder / "journal/extrait.jsonl").read_text().splitlines()]
    assert {"requisition.draft", "search", "decide", "export", "trace"} <= {e["act"] for e in extract}
    # Its registration began before it had an id.
    assert extract[0]["act"] == "requisition.draft" and "requisition" not in extract[0]
    assert len({e["requisition"] for e in extract if "requisition" in e}) == 1
    assert [e["n"] for e in extract] == sorted(e["n"] for e in extract)


def by_script(folder: Path, fingerprint: str) -> tuple[bool, str]:
    done = subprocess.run(
        ["sh", str(folder / "verification" / "verifier.sh"), fingerprint], capture_output=True, text=True, check=False
    )
    return done.returncode == 0, done.stdout + done.stderr


NODE = """
const fs = require('fs'), path = require('path'), crypto = require('crypto');
const page = fs.readFileSync(process.argv[2], 'utf8'), root = process.argv[3], held = { exports: {} };
new Function('module', page.split('<script>')[1].split('</script>')[0])(held);
const files = new Map();
(function walk(folder) { for (const e of fs.readdirSync(folder, { withFileTypes: true })) {
  const full = path.join(folder, e.name);
  if (e.isDirectory()) walk(full);
  else {
    const data = new Uint8Array(fs.readFileSync(full));
    const hash = async () => new held.exports.Sha256().update(data).hex();
    files.set(path.relative(root, full), { bytes: async () => data, hash });
  }
} })(root);
const tell = r => { console.log(JSON.stringify(r)); process.exit(r.good ? 0 : 1); };
held.exports.verify(files, process.argv[4]).then(tell);
"""


def by_page(folder: Path, fingerprint: str) -> tuple[bool, str]:
    """The page's own code, run outside a browser."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node to run the page's code without a browser")
    page = Path(exhibits.__file__).parent / "verifiers" / "verifier.html"
    script = folder.parent / "run.cjs"
    script.write_text(NODE)
    done = subprocess.run(
        [node, str(script), str(page), str(folder), fingerprint], capture_output=True, text=True, check=False
    )
    return done.returncode == 0, done.stdout + done.stderr


def altered(folder: Path) -> None:
    video = next((folder / "originaux").iterdir())
    data = bytearray(video.read_bytes())
    data[-5] ^= 1
    video.write_bytes(data)


def added(folder: Path) -> None:
    (folder / "images" / "99-ajout.jpg").write_bytes(b"x")


def removed(folder: Path) -> None:
    next((folder / "images").iterdir()).unlink()


def renamed(folder: Path) -> None:
    video = next((folder / "originaux").iterdir())
    video.rename(video.with_name("autre.mp4"))


def resigned(folder: Path) -> None:
    """Everything consistent again, under another key."""
    altered(folder)
    import hashlib

    key = Ed25519PrivateKey.generate()
    (folder / "cle-publique.pem").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    lines = []
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        name = line[66:]
        lines.append(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n")
    sums = "".join(lines).encode()
    (folder / "SHA256SUMS").write_bytes(sums)
    (folder / "SHA256SUMS.sig").write_bytes(key.sign(sums))


def sums_rewritten(folder: Path) -> None:
    """The list agrees with the altered file, the signature does not."""
    import hashlib

    before = {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in (folder / "originaux").iterdir()}
    altered(folder)
    text = (folder / "SHA256SUMS").read_text()
    for path, old in before.items():
        text = text.replace(old, hashlib.sha256(path.read_bytes()).hexdigest())
    (folder / "SHA256SUMS").write_text(text)


def linked(folder: Path) -> None:
    (folder / "images" / "lien.jpg").symlink_to("/etc/hostname")


@pytest.mark.slow
@pytest.mark.parametrize("verifier", [by_script, by_page])
def test_verifiers(
    package: tuple[Town, Path], verifier: Callable[[Path, str], tuple[bool, str]], tmp_path: Path
) -> None:
    town, folder = package
    fingerprint = exhibit_pdf.grouped(exhibits.fingerprint(town.gate))
    good, words = verifier(folder, fingerprint)
    assert good, words
    assert not verifier(folder, "00" * 32)[0]
    assert not verifier(folder, "")[0]
    for change in (altered, added, removed, renamed, resigned, sums_rewritten):
        copy = tmp_path / change.__name__ / folder.name
        shutil.copytree(folder, copy)
        change(copy)
        good, words = verifier(copy, fingerprint)
        assert not good, change.__name__


def test_the_script_minds_links(package: tuple[Town, Path]) -> None:
    town, folder = package
    linked(folder)
    assert not by_script(folder, exhibits.fingerprint(town.gate))[0]


def test_export_is_refused_outside_the_grant(town: Town, tmp_path: Path) -> None:
    requisition = town.opened()
    live = town.index("live", seconds=30)
    tech = town.client("tech")
    out = tmp_path / "x.zip"
    plain = tech.grant(requisition, ("rewind", "search"))
    with pytest.raises(ActNotPermitted):
        tech.export(plain.id, out, purpose="remise", recipient="X", clips=[("mairie", span(12, 20))])
    grant = tech.grant(requisition, ("export",))
    for clips in ([("mairie", span(9, 20))], [("pont", span(12, 20))]):
        with pytest.raises(OutsideScope):
            tech.export(grant.id, out, purpose="remise", recipient="X", clips=clips)
    with pytest.raises(NotFound):
        tech.export(grant.id, out, purpose="remise", recipient="X", passages=[live[3].id])
    for words in ({"purpose": " ", "recipient": "X"}, {"purpose": "remise", "recipient": ""}):
        with pytest.raises(Invalid):
            tech.export(grant.id, out, clips=[("mairie", span(12, 20))], **words)
    assert not list(tmp_path.glob("x.zip*"))


def test_a_picture_that_went_before_its_passage_is_left_out(town: Town, tmp_path: Path) -> None:
    requisition = town.opened()
    row = next(p for p in town.index(requisition) if p.started_at == START + timedelta(seconds=15))
    (town.site.archive_dir / "views" / row.views[0].reference).unlink()
    tech = town.client("tech")
    grant = tech.grant(requisition, ("export",))
    out = tech.export(grant.id, tmp_path / "x.zip", purpose="remise", recipient="X", passages=[row.id])
    with zipfile.ZipFile(out) as archive:
        pictures = [name for name in archive.namelist() if "/images/" in name]
    assert len(pictures) == 1 and "-image-" in pictures[0]


def begun(town: Town, requisition: str) -> Iterator[bytes]:
    """The pieces of a package, as the service sends them."""
    tech = town.client("tech")
    grant = tech.grant(requisition, ("export",))
    service = town.http().app.state.service  # type: ignore[attr-defined]
    live = town.gate.sessions.check(tech.token or "")
    request = ExhibitRequest(
        clips=(ExhibitClip(camera="mairie", interval=span(12, 20)),), purpose="remise", recipient="X"
    )
    pieces: Iterator[bytes] = service.exhibits.export(live, grant.id, request)[1]
    return pieces


def registered(town: Town) -> list[str]:
    with town.gate.database.read() as s:
        sent = [r.details["number"] for r in s.query(RegisterRow).filter(RegisterRow.kind == "sent")]
        assert [r.id for r in s.query(ExportRow)] == sent
    return sent


def test_no_signature_leaves_before_the_package_is_registered(town: Town) -> None:
    pieces = begun(town, town.opened())
    sent = b""
    while not SIGNED.search(sent):
        assert not registered(town)
        sent += next(pieces)
    pieces.close()  # whoever asked hangs up, and holds it whole
    assert zipfile.ZipFile(io.BytesIO(sent)).testzip() is None
    (number,) = registered(town)
    last = town.journal()[-1]
    assert (last["phase"], last["act"]) == ("outcome", "export") and "failed" not in last["details"]
    assert last["details"]["bytes"] == len(sent) and f"piece-{number}/".encode() in sent


def test_hanging_up_before_the_signature_registers_nothing(town: Town) -> None:
    pieces = begun(town, town.opened())
    sent = b""
    while not LISTED.search(sent):
        sent += next(pieces)
    pieces.close()
    assert LISTED.search(sent) and not SIGNED.search(sent) and not registered(town)
    assert town.journal()[-1]["details"]["failed"] == "GeneratorExit"


@pytest.mark.slow
def test_a_package_that_cannot_be_registered_stays_unsigned(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    pieces = begun(town, town.opened())
    monkeypatch.setattr(exhibits.Package, "_register", full)
    sent = b""
    with pytest.raises(OSError, match="No space"):
        for piece in pieces:
            sent += piece
    assert LISTED.search(sent) and not SIGNED.search(sent) and town.journal()[-1]["details"]["failed"] == "OSError"


def test_what_breaks_off_is_unsigned_and_journalled(town: Town) -> None:
    requisition = town.opened()
    pieces = begun(town, requisition)
    sent = next(pieces)
    town.gate.requisitions.close(requisition, None)
    with pytest.raises(Exception, match=r"closed|ended"):
        for piece in pieces:
            sent += piece
    assert b"SHA256SUMS" not in sent
    assert town.journal()[-1]["phase"] == "refusal" and town.journal()[-1]["act"] == "export"


def test_the_head_at_an_export_is_given_to_the_witnesses_as_one(town: Town, tmp_path: Path) -> None:
    of_exports: list[bool] = []

    class Witness:
        def keep(self, signed_head: dict[str, object], *, of_export: bool) -> None:
            of_exports.append(of_export)

    requisition = town.opened()
    tech = town.client("tech")
    grant = tech.grant(requisition, ("export",))
    town.gate.journal.witnesses = (Witness(),)
    tech.export(grant.id, tmp_path / "x.zip", purpose="remise", recipient="X", clips=[("mairie", span(12, 14))])
    assert town.gate.journal.wait_for_witnesses(10.0)
    assert of_exports.count(True) == 1


def test_the_dossier_speaks_french() -> None:
    assert set(VEHICLE_CLASSES) == set(exhibit_words.CLASSES) and set(COLOURS) == set(exhibit_words.COLOURS)
    assert set(get_args(get_type_hints(Coverage)["status"])) == set(exhibit_words.STATUS)
    assert set(get_args(Clock)) == set(exhibit_words.CLOCKS)
    assert exhibit_words.reason("nothing was recorded") == "rien n'a été enregistré"
    assert "échappé" in exhibit_words.reason(DOUBT % (3, 4, "model-1"))
    assert exhibit_words.reason("the camera said so") == "the camera said so"
