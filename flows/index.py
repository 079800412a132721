# SPDX-License-Identifier: AGPL-3.0-or-later
"""Video to passages: continuous, or for one signed order.

frames ─▶ look (decode, motion, detect, describe: one GOP, nothing kept)
       ─▶ follow (tracks, passages, coverage: state of one scope and camera, snapshotted)
       ─▶ bind views to their passage ─▶ passages.<scope>;  what cannot be used ─▶ dead.<scope>
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from connectors import topics
from connectors.broker import Broker, Outgoing, until_available
from connectors.errors import SiteError
from connectors.gop import EndOfInterval
from connectors.kafka import site_broker
from connectors.keys import GateKeys, KeyProvider
from connectors.orders import ReplayOrder
from connectors.partitions import PartitionMap, site_partitions
from connectors.records import DeadRecord, encode, headers
from connectors.site import METRICS, MOST_INDEX_PROCESSES, Site, load_site, utc_now
from connectors.topic_sink import TopicSink
from connectors.topic_source import TopicSource
from flows import metrics
from flows.dead_letters import ensure_topics, read_topic
from flows.drain import Drain
from flows.index_progress import IndexProgress, Told
from flows.intervals import awaited
from flows.looking import FLOW, Keys, Looker, bind_views
from flows.program import arguments, run_program, serve_metrics
from flows.recovery import first_starts, recovery_dir, run_flow
from flows.replay import load_order
from flows.share import Share
from reid.crossings import Crossings, Outcome
from reid.detector import Detector, DetectorSettings, load_detector
from reid.finding import Ended, Seen
from reid.passage import LIVE, Passage
from reid.thresholds import working_confidence
from reid.tracker import CARRY_SHARE

log = logging.getLogger(__name__)

Result = Outcome | EndOfInterval | Told


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow:
    """The stateful step: one camera's `Crossings` take what was seen next."""

    confidence: float
    order: str

    def __call__(self, state: Crossings | None, seen: Seen) -> tuple[Crossings, list[Result]]:
        """State and results."""
        with metrics.stage(FLOW, "track"):
            crossings = state or Crossings(seen.scope, seen.camera, self.confidence)
            results: list[Result] = list(crossings.take(seen))
            if seen.interval is not None:
                start = seen.interval[0].isoformat()
                results.append(Told(f"{seen.camera}@{start}", crossings.covered_s, crossings.passages))
            if isinstance(seen, Ended):
                results.append(
                    EndOfInterval(
                        camera=seen.camera,
                        scope=seen.scope,
                        order=self.order,
                        sequence=0,
                        started_at=seen.started_at,
                        ended_at=seen.ended_at,
                    )
                )
        return crossings, results


@dataclass(frozen=True, slots=True)
class Outgo:
    """Results to messages; progress is told on the way."""

    places: PartitionMap
    keys: Keys
    progress: IndexProgress | None

    def __call__(self, item: tuple[str, Result]) -> Iterator[Outgoing]:
        """One message, or none."""
        _, result = item
        if isinstance(result, Told):
            if self.progress is not None:
                self.progress.tell(result)
            return
        if isinstance(result, Passage):
            metrics.count("passage_passages_total", flow=FLOW, camera=result.camera)
            result = bind_views(result, self.keys)
        yield Outgoing(self.places.of(result.camera), result.camera, encode(result), tuple(headers(result)))


def index_flow(source: TopicSource, looker: Looker, follow: Follow, outgo: Outgo, scope: str, drain: Drain) -> Dataflow:
    """The dataflow."""
    flow = Dataflow("index")
    arrived: Any = read_topic(flow, FLOW, source, scope, drain)
    looked = op.flat_map("look", arrived, looker)
    split = op.branch("seen", looked, lambda item: not isinstance(item, DeadRecord))
    dead = op.map("unusable", split.falses, _as_message)
    op.output("unusable_letters", dead, TopicSink(broker=source.broker, topic=topics.dead(scope), stop=drain))
    keyed = op.key_on("by_camera", split.trues, lambda seen: f"{seen.scope}/{seen.camera}")
    followed = op.stateful_flat_map("follow", keyed, follow)
    messages = op.flat_map("outgo", followed, outgo)
    op.output("passages", messages, TopicSink(broker=source.broker, topic=topics.passages(scope), stop=drain))
    return flow


def _as_message(item: DeadRecord) -> Outgoing:
    return Outgoing(item.partition, item.key, encode(item), tuple(headers(item)))


def site_detector(site: Site, processes: int = 1) -> tuple[Detector, float]:
    """The detector that a site names, for one of so many processes, and the score from which its findings count.

    It is asked for weaker findings too: what is followed already may be carried on by them.
    """
    confidence = working_confidence(site.index.detector, site.index.confidence)
    settings = DetectorSettings(
        model=site.index.detector,
        confidence=confidence * CARRY_SHARE,
        iou=0.6,
        class_agnostic=True,
        input_hw=site.index.input_px,
        sha256=site.index.detector_sha256 or None,
        threads=site.index.inference_threads(processes),
    )
    return load_detector(settings), confidence


