# SPDX-License-Identifier: AGPL-3.0-or-later
"""Bytewax dataflows. Each file reads as its dataflow, top to bottom; the work is in `connectors` and `reid`."""
