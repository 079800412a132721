# SPDX-License-Identifier: AGPL-3.0-or-later
"""Apache Kafka through kafka-python: assigned partitions, our own offsets, every acknowledgement looked at."""

from __future__ import annotations

import logging
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions
from kafka.errors import (
    AuthorizationError,
    InvalidTopicError,
    KafkaConfigurationError,
    KafkaConnectionError,
    KafkaError,
    KafkaStorageError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    OffsetOutOfRangeError,
    RecordListTooLargeError,
    SaslAuthenticationFailedError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)
from kafka.net.compat import KafkaNetClient

from connectors.broker import Message, NotAcknowledged, Outgoing, TopicSettings
from connectors.errors import BrokerError, BrokerUnavailable, OffsetGone
from connectors.kafka_login import BrokerUser, KafkaLogin, site_login
from connectors.site import Site, broker_addresses

log = logging.getLogger(__name__)
T = TypeVar("T")

CONNECT_MS = 5_000
CONNECT_S = 2.0
"""How long one address may take to accept a connection, before a client is made that would wait `CONNECT_MS`."""
ACKNOWLEDGE_S = 20.0
"""A record that is not acknowledged after so long counts as not written."""
RIGHTS = "Rights and live topics are laid down by `python -m infra.kafka_users` (`passage up` does it at its start)"
NO_SESSION = (
    "takes connections and opens no session: is it still starting, does it know this component's secret "
    "(secrets/COMPONENT/broker), is kafka.security what it speaks?"
)
FRAME_BYTES = 131_072
"""What a record may weigh above its value: key, headers and the broker's own framing."""


