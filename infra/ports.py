# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether a loopback port is free, and who holds it where it is not."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import psutil


def free_port(count: int = 1) -> int:
    """The first of `count` consecutive free loopback ports; for tests and throw-away stacks.

    Below the range that the system takes outgoing connections' own ports from: one of those would take a free port away
    between this question and its use.
    """
    below = _first_ephemeral()
    while True:
        first = random.randrange(10_000, below - count)  # noqa: S311
        if not any(taken(first + n) for n in range(count)):
            return first


def _first_ephemeral() -> int:
    """Where the system's range of ports of its own choice begins (ip(7)); 32768 where it does not say."""
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        first = 32768
    return first if first > 12_000 else 65536  # a range from the bottom leaves no room below it


def taken(port: int) -> bool:
    """Whether a server could not listen on 127.0.0.1:`port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def holder(port: int) -> str:
    """Who listens on `port`, as far as this user may know: `java, process 4711`, or `another program`."""
    try:
        for connection in psutil.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()}, process {connection.pid}"
    except (psutil.Error, OSError):
        pass
    return "another program"


def port_fault(port: int, setting: str) -> str | None:
    """None when free; else one sentence that names the port, its holder and the setting to change."""
    if not taken(port):
        return None
    return f"port {port} on 127.0.0.1 is taken by {holder(port)}: end it, or set another {setting} in the site file"


def answers(port: int, timeout_s: float = 0.5, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections on that port."""
    try:
        with socket.create_connection((host, port), timeout_s):
            return True
    except OSError:
        return False
