# SPDX-License-Identifier: AGPL-3.0-or-later
"""The yearly report, as a mayor reads it: what was asked, by whom, for what, how long it took. No person's name."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from dashboards.session import language, t
from dashboards.times import zone
from gate.client import GateClient
from gate.messages import Bilan

YEARS_KEPT = 4


def page(gate: GateClient) -> None:
    """Draw the page."""
    st.header(t("bilan"))
    st.caption(t("bilan_help"))
    now = datetime.now(UTC).astimezone(zone()).year
    first, second, third = st.columns([1, 1, 2], vertical_alignment="bottom")
    year = first.selectbox(t("year"), [now - n for n in range(YEARS_KEPT)], key="bilan_year")
    found = gate.bilan(year)
    names = month_names()
    month = second.selectbox(
        t("month"), range(13), format_func=lambda n: t("whole_year") if n == 0 else names[n - 1], key="bilan_month"
    )
    if month:
        found = gate.bilan(year, month)
    third.link_button(t("bilan_pdf"), gate.bilan_url(year, month))
    _figures(found)
    if not found.lines:
        st.info(t("bilan_none"))
        return
    if not month:
        _by_month(found, names)
    left, right = st.columns(2)
    with left:
        _bars(t("by_offence"), found.by_offence)
        _bars(t("by_camera"), found.by_camera)
    with right:
        _bars(t("by_authority"), {t("authority_" + a) if a else t("no_authority"): n for a, n in _authorities(found)})
        _bars(t("delays"), {f"{n}. {line.offence}": line.delay_hours or 0.0 for n, line in enumerate(found.lines, 1)})
    st.subheader(t("requests"))
    st.dataframe(
        [
            {
                "n°": n,
                t("month"): names[line.month - 1],
                t("basis"): t("basis_" + line.basis),
                t("article"): line.article,
                t("offence"): line.offence,
                t("cameras"): line.cameras,
                t("hours_asked"): f"{line.camera_hours:g}",
                t("delay_h"): "" if line.delay_hours is None else f"{line.delay_hours:g}",
                t("days_open"): "" if line.days_open is None else f"{line.days_open:g}",
                t("handovers"): line.exports,
            }
            for n, line in enumerate(found.lines, 1)
        ],
        hide_index=True,
    )
    st.caption(t("journal_head", n=found.journal_count, head=found.journal_head))


def _figures(found: Bilan) -> None:
    delay = found.delay_median_hours
    figures = (
        (t("requests"), str(len(found.lines))),
        (t("hours_asked"), f"{found.camera_hours:g}"),
        (t("hours_seen"), f"{found.seen_hours:g}"),
        (t("delay_median"), "–" if delay is None else f"{delay:g} h"),
        (t("searches"), str(found.searches)),
        (t("handovers"), str(found.exports)),
        (t("refusals"), str(found.refusals)),
        (t("proofs"), f"{found.proofs} / {found.proofs + found.proofs_failed}"),
    )
    for row in (figures[:4], figures[4:]):
        for column, (name, value) in zip(st.columns(4), row, strict=True):
            column.metric(name, value)


def _by_month(found: Bilan, names: tuple[str, ...]) -> None:
    st.subheader(t("by_month"))
    counts = {t("requests"): found.requests_by_month, t("handovers"): found.exports_by_month}
    rows = [
        {t("month"): f"{n:02d} {name}", t("count"): months[n - 1], "": what}
        for what, months in counts.items()
        for n, name in enumerate(names, 1)
    ]
    st.bar_chart(rows, x=t("month"), y=t("count"), color="", stack=False, height=280)


def _bars(title: str, counts: dict[str, float] | dict[str, int]) -> None:
    st.subheader(title)
    if not counts:
        return
    rows = [{" ": name, "  ": n} for name, n in counts.items()]
    st.bar_chart(rows, x=" ", y="  ", horizontal=True, sort=False, x_label="", y_label="", height=60 + 34 * len(rows))


def _authorities(found: Bilan) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for line in found.lines:
        counts[line.authority] = counts.get(line.authority, 0) + 1
    return sorted(counts.items(), key=lambda pair: -pair[1])


def month_names() -> tuple[str, ...]:
    """Of the page's language."""
    french = "janvier février mars avril mai juin juillet août septembre octobre novembre décembre"
    english = "January February March April May June July August September October November December"
    return tuple((english if language() == "en" else french).split())
