# SPDX-License-Identifier: AGPL-3.0-or-later
"""The yearly report (bilan) and the monthly list: what was asked and done, without the name of any person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, cast
from zoneinfo import ZoneInfo

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from sqlalchemy import select

from gate.database import ExportRow, RegisterRow, RequisitionRow
from gate.errors import Invalid
from gate.exhibit_pdf import AUTHORITIES, plain
from gate.gate import Gate
from gate.messages import Basis, Bilan, BilanLine
from gate.requisitions import read

BASES = {
    "requisition": "réquisition",
    "habilitated_officer": "consultation par un officier habilité",
    "access_request": "demande d'accès d'une personne filmée",
    "inspection": "contrôle",
    "maintenance": "image de maintenance",
}
NO_ACTS = ("session", "sender", "sign_in", "renew", "data_keys")
"""Refused at the door, or to a program: nobody asked to look at anything."""
MONTHS = "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split()


def bilan(gate: Gate, year: int, month: int | None = None) -> Bilan:
    """The figures of a year, or of one month of it, in the town's own time."""
    if not 2000 <= year <= 2200 or (month is not None and not 1 <= month <= 12):
        raise Invalid(f"{year}-{month or 1}: a year such as 2026, and a month from 1 to 12")
    zone = ZoneInfo(gate.site.timezone)
    start = datetime(year, month or 1, 1, tzinfo=zone).astimezone(UTC)
    following = (year + 1, 1) if month in (None, 12) else (year, (month or 0) + 1)
    end = datetime(*following, 1, tzinfo=zone).astimezone(UTC)
    with gate.database.read() as s:
        rows = s.scalars(
            select(RequisitionRow)
            .where(RequisitionRow.opened_at >= start, RequisitionRow.opened_at < end)
            .order_by(RequisitionRow.opened_at)
        ).all()
        exports = s.scalars(select(ExportRow).where(ExportRow.at >= start, ExportRow.at < end)).all()
        proofs = s.scalars(
            select(RegisterRow.kind).where(
                RegisterRow.at >= start, RegisterRow.at < end, RegisterRow.kind.in_(("proved", "proof_failed"))
            )
        ).all()
    refusals, searches, seen_s = _from_journal(gate, start, end)
    exported = Counter(e.requisition for e in exports)
    lines = tuple(
        BilanLine(
            month=(r.opened_at or start).astimezone(zone).month,
            basis=cast("Basis", r.basis),
            article=r.article,
            offence=r.offence,
            authority=r.authority or "",
            cameras=len(r.cameras),
            camera_hours=_camera_hours(r),
            delay_hours=_hours(r.received_at, r.opened_at),
            days_open=_days(r.opened_at, r.closed_at),
            exports=exported[r.id],
        )
        for r in rows
    )
    head = gate.journal.head()
    delays = [x.delay_hours for x in lines if x.delay_hours is not None]
    requests = _months(x.month for x in lines)
    return Bilan(
        site=gate.site.name,
        year=year,
        month=month or 0,
        lines=lines,
        by_month={MONTHS[n]: count for n, count in enumerate(requests) if count},
        by_offence=dict(Counter(x.offence or "(sans objet)" for x in lines).most_common()),
        by_authority=dict(Counter(AUTHORITIES[x.authority or None] or "(sans objet)" for x in lines).most_common()),
        by_basis=dict(Counter(BASES[x.basis] for x in lines).most_common()),
        by_camera=dict(Counter(_label(gate, c) for r in rows for c in r.cameras).most_common()),
        requests_by_month=requests,
        exports_by_month=_months(e.at.astimezone(zone).month for e in exports),
        delay_median_hours=round(median(delays), 1) if delays else None,
        camera_hours=round(sum(x.camera_hours for x in lines), 2),
        seen_hours=round(seen_s / 3600, 2),
        searches=searches,
        refusals=refusals,
        exports=len(exports),
        proofs=Counter(proofs)["proved"],
        proofs_failed=Counter(proofs)["proof_failed"],
        journal_count=head.count,
        journal_head=head.hash,
    )


