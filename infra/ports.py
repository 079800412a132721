# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether a loopback port is free, and who holds it where it is not."""

from __future__ import annotations

import socket

import psutil


def free_port(count: int = 1) -> int:
    """The first of `count` consecutive free loopback ports; for tests and throw-away stacks."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first: int = probe.getsockname()[1]
        if first + count < 65536 and all(not taken(first + n) for n in range(count)):
            return first


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
