# SPDX-License-Identifier: AGPL-3.0-or-later
"""The acts under a grant: each is journalled before it begins and after it ends, and permitted in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Literal, TypeVar

import msgspec

from connectors.bounds import Interval
from connectors.errors import ViewGone
from connectors.gop import Seal
from connectors.sealing import open_view
from gate import coverage, rewind, search, traces
from gate.coverage import Recorded
from gate.database import DecisionRow
from gate.errors import Invalid, KeyDestroyed, NotFound, Refused, SignedOut, Unavailable
from gate.gate import Gate
from gate.grants import Permit
from gate.journal import Because, Journal
from gate.messages import (
    CoverageStatement,
    DecisionRequest,
    GrantInfo,
    GrantRequest,
    PassageInfo,
    SearchRequest,
    SearchResult,
    Trace,
    TraceRequest,
)
from gate.sessions import Live

CHUNK = 256 * 1024
"""Bytes let out between two readings of the rules."""
STILL_AROUND = timedelta(seconds=2)
T = TypeVar("T")


class Acts:
    """What a signed-in technician does with a grant."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def grant(self, live: Live, request: GrantRequest) -> GrantInfo:
        """Give a grant under a requisition."""
        gate = self._gate
        directed_by = gate.grants.directed_by(request)
        because = gate.because(live, requisition=request.requisition, directed_by=directed_by)
        with gate.journal.act("grant", because, _spoken(request)) as outcome:
            info = gate.grants.issue(live, msgspec.structs.replace(request, directed_by=directed_by))
            outcome.note(cameras=list(info.cameras), intervals=_texts(info.intervals))
            return info

    def search(self, live: Live, grant: str, request: SearchRequest) -> SearchResult:
        """Passages inside the grant that fit a description."""
        gate = self._gate
        with gate.journal.act("search", gate.grants.because(live, grant), _spoken(request)) as outcome:
            permit = gate.grants.permit(live, grant, "search", request.cameras, request.interval)
            result = search.search(gate.store, self._recorded(permit), permit, request)
            gate.grants.still(permit)
            outcome.note(total=result.total, ids=[p.id for p in result.passages])
        return self._let_out("search", permit, result)

    def passage(self, live: Live, grant: str, passage_id: str) -> PassageInfo:
        """One passage inside the grant."""
        gate = self._gate
        with gate.journal.act("passage", gate.grants.because(live, grant), {"passage": passage_id[:80]}):
            permit = gate.grants.permit(live, grant, "search")
            info = search.info(search.passage(gate.store, permit, passage_id))
        return self._let_out("passage", permit, info)

    def picture(self, live: Live, grant: str, passage_id: str, number: int) -> bytes:
        """One of a passage's best views, as JPEG."""
        gate = self._gate
        details = {"passage": passage_id[:80], "view": number}
        with gate.journal.act("picture", gate.grants.because(live, grant), details) as outcome:
            permit = gate.grants.permit(live, grant, "picture")
            data = self.view(permit, passage_id, number)
            gate.grants.still(permit)
            outcome.note(bytes=len(data))
        return self._let_out("picture", permit, data)

    def view(self, permit: Permit, passage_id: str, number: int) -> bytes:
        """The view itself, opened in memory, for a permit already given."""
        gate = self._gate
        row = search.passage(gate.store, permit, passage_id)
        if not 0 <= number < len(row.passage.views):
            raise NotFound(f"this passage has {len(row.passage.views)} pictures")
        view = row.passage.views[number]
        if not any(i.holds(view.at) for i in permit.bounds.intervals):
            raise NotFound("this picture lies outside the grant")
        try:
            data = view.jpeg or gate.archive.get_view(view.reference)
        except ViewGone:
            raise NotFound("this picture is no longer held: pictures go up to an hour before their passage") from None
        if not view.sealed:
            return data
        seal = msgspec.msgpack.decode(view.sealed, type=Seal)
        try:
            return open_view(data, seal, gate.keys.data_key(seal, permit.bounds.scope), view.reference)
        except Exception as fault:
            raise KeyDestroyed("this picture does not open: its key is destroyed or it was changed") from fault

    def still(self, live: Live, grant: str, camera: str, at: datetime) -> tuple[datetime, bytes]:
        """The recorded picture nearest to a moment, with its own time."""
        gate = self._gate
        details = {"camera": camera[:80], "at": at.isoformat()}
        with gate.journal.act("still", gate.grants.because(live, grant), details) as outcome:
            permit = gate.grants.permit(live, grant, "picture", [camera], Interval(at, at + timedelta(microseconds=1)))
            # The picture asked for may be a little before or after: the whole grant bounds the search for it.
            wide = gate.grants.around(permit, at, STILL_AROUND)
            moment, data = rewind.still(gate.footage, wide, at)
            gate.grants.still(permit)
            outcome.note(shown=moment.isoformat(), bytes=len(data))
        return self._let_out("still", permit, (moment, data))

    def video(
        self, live: Live, grant: str, act: str, camera: str, interval: Interval, *, saved: bool = False
    ) -> tuple[Permit, bytes]:
        """A clip for the player, whose later ranges are one act with the first; to be `saved`, an act of its own."""
        gate = self._gate
        kind: Literal["rewind", "video"] = "rewind" if act == "rewind" else "video"
        details = _clip(camera, interval)
        because = gate.grants.because(live, grant)
        try:
            permit = gate.grants.permit(live, grant, kind, [camera], interval)
            held = gate.clips.get(permit) if kind == "video" and self._may_be_held(permit) else None
        except Exception:
            permit, held = None, None
        if permit is not None and held is not None and not saved:
            return permit, held
        # Under a name of its own, saving does not count in the yearly report as seen twice.
        with gate.journal.act("save" if saved else kind, because, details) as outcome:
            permit = gate.grants.permit(live, grant, kind, [camera], interval)
            data = rewind.clip(gate.footage, permit, gate.grants.still) if held is None else held
            outcome.note(bytes=len(data))
            if held is None:
                gate.clips.put(permit, data)
        return permit, data

    def stream(self, permit: Permit, data: bytes, start: int, end: int) -> Iterator[bytes]:
        """Bytes `[start, end)` of a clip; stops, without another byte and journalled, once the rules forbid it."""
        gate = self._gate
        pieces = (data[at : min(at + CHUNK, end)] for at in range(start, end, CHUNK))
        with refusals(gate.journal, permit.act, permit.because, _clip(*rewind.one_camera(permit))):
            yield from gate.grants.guarded(permit, pieces)

    def coverage(
        self, live: Live, grant: str, interval: Interval | None, cameras: tuple[str, ...]
    ) -> CoverageStatement:
        """What of the grant, or of a part of it, is recorded and indexed."""
        gate = self._gate
        with gate.journal.act("coverage", gate.grants.because(live, grant)):
            permit = gate.grants.permit(live, grant, "rewind", cameras, interval)
            indexed = gate.store if "search" in permit.grant.acts else None
            statement = coverage.statement(permit.bounds, self._recorded(permit), indexed)
        return self._let_out("coverage", permit, statement)

    def trace(self, live: Live, grant: str, request: TraceRequest) -> Trace:
        """The most probable path of one passage's vehicle inside the grant."""
        gate = self._gate
        with gate.journal.act("trace", gate.grants.because(live, grant), _spoken(request)) as outcome:
            permit = gate.grants.permit(live, grant, "trace")
            decided = {
                **self._decided(permit, request.passage_id),
                **{d.passage_id: d.verdict for d in request.decisions},
            }
            decided = {passage: verdict for passage, verdict in decided.items() if verdict != "none"}
            result = traces.trace(gate.store, gate.site, self._recorded(permit), permit, request.passage_id, decided)
            gate.grants.still(permit)
            outcome.note(steps=[s.passage.id for s in result.steps])
        return self._let_out("trace", permit, result)

    def decide(self, live: Live, grant: str, request: DecisionRequest) -> None:
        """Keep a person's word on one candidate."""
        gate = self._gate
        with gate.journal.act("decide", gate.grants.because(live, grant), _spoken(request)):
            if request.verdict not in ("accepted", "rejected", "none"):
                raise Invalid("verdict: accepted, rejected, or none to take it back")
            permit = gate.grants.permit(live, grant, "trace")
            for identifier in {request.query, request.passage_id}:
                search.passage(gate.store, permit, identifier)
            with gate.database.write() as s:
                s.add(
                    DecisionRow(
                        requisition=permit.grant.basis.id,
                        query=request.query,
                        passage=request.passage_id,
                        verdict=request.verdict,
                        person=live.person.id,
                        at=gate.clock(),
                    )
                )

    def _let_out(self, act: str, permit: Permit, answer: T) -> T:
        """The answer, if the rules still allow it once it is on record: what ended meanwhile lets nothing out."""
        with refusals(self._gate.journal, act, permit.because):
            self._gate.grants.still(permit)
        return answer

    def _may_be_held(self, permit: Permit) -> bool:
        """Whether a clip made minutes ago may be shown: nothing in it is past its date since, or it was secured."""
        _, interval = rewind.one_camera(permit)
        return interval.start >= permit.bounds.not_before or self._gate.footage.secured(permit.bounds.scope) is not None

    def _decided(self, permit: Permit, query: str) -> dict[str, str]:
        with self._gate.database.read() as s:
            rows = (
                s.query(DecisionRow)
                .filter(DecisionRow.requisition == permit.grant.basis.id, DecisionRow.query == query)
                .order_by(DecisionRow.id)
            )
            return {row.passage: row.verdict for row in rows}

    def _recorded(self, permit: Permit) -> Recorded:
        footage = self._gate.footage
        return lambda camera, interval: footage.recorded(permit.bounds, camera, interval)


@contextmanager
def refusals(journal: Journal, act: str, because: Because, details: dict[str, object] | None = None) -> Iterator[None]:
    """Journal what the rules refuse after an act's own entries, or before them; what they allow leaves none."""
    try:
        yield
    except (Refused, SignedOut) as refusal:
        journal.append("refusal", act, because, {**(details or {}), "why": str(refusal)})
        raise


def _clip(camera: str, interval: Interval) -> dict[str, object]:
    """The words of a clip for the journal."""
    return {"camera": camera[:80], "interval": _texts([interval])[0]}


def _spoken(request: msgspec.Struct) -> dict[str, object]:
    """The words of a request for the journal, each kept short."""
    words = msgspec.to_builtins(request)
    if len(msgspec.json.encode(words)) > 20_000:
        raise Unavailable("the request is too long to be journalled: ask for less at once")
    return dict(words)


def _texts(intervals: tuple[Interval, ...] | list[Interval]) -> list[str]:
    return [f"{i.start.isoformat()}/{i.end.isoformat()}" for i in intervals]
