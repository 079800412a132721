# SPDX-License-Identifier: AGPL-3.0-or-later
"""The exhibit's two French papers as PDF: the fiche technique d'extraction and the transmission slip.

The commune writes no procès-verbal: these say what was taken, how, and how to check it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from fpdf import FPDF
from fpdf.enums import XPos, YPos

from connectors.site import Site
from gate.exhibit_words import CLOCKS, reason
from gate.messages import CoverageStatement, RequisitionInfo
from gate.town_time import told_time

AUTHORITIES = {
    "prosecutor": "procureur de la République",
    "investigating_judge": "juge d'instruction",
    "opj": "officier de police judiciaire",
    "apj_under_opj": "agent de police judiciaire, sous le contrôle d'un OPJ",
    None: "",
}
_PLAIN = str.maketrans({"’": "'", "–": "-", "—": "-", "…": "...", "œ": "oe", "Œ": "OE", "→": "->", "“": '"', "”": '"'})


@dataclass(frozen=True, slots=True)
class Original:
    """One original of the package."""

    name: str
    camera: str
    asked_from: datetime
    asked_to: datetime
    first_at: datetime
    last_at: datetime
    frames: int
    codec: str
    size_px: str
    clock: str


@dataclass(frozen=True, slots=True)
class ViewingCopy:
    """One copy made to be looked at, and what was done to it."""

    name: str
    sha256: str
    original: str
    original_sha256: str
    done: tuple[str, ...]
    kept: tuple[str, ...]
    """Passages whose vehicle was left as it was where the rest is masked."""


@dataclass(frozen=True, slots=True)
class Papers:
    """What both papers say."""

    site: Site
    requisition: RequisitionInfo
    number: str
    made_at: datetime
    clock_source: str
    person: str
    directed_by: str
    purpose: str
    recipient: str
    originals: tuple[Original, ...]
    copies: tuple[ViewingCopy, ...]
    coverage: CoverageStatement
    models: tuple[str, ...]
    software: str
    fingerprint: str
    journal_count: int
    journal_head: str
    sums: dict[str, tuple[str, int]]


class _Paper(FPDF):  # type: ignore[misc]
    def __init__(self, papers: Papers, title: str) -> None:
        super().__init__()
        self.papers = papers
        self.title_text = title
        self.set_title(plain(title))
        self.set_creation_date(papers.made_at)
        self.set_auto_page_break(True, margin=18)
        self.add_page()

    def header(self) -> None:
        self.set_font("Helvetica", "B", 14)
        self.multi_cell(0, 7, plain(self.title_text), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.set_font("Helvetica", "", 9)
        p = self.papers
        self.cell(0, 5, plain(f"{p.site.name} - dossier {p.number}"), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(3)

    def footer(self) -> None:
        self.set_y(-14)
        self.set_font("Helvetica", "", 7)
        p = self.papers
        text = f"Journal : {p.journal_count} entrées, tête {p.journal_head}    page {self.page_no()}"
        self.cell(0, 5, plain(text), align="C")

    def part(self, text: str) -> None:
        self.ln(2)
        self.set_font("Helvetica", "B", 11)
        self.multi_cell(0, 6, plain(text), new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def line(self, name: str, text: str) -> None:
        if text:
            self.set_font("Helvetica", "", 9)
            self.multi_cell(0, 5, plain(f"{name} : {text}"), new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def words(self, text: str, size: int = 9) -> None:
        self.set_font("Helvetica", "", size)
        self.multi_cell(0, 5, plain(text), new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def table_of(self, heads: list[str], rows: list[list[str]], widths: tuple[int, ...]) -> None:
        self.set_font("Helvetica", "", 7)
        with self.table(col_widths=widths, line_height=4.2) as table:
            for cells in [heads, *rows]:
                row = table.row()
                for cell in cells:
                    row.cell(plain(cell))


def extraction_sheet(p: Papers) -> bytes:
    """Fiche technique d'extraction."""
    pdf = _Paper(p, "Fiche technique d'extraction")
    _case(pdf, p)
    pdf.part("Extraction")
    pdf.line("Opérateur technique", p.person)
    pdf.line("Dirigé par", p.directed_by)
    pdf.line("Motif", p.purpose)
    pdf.line("Date", f"{_local(p.made_at, p.site)}, horloge : {p.clock_source}")
    pdf.line("Logiciel", p.software)
    pdf.line("Modèles", ", ".join(p.models) or "aucun (recherche non utilisée)")
    pdf.words(
        "Méthode : les images sont copiées telles que la caméra les a codées, sans réencodage. Un extrait est coupé "
        "vers l'intérieur, à des images clés. Seuls les originaux font foi. Les rapprochements entre passages sont "
        "des candidats à vérifier, jamais une identification. Piétons et cyclistes ne sont ni suivis, ni décrits, ni "
        "conservés par l'analyse ; aucune reconnaissance faciale ni lecture de plaque."
    )
    pdf.part("Originaux")
    pdf.table_of(
        ["fichier", "caméra", "demandé", "extrait", "images", "codage", "horloge"],
        [
            [
                o.name,
                o.camera,
                f"{_local(o.asked_from, p.site)} -> {_local(o.asked_to, p.site)}",
                f"{_local(o.first_at, p.site)} -> {_local(o.last_at, p.site)}",
                str(o.frames),
                f"{o.codec} {o.size_px}",
                CLOCKS.get(o.clock, o.clock),
            ]
            for o in p.originals
        ],
        (34, 22, 38, 38, 12, 20, 16),
    )
    if p.copies:
        pdf.part("Copies de visionnage")
        pdf.words("Faites pour être regardées partout, à partir des originaux, qui ne changent pas.")
        pdf.table_of(
            ["copie", "de l'original (SHA-256)", "ce qui lui a été fait"],
            [[c.name, f"{c.original} ({c.original_sha256})", " ; ".join(c.done)] for c in p.copies],
            (50, 60, 70),
        )
    pdf.part("Couverture")
    c = p.coverage
    pdf.words(f"{c.asked_s:.1f} s demandées, {c.recorded_s:.1f} s enregistrées, {c.indexed_s:.1f} s analysées.")
    if c.lines:
        rows = [[x.camera, _local(x.started_at, p.site), _local(x.ended_at, p.site), reason(x.reason)] for x in c.lines]
        pdf.table_of(["caméra", "de", "à", "ce qui manque"], rows[:200], (30, 38, 38, 74))
        if len(rows) > 200:
            pdf.words(f"... et {len(rows) - 200} autres lignes dans couverture.csv")
    return bytes(pdf.output())


