# SPDX-License-Identifier: AGPL-3.0-or-later
"""The stateless half of indexing: one record of a camera becomes what was seen in it, and pixels end here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from connectors.archive_views import view_reference
from connectors.bounds import Interval
from connectors.broker import back_off
from connectors.decode import frames
from connectors.errors import GateSilent, SealError, VideoError
from connectors.gop import EndOfInterval, Gap, Gop, Seal
from connectors.keys import KeyProvider
from connectors.records import DeadRecord, encode
from connectors.sealing import open_gop, open_view, seal_view
from connectors.site import utc_now
from connectors.topic_source import Arrived
from flows import metrics
from reid.detector import Detector
from reid.finding import Ended, FrameFindings, GopFindings, LookedInVain, Missing, Seen
from reid.look import Frame, look_at
from reid.passage import Passage, View

log = logging.getLogger(__name__)

FLOW = "index"
WARN_EVERY_S = 60.0
"""A camera's GOPs that do not open or decode are told in the log no more often than this."""


@dataclass(slots=True)
class Keys:
    """Data keys, waited for while the gate is silent, because what it will allow cannot be guessed."""

    provider: KeyProvider | None
    stop: Callable[[], bool]
    sleep: Callable[[float], object]

    def data_key(self, seal: Seal, scope: str) -> bytes:
        """The key inside a seal. Raises KeyUnavailable when it is refused, or when the flow stops meanwhile."""
        if self.provider is None:
            raise SealError(f"{seal.key_id} is sealed and this flow was given no way to ask for keys")
        for wait_s in back_off():
            try:
                return self.provider.data_key(seal, scope)
            except GateSilent as fault:
                if self.stop():
                    raise
                log.warning("%s; asking again in %.1f s", fault, wait_s)
                self.sleep(wait_s)
        raise AssertionError("back_off never ends")


@dataclass(slots=True, kw_only=True)
class Looker:
    """Looks at records. `intervals`: of an order, by camera; None in continuous indexing.

    A camera whose video does not open or decode stops no flow, however much of it: each of its GOPs is told as looked
    in vain, and beside it lies the video of others.
    """

    detector: Detector
    keys: Keys
    fps: float | None
    cameras: frozenset[str]
    intervals: Mapping[str, Sequence[Interval]] | None
    topic: str
    now: Callable[[], datetime] = utc_now
    _unreadable: dict[str, tuple[int, datetime]] = field(default_factory=dict, init=False)
    """Camera → how many of its GOPs were not warned about yet, and when it was warned about last."""

    def __call__(self, item: Arrived) -> Iterator[Seen | DeadRecord]:
        """What becomes of one record."""
        record = item.record
        if record.camera not in self.cameras:
            return
        metrics.count("passage_records_total", flow=FLOW, camera=record.camera)
        if isinstance(record, EndOfInterval):
            span = None if self.intervals is None else (record.started_at, record.ended_at)
            # The end of an interval that this order does not ask for is another order's.
            if span is None or Interval(*span) in self._of(record.camera):
                yield Ended(
                    scope=record.scope,
                    camera=record.camera,
                    started_at=record.started_at,
                    ended_at=record.ended_at,
                    interval=span,
                )
        elif isinstance(record, Gap):
            yield from self._missing(record)
        else:
            yield from self._look(item, record)

    def _of(self, camera: str) -> Sequence[Interval]:
        return () if self.intervals is None else self.intervals.get(camera, ())

    def _touched(self, camera: str, start: datetime, end: datetime) -> list[Interval | None]:
        """The intervals that [start, end] reaches into; one None where indexing is continuous."""
        if self.intervals is None:
            return [None]
        return [i for i in self._of(camera) if i.start <= end and start < i.end]

    def _missing(self, gap: Gap) -> Iterator[Seen]:
        for interval in self._touched(gap.camera, gap.started_at, gap.ended_at):
            start = gap.started_at if interval is None else max(gap.started_at, interval.start)
            end = gap.ended_at if interval is None else min(gap.ended_at, interval.end)
            if start < end:
                yield Missing(
                    scope=gap.scope,
                    camera=gap.camera,
                    started_at=start,
                    ended_at=end,
                    interval=_span(interval),
                    reason=gap.reason,
                )

    def _look(self, item: Arrived, gop: Gop) -> Iterator[Seen | DeadRecord]:
        touched = self._touched(gop.camera, gop.first_at, gop.last_at)
        if not touched:
            return
        try:
            data_key = None
            clear = gop
            if gop.seal is not None:
                with metrics.stage(FLOW, "open"):
                    data_key = self.keys.data_key(gop.seal, gop.scope)
                    clear = open_gop(gop, data_key)
        except GateSilent:
            raise
        except SealError as fault:
            for interval in touched:
                yield _in_vain(gop, interval, str(fault))
            yield self._dead(item, gop, fault)
            return
        for interval in touched:
            yield from self._look_inside(item, clear, interval, gop.seal, data_key)

    def _look_inside(
        self, item: Arrived, gop: Gop, interval: Interval | None, seal: Seal | None, data_key: bytes | None
    ) -> Iterator[Seen | DeadRecord]:
        faults: list[VideoError] = []

        def good() -> Iterator[Frame]:
            try:
                yield from frames(gop, fps=self.fps)
            except VideoError as fault:
                faults.append(fault)

        size = (gop.codec.width_px, gop.codec.height_px)
        look = look_at(good(), self.detector, lambda at: interval is None or interval.holds(at))
        for name, seconds in look.seconds.items():
            metrics.count("passage_stage_seconds_total", seconds, flow=FLOW, stage=name)
        metrics.count("passage_frames_total", gop.frames, flow=FLOW, camera=gop.camera)
        metrics.count("passage_bytes_total", len(gop.payload), flow=FLOW, camera=gop.camera)
        if faults:
            if not look.frames:
                yield _in_vain(gop, interval, str(faults[0]))
            yield self._dead(item, gop, faults[0])
        if not look.frames:
            return
        start, end = _inside(gop, interval)
        metrics.count("passage_camera_seconds_total", (end - start).total_seconds(), flow=FLOW, camera=gop.camera)
        metrics.show("passage_lag_seconds", (self.now() - gop.last_at).total_seconds(), flow=FLOW, camera=gop.camera)
        sampled = look.sampled
        if seal is not None and data_key is not None:
            with metrics.stage(FLOW, "seal"):
                sampled = [_sealed(frame, gop, seal, data_key) for frame in sampled]
        yield GopFindings(
            scope=gop.scope,
            camera=gop.camera,
            run=gop.run,
            sequence=gop.sequence,
            first_at=start,
            last_at=end,
            interval=_span(interval),
            width_px=look.width_px or size[0],
            height_px=look.height_px or size[1],
            frames=gop.frames,
            frames_decoded=look.frames,
            sampled=tuple(sampled),
            travel_explained_s=round(look.travel_explained_s, 3),
            travel_unexplained_s=round(look.travel_unexplained_s, 3),
            detector=self.detector.model_id,
        )

    def _dead(self, item: Arrived, gop: Gop, fault: Exception) -> DeadRecord:
        """The record as it came, closed where it came closed, with the reason."""
        metrics.count("passage_dead_records_total", flow=FLOW, error=type(fault).__name__)
        self._warn(gop.camera, fault)
        return DeadRecord(
            topic=self.topic,
            partition=item.partition,
            offset=item.offset,
            key=gop.camera,
            error=type(fault).__name__,
            reason=str(fault),
            data=encode(msgspec.structs.replace(item.record, payload=b"")),
            found_at=self.now(),
        )

    def _warn(self, camera: str, fault: Exception) -> None:
        untold, told_at = self._unreadable.get(camera, (0, None))
        now = self.now()
        if told_at is None or (now - told_at).total_seconds() >= WARN_EVERY_S:
            log.error("camera %s: %d GOPs cannot be looked at, the last because: %s", camera, untold + 1, fault)
            self._unreadable[camera] = (0, now)
        else:
            self._unreadable[camera] = (untold + 1, told_at)


