# SPDX-License-Identifier: AGPL-3.0-or-later
"""HTML for pictures and video. They come from the gate itself, to the signed-in browser, never through Streamlit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

STYLE = """
<style>
.passage-card {border:1px solid #d5dde5;border-radius:8px;overflow:hidden;background:#fff;margin-bottom:.25rem}
.passage-card img {width:100%;height:150px;object-fit:contain;background:#10161c;display:block}
.passage-card .legend {padding:.35rem .5rem;font-size:.82rem;line-height:1.25}
.passage-card .legend b {font-size:.9rem}
.passage-swatch {display:inline-block;width:.8em;height:.8em;border-radius:50%;border:1px solid #8a939c;
  vertical-align:-.05em;margin-right:.3em}
.passage-video {width:100%;max-height:70vh;background:#10161c;border-radius:8px}
.passage-bar {height:6px;border-radius:3px;background:#e3e9ef;margin-top:.3rem}
.passage-bar div {height:6px;border-radius:3px;background:#1f4e79}
.stButton button, .stDownloadButton button, .stLinkButton a {padding-left:.4rem;padding-right:.4rem}
.stMainBlockContainer {padding-top:3rem;padding-left:3rem;padding-right:3rem}
.passage-bars {display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.35rem .8rem;align-items:center;
  font-size:.9rem;margin-bottom:1rem}
.passage-bars .name {max-width:19rem}
.passage-bars .value {display:flex;align-items:center;gap:.5rem}
.passage-bars .bar {height:1.05rem;border-radius:3px;background:#1f4e79;min-width:2px}
.passage-months {display:grid;grid-template-columns:repeat(12,1fr);gap:.4rem;align-items:end;font-size:.82rem;
  text-align:center;margin-bottom:.4rem}
.passage-months .columns {display:flex;align-items:end;justify-content:center;gap:3px;height:130px}
.passage-months .column {width:38%;display:flex;flex-direction:column;justify-content:end;height:100%}
.passage-months .column div {border-radius:3px 3px 0 0;background:#1f4e79}
.passage-months .column.second div {background:#d08a2e}
.passage-key {font-size:.85rem;color:#5a6772}
.passage-key i {display:inline-block;width:.8em;height:.8em;border-radius:2px;margin:0 .35em 0 1em;background:#1f4e79}
.passage-key i.second {background:#d08a2e}
a.passage-button {display:inline-block;padding:.5rem 1.2rem;border-radius:8px;background:#1f4e79;color:#fff !important;
  text-decoration:none !important;font-weight:600}
</style>
"""

TO_THE_TOP = """<script>document.querySelector('[data-testid="stMain"]')?.scrollTo(0, 0)</script>"""
"""Another tab is looked at from its beginning, wherever the button that opened it stood."""


def card(image_url: str, title: str, lines: list[str], swatch: str = "", share: float | None = None) -> str:
    """One picture with its legend; `share` in 0..1 draws a bar under it."""
    dot = f'<span class="passage-swatch" style="background:{escape(swatch)}"></span>' if swatch else ""
    bar = ""
    if share is not None:
        bar = f'<div class="passage-bar"><div style="width:{max(0.0, min(1.0, share)) * 100:.0f}%"></div></div>'
    body = "<br>".join(escape(line) for line in lines)
    return (
        f'<div class="passage-card"><img src="{escape(image_url, quote=True)}" alt="{escape(title, quote=True)}">'
        f'<div class="legend">{dot}<b>{escape(title)}</b><br>{body}{bar}</div></div>'
    )


def video(url: str) -> str:
    """A player of the browser's own; the gate answers its range requests."""
    return (
        f'<video class="passage-video" src="{escape(url, quote=True)}" controls autoplay muted playsinline '
        'controlslist="nodownload noremoteplayback" disablepictureinpicture></video>'
    )


def bars(counts: Mapping[str, float], shown: Callable[[float], str]) -> str:
    """One bar a line, its whole name before it and its number after it."""
    most = max(counts.values(), default=0) or 1
    lines = [
        f'<div class="name">{escape(name)}</div><div class="value">'
        f'<div class="bar" style="width:{80 * count / most:.0f}%"></div>{escape(shown(count))}</div>'
        for name, count in counts.items()
    ]
    return f'<div class="passage-bars">{"".join(lines)}</div>'


def months(names: Sequence[str], first: tuple[str, Sequence[int]], second: tuple[str, Sequence[int]]) -> str:
    """Twelve months, two counts each, with their key; a month without any has no column."""
    most = max([*first[1], *second[1], 1])

    def column(count: int, kind: str) -> str:
        if not count:
            return f'<div class="column {kind}"></div>'
        return f'<div class="column {kind}">{count}<div style="height:{78 * count / most:.0f}%"></div></div>'

    cells = [
        f'<div><div class="columns">{column(a, "")}{column(b, "second")}</div>{escape(name)}</div>'
        for name, a, b in zip(names, first[1], second[1], strict=True)
    ]
    key = f'<div class="passage-key"><i></i>{escape(first[0])}<i class="second"></i>{escape(second[0])}</div>'
    return f'<div class="passage-months">{"".join(cells)}</div>{key}'
