# SPDX-License-Identifier: AGPL-3.0-or-later
"""The store's three secrets: each in a file that its own process reads, and their hashes for the store."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from pathlib import Path

from connectors.site import Site
from gate.secrets import made_once, secret_hash, write_private
from infra.store_sql_guard import USERS

HASHES = Path("store") / "users.json"
"""Below the site's secrets: SHA-256 of each user's secret, which is all that the store needs to know."""


def secret_path(site: Site, user: str) -> Path:
    """Where the secret of one user lies."""
    return site.secrets_dir / user / "store"


def make_secrets(site: Site) -> dict[str, Path]:
    """Make what is missing, keep what is there; user → file. Files are 0600 in folders that are 0700."""
    paths: dict[str, Path] = {}
    hashes: dict[str, str] = {}
    for user in USERS:
        paths[user] = secret_path(site, user)
        hashes[user] = secret_hash(made_once(paths[user]))
    held = site.secrets_dir / HASHES
    if not held.exists() or json.loads(held.read_text(encoding="ascii")) != hashes:
        write_private(held, json.dumps(hashes, indent=1).encode("ascii"))
    for file in (*paths.values(), held):
        file.parent.chmod(0o700)
    return paths


def read_hashes(site: Site) -> dict[str, str]:
    """The hashes by user. Raises FileNotFoundError when set-up has not been done."""
    held: dict[str, str] = json.loads((site.secrets_dir / HASHES).read_text(encoding="ascii"))
    return held


def secret_fits(hashes: Mapping[str, str], user: str, secret: str) -> bool:
    """Whether the secret is this user's; takes as long for an unknown user."""
    return hmac.compare_digest(hashes.get(user, "0" * 64), secret_hash(secret))
