# SPDX-License-Identifier: AGPL-3.0-or-later
"""The requisitions: register one, open it, widen it, close it, review it; each for whose duty it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import get_args

import streamlit as st

from dashboards.session import show_fault, t
from dashboards.times import hours, local, parse_interval, parse_local, zone
from gate.client import GateClient, GateError
from gate.messages import Authority, Basis, CameraInfo, RequisitionInfo, Whoami

ARTICLES = ("60-1", "77-1-1", "99-3")
AUTHORITIES = get_args(Authority)
BASES = get_args(Basis)
SCANS = ["pdf", "png", "jpg", "jpeg", "tif", "tiff"]


def page(gate: GateClient, person: Whoami, cameras: Sequence[CameraInfo]) -> None:
    """Draw the page."""
    st.header(t("requisitions"))
    labels = {c.name: c.label for c in cameras}
    if "register" in person.duties:
        with st.expander(t("register_new")):
            _form(gate, labels)
    found = gate.requisitions()
    if not found:
        st.info(t("register_empty"))
    at_work = [r for r in found if r.state in ("draft", "open")]
    ended = [r for r in found if r.state not in ("draft", "open")]
    for requisition in at_work:
        with st.container(border=True):
            _one(gate, person, requisition, labels)
    if ended:
        with st.expander(t("register_ended", n=len(ended)), expanded=not at_work):
            for requisition in ended:
                with st.container(border=True):
                    _one(gate, person, requisition, labels)


def _one(gate: GateClient, person: Whoami, requisition: RequisitionInfo, labels: dict[str, str]) -> None:
    left, right = st.columns([4, 1])
    left.markdown(f"**{requisition.reference}** · {t('state_' + requisition.state)}")
    what = (
        t("basis_" + requisition.basis) if requisition.basis != "requisition" else "",
        f"art. {requisition.article}" if requisition.article else "",
        t("authority_" + requisition.authority) if requisition.authority else "",
        requisition.authority_name,
        requisition.inquiry,
        requisition.offence,
    )
    left.caption(" · ".join(part for part in what if part))
    left.caption(f"{t('purpose')} : {requisition.purpose}")
    left.caption(f"{t('cameras')} : " + ", ".join(labels.get(c, c) for c in requisition.cameras))
    left.caption(f"{t('hours')} : " + hours(requisition.intervals))
    left.caption(f"{t('expiry')} {local(requisition.expires_at)} · {_by(requisition)}")
    _documents(gate, requisition, left)
    if requisition.review_due:
        left.warning(t("review_due"))
    try:
        if requisition.state == "draft" and "open" in person.duties:
            _draft(gate, requisition, right)
        if requisition.state in ("draft", "open") and "close" in person.duties:
            sure = left.checkbox(t(f"close_confirm_{requisition.state}"), key=f"sure-{requisition.id}")
            if right.button(t("close"), key=f"close-{requisition.id}", disabled=not sure, width="stretch"):
                gate.close_requisition(requisition.id)
                st.rerun()
        if requisition.state == "open" and "open" in person.duties:
            with left.expander(t("amend")):
                _amend(gate, requisition, labels)
        if requisition.review_due and "review" in person.duties:
            if right.button(t("review"), key=f"review-{requisition.id}", type="primary", width="stretch"):
                gate.review(requisition.id)
                st.rerun()
    except GateError as fault:
        show_fault(fault)


def _by(requisition: RequisitionInfo) -> str:
    parts = [t("registered_by", name=requisition.registered_by)]
    if requisition.opened_by and requisition.opened_at is not None:
        parts.append(t("opened_by", name=requisition.opened_by, at=local(requisition.opened_at)))
    if requisition.closed_at is not None:
        parts.append(t("closed_at", at=local(requisition.closed_at)))
    return " · ".join(parts)


def _documents(gate: GateClient, requisition: RequisitionInfo, place: st.delta_generator.DeltaGenerator) -> None:
    """Links to the scans; the browser has them from the gate, and saves them."""
    if not requisition.document:
        return
    links = [f"[{t('document_read')}]({gate.document_url(requisition.id)})"]
    for n, sha256 in enumerate(requisition.amending_documents, 1):
        links.append(f"[{t('document_amending', n=n)}]({gate.document_url(requisition.id, sha256)})")
    place.caption(" · ".join(links))


def _draft(gate: GateClient, requisition: RequisitionInfo, right: st.delta_generator.DeltaGenerator) -> None:
    """Opening may need the scanned document: ask for it first."""
    needs = requisition.lacks_document
    if needs:
        document = st.file_uploader(t("document"), type=SCANS, key=f"scan-{requisition.id}")
        if document is not None and st.button(t("attach"), key=f"attach-{requisition.id}"):
            gate.attach(requisition.id, document.getvalue())
            st.rerun()
    if right.button(
        t("open"),
        key=f"open-{requisition.id}",
        type="primary",
        disabled=needs,
        help=t("open_needs") if needs else t("open_help"),
        width="stretch",
    ):
        gate.open(requisition.id)
        st.rerun()


def _amend(gate: GateClient, requisition: RequisitionInfo, labels: dict[str, str]) -> None:
    st.caption(t("amend_help"))
    with st.form(f"amend-{requisition.id}", border=False):
        reference = st.text_input(t("amend_reference"))
        more = [c for c in labels if c not in requisition.cameras]
        chosen = st.multiselect(
            t("more_cameras"), more, format_func=lambda n: labels[n], placeholder=t("choose"), disabled=not more
        )
        a, b = st.columns(2)
        written_from, written_to = a.text_input(t("from"), placeholder=t("no_more_hours")), b.text_input(t("to"))
        until = requisition.expires_at.astimezone(zone()).date()
        expiry = st.date_input(t("later_expiry"), None, until, format="DD/MM/YYYY", help=t("later_expiry_help"))
        document = st.file_uploader(t("document"), type=SCANS)
        if not st.form_submit_button(t("amend")):
            return
    interval = parse_interval(written_from, written_to) if written_from or written_to else None
    if document is None or not reference.strip():
        st.error(t("amend_needs"))
    else:
        gate.amend(
            requisition.id,
            reference=reference,
            document=document.getvalue(),
            cameras=tuple(chosen),
            intervals=() if interval is None else (interval,),
            expires_at=None if expiry is None else _end_of(expiry),
        )
        st.rerun()


def _end_of(day: date) -> datetime:
    """The last minute of a day of the town's."""
    return datetime.combine(day, time(23, 59), zone()).astimezone(UTC)


