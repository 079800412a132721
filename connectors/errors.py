# SPDX-License-Identifier: AGPL-3.0-or-later
"""What can go wrong at the edges.

ConnectorError
├── SiteError                the site file is wrong (every fault listed)
├── PartitionError           the map of cameras to partitions cannot be used
├── RecordError              a record cannot be read
│   ├── RecordCorrupt        its checksum or framing is wrong
│   └── RecordTooNew         it was written by a later version
├── CameraError              a camera gives nothing usable
│   ├── CameraUnreachable    no answer, or it stopped answering
│   ├── CameraUnreadable     it answers, and what comes is no video
│   └── CodecUnsupported     video of a codec that is not H.264, H.265 or MJPEG
├── VideoError               packets that do not decode
├── BrokerError              Kafka refuses or is away
│   ├── BrokerUnavailable    worth trying again
│   └── OffsetGone           the broker has erased what was to be read next
├── ArchiveError             the archive cannot keep or give
│   ├── ArchiveFull          no room left on the disk
│   ├── ArchiveCorrupt       a segment is damaged
│   └── ViewGone             a picture of a passage is not held any more
├── StoreError               ClickHouse refuses
│   ├── StoreUnavailable     worth trying again
│   └── StoreRefused         a statement this secret may not run
├── SealError                ciphertext that does not open
│   └── KeyUnavailable       the key is destroyed, out of scope or not to be had now
│       └── GateSilent       the gate does not answer; worth trying again
└── OrderError               an order that may not be followed
    ├── OrderForged          its signature is not the gate's
    └── OrderExpired         its time is over
"""

from __future__ import annotations

from typing import Literal

CameraState = Literal[
    "no answer",
    "silent",
    "login refused",
    "stream ended",
    "no such file",
    "file not allowed",
    "file unreadable",
    "no video",
    "unknown codec",
    "no keyframe",
    "damaged video",
    "time jumps",
    "reading failed",
]
"""What is wrong with a camera in a word or two: operations shows it, the page in the reader's language."""


class ConnectorError(Exception):
    """Root of every error raised in `connectors`."""


class SiteError(ConnectorError):
    """The site file is wrong; `faults` lists every one of them."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("the site file has %d fault(s):\n  - %s" % (len(faults), "\n  - ".join(faults)))
        self.faults = faults


class PartitionError(ConnectorError):
    """The map of cameras to partitions cannot be used."""


class RecordError(ConnectorError):
    """A record cannot be read."""


class RecordCorrupt(RecordError):
    """The record's checksum or framing is wrong."""


class RecordTooNew(RecordError):
    """The record was written by a later version of the software."""


class CameraError(ConnectorError):
    """A camera gives nothing usable; `state` sums up why."""

    state: CameraState = "reading failed"

    def __init__(self, message: str, state: CameraState | None = None) -> None:
        super().__init__(message)
        if state is not None:
            self.state = state


class CameraUnreachable(CameraError):
    """No answer, or the camera stopped answering."""

    state = "no answer"


class CameraUnreadable(CameraError):
    """The camera answers, and what comes is no video."""

    state = "no video"


class CodecUnsupported(CameraError):
    """Video of a codec that is not H.264, H.265 or MJPEG."""

    state = "unknown codec"


class VideoError(ConnectorError):
    """Packets that do not decode."""


class BrokerError(ConnectorError):
    """Kafka refuses or is away."""


class BrokerUnavailable(BrokerError):
    """The broker does not answer; worth trying again."""


class OffsetGone(BrokerError):
    """The broker erased records before they were read: reading goes on at `earliest`."""

    def __init__(self, topic: str, partition: int, asked: int, earliest: int) -> None:
        super().__init__(
            f"records {asked} to {earliest - 1} of {topic}/{partition} were erased before they were read; "
            "give the topic a longer retention (kafka.live_hours) or the reader more processes"
        )
        self.topic, self.partition, self.asked, self.earliest = topic, partition, asked, earliest


class ArchiveError(ConnectorError):
    """The archive cannot keep or give."""


class ArchiveFull(ArchiveError):
    """No room left on the archive's disk."""


class ArchiveCorrupt(ArchiveError):
    """A segment of the archive is damaged."""


class ViewGone(ArchiveError):
    """The archive holds no such picture of a passage: it is past its date, or was erased."""


class StoreError(ConnectorError):
    """ClickHouse refuses."""


class StoreUnavailable(StoreError):
    """The store does not answer; worth trying again."""


class StoreRefused(StoreError):
    """A statement that this secret may not run."""


class SealError(ConnectorError):
    """Ciphertext that does not open."""


class KeyUnavailable(SealError):
    """The key is destroyed, out of scope or not to be had now."""


class GateSilent(KeyUnavailable):
    """The gate does not answer; worth trying again."""


class OrderError(ConnectorError):
    """An order that may not be followed."""


class OrderForged(OrderError):
    """The signature on the order is not the gate's."""


class OrderExpired(OrderError):
    """The order's time is over."""
