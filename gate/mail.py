# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sending mail through the town's own server."""

from __future__ import annotations

import logging
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate

from connectors.site import Site
from gate.secrets import read_secret

log = logging.getLogger("gate.mail")


@dataclass(frozen=True, slots=True)
class Mailer:
    """One server and sender. Without a host nothing is sent, and `send` says so by False."""

    host: str
    port: int
    sender: str
    starttls: bool = True
    user: str = ""
    password: str = ""
    timeout_s: float = 20.0

    def send(self, subject: str, text: str, to: tuple[str, ...]) -> bool:
        """Whether the server took it; a failure is logged, since nothing waits for mail."""
        if not self.host or not to:
            return False
        message = EmailMessage()
        message["Subject"] = subject.replace("\n", " ")
        message["From"] = self.sender
        message["To"] = ", ".join(to)
        message["Date"] = formatdate()
        message.set_content(text)
        try:
            with smtplib.SMTP(self.host, self.port, timeout=self.timeout_s) as server:
                if self.starttls:
                    server.starttls(context=ssl.create_default_context())
                if self.user:
                    server.login(self.user, self.password)
                server.send_message(message)
        except (OSError, smtplib.SMTPException) as fault:
            log.error("mail to %s was not sent through %s:%d: %s", ", ".join(to), self.host, self.port, fault)
            return False
        return True


def mailer(site: Site) -> Mailer:
    """The site's; the password lies in `secrets/gate/mail` where the server asks for one."""
    g = site.gate
    secret = site.secrets_dir / "gate" / "mail"
    password = read_secret(secret) if g.mail_user and secret.exists() else ""
    return Mailer(g.mail_host, g.mail_port, g.mail_from, g.mail_starttls, g.mail_user, password)
