# SPDX-License-Identifier: AGPL-3.0-or-later
"""The dossier's words in French: what the code calls otherwise."""

from __future__ import annotations

from gate.reasons import recognised

CLASSES = {"car": "voiture", "van": "fourgon", "truck": "camion", "bus": "bus", "motorcycle": "deux-roues motorisé"}
COLOURS = {
    "white": "blanc",
    "grey": "gris",
    "black": "noir",
    "blue": "bleu",
    "red": "rouge",
    "green": "vert",
    "brown": "marron",
    "yellow": "jaune",
    "orange": "orange",
    "purple": "violet",
    "pink": "rose",
}
STATUS = {"indexed": "analysé", "gap": "manque", "unreadable": "illisible", "doubtful": "douteux"}
CLOCKS = {"stream": "de la caméra", "arrival": "d'arrivée", "file": "du fichier"}
_REASONS = {
    "closed": "enregistré, mais le scellé ne s'ouvre pas",
    "nothing_was_recorded": "rien n'a été enregistré",
    "recorded_and_not_indexed": "enregistré, pas analysé",
    "missed": (
        "des véhicules ont sans doute échappé à l'analyse : {missed} s de mouvement sur {moved} sans véhicule vu "
        "par {model}"
    ),
    "far": "parcours cherché {around} autour du véhicule désigné seulement",
    "many": "passages trop nombreux : parcours cherché {around} autour du véhicule désigné seulement",
}


def reason(words: str) -> str:
    """Why something could not be looked at; what a camera or a fault said stays as it was said."""
    kind, named = recognised(words)
    return _REASONS[kind].format(**named) if kind else words
