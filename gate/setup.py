# SPDX-License-Identifier: AGPL-3.0-or-later
"""Set-up of a site's gate: folders, keys, tokens, and the first administrator; run again, it changes nothing.

python -m gate.setup --site SITE
python -m gate.setup --site SITE --administrator LOGIN --name "First Last"
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from connectors.errors import SiteError
from connectors.site import Site, load_site, utc_now
from gate import retention
from gate.database import Database
from gate.errors import Conflict, GateError
from gate.gate import Folders
from gate.journal import Because, Journal
from gate.keystore import Keystore, write_public
from gate.messages import PersonDraft, PersonMade
from gate.people import People
from gate.secrets import Vault, indexer_token_hash, signing_key


def set_up(site: Site) -> None:
    """Make what is missing: folders, the gate's keys, the indexer's token, public keys of days. Raises SiteError."""
    folders = Folders(site.data)
    for private in (site.data / "gate", folders.secrets, folders.exhibits):
        private.mkdir(parents=True, exist_ok=True, mode=0o700)
    for shared in (folders.public, folders.orders, site.data / "state"):
        shared.mkdir(parents=True, exist_ok=True)
    for name, public in (("journal.key", "journal.pub"), ("orders.key", "orders.pub")):
        key = signing_key(folders.secrets / name)
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        if not (folders.public / public).exists():
            write_public(folders.public / public, pem)
    Vault(folders.secrets / "vault")
    indexer_token_hash(site.secrets_dir)
    keys = Keystore(folders.secrets / "days", folders.public, utc_now)
    keys.publish(retention.limit(utc_now(), site.retention_days, site.timezone))
    Database(folders.database).close()


def first_administrator(
    site: Site, login: str, name: str, password: str, clock: Callable[[], datetime] = utc_now
) -> PersonMade:
    """Make the first account of a site; Conflict when there is one already: an administrator makes the others."""
    folders = Folders(site.data)
    database = Database(folders.database)
    try:
        people = People(database, Vault(folders.secrets / "vault"), clock)
        if people.any():
            raise Conflict("this site has its first administrator: further people are made by `passage people add`")
        journal = Journal(folders.journal, signing_key(folders.secrets / "journal.key"), clock)
        with journal.act("people.first_administrator", Because(person=os.environ.get("USER", "")), {"login": login}):
            draft = PersonDraft(login=login, name=name, roles=("administrator",), password=password, municipal=False)
            return people.make(draft, own_password=True)
    finally:
        database.close()


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m gate.setup", description="Set up a site's gate.")
    parser.add_argument("--site", type=Path, required=True, help="the town's site.toml")
    parser.add_argument("--administrator", metavar="LOGIN", help="also make the first administrator")
    parser.add_argument("--name", default="", help="the administrator's first and last name")
    options = parser.parse_args(arguments)
    try:
        site = load_site(options.site)
        set_up(site)
        if options.administrator:
            password = os.environ.get("PASSAGE_PASSWORD") or getpass.getpass("Password (12 characters or more): ")
            made = first_administrator(site, options.administrator, options.name or options.administrator, password)
            print(made.totp_uri)
            print("Recovery codes, each works once; print them and lock them away:")
            print("\n".join(made.recovery_codes))
    except SiteError as fault:
        print(fault, file=sys.stderr)
        return 2
    except GateError as fault:
        print(fault, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
