# SPDX-License-Identifier: AGPL-3.0-or-later
"""Why something could not be looked at, as coverage says it: recognised, so that pages and papers say it in theirs."""

from __future__ import annotations

import re

CLOSED = "recorded, and its seal does not open"
"""The key of its day is lost or destroyed, or the record was changed."""
_KINDS = {
    "closed": re.compile(CLOSED),
    "nothing_was_recorded": re.compile(r"nothing was recorded"),
    "recorded_and_not_indexed": re.compile(r"recorded and not indexed"),
    "missed": re.compile(
        r"vehicles are probably missed: for (?P<missed>\d+) s of the (?P<moved>\d+) s .* "
        r"the detector (?P<model>\S+) saw.*",
        re.DOTALL,
    ),
    "far": re.compile(r"the trace looks (?P<around>\S+) around.*", re.DOTALL),
    "many": re.compile(r"so many passages that the trace looks (?P<around>\S+) around.*", re.DOTALL),
}


def recognised(reason: str) -> tuple[str, dict[str, str]]:
    """Its kind and what it names; no kind for what a camera or a fault said itself."""
    for kind, pattern in _KINDS.items():
        if found := pattern.fullmatch(reason):
            return kind, found.groupdict()
    return "", {}
