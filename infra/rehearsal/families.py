# SPDX-License-Identifier: AGPL-3.0-or-later
"""What each family of towns may use, so that the exam asks only for what nobody trained on.

Seeds, street names, body shapes and camera settings of the families do not meet; a test holds it for every
shipped plan. Bicycles and pedestrians have one shape each and are the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FamilyRules:
    """Ranges of one family. Camera settings are drawn from grids that do not meet those of the other families."""

    seeds: tuple[int, int]
    bodies: dict[str, float]
    """Shapes and their usual weights."""
    heights_m: tuple[float, ...]
    tilts_deg: tuple[float, ...]
    hfovs_deg: tuple[float, ...]
    distortions: tuple[float, ...]
    names: tuple[str, ...]
    """Words of street names."""


def _grid(start: float, step: float, count: int) -> tuple[float, ...]:
    return tuple(round(start + step * k, 2) for k in range(count))


_TWO_WHEELS = {"bicycle": 1.0}

FAMILY_RULES: dict[str, FamilyRules] = {
    "training": FamilyRules(
        seeds=(1000, 1999),
        bodies={
            "hatch_small": 5.0,
            "city_car": 2.5,
            "suv_compact": 3.0,
            "sedan": 1.5,
            "mpv": 1.2,
            "van_small": 3.0,
            "minibus": 1.0,
            "truck_rigid": 1.0,
            "truck_flatbed": 0.5,
            "bus_city": 1.0,
            "bus_midi": 0.5,
            "scooter": 1.0,
            "maxi_scooter": 0.7,
            "cruiser": 0.7,
            **_TWO_WHEELS,
        },
        heights_m=_grid(5.0, 0.2, 16),
        tilts_deg=_grid(16.0, 2.0, 7),
        hfovs_deg=_grid(56.0, 4.0, 7),
        distortions=(-0.08, -0.04, 0.0, 0.04),
        names=(
            "des Pommiers", "du Moulin", "des Tanneurs", "de la Source", "du Pressoir", "des Hêtres",
            "de l'Étang",
            "du Colombier", "des Forges", "de la Grange", "des Noyers", "du Verger", "de la Fontaine Close",
            "des Saules",
            "du Four", "des Bouleaux", "de la Prairie", "du Chêne", "des Genêts", "de la Lande", "des Ajoncs",
            "du Bocage", "de la Haie", "des Cidres", "du Ruisseau", "de la Mare", "des Fougères", "du Talus",
            "de la Barrière", "des Bruyères", "du Puits", "de la Laiterie", "des Charrons", "du Lin", "de la Meule",
        ),
    ),
    "validation": FamilyRules(
        seeds=(2000, 2999),
        bodies={
            "hatch_small": 4.0,
            "city_car": 2.0,
            "suv_compact": 3.0,
            "sedan": 2.0,
            "pickup": 1.5,
            "van_small": 3.0,
            "minibus": 1.0,
            "truck_rigid": 1.0,
            "bus_city": 1.0,
            "scooter": 1.0,
            **_TWO_WHEELS,
        },
        heights_m=_grid(5.05, 0.2, 16),
        tilts_deg=_grid(16.5, 2.0, 6),
        hfovs_deg=_grid(57.0, 4.0, 6),
        distortions=(-0.09, -0.05, 0.01, 0.05),
        names=(
            "du Phare", "des Goélands", "de la Jetée", "du Môle", "des Voiliers", "de la Dune", "du Sémaphore",
            "des Huîtres", "de la Cale", "du Rivage", "des Sternes", "de la Marée", "du Chenal", "des Embruns",
            "de la Grève", "du Large", "des Balises", "de la Vigie", "du Varech", "des Filets", "de la Corderie",
        ),
    ),
    "exam": FamilyRules(
        seeds=(3000, 3999),
        bodies={
            "hatch_compact": 5.0,
            "crossover": 3.5,
            "estate": 2.0,
            "suv_large": 1.5,
            "coupe": 0.6,
            "cabriolet_closed": 0.4,
            "van_large": 1.0,
            "truck_tipper": 1.0,
            "coach": 1.0,
            "motorbike": 1.0,
            **_TWO_WHEELS,
        },
        heights_m=_grid(5.1, 0.2, 16),
        tilts_deg=_grid(17.0, 2.0, 6),
        hfovs_deg=_grid(58.0, 4.0, 6),
        distortions=(-0.10, -0.06, -0.02, 0.02),
        names=(
            "de l'Observatoire", "des Imprimeurs", "du Théâtre Blanc", "de la Loge", "des Relieurs", "du Cadran",
            "de la Comète", "des Graveurs", "du Manège", "de l'Horloge Basse", "des Luthiers", "du Prieuré",
            "de la Galerie", "des Orfèvres", "du Belvédère", "de la Rotonde", "des Verriers", "du Palais Neuf",
            "de la Lanterne", "des Copistes", "du Carrousel", "de l'Atelier", "des Doreurs", "du Mail",
        ),
    ),
}  # fmt: skip
"""The three families that must not meet."""

FREE_RULES = FamilyRules(
    seeds=(0, 999),
    bodies={
        "hatch_small": 4.0,
        "hatch_compact": 3.0,
        "suv_compact": 3.0,
        "crossover": 2.0,
        "city_car": 1.5,
        "estate": 1.0,
        "van_small": 3.0,
        "van_large": 2.0,
        "truck_rigid": 1.0,
        "bus_city": 1.0,
        "scooter": 1.0,
        "motorbike": 1.0,
        **_TWO_WHEELS,
    },
    heights_m=_grid(5.0, 0.1, 30),
    tilts_deg=_grid(16.0, 1.0, 13),
    hfovs_deg=_grid(56.0, 2.0, 13),
    distortions=(-0.08, -0.03, 0.0, 0.03),
    names=(
        "de la Place", "du Marché", "des Écoles", "de la Poste", "du Stade", "des Jardins", "de la Gare",
        "du Pont", "des Acacias", "de la Mairie", "du Lavoir", "des Tilleuls", "de l'Église", "du Château",
        "des Roses", "de la Halle", "du Parc", "des Platanes", "de la Croix", "du Bourg", "des Lilas",
    ),
)  # fmt: skip
"""For demonstration, test and people's own towns."""


def rules_of(family: str) -> FamilyRules:
    """The rules of a family; towns outside the three have the free ones."""
    return FAMILY_RULES.get(family, FREE_RULES)