def bind_views(passage: Passage, keys: Keys) -> Passage:
    """Give each view the name under which the archive keeps it, and bind its ciphertext to that name."""
    if not passage.views:
        return passage
    views = []
    for number, view in enumerate(passage.views):
        reference = view_reference(passage.scope, passage.camera, view.at, passage.id, number)
        if not view.sealed:
            views.append(msgspec.structs.replace(view, reference=reference))
            continue
        seal = msgspec.msgpack.decode(view.sealed, type=Seal)
        try:
            data_key = keys.data_key(seal, passage.scope)
            data, own = seal_view(open_view(view.jpeg, seal, data_key, view.reference), seal, data_key, reference)
        except GateSilent:
            raise
        except SealError as fault:
            log.warning("a view of passage %s is left out: %s", passage.id, fault)
            continue
        views.append(msgspec.structs.replace(view, jpeg=data, sealed=msgspec.msgpack.encode(own), reference=reference))
    return msgspec.structs.replace(passage, views=tuple(views))


def _sealed(frame: FrameFindings, gop: Gop, seal: Seal, data_key: bytes) -> FrameFindings:
    """The frame with its crops as ciphertext: what is kept between now and the passage's end lies on disks."""
    if not any(f.view is not None for f in frame.findings):
        return frame
    findings = []
    for number, finding in enumerate(frame.findings):
        view = finding.view
        if view is not None:
            reference = f"{gop.scope}/{gop.camera}/{view.at.isoformat()}/{number}"
            findings.append(msgspec.structs.replace(finding, view=_seal_one(view, seal, data_key, reference)))
        else:
            findings.append(finding)
    return msgspec.structs.replace(frame, findings=tuple(findings))


def _seal_one(view: View, seal: Seal, data_key: bytes, reference: str) -> View:
    data, own = seal_view(view.jpeg, seal, data_key, reference)
    return msgspec.structs.replace(view, jpeg=data, sealed=msgspec.msgpack.encode(own), reference=reference)


def _in_vain(gop: Gop, interval: Interval | None, reason: str) -> LookedInVain:
    start, end = _inside(gop, interval)
    return LookedInVain(
        scope=gop.scope,
        camera=gop.camera,
        run=gop.run,
        sequence=gop.sequence,
        first_at=start,
        last_at=end,
        interval=_span(interval),
        frames=gop.frames,
        reason=reason,
    )


def _inside(gop: Gop, interval: Interval | None) -> tuple[datetime, datetime]:
    if interval is None:
        return gop.first_at, gop.last_at
    return max(gop.first_at, interval.start), min(gop.last_at, interval.end)


def _span(interval: Interval | None) -> tuple[datetime, datetime] | None:
    return None if interval is None else (interval.start, interval.end)
