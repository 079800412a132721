# SPDX-License-Identifier: AGPL-3.0-or-later
"""The requisitions: register one, open it, close it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

import streamlit as st

from dashboards.session import t
from dashboards.times import local, parse_local, zone
from gate.client import GateClient, GateError
from gate.messages import CameraInfo, Interval, RequisitionInfo

ARTICLES = ("60-1", "77-1-1", "99-3")
AUTHORITIES = ("prosecutor", "investigating_judge", "opj", "apj_under_opj")


def page(gate: GateClient, cameras: Sequence[CameraInfo]) -> None:
    """Draw the page."""
    st.header(t("requisitions"))
    labels = {c.name: c.label for c in cameras}
    for requisition in gate.requisitions():
        _one(gate, requisition, labels)
    with st.expander(t("register_new")):
        _form(gate, labels)


def _one(gate: GateClient, requisition: RequisitionInfo, labels: dict[str, str]) -> None:
    with st.container(border=True):
        left, right = st.columns([4, 1])
        left.markdown(f"**{requisition.reference}** · {t('state_' + requisition.state)}")
        left.caption(
            " · ".join(
                part
                for part in (
                    f"art. {requisition.article}" if requisition.article else "",
                    t("authority_" + requisition.authority) if requisition.authority else "",
                    requisition.authority_name,
                    requisition.inquiry,
                    requisition.offence,
                )
                if part
            )
        )
        left.caption(", ".join(labels.get(c, c) for c in requisition.cameras))
        for interval in requisition.intervals:
            left.caption(f"{local(interval.start)} → {local(interval.end)}")
        try:
            if requisition.state == "draft" and right.button(t("open"), key=f"open-{requisition.id}", type="primary"):
                gate.open(requisition.id)
                st.rerun()
            if requisition.state == "open":
                sure = left.checkbox(t("close_confirm"), key=f"sure-{requisition.id}")
                if right.button(t("close"), key=f"close-{requisition.id}", disabled=not sure):
                    gate.close_requisition(requisition.id)
                    st.rerun()
        except GateError as fault:
            st.error(str(fault))


def _form(gate: GateClient, labels: dict[str, str]) -> None:
    now = datetime.now(UTC)
    with st.form("draft", border=False):
        a, b, c = st.columns(3)
        reference = a.text_input(t("reference"))
        article = b.selectbox(t("article"), ARTICLES)
        authorisation = c.text_input(t("prosecutor_authorisation"))
        authority = a.selectbox(t("authority"), AUTHORITIES, format_func=lambda k: t("authority_" + k))
        authority_name = b.text_input(t("authority_name"))
        inquiry = c.text_input(t("inquiry"))
        offence = a.text_input(t("offence"))
        purpose = b.text_input(t("purpose"))
        expiry = c.date_input(t("expiry"), (now + timedelta(days=30)).date())
        chosen = st.multiselect(t("cameras"), list(labels), format_func=lambda n: labels[n])
        d, e = st.columns(2)
        written_from = d.text_input(t("from"), local(now - timedelta(hours=1)))
        written_to = e.text_input(t("to"), local(now))
        document = st.file_uploader(t("document"), type=["pdf", "png", "jpg", "jpeg"])
        if not st.form_submit_button(t("save_draft"), type="primary"):
            return
    begin, finish = parse_local(written_from), parse_local(written_to)
    if begin is None or finish is None or finish <= begin:
        st.error(f"{t('from')} < {t('to')} : {local(now)}")
        return
    try:
        gate.draft(
            reference=reference,
            article=article,
            prosecutor_authorisation=authorisation,
            authority=authority,
            authority_name=authority_name,
            inquiry=inquiry,
            offence=offence,
            purpose=purpose,
            cameras=tuple(chosen),
            intervals=(Interval(begin, finish),),
            expires_at=datetime.combine(expiry, time(23, 59), zone()).astimezone(UTC),
            document=None if document is None else document.getvalue(),
        )
    except GateError as fault:
        st.error(str(fault))
        return
    st.rerun()
