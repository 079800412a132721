# SPDX-License-Identifier: AGPL-3.0-or-later
"""The broker's port used directly: without a secret, with a wrong one, and with each component's own."""

from __future__ import annotations

import socket
import stat
import struct
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

from connectors import topics
from connectors.broker import Outgoing, TopicSettings
from connectors.errors import BrokerError, BrokerUnavailable, SiteError
from connectors.kafka import Kafka, site_broker
from connectors.kafka_login import BrokerUser, KafkaLogin, broker_name, broker_secret
from connectors.site import Site, load_site
from gate.self_check import stored
from infra.kafka_broker import KafkaBroker
from infra.kafka_users import JAAS, RIGHTS, lay_down, main, make_secrets
from infra.preflight import faults as preflight
from reid.passage import LIVE
from tests.fixtures.kafka import on

SETTINGS = TopicSettings(partitions=1)
COMPONENTS: tuple[BrokerUser, ...] = tuple(RIGHTS)

kafka = pytest.mark.kafka


@pytest.fixture
def scope() -> str:
    """A requisition's scope of the test's own."""
    return uuid.uuid4().hex[:8]


@pytest.fixture
def filled(kafka_broker: KafkaBroker, scope: str) -> Iterator[KafkaBroker]:
    """The live topics and a requisition's, one record in each."""
    own = kafka_broker.client()
    names = [topics.frames(LIVE), topics.passages(LIVE), topics.dead(LIVE)]
    names += [topics.frames(scope), topics.passages(scope), topics.dead(scope)]
    for name in names:
        own.ensure_topic(name, SETTINGS)
        writer = own.writer()
        writer.write(name, [Outgoing(0, "k", b"canary")])
        writer.close()
    yield kafka_broker
    for name in names:
        own.delete_topic(name)


def reads(broker: Kafka, topic: str) -> bool:
    """Whether the topic's record comes out; a busy machine takes its time."""
    try:
        reader = broker.reader(topic, {0: 0})
    except BrokerError:
        return False
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if found := reader.poll(10):
                return b"canary" in found[0].value
    except BrokerError:
        return False
    finally:
        reader.close()
    raise AssertionError(f"{topic} neither gave its record nor was refused")


def does(act: Callable[[], object]) -> bool:
    try:
        act()
    except BrokerError:
        return False
    return True


def writes(broker: Kafka, topic: str) -> bool:
    writer = broker.writer()
    try:
        return does(lambda: writer.write(topic, [Outgoing(0, "k", b"forged")]))
    finally:
        writer.close()


ALLOWED_READS: dict[BrokerUser, set[str]] = {
    "capture": {"frames.live"},
    "record": {"frames.live"},
    "indexer": {"frames.live", "frames.replay", "passages.live", "passages"},
    "keeper": {"frames.live", "frames.replay", "passages.live", "passages", "dead.live", "dead"},
}
ALLOWED_WRITES: dict[BrokerUser, set[str]] = {
    "capture": {"frames.live"},
    "record": {"dead.live"},
    "indexer": {"frames.replay", "passages.live", "passages", "dead.live", "dead"},
    "keeper": set(),
}
ALLOWED_ENDS: dict[BrokerUser, set[str]] = {
    "capture": set(),
    "record": set(),
    "indexer": {"frames.replay", "passages", "dead"},
    "keeper": set(),
}


@kafka
@pytest.mark.parametrize("user", COMPONENTS)
def test_a_component_with_its_own_secret_does_its_work_and_nothing_else(
    user: BrokerUser, filled: KafkaBroker, scope: str
) -> None:
    names = {
        "frames.live": topics.frames(LIVE), "passages.live": topics.passages(LIVE), "dead.live": topics.dead(LIVE),
        "frames.replay": topics.frames(scope), "passages": topics.passages(scope), "dead": topics.dead(scope),
    }  # fmt: skip
    broker = filled.client(user)
    assert {kind for kind, name in names.items() if reads(broker, name)} == ALLOWED_READS[user]
    assert {kind for kind, name in names.items() if writes(broker, name)} == ALLOWED_WRITES[user]
    longer = replace(SETTINGS, retention_hours=9999)
    changed = {kind for kind, name in names.items() if does(lambda name=name: broker.ensure_topic(name, longer))}  # type: ignore[misc]
    assert changed == ALLOWED_ENDS[user]
    assert {kind for kind, name in names.items() if does(lambda name=name: broker.delete_topic(name))} == ALLOWED_ENDS[  # type: ignore[misc]
        user
    ]
    stranger = f"stranger.{scope}"
    assert not does(lambda: broker.ensure_topic(stranger, SETTINGS))
    assert stranger not in filled.client().topics()


