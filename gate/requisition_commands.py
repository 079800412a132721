# SPDX-License-Identifier: AGPL-3.0-or-later
"""`passage requisition …`: register, open, widen, close; and the other legal bases."""

from __future__ import annotations

import time as clock
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from connectors.site import utc_now
from gate.client import GateClient
from gate.command_line import (
    SITE,
    AsJson,
    SiteFile,
    client,
    ending,
    interval,
    length,
    local,
    moment,
    requisition,
    show,
    tabled,
    write_out,
)
from gate.documents import kind_of
from gate.errors import Conflict, Invalid, NotFound
from gate.messages import RequisitionInfo

requisition_app = typer.Typer(help="Requisitions: register, open, widen, close. Registrar.", no_args_is_help=True)
Document = Annotated[Path | None, typer.Option("--document", help="The scan: PDF, PNG, JPEG or TIFF.")]


@requisition_app.command()
def draft(
    reference: str,
    camera: Annotated[list[str], typer.Option("--camera", help="May be repeated.")],
    during: Annotated[list[str], typer.Option("--during", help="START..END or START+20m; may be repeated.")],
    purpose: Annotated[str, typer.Option(help="What is looked for and why.")],
    article: Annotated[str, typer.Option(help="60-1, 77-1-1 or 99-3.")] = "",
    authorisation: Annotated[str, typer.Option(help="The prosecutor's, under 77-1-1: reference and date.")] = "",
    authority: Annotated[str, typer.Option(help="prosecutor, investigating_judge, opj, apj_under_opj.")] = "",
    authority_name: Annotated[str, typer.Option("--name", help="Name and service of who signs.")] = "",
    inquiry: Annotated[str, typer.Option(help="The procedure's reference.")] = "",
    offence: str = "",
    basis: Annotated[
        str, typer.Option(help="requisition, habilitated_officer, access_request, inspection, maintenance.")
    ] = "requisition",
    expires: Annotated[str, typer.Option(help="Its last day, a time, or a length such as 30d.")] = "30d",
    received: Annotated[str, typer.Option(help="When the paper came: a time; its delay is in the report.")] = "",
    document: Document = None,
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """Register a draft from the paper; every fault is told at once."""
    ends = utc_now() + length(expires) if expires[-1:] in "smhd" else ending(expires, site)
    named: Any = {"authority": authority or None, "basis": basis}
    made = client(site).draft(
        reference=reference,
        cameras=camera,
        intervals=[interval(d, site) for d in during],
        purpose=purpose,
        expires_at=ends,
        article=article,
        prosecutor_authorisation=authorisation,
        authority_name=authority_name,
        inquiry=inquiry,
        offence=offence,
        received_at=moment(received, site) if received else None,
        document=_read(document),
        **named,
    )
    show(made, as_json, _table([made], site))


@requisition_app.command()
def attach(wanted: str, document: Path, site: SiteFile = SITE, as_json: AsJson = False) -> None:
    """Attach the scanned document to a draft."""
    gate = client(site)
    made = gate.attach(requisition(gate, wanted).id, _read(document) or b"")
    show(made, as_json, _table([made], site))


@requisition_app.command("open")
def open_it(
    wanted: Annotated[str, typer.Argument(help="Id or reference; without, the only draft.")] = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Return when its index is done, where its basis has one.")
    ] = False,
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """Put a draft in force: evidence is secured, its cameras and hours are replayed and indexed."""
    gate = client(site)
    made = gate.open(requisition(gate, wanted, state="draft").id)
    if wait and "search" in made.acts:
        _wait_for_index(gate, made)
    _show_in_force(made, as_json, site)


@requisition_app.command()
def amend(
    wanted: str,
    reference: Annotated[str, typer.Option(help="Of the amending document.")],
    document: Annotated[Path, typer.Option(help="The scan: PDF, PNG, JPEG or TIFF.")],
    camera: Annotated[list[str] | None, typer.Option("--camera", help="Cameras it adds.")] = None,
    during: Annotated[list[str] | None, typer.Option("--during", help="Intervals it adds.")] = None,
    expires: Annotated[str, typer.Option(help="A later end: its last day, or a time.")] = "",
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """Widen an open requisition; only a document does."""
    gate = client(site)
    made = gate.amend(
        requisition(gate, wanted).id,
        reference=reference,
        document=_read(document) or b"",
        cameras=camera or (),
        intervals=[interval(d, site) for d in during or ()],
        expires_at=ending(expires, site) if expires else None,
    )
    _show_in_force(made, as_json, site)


@requisition_app.command()
def close(
    wanted: Annotated[str, typer.Argument(help="Its id or its reference, always: nothing of it comes back.")],
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """End a requisition: grants end now, its copies and its index are erased for ever."""
    if not wanted.strip():
        raise Invalid("name the requisition by its id or its reference: what was secured for it is destroyed for ever")
    gate = client(site)
    made = gate.close_requisition(requisition(gate, wanted).id)
    show(made, as_json, _table([made], site))


@requisition_app.command("list")
def list_all(
    state: Annotated[str, typer.Option(help="Only draft, open, closed or expired.")] = "",
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """The register, newest first."""
    found = [r for r in client(site).requisitions() if not state or r.state == state]
    show(found, as_json, _table(found, site))


@requisition_app.command("show")
def show_one(wanted: str, site: SiteFile = SITE, as_json: AsJson = False) -> None:
    """One requisition in full."""
    found = requisition(client(site), wanted)
    rows = [
        ("reference", found.reference),
        ("state", found.state + (" (waits for the auditor's review)" if found.review_due else "")),
        ("basis", f"{found.basis} {found.article}".strip()),
        ("authority", f"{found.authority or ''} {found.authority_name}".strip()),
        ("prosecutor's authorisation", found.prosecutor_authorisation),
        ("inquiry", found.inquiry),
        ("offence", found.offence),
        ("purpose", found.purpose),
        ("cameras", ", ".join(found.cameras)),
        *(("interval", f"{local(i.start, site)} → {local(i.end, site)}") for i in found.intervals),
        ("expires", local(found.expires_at, site)),
        ("received", local(found.received_at, site)),
        ("registered by", found.registered_by),
        ("opened by", f"{found.opened_by} {local(found.opened_at, site)}".strip()),
        ("document SHA-256", found.document),
        *(("widened by SHA-256", sha256) for sha256 in found.amending_documents),
        ("id", found.id),
    ]
    show(found, as_json, tabled("", ["", ""], [r for r in rows if r[1]]))


@requisition_app.command()
def document(
    wanted: Annotated[str, typer.Argument(help="Id or reference; without, the only open one.")] = "",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write to.")] = None,
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """Save the scanned document, and those that widened it, as they were handed in; their SHA-256 is checked."""
    gate = client(site)
    found = requisition(gate, wanted)
    scans = [s for s in (found.document, *found.amending_documents) if s]
    if not scans:
        raise NotFound(f"no document is attached to {found.reference}")
    folder = out or Path()
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for sha256 in scans:
        data = gate.document(found.id, sha256)
        _, ending = kind_of(data) or ("", "bin")
        path = folder / f"{found.id}-{sha256[:12]}.{ending}"
        write_out(data, path)
        written.append({"file": str(path), "sha256": sha256})
    show(written, as_json, tabled("", ["file", "SHA-256"], [(w["file"], w["sha256"]) for w in written]))


@requisition_app.command()
def progress(
    wanted: Annotated[str, typer.Argument(help="Id or reference; without, the only open one.")] = "",
    site: SiteFile = SITE,
    as_json: AsJson = False,
) -> None:
    """How far securing, replay and indexing have come."""
    gate = client(site)
    seen = gate.progress(requisition(gate, wanted).id)
    done = f"{timedelta(seconds=round(seen.seconds_done))} of {timedelta(seconds=round(seen.seconds_asked))}"
    rows = [(seen.state, done, seen.passages, seen.message)]
    show(seen, as_json, tabled("Indexing", ["state", "camera time", "passages", ""], rows))


@requisition_app.command()
def review(wanted: str, site: SiteFile = SITE, as_json: AsJson = False) -> None:
    """Say that one opened or widened by one person alone has been looked at. Auditor."""
    gate = client(site)
    made = gate.review(requisition(gate, wanted).id)
    show(made, as_json, _table([made], site))


def _read(document: Path | None) -> bytes | None:
    if document is None:
        return None
    try:
        return document.read_bytes()
    except OSError as fault:
        raise Invalid(f"{document} cannot be read: {fault.strerror}") from None


def _wait_for_index(gate: GateClient, opened: RequisitionInfo) -> None:
    """Until it is done, saying what it waits for. Invalid when it fails, Conflict when the requisition ends first."""
    said = ""
    while (seen := gate.progress(opened.id)).state != "done":
        if seen.state == "failed":
            raise Invalid(f"indexing failed: {seen.message}")
        if (state := gate.requisition(opened.id).state) != "open":
            raise Conflict(f"{opened.reference} is {state}: it is indexed no further")
        if seen.message not in ("", said):
            said = seen.message
            typer.echo(said, err=True)
        clock.sleep(1.0)


def _show_in_force(made: RequisitionInfo, as_json: bool, site: Path) -> None:
    show(made, as_json, _table([made], site))
    if made.review_due and not as_json:
        typer.echo("One person alone put this in force: the auditor is told; it stays marked until reviewed.")


def _table(found: list[RequisitionInfo], site: Path) -> Any:
    rows = [
        (
            r.reference,
            r.state + (" !" if r.review_due else ""),
            r.article or r.basis,
            r.authority_name,
            r.offence or r.purpose,
            ", ".join(r.cameras),
            f"{local(r.intervals[0].start, site)} → {local(r.intervals[-1].end, site)}",
            r.id,
        )
        for r in found
    ]
    heads = ["reference", "state", "basis", "authority", "offence", "cameras", "hours", "id"]
    return tabled("Requisitions", heads, rows)
