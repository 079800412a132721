# SPDX-License-Identifier: AGPL-3.0-or-later
"""A real RTSP server of GStreamer's, for `/usr/bin/python3` with Debian's packages (not the virtual environment).

    serve.py PORT [--user NAME --password SECRET] /path=FILE:CODEC …

CODEC: h264, h265 (copied from an MP4 or Matroska file) or mjpeg (from AVI). Prints `ready` once it listens.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PIPELINES = {
    "h264": "qtdemux ! h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96",
    "h265": "qtdemux ! h265parse config-interval=-1 ! rtph265pay name=pay0 pt=96",
    "mjpeg": "avidemux ! jpegparse ! rtpjpegpay name=pay0 pt=26",
}


def main() -> None:
    """Serve until killed."""
    Gst.init(None)
    port, arguments = sys.argv[1], sys.argv[2:]
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    named = {}
    while arguments and arguments[0].startswith("--"):
        named[arguments[0]] = arguments[1]
        arguments = arguments[2:]
    if "--user" in named:
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(named["--user"], named["--password"]), token)
        server.set_auth(auth)
    for argument in arguments:
        path, _, rest = argument.partition("=")
        file, _, codec = rest.rpartition(":")
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(f"( filesrc location={file} ! {PIPELINES[codec]} )")
        factory.set_shared(False)
        if "--user" in named:
            permissions = GstRtspServer.RTSPPermissions()
            permissions.add_permission_for_role("viewer", "media.factory.access", True)
            permissions.add_permission_for_role("viewer", "media.factory.construct", True)
            factory.set_permissions(permissions)
        server.get_mount_points().add_factory(path, factory)
    if server.attach(None) == 0:
        sys.exit(f"port {port} is taken")
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
