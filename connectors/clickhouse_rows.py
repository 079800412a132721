# SPDX-License-Identifier: AGPL-3.0-or-later
"""How messages lie in the store's columns: to Arrow for inserting, from rows for reading.

What is rounded on the way: embeddings to BFloat16 (8 bits of mantissa), boxes of tracks to an eighth of a pixel, their
scores to a thousandth, other fractions to Float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, Final, get_args

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from connectors.errors import StoreError
from reid.passage import COLOURS, Coverage, Embedding, Passage, Side, Sighting, Track, VehicleLink, View

_WHEN: Final = pa.timestamp("us", "UTC")
_FLOATS: Final = pa.list_(pa.float32())
_SUBPIXELS: Final = 8
_SCORES: Final = 1000

PASSAGE_SCHEMA: Final = pa.schema(
    [
        ("scope", pa.string()),
        ("camera", pa.string()),
        ("started_at", _WHEN),
        ("ended_at", _WHEN),
        ("id", pa.string()),
        ("vehicle_class", pa.string()),
        ("class_score", pa.float32()),
        ("colours", _FLOATS),
        ("entry", pa.string()),
        ("exit", pa.string()),
        ("speed_px_s", pa.float32()),
        ("first_box", _FLOATS),
        ("last_box", _FLOATS),
        ("sightings", pa.uint32()),
        ("waited_s", pa.float32()),
        ("truncated", pa.bool_()),
        ("embedding_model", pa.string()),
        ("embedding", _FLOATS),
        ("views", pa.string()),
        ("detector", pa.string()),
    ]
)
_INTS: Final = pa.list_(pa.int32())
TRACK_SCHEMA: Final = pa.schema(
    [
        ("scope", pa.string()),
        ("camera", pa.string()),
        ("started_at", _WHEN),
        ("ended_at", _WHEN),
        ("passage_id", pa.string()),
        ("t_us", pa.list_(pa.int64())),
        ("x1", _INTS),
        ("y1", _INTS),
        ("x2", _INTS),
        ("y2", _INTS),
        ("score", pa.list_(pa.uint16())),
    ]
)
COVERAGE_SCHEMA: Final = pa.schema(
    [
        ("scope", pa.string()),
        ("camera", pa.string()),
        ("started_at", _WHEN),
        ("ended_at", _WHEN),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("frames", pa.uint32()),
        ("frames_decoded", pa.uint32()),
        ("detector", pa.string()),
    ]
)
LINK_SCHEMA: Final = pa.schema(
    [
        ("scope", pa.string()),
        ("passage_id", pa.string()),
        ("vehicle_id", pa.string()),
        ("started_at", _WHEN),
        ("probability", pa.float32()),
        ("model", pa.string()),
        ("decided_at", _WHEN),
    ]
)


class RowRefused(StoreError):
    """A message that cannot lie in the store; says which and why."""


_views_of = msgspec.json.Decoder(list[View])


def passage_columns(passages: Sequence[Passage]) -> pa.Table:
    """Passages as columns. Raises RowRefused for pictures inside, naive times, or a wrong number of colours."""
    for p in passages:
        _check_times("passage", p.id, p.started_at, p.ended_at)
        if len(p.colours) != len(COLOURS):
            raise RowRefused(f"passage {p.id} has {len(p.colours)} colour shares, not {len(COLOURS)}")
        if p.entry not in get_args(Side) or p.exit not in get_args(Side):
            raise RowRefused(f"passage {p.id} enters by {p.entry!r} and leaves by {p.exit!r}, which are no sides")
        if any(v.jpeg for v in p.views):
            raise RowRefused(
                f"passage {p.id} holds pictures: put them into the archive first, the store takes references"
            )
    return _table(
        PASSAGE_SCHEMA,
        {
            "scope": [p.scope for p in passages],
            "camera": [p.camera for p in passages],
            "started_at": [p.started_at for p in passages],
            "ended_at": [p.ended_at for p in passages],
            "id": [p.id for p in passages],
            "vehicle_class": [p.vehicle_class for p in passages],
            "class_score": [p.class_score for p in passages],
            "colours": _lists([p.colours for p in passages]),
            "entry": [p.entry for p in passages],
            "exit": [p.exit for p in passages],
            "speed_px_s": [p.speed_px_s for p in passages],
            "first_box": _lists([p.first_box for p in passages]),
            "last_box": _lists([p.last_box for p in passages]),
            "sightings": [p.sightings for p in passages],
            "waited_s": [p.waited_s for p in passages],
            "truncated": [p.truncated for p in passages],
            "embedding_model": ["" if p.embedding is None else p.embedding.model for p in passages],
            "embedding": _lists([() if p.embedding is None else p.embedding.vector for p in passages]),
            "views": [msgspec.json.encode(p.views).decode() if p.views else "" for p in passages],
            "detector": [p.detector for p in passages],
        },
    )


def track_columns(tracks: Sequence[Track]) -> pa.Table:
    """Tracks as columns. Raises RowRefused for a track without sightings or out of order."""
    for t in tracks:
        if not t.sightings:
            raise RowRefused(f"the track of passage {t.passage_id} has no sighting")
        _check_times("track", t.passage_id, t.sightings[0].at, t.sightings[-1].at)
    # All sightings of all tracks lie flat in one array a column; offsets say where each track begins.
    counts = np.array([len(t.sightings) for t in tracks], dtype=np.int64)
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    flat = [s for t in tracks for s in t.sightings]
    at = pa.array([s.at for s in flat], type=_WHEN).cast(pa.int64()).to_numpy()
    boxes = np.array([s.box for s in flat], dtype=np.float64).reshape(-1, 4)
    boxes = np.rint(boxes * _SUBPIXELS).astype(np.int32)
    scores = np.rint(np.clip([s.score for s in flat], 0.0, 1.0) * _SCORES).astype(np.uint16)
    firsts = at[offsets.to_numpy()[:-1]] if len(tracks) else at

    def lists(values: NDArray[Any]) -> pa.Array:
        return pa.ListArray.from_arrays(offsets, pa.array(values))

    return _table(
        TRACK_SCHEMA,
        {
            "scope": [t.scope for t in tracks],
            "camera": [t.camera for t in tracks],
            "started_at": [t.sightings[0].at for t in tracks],
            "ended_at": [t.sightings[-1].at for t in tracks],
            "passage_id": [t.passage_id for t in tracks],
            "t_us": lists(at - np.repeat(firsts, counts)),
            "x1": lists(boxes[:, 0]),
            "y1": lists(boxes[:, 1]),
            "x2": lists(boxes[:, 2]),
            "y2": lists(boxes[:, 3]),
            "score": lists(scores),
        },
    )


def coverage_columns(coverage: Sequence[Coverage]) -> pa.Table:
    """Coverage as columns."""
    for c in coverage:
        _check_times("coverage", f"{c.camera} {c.started_at}", c.started_at, c.ended_at)
    return _table(COVERAGE_SCHEMA, {n: [getattr(c, n) for c in coverage] for n in COVERAGE_SCHEMA.names})


def link_columns(links: Sequence[VehicleLink]) -> pa.Table:
    """Links as columns."""
    for link in links:
        _check_times("link", link.passage_id, link.started_at, link.started_at)
        _check_times("link", link.passage_id, link.decided_at, link.decided_at)
    return _table(LINK_SCHEMA, {n: [getattr(link, n) for link in links] for n in LINK_SCHEMA.names})


def passage_of(row: dict[str, Any]) -> Passage:
    """A row as a passage; its embedding where the row has one."""
    vector = row.get("vector", ())
    return Passage(
        id=row["id"],
        scope=row["scope"],
        camera=row["camera"],
        started_at=utc(row["started_at"]),
        ended_at=utc(row["ended_at"]),
        vehicle_class=row["vehicle_class"],
        class_score=row["class_score"],
        colours=tuple(row["colours"]),
        entry=row["entry"],
        exit=row["exit"],
        speed_px_s=row["speed_px_s"],
        first_box=_box(row["first_box"]),
        last_box=_box(row["last_box"]),
        sightings=row["sightings"],
        waited_s=row["waited_s"],
        truncated=bool(row["truncated"]),
        embedding=Embedding(row["embedding_model"], tuple(vector)) if len(vector) else None,
        views=tuple(_views_of.decode(row["views"])) if row["views"] else (),
        detector=row["detector"],
    )


def track_of(row: dict[str, Any]) -> Track:
    """A row as a track."""
    start = utc(row["started_at"])
    edges = zip(row["x1"], row["y1"], row["x2"], row["y2"], strict=True)
    return Track(
        passage_id=row["passage_id"],
        scope=row["scope"],
        camera=row["camera"],
        sightings=tuple(
            Sighting(
                start + timedelta(microseconds=int(t)),
                (b[0] / _SUBPIXELS, b[1] / _SUBPIXELS, b[2] / _SUBPIXELS, b[3] / _SUBPIXELS),
                score / _SCORES,
            )
            for t, b, score in zip(row["t_us"], edges, row["score"], strict=True)
        ),
    )


def coverage_of(row: dict[str, Any]) -> Coverage:
    """A row as a stretch of coverage."""
    return Coverage(
        scope=row["scope"],
        camera=row["camera"],
        started_at=utc(row["started_at"]),
        ended_at=utc(row["ended_at"]),
        status=row["status"],
        reason=row["reason"],
        frames=row["frames"],
        frames_decoded=row["frames_decoded"],
        detector=row["detector"],
    )


def utc(at: datetime) -> datetime:
    """The same moment, aware UTC; the store's columns are UTC."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _table(schema: pa.Schema, columns: dict[str, Any]) -> pa.Table:
    try:
        return pa.Table.from_arrays(
            [c if isinstance(c := columns[f.name], pa.Array) else pa.array(c, type=f.type) for f in schema],
            schema=schema,
        )
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as fault:
        raise RowRefused(f"the rows do not fit the store's columns: {fault}") from None


def _lists(rows: Sequence[Sequence[float]]) -> pa.Array:
    """Lists of floats; built flat, which is many times faster than from tuples."""
    offsets = np.zeros(len(rows) + 1, dtype=np.int32)
    np.cumsum([len(r) for r in rows], out=offsets[1:])
    flat = np.fromiter(chain.from_iterable(rows), dtype=np.float32, count=int(offsets[-1]))
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat))


def _box(values: Sequence[float]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = values
    return (x1, y1, x2, y2)


def _check_times(kind: str, name: str, start: datetime, end: datetime) -> None:
    if start.tzinfo is None or end.tzinfo is None:
        raise RowRefused(f"{kind} {name} has a time without time zone; times are aware UTC")
    if end < start:
        raise RowRefused(f"{kind} {name} ends ({end}) before it starts ({start})")
