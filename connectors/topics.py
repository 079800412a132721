# SPDX-License-Identifier: AGPL-3.0-or-later
"""Names and settings of the topics. Capture time travels in the record; the broker's time is `LogAppendTime`."""

from __future__ import annotations

from connectors.broker import TopicSettings
from connectors.site import Site
from reid.passage import LIVE

FRAMES_LIVE = "frames.live"
"""GOPs of every camera as captured, keyed by camera, by a persisted map camera → partition."""


def frames(scope: str) -> str:
    """Topic of GOP records: `frames.live`, or one per requisition, deleted at its closure."""
    return FRAMES_LIVE if scope == LIVE else f"frames.replay.{scope}"


def passages(scope: str) -> str:
    """Topic of what indexing found: passages, tracks, coverage."""
    return f"passages.{scope}"


def dead(scope: str) -> str:
    """Topic of records that could not be used, each with its reason."""
    return f"dead.{scope}"


def settings(site: Site, scope: str) -> TopicSettings:
    """How a scope's topics are made: the live ones age, a requisition's stay until its closure deletes them."""
    return TopicSettings(
        partitions=site.kafka.partitions,
        replication=site.kafka.replication,
        retention_hours=site.kafka.live_hours if scope == LIVE else None,
        record_limit_bytes=site.kafka.record_limit_bytes,
    )
