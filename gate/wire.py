# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the service reads from requests and answers with: JSON as in `messages.py`, errors as `Fault`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.bounds import Interval
from gate.errors import GateError, Invalid
from gate.messages import Fault

T = TypeVar("T")
Answer = Callable[[Request, bytes], Response]
"""A route's own part: the request and its whole body in, the answer out."""
MakeRoute = Callable[[str, str, Answer], Route]
"""Path, method, answer: the service's one way of making a route."""
BODY_LARGEST = 40_000_000
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # "same-site" knows no addresses in numbers: Chromium would show no picture. Requests of other sites' pages are
    # refused by what they say of themselves (`door.py`), and come without the cookie.
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


async def whole_body(request: Request) -> bytes:
    """Everything that was sent; Invalid when it is too much."""
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > BODY_LARGEST:
            raise Invalid(f"more than {BODY_LARGEST // 1_000_000} MB were sent")
    return bytes(data)


def answered(answer: object) -> Response:
    """An answer as JSON."""
    return Response(msgspec.json.encode(answer), media_type="application/json", headers=HEADERS)


def refused(fault: GateError) -> Response:
    """An error as JSON, with its status."""
    faults = fault.faults if isinstance(fault, Invalid) else ()
    body = msgspec.json.encode(Fault(code=fault.code, message=str(fault), faults=faults))
    return Response(body, status_code=fault.status, media_type="application/json", headers=HEADERS)


def drawn(page: str, status: int = 200, forms_to: Iterable[str] = ()) -> Response:
    """A page of the gate's own; `forms_to`: the addresses that its form, and what answers it, may lead to."""
    # A browser holds the redirection that follows a form to the form's own policy.
    allowed = " ".join(sorted(forms_to)) or "'none'"
    policy = f"default-src 'none'; style-src 'unsafe-inline'; form-action {allowed}; frame-ancestors 'none'"
    # Under no-referrer a browser posts the form with `Origin: null`, which is refused.
    headers = {**HEADERS, "Content-Security-Policy": policy, "Referrer-Policy": "same-origin"}
    return Response(page, status, headers, media_type="text/html; charset=utf-8")


def read(body: bytes, kind: type[T]) -> T:
    """What was sent, as a message of that kind; Invalid when it is none."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, ValueError) as fault:
        raise Invalid(f"the request cannot be read: {fault}") from None


def moment(written: str, name: str) -> datetime:
    """A time of the query."""
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        raise Invalid(f"{name} {written[:40]!r}: a time such as 2026-03-01T14:05:00+01:00") from None
    if at.tzinfo is None:
        raise Invalid(f"{name} {written[:40]!r} needs a time zone, such as Z or +01:00")
    return at


def interval_of(query: Any) -> Interval:
    """`start` and `end` of the query."""
    start, end = moment(query.get("start", ""), "start"), moment(query.get("end", ""), "end")
    if end <= start:
        raise Invalid("the interval ends before it starts")
    return Interval(start, end)


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """`[start, end)` of a single-range header; None when it cannot be met."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if found is None or found.groups() == ("", "") or size == 0:
        return None
    first, last = found.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) > 0 else None
    start, end = int(first), int(last) + 1 if last else size
    return (start, min(end, size)) if start < size and start < end else None
