# SPDX-License-Identifier: AGPL-3.0-or-later
"""Witnesses: other places that keep signed heads of the journal, so that rolling the gate back shows."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from connectors.site import Site
from gate.journal import Witness, canonical
from gate.mail import Mailer, mailer

log = logging.getLogger("gate.witness")


class FolderWitness:
    """A folder of another disk or machine, mounted here; heads are only ever added to its file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, signed_head: dict[str, Any], *, of_export: bool) -> None:
        """Add one; a witness that is away is told in the log and asked again at the next head."""
        try:
            descriptor = os.open(self._folder / "passage-heads.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
            try:
                os.write(descriptor, canonical(signed_head) + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as fault:
            log.error("the witness %s does not take the journal's head: %s", self._folder, fault.strerror)


class MailWitness:
    """A mail address of the site's choice; one head a day and one at every export is enough for it."""

    def __init__(self, mail: Mailer, address: str) -> None:
        self._mail = mail
        self._address = address
        self._day = ""

    def keep(self, signed_head: dict[str, Any], *, of_export: bool) -> None:
        """Send one a day, and every export's."""
        day = str(signed_head["at"])[:10]
        if day == self._day and not of_export:
            return
        text = canonical(signed_head).decode() + "\n"
        subject = f"Passage: journal head, {signed_head['count']} entries"
        if self._mail.send(subject, text, (self._address,)):
            self._day = day


def witnesses(site: Site) -> tuple[Witness, ...]:
    """Those the site names: folders, and `mailto:` addresses."""
    made: list[Witness] = []
    for named in site.gate.witnesses:
        if named.startswith("mailto:"):
            made.append(MailWitness(mailer(site), named.removeprefix("mailto:")))
        else:
            made.append(FolderWitness(Path(named)))
    return tuple(made)