def site_keys(site: Site) -> KeyProvider | None:
    """Where the indexer gets data keys; None where the site does not seal. Raises SiteError without its token."""
    if not site.sealing:
        return None
    token = site.secrets_dir / "indexer" / "gate-token"
    try:
        return GateKeys(f"http://127.0.0.1:{site.gate.port}", token.read_text(encoding="utf-8").strip())
    except OSError as fault:
        raise SiteError([f"{token} cannot be read ({fault.strerror}): `passage up` makes it at set-up"]) from None


def index(
    site: Site,
    share: Share,
    drain: Drain,
    *,
    order: ReplayOrder | None = None,
    broker: Broker | None = None,
    keys: KeyProvider | None = None,
    detector: tuple[Detector, float] | None = None,
    from_end: bool = False,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Index until drained, or to the end of an order.

    Args:
        site: the town.
        share: which of its partitions.
        drain: says when to stop.
        order: what a requisition asks for; None indexes continuously the cameras in continuous mode.
        broker: in place of the site's.
        keys: in place of the gate.
        detector: in place of the site's, with the score from which its findings count.
        from_end: continuous only: at its first start of all, begin with what is captured from now on.
        sleep: waits.
    """
    broker = broker or site_broker(site, "indexer")
    scope = LIVE if order is None else order.scope
    cameras = _cameras(site, order)
    places = site_partitions(site, also=() if order is None else order.cameras)
    mine = share.of(places.partitions)
    if order is not None:
        mine = [p for p in mine if any(places.of(c) == p for c in cameras)]
    progress = None if order is None else IndexProgress(site.data / "orders", order.id, share)
    if not mine:
        log.info("share %s has no camera of order %s", share, order.id if order else "")
        return
    if not ensure_topics(broker, site, scope, drain, topics.frames(scope), topics.passages(scope)):
        return
    recovery = recovery_dir(site, FLOW, scope, share)
    starts: Mapping[int, int] | None = {}
    if order is None:
        starts = first_starts(
            recovery,
            share,
            lambda: until_available(lambda: broker.extent(topics.frames(scope)), stop=drain),
            from_end=from_end,
        )
    if starts is None:
        return
    found, confidence = detector or site_detector(site, share.count)
    held = Keys(keys or site_keys(site), drain, sleep)
    looker = Looker(
        detector=found,
        keys=held,
        fps=site.index.fps,
        cameras=cameras,
        intervals=None if order is None else {c: [i for o, i in order.stretches() if o == c] for c in cameras},
        topic=topics.frames(scope),
    )
    source = TopicSource(
        broker=broker,
        topic=topics.frames(scope),
        partitions=mine,
        stop=drain,
        until=None if order is None else awaited(order, places, mine),
        starts=starts,
        # A batch is looked at whole before its results go on and its position counts: few records, for short steps.
        batch=4,
    )
    follow = Follow(confidence=confidence, order="" if order is None else order.id)
    outgo = Outgo(places, held, progress)
    log.info("%s: cameras %s, detector %s", scope, ", ".join(sorted(cameras)), found.model_id)
    run_flow(index_flow(source, looker, follow, outgo, scope, drain), recovery)
    if progress is not None and not drain():
        progress.finish()
    log.info("drained" if drain() else "indexed to its end")


def _cameras(site: Site, order: ReplayOrder | None) -> frozenset[str]:
    if order is not None:
        return frozenset(order.cameras)
    continuous = frozenset(c.name for c in site.cameras if site.mode(c) == "continuous")
    if not continuous:
        raise SiteError(
            ['no camera is in continuous mode: set indexing = "continuous" for those meant, or give an order']
        )
    return continuous


def main() -> int:
    """`python -m flows.index --site site.toml (--live | --order FILE)`."""
    parser = arguments(
        "flows.index",
        "Video to passages.",
        share=True,
        live="cameras in continuous mode, until stopped",
        metrics_port="from the site file, live",
    )
    parser.add_argument(
        "--from",
        dest="begin",
        choices=("now", "earliest"),
        default="now",
        help="live, first start only: with what is captured from now on, or with all that the topic holds",
    )
    given = parser.parse_args()
    drain = Drain()

    def action() -> None:
        site = load_site(given.site)
        share = Share.parse(given.share)
        order = None if given.live else load_order(site, given.order, utc_now())
        shown = given.live and share.index < MOST_INDEX_PROCESSES
        serve_metrics(given, site.metrics_port + METRICS["index"] + share.index if shown else 0)
        index(site, share, drain.on_signals(), order=order, from_end=given.begin == "now")

    return run_program(action)


if __name__ == "__main__":
    sys.exit(main())
