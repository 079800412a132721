# SPDX-License-Identifier: AGPL-3.0-or-later
"""The vehicle classes the project speaks of, and how other models' class names map to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reid.errors import ModelClassesUnknown
from reid.passage import VEHICLE_CLASSES

__all__ = ["MODEL_CLASSES", "PERSON_CLASSES", "VEHICLE_CLASSES", "map_classes"]

PERSON_CLASSES: Final = ("bicycle", "pedestrian")
"""What a detector may know in order not to mistake it for a vehicle, and never gives out."""

MODEL_CLASSES: Final = VEHICLE_CLASSES + PERSON_CLASSES
"""Classes of the shipped detector, in the order of its outputs."""

_BY_NAME: Final[Mapping[str, str]] = {
    **{name: name for name in VEHICLE_CLASSES},
    # COCO and Open Images spell these as we do or nearly; the rest are common names in public models.
    "motorbike": "motorcycle",
    "moped": "motorcycle",
    "scooter": "motorcycle",
    "taxi": "car",
    "suv": "car",
    "minivan": "van",
    "lorry": "truck",
    "pickup": "truck",
    "coach": "bus",
    "minibus": "bus",
}


def map_classes(names: Mapping[int, str], extra: Mapping[str, str] | None = None) -> dict[int, str]:
    """Say which of a model's class numbers are vehicles, and of which class of ours.

    Class numbers that are missing from the answer (persons, bicycles, traffic lights…) are not ours: drop them.

    Args:
        names: the model's own class names by output number.
        extra: names of the site's own model → our class; goes before the built-in list.

    Raises:
        ModelClassesUnknown: `extra` names a class that is not ours or that the model lacks, or no class maps.
    """
    table = dict(_BY_NAME)
    known = {name.strip().lower() for name in names.values()}
    for theirs, ours in (extra or {}).items():
        if ours not in VEHICLE_CLASSES:
            raise ModelClassesUnknown(
                f"class map sends {theirs!r} to {ours!r}, which is not one of {', '.join(VEHICLE_CLASSES)}"
            )
        if theirs.strip().lower() not in known:
            raise ModelClassesUnknown(
                f"class map names {theirs!r}, which this model does not have; it has: {', '.join(sorted(known)[:100])}"
            )
        table[theirs.strip().lower()] = ours
    mapped = {number: table[name.strip().lower()] for number, name in names.items() if name.strip().lower() in table}
    if not mapped:
        raise ModelClassesUnknown(
            f"none of the model's classes is a vehicle class we know ({', '.join(sorted(known)[:20])}); "
            'add a class map to the detector\'s settings, for instance {"voiture": "car"}'
        )
    return mapped
