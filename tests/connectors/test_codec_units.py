# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import pytest

from connectors.codec_units import content_hash, header_parameter_sets, is_open, nal_units, start_coded
from connectors.errors import VideoError
from connectors.gop import CodecParameters, Packet

SPS, PPS, IDR, P, AUD, FILLER, END = b"\x67sps", b"\x68pps", b"\x65idr", b"\x41p", b"\x09\xf0", b"\x0c\xff", b"\x0a"
AVCC = b"\x01\x64\x00\x1f\xff\xe1" + b"\x00\x04" + SPS + b"\x01\x00\x04" + PPS
ANNEXB = CodecParameters(codec="h264", width_px=1, height_px=1)
LENGTH = CodecParameters(codec="h264", width_px=1, height_px=1, extradata=AVCC, framing="length")


def coded(*units: bytes, code: bytes = b"\0\0\0\1") -> bytes:
    return b"".join(code + u for u in units)


def counted(*units: bytes) -> bytes:
    return b"".join(len(u).to_bytes(4, "big") + u for u in units)


def hash_of(codec: CodecParameters, *packets: bytes) -> bytes:
    return content_hash(codec, b"".join(packets), [Packet(len(p), 0, 0, False) for p in packets])


def test_units_are_found_in_every_framing() -> None:
    assert list(nal_units(coded(SPS, IDR), "annexb")) == [SPS, IDR]
    assert list(nal_units(coded(SPS, IDR, code=b"\0\0\1"), "annexb")) == [SPS, IDR]
    assert list(nal_units(coded(IDR) + b"\0\0\0", "annexb")) == [IDR]
    assert list(nal_units(counted(SPS, IDR), "length")) == [SPS, IDR]
    assert list(nal_units(b"", "annexb")) == list(nal_units(b"", "length")) == []


def test_the_hash_is_that_of_the_pictures_and_not_of_their_wrapping() -> None:
    plain = hash_of(ANNEXB, coded(IDR), coded(P))
    assert plain == hash_of(LENGTH, counted(IDR), counted(P))
    assert plain == hash_of(ANNEXB, coded(AUD, SPS, PPS, IDR, code=b"\0\0\1"), coded(AUD, P, FILLER))
    assert plain == hash_of(LENGTH, counted(IDR), counted(P + b"\0\0\1" + END))
    assert plain != hash_of(ANNEXB, coded(IDR), coded(P + b"x"))
    assert plain != hash_of(ANNEXB, coded(P), coded(IDR))
    assert plain != hash_of(ANNEXB, coded(IDR))


def test_a_length_that_points_outside_its_packet_is_an_error() -> None:
    with pytest.raises(VideoError, match="said to lie in the 4 bytes left"):
        list(nal_units(b"\x00\x00\x10\x00" + IDR, "length"))
    with pytest.raises(VideoError, match="too short for MP4 framing"):
        hash_of(CodecParameters(codec="h264", width_px=1, height_px=1, extradata=b"\x01", framing="length"), b"")


def test_parameter_sets_come_out_of_an_mp4_header() -> None:
    assert header_parameter_sets(LENGTH) == coded(SPS, PPS)
    cut = CodecParameters(codec="h264", width_px=1, height_px=1, extradata=AVCC[:-8], framing="length")
    with pytest.raises(VideoError, match="cut short"):
        header_parameter_sets(cut)
    assert start_coded(LENGTH, counted(IDR)) == coded(IDR)
    assert start_coded(ANNEXB, coded(IDR)) == coded(IDR)


def open_gop(first: bytes, second: bytes, leading: bool, codec: CodecParameters = ANNEXB) -> bool:
    a, b = coded(first), coded(second)
    packets = [
        Packet(len(a), 40_000 if leading else 0, 0, True),
        Packet(len(b), 0 if leading else 40_000, 40_000, False),
    ]
    return is_open(codec, a + b, packets)


def test_an_h264_gop_is_open_when_pictures_lead_a_keyframe_that_is_no_idr() -> None:
    recovery = b"\x61i"
    assert open_gop(recovery, P, leading=True)
    assert not open_gop(recovery, P, leading=False)
    assert not open_gop(IDR, P, leading=True)


def test_an_hevc_gop_is_open_when_its_leading_pictures_may_be_skipped() -> None:
    hevc = CodecParameters(codec="hevc", width_px=1, height_px=1)
    cra, rasl, radl = b"\x2a\x01k", b"\x10\x01l", b"\x0c\x01l"
    assert open_gop(cra, rasl, leading=True, codec=hevc)
    assert not open_gop(cra, radl, leading=True, codec=hevc)
