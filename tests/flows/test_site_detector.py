# SPDX-License-Identifier: AGPL-3.0-or-later
"""The detector that a site names, and no other."""

from __future__ import annotations

import pytest

from connectors.site import Site
from flows.index import site_detector
from reid.errors import ModelHashMismatch

CAMERA = {"name": "c1", "label": "c1", "url": "rtsp://192.0.2.1/", "masks_dwellings": True}


def test_weights_with_another_digest_than_the_sites_are_refused() -> None:
    site = Site.model_validate({"name": "x", "camera": [CAMERA], "index": {"detector_sha256": "0" * 64}})
    with pytest.raises(ModelHashMismatch, match="is listed for it"):
        site_detector(site)
