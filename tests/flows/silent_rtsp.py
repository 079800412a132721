# SPDX-License-Identifier: AGPL-3.0-or-later
"""An RTSP server whose sessions come up (OPTIONS, DESCRIBE, SETUP, PLAY) and then send nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track\r\n"
)


class SilentServer:
    """Counts the sessions that were played."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.port: int = listener.getsockname()[1]
        self.played = 0

    def serve(self) -> None:
        """Take connections until the listener is closed."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        # A camera's session ends when the reader has given it up.
        with suppress(ConnectionError), connection, connection.makefile("rb") as lines:
            request: list[str] = []
            for line in lines:
                if line.strip():
                    request.append(line.decode().strip())
                    continue
                connection.sendall(self._reply(request).encode())
                request = []

    def _reply(self, request: list[str]) -> str:
        method = request[0].split()[0]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in request[1:])}
        more, body = {"Session": "1"}, ""
        if method == "OPTIONS":
            more = {"Public": "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"}
        elif method == "DESCRIBE":
            more, body = {"Content-Type": "application/sdp", "Content-Length": str(len(SDP))}, SDP
        elif method == "SETUP":
            more["Transport"] = headers["transport"]
        elif method == "PLAY":
            self.played += 1
        lines = ["RTSP/1.0 200 OK", f"CSeq: {headers['cseq']}", *(f"{n}: {v}" for n, v in more.items())]
        return "\r\n".join(lines) + "\r\n\r\n" + body


@contextmanager
def silent_server() -> Iterator[SilentServer]:
    """One that listens meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = SilentServer(listener)
        threading.Thread(target=server.serve, daemon=True).start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
