"""The Directory port over the registry: an in-memory copy, renewed when the registry changes.

A lookup is one dictionary access and one HMAC. A thread-pool task compares `registry_revision`
every half second, so a revoked key is refused within a second on every worker. If the registry
cannot be read for five seconds, nobody is let in: a copy that old may contain revoked keys.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from sekisho.adapters.api_keys import key_id, matches
from sekisho.adapters.registry_schema import (
    api_keys,
    open_engine,
    prepare,
    principal_groups,
    principal_roles,
    principals,
    registry_revision,
)
from sekisho.errors import DirectoryUnavailable
from sekisho.model.principal import Principal, Role

POLL_S = 0.5  # half of the second in which a revocation must be seen
STALE_S = 5.0  # bridges a backup or a migration; longer, a revoked key might still be let in

_ROLES = frozenset(role.value for role in Role)


@dataclass(frozen=True, slots=True)
class _Key:
    hash: bytes
    expires_us: int | None
    principal: Principal


@dataclass(frozen=True, slots=True)
class _Copy:
    revision: int
    keys: Mapping[str, _Key]


class SqlDirectory:
    """Principals by key; implements `sekisho.ports.Directory`."""

    def __init__(
        self,
        path: Path,
        pepper: bytes,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._path = path
        self._engine = open_engine(path, writing=False)
        self._pepper = pepper
        self._monotonic_s = monotonic_s
        self._now_us = now_us
        self._copy: _Copy | None = None
        self._read_at_s = float("-inf")
        self._polling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the registry, made if absent, and renew until `close`.

        Raises RegistryUnusable or DirectoryUnavailable if it cannot be read.
        """
        await asyncio.to_thread(prepare, self._path)
        await self.refresh()
        self._fresh()
        self._polling = asyncio.create_task(self._poll(), name="registry-poll")

    async def close(self) -> None:
        """Stop renewing and let go of the file."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        self._engine.dispose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def check(self) -> None:
        """Raises DirectoryUnavailable when the registry has not been readable for too long."""
        self._fresh()

    async def find(self, secret: str) -> Principal | None:
        """The principal behind a presented key; see the Directory port."""
        copy = self._fresh()
        name = key_id(secret)
        if name is None:
            return None
        key = copy.keys.get(name)
        same = matches(self._pepper, secret, key.hash if key else None)
        if key is None or not same:
            return None
        if key.expires_us is not None and key.expires_us <= self._now_us():
            return None
        return key.principal

    async def refresh(self) -> None:
        """Read the registry now if it changed. Keeps the last copy when it cannot be read."""
        began_s = self._monotonic_s()
        known = self._copy
        try:
            self._copy = await asyncio.to_thread(self._read, known)
        except SQLAlchemyError:
            return  # `find` refuses once the copy is too old; /readyz and doctor tell why
        self._read_at_s = began_s

    @property
    def age_s(self) -> float:
        """Seconds since the registry was last read; infinite if never."""
        return self._monotonic_s() - self._read_at_s

    def _fresh(self) -> _Copy:
        if self._copy is None or self.age_s > STALE_S:
            raise DirectoryUnavailable(
                "The registry of keys cannot be read, so nobody can be let in. Try again later; "
                "operators: run `sekisho doctor`."
            )
        return self._copy

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            await self.refresh()

    def _read(self, known: _Copy | None) -> _Copy:
        with self._engine.begin() as connection:
            revision = connection.execute(select(registry_revision.c.revision)).scalar_one()
            if known is not None and known.revision == revision:
                return known
            return _Copy(revision, _load(connection))


def _load(connection: Connection) -> dict[str, _Key]:
    """All keys that may open something. Unknown roles are left out: they grant nothing."""
    roles: dict[str, set[Role]] = {}
    for principal, role in connection.execute(
        select(principal_roles.c.principal, principal_roles.c.role)
    ):
        if role in _ROLES:
            roles.setdefault(principal, set()).add(Role(role))
    groups: dict[str, set[str]] = {}
    for principal, group in connection.execute(
        select(principal_groups.c.principal, principal_groups.c.group_name)
    ):
        groups.setdefault(principal, set()).add(group)
    rows = {row.id: row for row in connection.execute(select(principals))}
    shut = {name for name, row in rows.items() if row.disabled}
    keys: dict[str, _Key] = {}
    for key in connection.execute(select(api_keys).where(api_keys.c.revoked_us.is_(None))):
        row = rows[key.principal]
        if row.id in shut or row.owner in shut:
            continue
        keys[key.id] = _Key(
            hash=key.hash,
            expires_us=key.expires_us,
            principal=Principal(
                id=row.id,
                roles=frozenset(roles.get(row.id, ())),
                groups=frozenset(groups.get(row.id, ())),
                owner=row.owner,
                credential=key.id,
            ),
        )
    return keys
