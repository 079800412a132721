# SPDX-License-Identifier: AGPL-3.0-or-later
"""A connection to the store for one user, and what its failures are called here."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

from connectors.errors import StoreError, StoreRefused, StoreUnavailable
from connectors.site import Site

T = TypeVar("T")

_REFUSED: Final = frozenset({164, 497, 516, 192, 193, 194, 36})
"""READONLY, ACCESS_DENIED, AUTHENTICATION_FAILED, UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, BAD_ARGUMENTS."""
_PASSING: Final = frozenset({202, 159, 209, 210, 241, 252, 285, 319})
"""Too many statements, timeouts, network, memory limit, too many parts, quorum: worth trying again."""
_NOT_ENOUGH_SPACE: Final = 243
_NO_ROOM: Final = os.strerror(errno.ENOSPC)
"""In the text of a write that the disk refused: its code is then that of any failed write."""


@dataclass
class StoreConnection:
    """One user's way to the store. Threads may share it: each gets its own client, opened when first needed.

    Raises StoreUnavailable, StoreRefused or StoreError from `run`, and nothing at construction.
    """

    url: str
    database: str
    user: str
    secret: str = field(repr=False)
    timeout_s: float = 60.0
    _own: threading.local = field(default_factory=threading.local, repr=False, init=False)

    def run(self, act: Callable[[Any], T]) -> T:
        """Give the thread's client to `act`; failures come out as errors of the store."""
        try:
            return act(self._client())
        except ClickHouseError as fault:
            raise self._named(fault) from None

    def close(self) -> None:
        """Close this thread's client."""
        client = getattr(self._own, "client", None)
        if client is not None:
            client.close()
            del self._own.client

    def _client(self) -> Any:
        client = getattr(self._own, "client", None)
        if client is None:
            parts = urlsplit(self.url)
            client = clickhouse_connect.get_client(
                interface=parts.scheme,
                host=parts.hostname,
                port=parts.port,
                username=self.user,
                password=self.secret,
                database=self.database,
                compress=False,
                connect_timeout=5,
                send_receive_timeout=self.timeout_s,
                query_retries=0,
                form_encode_query_params=True,
                autogenerate_session_id=False,
                autogenerate_query_id=False,
                tz_mode="aware",
                show_clickhouse_errors=True,
            )
            self._own.client = client
        return client

    def _named(self, fault: ClickHouseError) -> StoreError:
        code = getattr(fault, "code", None)
        text = str(fault)
        if code in _REFUSED:
            return StoreRefused(f"the store refused {self.user} (code {code}): {text[:500]}")
        if code == _NOT_ENOUGH_SPACE or _NO_ROOM in text:
            return StoreUnavailable(
                f"no room left on the disk of the store at {self.url}: free some; writing goes on by itself then, "
                f"from where it stopped (code {code}): {text[:300]}"
            )
        if code in _PASSING or (code is None and isinstance(fault, OperationalError)):
            return StoreUnavailable(f"the store at {self.url} does not answer {self.user} now: {text[:300]}")
        return StoreError(f"the store failed (code {code}): {text[:500]}")


def connection(site: Site, user: str) -> StoreConnection:
    """The site's store as one of indexer, gate, keeper. Raises StoreRefused when the secret cannot be read."""
    path = site.secrets_dir / user / "store"
    try:
        secret = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise StoreRefused(
            f"the store's secret of {user} is not at {path}: run `python -m infra.store_server --site SITE --init`"
        ) from None
    except PermissionError:
        raise StoreRefused(f"this process may not read the store's secret of {user} ({path})") from None
    return StoreConnection(site.store.address, site.store.database, user, secret)
