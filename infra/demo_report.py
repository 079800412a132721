# SPDX-License-Identifier: AGPL-3.0-or-later
"""The demonstration's report: map, strip of pictures, table, and one page that shows them, in French."""

from __future__ import annotations

import csv
import html
import io
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from gate.exhibit_words import CLASSES, COLOURS
from gate.messages import PassageInfo, SearchResult, Trace
from infra.demo_town import DemoTown, demo_plan

matplotlib.use("Agg")  # no screen
from matplotlib import pyplot
from matplotlib.font_manager import findfont

PARIS = ZoneInfo("Europe/Paris")
CELL_PX = (220, 190)
MOST_ENLARGED = 3.0
"""A view of a few pixels is shown larger than it is, this many times at most: no detail is added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the demonstration found."""

    town: DemoTown
    reference: str
    video: Path
    search: SearchResult
    trace: Trace
    pictures: Mapping[str, bytes]
    """JPEG of the best view, by passage id."""
    truth_lines: Sequence[str]
    """How the trace compares with the town's truth."""


def write_report(folder: Path, found: Findings) -> Path:
    """Write everything into `folder`; the page."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = {c.name: c.label for c in found.town.cameras}
    (folder / "carte.png").write_bytes(map_png(found.town, [s.passage.camera for s in found.trace.steps]))
    (folder / "bande.png").write_bytes(strip_png([s.passage for s in found.trace.steps], found.pictures, labels))
    (folder / "galerie.png").write_bytes(strip_png(found.search.passages, found.pictures, labels, columns=6))
    (folder / "trace.csv").write_text(table_csv(found.trace, labels), encoding="utf-8")
    page = folder / "index.html"
    page.write_text(_page(folder, found, labels), encoding="utf-8")
    return page


def map_png(town: DemoTown, order: Sequence[str]) -> bytes:
    """Streets, cameras, and the way from camera to camera in the order of `order`."""
    plan = demo_plan()
    at = {j.name: j.at for j in plan.junctions}
    places = {c.name: c.position_m for c in town.cameras}
    figure, axes = pyplot.subplots(figsize=(11, 6.2), dpi=110)
    for street in plan.streets:
        points = [at[name] for name in street.through]
        points[1:1] = street.bends
        axes.plot(*zip(*points, strict=True), color="#cfd6dc", linewidth=9, solid_capstyle="round", zorder=1)
    for (a, b), number in zip(itertools.pairwise(order), itertools.count(1)):
        (xa, ya), (xb, yb) = places[a], places[b]
        axes.annotate(
            "", xy=(xb, yb), xytext=(xa, ya), zorder=3,
            arrowprops={"arrowstyle": "-|>", "color": "#c0261f", "lw": 2.6, "shrinkA": 9, "shrinkB": 9,
                        "connectionstyle": f"arc3,rad={0.12 if number % 2 else -0.12}"},
        )  # fmt: skip
    for n, camera in enumerate(town.cameras):
        x, y = camera.position_m
        axes.annotate(
            "", xy=_ahead(x, y, camera.heading_deg), xytext=(x, y), zorder=2,
            arrowprops={"arrowstyle": "-", "color": "#78828c", "lw": 2},
        )  # fmt: skip
        steps = [str(n) for n, name in enumerate(order, 1) if name == camera.name]
        axes.scatter([x], [y], s=90, color="#c0261f" if steps else "#78828c", zorder=4)
        text = camera.town_name + (f"  ({', '.join(steps)})" if steps else "")
        axes.annotate(text, (x, y), xytext=(-4, 10 if n % 2 else -17), textcoords="offset points", fontsize=9, zorder=5)
    axes.set_aspect("equal")
    axes.margins(0.05)
    axes.set_axis_off()
    axes.set_title("Parcours candidat, de caméra en caméra (rues imaginaires)", fontsize=11)
    out = io.BytesIO()
    figure.savefig(out, format="png", bbox_inches="tight")
    pyplot.close(figure)
    return out.getvalue()


def _ahead(x: float, y: float, heading_deg: float, metres: float = 16.0) -> tuple[float, float]:
    """A point in front of a camera."""
    return x + metres * math.sin(math.radians(heading_deg)), y + metres * math.cos(math.radians(heading_deg))


def strip_png(
    passages: Sequence[PassageInfo], pictures: Mapping[str, bytes], labels: Mapping[str, str], columns: int = 8
) -> bytes:
    """Best views in the order given, each with its camera and local time."""
    width, height = CELL_PX
    columns = max(1, min(columns, len(passages)))
    rows = max(1, -(-len(passages) // columns))
    sheet = Image.new("RGB", (columns * width, rows * height), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.truetype(findfont("DejaVu Sans"), 12)  # travels with matplotlib and knows French accents
    for n, passage in enumerate(passages):
        x, y = (n % columns) * width, (n // columns) * height
        data = pictures.get(passage.id)
        if data:
            view = Image.open(io.BytesIO(data)).convert("RGB")
            scale = min((width - 12) / view.width, (height - 48) / view.height, MOST_ENLARGED)
            view = view.resize((max(1, round(view.width * scale)), max(1, round(view.height * scale))))
            sheet.paste(view, (x + (width - view.width) // 2, y + (height - 42 - view.height) // 2 + 2))
        draw.text((x + 6, y + height - 38), f"{n + 1}. {passage.camera} {local(passage.started_at)}", "black", font)
        draw.text((x + 6, y + height - 20), labels.get(passage.camera, "").split(", ")[-1][:32], "#5a646e", font)
    out = io.BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()


def table_csv(trace: Trace, labels: Mapping[str, str]) -> str:
    """One row a step."""
    out = io.StringIO()
    rows = csv.writer(out, delimiter=";", lineterminator="\n")
    rows.writerow(
        ["étape", "caméra", "lieu", "entrée (UTC)", "sortie (UTC)", "classe", "couleur", "probabilité", "ressemblance",
         "trajet (s)", "sosies", "passage"]
    )  # fmt: skip
    for n, step in enumerate(trace.steps, 1):
        p = step.passage
        rows.writerow(
            [n, p.camera, labels.get(p.camera, ""), p.started_at.isoformat(), p.ended_at.isoformat(),
             french(p.vehicle_class), french(p.colour), f"{step.probability:.3f}", f"{step.look:.3f}",
             "" if step.travel_s is None else f"{step.travel_s:.1f}", step.rivals, p.id]
        )  # fmt: skip
    return out.getvalue()


def french(word: str) -> str:
    """A class or colour name for a person."""
    return CLASSES.get(word) or COLOURS.get(word, word)


def local(at: datetime) -> str:
    """Time of day in the town."""
    return at.astimezone(PARIS).strftime("%H:%M:%S")


def _page(folder: Path, found: Findings, labels: Mapping[str, str]) -> str:
    rows = []
    for n, step in enumerate(found.trace.steps, 1):
        p = step.passage
        cells = (
            str(n), f"{p.camera} · {labels.get(p.camera, '')}", f"{local(p.started_at)} → {local(p.ended_at)}",
            f"{french(p.vehicle_class)}, {french(p.colour)}", f"{100 * step.probability:.0f} %", f"{step.look:.2f}",
            "" if step.travel_s is None else f"{step.travel_s:.1f} s", str(step.rivals),
        )  # fmt: skip
        rows.append("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in cells) + "</tr>")
    heads = ("", "Caméra", "Passage", "Véhicule", "Probabilité", "Ressemblance", "Trajet", "Sosies")
    video = html.escape(str(found.video.relative_to(folder)))
    truth = "".join(f"<li>{html.escape(line)}</li>" for line in found.truth_lines)
    coverage = found.trace.coverage
    return f"""<!doctype html>