class Kafka:
    """A Kafka cluster by its bootstrap address. Nothing is opened before it is used."""

    def __init__(self, bootstrap: str, record_limit_bytes: int = 4_000_000, login: KafkaLogin | None = None) -> None:
        self._bootstrap = bootstrap
        self._login = (login or KafkaLogin()).options()
        self._limit = record_limit_bytes + FRAME_BYTES

    @property
    def address(self) -> str:
        """Its bootstrap address."""
        return self._bootstrap

    def ensure_topic(self, topic: str, settings: TopicSettings) -> None:
        """Make it, or bring the present one to these settings."""
        configs = {
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": str(settings.record_limit_bytes + FRAME_BYTES),
            "retention.ms": str(settings.retention_hours * 3_600_000 if settings.retention_hours else -1),
        }
        with self._admin() as admin:
            present = admin.list_topics()
            if topic not in present:
                try:
                    admin.create_topics(
                        {
                            topic: {
                                "num_partitions": settings.partitions,
                                "replication_factor": settings.replication,
                                "configs": configs,
                            }
                        },
                        wait_for_metadata=True,
                    )
                    return
                except TopicAlreadyExistsError:
                    pass  # another process was faster
            have = len(admin.describe_topics([topic])[0]["partitions"])
            if have < settings.partitions:
                admin.create_partitions({topic: NewPartitions(settings.partitions)})
            # A site that shortens its retention must see it obeyed by topics that are there already. Where nothing
            # differs nothing is asked for: most components may not change the live topics.
            wanted = [ConfigResource(ConfigResourceType.TOPIC, topic, configs)]
            held = admin.describe_configs(wanted, config_filter="all")["topic"][topic]
            if all(held.get(name, {}).get("value") == value for name, value in configs.items()):
                return
            if (answer := admin.alter_configs(wanted, raise_on_unknown=False)["topic"][topic]) != "OK":
                raise BrokerError(f"Kafka at {self._bootstrap} does not change topic {topic}: {answer}. {RIGHTS}")

    def delete_topic(self, topic: str) -> None:
        """Delete it and wait until it is gone."""
        with self._admin() as admin:
            try:
                admin.delete_topics([topic])
            except UnknownTopicOrPartitionError:
                return
            for _ in range(100):
                if topic not in admin.list_topics():
                    return
                time.sleep(0.05)
        raise BrokerError(f"topic {topic} is still there 5 s after its deletion")

    def topics(self) -> frozenset[str]:
        """Names of all topics but Kafka's own."""
        with self._admin() as admin:
            return frozenset(t for t in admin.list_topics() if not t.startswith("__"))

    def extent(self, topic: str) -> dict[int, tuple[int, int]]:
        """Earliest and next offset of each partition."""
        with self._translated(), self._consumer() as consumer:
            parts = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]
            if not parts:
                return {}
            first, end = consumer.beginning_offsets(parts), consumer.end_offsets(parts)
            return {t.partition: (first[t], end[t]) for t in parts}

    def free_bytes(self) -> int | None:
        """Room on the fullest of the brokers' log directories, 0 on one that fails; None from brokers before 3.3."""
        with self._admin() as admin:
            told = admin.describe_log_dirs(topic_partitions={})
        folders = [folder for broker in told for folder in broker["log_dirs"]]
        rooms = [0 if folder["error_code"] else folder.get("usable_bytes", -1) for folder in folders]
        return min((room for room in rooms if room >= 0), default=None)

    def reader(self, topic: str, starts: Mapping[int, int | None]) -> _KafkaReader:
        """A reader from these offsets."""
        extent = self.extent(topic)
        missing = sorted(set(starts) - set(extent))
        if missing:
            raise BrokerError(f"topic {topic} has no partition {missing}; it has {len(extent)}")
        with self._translated():
            consumer = self._new_consumer()
            return _KafkaReader(consumer, topic, {p: extent[p][0] if o is None else o for p, o in starts.items()})

    def writer(self) -> _KafkaWriter:
        """A writer."""
        return _KafkaWriter(self._bootstrap, self._limit, self._login)

    def _new_consumer(self) -> KafkaConsumer:
        return _client(
            KafkaConsumer,
            self._bootstrap,
            **self._login,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=max(1_048_576, self._limit),
            fetch_max_wait_ms=100,
            fetch_max_bytes=max(16_777_216, self._limit),
            allow_auto_create_topics=False,
            bootstrap_timeout_ms=CONNECT_MS,
            request_timeout_ms=10_000,
            reconnect_backoff_max_ms=2_000,
            metrics_enabled=False,
        )

    @contextmanager
    def _consumer(self) -> Iterator[KafkaConsumer]:
        consumer = self._new_consumer()
        try:
            yield consumer
        finally:
            consumer.close()

    @contextmanager
    def _admin(self) -> Iterator[KafkaAdminClient]:
        with self._translated():
            admin = _client(
                KafkaAdminClient,
                self._bootstrap,
                **self._login,
                bootstrap_timeout_ms=CONNECT_MS,
                request_timeout_ms=10_000,
            )
            try:
                yield admin
            finally:
                admin.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except KafkaError as fault:
            raise in_our_words(fault, self._bootstrap) from fault


def site_broker(site: Site, user: BrokerUser) -> Kafka:
    """The broker that a site file names, as one of its users. Raises SiteError when the secret cannot be read."""
    return Kafka(site.kafka.address, site.kafka.record_limit_bytes, site_login(site, user))


def _client(kind: Callable[..., T], address: str, **options: Any) -> T:
    """A client of kafka-python's, of this kind. Raises KafkaConnectionError where no broker accepts a connection.

    One that gets no session raises while it is made and leaves its thread and sockets behind, with nobody who could
    close them: so none is begun for a broker that is away, and what it opened is closed here.
    """
    if (refused := _refused(address)) is not None:
        raise KafkaConnectionError(str(refused)) from refused
    opened: list[KafkaNetClient] = []

    def network(**settings: Any) -> KafkaNetClient:
        opened.append(KafkaNetClient(**settings))
        return opened[-1]

    try:
        return kind(**options, bootstrap_servers=address, kafka_client=network)
    except Exception:
        for each in opened:
            each.close()
        raise