def _form(gate: GateClient, labels: dict[str, str]) -> None:
    # What is typed stays through every redrawing, until it is saved: keys of its own, and one moment for its defaults.
    begun = st.session_state.setdefault("draft_begun", datetime.now(UTC))

    def key(name: str) -> str:
        return f"draft-{begun.timestamp()}-{name}"

    basis = st.selectbox(t("basis"), BASES, format_func=lambda k: t("basis_" + k), key=key("basis"))
    if basis != "requisition":
        st.caption(t("basis_narrow"))
    with st.form("draft", border=False):
        a, b, c = st.columns(3)
        reference = a.text_input(t("reference"), key=key("reference"))
        article, authority, authorisation = "", None, ""
        if basis == "requisition":
            article = b.selectbox(t("article"), ARTICLES, format_func=lambda k: t("article_" + k), key=key("article"))
            authorisation = c.text_input(
                t("prosecutor_authorisation"), help=t("prosecutor_authorisation_help"), key=key("authorisation")
            )
            authority = a.selectbox(
                t("authority"), AUTHORITIES, format_func=lambda k: t("authority_" + k), key=key("authority")
            )
        authority_name = b.text_input(t("authority_name"), help=t("authority_name_help"), key=key("name"))
        inquiry = c.text_input(t("inquiry"), key=key("inquiry"))
        offence = a.text_input(t("offence"), key=key("offence"))
        purpose = b.text_input(t("purpose"), help=t("purpose_help"), key=key("purpose"))
        written_received = c.text_input(t("received_at"), local(begun), help=t("received_help"), key=key("received"))
        chosen = st.multiselect(
            t("cameras"), list(labels), format_func=lambda n: labels[n], placeholder=t("choose"), key=key("cameras")
        )
        d, e, f = st.columns(3)
        written_from = d.text_input(t("from"), local(begun - timedelta(hours=1)), key=key("from"))
        written_to = e.text_input(t("to"), local(begun), key=key("to"))
        ends = (begun + timedelta(days=30)).astimezone(zone()).date()
        expiry = f.date_input(t("expiry"), ends, format="DD/MM/YYYY", key=key("expiry"))
        document = st.file_uploader(t("document"), type=SCANS, key=key("document"))
        if not st.form_submit_button(t("save_draft"), type="primary"):
            return
    try:
        gate.draft(
            basis=basis,
            reference=reference,
            article=article,
            prosecutor_authorisation=authorisation,
            authority=authority,
            authority_name=authority_name,
            inquiry=inquiry,
            offence=offence,
            purpose=purpose,
            cameras=tuple(chosen),
            intervals=(parse_interval(written_from, written_to),),
            expires_at=_end_of(expiry),
            received_at=parse_local(written_received),
            document=None if document is None else document.getvalue(),
        )
    except GateError as fault:
        show_fault(fault)
        return
    del st.session_state["draft_begun"]
    st.rerun()
