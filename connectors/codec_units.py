# SPDX-License-Identifier: AGPL-3.0-or-later
"""Units inside compressed pictures: NAL units, parameter sets, open GOPs, and the hash that survives a remux.

Sources: ITU-T H.264 §7.3.1 and annex B, H.265 §7.3.1 and annex B, ISO/IEC 14496-15 (avcC, hvcC).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from connectors.errors import VideoError
from connectors.gop import Codec, CodecParameters, Packet

H264_PARAMETER_SETS = frozenset({7, 8, 13})
H264_LEFT_OUT = H264_PARAMETER_SETS | {9, 10, 11, 12}
"""Besides parameter sets: delimiters, ends of sequence and filler, which muxers add and drop as they like."""
H264_IDR = 5

HEVC_PARAMETER_SETS = frozenset({32, 33, 34})
HEVC_LEFT_OUT = HEVC_PARAMETER_SETS | {35, 36, 37, 38}
HEVC_RASL = frozenset({8, 9})
"""Leading pictures that refer to pictures before the keyframe (H.265 §3.115)."""

START_CODE = b"\x00\x00\x01"


def framing_of(codec: Codec, extradata: bytes) -> str:
    """`annexb`, `length` or `jpeg`, as the container's extradata tells it."""
    if codec == "mjpeg":
        return "jpeg"
    return "length" if extradata[:1] == b"\x01" else "annexb"


def length_size(codec: Codec, extradata: bytes) -> int:
    """Bytes of the length before each NAL unit in MP4 framing (1 to 4)."""
    at = 4 if codec == "h264" else 21
    if len(extradata) <= at:
        raise VideoError(f"{codec} extradata of {len(extradata)} bytes is too short for MP4 framing")
    return (extradata[at] & 3) + 1


def nal_units(data: bytes | memoryview, framing: str, size: int = 4) -> Iterator[bytes]:
    """The NAL units of one packet, without start codes, lengths and trailing zeros."""
    if framing == "length":
        at, end = 0, len(data)
        while at + size <= end:
            n = int.from_bytes(data[at : at + size], "big")
            at += size
            if n > end - at:
                raise VideoError(f"a NAL unit of {n} bytes is said to lie in the {end - at} bytes left of its packet")
            if n:
                # Some encoders leave a start-coded end of sequence inside a length; a legal unit holds no start code.
                yield from _start_coded_units(START_CODE + bytes(data[at : at + n]))
            at += n
        return
    yield from _start_coded_units(bytes(data))


def _start_coded_units(raw: bytes) -> Iterator[bytes]:
    start = raw.find(START_CODE)
    while start >= 0:
        begin = start + 3
        start = raw.find(START_CODE, begin)
        unit = raw[begin : start if start >= 0 else len(raw)].rstrip(b"\x00")
        if unit:
            yield unit


def unit_type(codec: Codec, unit: bytes) -> int:
    """The NAL unit's type number."""
    return unit[0] & 0x1F if codec == "h264" else (unit[0] >> 1) & 0x3F


def in_band_parameter_sets(codec: Codec, data: bytes, framing: str, size: int = 4) -> bytes:
    """Parameter sets inside a keyframe's packet, as start-coded bytes; empty when it has none."""
    wanted = H264_PARAMETER_SETS if codec == "h264" else HEVC_PARAMETER_SETS
    units = (u for u in nal_units(data, framing, size) if unit_type(codec, u) in wanted)
    return b"".join(b"\x00" + START_CODE + u for u in units)


def start_coded(codec: CodecParameters, picture: bytes | memoryview) -> bytes:
    """A picture with start codes before its NAL units, whatever framing it has."""
    if codec.framing != "length":
        return bytes(picture)
    size = length_size(codec.codec, codec.extradata)
    return b"".join(b"\x00" + START_CODE + unit for unit in nal_units(picture, "length", size))


def header_parameter_sets(codec: CodecParameters) -> bytes:
    """The parameter sets of the container's header, start-coded; empty when it has none."""
    extradata = codec.extradata
    if codec.framing != "length":
        return extradata if codec.framing == "annexb" else b""
    units: list[bytes] = []
    try:
        if codec.codec == "h264":
            at = 6
            for _ in range(extradata[5] & 0x1F):
                at = _counted_unit(extradata, at, units)
            n, at = extradata[at], at + 1
            for _ in range(n):
                at = _counted_unit(extradata, at, units)
        else:
            at = 23
            for _ in range(extradata[22]):
                n, at = int.from_bytes(extradata[at + 1 : at + 3], "big"), at + 3
                for _ in range(n):
                    at = _counted_unit(extradata, at, units)
    except IndexError:
        raise VideoError(f"{codec.codec} extradata of {len(extradata)} bytes is cut short") from None
    return b"".join(b"\x00" + START_CODE + u for u in units)


def _counted_unit(data: bytes, at: int, units: list[bytes]) -> int:
    length = int.from_bytes(data[at : at + 2], "big")
    units.append(data[at + 2 : at + 2 + length])
    return at + 2 + length


def pictures(payload: bytes, packets: Sequence[Packet]) -> Iterator[memoryview]:
    """The packets of a clear payload, one by one. Raises VideoError when the table and the payload disagree."""
    if sum(p.size for p in packets) != len(payload):
        raise VideoError(
            f"the packet table says {sum(p.size for p in packets)} bytes and the payload has {len(payload)}"
        )
    view, at = memoryview(payload), 0
    for packet in packets:
        yield view[at : at + packet.size]
        at += packet.size


def content_hash(codec: CodecParameters, payload: bytes, packets: Sequence[Packet]) -> bytes:
    """SHA-256 over normalised NAL units, equal before and after a remux between start codes and lengths.

    Each unit goes in as its length (four bytes, big-endian) and its bytes. Parameter sets, delimiters and filler
    stay out: containers move them between header and packets. A JPEG picture goes in whole.
    """
    digest = hashlib.sha256()
    size = length_size(codec.codec, codec.extradata) if codec.framing == "length" else 4
    left_out = H264_LEFT_OUT if codec.codec == "h264" else HEVC_LEFT_OUT
    for picture in pictures(payload, packets):
        if codec.framing == "jpeg":
            digest.update(len(picture).to_bytes(4, "big"))
            digest.update(picture)
            continue
        for unit in nal_units(picture, codec.framing, size):
            if unit_type(codec.codec, unit) not in left_out:
                digest.update(len(unit).to_bytes(4, "big"))
                digest.update(unit)
    return digest.digest()


def is_open(codec: CodecParameters, payload: bytes, packets: Sequence[Packet]) -> bool:
    """Whether some pictures of this GOP need the GOP before it to decode."""
    if codec.codec == "mjpeg" or not packets:
        return False
    size = length_size(codec.codec, codec.extradata) if codec.framing == "length" else 4
    leading = [p.pts_us < packets[0].pts_us for p in packets]
    if codec.codec == "h264":
        if not any(leading):
            return False
        first = next(pictures(payload, packets))
        return all(unit_type("h264", u) != H264_IDR for u in nal_units(first, codec.framing, size))
    for early, picture in zip(leading, pictures(payload, packets), strict=True):
        if early and any(unit_type("hevc", u) in HEVC_RASL for u in nal_units(picture, codec.framing, size)):
            return True
    return False