def in_our_words(fault: KafkaError, address: str) -> BrokerError:
    """What a fault of kafka-python means to who runs Passage."""
    if isinstance(fault, SaslAuthenticationFailedError):
        return BrokerError(f"Kafka at {address} does not take this user's secret: {_text(fault)}")
    if isinstance(fault, AuthorizationError):
        return BrokerError(f"Kafka at {address} refuses: {_text(fault)}. {RIGHTS}")
    if _lets_nobody_in(fault, address):
        return BrokerUnavailable(f"Kafka at {address} {NO_SESSION}")
    if getattr(fault, "retriable", False) or type(fault).__name__ in ("NoBrokersAvailable", "KafkaConnectionError"):
        return BrokerUnavailable(f"Kafka at {address} does not answer ({_text(fault)}): is it started?")
    return BrokerError(f"Kafka at {address} refuses: {_text(fault)}")


def _lets_nobody_in(fault: Exception, address: str) -> bool:
    """Whether a broker that never answered takes connections all the same: a wrong secret looks like that."""
    if not (isinstance(fault, KafkaTimeoutError) and "bootstrap" in str(fault)):
        return False  # it answered before: a session there was
    return _refused(address) is None


def _refused(address: str) -> OSError | None:
    """Why no broker accepts a connection; None when one does."""
    why: OSError | None = None
    for host, port in broker_addresses(address):
        try:
            socket.create_connection((host, port), CONNECT_S).close()
        except OSError as fault:
            why = fault
        else:
            return None
    return why


def _text(fault: Exception) -> str:
    if isinstance(fault, KafkaStorageError):
        return "its disk is full or fails: make room where it keeps its records (log.dirs)"
    if isinstance(fault, KafkaError):
        return str(fault)  # which names its kind
    return f"{type(fault).__name__}: {fault}".removesuffix(": ")


class _KafkaReader:
    def __init__(self, consumer: KafkaConsumer, topic: str, positions: dict[int, int]) -> None:
        self._consumer = consumer
        self._topic = topic
        self._positions = positions
        self._gone: deque[OffsetGone] = deque()
        self._assign()

    def _assign(self) -> None:
        parts = {p: TopicPartition(self._topic, p) for p in self._positions}
        self._consumer.assign(list(parts.values()))
        for p, part in parts.items():
            self._consumer.seek(part, self._positions[p])

    def poll(self, most: int) -> list[Message]:
        if self._gone:
            raise self._gone.popleft()
        if not self._positions:
            return []
        try:
            batches = self._batches(most)
        except KafkaError as fault:
            if getattr(fault, "retriable", False):
                return []  # the client connects again by itself
            if isinstance(fault, AuthorizationError):
                raise BrokerError(f"Kafka does not let us read {self._topic}: {_text(fault)}") from fault
            raise BrokerUnavailable(f"reading {self._topic} failed ({_text(fault)})") from fault
        if self._gone:
            raise self._gone.popleft()
        found = []
        for part, records in batches.items():
            for r in records:
                found.append(Message(part.partition, r.offset, (r.key or b"").decode("utf-8", "replace"), r.value))
            if records:
                self._positions[part.partition] = records[-1].offset + 1
        return found

    def _batches(self, most: int) -> dict[TopicPartition, list[Any]]:
        try:
            found: dict[TopicPartition, list[Any]] = self._consumer.poll(timeout_ms=0, max_records=most)
        except OffsetOutOfRangeError:
            self._restart_where_gone()
            return {}
        return found

    def _restart_where_gone(self) -> None:
        """Go on at the earliest record wherever retention overtook us, and remember to say so for each partition."""
        parts = {p: TopicPartition(self._topic, p) for p in self._positions}
        first = self._consumer.beginning_offsets(list(parts.values()))
        end = self._consumer.end_offsets(list(parts.values()))
        for p, part in parts.items():
            if not first[part] <= self._positions[p] <= end[part]:
                self._gone.append(OffsetGone(self._topic, p, self._positions[p], first[part]))
                self._positions[p] = first[part]
        self._assign()

    def finish(self, partition: int) -> None:
        if self._positions.pop(partition, None) is not None:
            self._assign()

    def close(self) -> None:
        try:
            self._consumer.close()
        except Exception as fault:  # what it was read for goes on, or ends by itself
            log.warning("a reader of %s did not close cleanly: %s", self._topic, _text(fault))


