# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who signs in at the broker, and how: each component as a user of its own, with a secret that it alone reads."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from connectors.errors import SiteError
from connectors.site import Site

logging.getLogger("kafka").setLevel(logging.CRITICAL)  # it tells every attempt; what matters is raised to us
BrokerUser = Literal["capture", "record", "indexer", "keeper", "broker"]
"""Who signs in: three components, the keeper, who looks at everything and changes nothing, and the broker itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaLogin:
    """How a cluster is spoken to, and as whom."""

    protocol: str = "PLAINTEXT"
    """Kafka's name of it: `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT`, `SASL_SSL`."""
    mechanism: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None

    def options(self) -> dict[str, Any]:
        """The same as every client of kafka-python takes it."""
        found: dict[str, Any] = {"security_protocol": self.protocol}
        if self.user:
            found |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        if self.ca_file:
            found["ssl_cafile"] = str(self.ca_file)
        return found


def site_login(site: Site, user: BrokerUser) -> KafkaLogin:
    """How one of our users signs in at the site's broker. Raises SiteError when the user's secret is not readable."""
    kafka = site.kafka
    protocol = (kafka.security or "sasl_plaintext").upper()
    if not kafka.asks_for_users:
        return KafkaLogin(protocol=protocol, ca_file=kafka.ca_file)
    path = broker_secret(site.secrets_dir, user)
    try:
        secret = path.read_text(encoding="ascii").strip()
    except OSError as fault:
        why = f"the broker's secret of {user} cannot be read ({path}: {fault.strerror})"
        made = "`python -m infra.kafka_users --site SITE` makes it, with --admin at a Kafka of the town's"
        raise SiteError([f"{why}: {made if kafka.bootstrap else '`passage up` makes it at its start'}"]) from None
    return KafkaLogin(
        protocol=protocol,
        mechanism=kafka.mechanism if kafka.bootstrap else "PLAIN",
        user=broker_name(user),
        password=secret,
        ca_file=kafka.ca_file,
    )


def broker_secret(secrets: Path, user: BrokerUser) -> Path:
    """Where a user's secret lies below the site's secrets."""
    return secrets / user / "broker"


def broker_name(user: BrokerUser) -> str:
    """What the broker calls a user of ours."""
    return f"passage-{user}"
