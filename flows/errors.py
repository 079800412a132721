# SPDX-License-Identifier: AGPL-3.0-or-later
"""What ends a flow.

FlowError
├── ShareError        the share of partitions asked for makes no sense
├── RecoveryError     the recovery folder cannot be used
└── MostlyBad         so many records are bad that going on would only hide it
"""

from __future__ import annotations


class FlowError(Exception):
    """Root of every error raised in `flows`."""


class ShareError(FlowError):
    """The share of partitions asked for makes no sense."""


class RecoveryError(FlowError):
    """The recovery folder cannot be used."""


class MostlyBad(FlowError):
    """So many records are bad that going on would only hide it."""
