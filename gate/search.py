# SPDX-License-Identifier: AGPL-3.0-or-later
"""Search inside a grant, and what a page may know of a passage. Candidates, never identifications."""

from __future__ import annotations

from connectors.store import PassageQuery, PassageRow, StoreReader
from gate.coverage import Recorded, statement
from gate.errors import Invalid, NotFound
from gate.grants import Permit
from gate.messages import PassageInfo, SearchRequest, SearchResult
from reid.passage import COLOURS, VEHICLE_CLASSES

LARGEST_PAGE = 500


def query_of(request: SearchRequest) -> PassageQuery:
    """The store's query; Invalid with every fault when a word is unknown."""
    faults = [f"class {c!r}: one of {', '.join(VEHICLE_CLASSES)}" for c in request.classes if c not in VEHICLE_CLASSES]
    faults += [f"colour {c!r}: one of {', '.join(COLOURS)}" for c in request.colours if c not in COLOURS]
    if not 0.0 < request.colour_share <= 1.0:
        faults.append(f"colour_share {request.colour_share}: above 0, at most 1")
    if not 1 <= request.limit <= LARGEST_PAGE:
        faults.append(f"limit {request.limit}: 1 to {LARGEST_PAGE}")
    if request.offset < 0:
        faults.append(f"offset {request.offset}: 0 or more")
    if faults:
        raise Invalid(*faults)
    return PassageQuery(
        classes=frozenset(request.classes),
        colours=frozenset(request.colours),
        colour_share=request.colour_share,
        limit=request.limit,
        offset=request.offset,
    )


def search(store: StoreReader, recorded: Recorded, permit: Permit, request: SearchRequest) -> SearchResult:
    """The passages inside the permit that the request describes."""
    query = query_of(request)
    rows = store.passages(permit.bounds, query)
    total = len(rows)
    if total == query.limit or query.offset:
        total = store.count(permit.bounds, query)
    return SearchResult(
        passages=tuple(info(row) for row in rows),
        total=total,
        coverage=statement(permit.bounds, recorded, store),
    )


def passage(store: StoreReader, permit: Permit, passage_id: str) -> PassageRow:
    """One passage inside the permit; one of another requisition is as absent as one that never was."""
    row = store.passage(permit.bounds, passage_id)
    if row is None:
        raise NotFound("no such passage in this requisition")
    return row


def info(row: PassageRow) -> PassageInfo:
    """What a page shows of a passage: no embedding, no archive reference."""
    p = row.passage
    return PassageInfo(
        id=p.id,
        camera=p.camera,
        started_at=p.started_at,
        ended_at=p.ended_at,
        vehicle_class=p.vehicle_class,
        colour=p.colour,
        colours={name: round(share, 4) for name, share in zip(COLOURS, p.colours, strict=True)},
        entry=p.entry,
        exit=p.exit,
        views=len(p.views),
        vehicle_id=row.vehicle_id,
        colour_match=row.colour_match,
        first_box=p.first_box,
        last_box=p.last_box,
        waited_s=p.waited_s,
        truncated=p.truncated,
    )
