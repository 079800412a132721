# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import socket
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from connectors.site import CameraSite, Site
from infra.errors import PortTaken
from infra.kafka_broker import BrokerSettings, KafkaBroker, new_cluster_id, server_properties
from infra.ports import free_port


def settings(tmp_path: Path, **changes: object) -> BrokerSettings:
    return BrokerSettings.below(tmp_path, **{"port": free_port(2)} | changes)


def test_listens_on_loopback_only(tmp_path: Path) -> None:
    lines = dict(line.split("=", 1) for line in server_properties(settings(tmp_path)).splitlines())
    for listener in lines["listeners"].split(",") + lines["advertised.listeners"].split(","):
        assert listener.split("://")[1].startswith("127.0.0.1:")


def test_records_are_stamped_by_the_broker(tmp_path: Path) -> None:
    assert "log.message.timestamp.type=LogAppendTime\n" in server_properties(settings(tmp_path))


def test_record_limit_leaves_room_for_the_largest_record(tmp_path: Path) -> None:
    lines = dict(
        line.split("=", 1) for line in server_properties(settings(tmp_path, record_limit_bytes=7_000_000)).splitlines()
    )
    assert int(lines["message.max.bytes"]) > 7_000_000
    assert int(lines["replica.fetch.max.bytes"]) >= int(lines["message.max.bytes"])
    assert int(lines["log.segment.bytes"]) > int(lines["message.max.bytes"])


def test_settings_of_a_site(tmp_path: Path) -> None:
    camera = CameraSite(
        name="c1", label="c1", url="x.mp4", start_utc=datetime(2026, 1, 1, tzinfo=UTC), masks_dwellings=True
    )
    site = Site(name="t", data=tmp_path, camera=[camera], kafka={"port": 23456, "heap_mb": 300, "live_hours": 7})
    own = BrokerSettings.of(site)
    assert (own.port, own.heap_mb, own.live_hours, own.folder) == (23456, 300, 7, tmp_path / "kafka")


def test_a_cluster_id_never_looks_like_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([uuid.UUID(bytes=b"\xf9" + bytes(15)), uuid.UUID(bytes=b"\x41" + bytes(15))])
    monkeypatch.setattr(uuid, "uuid4", lambda: next(drawn))
    assert new_cluster_id().startswith("Q")


def test_a_taken_port_is_named_with_what_to_do(tmp_path: Path) -> None:
    own = settings(tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", own.port))
        other.listen()
        with pytest.raises(PortTaken, match=rf"port {own.port} .*kafka\.port"):
            KafkaBroker(own).start()
    assert not own.folder.exists()


@pytest.mark.kafka
@pytest.mark.slow
def test_acknowledged_records_outlive_kill_9(own_kafka_broker: KafkaBroker) -> None:
    broker = own_kafka_broker
    login = broker.login().options()
    admin = KafkaAdminClient(bootstrap_servers=broker.address, **login)
    admin.create_topics([NewTopic("t", 1, 1)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=broker.address, acks="all", max_request_size=5_000_000, **login)
    sent = [bytes([n]) * 60_000 for n in range(40)] + [b"x" * 3_900_000]
    for future in [producer.send("t", value) for value in sent]:
        future.get(20)
    producer.close()
    broker.kill()
    broker.start()
    consumer = KafkaConsumer(
        bootstrap_servers=broker.address, group_id=None, enable_auto_commit=False, consumer_timeout_ms=10_000, **login
    )
    consumer.assign([TopicPartition("t", 0)])
    consumer.seek_to_beginning()
    assert [next(consumer).value for _ in sent] == sent
    consumer.close()
    broker.stop()
    assert "shut down completed" in (broker.settings.logs / "kafka-server.log").read_text()
    assert list((broker.settings.folder / "records").glob(".kafka_cleanshutdown"))
