# SPDX-License-Identifier: AGPL-3.0-or-later
"""Making the models that the project ships: data sets from rehearsal towns, training, export."""
