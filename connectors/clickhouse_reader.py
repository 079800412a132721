# SPDX-License-Identifier: AGPL-3.0-or-later
"""The gate's side of the store: every statement carries the bounds, as parameters, in its WHERE.

A passage or a track lies inside when all of it does: its camera is one of the bounds', and from entry to exit it stays
in one interval and after `not_before`. Reads say FINAL, so they are exact whatever the engine has not merged yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from connectors.bounds import Bounds
from connectors.clickhouse_client import StoreConnection
from connectors.clickhouse_rows import coverage_of, passage_of, track_of, utc
from connectors.store import PassageQuery, PassageRow, confused_with
from reid.passage import COLOURS, Coverage, Track

_NARROW: Final = (
    "id, scope, camera, started_at, ended_at, vehicle_class, class_score, colours, entry, exit, speed_px_s, first_box,"
    " last_box, sightings, waited_s, truncated, embedding_model, views, detector"
)
_WHOLE: Final = f"{_NARROW}, arrayMap(x -> toFloat32(x), embedding) AS vector"
_WHEN: Final = "DateTime64(6, 'UTC')"


class ClickHouseReader:
    """Reads as the gate. Empty bounds give nothing without asking.

    Raises StoreUnavailable, StoreRefused, StoreError.
    """

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def passages(self, bounds: Bounds, query: PassageQuery) -> list[PassageRow]:
        """Best colour match first, then by time; without embeddings."""
        if bounds.empty or query.limit <= 0:
            return []
        where, params = _inside(bounds, "whole")
        wanted, match = _wanted(query, params)
        params |= {"limit": query.limit, "offset": query.offset}
        # Narrow columns pick the page; the wide ones are read for its rows alone.
        page = (
            f"SELECT camera, started_at, id FROM passages FINAL WHERE {where}{wanted}"
            f" ORDER BY {match} DESC, started_at, id LIMIT {{limit:UInt32}} OFFSET {{offset:UInt32}}"
        )
        rows = self._rows(
            f"SELECT {_NARROW}, {match} AS match FROM passages FINAL"
            f" WHERE {where} AND (camera, started_at, id) IN ({page}) ORDER BY match DESC, started_at, id",
            params,
        )
        return self._linked(bounds, rows)

    def count(self, bounds: Bounds, query: PassageQuery) -> int:
        """How many passages the query has in all."""
        if bounds.empty:
            return 0
        where, params = _inside(bounds, "whole")
        wanted, _ = _wanted(query, params)
        return int(self._rows(f"SELECT count() AS n FROM passages FINAL WHERE {where}{wanted}", params)[0]["n"])

    def passage(self, bounds: Bounds, passage_id: str) -> PassageRow | None:
        """One passage with its embedding, if it lies inside."""
        if bounds.empty:
            return None
        where, params = _inside(bounds, "whole")
        params["id"] = passage_id
        rows = self._rows(
            f"SELECT {_WHOLE} FROM passages FINAL WHERE {where} AND {_keys(where, 'id = {id:String}')}", params
        )
        found = self._linked(bounds, rows)
        return found[0] if found else None

    def passages_of_vehicle(self, bounds: Bounds, vehicle_id: str) -> list[PassageRow]:
        """Every passage linked to one vehicle, in time order, with embeddings."""
        if bounds.empty or not vehicle_id:
            return []
        where, params = _inside(bounds, "whole")
        params["vehicle"] = vehicle_id
        # Every passage that was ever linked to it; those whose newest link says so are kept below.
        when, _ = _inside(bounds, "entry")
        ever = f"SELECT passage_id FROM vehicle_links WHERE {when} AND vehicle_id = {{vehicle:String}}"
        rows = self._rows(
            f"SELECT {_WHOLE} FROM passages FINAL WHERE {where} AND {_keys(where, f'id IN ({ever})')}"
            " ORDER BY started_at, id",
            params,
        )
        return [row for row in self._linked(bounds, rows) if row.vehicle_id == vehicle_id]

    def candidates(self, bounds: Bounds, vehicle_class: str, limit: int) -> list[PassageRow]:
        """Passages of this class or one it is confused with, in time order, with embeddings."""
        if bounds.empty or limit <= 0:
            return []
        where, params = _inside(bounds, "whole")
        params |= {"classes": sorted(confused_with(vehicle_class)), "limit": limit}
        rows = self._rows(
            f"SELECT {_WHOLE} FROM passages FINAL WHERE {where} AND vehicle_class IN {{classes:Array(String)}}"
            " ORDER BY started_at, id LIMIT {limit:UInt32}",
            params,
        )
        return self._linked(bounds, rows)

    def tracks(self, bounds: Bounds, passage_ids: Sequence[str]) -> list[Track]:
        """Their paths in the picture, in time order."""
        if bounds.empty or not passage_ids:
            return []
        where, params = _inside(bounds, "whole")
        params["ids"] = list(passage_ids)
        rows = self._rows(
            "SELECT scope, camera, started_at, ended_at, passage_id, t_us, x1, y1, x2, y2, score FROM tracks FINAL"
            f" WHERE {where} AND (camera, started_at, passage_id) IN (SELECT camera, started_at, passage_id FROM tracks"
            f" WHERE {where} AND passage_id IN {{ids:Array(String)}}) ORDER BY started_at, passage_id",
            params,
        )
        return [track_of(row) for row in rows]

    def coverage(self, bounds: Bounds) -> list[Coverage]:
        """Coverage rows that touch the bounds, by camera and time."""
        if bounds.empty:
            return []
        where, params = _inside(bounds, "touching")
        rows = self._rows(
            "SELECT scope, camera, started_at, ended_at, status, reason, frames, frames_decoded, detector"
            f" FROM coverage FINAL WHERE {where} ORDER BY camera, started_at",
            params,
        )
        return [coverage_of(row) for row in rows]

    def throughput(self) -> dict[str, float]:
        """`<table>` → rows held, doubles not yet merged included; `newest_passage_age_s` when there is one."""
        counts: dict[str, float] = {}
        for table in ("passages", "tracks", "coverage", "vehicle_links"):
            counts[table] = float(self._rows(f"SELECT count() AS n FROM {table}", {})[0]["n"])
        if counts["passages"]:
            newest = utc(self._rows("SELECT max(ended_at) AS newest FROM passages", {})[0]["newest"])
            counts["newest_passage_age_s"] = (datetime.now(UTC) - newest).total_seconds()
        return counts

    def close(self) -> None:
        """Close the connection of this thread."""
        self._connection.close()

    def _linked(self, bounds: Bounds, rows: list[dict[str, Any]]) -> list[PassageRow]:
        """The rows with the vehicle each was last linked to."""
        if not rows:
            return []
        where, params = _inside(bounds, "entry")
        params["ids"] = [row["id"] for row in rows]
        links = self._rows(
            f"SELECT passage_id, vehicle_id FROM vehicle_links FINAL WHERE {where}"
            " AND passage_id IN {ids:Array(String)}",
            params,
        )
        vehicles = {link["passage_id"]: link["vehicle_id"] for link in links}
        return [
            PassageRow(
                passage=passage_of(row),
                vehicle_id=vehicles.get(row["id"], ""),
                colour_match=float(row.get("match", 1.0)),
            )
            for row in rows
        ]

    def _rows(self, sql: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        return self._connection.run(lambda client: list(client.query(sql, parameters=params).named_results()))


def _keys(where: str, condition: str) -> str:
    """Rows by their keys, which are looked up without FINAL: FINAL then works on those rows, not on all inside."""
    keys = f"SELECT camera, started_at, id FROM passages WHERE {where} AND {condition}"
    return f"(camera, started_at, id) IN ({keys})"


def _inside(bounds: Bounds, how: str) -> tuple[str, dict[str, Any]]:
    """The bounds as a condition: `whole` (entry to exit), `entry` (of a link, which knows no camera), `touching`."""
    params: dict[str, Any] = {
        "scope": bounds.scope,
        "cameras": sorted(bounds.cameras),
        "not_before": bounds.not_before.astimezone(UTC),
    }
    terms = []
    for n, interval in enumerate(bounds.intervals):
        params[f"start{n}"] = interval.start.astimezone(UTC)
        params[f"end{n}"] = interval.end.astimezone(UTC)
        start, end = f"{{start{n}:{_WHEN}}}", f"{{end{n}:{_WHEN}}}"
        terms.append(
            {
                "whole": f"(started_at >= {start} AND started_at < {end} AND ended_at < {end})",
                "entry": f"(started_at >= {start} AND started_at < {end})",
                "touching": f"(started_at < {end} AND ended_at > {start})",
            }[how]
        )
    age = "ended_at >" if how == "touching" else "started_at >="
    condition = f"scope = {{scope:String}} AND {age} {{not_before:{_WHEN}}} AND ({' OR '.join(terms)})"
    if how != "entry":
        condition += " AND camera IN {cameras:Array(String)}"
    return condition, params


def _wanted(query: PassageQuery, params: dict[str, Any]) -> tuple[str, str]:
    """What is asked for besides the bounds, as conditions, and the colour match as an expression."""
    wanted = ""
    match = "1.0"
    if query.classes:
        params["classes"] = sorted(query.classes)
        wanted += " AND vehicle_class IN {classes:Array(String)}"
    if query.colours:
        indices = [n for n, colour in enumerate(COLOURS, 1) if colour in query.colours]
        params |= {f"colour{n}": n for n in indices} | {"share": query.colour_share}
        match = "(" + (" + ".join(f"colours[{{colour{n}:UInt8}}]" for n in indices) or "0.0") + ")"
        wanted += f" AND {match} >= {{share:Float32}}"
    return wanted, match
