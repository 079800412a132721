# SPDX-License-Identifier: AGPL-3.0-or-later
"""The yearly report, as a mayor reads it: what was asked, by whom, for what, how long it took. No person's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import streamlit as st

from dashboards import pictures
from dashboards.session import language, t
from dashboards.times import duration, local, number, zone
from gate.client import GateClient
from gate.messages import Bilan, CameraInfo, Interval, Register

YEARS_KEPT = 4
_KEPT = {f"the {what}": f"register_kept_{what}" for what in ("keys", "recordings", "pictures", "store", "journal")}
"""What of a destruction may fail besides a camera, in the words of `gate.keeper`."""


def page(gate: GateClient, cameras: Sequence[CameraInfo]) -> None:
    """Draw the page."""
    st.header(t("bilan"))
    st.caption(t("bilan_help"))
    now = datetime.now(UTC).astimezone(zone()).year
    first, second, third = st.columns([1, 1, 2], vertical_alignment="bottom")
    year = first.selectbox(t("year"), [now - n for n in range(YEARS_KEPT)], key="bilan_year")
    names = month_names()
    month = second.selectbox(
        t("month"), range(13), format_func=lambda n: t("whole_year") if n == 0 else names[n - 1], key="bilan_month"
    )
    found = gate.bilan(year, month)
    third.link_button(t("bilan_pdf"), gate.bilan_url(year, month))
    _figures(found)
    if found.lines:
        _requests(found, names)
    else:
        st.info(t("bilan_none"))
    st.caption(t("journal_head", n=found.journal_count, head=found.journal_head))
    st.subheader(t("register"))
    if st.toggle(t("register_show"), key="register_show"):
        _register(gate.register(_period(year, month)), {c.name: c.label for c in cameras})


def _requests(found: Bilan, names: tuple[str, ...]) -> None:
    if not found.month:
        st.subheader(t("by_month"))
        counts = (t("requests"), found.requests_by_month), (t("handovers"), found.exports_by_month)
        st.html(pictures.months(short_names(), *counts))
    left, right = st.columns(2)
    with left:
        _bars(t("by_offence"), dict(found.by_offence))
        _bars(t("by_camera"), dict(found.by_camera))
    with right:
        _bars(t("by_authority"), {t("authority_" + a) if a else t("no_authority"): n for a, n in _authorities(found)})
        delays = {f"{n}. {x.offence}": x.delay_hours for n, x in enumerate(found.lines, 1) if x.delay_hours is not None}
        _bars(t("delays"), delays, duration)
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
                t("hours_asked"): duration(line.camera_hours),
                t("delay_h"): "" if line.delay_hours is None else duration(line.delay_hours),
                t("days_open"): "" if line.days_open is None else number(line.days_open),
                t("handovers"): line.exports,
            }
            for n, line in enumerate(found.lines, 1)
        ],
        hide_index=True,
    )


def _register(found: Register, labels: dict[str, str]) -> None:
    """Which recordings are held, and what became of the others."""
    st.caption(t("register_held"))
    st.dataframe(
        [
            {
                t("day"): date.fromisoformat(r.day),
                t("camera"): labels.get(r.camera, r.camera),
                t("hours"): r.hours,
                t("from"): local(r.started_at),
                t("to"): local(r.ended_at),
            }
            for r in found.recordings
        ],
        hide_index=True,
        column_config={t("day"): st.column_config.DateColumn(format="DD/MM/YYYY")},
    )
    st.caption(t("register_done"))
    st.dataframe(
        [
            {
                t("time"): local(x.at),
                t("act"): t("register_" + x.kind),
                t("requisition"): x.requisition,
                t("detail"): _told(x.details, labels),
            }
            for x in found.lines
        ],
        hide_index=True,
    )


def _told(details: Mapping[str, Any], labels: dict[str, str]) -> str:
    """What a line of the register says more, in the page's words."""
    known = ("number", "to", "before", "cameras", "keys", "failed", "found", "not_looked_at")
    said = {name: details[name] for name in known if details.get(name)}
    if "before" in said:
        said["before"] = local(datetime.fromisoformat(said["before"]))
    if "keys" in said:
        said["keys"] = [f"{date.fromisoformat(day):%d/%m/%Y}" for day in said["keys"]]
    if "cameras" in said:
        said["cameras"] = [labels.get(name, name) for name in said["cameras"]]
    if "failed" in said:
        said["failed"] = [t(_KEPT[name]) if name in _KEPT else labels.get(name, name) for name in said["failed"]]
    texts = {n: ", ".join(v) if isinstance(v, list) else v for n, v in said.items()}
    return " ; ".join(f"{t('register_of_' + name)} {value}" for name, value in texts.items())


def _period(year: int, month: int) -> Interval:
    """A year of the town's, or one month of it."""
    following = (year, month + 1) if 0 < month < 12 else (year + 1, 1)
    return Interval(datetime(year, month or 1, 1, tzinfo=zone()), datetime(*following, 1, tzinfo=zone()))


def _figures(found: Bilan) -> None:
    delay = found.delay_median_hours
    figures = (
        (t("requests"), str(len(found.lines))),
        (t("hours_asked"), duration(found.camera_hours)),
        (t("hours_seen"), duration(found.seen_hours)),
        (t("delay_median"), "–" if delay is None else duration(delay)),
        (t("searches"), str(found.searches)),
        (t("handovers"), str(found.exports)),
        (t("refusals"), str(found.refusals)),
        (t("proofs"), f"{found.proofs} / {found.proofs + found.proofs_failed}"),
    )
    for row in (figures[:4], figures[4:]):
        for column, (name, value) in zip(st.columns(4), row, strict=True):
            column.metric(name, value)


def _bars(title: str, counts: dict[str, float], shown: Callable[[float], str] = lambda n: f"{n:g}") -> None:
    if counts:
        st.subheader(title)
        st.html(pictures.bars(counts, shown))


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


def short_names() -> tuple[str, ...]:
    """The same, as they stand under a column."""
    french = "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc."
    english = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
    return tuple((english if language() == "en" else french).split())
