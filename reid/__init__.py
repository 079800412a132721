# SPDX-License-Identifier: AGPL-3.0-or-later
"""Pure vision and matching: detect, track, describe, link, trace. Knows no broker, store or page."""
