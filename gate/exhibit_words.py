# SPDX-License-Identifier: AGPL-3.0-or-later
"""The dossier's words in French: what the code calls otherwise."""

from __future__ import annotations

import re

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
    "nothing was recorded": "rien n'a été enregistré",
    "recorded and not indexed": "enregistré, pas analysé",
}
_MISSED = re.compile(r"vehicles are probably missed: for (\d+) s of the (\d+) s .* the detector (\S+) saw")
_MANY = re.compile(r"so many passages that the trace looks (\S+) around")


def reason(words: str) -> str:
    """Why something could not be looked at; what a camera or a fault said stays as it was said."""
    if found := _MISSED.search(words):
        missed, moved, model = found.groups()
        return (
            f"des véhicules ont sans doute échappé à l'analyse : {missed} s de mouvement sur {moved} sans véhicule vu "
            f"par {model}"
        )
    if found := _MANY.search(words):
        return f"passages trop nombreux : parcours cherché {found[1]} autour du véhicule désigné seulement"
    return _REASONS.get(words, words)
