# SPDX-License-Identifier: AGPL-3.0-or-later
"""A Kafka of the town's: TLS with an authority of its own, users by SCRAM, set up by its administrator."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from connectors import topics
from connectors.broker import Outgoing, TopicSettings
from connectors.errors import BrokerError, BrokerUnavailable
from connectors.kafka import site_broker
from connectors.site import load_site
from infra import kafka_broker
from infra.kafka_broker import BrokerSettings, KafkaBroker
from infra.kafka_users import main
from infra.ports import free_port
from reid.passage import LIVE
from tests.infra.test_kafka_users import site_file

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

ADMIN, PASSWORD = "town-admin", "the town's own word"


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate that signs itself for 127.0.0.1, alone and together with its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public = made.public_bytes(Encoding.PEM)
    alone, both = folder / f"{name}.pem", folder / f"{name}-with-key.pem"
    alone.write_bytes(public)
    both.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + public)
    return alone, both


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, Path]]:
    """The port of the town's TLS, and its authority's certificate. Passage knows none of its users."""
    authority, keystore = certificate(tmp_path, "town")
    port = free_port(3)
    own = kafka_broker.server_properties

    def with_tls(settings: BrokerSettings) -> str:
        lines = dict(line.split("=", 1) for line in own(settings).splitlines())
        for key in ("listeners", "advertised.listeners"):
            lines[key] += f",TOWN://127.0.0.1:{port + 2}"
        lines["listener.security.protocol.map"] += ",TOWN:SASL_SSL"
        lines["listener.name.town.sasl.enabled.mechanisms"] = "SCRAM-SHA-512"
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        lines["listener.name.town.scram-sha-512.sasl.jaas.config"] = scram
        lines |= {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(keystore)}
        lines["super.users"] += f";User:{ADMIN}"
        return "".join(f"{key}={value}\n" for key, value in lines.items())

    monkeypatch.setattr(kafka_broker, "server_properties", with_tls)
    broker = KafkaBroker(BrokerSettings.below(tmp_path / "town", port=port, heap_mb=256))
    broker.start(180)
    admin = KafkaAdminClient(bootstrap_servers=broker.address, **broker.login().options())
    admin.alter_user_scram_credentials(
        [UserScramCredentialUpsertion(ADMIN, ScramMechanism.SCRAM_SHA_512, password=PASSWORD)]
    )
    admin.close()
    yield port + 2, authority
    broker.kill()


def town_site(folder: Path, port: int, authority: Path) -> Path:
    folder.mkdir()
    lines = ["[kafka]", f'bootstrap = "127.0.0.1:{port}"', 'security = "sasl_ssl"', f'ca_file = "{authority}"']
    return site_file(folder, lines)


def test_its_administrator_makes_users_and_rights_once_and_each_component_signs_in_by_tls(
    tmp_path: Path,
    town: tuple[int, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    port, authority = town
    file = town_site(tmp_path / "site", port, authority)
    assert main(["--site", str(file)]) == 0
    assert "--admin NAME" in capsys.readouterr().out
    monkeypatch.setenv("PASSAGE_KAFKA_ADMIN_PASSWORD", "another word")
    assert main(["--site", str(file), "--admin", ADMIN, "--wait", "0"]) == 1
    assert PASSWORD not in capsys.readouterr().err
    site = load_site(file)
    with pytest.raises(BrokerUnavailable, match="opens no session"):
        site_broker(site, "capture").topics()

    monkeypatch.setenv("PASSAGE_KAFKA_ADMIN_PASSWORD", PASSWORD)
    assert main(["--site", str(file), "--admin", ADMIN]) == 0
    capture, indexer = site_broker(site, "capture"), site_broker(site, "indexer")
    capture.ensure_topic(topics.FRAMES_LIVE, topics.settings(site, LIVE))
    with pytest.raises(BrokerError, match=r"does not change topic frames\.live.*infra\.kafka_users"):
        capture.ensure_topic(topics.FRAMES_LIVE, TopicSettings(partitions=16, retention_hours=9))
    writer = capture.writer()
    writer.write(topics.FRAMES_LIVE, [Outgoing(0, "c1", b"canary")])
    writer.close()
    assert indexer.extent(topics.FRAMES_LIVE)[0] == (0, 1)
    with pytest.raises(BrokerError, match="Authorization"):
        capture.ensure_topic(topics.passages("r-1"), TopicSettings(partitions=1))
    # Again, as after an update of Passage: nothing is lost, and who was signed in stays so.
    assert main(["--site", str(file), "--admin", ADMIN]) == 0
    assert capture.topics() == {topics.FRAMES_LIVE}


def test_a_broker_that_another_authority_signed_is_not_spoken_to(tmp_path: Path, town: tuple[int, Path]) -> None:
    port, _ = town
    other, _ = certificate(tmp_path, "other")
    file = town_site(tmp_path / "site", port, other)
    assert main(["--site", str(file), "--init"]) == 0
    with pytest.raises(BrokerUnavailable, match=r"opens no session: .*kafka\.security"):
        site_broker(load_site(file), "capture").topics()
