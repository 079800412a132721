# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the gate refuses and what processes tell, in French: their own words are English and name the case."""

from __future__ import annotations

import re

_FRENCH: tuple[tuple[str, str], ...] = (
    (r"(.+) is no time: write .*", "Heure illisible : {0}. Écrivez par exemple 20/03/2026 14:05:30."),
    (r"(.+)\.\.(.+) ends before it starts", "Heures : l'intervalle finit ({1}) avant de commencer ({0})."),
    (
        r"(\S+ \S+) occurs twice, .* write (.+) or, the second time, (.+)",
        "{0} existe deux fois, au passage à l'heure d'hiver : écrivez {1} ou, la seconde fois, {2}.",
    ),
    (
        r"(\S+ \S+) does not exist, .* write (.+) or (.+)",
        "{0} n'existe pas, au passage à l'heure d'été : écrivez {1} ou {2}.",
    ),
    (r"reference: give the .*own", "Référence : écrivez celle du document."),
    (r"purpose: say what .*", "Finalité : écrivez ce qui est cherché et pourquoi."),
    (r"cameras: name at least one", "Caméras : choisissez-en au moins une."),
    (r"cameras: this site has none named (.+)", "Caméras : le site n'a pas {0}."),
    (r"cameras: a maintenance still .*", "Caméras : une image de maintenance est celle d'une seule caméra."),
    (r"intervals: name at least one", "Heures : écrivez au moins un intervalle."),
    (r"intervals: .* has not happened yet", "Heures : l'intervalle va au-delà de maintenant."),
    (r"intervals: what was recorded until .* is destroyed", "Heures : ces enregistrements sont déjà détruits."),
    (r"intervals: this basis allows (.+) in all, not (.+)", "Heures : ce fondement permet {0} en tout, pas {1}."),
    (r"expires_at: .* is already past", "Expire le : cette date est passée."),
    (r"expires_at: three years at most", "Expire le : trois ans au plus."),
    (r"expires_at: an amendment takes nothing away.*", "Nouvelle échéance : pas avant l'actuelle ; sinon, « Clore »."),
    (r"received_at: .*", "Reçue le : une heure passée."),
    (r"authority_name: .*", "Nom et qualité : écrivez qui demande ou signe, et son service."),
    (r"authority: article (\S+) is for .*", "Autorité : l'article {0} n'est pas ouvert à celle-ci."),
    (r"inquiry: .*", "Procédure : écrivez sa référence."),
    (r"offence: say which", "Infraction : écrivez laquelle."),
    (r"prosecutor_authorisation: .*", "Autorisation du procureur : l'article 77-1-1 demande sa référence et sa date."),
    (r"attach the scanned document first", "Joignez d'abord le document numérisé."),
    (r"document: a scan is .*", "Document : un fichier PDF, PNG, JPEG ou TIFF."),
    (r"document: \d+ bytes; at most (\d+)", "Document : {0} octets au plus."),
    (r"the amendment adds nothing.*", "L'extension n'ajoute rien : des caméras, des heures ou une échéance."),
    (r"(.+) is already registered: .*", "{0} est déjà enregistrée : étendez-la, ou « Clore » d'abord."),
    (r"(.+) registered (.+): .* widens it", "{0} a enregistré {1} : l'autre personne du greffe l'étend."),
    (r"(.+) registered (.+): the other registrar.*", "{0} a enregistré {1} : l'autre personne du greffe l'ouvre."),
    (r"(\S+) holds no recording from .*", "Aucun enregistrement de {0} à ce moment."),
    (r"(\S+) holds no picture near .*", "Aucune image de {0} près de ce moment."),
    (r"masking keeps the chosen vehicles: .*", "Masque : joignez le passage ou le parcours du véhicule à laisser net."),
    (r"the path in the picture of a chosen passage .*", "Masque : l'index n'a pas le chemin d'un passage à l'image."),
    (r"nothing of what was asked for is recorded .*", "Rien de ce qui est demandé n'est enregistré en entier."),
    (r"these passages were described by different.*", "Décrits par des modèles différents : indexez de nouveau."),
    (r"the broker's disk has (\S+) GiB free .*", "attend de la place sur le disque de Kafka ({0} Gio libres)."),
    (r"Kafka at \S+ takes connections .*", "Kafka ne reconnaît pas Passage : voyez « Exploitation »."),
    (r"Kafka at \S+ does not acknowledge .*", "attend Kafka, qui n'accepte rien : voyez « Exploitation »."),
    (r"securing the evidence: (\d+) of (\d+) s", "mise en sûreté des images : {0} s sur {1}."),
    (r"securing the evidence failed .*", "la mise en sûreté des images a échoué ; elle est recommencée."),
    (r"the store does not answer.*", "L'index ne répond pas : voyez « Exploitation »."),
    (r"(\d+) requests, (\d+) refused, (\S+) MB sent", "{0} demandes, {1} refusées, {2} Mo envoyés"),
    (r"(\d+) of (\d+) camera-seconds", "{0} s de vidéo indexées sur {1}"),
    (r"did not answer within (\d+) s", "sans réponse en {0} s"),
    (r"killed by signal (\d+)(.*)", "tué par le signal {0}{1}"),
    (r"ended with status (\d+)(.*)", "terminé avec le code {0}{1}"),
)  # fmt: skip
_KNOWN = tuple((re.compile(pattern, re.DOTALL), french) for pattern, french in _FRENCH)


def in_french(words: str) -> str | None:
    """One fault of the gate's in French; None when it is not among the usual ones."""
    for pattern, french in _KNOWN:
        if found := pattern.fullmatch(words):
            return french.format(*found.groups())
    return None
