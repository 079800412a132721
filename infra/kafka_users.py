# SPDX-License-Identifier: AGPL-3.0-or-later
"""The broker's users: a secret each, the rights of each laid down at the broker, and the live topics.

Whatever is not listed is refused.

    python -m infra.kafka_users --site site.toml            lay down rights and live topics, and stop
    python -m infra.kafka_users --site site.toml --init     make the secrets only

At a Kafka of the town's its administrator does it once: `--admin NAME` (or `PASSAGE_KAFKA_ADMIN`), with the password in
`PASSAGE_KAFKA_ADMIN_PASSWORD`. There the users themselves are made too where passwords are SCRAM's; a Kafka of plain
passwords lists them in its own configuration, as the embedded one does (`secrets/broker/jaas.properties`).
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from kafka.errors import KafkaError

from connectors import topics
from connectors.errors import BrokerError, BrokerUnavailable, SiteError
from connectors.kafka import Kafka, in_our_words
from connectors.kafka_login import BrokerUser, KafkaLogin, broker_name, broker_secret, site_login
from connectors.site import Site, load_site
from gate.secrets import made_once, write_private
from infra.errors import InfraError, SetupFault
from reid.passage import LIVE

log = logging.getLogger(__name__)

ADMIN, PASSWORD = "PASSAGE_KAFKA_ADMIN", "PASSAGE_KAFKA_ADMIN_PASSWORD"
"""Where the town's administrator of Kafka is looked for, and the password, which no list of processes may show."""
JAAS = Path("broker") / "jaas.properties"
"""Below the site's secrets: every user's password, which a broker of plain passwords must know. Its own alone."""

_SEE = (ACLOperation.DESCRIBE, ACLOperation.DESCRIBE_CONFIGS)
_CHANGE = (ACLOperation.ALTER, ACLOperation.ALTER_CONFIGS, ACLOperation.DELETE)
_MAKE = (*_SEE, ACLOperation.CREATE, *_CHANGE)
"""To make a topic, to bring a present one to the site's settings, to end it."""
_READ, _WRITE = ACLOperation.READ, ACLOperation.WRITE
_EVERY = "*"
"""Kafka's word for every topic: this very name, no prefix."""


@dataclass(frozen=True, slots=True)
class Right:
    """What one user may do with a topic, or with all whose names begin so; refused for good where it is a denial."""

    topic: str
    operations: tuple[ACLOperation, ...]
    prefix: bool = False
    denied: bool = False


RIGHTS: dict[BrokerUser, tuple[Right, ...]] = {
    # Its own last records tell it where to go on. What it writes it cannot open: they are sealed.
    "capture": (Right(topics.FRAMES_LIVE, (*_SEE, _READ, _WRITE)),),
    "record": (Right(topics.FRAMES_LIVE, (*_SEE, _READ)), Right(topics.dead(LIVE), (*_SEE, _WRITE))),
    # Indexing, linking, replay and the jobs that start them: never a record of a camera, nor how long live topics keep.
    "indexer": (
        Right(topics.FRAMES_LIVE, (*_SEE, _READ)),
        Right(topics.frames(""), (*_MAKE, _READ, _WRITE), prefix=True),
        Right(topics.passages(""), (*_MAKE, _READ, _WRITE), prefix=True),
        Right(topics.dead(""), (*_MAKE, _WRITE), prefix=True),
        Right(topics.passages(LIVE), _CHANGE, denied=True),
        Right(topics.dead(LIVE), _CHANGE, denied=True),
    ),
    # The proof of destruction looks through every topic.
    "keeper": (Right(_EVERY, (_READ, ACLOperation.DESCRIBE)),),
}
"""What each user may do. The broker's own user may do everything; with it the live topics are made (`make_topics`)."""
_ROOM: tuple[BrokerUser, ...] = ("indexer",)
"""Who may ask how much room the broker's disk has: replay leaves some of it to recording."""


def make_secrets(secrets: Path) -> Path:
    """Make what is missing below the site's secrets, keep what is there; returns the file that a broker reads.

    Files are 0600 in folders that are 0700.
    """
    users: tuple[BrokerUser, ...] = (*RIGHTS, "broker")
    passwords = {user: made_once(broker_secret(secrets, user)) for user in users}
    known = "".join(f' user_{broker_name(user)}="{password}"' for user, password in passwords.items())
    own = broker_name("broker")
    module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    jaas = f'jaas={module} username="{own}" password="{passwords["broker"]}"{known};\n'.encode("ascii")
    file = secrets / JAAS
    if not file.exists() or file.read_bytes() != jaas:
        write_private(file, jaas)
    for user in users:
        broker_secret(secrets, user).parent.chmod(0o700)
    return file