class _KafkaWriter:
    def __init__(self, bootstrap: str, limit: int, login: Mapping[str, Any]) -> None:
        self._bootstrap = bootstrap
        self._limit = limit
        self._login = login
        self._producer: KafkaProducer | None = None

    def write(self, topic: str, messages: Sequence[Outgoing]) -> None:
        futures = []
        try:
            producer = self._connect()
            for m in messages:
                futures.append(
                    producer.send(topic, m.value, key=m.key.encode(), headers=list(m.headers), partition=m.partition)
                )
            producer.flush(timeout=ACKNOWLEDGE_S)
        except Exception as fault:
            # While a broker goes away, errors of sockets and of the client's own thread come too. What was not even
            # sent counts as not acknowledged, unless Kafka refuses it for good.
            self._refuse(fault, topic)
            self._drop()
            left = [m for n, m in enumerate(messages) if n >= len(futures) or not futures[n].succeeded()]
            why = NO_SESSION if _lets_nobody_in(fault, self._bootstrap) else f"does not acknowledge ({_text(fault)})"
            raise NotAcknowledged(f"Kafka at {self._bootstrap} {why}", left) from fault
        left, reason = [], "no answer"
        for m, future in zip(messages, futures, strict=True):
            if future.succeeded():
                continue
            if future.is_done and future.exception is not None:
                self._refuse(future.exception, topic)
                reason = _text(future.exception)
            left.append(m)
        if left:
            self._drop()
            raise NotAcknowledged(f"Kafka at {self._bootstrap} does not acknowledge ({reason})", left)

    def _refuse(self, fault: Exception, topic: str) -> None:
        """Raise BrokerError for what trying again cannot mend; anything else is tried again by a new producer."""
        if isinstance(fault, MessageSizeTooLargeError | RecordListTooLargeError):
            raise BrokerError(
                f"a record is over the limit of topic {topic} or of this program ({fault}): "
                "raise kafka.record_limit_bytes"
            ) from fault
        if isinstance(fault, AuthorizationError | InvalidTopicError | KafkaConfigurationError):
            raise BrokerError(f"Kafka at {self._bootstrap} refuses a record of {topic}: {_text(fault)}") from fault

    def _connect(self) -> KafkaProducer:
        if self._producer is None:
            self._producer = _client(
                KafkaProducer,
                self._bootstrap,
                **self._login,
                acks="all",
                batch_size=900_000,
                linger_ms=0,
                max_request_size=self._limit,
                delivery_timeout_ms=int(ACKNOWLEDGE_S * 1000),
                request_timeout_ms=10_000,
                max_block_ms=CONNECT_MS,
                bootstrap_timeout_ms=CONNECT_MS,
                reconnect_backoff_max_ms=2_000,
                allow_auto_create_topics=False,
                metrics_enabled=False,
            )
        return self._producer

    def _drop(self) -> None:
        """Begin anew with the next write: a producer that failed may hold records it would still send, out of turn."""
        self._end(timeout_s=0)

    def close(self) -> None:
        self._end(timeout_s=5)

    def _end(self, timeout_s: float) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            producer.close(timeout=timeout_s)
        except Exception as fault:  # raised while Bytewax unwinds, it would abort the whole process
            log.warning("a producer of Kafka at %s did not close cleanly: %s", self._bootstrap, _text(fault))
