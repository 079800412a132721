# SPDX-License-Identifier: AGPL-3.0-or-later
"""What can go wrong in vision and matching.

ReidError
├── ModelError               a model cannot be used
│   ├── ModelNotFound        no such file, folder or name
│   ├── ModelUnreadable      it is there and cannot be read
│   ├── ModelHashMismatch    its bytes are not the listed ones
│   └── ModelClassesUnknown  its classes cannot be mapped to ours
└── EmbeddingMismatch        vectors of two models were compared
"""

from __future__ import annotations


class ReidError(Exception):
    """Root of every error raised in `reid`."""


class ModelError(ReidError):
    """A model cannot be used."""


class ModelNotFound(ModelError):
    """No such file, folder or name."""


class ModelUnreadable(ModelError):
    """The model is there and cannot be read."""


class ModelHashMismatch(ModelError):
    """The model's bytes are not the listed ones."""


class ModelClassesUnknown(ModelError):
    """The model's classes cannot be mapped to ours."""


class EmbeddingMismatch(ReidError):
    """Vectors of two different models were compared; they mean nothing to each other."""