@kafka
@pytest.mark.parametrize("user", COMPONENTS)
def test_no_component_gives_itself_rights(user: BrokerUser, filled: KafkaBroker) -> None:
    login = filled.login(user).options()
    client = KafkaAdminClient(bootstrap_servers=filled.address, **login)
    try:
        more = ACL(
            f"User:{broker_name(user)}", "*", ACLOperation.ALL, ACLPermissionType.ALLOW,
            ResourcePattern(ResourceType.TOPIC, topics.passages(LIVE)),
        )  # fmt: skip
        assert client.create_acls([more])["succeeded"] == []
    finally:
        client.close()


def tells_a_stranger(port: int) -> bool:
    """Whether a request of nobody's is answered: DescribeCluster (60), version 0, with an empty client's name."""
    body = struct.pack(">hhihbbb", 60, 0, 7, 0, 0, 0, 0)
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.settimeout(15)
        client.sendall(struct.pack(">i", len(body)) + body)
        try:
            return len(client.recv(64)) > 0
        except ConnectionError:
            return False


@kafka
@pytest.mark.parametrize(
    "login",
    [
        KafkaLogin(),
        KafkaLogin(protocol="SASL_PLAINTEXT", mechanism="PLAIN", user="passage-broker", password="wrong"),
        KafkaLogin(protocol="SASL_PLAINTEXT", mechanism="PLAIN", user="stranger", password="stranger"),
    ],
    ids=["nobody", "a wrong secret", "a stranger"],
)
def test_who_has_no_secret_gets_no_session(login: KafkaLogin, filled: KafkaBroker) -> None:
    with pytest.raises(BrokerUnavailable, match=r"opens no session: .*component's secret"):
        Kafka(filled.address, login=login).topics()
    if not login.user:
        assert not tells_a_stranger(filled.settings.port)
        assert not tells_a_stranger(filled.settings.controller_port)
        with pytest.raises(BrokerUnavailable, match="opens no session"):
            Kafka(filled.address).writer().write(topics.passages(LIVE), [Outgoing(0, "k", b"forged")])


@kafka
def test_rights_beyond_the_list_are_taken_away_and_missing_ones_laid_down_again(filled: KafkaBroker) -> None:
    client = KafkaAdminClient(bootstrap_servers=filled.address, **filled.login().options())
    try:
        more = ACL(
            f"User:{broker_name('capture')}", "*", ACLOperation.READ, ACLPermissionType.ALLOW,
            ResourcePattern(ResourceType.TOPIC, topics.passages(LIVE)),
        )  # fmt: skip
        client.create_acls([more])
        assert reads(filled.client("capture"), topics.passages(LIVE))
        own = ACL(
            f"User:{broker_name('capture')}", "*", ACLOperation.WRITE, ACLPermissionType.ALLOW,
            ResourcePattern(ResourceType.TOPIC, topics.FRAMES_LIVE),
        )  # fmt: skip
        client.delete_acls([own])
        assert not writes(filled.client("capture"), topics.FRAMES_LIVE)
    finally:
        client.close()
    assert lay_down(filled.address, filled.login()) == 2
    assert not reads(filled.client("capture"), topics.passages(LIVE))
    assert writes(filled.client("capture"), topics.FRAMES_LIVE)
    assert lay_down(filled.address, filled.login()) == 0


