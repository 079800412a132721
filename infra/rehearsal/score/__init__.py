# SPDX-License-Identifier: AGPL-3.0-or-later
"""`passage score`: a rendered town through the real pipeline, held against its truth."""