<html lang="fr"><head><meta charset="utf-8"><title>Passage — démonstration</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; color: #1c242c }}
img, video {{ max-width: 100%; border: 1px solid #d5dbe0; border-radius: 4px }}
table {{ border-collapse: collapse; width: 100% }} td, th {{ border-bottom: 1px solid #d5dbe0; padding: .35rem .5rem;
text-align: left }} .avis {{ background: #fdf3d7; padding: .6rem .9rem; border-radius: 4px }}
</style></head><body>
<h1>Suivre une voiture rouge dans la ville</h1>
<p class="avis">Ville imaginaire, procédure fictive ({html.escape(found.reference)}).
{html.escape(found.trace.notice)}</p>
<h2>1. Remonter le temps</h2>
<p>Les images enregistrées, telles que la caméra les a faites, sans réencodage.</p>
<video controls src="{video}"></video>
<h2>2. Les véhicules rouges</h2>
<p>{found.search.total} passages de véhicules rouges dans le cadre de la réquisition.</p>
<img src="galerie.png" alt="Passages de véhicules rouges">
<h2>3. Celle-ci, par toutes les caméras</h2>
<img src="carte.png" alt="Carte du parcours">
<img src="bande.png" alt="Vues dans l’ordre du temps">
<table><tr>{"".join(f"<th>{h}</th>" for h in heads)}</tr>{"".join(rows)}</table>
<p><a href="trace.csv">Le tableau (CSV)</a></p>
<h2>Couverture</h2>
<p>Demandé : {coverage.asked_s:.0f} s de caméra ; enregistré : {coverage.recorded_s:.0f} s ;
analysé : {coverage.indexed_s:.0f} s.</p>
<h2>Comparaison avec la vérité de la ville</h2>
<ul>{truth}</ul>
</body></html>
"""
