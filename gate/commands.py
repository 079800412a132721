# SPDX-License-Identifier: AGPL-3.0-or-later
"""The gate's part of the command `passage`: signing in, and rewind, search, trace under a requisition.

`people_commands.py`, `requisition_commands.py`, `journal_commands.py` and `retention_commands.py` hold the rest.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from gate.client import GateClient, keep_session, session_file
from gate.command_line import (
    SITE,
    AsJson,
    Directed,
    SiteFile,
    Wanted,
    between,
    client,
    granted,
    length,
    local,
    moment,
    show,
    tabled,
    write_out,
)
from gate.command_line import (
    interval as interval_of,
)
from gate.errors import GateError, Invalid
from gate.journal_commands import journal_app
from gate.messages import CoverageStatement, Decision, Interval, PassageInfo
from gate.people_commands import new_password, people_app, shown_once
from gate.requisition_commands import requisition_app
from gate.retention_commands import retention_app

app = typer.Typer(no_args_is_help=True)
app.add_typer(people_app, name="people")
app.add_typer(requisition_app, name="requisition")
app.add_typer(journal_app, name="journal")
app.add_typer(retention_app, name="retention")


@app.command("sign-in")
def sign_in(
    login: str,
    site: SiteFile = SITE,
    code: Annotated[str, typer.Option(help="Six digits, or a recovery code; asked for when not given.")] = "",
    as_json: AsJson = False,
) -> None:
    """Sign in; the session is kept in a file that only you may read, until it ends or you sign out.

    The password is asked for, or read from PASSAGE_PASSWORD.
    """
    password = os.environ.get("PASSAGE_PASSWORD") or typer.prompt("Password", hide_input=True)
    gate = client(site)
    before, gate.token = gate.token, None
    who = gate.sign_in(login, password, code or typer.prompt("Code"))
    keep_session(gate.token or "")
    if before is not None:
        # Whoever signed in here before is not on duty any more.
        with contextlib.suppress(GateError):
            gate.token = before
            gate.sign_out()
    show(who, as_json, tabled(f"{who.name} ({', '.join(who.roles)})", ["warnings"], [[w] for w in who.warnings]))


@app.command()
def renew(
    login: str,
    site: SiteFile = SITE,
    code: Annotated[str, typer.Option(help="Six digits, or a recovery code; asked for when not given.")] = "",
    authenticator: Annotated[
        bool, typer.Option("--authenticator", help="Another authenticator and other recovery codes too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Choose your own password, which nobody else has seen; your sessions end.

    Passwords are asked for, or read from PASSAGE_PASSWORD and PASSAGE_NEW_PASSWORD.
    """
    password = os.environ.get("PASSAGE_PASSWORD") or typer.prompt("Password now", hide_input=True)
    code = code or typer.prompt("Code")
    new = new_password()
    renewed = client(site).renew(login, password, code, new, new_authenticator=authenticator)
    if as_json:
        show(renewed, True)
        return
    typer.echo(f"the password of {login} is renewed: sign in with the new one")
    if authenticator:
        shown_once(renewed.totp_uri, renewed.recovery_codes)


@app.command("sign-out")
def sign_out(site: SiteFile = SITE, as_json: AsJson = False) -> None:
    """End the session."""
    try:
        client(site).sign_out()
    finally:
        session_file().unlink(missing_ok=True)
    show({"signed_in": False}, as_json, tabled("signed out", [], []))


@app.command()
def whoami(site: SiteFile = SITE, as_json: AsJson = False) -> None:
    """Who is signed in, and what lapses soon."""
    who = client(site).whoami()
    rows = [[w] for w in who.warnings]
    show(who, as_json, tabled(f"{who.name} ({', '.join(who.roles)})", ["warnings"], rows))


@app.command()
def cameras(site: SiteFile = SITE, as_json: AsJson = False) -> None:
    """The town's cameras."""
    found = client(site).cameras()
    rows = [(c.name, c.label, c.place, c.indexing, c.group) for c in found]
    show(found, as_json, tabled("Cameras", ["name", "label", "place", "indexing", "group"], rows))