class _Page(FPDF):  # type: ignore[misc]
    """The report's paper: words, and bars that are read without a ruler."""

    def words(self, text: str, style: str = "", size: int = 10) -> None:
        self.set_font("Helvetica", style, size)
        self.multi_cell(0, 6, plain(text), new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def bars(self, title: str, counts: Mapping[str, float]) -> None:
        """One bar a line, its name before it and its number after it."""
        shown = [(name, count) for name, count in counts.items()]
        if not shown:
            return
        if self.will_page_break(8 + 6 * min(len(shown), 20)):
            self.add_page()
        self.ln(2)
        self.words(title, "B", 11)
        self.set_font("Helvetica", "", 9)
        most = max(count for _, count in shown) or 1
        self.set_fill_color(31, 78, 121)
        for name, count in shown:
            self.cell(66, 5.5, plain(name[:44]))
            length = 90 * count / most
            if count:
                self.rect(self.get_x(), self.get_y() + 0.8, length, 3.9, style="F")
            self.set_x(self.get_x() + length + 2)
            self.cell(0, 5.5, _number(count), new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def bilan_pdf(b: Bilan) -> bytes:
    """The report as a PDF in French."""
    title = f"Bilan {b.year}" if not b.month else f"Liste mensuelle : {MONTHS[b.month - 1]} {b.year}"
    pdf = _Page()
    pdf.set_title(plain(title))
    pdf.set_auto_page_break(True, margin=18)
    pdf.add_page()
    pdf.words(f"{title} - {b.site}", "B", 15)
    pdf.words("Consultation des images enregistrées de la vidéoprotection. Aucune personne n'est nommée.", size=9)
    pdf.ln(1)
    delay = (
        ""
        if b.delay_median_hours is None
        else f", ouverte{{s}} en {_number(b.delay_median_hours)} h (médiane) après réception"
    )
    pdf.words(f"{_many(len(b.lines), 'demande{s}' + delay)}.")
    pdf.words(
        f"{_many(b.camera_hours, 'heure{s} de caméra demandée{s}')}, {_many(b.seen_hours, 'heure{s} visionnée{s}')}, "
        f"{_many(b.searches, 'recherche{s}')}, {_many(b.exports, 'remise{s}')}, {b.refusals} refus."
    )
    proofs, failed = _many(b.proofs, "réussie{s}"), _many(b.proofs_failed, "échouée{s}")
    pdf.words(f"Preuves de destruction : {proofs}, {failed}.")
    if not b.month:
        pdf.bars("Demandes par mois", dict(zip(MONTHS, b.requests_by_month, strict=True)))
    pdf.bars("Demandes par infraction", b.by_offence)
    pdf.bars("Demandes par autorité", b.by_authority)
    pdf.bars("Demandes par fondement", b.by_basis)
    pdf.bars("Demandes par caméra", b.by_camera)
    delays = {f"{n}. {x.offence}": x.delay_hours for n, x in enumerate(b.lines, 1) if x.delay_hours is not None}
    pdf.bars("Délai de la réception à l'ouverture (heures)", delays)
    if b.lines:
        pdf.ln(3)
        pdf.words("Les demandes", "B", 11)
        pdf.set_font("Helvetica", "", 8)
        heads = ["mois", "fondement", "article", "infraction", "caméras", "heures", "délai (h)", "jours", "remises"]
        with pdf.table(col_widths=(18, 26, 14, 46, 16, 14, 16, 13, 16), line_height=5) as table:
            for cells in [heads, *(_cells(x) for x in b.lines)]:
                row = table.row()
                for cell in cells:
                    row.cell(plain(cell))
    pdf.ln(3)
    pdf.words(f"Journal : {b.journal_count} entrées, tête {b.journal_head}", size=8)
    return bytes(pdf.output())


def _number(value: float) -> str:
    """As French writes it."""
    return f"{value:g}".replace(".", ",")


def _many(count: float, words: str) -> str:
    """A number with words that agree with it: French has its plural from two on."""
    return f"{_number(count)} {words.format(s='s' if count >= 2 else '')}"


def _months(found: Iterable[int]) -> tuple[int, ...]:
    counts = Counter(found)
    return tuple(counts[n] for n in range(1, 13))


def _label(gate: Gate, camera: str) -> str:
    """What people call it; its name where the site has it no more."""
    return next((c.label for c in gate.site.cameras if c.name == camera), camera)


def _cells(x: BilanLine) -> list[str]:
    delay = "" if x.delay_hours is None else _number(x.delay_hours)
    days = "" if x.days_open is None else _number(x.days_open)
    return [
        MONTHS[x.month - 1],
        BASES[x.basis],
        x.article,
        x.offence,
        str(x.cameras),
        _number(x.camera_hours),
        delay,
        days,
        str(x.exports),
    ]


def _from_journal(gate: Gate, start: datetime, end: datetime) -> tuple[int, int, float]:
    """Refusals of acts, searches done, and seconds of video seen: what was asked for and refused, or failed, is not."""
    refusals = searches = 0
    seen = 0.0
    begun: dict[int, dict[str, Any]] = {}
    for entry in gate.journal.entries():
        if entry["phase"] == "intent":
            if entry["act"] in ("search", "video", "rewind"):
                begun[entry["n"]] = entry
            continue
        intent = begun.pop(entry["details"].get("of", 0), None)
        if not start.isoformat() <= entry["at"] < end.isoformat():
            continue
        if entry["phase"] == "refusal":
            refusals += entry["act"] not in NO_ACTS
        elif intent is not None and "failed" not in entry["details"]:
            searches += intent["act"] == "search"
            seen += _seconds(intent["details"].get("interval", ""))
    return refusals, searches, seen


def _seconds(interval: object) -> float:
    """Of an interval as the journal writes it; 0 where there is none."""
    began, _, ended = str(interval or "").partition("/")
    try:
        return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)) / timedelta(seconds=1)
    except ValueError:
        return 0.0


def _camera_hours(r: RequisitionRow) -> float:
    seconds = sum((i.end - i.start).total_seconds() for i in read(r.intervals))
    return round(len(r.cameras) * seconds / 3600, 2)


def _hours(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else round((end - start).total_seconds() / 3600, 1)


def _days(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else round((end - start).total_seconds() / 86_400, 1)