def lay_down(address: str, admin: KafkaLogin, passwords: dict[BrokerUser, str] | None = None) -> int:
    """Bring a broker to `RIGHTS`, adding what is missing and taking away what is beyond; returns the changes.

    Args:
        address: where clients connect.
        admin: who may alter rights.
        passwords: of users to make as well, by the mechanism that `admin` signs in with (SCRAM only).

    Raises:
        BrokerUnavailable: it does not answer, or does not take the secret.
        SetupFault: it refuses.
    """
    try:
        client = KafkaAdminClient(**admin.options(), bootstrap_servers=address, request_timeout_ms=10_000)
    except KafkaError as fault:
        raise in_our_words(fault, address) from fault
    try:
        if passwords:
            kind = ScramMechanism[admin.mechanism.replace("-", "_")]
            told = client.alter_user_scram_credentials(
                [UserScramCredentialUpsertion(broker_name(u), kind, password=p) for u, p in passwords.items()]
            )
            if refused := {user: why for user, why in told.items() if why}:
                raise SetupFault(f"Kafka at {address} does not make the users: {refused}")
        wanted = {_key(acl): acl for acl in _wanted()}
        present = {_key(acl): acl for user in RIGHTS for acl in _present(client, broker_name(user))}
        if missing := [acl for key, acl in wanted.items() if key not in present]:
            refused = client.create_acls(missing)["failed"]
            if refused:
                raise SetupFault(f"Kafka at {address} does not lay down rights: {refused[0]}")
        if beyond := [acl for key, acl in present.items() if key not in wanted]:
            for _, _, refusal in client.delete_acls(beyond):
                if refusal.errno:
                    raise refusal
        return len(missing) + len(beyond)
    except KafkaError as fault:
        raise SetupFault(f"Kafka at {address} does not let {admin.user} lay down rights: {fault}") from fault
    finally:
        client.close()


def make_topics(broker: Kafka, site: Site) -> None:
    """Make the live topics, or bring them to the site's settings: no component may. Raises BrokerError."""
    for name in (topics.FRAMES_LIVE, topics.passages(LIVE), topics.dead(LIVE)):
        broker.ensure_topic(name, topics.settings(site, LIVE))


def _wanted() -> Iterator[ACL]:
    for user, rights in RIGHTS.items():
        principal = f"User:{broker_name(user)}"
        for right in rights:
            pattern = ResourcePattern(
                ResourceType.TOPIC,
                right.topic,
                ACLResourcePatternType.PREFIXED if right.prefix else ACLResourcePatternType.LITERAL,
            )
            permission = ACLPermissionType.DENY if right.denied else ACLPermissionType.ALLOW
            for operation in right.operations:
                yield ACL(principal, "*", operation, permission, pattern)
        if user in _ROOM:
            cluster = ResourcePattern(ResourceType.CLUSTER, "kafka-cluster", ACLResourcePatternType.LITERAL)
            yield ACL(principal, "*", ACLOperation.DESCRIBE, ACLPermissionType.ALLOW, cluster)


def _present(client: KafkaAdminClient, name: str) -> list[ACL]:
    anything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    found, fault = client.describe_acls(
        ACLFilter(f"User:{name}", None, ACLOperation.ANY, ACLPermissionType.ANY, anything)
    )
    if getattr(fault, "errno", 0):
        raise fault
    return list(found)


def _key(acl: ACL) -> tuple[object, ...]:
    pattern = acl.resource_pattern
    return (
        acl.principal, acl.operation, acl.permission_type,
        pattern.resource_type, pattern.resource_name, pattern.pattern_type,
    )  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Make secrets, and lay down the rights at a site's broker."""
    parser = argparse.ArgumentParser(prog="python -m infra.kafka_users", description=__doc__.splitlines()[0])
    parser.add_argument("--site", type=Path, required=True, help="the site file")
    parser.add_argument("--init", action="store_true", help="make missing secrets and stop")
    parser.add_argument(
        "--admin",
        default=os.environ.get(ADMIN),
        help=f"administrator of the town's Kafka; the password is taken from {PASSWORD}",
    )
    parser.add_argument("--wait", type=float, default=60.0, help="seconds to wait for the broker")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        site = load_site(options.site)
        make_secrets(site.secrets_dir)
        if options.init:
            print(f"secrets of {', '.join(RIGHTS)} and of the broker are in {site.secrets_dir}")
            return 0
        if not site.kafka.asks_for_users:
            print(f"kafka.security is {site.kafka.security}: this Kafka asks nobody who they are, there are no rights")
            return 0
        if site.kafka.bootstrap and site.kafka.mechanism != "PLAIN" and not options.admin:
            print("secrets are made; the administrator of the town's Kafka lays down users and rights: --admin NAME")
            return 0
        changed = _patiently(site, options.admin, options.wait)
    except (SiteError, InfraError, BrokerError, OSError) as fault:
        print(fault, file=sys.stderr)
        return 2 if isinstance(fault, SiteError) else 1
    log.info("rights of %s laid down at %s: %d changed", ", ".join(RIGHTS), site.kafka.address, changed)
    return 0


def _patiently(site: Site, admin: str | None, wait_s: float) -> int:
    login = site_login(site, "broker")
    passwords: dict[BrokerUser, str] | None = None
    if admin:
        if not os.environ.get(PASSWORD):
            raise SiteError([f"the password of {admin} is looked for in {PASSWORD}, which is not set"])
        login = KafkaLogin(
            protocol=login.protocol, mechanism=login.mechanism, ca_file=login.ca_file,
            user=admin, password=os.environ[PASSWORD],
        )  # fmt: skip
        if login.mechanism.startswith("SCRAM"):
            passwords = {user: site_login(site, user).password for user in RIGHTS}
    deadline = time.monotonic() + wait_s
    while True:
        try:
            changed = lay_down(site.kafka.address, login, passwords)
            make_topics(Kafka(site.kafka.address, site.kafka.record_limit_bytes, login), site)
            return changed
        except BrokerUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
