# SPDX-License-Identifier: AGPL-3.0-or-later
"""GOPs made up for tests: valid records whose payload is no video."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from connectors.gop import CodecParameters, EndOfInterval, Gop, Packet

START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
CODEC = CodecParameters(codec="h264", width_px=64, height_px=48, extradata=b"\x00\x00\x00\x01\x67abc")


def gop(camera: str = "c1", sequence: int = 0, *, size: int = 1000, at: datetime | None = None, run: str = "r") -> Gop:
    """One second of made-up video, ten packets."""
    first = at or START + timedelta(seconds=sequence)
    payload = hashlib.shake_256(f"{camera}/{run}/{sequence}".encode()).digest(size)
    each = [size // 10] * 9
    sizes = [*each, size - sum(each)]
    return Gop(
        camera=camera,
        scope="live",
        run=run,
        sequence=sequence,
        codec=CODEC,
        first_at=first,
        last_at=first + timedelta(milliseconds=900),
        clock="arrival",
        frames=10,
        packets=tuple(Packet(s, n * 100_000, n * 100_000, n == 0) for n, s in enumerate(sizes)),
        sha256=hashlib.sha256(payload).digest(),
        payload=payload,
    )


def end(camera: str = "c1", sequence: int = 99) -> EndOfInterval:
    """The end of a minute."""
    return EndOfInterval(
        camera=camera,
        scope="r-1",
        order="o-1",
        sequence=sequence,
        started_at=START,
        ended_at=START + timedelta(minutes=1),
    )
