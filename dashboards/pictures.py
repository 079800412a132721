# SPDX-License-Identifier: AGPL-3.0-or-later
"""HTML for pictures and video. They come from the gate itself, to the signed-in browser, never through Streamlit."""

from __future__ import annotations

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
a.passage-button {display:inline-block;padding:.5rem 1.2rem;border-radius:8px;background:#1f4e79;color:#fff !important;
  text-decoration:none !important;font-weight:600}
</style>
"""


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
