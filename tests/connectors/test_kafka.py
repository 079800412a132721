# SPDX-License-Identifier: AGPL-3.0-or-later
"""What Kafka's answers mean, with a client of the test's own; the contract tries the real one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import KafkaStorageError

from connectors.broker import NotAcknowledged, Outgoing
from connectors.kafka import Kafka


class Future:
    """A send that the broker answered with this."""

    is_done = True

    def __init__(self, exception: Exception | None) -> None:
        self.exception = exception

    def succeeded(self) -> bool:
        return self.exception is None


def test_a_broker_whose_disk_is_full_is_said_so_and_what_it_refused_is_to_be_written_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = iter([None, KafkaStorageError("56"), None])
    producer: Any = SimpleNamespace(
        send=lambda *_, **__: Future(next(answers)), flush=lambda timeout: None, close=lambda timeout: None
    )
    monkeypatch.setattr("connectors.kafka.KafkaProducer", lambda **_: producer)
    sent = [Outgoing(0, "c1", b"%d" % n) for n in range(3)]
    with pytest.raises(NotAcknowledged, match=r"its disk is full or fails: make room .*log\.dirs") as refused:
        Kafka("127.0.0.1:9").writer().write("t", sent)
    assert refused.value.messages == [sent[1]]


@pytest.mark.parametrize(
    ("folders", "free"),
    [
        ([{"error_code": 0, "usable_bytes": 5}, {"error_code": 0, "usable_bytes": 3}], 3),
        ([{"error_code": 56, "usable_bytes": -1}, {"error_code": 0, "usable_bytes": 3}], 0),
        ([{"error_code": 0, "usable_bytes": -1}], None),
        ([{"error_code": 0}], None),
        ([], None),
    ],
)
def test_the_room_is_that_of_the_fullest_disk(
    monkeypatch: pytest.MonkeyPatch, folders: list[dict[str, int]], free: int | None
) -> None:
    admin: Any = SimpleNamespace(
        describe_log_dirs=lambda topic_partitions: [{"broker": 1, "log_dirs": folders}], close=lambda: None
    )
    monkeypatch.setattr("connectors.kafka.KafkaAdminClient", lambda **_: admin)
    assert Kafka("127.0.0.1:9").free_bytes() == free
