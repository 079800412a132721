# SPDX-License-Identifier: AGPL-3.0-or-later
"""Asking a process how it is: its port, a page that must answer, its Prometheus metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from infra.ports import answers

Probe = Callable[[], bool]
"""Whether a process does its work; never raises, never takes longer than about a second."""

_TIMEOUT_S = 1.5


def tcp(port: int) -> Probe:
    """Healthy when the port accepts connections."""
    return lambda: answers(port)


def http(url: str) -> Probe:
    """Healthy when the page, on this machine, answers with anything but a server's fault."""

    def ask() -> bool:
        answer = _get(url)
        return answer is not None and answer[0] < 500

    return ask


def _get(url: str) -> tuple[int, bytes] | None:
    """Status and body; None where nobody answers in time. A plain connection: it is asked for many times a minute."""
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname or "127.0.0.1", address.port or 80, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", address.path or "/")
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def always() -> bool:
    """For a process that has no port: it is healthy while it runs."""
    return True


def never() -> bool:
    """For a process that does one thing and ends: it is not there for others before it has finished."""
    return False


Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Metrics:
    """One reading of a process's metrics: (name, sorted labels) → value."""

    samples: Mapping[tuple[str, Labels], float] = field(default_factory=dict)

    def total(self, name: str, **labels: str) -> float:
        """Sum of every sample of that name which carries these labels; 0 where there is none."""
        wanted = set(labels.items())
        return sum(value for (n, own), value in self.samples.items() if n == name and wanted <= set(own))

    def by(self, name: str, label: str) -> dict[str, float]:
        """Sums of one metric by one of its labels."""
        sums: dict[str, float] = {}
        for (n, own), value in self.samples.items():
            if n == name:
                key = dict(own).get(label, "")
                sums[key] = sums.get(key, 0.0) + value
        return sums


def parse_metrics(text: str) -> Metrics:
    """Read Prometheus' text format."""
    return Metrics(
        {
            (sample.name, tuple(sorted(sample.labels.items()))): float(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    )


def read_metrics(port: int) -> Metrics | None:
    """The metrics shown on 127.0.0.1:`port`, or None where nobody answers."""
    answer = _get(f"http://127.0.0.1:{port}/metrics")
    return parse_metrics(answer[1].decode()) if answer is not None and answer[0] == 200 else None
