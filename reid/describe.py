# SPDX-License-Identifier: AGPL-3.0-or-later
"""What one vehicle looks like, gathered over its sightings: embedding, colour, class.

Until a trained embedding exists, the embedding is the detector's own backbone features over the vehicle's box joined
with its colours, averaged over the sightings by what each is worth.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reid.errors import EmbeddingMismatch
from reid.finding import Finding, unpack
from reid.passage import COLOURS, Embedding

_FEATURES_WEIGHT = 0.6
"""Of the cosine of two embeddings; the rest is the Bhattacharyya coefficient of their colours."""
LEAST_COLOURS = 0.75
"""Bhattacharyya coefficient of colours under which what went out of sight and what appears are two vehicles; two
passages of one vehicle before one camera have 0.87 or more, 98 in 100."""
DESCRIPTION = "colour11-1"
"""Version of how features and colours are joined, part of every embedding's model id."""


@dataclass(slots=True)
class Description:
    """Sums over the sightings so far; plain values, so that it can be kept."""

    features: NDArray[np.float64] | None = None
    features_weight: float = 0.0
    colours: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(COLOURS)))
    colours_weight: float = 0.0
    votes: dict[str, float] = field(default_factory=dict)

    def add(self, finding: Finding) -> None:
        """Take one sighting."""
        weight = finding.quality**2 + 1e-6
        self.votes[finding.vehicle_class] = self.votes.get(finding.vehicle_class, 0.0) + weight * finding.score
        if finding.features:
            vector = unpack(finding.features) * weight
            self.features = vector if self.features is None else self.features + vector
            self.features_weight += weight
        if finding.colours:
            self.colours = self.colours + unpack(finding.colours) * weight
            self.colours_weight += weight

    def join(self, other: Description) -> None:
        """Take all of another's sightings."""
        if other.features is not None:
            self.features = other.features if self.features is None else self.features + other.features
            self.features_weight += other.features_weight
        self.colours = self.colours + other.colours
        self.colours_weight += other.colours_weight
        for name, weight in other.votes.items():
            self.votes[name] = self.votes.get(name, 0.0) + weight

    def colour_distribution(self) -> tuple[float, ...]:
        """Over the eleven terms, summing to 1; even where the vehicle was never large enough to tell."""
        total = float(self.colours.sum())
        if total <= 0:
            return tuple(1 / len(COLOURS) for _ in COLOURS)
        return tuple(float(x) for x in self.colours / total)

    def vehicle_class(self) -> tuple[str, float]:
        """The class most voted for, and its share of the votes."""
        name = max(sorted(self.votes), key=lambda n: self.votes[n])
        return name, self.votes[name] / sum(self.votes.values())

    def embedding(self, detector: str) -> Embedding | None:
        """A unit vector, or None when the detector gave no features."""
        if self.features is None:
            return None
        norm = float(np.linalg.norm(self.features))
        if norm <= 0:
            return None
        looks = self.features / norm * np.sqrt(_FEATURES_WEIGHT)
        colours = np.sqrt(np.array(self.colour_distribution())) * np.sqrt(1 - _FEATURES_WEIGHT)
        vector = np.concatenate([looks, colours])
        vector /= np.linalg.norm(vector)
        return Embedding(f"{detector}+{DESCRIPTION}", tuple(round(float(x), 6) for x in vector))


def features_part(embedding: Embedding) -> NDArray[np.float64]:
    """The vector without the colours joined to it, of unit length; the whole of it where none were joined."""
    vector = np.asarray(embedding.vector, dtype=np.float64)
    if embedding.model.endswith(f"+{DESCRIPTION}"):
        vector = vector[: -len(COLOURS)]
    norm = float(np.linalg.norm(vector))
    return vector / norm if norm > 0 else vector


def likeness(a: Embedding | None, b: Embedding | None) -> float | None:
    """Cosine of two embeddings, -1 to 1; None where one of them is missing.

    Raises:
        EmbeddingMismatch: they are of different models.
    """
    if a is None or b is None:
        return None
    if a.model != b.model or len(a.vector) != len(b.vector):
        raise EmbeddingMismatch(
            f"cannot compare an embedding of {a.model!r} with one of {b.model!r}: index both hours with one detector"
        )
    return float(np.dot(np.asarray(a.vector), np.asarray(b.vector)))


def colour_likeness(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Bhattacharyya coefficient of two colour distributions, 0 to 1."""
    return float(np.sqrt(np.asarray(a) * np.asarray(b)).sum())
