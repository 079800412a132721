# SPDX-License-Identifier: AGPL-3.0-or-later
"""A page of the worst errors, for a person to look at: missed, doubled, broken and false passages, one picture each."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from infra.rehearsal.score.attributes import AttributeScore
from infra.rehearsal.score.found import CameraFrames

MOST = 24
"""Pictures of each kind."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One error: what, where, and the boxes to draw (xyxy pixels)."""

    kind: str
    camera: str
    frame: int
    caption: str
    truth: tuple[NDArray[np.float32], ...] = ()
    found: tuple[NDArray[np.float32], ...] = ()


def mistakes(
    camera: CameraFrames, kind: str, rows: Iterable[dict[str, Any]], caption: str = "{kind} {colour} {body}"
) -> list[Mistake]:
    """Errors about true passages: the frame in the middle of each."""
    out = []
    for row in rows:
        frame = (row["entry_frame"] + row["exit_frame"]) // 2
        own = camera.truth_ids[frame] == row["vehicle"]
        out.append(
            Mistake(
                kind=kind,
                camera=camera.name,
                frame=frame,
                caption=f"{caption.format(**row)} · {row['seen_frames']} frames · {row['max_height_px']:.0f} px",
                truth=tuple(camera.truth_boxes[frame][own]),
                found=tuple(camera.found_boxes[frame]),
            )
        )
    return out


def false_ones(camera: CameraFrames, indices: Sequence[int]) -> list[Mistake]:
    """Predicted passages that follow no vehicle."""
    out = []
    for index in indices:
        frames = [f for f, ids in enumerate(camera.found_ids) if index in ids]
        if not frames:
            continue
        frame = frames[len(frames) // 2]
        own = camera.found_ids[frame] == index
        out.append(
            Mistake("false", camera.name, frame, f"{len(frames)} frames", (), tuple(camera.found_boxes[frame][own]))
        )
    return out


def write(
    file: Path,
    town: Path,
    figures: dict[str, Any],
    errors: Sequence[Mistake],
    tables: dict[str, AttributeScore],
    videos: dict[str, Path],
) -> None:
    """Write the page; pictures are inside it."""
    parts = [
        "<!doctype html><meta charset=utf-8><title>Score</title><style>body{font:15px sans-serif;margin:2rem;"
        "max-width:1200px}table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #ccd;padding:.2rem .5rem;"
        "text-align:right}.g{display:grid;grid-template-columns:repeat(auto-fill,minmax(280px,1fr));gap:1rem}"
        "img{width:100%}figure{margin:0}</style>",
        f"<h1>{escape(str(figures.get('town', town.name)))}</h1><table>",
        *(f"<tr><th>{escape(k)}<td>{_number(v)}" for k, v in figures.items()),
        "</table>",
    ]
    for title, table in tables.items():
        parts.append(f"<h2>{escape(title)} ({table.accuracy:.3f})</h2><table><tr><th>")
        parts += [f"<th>{escape(n)}" for n in table.names]
        for name, row in zip(table.names, table.confusion, strict=True):
            if row.sum():
                parts.append(f"<tr><th>{escape(name)}" + "".join(f"<td>{n or ''}" for n in row))
        parts.append("</table>")
    for kind in ("missed", "doubled", "broken", "false"):
        chosen = [e for e in errors if e.kind == kind]
        parts.append(f"<h2>{kind}: {len(chosen)}</h2><div class=g>")
        for error, picture in _pictures(chosen[:MOST], videos):
            parts.append(
                f'<figure><img src="data:image/jpeg;base64,{picture}"><figcaption>{escape(error.camera)} · frame '
                f"{error.frame} · {escape(error.caption)}</figcaption></figure>"
            )
        parts.append("</div>")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(parts), encoding="utf-8")


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else escape(str(value))


def _pictures(errors: Sequence[Mistake], videos: dict[str, Path]) -> Iterable[tuple[Mistake, str]]:
    for error in sorted(errors, key=lambda e: (e.camera, e.frame)):
        frame = _frame(videos[error.camera], error.frame)
        if frame is None:
            continue
        for box in error.found:
            cv2.rectangle(frame, *_corners(box), (0, 160, 255), 2)
        for box in error.truth:
            cv2.rectangle(frame, *_corners(box), (60, 200, 60), 2)
        _, jpeg = cv2.imencode(".jpg", _around(frame, error.truth or error.found), [cv2.IMWRITE_JPEG_QUALITY, 70])
        yield error, base64.b64encode(jpeg.tobytes()).decode()


def _around(frame: NDArray[np.uint8], boxes: Sequence[NDArray[np.float32]]) -> NDArray[np.uint8]:
    """The part of the picture in which the boxes lie, with as much again on all sides; all of it where none do."""
    height, width = frame.shape[:2]
    if boxes:
        left, top = np.min([b[:2] for b in boxes], axis=0)
        right, bottom = np.max([b[2:] for b in boxes], axis=0)
        wide = min(width, max(480, int(3 * (right - left)), int(3 * (bottom - top) * width / height)))
        high = round(wide * height / width)
        x = int(np.clip((left + right - wide) / 2, 0, width - wide))
        y = int(np.clip((top + bottom - high) / 2, 0, max(0, height - high)))
        frame = frame[y : y + high, x : x + wide]
    small = cv2.resize(frame, (640, round(640 * frame.shape[0] / frame.shape[1])), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def _corners(box: NDArray[np.float32]) -> tuple[tuple[int, int], tuple[int, int]]:
    return (int(box[0]), int(box[1])), (int(box[2]), int(box[3]))


def _frame(video: Path, number: int) -> NDArray[np.uint8] | None:
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        fps = float(stream.average_rate or 12)
        base = float(stream.time_base or 1)
        start = stream.start_time or 0
        container.seek(start + int(number / fps / base), stream=stream)
        for frame in container.decode(stream):
            if ((frame.pts or 0) - start) * base >= (number - 0.5) / fps:
                picture: NDArray[np.uint8] = frame.to_ndarray(format="bgr24")
                return picture
    return None