@app.command()
def rewind(
    camera: str,
    time: Annotated[str, typer.Argument(help="When it begins: 2026-03-20 14:05:30 in the town's time.")],
    span: Annotated[str, typer.Option("--for", help="How long: 20s, 5m.")] = "20s",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The MP4 to write.")] = None,
    wanted: Wanted = "",
    directed_by: Directed = "",
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """Save recorded video of a camera as MP4, exactly as the camera made it. Needs no index."""
    begin = moment(time, site)
    interval = Interval(begin, begin + length(span))
    gate = client(site)
    grant = granted(gate, wanted, ("rewind",), directed_by, (camera,))
    out = out or Path(f"{camera}-{begin:%Y%m%dT%H%M%SZ}.mp4")
    data = gate.rewind(grant.id, camera, interval)
    write_out(data, out)
    statement = gate.coverage(grant.id, (camera,), interval)
    answer = {"file": str(out), "bytes": len(data), "recorded_s": statement.recorded_s, "asked_s": statement.asked_s}
    title = f"{out}: {len(data)} bytes, {statement.recorded_s:.1f} of {statement.asked_s:.1f} s recorded"
    show(answer, as_json, tabled(title, ["missing", "from", "to", "why"], _gaps(statement, site)))


@app.command()
def still(
    camera: str,
    time: Annotated[str, typer.Argument(help="When: 2026-03-20 14:05:30 in the town's time.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The JPEG to write.")] = None,
    wanted: Wanted = "",
    directed_by: Directed = "",
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """Save one recorded picture as JPEG."""
    at = moment(time, site)
    gate = client(site)
    grant = granted(gate, wanted, ("picture",), directed_by, (camera,))
    out = out or Path(f"{camera}-{at:%Y%m%dT%H%M%SZ}.jpg")
    data = gate.still(grant.id, camera, at)
    write_out(data, out)
    show({"file": str(out), "bytes": len(data)}, as_json, tabled(str(out), [], []))


@app.command()
def search(
    colour: Annotated[list[str] | None, typer.Option("--colour", "-c", help="red, white, …; may be repeated.")] = None,
    kind: Annotated[list[str] | None, typer.Option("--class", help="car, van, truck, bus, motorcycle.")] = None,
    camera: Annotated[list[str] | None, typer.Option("--camera", help="Only these cameras.")] = None,
    start: Annotated[str, typer.Option("--from", help="Not before; with --to.")] = "",
    end: Annotated[str, typer.Option("--to", help="Not after.")] = "",
    share: Annotated[float, typer.Option("--share", help="Least share of the colours, 0 to 1.")] = 0.35,
    limit: int = 24,
    page: Annotated[int, typer.Option(help="1 is the first.")] = 1,
    pictures: Annotated[Path | None, typer.Option("--pictures", help="Folder to write the best view of each.")] = None,
    wanted: Wanted = "",
    directed_by: Directed = "",
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """Find passages by colour, class, camera and time. Candidates, never identifications."""
    if page < 1:
        raise Invalid("--page: 1 is the first")
    gate = client(site)
    acts = ("search", "picture") if pictures else ("search",)
    grant = granted(gate, wanted, acts, directed_by)  # type: ignore[arg-type]
    found = gate.search(
        grant.id,
        classes=kind or (),
        colours=colour or (),
        colour_share=share,
        cameras=camera,
        interval=between(start, end, site),
        limit=limit,
        offset=(page - 1) * limit,
    )
    if pictures:
        _write_pictures(gate, grant.id, pictures, {f"{p.id}.jpg": p for p in found.passages})
    rows = [
        (p.id, p.camera, local(p.started_at, site), p.vehicle_class, p.colour, f"{p.colour_match:.2f}", p.vehicle_id)
        for p in found.passages
    ]
    c = found.coverage
    title = f"{found.total} candidates; {c.indexed_s:.0f} of {c.recorded_s:.0f} recorded camera-seconds indexed"
    heads = ["passage", "camera", "time", "class", "colour", "match", "vehicle"]
    show(found, as_json, tabled(title, heads, rows))
    _warn(c, as_json, site)


@app.command()
def trace(
    passage: str,
    accept: Annotated[list[str] | None, typer.Option(help="A passage that is the vehicle; may be repeated.")] = None,
    reject: Annotated[list[str] | None, typer.Option(help="A passage that is not; may be repeated.")] = None,
    undo: Annotated[list[str] | None, typer.Option(help="A passage whose earlier decision is taken back.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep these decisions with the requisition.")] = False,
    pictures: Annotated[Path | None, typer.Option("--pictures", help="Folder to write the best view of each.")] = None,
    wanted: Wanted = "",
    directed_by: Directed = "",
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """Follow one vehicle from camera to camera. Candidates to check, never an identification."""
    decisions = [Decision(passage_id=p, verdict="accepted") for p in accept or ()]
    decisions += [Decision(passage_id=p, verdict="rejected") for p in reject or ()]
    decisions += [Decision(passage_id=p, verdict="none") for p in undo or ()]
    gate = client(site)
    grant = granted(gate, wanted, ("trace", "search", "picture"), directed_by)
    if keep:
        for decision in decisions:
            gate.decide(grant.id, passage, decision)
    found = gate.trace(grant.id, passage, decisions)
    if pictures:
        names = {f"{n:02d}-{s.passage.camera}-{s.passage.id[:8]}.jpg": s.passage for n, s in enumerate(found.steps, 1)}
        _write_pictures(gate, grant.id, pictures, names)
    rows = [
        (
            n,
            s.passage.id,
            s.passage.camera,
            local(s.passage.started_at, site),
            f"{s.probability:.2f}",
            f"{s.look:.2f}",
            "" if s.travel_s is None else f"{timedelta(seconds=round(s.travel_s))}",
            s.rivals,
            s.decision,
        )
        for n, s in enumerate(found.steps, 1)
    ]
    heads = ["", "passage", "camera", "time", "probability", "look", "travel", "rivals", "decision"]
    show(found, as_json, tabled(found.notice, heads, rows))
    _warn(found.coverage, as_json, site)


@app.command()
def export(
    purpose: Annotated[str, typer.Option(help="Typed again for every export.")],
    recipient: Annotated[str, typer.Option("--to-whom", help="Name, rank and service of who receives it.")],
    clip: Annotated[list[str] | None, typer.Option(help="CAMERA=START..END or CAMERA=START+2m; may repeat.")] = None,
    passage: Annotated[list[str] | None, typer.Option(help="A passage; may be repeated.")] = None,
    trace_of: Annotated[str, typer.Option("--trace", help="A passage whose trace is added.")] = "",
    viewing: Annotated[
        bool, typer.Option("--viewing", help="Add a copy of every original with date, time, place in the picture.")
    ] = False,
    mask: Annotated[
        bool, typer.Option("--mask", help="In those copies, make coarse everything but the chosen vehicles.")
    ] = False,
    out: Annotated[Path, typer.Option("--out", "-o", help="The ZIP to write, or a folder for it.")] = Path(),
    wanted: Wanted = "",
    directed_by: Directed = "",
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """Make an exhibit package: originals, pictures, trace, papers, journal extract, signature, two verifiers."""
    clips = []
    for text in clip or ():
        camera, equals, during = text.partition("=")
        if not equals:
            raise Invalid(f"--clip {text!r}: write CAMERA=START..END")
        clips.append((camera, interval_of(during, site)))
    gate = client(site)
    grant = granted(gate, wanted, ("export", "trace", "search"), directed_by)
    path = gate.export(
        grant.id,
        out,
        purpose=purpose,
        recipient=recipient,
        clips=clips,
        passages=passage or (),
        trace_of=trace_of,
        viewing=viewing,
        mask=mask,
    )
    answer = {"file": str(path), "bytes": path.stat().st_size}
    show(answer, as_json, tabled(f"{path}: {answer['bytes']} bytes. Print the slip in it and sign it by hand.", [], []))


@app.command()
def coverage(
    camera: Annotated[list[str] | None, typer.Option("--camera", help="Only these cameras.")] = None,
    start: Annotated[str, typer.Option("--from", help="Not before; with --to.")] = "",
    end: Annotated[str, typer.Option("--to", help="Not after.")] = "",
    wanted: Wanted = "",
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """What of a requisition is recorded and indexed, and what is missing."""
    gate = client(site)
    grant = granted(gate, wanted, ("rewind", "search"))
    found = gate.coverage(grant.id, tuple(camera or ()), between(start, end, site))
    title = f"{found.asked_s:.0f} s asked, {found.recorded_s:.0f} s recorded, {found.indexed_s:.0f} s indexed"
    show(found, as_json, tabled(title, ["camera", "from", "to", "why"], _gaps(found, site)))


@app.command()
def bilan(
    year: int,
    month: Annotated[int, typer.Option(help="Only this month: the list for the prosecutor.")] = 0,
    pdf: Annotated[Path | None, typer.Option(help="Write it as PDF.")] = None,
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """The yearly report: requests by month, offence, authority; hours, delays, refusals, exports. No names."""
    gate = client(site)
    if pdf:
        write_out(gate.bilan_pdf(year, month), pdf)
    found = gate.bilan(year, month)
    rows = [
        *(("month", k, v) for k, v in found.by_month.items()),
        *(("offence", k, v) for k, v in found.by_offence.items()),
        *(("authority", k, v) for k, v in found.by_authority.items()),
        *(("basis", k, v) for k, v in found.by_basis.items()),
        ("hours asked", "", found.camera_hours),
        ("hours seen", "", found.seen_hours),
        ("searches", "", found.searches),
        ("exports", "", found.exports),
        ("refusals", "", found.refusals),
        ("proofs of destruction", "failed" if found.proofs_failed else "", found.proofs),
    ]
    show(found, as_json, tabled(f"{found.site}, {year}: {len(found.lines)} requests", ["", "", "count"], rows))


@app.command("register")
def show_register(
    start: Annotated[str, typer.Option("--from", help="The last month when left out.")] = "",
    end: Annotated[str, typer.Option("--to")] = "",
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """The register of recordings: made, destroyed, handed over, and the proofs. Registrar, auditor, administrator."""
    found = client(site).register(between(start, end, site))
    if as_json:
        show(found, True)
        return
    made = [(r.day, r.camera, r.hours, local(r.started_at, site), local(r.ended_at, site)) for r in found.recordings]
    show(found, False, tabled("Held", ["day", "camera", "hours", "from", "to"], made))
    lines = [
        (local(x.at, site), x.kind, x.requisition, json.dumps(x.details, ensure_ascii=False)[:120]) for x in found.lines
    ]
    show(found, False, tabled("Destroyed, handed over, proved", ["time", "", "requisition", "details"], lines))


@app.command("self-check")
def self_check(site: SiteFile = SITE, as_json: AsJson = False) -> None:
    """Cameras against the norms of 2007, what is absent (faces, plates, live view), what is stored. 1 when not good."""
    found = client(site).self_check()
    if as_json:
        show(found, True)
    else:
        rows = [
            (c.camera, "good" if c.good else "NOT", f"{c.width_px}x{c.height_px}", f"{c.fps:g}", "; ".join(c.faults))
            for c in found.cameras
        ]
        show(found, False, tabled("Cameras", ["camera", "", "pixels", "per second", "what to do"], rows))
        absent = [("good" if line.good else "NOT", line.what, line.evidence) for line in found.absence.lines]
        show(found, False, tabled("Absent", ["", "what", "looked at"], absent))
        kinds = [(k.what, k.where, k.how_long, k.protection) for k in found.stored]
        show(found, False, tabled("Stored", ["what", "where", "how long", "protection"], kinds))
    if not found.absence.good or not all(c.good for c in found.cameras):
        raise typer.Exit(1)


def _write_pictures(gate: GateClient, grant: str, folder: Path, names: Mapping[str, PassageInfo]) -> None:
    """The best view of each passage that has one, under its file name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, passage in names.items():
        if passage.views:
            write_out(gate.picture(grant, passage.id, 0), folder / name)


def _gaps(statement: CoverageStatement, site: Path) -> list[tuple[str, str, str, str]]:
    return [(c.camera, local(c.started_at, site), local(c.ended_at, site), c.reason) for c in statement.lines]


def _warn(statement: CoverageStatement, as_json: bool, site: Path) -> None:
    if statement.lines and not as_json:
        show(statement, False, tabled("Not covered", ["camera", "from", "to", "why"], _gaps(statement, site)))
