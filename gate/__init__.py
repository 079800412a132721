# SPDX-License-Identifier: AGPL-3.0-or-later
"""The only reader of store and archive: people, requisitions, grants, journal, exhibits, retention."""
