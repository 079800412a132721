# SPDX-License-Identifier: AGPL-3.0-or-later
"""The ways of the technician: acts under a grant, each of them journalled and permitted anew."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gate import messages as m
from gate.acts import Acts
from gate.door import Door
from gate.wire import HEADERS, MakeRoute, answered, byte_range, interval_of, moment, read


class ActRoutes:
    """Every one ends in `access.authorise`, by way of the grant."""

    def __init__(self, acts: Acts, door: Door) -> None:
        self.acts = acts
        self._door = door

    def routes(self, route: MakeRoute) -> list[Route]:
        """Every way of these."""
        return [
            route("/grants", "POST", self.grant),
            route("/grants/{grant}/search", "POST", self.search),
            route("/grants/{grant}/passages/{passage}", "GET", self.passage),
            route("/grants/{grant}/pictures/{passage}/{number:int}", "GET", self.picture),
            route("/grants/{grant}/still", "GET", self.still),
            route("/grants/{grant}/video", "GET", self.video),
            route("/grants/{grant}/rewind", "GET", self.video),
            route("/grants/{grant}/coverage", "GET", self.coverage),
            route("/grants/{grant}/trace", "POST", self.trace),
            route("/grants/{grant}/decisions", "POST", self.decide),
        ]

    def grant(self, request: Request, body: bytes) -> Response:
        """Give a grant."""
        return answered(self.acts.grant(self._door.live(request), read(body, m.GrantRequest)))

    def search(self, request: Request, body: bytes) -> Response:
        """Passages that fit a description."""
        live = self._door.live(request)
        return answered(self.acts.search(live, request.path_params["grant"], read(body, m.SearchRequest)))

    def passage(self, request: Request, body: bytes) -> Response:
        """One passage."""
        live, path = self._door.live(request), request.path_params
        return answered(self.acts.passage(live, path["grant"], path["passage"]))

    def picture(self, request: Request, body: bytes) -> Response:
        """One of its pictures."""
        live, path = self._door.live(request), request.path_params
        data = self.acts.picture(live, path["grant"], path["passage"], path["number"])
        return Response(data, media_type="image/jpeg", headers=HEADERS)

    def still(self, request: Request, body: bytes) -> Response:
        """One recorded picture."""
        live, query = self._door.live(request), request.query_params
        at = moment(query.get("at", ""), "at")
        captured_at, data = self.acts.still(live, request.path_params["grant"], query.get("camera", ""), at)
        headers = {**HEADERS, "X-Captured-At": captured_at.isoformat()}
        return Response(data, media_type="image/jpeg", headers=headers)

    def video(self, request: Request, body: bytes) -> Response:
        """Recorded video as MP4, whole or in ranges."""
        live, query = self._door.live(request), request.query_params
        act = "rewind" if request.url.path.endswith("/rewind") else "video"
        interval = interval_of(query)
        camera = query.get("camera", "")
        saved = bool(query.get("download"))
        permit, data = self.acts.video(live, request.path_params["grant"], act, camera, interval, saved=saved)
        headers = {**HEADERS, "Accept-Ranges": "bytes"}
        if saved:
            name = f"{camera}-{interval.start:%Y%m%dT%H%M%SZ}.mp4"
            headers["Content-Disposition"] = f'attachment; filename="{name}"'
        start, end, status = 0, len(data), 200
        wanted = request.headers.get("range", "")
        if wanted:
            found = byte_range(wanted, len(data))
            if found is None:
                return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{len(data)}"})
            (start, end), status = found, 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        headers["Content-Length"] = str(end - start)
        stream = self.acts.stream(permit, data, start, end)
        return StreamingResponse(stream, status_code=status, media_type="video/mp4", headers=headers)

    def coverage(self, request: Request, body: bytes) -> Response:
        """What is recorded and indexed."""
        live, query = self._door.live(request), request.query_params
        interval = interval_of(query) if "start" in query else None
        cameras = tuple(query.getlist("camera"))
        return answered(self.acts.coverage(live, request.path_params["grant"], interval, cameras))

    def trace(self, request: Request, body: bytes) -> Response:
        """Follow one vehicle."""
        live = self._door.live(request)
        return answered(self.acts.trace(live, request.path_params["grant"], read(body, m.TraceRequest)))

    def decide(self, request: Request, body: bytes) -> Response:
        """A person's word on a candidate."""
        self.acts.decide(self._door.live(request), request.path_params["grant"], read(body, m.DecisionRequest))
        return answered({})
