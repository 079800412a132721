# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a person reads on a page and presses, in Streamlit's own test harness."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from dashboards.texts import text


def said(app: AppTest) -> str:
    kinds = (app.info, app.warning, app.error, app.caption, app.markdown, app.subheader, app.title, app.success)
    return "\n".join(e.value for kind in kinds for e in kind)


def button(app: AppTest, key: str, **values: object):  # type: ignore[no-untyped-def]
    label = text(key, "fr", **values)
    return next(b for b in app.button if b.label == label)
