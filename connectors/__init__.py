# SPDX-License-Identifier: AGPL-3.0-or-later
"""The edges: cameras, compressed video, Kafka, the archive, the store, and a twin of each in memory."""