@kafka
def test_a_towns_kafka_is_set_up_by_its_administrator(
    own_kafka_broker: KafkaBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another cluster, that knows none of our users: only its own administrator."""
    broker = own_kafka_broker
    lines = ["[kafka]", f'bootstrap = "{broker.address}"', 'security = "sasl_plaintext"', 'mechanism = "PLAIN"']
    file = site_file(tmp_path, lines)
    monkeypatch.setenv("PASSAGE_KAFKA_ADMIN_PASSWORD", "wrong")
    assert main(["--site", str(file), "--admin", "passage-broker", "--wait", "0"]) == 1
    assert "opens no session" in capsys.readouterr().err
    monkeypatch.delenv("PASSAGE_KAFKA_ADMIN_PASSWORD")
    assert main(["--site", str(file), "--admin", "passage-broker"]) == 2
    assert "PASSAGE_KAFKA_ADMIN_PASSWORD, which is not set" in capsys.readouterr().err
    monkeypatch.setenv("PASSAGE_KAFKA_ADMIN_PASSWORD", broker_secret(broker.settings.secrets, "broker").read_text())
    assert main(["--site", str(file), "--admin", "passage-broker"]) == 0
    # Secrets were made for the site; this broker of plain passwords knows others, and says so by opening no session.
    with pytest.raises(BrokerUnavailable, match="opens no session"):
        site_broker(load_site(file), "capture").topics()


def site_file(folder: Path, lines: list[str]) -> Path:
    file = folder / "site.toml"
    camera = ["[[camera]]", 'name = "c1"', 'label = "c1"', 'url = "rtsp://127.0.0.1:9/x"', "masks_dwellings = true"]
    file.write_text("\n".join(['name = "T"', *lines, *camera]), encoding="utf-8")
    return file


@kafka
def test_the_broker_writes_its_users_secrets_nowhere_else(kafka_broker: KafkaBroker) -> None:
    settings = kafka_broker.settings
    for user in (*COMPONENTS, "broker"):
        secret = broker_secret(settings.secrets, user).read_text(encoding="ascii")  # type: ignore[arg-type]
        found = subprocess.run(
            ["grep", "-rlF", "-e", secret, str(settings.folder), str(settings.logs)], capture_output=True, text=True
        )
        assert found.returncode == 1, found.stdout


def test_each_secret_is_its_components_alone(tmp_path: Path) -> None:
    jaas = make_secrets(tmp_path)
    assert jaas == tmp_path / JAAS
    secrets = {broker_secret(tmp_path, user).read_text(encoding="ascii") for user in (*COMPONENTS, "broker")}  # type: ignore[arg-type]
    assert len(secrets) == len(COMPONENTS) + 1 and all(len(s) >= 43 for s in secrets)
    for file in tmp_path.rglob("*"):
        assert stat.S_IMODE(file.stat().st_mode) == (0o700 if file.is_dir() else 0o600), file
    before = jaas.read_bytes()
    assert make_secrets(tmp_path) == jaas and jaas.read_bytes() == before


def test_a_component_without_its_secret_is_told_where_it_belongs(tmp_path: Path) -> None:
    site = load_site(site_file(tmp_path, ["[kafka]", "port = 19092"]))
    with pytest.raises(SiteError, match=r"broker's secret of capture cannot be read .*secrets/capture/broker"):
        site_broker(site, "capture")


def test_a_login_shows_no_password() -> None:
    login = KafkaLogin(protocol="SASL_SSL", mechanism="SCRAM-SHA-512", user="passage-capture", password="p4ssw0rd")
    assert "p4ssw0rd" not in repr(login)
    assert login.options() == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "passage-capture",
        "sasl_plain_password": "p4ssw0rd",
    }


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['bootstrap = "kafka1:9092"'], "security"),
        (['security = "sasl_ssl"'], "bootstrap"),
        (['bootstrap = "kafka1:9092"', 'security = "sasl_plaintext"', 'ca_file = "/x.pem"'], "ca_file"),
        (['bootstrap = "kafka1:9092"', 'security = "none"'], "sasl_ssl"),
        (['bootstrap = "kafka1:9092,kafka2"', 'security = "sasl_ssl"'], "'kafka2' is no host:port"),
    ],
    ids=["unsaid", "of the embedded one", "a certificate without TLS", "unknown", "no port"],
)
def test_a_site_says_how_its_kafka_is_spoken_to(tmp_path: Path, lines: list[str], said: str) -> None:
    with pytest.raises(SiteError, match=f"kafka.*{said}"):
        load_site(site_file(tmp_path, ["[kafka]", *lines]))


def test_a_kafka_that_asks_nobody_needs_no_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = site_file(tmp_path, ["[kafka]", 'bootstrap = "127.0.0.1:9"', 'security = "plaintext"'])
    site: Site = load_site(file)
    assert site_broker(site, "capture").address == "127.0.0.1:9"
    assert main(["--site", str(file)]) == 0
    assert "asks nobody" in capsys.readouterr().out


@kafka
def test_flows_of_a_site_sign_in_with_the_secrets_of_its_data_folder(filled: KafkaBroker, tmp_path: Path) -> None:
    site = load_site(site_file(tmp_path, on(filled, tmp_path / "var")))
    assert topics.FRAMES_LIVE in site_broker(site, "capture").topics()
    assert topics.passages(LIVE) not in site_broker(site, "capture").topics()


def test_the_summary_says_who_reads_passages_at_the_broker(tmp_path: Path) -> None:
    def said(lines: list[str]) -> str:
        found = stored(load_site(site_file(tmp_path, ["[kafka]", *lines])))
        return next(kind.protection for kind in found if kind.where == "Kafka, passages.*")

    assert "the indexer's and the keeper's users may read" in said([])
    assert "whoever reaches the broker's port may read" in said(['bootstrap = "k:9092"', 'security = "plaintext"'])


def test_an_authority_is_taken_from_beside_the_site_file_and_missed_before_anything_starts(tmp_path: Path) -> None:
    lines = ["[kafka]", 'bootstrap = "127.0.0.1:9"', 'security = "sasl_ssl"', 'ca_file = "ca.pem"']
    site = load_site(site_file(tmp_path, lines))
    assert site.kafka.ca_file == tmp_path / "ca.pem"
    faults = [fault for fault in preflight(site) if "kafka" in fault]
    assert any(f"{tmp_path / 'ca.pem'} does not exist" in fault for fault in faults)
    assert any("broker's secret of capture cannot be read" in fault and "--admin" in fault for fault in faults)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "var").write_text("a file")
    assert main(["--site", str(site_file(tmp_path, ["[kafka]", "port = 19092"])), "--init"]) == 1
    assert "Not a directory" in capsys.readouterr().err
