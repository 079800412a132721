# SPDX-License-Identifier: AGPL-3.0-or-later
"""Search: describe a vehicle, look at candidates, pick one."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboards import handover, pictures
from dashboards.coverage import statement
from dashboards.session import forget, held, t
from dashboards.texts import SWATCHES
from dashboards.times import hours, inside, local, parse_interval
from gate.client import GateClient
from gate.messages import VEHICLE_CLASSES, CameraInfo, GrantInfo, PassageInfo

PAGE = 24
COLUMNS = 4


def draw(gate: GateClient, grant: GrantInfo, cameras: Sequence[CameraInfo]) -> None:
    """Draw the form and the gallery."""
    st.caption(t("search_help"))
    labels = {c.name: c.label for c in cameras}
    with st.form("search", border=True):
        first, second, third = st.columns([2, 2, 3])
        classes = first.multiselect(
            t("type"), VEHICLE_CLASSES, format_func=lambda c: t("class_" + c), placeholder=t("any")
        )
        colours = second.multiselect(
            t("colour"), list(SWATCHES), format_func=lambda c: t("colour_" + c), placeholder=t("any")
        )
        chosen = third.multiselect(t("cameras"), list(labels), format_func=lambda n: labels[n], placeholder=t("any"))
        fourth, fifth, _ = st.columns([2, 2, 3])
        written_from = fourth.text_input(t("from"), local(grant.intervals[0].start))
        written_to = fifth.text_input(t("to"), local(grant.intervals[-1].end))
        if st.form_submit_button(t("run_search"), type="primary"):
            asked = parse_interval(written_from, written_to)
            whole = (written_from, written_to) == (local(grant.intervals[0].start), local(grant.intervals[-1].end))
            st.session_state["terms"] = (grant.requisition, classes, colours, chosen, None if whole else asked)
            st.session_state["gallery_page"] = 1
            forget("search")
    terms = st.session_state.get("terms")
    if terms is None or terms[0] != grant.requisition:
        return
    _, classes, colours, chosen, asked = terms
    interval = None
    if asked is not None:
        parts = inside(asked, grant.intervals)
        if len(parts) != 1:
            # The gate searches everywhere, or in one interval: what is asked for is never cut down to the first.
            st.error(t("time_several" if parts else "time_outside", hours=hours(grant.intervals)))
            return
        interval = parts[0]
    number = int(st.session_state.get("gallery_page", 1))
    result = held(
        "search",
        (grant.id, terms, number),
        lambda: gate.search(
            grant.id,
            cameras=chosen or None,
            interval=interval,
            classes=classes,
            colours=colours,
            limit=PAGE,
            offset=(number - 1) * PAGE,
        ),
    )
    st.subheader(t("found", n=result.total))
    st.caption(hours(grant.intervals if interval is None else (interval,)))
    st.caption(t("candidates_notice"))
    if not result.passages:
        st.info(t("found_none"))
    for row in range(0, len(result.passages), COLUMNS):
        for column, passage in zip(st.columns(COLUMNS), result.passages[row : row + COLUMNS], strict=False):
            with column:
                _card(gate, grant, passage, labels, bool(colours))
    pages = max(1, -(-result.total // PAGE))
    if pages > 1:
        st.number_input(t("page"), 1, pages, key="gallery_page")
    statement(result.coverage, labels)


def _card(gate: GateClient, grant: GrantInfo, passage: PassageInfo, labels: dict[str, str], by_colour: bool) -> None:
    st.html(
        pictures.card(
            gate.picture_url(grant.id, passage.id, 0),
            f"{t('class_' + passage.vehicle_class)} · {t('colour_' + passage.colour)}",
            [labels.get(passage.camera, passage.camera), local(passage.started_at)],
            SWATCHES[passage.colour],
            passage.colour_match if by_colour else None,
        )
    )
    left, middle, right = st.columns(3, gap="xxsmall")
    # Callbacks, which run before the page is drawn: no click is lost to the next one.
    left.button(
        t("follow_this"),
        key=f"follow-{passage.id}",
        width="stretch",
        help=t("follow_this_help"),
        on_click=_follow,
        args=(grant.requisition, passage),
    )
    middle.button(
        t("watch_this"),
        key=f"watch-{passage.id}",
        width="stretch",
        help=t("watch_this_help"),
        on_click=_watch,
        args=(passage,),
    )
    if "export" in grant.acts:
        right.button(
            t("join_this"),
            key=f"join-{passage.id}",
            width="stretch",
            help=t("join_this_help"),
            on_click=handover.add_passage,
            args=(grant.requisition, passage),
        )


def _follow(requisition: str, passage: PassageInfo) -> None:
    st.session_state["query"], st.session_state["query_of"] = passage.id, requisition
    st.session_state["go_to"] = "follow"


def _watch(passage: PassageInfo) -> None:
    st.session_state["rewind_to"] = (passage.camera, passage.started_at)
    st.session_state["go_to"] = "rewind"
