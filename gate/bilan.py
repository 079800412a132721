# SPDX-License-Identifier: AGPL-3.0-or-later
"""The yearly report (bilan) and the monthly list: what was asked and done, without the name of any person."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import cast
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
    return Bilan(
        site=gate.site.name,
        year=year,
        month=month or 0,
        lines=lines,
        by_month=dict(sorted(Counter(MONTHS[x.month - 1] for x in lines).items(), key=lambda p: MONTHS.index(p[0]))),
        by_offence=dict(Counter(x.offence or "(sans objet)" for x in lines).most_common()),
        by_authority=dict(Counter(AUTHORITIES[x.authority or None] or "(sans objet)" for x in lines).most_common()),
        by_basis=dict(Counter(BASES[x.basis] for x in lines).most_common()),
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


def bilan_pdf(b: Bilan) -> bytes:
    """The report as a PDF in French."""
    title = f"Bilan {b.year}" if not b.month else f"Liste mensuelle : {MONTHS[b.month - 1]} {b.year}"
    pdf = FPDF()
    pdf.set_title(plain(title))
    pdf.set_auto_page_break(True, margin=18)
    pdf.add_page()

    def words(text: str, style: str = "", size: int = 10) -> None:
        pdf.set_font("Helvetica", style, size)
        pdf.multi_cell(0, 6, plain(text), new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    words(f"{title} - {b.site}", "B", 15)
    words(
        f"{len(b.lines)} demandes, {b.camera_hours:g} heures de caméra demandées, {b.seen_hours:g} heures visionnées, "
        f"{b.searches} recherches, {b.exports} remises, {b.refusals} refus."
    )
    words(f"Preuves de destruction : {b.proofs} réussies, {b.proofs_failed} échouées.")
    for name, counts in (
        ("Par mois", b.by_month),
        ("Par infraction", b.by_offence),
        ("Par autorité", b.by_authority),
        ("Par fondement", b.by_basis),
    ):
        pdf.ln(2)
        words(name, "B", 11)
        for key, count in counts.items():
            words(f"{key} : {count}")
    if b.lines:
        pdf.ln(2)
        pdf.set_font("Helvetica", "", 8)
        heads = ["mois", "fondement", "article", "infraction", "caméras", "heures", "délai (h)", "jours", "remises"]
        with pdf.table(col_widths=(16, 34, 14, 40, 15, 15, 16, 14, 15), line_height=5) as table:
            for cells in [heads, *(_cells(x) for x in b.lines)]:
                row = table.row()
                for cell in cells:
                    row.cell(plain(cell))
    pdf.ln(3)
    words(f"Journal : {b.journal_count} entrées, tête {b.journal_head}", size=8)
    return bytes(pdf.output())


def _cells(x: BilanLine) -> list[str]:
    delay = "" if x.delay_hours is None else f"{x.delay_hours:g}"
    days = "" if x.days_open is None else f"{x.days_open:g}"
    return [
        MONTHS[x.month - 1],
        BASES[x.basis],
        x.article,
        x.offence,
        str(x.cameras),
        f"{x.camera_hours:g}",
        delay,
        days,
        str(x.exports),
    ]


def _from_journal(gate: Gate, start: datetime, end: datetime) -> tuple[int, int, float]:
    """Refusals of acts, searches done, and seconds of video seen."""
    refusals = searches = 0
    seen = 0.0
    for entry in gate.journal.entries():
        if not start.isoformat() <= entry["at"] < end.isoformat():
            continue
        if entry["phase"] == "refusal" and entry["act"] != "session":
            refusals += 1
        elif entry["phase"] == "intent" and entry["act"] == "search":
            searches += 1
        elif entry["phase"] == "intent" and entry["act"] in ("video", "rewind"):
            began, _, ended = str(entry["details"].get("interval", "")).partition("/")
            try:
                seen += (datetime.fromisoformat(ended) - datetime.fromisoformat(began)) / timedelta(seconds=1)
            except ValueError:
                continue
    return refusals, searches, seen


def _camera_hours(r: RequisitionRow) -> float:
    seconds = sum((i.end - i.start).total_seconds() for i in read(r.intervals))
    return round(len(r.cameras) * seconds / 3600, 2)


def _hours(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else round((end - start).total_seconds() / 3600, 1)


def _days(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else round((end - start).total_seconds() / 86_400, 1)
