# SPDX-License-Identifier: AGPL-3.0-or-later
"""Hand over: what was chosen while looking becomes one signed package, downloaded from the gate by this browser."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import streamlit as st

from dashboards.session import said, show_fault, t
from dashboards.times import between, hours, inside, local, number, parse_interval
from gate.client import GateClient, GateError, SignedOut
from gate.messages import CameraInfo, ExportStatus, GrantInfo, Interval, PassageInfo, RequisitionInfo

FIELDS = ("handover_why", "handover_whom", "handover_viewing", "handover_mask")
"""One each for every requisition; kept while another tab or page is looked at."""


class Chosen(NamedTuple):
    """One thing to hand over: a stretch of a camera, a passage, or a passage's trace."""

    kind: str
    """`clip`, `passage` or `trace`."""
    camera: str
    interval: Interval
    passage: str = ""
    what: str = ""
    """The vehicle, for a person."""


def chosen(requisition: str) -> list[Chosen]:
    """What was chosen so far under one requisition, in this browser's session."""
    held: dict[str, list[Chosen]] = st.session_state.setdefault("chosen", {})
    return held.setdefault(requisition, [])


def fields() -> list[str]:
    """What has been typed or ticked so far, under any requisition."""
    return [str(name) for name in st.session_state if str(name).startswith(FIELDS)]


def count(requisition: str) -> int:
    """How many things."""
    return len(chosen(requisition))


def add_clip(requisition: str, camera: str, interval: Interval) -> None:
    """Choose a stretch of a camera."""
    _add(requisition, Chosen("clip", camera, interval))


def add_passage(requisition: str, passage: PassageInfo, kind: str = "passage") -> None:
    """Choose a passage, or with `trace` the whole way of its vehicle."""
    what = f"{t('class_' + passage.vehicle_class)} · {t('colour_' + passage.colour)}"
    _add(requisition, Chosen(kind, passage.camera, Interval(passage.started_at, passage.ended_at), passage.id, what))


def _add(requisition: str, one: Chosen) -> None:
    if one not in chosen(requisition):
        chosen(requisition).append(one)
    st.toast(t("joined"))


def draw(gate: GateClient, grant: GrantInfo, requisition: RequisitionInfo, cameras: Sequence[CameraInfo]) -> None:
    """Draw what was chosen, the form, and the packages asked for."""
    st.caption(t("handover_help"))
    labels = {c.name: c.label for c in cameras}
    wanted = chosen(requisition.id)
    _list(wanted, labels)
    _more(grant, requisition, labels)
    _form(gate, grant, requisition, wanted)
    for given, ticket in reversed(_tickets(requisition.id)):
        _package(gate, given, ticket)


def _list(wanted: list[Chosen], labels: dict[str, str]) -> None:
    if not wanted:
        st.info(t("handover_none"))
        return
    for one in list(wanted):
        left, right = st.columns([6, 1])
        left.markdown(
            f"**{t('chosen_' + one.kind)}** · {labels.get(one.camera, one.camera)} · {between(one.interval)}"
            + (f" · {one.what}" if one.what else "")
        )
        key = f"drop-{one.kind}-{one.camera}-{one.passage}-{one.interval.start}-{one.interval.end}"
        right.button(t("drop"), key=key, width="stretch", on_click=wanted.remove, args=(one,))


def _more(grant: GrantInfo, requisition: RequisitionInfo, labels: dict[str, str]) -> None:
    with st.expander(t("add_interval")), st.form("more", border=False, clear_on_submit=False):
        names = st.multiselect(t("cameras"), list(labels), format_func=lambda n: labels[n], placeholder=t("choose"))
        first, second = st.columns(2)
        written_from = first.text_input(t("from"), local(grant.intervals[0].start))
        written_to = second.text_input(t("to"), local(grant.intervals[-1].end))
        if not st.form_submit_button(t("add_interval")):
            return
    try:
        parts = inside(parse_interval(written_from, written_to), grant.intervals)
    except GateError as fault:
        show_fault(fault)
        return
    if not names:
        st.error(t("choose_camera"))
    elif not parts:
        st.error(t("time_outside", hours=hours(grant.intervals)))
    else:
        for name in names:
            for part in parts:
                add_clip(requisition.id, name, part)
        st.rerun()


