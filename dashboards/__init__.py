# SPDX-License-Identifier: AGPL-3.0-or-later
"""The investigation application and the operations page: clients of the gate, nothing more."""
