# SPDX-License-Identifier: AGPL-3.0-or-later
"""SQL of the store, as numbered migrations."""