def _form(gate: GateClient, grant: GrantInfo, requisition: RequisitionInfo, wanted: list[Chosen]) -> None:
    # No form of Streamlit's: it would forget what is typed when one goes back to look at another passage.
    why, whom, copies, masked = (f"{name}-{requisition.id}" for name in FIELDS)
    st.session_state.setdefault(whom, requisition.authority_name)
    with st.container(border=True):
        left, right = st.columns(2)
        purpose = left.text_input(t("purpose_again"), help=t("purpose_again_help"), key=why)
        recipient = right.text_input(t("recipient"), help=t("recipient_help"), key=whom)
        viewing = left.checkbox(t("viewing"), help=t("viewing_help"), key=copies)
        mask = right.checkbox(t("mask"), help=t("mask_help"), key=masked)
        if not st.button(t("prepare"), type="primary", disabled=not wanted):
            return
    traces = [c for c in wanted if c.kind == "trace"]
    if not purpose.strip() or not recipient.strip():
        st.error(t("purpose_missing"))
        return
    if len(traces) > 1:
        st.error(t("one_trace"))
        return
    try:
        asked = gate.ask_export(
            grant.id,
            purpose=purpose,
            recipient=recipient,
            clips=[(c.camera, c.interval) for c in wanted if c.kind == "clip"],
            passages=[c.passage for c in wanted if c.kind == "passage"],
            trace_of=traces[0].passage if traces else "",
            viewing=viewing,
            mask=mask,
        )
    except GateError as fault:
        show_fault(fault)
        return
    _tickets(requisition.id).append((grant.id, asked.id))


def _tickets(requisition: str) -> list[tuple[str, str]]:
    """Packages asked for under one requisition: the grant, which is renewed now and then, and the ticket."""
    held: dict[str, list[tuple[str, str]]] = st.session_state.setdefault("tickets", {})
    return held.setdefault(requisition, [])


def _package(gate: GateClient, grant: str, ticket: str) -> None:
    """One package asked for: its download, how far it has come, and how it is checked."""
    try:
        status = gate.export_status(grant, ticket)
    except SignedOut:
        raise
    except GateError:
        return  # of an earlier session, or forgotten since
    with st.container(border=True):
        if status.state == "done":
            _done(status)
            return
        # Looks again by itself until the package is whole; the page around it stays as it is.
        st.fragment(_progress, run_every=2.0)(gate, grant, ticket)


def _progress(gate: GateClient, grant: str, ticket: str) -> None:
    try:
        status = gate.export_status(grant, ticket)
    except SignedOut:
        st.rerun(scope="app")  # which asks to sign in
    except GateError as fault:
        show_fault(fault)
        return
    if status.state == "done":
        st.rerun(scope="app")
    if status.state == "broken":
        # What the gate refused stays refused: only a line that broke is worth another try.
        st.error(f"{t('export_broken')} {said(status.message) if status.message else t('begin_again')}")
    if status.state == "making":
        share = status.done_s / status.asked_s if status.asked_s else 0.0
        words = t("export_making", files=status.files, size=_megabytes(status.bytes))
        st.progress(min(1.0, share), text=f"{status.file} · {words}")
        return
    st.write(t("export_ready", seconds=round(status.asked_s)))
    # In the same tab: an answer that is saved does not leave the page, and a refusal says how to come back.
    address = escape(gate.export_url(grant, ticket), quote=True)
    st.html(f'<a class="passage-button" href="{address}">{escape(t("download_package"))}</a>')


def _done(status: ExportStatus) -> None:
    st.success(t("export_done", file=status.file, files=status.files, size=_megabytes(status.bytes)))
    st.write(t("fingerprint"))
    st.code(" ".join(status.fingerprint[i : i + 4] for i in range(0, 64, 4)), language=None)
    with st.expander(t("how_to_check"), expanded=True):
        st.markdown(t("how_to_check_text"))
        st.code(f"sh verification/verifier.sh {status.fingerprint}", language=None)


def _megabytes(size: int) -> str:
    return t("megabytes", n=number(size / 1e6))
