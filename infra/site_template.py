# SPDX-License-Identifier: AGPL-3.0-or-later
"""The commented site file that `passage new-site` writes."""

from __future__ import annotations

SITE_TEMPLATE = """\
# One town. `passage up --site site.toml` starts it; docs/site.md explains every setting.
name = "Ma commune"
timezone = "Europe/Paris"
data = "var"                      # records, archive, store, keys: keep it on an encrypted disk
retention_days = 30               # at most 30 (CSI L252-5), or fewer where the prefect's authorisation says so
authorisation = ""                # reference of the prefect's authorisation
indexing = "on_requisition"       # vehicles are looked at only for an open requisition
sealing = true                    # pictures are encrypted from the camera on; only the gate opens them

# Continuous indexing needs both of these on record, and is shown on every page.
# [continuous]
# legal_basis = "…"
# impact_assessment = "…"

[kafka]
port = 19092                      # the embedded Apache Kafka (it uses the next port too), on this machine only
# bootstrap = "kafka1:9093,kafka2:9093"   # or a Kafka of the town's
# security = "sasl_ssl"                   # and how it is spoken to
heap_mb = 512
live_hours = 24                   # how long the live topic keeps what is in the archive; within retention_days

[store]
port = 18123                      # the embedded ClickHouse engine
# url = "https://clickhouse:8443"         # or a ClickHouse server of the town's

[gate]
port = 18600
idle_lock_minutes = 15

[dashboard]
port = 18501

[index]
detector = "passage-detector-v1"  # a shipped model, an ultralytics name such as "yolo11n.pt", or a path
# detector_sha256 = "…"            # of the weights, where the model is not a shipped one

# One table a camera.
[[camera]]
name = "place-du-marche"          # small letters, digits and dashes; never changes
label = "Place du Marché"
place = "Place du Marché, angle rue Basse"
url = "rtsp://user:password@192.0.2.10/stream1"   # or the path of a video file, with start_utc
transport = "tcp"
# start_utc = 2026-01-15T08:00:00Z        # files only: when the first frame was taken
# pace = "real"                           # files only: real or fast
position_wgs84 = [49.0497, -1.4453]
heading_deg = 90.0
view = "wide"                     # or narrow (the 2007 norms ask for more pixels)
masks_dwellings = false           # set the masks in the camera itself, then write true: refused without
"""