def transmission_slip(p: Papers) -> bytes:
    """Bordereau de transmission, to be signed by hand: it carries the key's fingerprint."""
    pdf = _Paper(p, "Bordereau de transmission")
    _case(pdf, p)
    pdf.part("Transmission")
    pdf.line("Expéditeur", f"{p.site.name}, {p.person}")
    pdf.line("Destinataire", p.recipient)
    pdf.line("Date", _local(p.made_at, p.site))
    pdf.part("Empreinte de la clé de signature (SHA-256)")
    pdf.set_font("Courier", "B", 12)
    pdf.multi_cell(0, 7, grouped(p.fingerprint), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.words(
        "Pour vérifier le dossier : sh verification/verifier.sh suivi de cette empreinte, ou ouvrir "
        "verification/verifier.html dans un navigateur, hors ligne, et recopier cette empreinte. Elle se lit sur ce "
        "bordereau signé, jamais dans un fichier du dossier."
    )
    pdf.part("Pièces")
    pdf.table_of(
        ["fichier", "octets", "SHA-256"],
        [[name, str(size), sha] for name, (sha, size) in p.sums.items()],
        (60, 20, 100),
    )
    pdf.part("Journal")
    pdf.words(f"{p.journal_count} entrées ; tête {p.journal_head}")
    pdf.ln(6)
    pdf.words("Remis par (nom, date, signature) :")
    pdf.ln(16)
    pdf.words("Reçu par (nom, qualité, date, signature) :")
    pdf.ln(16)
    return bytes(pdf.output())


def grouped(fingerprint: str) -> str:
    """A fingerprint as people read it aloud: in fours."""
    return " ".join(fingerprint[i : i + 4] for i in range(0, len(fingerprint), 4))


def plain(text: str) -> str:
    """What the standard fonts of PDF can write; French accents are among it, a few signs are not."""
    return text.translate(_PLAIN).encode("latin-1", "replace").decode("latin-1")


def _case(pdf: Any, p: Papers) -> None:
    r = p.requisition
    pdf.part("Réquisition")
    pdf.line("Référence", r.reference)
    pdf.line("Article", f"{r.article} du code de procédure pénale" if r.article else "")
    pdf.line("Autorité", f"{AUTHORITIES[r.authority]}, {r.authority_name}".strip(", "))
    pdf.line("Autorisation du procureur", r.prosecutor_authorisation)
    pdf.line("Procédure", r.inquiry)
    pdf.line("Infraction", r.offence)
    pdf.line("Document (SHA-256)", r.document)
    pdf.line("Autorisation préfectorale du système", p.site.authorisation)


def _local(at: datetime, site: Site) -> str:
    return f"{told_time(at, ZoneInfo(site.timezone))} ({at:%Y-%m-%d %H:%M:%S} UTC)"
